"""Rates that change while a run lasts: steps, ramps, and both in a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stoker.errors import InputError, Problem

__all__ = ["Phase", "check_phases", "expected", "moments", "rate_words"]


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time with one rate, or with one that grows or falls evenly.

    Attributes:
        duration_s: how long it lasts.
        rate: requests per second as it begins.
        end_rate: as it ends; None for a constant rate.
    """

    duration_s: float
    rate: float
    end_rate: float | None = None

    @property
    def last_rate(self) -> float:
        return self.rate if self.end_rate is None else self.end_rate

    @property
    def requests(self) -> float:
        """How many are expected."""
        return self.duration_s * (self.rate + self.last_rate) / 2.0


def check_phases(phases: Sequence[Phase]) -> None:
    """Refuse what is no course of a rate.

    Raises:
        InputError: a rate below zero or endless, a phase without duration, or nothing above zero.
    """
    problems = [
        Problem(
            "no phase of a load",
            path=f"phases[{index}]",
            found=f"{phase.rate:g} to {phase.last_rate:g} requests/s for {phase.duration_s:g} s",
            wanted="rates of at least 0 and a duration above 0",
        )
        for index, phase in enumerate(phases)
        if not (0 < phase.duration_s < float("inf") and min(phase.rate, phase.last_rate) >= 0)
        or not max(phase.rate, phase.last_rate) < float("inf")
    ]
    if not problems and sum(phase.requests for phase in phases) <= 0:
        problems.append(Problem("nothing to send", found="a rate of 0", wanted="a rate above 0 somewhere"))
    if problems:
        raise InputError(problems)


def expected(phases: Sequence[Phase]) -> float:
    """Requests of all phases together."""
    return sum(phase.requests for phase in phases)


def moments(work: NDArray[np.float64], phases: Sequence[Phase]) -> NDArray[np.float64]:
    """When as many requests have come as ``work`` says: the inverse of the summed rate, exact within ramps.

    Args:
        work: amounts from 0 to `expected`, in any order.
        phases: at least one, checked.
    """
    amounts = np.array([phase.requests for phase in phases])
    ends = np.cumsum(amounts)
    # The last phase that sends anything: rounding at the very end must not fall into a silent one behind it.
    last = int(np.flatnonzero(amounts > 0)[-1])
    place = np.minimum(np.searchsorted(ends, work, side="right"), last)
    first = np.array([phase.rate for phase in phases])[place]
    lasts = np.array([phase.duration_s for phase in phases])
    slope = np.array([(phase.last_rate - phase.rate) / phase.duration_s for phase in phases])[place]
    rest = np.clip(work - (ends - amounts)[place], 0.0, amounts[place])
    # first * t + slope / 2 * t^2 = rest, solved for t in the form that loses no digits where the slope is near 0.
    divisor = first + np.sqrt(np.maximum(first**2 + 2.0 * slope * rest, 0.0))
    within = np.divide(2.0 * rest, divisor, out=np.zeros_like(rest), where=divisor > 0)
    found: NDArray[np.float64] = (np.cumsum(lasts) - lasts)[place] + np.minimum(within, lasts[place])
    return found


def rate_words(phases: Sequence[Phase]) -> str:
    """The phases in words."""
    return ", then ".join(
        f"{phase.rate:g}{'' if phase.last_rate == phase.rate else f' to {phase.last_rate:g}'} requests/s for {phase.duration_s:g} s"
        for phase in phases
    )
