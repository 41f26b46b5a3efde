"""Did a page come in time, and was it called off? Pure: a timeline in, a verdict out."""

from dataclasses import dataclass
from typing import Any

from stoker.rollout.alerting import Waits
from stoker.rollout.evidence import Judgement

__all__ = ["Timeline", "judge_arrival", "judge_resolution"]


@dataclass(slots=True)
class Timeline:
    """When what happened, in seconds since the epoch; None for never seen.

    Attributes:
        crossed: the first sample above 90 %. ``below``: the first one that was not, after the saturation ended.
        pending, firing: the alert, as Prometheus has it.
        known: Alertmanager has it; None where it was not asked.
        received, resolved: a page at the receiver.
        receiver: who got it.
        confirmed_by: what tells so: the catcher, or Alertmanager's own counters.
        watched_until: how long anybody looked.
    """

    crossed: float | None = None
    below: float | None = None
    pending: float | None = None
    firing: float | None = None
    known: bool | None = None
    received: float | None = None
    resolved: float | None = None
    receiver: str = ""
    confirmed_by: str = ""
    watched_until: float = 0.0

    def after(self, moment: float | None, since: float | None) -> float | None:
        """Seconds from one moment to another, where there were both."""
        return None if moment is None or since is None else round(moment - since, 1)


def judge_arrival(seen: Timeline, waits: Waits, within: float) -> Judgement:
    """Whether the page came in time after the crossing."""
    figures: dict[str, Any] = {
        "seconds_to_page": seen.after(seen.received, seen.crossed),
        "seconds_to_pending": seen.after(seen.pending, seen.crossed),
        "seconds_to_firing": seen.after(seen.firing, seen.crossed),
        "receiver": seen.receiver or None,
        "confirmed_by": seen.confirmed_by or None,
        "waits_seconds": {"scrape": waits.scrape, "evaluation": waits.evaluation, "for": waits.hold, "group": waits.group},
        "waits_sum_seconds": waits.most,
    }  # fmt: skip
    if waits.least > within:
        reason = f"no page can come within {within:g} s: for {waits.hold:g} s + group wait {waits.group:g} s; {waits}"
        return Judgement.failed(reason, **figures)
    if seen.crossed is None:
        return Judgement.inconclusive("no sample of the KV cache's use was above 90 %", **figures)
    took = figures["seconds_to_page"]
    if took is not None and took <= within:
        by = "" if waits.most <= within else f"; at worst it takes {waits}"
        return Judgement.passed(f"{seen.receiver} got the page {took:g} s after 90 %{by}", **figures)
    if took is not None:
        return Judgement.failed(
            f"{seen.receiver} got the page {took:g} s after 90 %, later than {within:g} s", **figures
        )
    looked = seen.watched_until - seen.crossed
    if looked < within:
        return Judgement.inconclusive(f"nobody looked longer than {looked:.0f} s after 90 %", **figures)
    return Judgement.failed(f"no page within {looked:.0f} s after 90 %: {_where_it_stopped(seen)}", **figures)


def _where_it_stopped(seen: Timeline) -> str:
    if seen.firing is None:
        return (
            "the alert waits for its time"
            if seen.pending is not None
            else "the alert never became active: can it?"
        )
    if seen.known is False:
        return "the alert fires in Prometheus and Alertmanager does not have it"
    return "the alert fires, and no receiver got it: is there a route, and does the receiver answer?"


def judge_resolution(seen: Timeline, within: float) -> Judgement:
    """Whether the page was called off in time after the cache was below 90 % again."""
    figures = {
        "seconds_to_resolved": seen.after(seen.resolved, seen.below),
        "receiver": seen.receiver or None,
        "confirmed_by": seen.confirmed_by or None,
    }
    if seen.received is None:
        return Judgement.inconclusive("no page came that could be called off", **figures)
    if seen.below is None:
        return Judgement.inconclusive("the KV cache did not come below 90 % again", **figures)
    took = figures["seconds_to_resolved"]
    if isinstance(took, float) and took <= within:
        return Judgement.passed(
            f"{seen.receiver} was told {took:g} s after the end that it is over", **figures
        )
    looked = seen.watched_until - seen.below
    if took is None and looked < within:
        return Judgement.inconclusive(f"nobody looked longer than {looked:.0f} s after the end", **figures)
    said = f"after {took:g} s" if took is not None else f"not within {looked:.0f} s"
    return Judgement.failed(
        f"{seen.receiver} was told {said} that it is over, wanted within {within:g} s", **figures
    )
