"""The guide's return on investment as claims, beside what was measured: agrees, does not, or not measured. Never an output.

The guide's table "The ROI Math" claims for 48 A100 nodes at $3.2M a year. Its money does not add up: $267K a
month is the whole bill (3.2M / 12), not the idle part of it, which is $211K at 21 % utilisation; so money is compared by how
far it falls, which does not hang on the size of the fleet either.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from stoker.report.rollout.evidence import Figure, Window
from stoker.report.rollout.quantity import shown

__all__ = ["CLAIMS", "Claim", "Finding", "Kind", "Side", "judge"]

_NEAR: Final = 0.25  # a claim of one number agrees within a quarter of it
_MONTH_S: Final = 28 * 86_400.0


class Side(StrEnum):
    AGREES = "agrees"
    DIFFERS = "does not"
    NOT_MEASURED = "not measured"


class Kind(StrEnum):
    LEVEL = "level"  # the value itself
    FALL = "fall"  # the share by which it falls from before to after
    MONTHLY = "monthly"  # events a month: a shorter window cannot tell


@dataclass(frozen=True, slots=True)
class Claim:
    """One row of the guide's table.

    Attributes:
        measure: which of ours answers it.
        before, after: from and to, in the measure's unit; equal for a single number. Of a fall ``after`` is the share by which
            it falls, and ``before`` is not looked at.
        better: which side of the range is at least as good.
        said_before, said_after: as the guide prints it.
        remark: what is wrong with the claim itself.
    """

    measure: str
    title: str
    kind: Kind
    before: tuple[float, float]
    after: tuple[float, float]
    better: str
    said_before: str
    said_after: str
    remark: str = ""


CLAIMS: Final = (
    Claim(
        "gpu_busy", "GPU utilisation", Kind.LEVEL, (0.21, 0.21), (0.68, 0.75), "higher", "21 %", "68-75 %",
        "Utilisation as the guide means it is a kernel that runs; it says nothing of useful work.",
    ),
    Claim(
        "idle_usd_month", "GPU idle cost a month", Kind.FALL, (267_000, 267_000), (0.60, 0.69), "lower", "$267K", "$83K",
        "$267K is the whole bill (3.2M / 12). The idle part is $211K at 21 %, and $67-85K at 68-75 %: a fall of 60 to 68 %.",
    ),
    Claim(
        "oom_incidents", "OOM incidents a month", Kind.MONTHLY, (3, 5), (0, 0), "lower", "3-5", "0",
        "GPU memory that runs out is no OOM kill: it is a crash with a CUDA error.",
    ),
    Claim("ttft_p95", "P95 TTFT", Kind.LEVEL, (12, 18), (2, 4), "lower", "12-18 s", "2-4 s"),
    Claim(
        "rollout_seconds", "Model rollout time", Kind.LEVEL, (4 * 3600, 6 * 3600), (900, 900), "lower", "4-6 h", "15 min",
        "Before is hours of people; only what a canary took is measured here.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What the measurements say to one claim.

    Attributes:
        before, after: whether the measured value agrees.
        said_before, said_after: one sentence for each side.
    """

    claim: Claim
    before: Side
    after: Side
    said_before: str
    said_after: str


def judge(
    claim: Claim,
    before: Figure | None,
    after: Figure | None,
    simulated: tuple[Figure | None, Figure | None] = (None, None),
) -> Finding:
    """Hold a claim against figures. A figure without a value is not measured, whatever a simulation says of it."""
    found = _judge(claim, before, after)
    twins = [
        f"; simulated {shown(twin.value, twin.unit)}"
        if twin is not None and twin.value is not None and side is Side.NOT_MEASURED
        else ""
        for twin, side in zip(simulated, (found.before, found.after), strict=True)
    ]
    return replace(found, said_before=found.said_before + twins[0], said_after=found.said_after + twins[1])


def _judge(claim: Claim, before: Figure | None, after: Figure | None) -> Finding:
    if claim.kind is Kind.FALL:
        side, said = _fall(claim, _value(before), _value(after))
        return Finding(claim, side, side, said, said)
    one, said_one = _level(claim, before, claim.before, "")
    two, said_two = _level(claim, after, claim.after, claim.better)
    return Finding(claim, one, two, said_one, said_two)


def _value(figure: Figure | None) -> float | None:
    return None if figure is None else figure.value


def _level(claim: Claim, figure: Figure | None, bounds: tuple[float, float], better: str) -> tuple[Side, str]:
    """``better``: a value beyond the range on that side agrees too; empty where only the range does."""
    if figure is None or figure.value is None:
        why = figure.why if figure is not None and figure.why else "nothing was measured"
        return Side.NOT_MEASURED, why
    if claim.kind is Kind.MONTHLY and _seconds(figure.window) < _MONTH_S:
        span = shown(_seconds(figure.window), "seconds")
        return (
            Side.NOT_MEASURED,
            f"{shown(figure.value, figure.unit)} in {span}, which says nothing of a month",
        )
    low, high = bounds
    if low == high and claim.kind is Kind.LEVEL:
        low, high = low * (1 - _NEAR), high * (1 + _NEAR)
    agrees = (
        low <= figure.value <= high
        or (better == "lower" and figure.value < low)
        or (better == "higher" and figure.value > high)
    )
    return (Side.AGREES if agrees else Side.DIFFERS), f"measured {shown(figure.value, figure.unit)}"


def _seconds(window: Window | None) -> float:
    return 0.0 if window is None else window.seconds


def _fall(claim: Claim, before: float | None, after: float | None) -> tuple[Side, str]:
    if before is None or after is None or before <= 0:
        return Side.NOT_MEASURED, "not known both before and after"
    share = 1 - after / before
    low, high = claim.after
    word = "falls" if share >= 0 else "rises"
    said = f"{word} by {100 * abs(share):.0f} %, claimed is a fall of {100 * low:.0f}-{100 * high:.0f} %"
    return (Side.AGREES if share >= low else Side.DIFFERS), said
