"""Command lines of servers, read as their argument parsers read them; shell scripts are split into words first."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from stoker.audit.view.workloads import Container
from stoker.catalog.engines import canonical_flag
from stoker.kube.paths import Path

__all__ = ["Command", "Flag", "Word", "parse_flags", "words_of"]

_REFERENCE: Final = re.compile(r"\$\(([A-Za-z_][\w.-]*)\)|\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)")
_SHELLS: Final = frozenset(("sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/bin/ash", "ash"))


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command line: its text with environment references filled in, and the field it stands in.

    ``scripted``: it is part of a longer string (a shell script), so no patch can touch it alone.
    """

    text: str
    path: Path
    scripted: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag and what follows it.

    Attributes:
        name: canonical long name, such as ``--tensor-parallel-size``.
        values: what belongs to it; empty for a switch.
        words: the words it takes up, the flag first; one word for ``--flag=value``.
    """

    name: str
    values: tuple[str, ...]
    words: tuple[Word, ...]

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""

    @property
    def path(self) -> Path:
        return self.words[0].path

    @property
    def scripted(self) -> bool:
        return any(word.scripted for word in self.words)

    def number(self) -> float | None:
        """The value as a number, None where it is none (an unresolved variable, a word)."""
        text = self.value.lower().replace("_", "")
        scale = {"k": 1000, "m": 1_000_000}.get(text[-1:], 1) if text[:1].isdigit() else 1
        try:
            return float(text[:-1] if scale > 1 else text) * scale
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command line: leading words, flags in order, and words that belong to no flag."""

    words: tuple[Word, ...]
    flags: tuple[Flag, ...]
    free: tuple[Word, ...]

    def flag(self, *names: str) -> Flag | None:
        """The last use of a flag under any of the names, as argparse takes it."""
        wanted = {canonical_flag(name) for name in names}
        return next((flag for flag in reversed(self.flags) if flag.name in wanted), None)


def words_of(container: Container) -> tuple[Word, ...]:
    """``command`` and ``args`` as words; a script after ``sh -c`` is split, its first pipeline of each line kept."""
    environment = {
        str(entry.get("name")): str(entry["value"])
        for entry in container.spec.get("env") or []
        if isinstance(entry.get("value"), str)
    }
    words: list[Word] = []
    for field in ("command", "args"):
        for index, text in enumerate(container.spec.get(field) or []):
            words.append(Word(text, (*container.path, field, index)))
    script = _script(words)
    if script is None:
        return tuple(Word(_fill(word.text, environment), word.path) for word in words)
    parts: list[Word] = []
    for line in script.text.replace("\\\n", " ").split("\n"):
        try:
            split = shlex.split(line, comments=True)
        except ValueError:
            split = line.split()
        parts += [Word(_fill(part, environment), script.path, scripted=True) for part in split]
    return tuple(parts)


def _script(words: Sequence[Word]) -> Word | None:
    if len(words) < 2 or words[0].text not in _SHELLS:
        return None
    for index, word in enumerate(words[1:-1], start=1):
        if word.text.startswith("-") and "c" in word.text.lstrip("-") and not word.text.startswith("--"):
            rest = [entry for entry in words[index + 1 :] if entry.text != "--"]
            return rest[0] if rest else None
    return None


def _fill(text: str, environment: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda match: environment.get(match[1] or match[2] or match[3], match[0]), text)


def parse_flags(words: Sequence[Word], switches: frozenset[str] = frozenset()) -> Command:
    """Flags with what follows them; a word after a switch or after a flag's own ``=value`` is free.

    ``&&``, ``;``, ``|`` and ``&`` end the command: what comes after belongs to another.
    """
    flags: list[Flag] = []
    free: list[Word] = []
    index = 0
    while index < len(words):
        word = words[index]
        if word.text in {"&&", ";", "|", "||", "&", ">", ">>", "2>&1"} and word.scripted:
            break
        index += 1
        if not _is_flag(word.text):
            free.append(word)
            continue
        name, equals, value = word.text.partition("=")
        taken = [word]
        values = [value] if equals else []
        if not equals and canonical_flag(name) not in switches:
            while (
                index < len(words)
                and not _is_flag(words[index].text)
                and words[index].text not in {"&&", ";", "|", "&"}
            ):
                taken.append(words[index])
                values.append(words[index].text)
                index += 1
        flags.append(Flag(canonical_flag(name), tuple(values), tuple(taken)))
    return Command(tuple(words), tuple(flags), tuple(free))


def _is_flag(text: str) -> bool:
    return bool(re.match(r"^--?[A-Za-z]", text))
