"""The share of requests that a canary answered in a step, with an interval."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.report.rollout.evidence import CanaryStep

__all__ = ["Share", "share_of", "wilson"]

_Z95: Final = 1.959964  # two-sided 95 % of the normal distribution


@dataclass(frozen=True, slots=True)
class Share:
    """A share from 0 to 1 with its interval, and how many requests it rests on (0 where the writer did not say)."""

    value: float
    low: float
    high: float
    requests: int


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion, 95 % (Wilson, JASA 22 (1927) 209-212)."""
    share, z2 = successes / trials, _Z95 * _Z95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _Z95 / (1 + z2 / trials) * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def share_of(step: CanaryStep) -> Share | None:
    """What was counted in a step; None where nothing was."""
    requests, answered = step.requests, step.answered
    if requests is None or answered is None:
        requests, answered = _counted(step.evidence)
    if not requests or answered is None or answered > requests:
        return None
    low, high = step.interval or wilson(answered, requests)
    return Share(answered / requests, low, high, requests)


def _counted(evidence: Any) -> tuple[int | None, int | None]:
    """All requests and the canary's, from the traffic of both versions as `stoker canary` counts it."""
    if isinstance(evidence, Mapping):
        for each in evidence.values():
            if isinstance(each, Mapping) and each.get("canary") and isinstance(each.get("stable"), int):
                return each["canary"] + each["stable"], each["canary"]
    return None, None
