"""Verdicts over one canary: its share, promotion, roll-back, and whether both versions answered all the while. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stoker.rollout.evidence import Judgement
from stoker.rollout.gates.week_2.prober import Asked
from stoker.rollout.intervals import share_interval

__all__ = ["Stage", "judge_answers", "judge_shift", "judge_split"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Requests through the front door while the canary had one share.

    Attributes:
        percent: that it was given.
        sent: requests that were answered; failed: that were not.
        canary: fewest and most of them that the canary can have answered.
        others: requests of other clients that were counted meanwhile.
        settled: the cluster's seconds from the change until all of a batch went the new way; None where that never came.
        why: why there is no count, where there is none.
    """

    name: str
    percent: int
    sent: int = 0
    failed: int = 0
    canary: tuple[int, int] = (0, 0)
    others: int = 0
    settled: float | None = 0.0
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        low, high = self.canary
        return {
            "canary_percent": self.percent, "answered": self.sent, "failed": self.failed,
            "by_canary": low if low == high else [low, high], "requests_of_others": self.others,
            "seconds_to_settle": self.settled,
        }  # fmt: skip


def judge_split(stage: Stage, *, confidence: float, half_width: float) -> Judgement:
    """The share that was given lies in the interval of the share that was measured, and the interval is narrow."""
    if stage.why or not stage.sent:
        return Judgement.inconclusive(stage.why or "no request was answered", **stage.as_json())
    low, _ = share_interval(stage.canary[0], stage.sent, confidence)
    _, high = share_interval(stage.canary[1], stage.sent, confidence)
    wanted = stage.percent / 100
    share = (stage.canary[0] + stage.canary[1]) / 2 / stage.sent
    told = f"{share:.1%} of {stage.sent} requests were answered by the canary, {100 * confidence:g}% interval {low:.1%} to {high:.1%}"
    figures = {**stage.as_json(), "share": share, "interval": [low, high], "half_width": (high - low) / 2}
    if not low <= wanted <= high:
        return Judgement.failed(f"{told}: {wanted:.0%} is not in it", **figures)
    if (high - low) / 2 > half_width:
        why = f", {stage.others} requests of others were counted as well" if stage.others else ""
        return Judgement.inconclusive(f"{told}: wider than {half_width:.1%} to either side{why}", **figures)
    return Judgement.passed(told, **figures)


def judge_shift(stage: Stage | None, *, to_canary: bool, within: float, why: str = "") -> Judgement:
    """All requests go to one version, soon enough."""
    if stage is None:
        return Judgement.inconclusive(why or "it was not tried")
    version = "the canary" if to_canary else "the stable version"
    low, high = stage.canary
    right = (low, high) if to_canary else (stage.sent - high, stage.sent - low)
    figures = stage.as_json()
    if stage.why:
        return Judgement.inconclusive(stage.why, **figures)
    if stage.settled is None:
        return Judgement.failed(
            f"not all requests came to {version}: {right[0]} of the last {stage.sent}", **figures
        )
    if stage.settled > within:
        return Judgement.failed(
            f"it took {stage.settled:.0f} s until all requests came to {version}", **figures
        )
    if not stage.sent or right[1] < stage.sent:
        return Judgement.failed(
            f"only {right[1]} of {stage.sent} requests were answered by {version}", **figures
        )
    if right[0] < stage.sent:
        return Judgement.inconclusive(
            f"{stage.others} requests of others were counted as well: {right[0]} to {right[1]} of {stage.sent}",
            **figures,
        )
    told = f"after {stage.settled:.0f} s all of {stage.sent} requests were answered by {version}"
    return Judgement.passed(told, **figures)


@dataclass(frozen=True, slots=True)
class _Sum:
    requests: int = 0
    failures: int = 0


def judge_answers(
    asked: Sequence[Asked], stages: Sequence[str], failures: Sequence[Mapping[str, Any]], doors: Sequence[str]
) -> Judgement:
    """No request failed, at any door, in any stage."""
    sums: dict[str, _Sum] = {}
    for one in asked:
        before = sums.get(one.door, _Sum())
        sums[one.door] = _Sum(before.requests + one.requests, before.failures + one.failures)
    figures = {
        "requests": {door: one.requests for door, one in sums.items()},
        "failed": {door: one.failures for door, one in sums.items()},
        "first_failures": list(failures),
    }
    failed = sum(one.failures for one in sums.values())
    total = sum(one.requests for one in sums.values())
    if failed:
        first = failures[0] if failures else {}
        told = f"{first.get('door')} during {first.get('stage')}: {first.get('why')}" if first else ""
        return Judgement.failed(f"{failed} of {total} requests failed, first {told}", **figures)
    missing = [stage for stage in stages if not any(one.stage == stage and one.requests for one in asked)]
    closed = [door for door in doors if not sums.get(door, _Sum()).requests]
    if missing or closed:
        return Judgement.inconclusive(f"never asked: {', '.join([*missing, *closed])}", **figures)
    return Judgement.passed(f"{total} requests to {', '.join(sums)}, none failed", **figures)


@dataclass(frozen=True, slots=True)
class Measured:
    """One canary from beginning to end.

    Attributes:
        by: such as ``a pair of mistral (Standard)``.
        versions: names of both, as doors have them.
        why: why it ended early; empty where it did not.
    """

    by: str
    versions: tuple[str, ...] = ()
    split: Stage | None = None
    promote: Stage | None = None
    back: Stage | None = None
    asked: tuple[Asked, ...] = ()
    failures: tuple[Mapping[str, Any], ...] = field(default_factory=tuple)
    why: str = ""
