"""What is said of a file that has too many rows that are no requests: each kind once, with its first row as written."""

from itertools import islice
from pathlib import Path
from typing import Final

from stoker.errors import InputError, Problem
from stoker.twin.workload.trace.chunks import open_trace, whole_lines
from stoker.twin.workload.trace.columns import Columns
from stoker.twin.workload.trace.formats import printable

__all__ = ["refuse"]

_WANTED: Final = {
    "no time": "a date as 2026-01-31T08:00:00.5Z, or seconds",
    "not a number": "a number of tokens in each field",
    "not a whole number": "a whole number of tokens",
    "no answer": "at least 1 output token",
    "no prompt": "at least 1 input token",
    "longer than any model": "at most 10,000,000 tokens",
}


def refuse(path: Path, columns: Columns, bad: int, most: float) -> InputError:
    """The error to raise: what is wrong in all, then each kind.

    Args:
        path: the file, read again for the rows.
        columns: what was read of it.
        bad: rows that count as faults of the file.
        most: share of such rows that would have been let pass.
    """
    kinds = dict(sorted(columns.first.items(), key=lambda item: item[1]))
    what = ", ".join(f"{columns.repairs[name]} x {name}" for name in kinds)
    shown = _lines(path, sorted(kinds.values()))
    summary = Problem(
        "too many rows are no requests",
        file=str(path),
        line=next(iter(kinds.values())),
        column=1,
        found=f"{bad} of {columns.rows} rows: {what}",
        wanted=f"at most {100 * most:g} % of rows without time, prompt or answer",
        fix="correct the file, or leave such rows out",
    )
    each = [
        Problem(
            f"{name}, here first",
            file=str(path),
            line=line,
            column=1,
            found=shown.get(line, ""),
            wanted=_WANTED[name],
        )
        for name, line in kinds.items()
    ]
    return InputError([summary, *each])


def _lines(path: Path, wanted: list[int]) -> dict[int, str]:
    """These lines of a text file, cut short; none of a Parquet file."""
    with path.open("rb") as raw:
        if raw.read(4) == b"PAR1":
            return {}
    found: dict[int, str] = {}
    with open_trace(path) as stream:
        lines = (line for chunk in whole_lines(stream, str(path)) for line in chunk.split(b"\n")[:-1])
        done = 0
        for number in wanted:
            line = next(islice(lines, number - 1 - done, None), b"") if number > done else b""
            if number > done:
                found[number] = printable(line.decode("utf-8", "replace"))
                done = number
    return found
