"""A profile as the user names it: by a name, or by a CSV file with columns ``t_s`` and ``rps``.

The columns of a table of rates summed from ServeGen's clients (alibaba/ServeGen, arXiv 2505.09999), which has several
services in its column ``model``; further columns are passed over.
"""

import csv
import math
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Final

from stoker.errors import InputError, Problem, nearest
from stoker.twin.workload.profile import NAMED, RateProfile
from stoker.twin.workload.trace.chunks import open_trace, whole_lines
from stoker.twin.workload.trace.formats import printable

__all__ = ["read_profile", "read_rate_table"]

_MOST_BYTES: Final = 32 << 20


def read_profile(name: str) -> RateProfile:
    """A profile by name, or from a table of rates; of one with several services ``FILE:SERVICE`` names one.

    Raises:
        InputError: no such name or file, or no such table.
    """
    if name in NAMED:
        return NAMED[name]
    file, service = name, ""
    if not _is_file(name):
        file, _, service = name.rpartition(":")
    if not file or not _is_file(file):
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


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # a name that is too long, a folder that may not be read
        return False


def read_rate_table(path: Path, service: str = "") -> RateProfile:
    """The profile of ``service``, which may be left out where the table has only one.

    Raises:
        InputError: no such table or service, a rate that is none, or spans of different length.
    """
    table = _table(path)
    header = [field.strip().lower() for field in table[0]] if table else []
    if not {"t_s", "rps"} <= set(header):
        shown = printable(",".join(header))
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
        for number, fields in enumerate(table[1:], start=2)
        if any(field.strip() for field in fields)
    ]
    chosen = _of_service(rows, service, path)
    return _profile(path, service or path.stem, [_rate(row, number, path) for number, row in chosen])


def _table(path: Path) -> list[list[str]]:
    """The rows of the file, one a line.

    Raises:
        InputError: it cannot be read, or is larger than any table of rates.
    """
    parts, size = [], 0
    try:
        with open_trace(path) as stream:
            for part in whole_lines(stream, str(path)):
                parts.append(part)
                size += len(part)
                if size > _MOST_BYTES:
                    raise InputError(
                        [
                            Problem(
                                "the table of rates is too large",
                                file=str(path),
                                found=f"more than {_MOST_BYTES >> 20} MiB",
                                wanted="one rate a span of time",
                                fix="leave services out, or take longer spans",
                            )
                        ]
                    )
        return list(csv.reader(b"".join(parts).decode("utf-8", "replace").splitlines()))
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise InputError(
            [
                Problem(
                    f"the table of rates cannot be read: {getattr(error, 'strerror', None) or error}",
                    file=str(path),
                    wanted="a CSV with columns t_s and rps",
                    fix="check that it is a table and that it arrived whole",
                )
            ]
        ) from error


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
        shown = printable(",".join(row.values()))
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
