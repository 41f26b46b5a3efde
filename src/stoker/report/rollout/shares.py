"""The share of requests that a canary answered in a step, with an interval."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.report.rollout.evidence import CanaryStep

__all__ = ["Share", "criteria", "share_of", "wilson"]

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


def criteria(step: CanaryStep) -> list[str]:
    """What each criterion of `stoker canary` came to, in words, with an interval where pairs or requests were counted."""
    evidence = step.evidence if isinstance(step.evidence, Mapping) else {}
    found = []
    for metric in dict.fromkeys([*step.verdicts, *evidence]):
        told = _told(evidence.get(metric))
        words = [step.verdicts.get(metric, ""), told]
        found.append(f"{metric}: {', '.join(filter(None, words)) or 'nothing was seen'}")
    return found


def _told(evidence: Any) -> str:
    """Pairs of probes as `stoker.canary.bets` counts them: two counts are signs, three are differences; else requests."""
    if not isinstance(evidence, Mapping):
        return ""
    counts = evidence.get("counts")
    if isinstance(counts, list | tuple) and all(isinstance(each, int) for each in counts):
        if len(counts) == 2 and sum(counts):
            return f"beyond the margin in {_part(counts[1], sum(counts), 'pairs')}"
        if len(counts) == 3 and sum(counts):
            return f"only the canary failed in {_part(counts[2], sum(counts), 'pairs')}"
    bad, whole = evidence.get("canary_bad"), evidence.get("canary")
    if isinstance(bad, int) and isinstance(whole, int) and 0 <= bad <= whole and whole:
        return f"bad in {_part(bad, whole, 'requests')}"
    return ""


def _part(count: int, whole: int, of: str) -> str:
    low, high = wilson(count, whole)
    return f"{count:,} of {whole:,} {of} ({100 * low:.1f}-{100 * high:.1f} %)"


def _counted(evidence: Any) -> tuple[int | None, int | None]:
    """All requests and the canary's, from the traffic of both versions as `stoker canary` counts it."""
    if isinstance(evidence, Mapping):
        for each in evidence.values():
            if isinstance(each, Mapping) and each.get("canary") and isinstance(each.get("stable"), int):
                return each["canary"] + each["stable"], each["canary"]
    return None, None
