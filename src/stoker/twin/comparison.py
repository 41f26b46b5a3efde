"""Fleets under paired traffic: means over seeds with intervals, and differences of pairs.

For one seed every fleet gets the same requests, so differences are taken seed by seed: what the traffic did to both cancels
out. Intervals are Student's t at 95 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from stoker.twin.fleet.results import Figures

__all__ = ["Comparison", "Estimate", "compare", "estimate"]

# Two-sided 95 % quantiles of Student's t by degrees of freedom 1 to 30.
_T: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

_NORMAL: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds; ``half`` is half of its 95 % interval, None for a single seed."""

    mean: float
    half: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Estimates by figure and fleet; ``differences`` are to the first fleet, None for itself."""

    labels: tuple[str, ...]
    figures: dict[str, list[Estimate | None]]
    differences: dict[str, list[Estimate | None]]


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and interval of independent values."""
    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Estimate(mean, None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Estimate(mean, _quantile(count - 1) * math.sqrt(variance / count))


def _quantile(freedom: int) -> float:
    """Of Student's t, 97.5 %; beyond the table by the first terms of its series in 1/freedom around the normal one.

    Abramowitz and Stegun 26.7.5: exact to four digits from 30 degrees on.
    """
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = _NORMAL
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def compare(labels: Sequence[str], runs: Sequence[Sequence[Figures]]) -> Comparison:
    """Compare fleets.

    Args:
        labels: a name for each fleet.
        runs: by fleet, figures by seed; the same seeds for all.
    """
    figures: dict[str, list[Estimate | None]] = {}
    differences: dict[str, list[Estimate | None]] = {}
    for name in (field.name for field in fields(Figures)):
        columns = [[getattr(run, name) for run in own] for own in runs]
        figures[name] = [None if None in column else estimate(column) for column in columns]
        differences[name] = [
            None
            if index == 0 or None in column or None in columns[0]
            else estimate([mine - first for mine, first in zip(column, columns[0], strict=True)])
            for index, column in enumerate(columns)
        ]
    return Comparison(tuple(labels), figures, differences)
