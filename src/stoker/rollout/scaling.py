"""Verdicts over replicas and queues in time; pure. All times are the cluster's seconds."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from stoker.rollout.evidence import Judgement
from stoker.rollout.replicas import Look

__all__ = ["judge_scale_down", "judge_scale_up", "judge_warm", "judge_zero", "stood_since"]

Point = tuple[float, float]


def first(looks: Sequence[Look], holds: Callable[[Look], bool], since: float = float("-inf")) -> float | None:
    """When something held first, from a moment on: looks last until the next one."""
    for look, after in pairwise([*looks, None]):
        if look is not None and holds(look) and (after is None or after.at > since):
            return max(look.at, since)
    return None


def stood_since(queue: Sequence[Point], depth: float, until: float) -> float | None:
    """Begin of the unbroken stretch above ``depth`` that lasts to the last sample before ``until``; None where it does not."""
    begin: float | None = None
    for at, value in queue:
        if at > until:
            break
        begin = (at if begin is None else begin) if value > depth else None
    return begin


def judge_scale_up(
    queue: Sequence[Point],
    looks: Sequence[Look],
    *,
    start: int,
    goal: int,
    within: float,
    depth: float,
    ready_within: float,
    until: float,
) -> Judgement:
    """Whether a queue that stood took the replicas from ``start`` to ``goal`` in time, and whether they then came to serve.

    Args:
        queue: waiting requests over all replicas.
        looks: replicas.
        start: replicas asked for before.
        goal: replicas to be asked for.
        within: seconds from when the queue began to stand above ``depth``.
        depth: of the queue.
        ready_within: seconds from when they are asked for to when they answer, by the platform's sizing.
        until: when the last look was.
    """
    began = looks[0].wanted if looks else None
    reached = first(looks, lambda look: look.wanted >= goal)
    since = stood_since(queue, depth, until if reached is None else reached)
    ready = first(looks, lambda look: look.ready >= goal)
    figures: dict[str, Any] = {
        "replicas_before": began,
        "replicas_wanted_at_most": max((look.wanted for look in looks), default=None),
        "replicas_ready_at_most": max((look.ready for look in looks), default=None),
        "deepest_queue": max((value for _, value in queue), default=None),
        "seconds_to_wanted": _after(reached, since),
        "seconds_to_ready": _after(ready, since),
        "seconds_from_wanted_to_ready": _after(ready, reached),
        "seconds_ready_allowed": ready_within,
    }
    if began != start:
        return Judgement.inconclusive(f"it began with {began} replicas, not with {start}", **figures)
    if since is None:
        return Judgement.inconclusive(
            f"no queue stood above {depth:g}: the load was too small, or nobody saw it", **figures
        )
    if reached is None:
        stood = until - since
        if stood < within:
            return Judgement.inconclusive(
                f"the queue stood above {depth:g} for {stood:.0f} s only", **figures
            )
        most = figures["replicas_wanted_at_most"]
        return Judgement.failed(
            f"{most} replicas wanted after {stood:.0f} s of a queue above {depth:g}, not {goal}", **figures
        )
    took = figures["seconds_to_wanted"]
    if took > within:
        return Judgement.failed(
            f"{goal} replicas wanted after {took:g} s of a queue above {depth:g}", **figures
        )
    if ready is None and until - reached < ready_within:
        return Judgement.inconclusive(f"nobody looked until {goal} replicas could be ready", **figures)
    if ready is None or ready - reached > ready_within:
        said = (
            f"{figures['replicas_ready_at_most']} of {goal} replicas ready"
            if ready is None
            else f"{goal} replicas ready"
        )
        late = f"{said} {until - reached if ready is None else ready - reached:.0f} s after they were wanted"
        return Judgement.failed(f"{late}; sizing says {ready_within:.0f} s", **figures)
    return Judgement.passed(
        f"{goal} replicas wanted after {took:g} s of a queue above {depth:g}, ready {ready - reached:.0f} s later",
        **figures,
    )


def judge_scale_down(
    looks: Sequence[Look],
    *,
    least: int,
    window: float,
    within: float,
    calm: float,
    lost: Sequence[str],
    sent: int,
    until: float,
    tolerance: float = 30.0,
) -> Judgement:
    """Whether replicas go after the window and not before, not below the minimum, without losing a request.

    Args:
        looks: replicas, from before the load ended.
        least: minimum.
        window: seconds for which no replica may go after one was added.
        within: seconds from the end of the load to the minimum.
        calm: when the load ended.
        lost: outcomes of requests that were sent meanwhile and not answered.
        sent: how many were sent.
        until: when the last look was.
        tolerance: seconds by which clocks and looks may differ.
    """
    added = [after.at for before, after in pairwise(looks) if after.wanted > before.wanted]
    gone = [after.at for before, after in pairwise(looks) if after.wanted < before.wanted]
    back = first(looks, lambda look: look.wanted <= least and look.ready <= least, calm)
    steadied = first(looks, lambda look: look.ready >= least)
    after_start = [look for look in looks if steadied is not None and look.at >= steadied]
    lowest = min((min(look.wanted, look.ready) for look in after_start), default=None)
    figures: dict[str, Any] = {
        "replicas_at_most": max((look.wanted for look in looks), default=None),
        "replicas_at_least": lowest,
        "seconds_to_first_removal": _after(next((at for at in gone if at >= calm), None), calm),
        "seconds_from_last_addition_to_removal": _after(
            next((at for at in gone if added and at > added[-1]), None), added[-1] if added else None
        ),
        "seconds_to_minimum": _after(back, calm),
        "requests_sent": sent,
        "requests_lost": len(lost),
    }
    if not looks or max(look.wanted for look in looks) <= least:
        return Judgement.inconclusive(f"there were never more than {least} replicas", **figures)
    if lowest is not None and lowest < least:
        return Judgement.failed(f"{lowest} replicas, below the minimum of {least}", **figures)
    if lost:
        return Judgement.failed(
            f"{len(lost)} of {sent} requests lost while replicas went: {lost[0]}", **figures
        )
    quick = figures["seconds_from_last_addition_to_removal"]
    if quick is not None and quick < window - tolerance:
        return Judgement.failed(
            f"a replica went {quick:g} s after one was added, before {window:g} s", **figures
        )
    if back is None:
        looked = until - calm
        if looked < within:
            return Judgement.inconclusive(
                f"nobody looked longer than {looked:.0f} s after the load", **figures
            )
        return Judgement.failed(f"still {looks[-1].wanted} replicas {looked:.0f} s after the load", **figures)
    took = figures["seconds_to_minimum"]
    if took > within:
        return Judgement.failed(f"back at {least} after {took:g} s, wanted within {within:g} s", **figures)
    if not sent:
        return Judgement.inconclusive("no request was under way that could have been lost", **figures)
    return Judgement.passed(f"back at {least} after {took:g} s, none of {sent} requests lost", **figures)


def judge_zero(
    looks: Sequence[Look],
    *,
    calm: float,
    zero_within: float,
    woken: float | None,
    wake_within: float,
    answered: bool | None,
    busy: bool,
    until: float,
) -> Judgement:
    """Whether a tier went to zero when nothing asked for it, and came back when something did.

    Args:
        looks: replicas.
        calm: from when on nothing asked for it.
        zero_within: seconds from then.
        woken: when the trigger had something; None where it was not reached.
        wake_within: seconds from then to a replica that is ready.
        answered: whether the request that woke it was answered; None for a trigger that holds none.
        busy: whether requests ran in it meanwhile.
        until: when the last look was.
    """
    zero = first(looks, lambda look: look.wanted == 0 and look.ready == 0, calm)
    wanted = None if woken is None else first(looks, lambda look: look.wanted > 0, woken)
    ready = None if woken is None else first(looks, lambda look: look.ready > 0, woken)
    figures: dict[str, Any] = {
        "replicas_at_least": min((look.wanted for look in looks), default=None),
        "seconds_to_zero": _after(zero, calm),
        "seconds_to_wanted": _after(wanted, woken),
        "seconds_to_ready": _after(ready, woken),
        "request_answered": answered,
    }
    if zero is None:
        looked = until - calm
        if busy:
            return Judgement.inconclusive(
                "requests ran in it all the time: it had no reason to go to zero", **figures
            )
        if looked < zero_within:
            return Judgement.inconclusive(f"nobody looked longer than {looked:.0f} s", **figures)
        return Judgement.failed(
            f"{figures['replicas_at_least']} replicas after {looked:.0f} s without work, not 0", **figures
        )
    if figures["seconds_to_zero"] > zero_within:
        return Judgement.failed(f"at zero after {figures['seconds_to_zero']:g} s only", **figures)
    if woken is None:
        return Judgement.inconclusive("it is at zero, and its trigger could not be driven", **figures)
    took = figures["seconds_to_ready"]
    if took is None or took > wake_within:
        said = f"ready {took:g} s" if took is not None else f"nothing ready {until - woken:.0f} s"
        asked = "" if wanted is not None else "; no replica was even wanted"
        return Judgement.failed(
            f"{said} after its trigger had work, wanted within {wake_within:g} s{asked}", **figures
        )
    if answered is False:
        return Judgement.failed(
            f"it woke in {took:g} s, and the request that woke it was not answered", **figures
        )
    return Judgement.passed(
        f"at zero {figures['seconds_to_zero']:g} s after its last work, ready {took:g} s after there was some",
        **figures,
    )


def judge_warm(
    looks: Mapping[str, Sequence[Look]],
    least: dict[str, int],
    idle: dict[str, float],
    blind: dict[str, float],
    *,
    idle_wanted: float,
    began: float,
    until: float,
) -> Judgement:
    """Whether every model of the production tier had its minimum ready all the time, an idle stretch included.

    Args:
        looks: replicas by model.
        least: minimum by model.
        idle: longest stretch without a running request, in seconds, by model.
        blind: seconds that nobody saw, by model.
        idle_wanted: how long a stretch must be for the verdict to mean something.
        began: when the observation began.
        until: when it ended.
    """
    lowest = {name: min((look.ready for look in some), default=0) for name, some in looks.items()}
    figures: dict[str, Any] = {
        "ready_at_least": lowest,
        "minimum": least,
        "seconds_observed": round(until - began, 1),
        "longest_idle_seconds": {name: round(value, 1) for name, value in idle.items()},
        "blind_seconds": {name: round(value, 1) for name, value in blind.items()},
    }
    cold = [name for name, count in lowest.items() if count < least[name]]
    if cold:
        name = cold[0]
        at = next(look.at for look in looks[name] if look.ready == lowest[name]) if looks[name] else began
        return Judgement.failed(
            f"{name} had {lowest[name]} of {least[name]} replicas ready, {max(0.0, at - began):.0f} s into it",
            **figures,
        )
    restless = [name for name, longest in idle.items() if longest < idle_wanted]
    if restless:
        longest = max(idle[name] for name in restless)
        return Judgement.inconclusive(
            f"{', '.join(restless)} had no idle stretch of {idle_wanted:g} s, the longest was {longest:.0f} s",
            **figures,
        )
    unseen = [name for name, seconds in blind.items() if seconds > 0.05 * (until - began)]
    if unseen:
        return Judgement.inconclusive(f"the watch of {', '.join(unseen)} was cut for too long", **figures)
    return Judgement.passed(
        f"{len(looks)} models had their minimum ready for {until - began:.0f} s, idle for longer than {idle_wanted:g} s",
        **figures,
    )


def _after(moment: float | None, since: float | None) -> float | None:
    return None if moment is None or since is None else round(moment - since, 1)
