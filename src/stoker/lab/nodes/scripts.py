"""What a container's command would do, read off its words: how long it runs, how it ends, what it writes. Pure."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from stoker.lab.serving.contract import RunContainer

__all__ = ["EXIT_CODE", "RUN_SECONDS", "Plan", "is_plain", "plan_of"]

RUN_SECONDS = "lab.stoker.dev/run-seconds"
EXIT_CODE = "lab.stoker.dev/exit-code"
_SHELLS = frozenset(("sh", "bash", "ash", "dash"))
# Images whose own command is a shell: without a terminal it ends at once.
_SHELL_IMAGES = frozenset(("busybox", "alpine", "ubuntu", "debian", "python", "bash", "curl"))
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# What an unknown program takes in a pod that is to end: an assumption.
_JOB_S = 5.0
_INIT_S = 1.0
_FOREVER = re.compile(r"while\s+(true|:|\[\s*1)|tail\s+-[fF]|sleep\s+(infinity|inf)\b")
_SLEEP = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")
_PYTHON_SLEEP = re.compile(r"time\.sleep\((\d+(?:\.\d+)?)\)")


@dataclass(frozen=True, slots=True)
class Plan:
    """The course of a program.

    Attributes:
        run_s: seconds until it ends by itself; None for never.
        exit_code: how it ends.
        ready_s: seconds until it answers.
        ignores_term: SIGTERM does nothing: a process with number 1 that has no handler for it.
        lines: what it writes.
    """

    run_s: float | None
    exit_code: int = 0
    ready_s: float = 0.0
    ignores_term: bool = False
    lines: tuple[str, ...] = ()


def is_plain(run: RunContainer) -> bool:
    """Whether a program's course can be read off its command: the process beside is not needed for it."""
    if _said(run) is not None or _image_name(run) == "pause":
        return True
    words = _words(run)
    if not words:
        return _image_name(run) in _SHELL_IMAGES
    program = words[0].rpartition("/")[2]
    return program in {"sleep", "true", "false", "echo", "nvidia-smi"} or (
        program in _SHELLS
        and not re.search(r"vllm|sglang|triton|python|serve|listen|\bnc\b", " ".join(words))
    )


def plan_of(run: RunContainer) -> Plan:
    """The course of a container's program."""
    said = _said(run)
    if said is not None:
        return said
    words = _words(run)
    if not words:
        if _image_name(run) in _SHELL_IMAGES:
            return Plan(0.0)
        return _unknown(run)
    program = words[0].rpartition("/")[2]
    if program in _SHELLS and "-c" in words:
        script = words[words.index("-c") + 1] if words.index("-c") + 1 < len(words) else ""
        return _script(script, run)
    if program in {"sleep", "true", "false", "echo", "nvidia-smi", "tail"}:
        return _script(shlex.join(words), run)
    match = _PYTHON_SLEEP.search(" ".join(words))
    if match is not None:
        return Plan(float(match[1]), ignores_term=True)
    return _unknown(run)


def _words(run: RunContainer) -> list[str]:
    container = run.container
    return [str(word) for field in ("command", "args") for word in container.get(field) or ()]


def _image_name(run: RunContainer) -> str:
    image = str(run.container.get("image") or "")
    return image.rpartition("/")[2].partition("@")[0].partition(":")[0]


def _is_init(run: RunContainer) -> bool:
    name = run.container["name"]
    return any(
        one["name"] == name and one.get("restartPolicy") != "Always"
        for one in run.pod["spec"].get("initContainers") or ()
    )


def _is_sidecar(run: RunContainer) -> bool:
    name = run.container["name"]
    return any(one["name"] == name for one in run.pod["spec"].get("initContainers") or ()) and not _is_init(
        run
    )


def _said(run: RunContainer) -> Plan | None:
    """What the pod itself says; about its main containers."""
    annotations = run.pod["metadata"].get("annotations") or {}
    seconds, code = annotations.get(RUN_SECONDS), annotations.get(EXIT_CODE)
    if (seconds is None and code is None) or _is_init(run) or _is_sidecar(run):
        return None
    try:
        return Plan(float(seconds) if seconds is not None else 0.0, int(code or 0))
    except ValueError:
        return None


def _unknown(run: RunContainer) -> Plan:
    if _is_init(run):
        return Plan(max(run.load_s, _INIT_S))
    if _is_sidecar(run) or run.pod["spec"].get("restartPolicy", "Always") == "Always":
        return Plan(None, ready_s=run.load_s)
    return Plan(run.load_s + _JOB_S, ready_s=run.load_s)


def _script(text: str, run: RunContainer) -> Plan:
    """A shell script, statement by statement; what is not known takes no time and succeeds."""
    if _FOREVER.search(text):
        return Plan(None, ignores_term="trap" not in text, lines=_echoes(text))
    seconds, code = 0.0, 0
    lines: list[str] = []
    stops = bool(re.search(r"\bset\s+-\w*e", text))
    for statement, follows in _statements(text):
        done = _statement(statement, run, lines)
        if done is None:
            continue
        took, result, is_exit = done
        seconds += took
        code = result
        if is_exit or (result and (stops or follows == "&&")):
            break
    return Plan(seconds, code, ignores_term="trap" not in text, lines=tuple(lines))


def _statements(text: str) -> list[tuple[list[str], str]]:
    """Statements with what stands behind each."""
    found: list[tuple[list[str], str]] = []
    parts = re.split(r"(&&|\|\||[;\n])", text)
    for index in range(0, len(parts), 2):
        try:
            words = shlex.split(parts[index], comments=True)
        except ValueError:
            words = parts[index].split()
        if words:
            found.append((words, parts[index + 1] if index + 1 < len(parts) else ""))
    return found


def _statement(words: Sequence[str], run: RunContainer, lines: list[str]) -> tuple[float, int, bool] | None:
    """Seconds, exit code, and whether the script ends; None for what says nothing of its outcome."""
    program = words[0].rpartition("/")[2]
    rest = words[1:]
    if program == "exec" and rest:
        return _statement(rest, run, lines)
    if program == "sleep":
        matches = [_SLEEP.fullmatch(word) for word in rest]
        return sum(float(one[1]) * _UNITS[one[2]] for one in matches if one), 0, False
    if program == "exit":
        return 0.0, int(rest[0]) & 255 if rest and rest[0].isdigit() else 0, True
    if program == "false":
        return 0.0, 1, False
    if program == "echo":
        lines.append(" ".join(word for word in rest if word not in {"-n", "-e"}))
        return 0.0, 0, False
    if program == "nvidia-smi":
        return _nvidia_smi(run, lines)
    return (0.0, 0, False) if program == "true" else None


def _echoes(text: str) -> tuple[str, ...]:
    lines: list[str] = []
    for words, _ in _statements(text):
        if words[0] == "echo":
            lines.append(" ".join(words[1:]))
    return tuple(lines)


def _nvidia_smi(run: RunContainer, lines: list[str]) -> tuple[float, int, bool]:
    """What nvidia-smi -L says of the container's GPUs; without any, the runtime puts no such program into it."""
    if not run.gpus:
        lines.append("sh: 1: nvidia-smi: not found")
        return 0.0, 127, False
    lines += [f"GPU {index}: {run.gpu}" for index in range(run.gpus)]
    return 1.0, 0, False
