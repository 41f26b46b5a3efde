"""Read a trace: Azure, BurstGPT, Mooncake, Vidur, and our own columns; in pieces, so that size costs time and not memory.

Rows that cannot be requests are left out and counted, and so is every other repair; a file in which more than one row in
twenty needs one is refused, with the first row of each kind shown.
"""

import csv
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from stoker.errors import InputError, Problem
from stoker.twin.workload.trace.chunks import open_trace, whole_lines
from stoker.twin.workload.trace.columns import Columns
from stoker.twin.workload.trace.csv_rows import CsvRows
from stoker.twin.workload.trace.formats import MOONCAKE, recognise
from stoker.twin.workload.trace.json_rows import JsonRows
from stoker.twin.workload.trace.refusal import refuse
from stoker.twin.workload.traffic import Traffic

__all__ = ["MOST_REPAIRED", "Trace", "read_trace"]

MOST_REPAIRED: Final = 0.05
"""Share of rows that may be left out before the file is refused."""

_HOLE: Final = 50.0  # a gap this many times the 99th percentile of gaps is reported,
_LEAST_HOLE_S: Final = 60.0  # if it is this long
_MOST_HOLES: Final = 20
_LEAST_GAPS: Final = 100  # below, no gap is unusual


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A trace as read.

    Attributes:
        name: the file's name.
        sha256: of the file's bytes.
        format: which one it was.
        rows: rows of the file.
        repairs: what was put right, how often: ``unordered``, ``no answer``, ``no prompt``, ``not a number``, …
        holes: gaps much longer than the usual: (from, to) in seconds. They are reported and left as they are.
        repeated: rows with the time and the lengths of the row before them. They are kept: requests may come together.
    """

    traffic: Traffic
    name: str
    sha256: str
    format: str
    rows: int
    repairs: dict[str, int]
    holes: tuple[tuple[float, float], ...]
    repeated: int

    @property
    def span_s(self) -> float:
        """Seconds from the first arrival to the last."""
        return float(self.traffic.arrival_s[-1])


def read_trace(
    path: Path, progress: Callable[[int], None] | None = None, *, most_repaired: float = MOST_REPAIRED
) -> Trace:
    """Read the trace in ``path``.

    Args:
        path: CSV or JSON lines, plain or gzip, or Parquet. What it is shows in its first bytes, not in its name.
        progress: called with the rows read so far.
        most_repaired: share of rows that may be left out, 0 to 1; failed requests of BurstGPT do not count.

    Raises:
        InputError: no such file, no trace, or too many rows that are no requests.
        StokerError: Parquet without pyarrow.
    """
    columns = Columns(str(path))
    try:
        _check_path(path)
        name = _read(path, columns, progress)
        return _trace(path, name, columns, most_repaired)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            [
                Problem(
                    f"the trace cannot be read: {getattr(error, 'strerror', None) or error}",
                    file=str(path),
                    fix="check that you may read it and that it arrived whole",
                )
            ]
        ) from error


def _check_path(path: Path) -> None:
    if path.is_file():
        return
    found = "a folder" if path.is_dir() else "no regular file" if path.exists() else "nothing"
    raise InputError(
        [
            Problem(
                "no trace",
                file=str(path),
                found=found,
                wanted="a file with one request a row",
                fix="name a CSV, JSON lines or Parquet file",
            )
        ]
    )


def _read(path: Path, columns: Columns, progress: Callable[[int], None] | None) -> str:
    """Read every row into ``columns``; the format's name."""
    with path.open("rb") as raw:
        packed = raw.read(4) == b"PAR1"
    if packed:
        from stoker.twin.workload.trace.parquet import read_parquet

        return read_parquet(path, columns, progress).name
    with open_trace(path) as stream:
        chunks = whole_lines(stream, str(path))
        first = next(chunks, b"")
        if not first.strip():
            raise InputError(
                [Problem("the trace is empty", file=str(path), wanted="a header and one request a row")]
            )
        rows: CsvRows | JsonRows
        if first.lstrip().startswith(b"{"):
            name, rows = MOONCAKE, JsonRows(columns)
        else:
            header, _, first = first.partition(b"\n")
            name, rows = _csv(header, columns)
        for chunk in _pieces(first, chunks):
            rows.read(chunk)
            if progress is not None:
                progress(columns.rows)
    return name


def _csv(header: bytes, columns: Columns) -> tuple[str, CsvRows]:
    text = header.decode("utf-8", "replace")
    try:
        names = next(csv.reader([text]), [])
    except csv.Error:  # a field of more than 128 KiB: no header has such a name
        names = [text]
    used, where = recognise(names, columns.file)
    return used.name, CsvRows(where, len(names), used.clock, columns)


def _pieces(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _trace(path: Path, name: str, columns: Columns, most_repaired: float) -> Trace:
    _check(path, name, columns, most_repaired)
    traffic = columns.traffic()
    with path.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    return Trace(
        traffic=traffic,
        name=path.name,
        sha256=digest,
        format=name,
        rows=columns.rows,
        repairs=dict(columns.repairs),
        holes=_holes(traffic),
        repeated=_repeated(traffic),
    )


def _check(path: Path, name: str, columns: Columns, most_repaired: float) -> None:
    if columns.rows == 0:
        raise InputError(
            [
                Problem(
                    "the trace has no rows",
                    file=str(path),
                    found="a header alone",
                    wanted="one request a row",
                )
            ]
        )
    left_out = columns.repairs.total()
    # BurstGPT writes failed requests with no answer: those are not faults of the file.
    bad = left_out - (columns.repairs["no answer"] if name == "burstgpt" else 0)
    # A single bad row, such as a last line cut off, is no reason to refuse a short trace.
    allowed = max(1.0 if most_repaired > 0 else 0.0, most_repaired * columns.rows)
    if bad > allowed or left_out == columns.rows:
        raise refuse(path, columns, bad, most_repaired)


def _repeated(traffic: Traffic) -> int:
    same = traffic.arrival_s[1:] == traffic.arrival_s[:-1]
    same &= traffic.input_tokens[1:] == traffic.input_tokens[:-1]
    same &= traffic.output_tokens[1:] == traffic.output_tokens[:-1]
    return int(np.count_nonzero(same))


def _holes(traffic: Traffic) -> tuple[tuple[float, float], ...]:
    gaps = np.diff(traffic.arrival_s)
    if len(gaps) < _LEAST_GAPS:
        return ()
    usual = float(np.quantile(gaps, 0.99))
    found = np.flatnonzero(gaps > max(_LEAST_HOLE_S, _HOLE * usual))
    return tuple((float(traffic.arrival_s[i]), float(traffic.arrival_s[i + 1])) for i in found[:_MOST_HOLES])
