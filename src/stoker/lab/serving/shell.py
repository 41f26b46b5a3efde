"""Commands of jobs and helpers, as far as they decide when a container ends and how: a small part of a shell.

``sleep``, ``exit``, ``true``, ``false``, ``echo``, ``tail -f``, ``:`` and endless loops mean what they mean; every other command
is taken to succeed at once, and the log says so.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Step", "script_of", "steps_of"]

_SHELLS: Final = frozenset(("sh", "bash", "ash", "dash"))
_FOREVER: Final = float("inf")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ENDLESS: Final = re.compile(
    r"^\s*while\s+(true|:|\[\s*1\s*\]|sleep\b)|\btail\s+(-\w*[fF]\b|--follow)|^\s*for\s*\(\(\s*;\s*;\s*\)\)"
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command. ``seconds`` it takes; ``code`` it ends with; ``ends``: so does the script; ``says``: lines it writes."""

    seconds: float = 0.0
    code: int = 0
    ends: bool = False
    says: tuple[str, ...] = ()


def script_of(words: Sequence[str]) -> str | None:
    """The script that a command runs, or the command itself where this module knows it; None where it does not."""
    if not words:
        return None
    name = words[0].rpartition("/")[2]
    if name in _SHELLS:
        for index, word in enumerate(words[1:-1], start=1):
            if re.fullmatch(r"-\w*c\w*", word):
                return words[index + 1]
        return None
    rest = list(words[1:])
    if name == "busybox" and rest:
        return script_of(rest)
    known = name in {"sleep", "echo", "true", "false", "exit", "printf"} or (
        name == "tail" and _ENDLESS.search(shlex.join(words))
    )
    return shlex.join([name, *rest]) if known else None


def steps_of(script: str) -> Iterator[Step]:
    """The commands of a script one after the other, as far as they run."""
    code = 0
    joined = ";"
    for command, following in _commands(script):
        if (joined == "&&" and code) or (joined == "||" and not code):
            joined = following
            continue
        step = _step(command, code)
        yield step
        if step.ends:
            return
        code, joined = step.code, following
        if following == "&":
            code = 0


def _commands(script: str) -> Iterator[tuple[str, str]]:
    text = script.replace("\\\n", " ")
    if _ENDLESS.search(text) and re.match(r"^\s*(while|for)\b", text):
        yield text, ";"
        return
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    words: list[str] = []
    try:
        for word in lexer:
            if set(word) <= set(";&|"):
                if words:
                    yield shlex.join(words), word if word in {"&&", "||", "&", "|"} else ";"
                words = []
            else:
                words.append(word)
    except ValueError:
        return
    if words:
        yield shlex.join(words), ";"


def _step(command: str, code: int) -> Step:
    words = shlex.split(command)
    while words and re.match(r"^[A-Za-z_]\w*=", words[0]):
        words = words[1:]
    if not words or words[0] in {"set", "export", "cd", "umask", ":", "then", "do", "done", "fi"}:
        return Step()
    name, rest = words[0].rpartition("/")[2], words[1:]
    if name in {"exec", "time", "nohup"} and rest:
        return _step(shlex.join(rest), code)
    if _ENDLESS.search(command) or (name in {"while", "wait"}):
        return Step(_FOREVER)
    if name == "exit":
        given = int(rest[0]) & 255 if rest and rest[0].lstrip("-").isdecimal() else code
        return Step(code=given, ends=True)
    if name == "sleep":
        return Step(sum(_duration(word) for word in rest))
    if name in {"true", "false"}:
        return Step(code=int(name == "false"))
    if name in {"echo", "printf"}:
        text = " ".join(word for word in rest if word not in {"-n", "-e"})
        return Step(says=tuple(text.split("\n")))
    return Step(says=(f"[lab] not emulated, taken to succeed at once: {command}",))


def _duration(word: str) -> float:
    if word in {"infinity", "inf"}:
        return _FOREVER
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smhd]?)", word)
    return float(match[1]) * _UNITS.get(match[2] or "s", 1.0) if match else 0.0
