"""One command run to its end, and what it cost."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process cost.

    Attributes:
        whole_s: from its start to its end.
        cpu_s: user and system time, of its children too.
        steady_s: without start-up, where lines say that the simulation begins and ends; else the whole.
        memory_mib: largest resident set.
    """

    whole_s: float
    cpu_s: float
    steady_s: float
    memory_mib: float


def measured(
    command: Sequence[object],
    folder: Path,
    *,
    marks: tuple[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[Cost, str]:
    """Run a command to its end; returns its cost and all that it printed.

    Args:
        command: program and arguments.
        folder: to run it in.
        marks: parts of the lines that say that the simulation begins and ends.
        environment: variables on top of this process's.

    Raises:
        RuntimeError: it failed, or printed no marks; the message has its last lines.
    """
    begin, first, last, lines = time.perf_counter(), 0.0, 0.0, []
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if process.stdout is None:
        raise RuntimeError("no pipe to the simulator")
    for line in process.stdout:
        lines.append(line)
        if marks and marks[0] in line:
            first = time.perf_counter()
        elif marks and marks[1] in line:
            last = time.perf_counter()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    whole = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[0]} exited with {process.returncode}:\n{''.join(lines[-20:])}")
    if marks and not (first and last):
        raise RuntimeError(f"{command[0]} printed no {marks[0]!r} and {marks[1]!r}:\n{''.join(lines[-20:])}")
    steady = last - first if marks else whole
    return Cost(whole, used.ru_utime + used.ru_stime, steady, used.ru_maxrss / 1024), "".join(lines)
