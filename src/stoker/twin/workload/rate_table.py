"""A profile as the user names it: by a name, or by a CSV file with columns ``t_s`` and ``rps``.

The columns of a table of rates summed from ServeGen's clients (alibaba/ServeGen, arXiv 2505.09999), which has several
services in its column ``model``; further columns are passed over.
"""

import csv
import math
from itertools import pairwise
from pathlib import Path

from stoker.errors import InputError, Problem, nearest
from stoker.twin.workload.profile import NAMED, RateProfile
from stoker.twin.workload.trace.chunks import open_trace, whole_lines

__all__ = ["read_profile", "read_rate_table"]


def read_profile(name: str) -> RateProfile:
    """A profile by name, or from a table of rates; of one with several services ``FILE:SERVICE`` names one.

    Raises:
        InputError: no such name or file, or no such table.
    """
    if name in NAMED:
        return NAMED[name]
    file, service = name, ""
    if not Path(name).is_file():
        file, _, service = name.rpartition(":")
    if not file or not Path(file).is_file():
        like = nearest(name, NAMED, 1)
        raise InputError(
            [
                Problem(
                    "no such profile",
                    found=name,
                    wanted=f"trace, {', '.join(NAMED)}, or a CSV file of rates",
                    fix=f"--profile {like[0]}"
                    if like
                    else "--profile FILE, or FILE:SERVICE of several services",
                )
            ]
        )
    return read_rate_table(Path(file), service)


def read_rate_table(path: Path, service: str = "") -> RateProfile:
    """The profile of ``service``, which may be left out where the table has only one.

    Raises:
        InputError: no such table or service, a rate that is none, or spans of different length.
    """
    try:
        with open_trace(path) as stream:
            text = b"".join(whole_lines(stream, str(path))).decode("utf-8", "replace")
    except (OSError, EOFError) as error:
        raise InputError([Problem(f"the table of rates cannot be read: {error}", file=str(path))]) from error
    lines = text.splitlines()
    header = [field.strip().lower() for field in next(csv.reader(lines[:1]), [])]
    if not {"t_s", "rps"} <= set(header):
        shown = ",".join(header)[:80]
        raise InputError(
            [
                Problem(
                    "no table of rates",
                    file=str(path),
                    line=1,
                    column=1,
                    found=shown,
                    wanted="columns t_s and rps",
                    fix="name the columns t_s (seconds) and rps (requests per second)",
                )
            ]
        )
    rows = [
        (number, dict(zip(header, fields, strict=False)))
        for number, fields in enumerate(csv.reader(lines[1:]), start=2)
        if any(field.strip() for field in fields)
    ]
    chosen = _of_service(rows, service, path)
    return _profile(path, service or path.stem, [_rate(row, number, path) for number, row in chosen])


def _of_service(
    rows: list[tuple[int, dict[str, str]]], service: str, path: Path
) -> list[tuple[int, dict[str, str]]]:
    services = {row.get("model", "").strip() for _, row in rows}
    shown = ", ".join(sorted(services))
    if service:
        if service not in services:
            like = nearest(service, services, 1)
            fix = f"{path}:{like[0]}" if like else ""
            raise InputError(
                [
                    Problem(
                        "no such service in the table", file=str(path), found=service, wanted=shown, fix=fix
                    )
                ]
            )
        return [(number, row) for number, row in rows if row.get("model", "").strip() == service]
    if len(services) > 1:
        raise InputError(
            [Problem("several services in one table", file=str(path), found=shown, fix=f"{path}:SERVICE")]
        )
    return rows


def _rate(row: dict[str, str], line: int, path: Path) -> tuple[float, float, int]:
    try:
        time, rate = float(row["t_s"]), float(row["rps"])
    except (KeyError, ValueError):
        time = rate = math.nan
    if not (math.isfinite(time) and math.isfinite(rate)) or rate < 0:
        shown = ",".join(row.values())[:80]
        raise InputError(
            [
                Problem(
                    "no rate",
                    file=str(path),
                    line=line,
                    column=1,
                    found=shown,
                    wanted="t_s and rps as numbers, rps at least 0",
                )
            ]
        )
    return time, rate, line


def _profile(path: Path, name: str, rows: list[tuple[float, float, int]]) -> RateProfile:
    rows.sort(key=lambda row: (row[0], row[2]))
    if len(rows) < 2 or sum(rate for _, rate, _ in rows) <= 0:
        raise InputError(
            [
                Problem(
                    "too few rates",
                    file=str(path),
                    found=f"{len(rows)} rows",
                    wanted="two or more, not all of them zero",
                )
            ]
        )
    span = rows[1][0] - rows[0][0]
    for (before, _, _), (time, _, line) in pairwise(rows):
        if not math.isclose(time - before, span, rel_tol=1e-6) or span <= 0:
            raise InputError(
                [
                    Problem(
                        "rates must be of equal spans",
                        file=str(path),
                        line=line,
                        column=1,
                        found=f"{time - before:g} s after the rate before",
                        wanted=f"{span:g} s, as the first two rates",
                        fix="fill the gap, or leave the row out where a time comes twice",
                    )
                ]
            )
    return RateProfile.of(name, span, [rate for _, rate, _ in rows])
