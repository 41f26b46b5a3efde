"""Read a trace: Azure, BurstGPT, Mooncake, Vidur, and our own columns; in chunks, so that size costs time and not memory.

Rows that cannot be requests are left out and counted, and so is every other repair; a file in which more than one row in
twenty needs one is refused, with the first such row named.
"""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from stoker.errors import InputError, Problem
from stoker.twin.workload.formats import FORMATS, Format, recognise
from stoker.twin.workload.traffic import Traffic, sorted_traffic

__all__ = ["Trace", "read_trace"]

_CHUNK_LINES: Final = 1 << 16
_MOST_REPAIRED: Final = 0.05
_LONGEST: Final = 10_000_000  # tokens; no model has a longer context
_PREFIX_BLOCK: Final = 512  # Mooncake's hash ids name blocks of 512 tokens (FAST25-release/README)
_HOLE: Final = 50.0  # a gap this many times the 99th percentile of gaps is reported


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
    """

    traffic: Traffic
    name: str
    sha256: str
    format: str
    rows: int
    repairs: dict[str, int]
    holes: tuple[tuple[float, float], ...]


@dataclass(slots=True)
class _Columns:
    """What is read so far: one array a chunk."""

    times: list[NDArray[np.float64]] = field(default_factory=list)
    prompts: list[NDArray[np.float64]] = field(default_factory=list)
    answers: list[NDArray[np.float64]] = field(default_factory=list)
    models: list[NDArray[np.int16]] = field(default_factory=list)
    tenants: list[NDArray[np.int16]] = field(default_factory=list)
    model_names: dict[str, int] = field(default_factory=dict)
    tenant_names: dict[str, int] = field(default_factory=dict)
    prefixes: list[list[int]] | None = None


def read_trace(path: Path, progress: Callable[[int], None] | None = None) -> Trace:
    """Read the trace in ``path``; ``progress`` is called with the rows read so far.

    Raises:
        InputError: no such file, no trace, or too many rows that are no requests.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(
            [Problem("no trace", file=str(path), found=found, wanted="a file with one request a row")]
        )
    with path.open("rb") as raw:
        magic = raw.read(4)
    if magic == b"PAR1":
        from stoker.twin.workload.parquet import read_parquet

        columns, used = read_parquet(path, _Columns), FORMATS["own"]
    else:
        columns, used = _read_text(path, progress)
    return _trace(path, columns, used)


def _digest(path: Path) -> str:
    with path.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _open(path: Path) -> IO[str]:
    # Undecodable bytes become marks that no number holds: such rows are counted as no numbers.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="replace")
    return path.open(encoding="utf-8-sig", errors="replace")


def _read_text(path: Path, progress: Callable[[int], None] | None) -> tuple[_Columns, Format]:
    columns = _Columns()
    try:
        with _open(path) as lines:
            first = lines.readline()
            if not first.strip():
                raise InputError([Problem("the trace is empty", file=str(path), wanted="a header and rows")])
            if first.lstrip().startswith("{"):
                _read_json(path, first, lines, columns, progress)
                return columns, FORMATS["mooncake"]
            used, where = recognise(first, str(path))
            done = 0
            while chunk := list(islice(lines, _CHUNK_LINES)):
                _read_chunk([line for line in chunk if line.strip()], used, where, columns)
                done += len(chunk)
                if progress is not None:
                    progress(done)
    except (OSError, EOFError) as error:
        raise InputError([Problem(f"the trace cannot be read: {error}", file=str(path))]) from error
    return columns, used


def _read_chunk(lines: Sequence[str], used: Format, where: dict[str, int], columns: _Columns) -> None:
    width = max(where.values()) + 1
    rows = [_fields(line, width) for line in lines]
    columns.times.append(_times([row[where["time"]] for row in rows], used))
    columns.prompts.append(_numbers([row[where["input"]] for row in rows]))
    columns.answers.append(_numbers([row[where["output"]] for row in rows]))
    for name, found, known in (
        ("model", columns.models, columns.model_names),
        ("tenant", columns.tenants, columns.tenant_names),
    ):
        if name in where:
            values = [known.setdefault(row[where[name]].strip(), len(known)) for row in rows]
            found.append(np.array(values, np.int16))


def _fields(line: str, width: int) -> list[str]:
    """Fields of a row, empty ones where it is too short."""
    fields = line.rstrip("\r\n").split(",")
    return fields + [""] * (width - len(fields))


def _numbers(texts: Sequence[str]) -> NDArray[np.float64]:
    """Numbers of a column, NaN where there is none."""
    try:
        return np.array(texts, np.float64)
    except ValueError:
        return np.array([_number(text) for text in texts], np.float64)


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _times(texts: Sequence[str], used: Format) -> NDArray[np.float64]:
    """Seconds since the epoch, or since the trace's own zero; NaN where there is none."""
    if used.clock == "seconds" or (used.clock == "either" and texts and not _looks_like_date(texts[0])):
        return _numbers(texts)
    cleaned = [_plain_date(text) for text in texts]
    try:
        stamps = np.array(cleaned, "datetime64[us]")
    except ValueError:
        stamps = np.array([_stamp(text) for text in cleaned], "datetime64[us]")
    seconds: NDArray[np.float64] = stamps.astype(np.int64) / 1e6
    return np.where(np.isnat(stamps), np.nan, seconds)


def _looks_like_date(text: str) -> bool:
    return "-" in text[1:] and ":" in text


def _plain_date(text: str) -> str:
    """Without zone and beyond microseconds: Azure's 2023 traces have seven digits, those of 2024 an offset of zero."""
    text = text.strip().removesuffix("Z").removesuffix("+00:00").rstrip()
    return text[:26]


def _stamp(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "us")
    except ValueError:
        return np.datetime64("NaT", "us")


def _read_json(
    path: Path,
    first: str,
    lines: IO[str],
    columns: _Columns,
    progress: Callable[[int], None] | None,
) -> None:
    """Mooncake's lines: timestamp in milliseconds, input_length, output_length, hash_ids."""
    columns.prefixes = []
    times: list[float] = []
    prompts: list[float] = []
    answers: list[float] = []
    for number, line in enumerate(_all_lines(first, lines), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = {}
        if number == 1 and not {"timestamp", "input_length", "output_length"} <= set(row):
            raise InputError(
                [
                    Problem(
                        "no Mooncake trace",
                        file=str(path),
                        line=1,
                        found=", ".join(row)[:80],
                        wanted="timestamp, input_length, output_length and hash_ids",
                    )
                ]
            )
        times.append(_number(row.get("timestamp")) / 1000.0)
        prompts.append(_number(row.get("input_length")))
        answers.append(_number(row.get("output_length")))
        ids = row.get("hash_ids") or []
        columns.prefixes.append([int(key) for key in ids if isinstance(key, int)])
        if progress is not None and number % _CHUNK_LINES == 0:
            progress(number)
    columns.times.append(np.array(times))
    columns.prompts.append(np.array(prompts))
    columns.answers.append(np.array(answers))


def _all_lines(first: str, rest: IO[str]) -> Iterator[str]:
    yield first
    yield from rest


def _joined(parts: Sequence[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.zeros(0, dtype)


def _trace(path: Path, columns: _Columns, used: Format) -> Trace:
    times = _joined(columns.times, np.float64)
    prompts, answers = _joined(columns.prompts, np.float64), _joined(columns.answers, np.float64)
    rows = len(times)
    repairs: dict[str, int] = {}
    keep = np.ones(rows, bool)
    for name, bad in (
        ("no time", ~np.isfinite(times)),
        ("not a number", ~(np.isfinite(prompts) & np.isfinite(answers))),
        ("no prompt", prompts < 1),
        ("no answer", answers < 1),
        ("longer than any model", (prompts > _LONGEST) | (answers > _LONGEST)),
    ):
        fresh = keep & bad
        if fresh.any():
            repairs[name] = int(fresh.sum())
            keep &= ~bad
    _refuse(path, rows, keep, repairs, used)
    index = np.flatnonzero(keep)
    zero = float(times[index].min())
    arrival = times[index] - zero
    backwards = int(np.count_nonzero(np.diff(arrival) < 0))
    if backwards:
        repairs["unordered"] = backwards
    if used.clock == "milliseconds":
        arrival = arrival / 1000.0
    ids, offsets = _prefixes(columns.prefixes, index)
    traffic = sorted_traffic(
        Traffic(
            arrival_s=arrival,
            input_tokens=prompts[index].astype(np.int32),
            output_tokens=answers[index].astype(np.int32),
            model=_names(columns.models, index),
            tenant=_names(columns.tenants, index),
            models=tuple(columns.model_names) or ("",),
            tenants=tuple(columns.tenant_names) or ("",),
            prefix_ids=ids,
            prefix_offsets=offsets,
            prefix_block_tokens=_PREFIX_BLOCK if ids is not None else 0,
            # One mean gap after the last arrival, so that the rate is the number of requests over the duration.
            duration_s=max(1e-3, float(arrival.max()) * len(index) / max(1, len(index) - 1)),
        )
    )
    return Trace(traffic, path.name, _digest(path), used.name, rows, repairs, _holes(traffic))


def _refuse(path: Path, rows: int, keep: NDArray[np.bool_], repairs: dict[str, int], used: Format) -> None:
    bad = rows - int(keep.sum())
    # BurstGPT writes failed requests with no answer: those are not faults of the file.
    expected = repairs.get("no answer", 0) if used.name == "burstgpt" else 0
    if rows and bad < rows and bad - expected <= max(1, _MOST_REPAIRED * rows):
        return
    first = int(np.flatnonzero(~keep)[0]) + (1 if used.name == "mooncake" else 2) if bad else 1
    what = ", ".join(f"{count} x {name}" for name, count in repairs.items()) or "no rows"
    raise InputError(
        [
            Problem(
                "too many rows are no requests" if rows else "the trace has no rows",
                file=str(path),
                line=first,
                found=f"{bad} of {rows} rows: {what}",
                wanted=f"at most {100 * _MOST_REPAIRED:g} % of rows without time, prompt or answer",
                fix="correct the file, or leave such rows out",
            )
        ]
    )


def _names(parts: Sequence[NDArray[np.int16]], index: NDArray[np.int64]) -> NDArray[np.int16]:
    found: NDArray[np.int16] = _joined(parts, np.int16)
    return found[index] if len(found) else np.zeros(len(index), np.int16)


def _prefixes(
    prefixes: list[list[int]] | None, index: NDArray[np.int64]
) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
    if prefixes is None or not any(prefixes):
        return None, None
    chosen = [prefixes[i] for i in index]
    offsets = np.concatenate(([0], np.cumsum([len(ids) for ids in chosen]))).astype(np.int64)
    return np.array([key for ids in chosen for key in ids], np.int64), offsets


def _holes(traffic: Traffic) -> tuple[tuple[float, float], ...]:
    gaps = np.diff(traffic.arrival_s)
    if len(gaps) < 100:
        return ()
    usual = float(np.quantile(gaps, 0.99))
    found = np.flatnonzero(gaps > max(60.0, _HOLE * usual))
    return tuple((float(traffic.arrival_s[i]), float(traffic.arrival_s[i + 1])) for i in found[:20])
