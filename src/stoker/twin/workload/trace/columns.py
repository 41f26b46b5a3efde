"""Rows of a trace judged and kept as columns: good ones become requests, others are counted by what is wrong."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stoker.errors import InputError, Problem
from stoker.twin.workload.traffic import Traffic, sorted_traffic

__all__ = ["MOST_NAMES", "PREFIX_BLOCK", "Columns", "Names", "Rows"]

PREFIX_BLOCK: Final = 512  # tokens; Mooncake's FAST25-release/README.md, `hash_ids`
MOST_NAMES: Final = 32_767  # of an int16
_LONGEST: Final = 10_000_000  # tokens; no model has a longer context
_LONGEST_SPAN_S: Final = 10 * 366 * 86_400.0
_MOST_ROWS: Final = 200_000_000  # 10 GB at the peak


@dataclass(slots=True)
class Names:
    """Models or tenants, numbered as they come."""

    file: str
    number: dict[str, int] = field(default_factory=dict)

    def numbers(self, names: list[str]) -> NDArray[np.int16]:
        """The number of each name.

        Raises:
            InputError: more than 32,767 different names.
        """
        found = [self.number.setdefault(name, len(self.number)) for name in names]
        if len(self.number) > MOST_NAMES:
            raise InputError(
                [
                    Problem(
                        "too many different models or tenants",
                        file=self.file,
                        wanted=f"at most {MOST_NAMES:,}",
                        fix="leave the column out where it names users or requests",
                    )
                ]
            )
        return np.array(found, np.int16)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows as read, none judged yet.

    Attributes:
        time: seconds from any zero; NaN where there is none.
        input, output: tokens; NaN where the field is empty, missing or no number.
        model, tenant: numbers by `Names`; None where the trace has none.
        prefix, prefix_lengths: hash ids of all rows, flat, and how many each row has; None where the trace has none.
        line: line (of Parquet: row) of each row in the file, from 1.
    """

    time: NDArray[np.float64]
    input: NDArray[np.float64]
    output: NDArray[np.float64]
    line: NDArray[np.int64]
    model: NDArray[np.int16] | None = None
    tenant: NDArray[np.int16] | None = None
    prefix: NDArray[np.int64] | None = None
    prefix_lengths: NDArray[np.int64] | None = None


_KEPT: Final = ("time", "input", "output", "model", "tenant", "prefix", "prefix_lengths")


@dataclass(slots=True)
class Columns:
    """What has been read so far.

    Attributes:
        rows: rows seen, good or not.
        repairs: rows left out, by what is wrong.
        first: line of the first row left out, by what is wrong.
    """

    file: str
    rows: int = 0
    repairs: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    models: Names = field(init=False)
    tenants: Names = field(init=False)
    _parts: dict[str, list[NDArray[Any]]] = field(default_factory=lambda: {name: [] for name in _KEPT})

    def __post_init__(self) -> None:
        self.models, self.tenants = Names(self.file), Names(self.file)

    def add(self, rows: Rows) -> None:
        """Keep the good rows, count the others once each, by the first thing that is wrong with them.

        Raises:
            InputError: more rows than memory is meant for.
        """
        keep = np.ones(len(rows.time), bool)
        whole = (np.trunc(rows.input) == rows.input) & (np.trunc(rows.output) == rows.output)
        for name, bad in (
            ("no time", ~np.isfinite(rows.time)),
            ("not a number", ~(np.isfinite(rows.input) & np.isfinite(rows.output))),
            ("not a whole number", ~whole),
            # Before the prompt: BurstGPT's failed requests may lack both, and are no fault of the file.
            ("no answer", rows.output < 1),
            ("no prompt", rows.input < 1),
            ("longer than any model", (rows.input > _LONGEST) | (rows.output > _LONGEST)),
        ):
            fresh = keep & bad
            if fresh.any():
                self.repairs[name] += int(fresh.sum())
                self.first.setdefault(name, int(rows.line[np.argmax(fresh)]))
                keep &= ~bad
        self.rows += len(keep)
        if self.rows > _MOST_ROWS:
            raise InputError(
                [
                    Problem(
                        "the trace is too long",
                        file=self.file,
                        found=f"more than {_MOST_ROWS:,} rows",
                        wanted=f"at most {_MOST_ROWS:,}",
                        fix="use a part of it: --duration and --rate-scale make it longer and denser again",
                    )
                ]
            )
        self._keep(rows, keep)

    def _keep(self, rows: Rows, keep: NDArray[np.bool_]) -> None:
        every = bool(keep.all())
        for name, dtype in (("time", np.float64), ("input", np.int32), ("output", np.int32)):
            values = getattr(rows, name)
            self._parts[name].append((values if every else values[keep]).astype(dtype))
        for name in ("model", "tenant", "prefix_lengths"):
            values = getattr(rows, name)
            if values is not None:
                self._parts[name].append(values[keep])
        if rows.prefix is not None and rows.prefix_lengths is not None:
            self._parts["prefix"].append(rows.prefix[np.repeat(keep, rows.prefix_lengths)])

    def traffic(self) -> Traffic:
        """The good rows, of which there must be one, in order of arrival, from zero; ``unordered`` ones are counted.

        Raises:
            InputError: arrivals that are more than ten years apart.
        """
        arrival = self._take("time", np.float64)
        arrival -= arrival.min()
        span = float(arrival.max())
        if span > _LONGEST_SPAN_S:
            raise InputError(
                [
                    Problem(
                        "arrivals lie too far apart",
                        file=self.file,
                        found=f"{span / 86_400:,.0f} days",
                        wanted="at most ten years",
                        fix="look for a time in another unit, or rows with a wrong year",
                    )
                ]
            )
        backwards = int(np.count_nonzero(arrival[1:] < arrival[:-1]))
        if backwards:
            self.repairs["unordered"] = backwards
        count = len(arrival)
        ids, lengths = self._take("prefix", np.int64), self._take("prefix_lengths", np.int64)
        prefixed = len(ids) > 0
        return sorted_traffic(
            Traffic(
                arrival_s=arrival,
                input_tokens=self._take("input", np.int32),
                output_tokens=self._take("output", np.int32),
                model=self._take("model", np.int16, count),
                tenant=self._take("tenant", np.int16, count),
                models=tuple(self.models.number) or ("",),
                tenants=tuple(self.tenants.number) or ("",),
                prefix_ids=ids if prefixed else None,
                prefix_offsets=np.concatenate(([0], np.cumsum(lengths))) if prefixed else None,
                prefix_block_tokens=PREFIX_BLOCK if prefixed else 0,
                duration_s=_duration(span, count),
            )
        )

    def _take(self, name: str, dtype: type, count: int = 0) -> NDArray[Any]:
        """One column in one piece; its parts are let go, so that no two columns are held twice."""
        parts, self._parts[name] = self._parts[name], []
        return np.concatenate(parts) if parts else np.zeros(count, dtype)


def _duration(span_s: float, count: int) -> float:
    """One mean gap after the last arrival, so that rate = requests / duration; one second where all come at once."""
    return span_s * count / (count - 1) if span_s > 0 else 1.0
