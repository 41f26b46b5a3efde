"""The decisions of a canary: a pure step from what is known and what was seen to what is known then and what to do.

What to do is always said as a whole ("the weight is 25", "abort"), never as a change, and again at every look until the
outside says that it is so. A run that was killed between deciding and doing is therefore finished by the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import numpy as np

from stoker.canary import bets, rates
from stoker.canary.plan import CanaryPlan, Criterion, Kind, Metric, OnDeadline
from stoker.canary.state import CanaryState, Evidence, Note, Phase, Step

__all__ = [
    "Abort",
    "Action",
    "Block",
    "Done",
    "Health",
    "Observation",
    "Outcomes",
    "Promote",
    "SetWeight",
    "Shifted",
    "Verdict",
    "Wait",
    "advance",
    "order",
    "verdict",
]


_MOST_STARTS: Final = 64  # looks of a step at which capital is laid down anew
_EVERY: Final = 4  # of real traffic at every fourth only: each keeps four figures


# --- what was seen ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Pairs of probes: counts in the order of `bets.SIGNS` or `bets.DIFFERENCES`."""

    metric: Metric
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Real traffic since the last look. A look that found no series is no block: no data is not zero requests."""

    metric: Metric
    canary: int
    canary_bad: int
    stable: int
    stable_bad: int


@dataclass(frozen=True, slots=True)
class Health:
    """Ready pods of the canary."""

    canary_ready: int


@dataclass(frozen=True, slots=True)
class Shifted:
    """The canary has its pods, and requests come to it at ``percent``; ``reachable`` where the split is coarser."""

    percent: int
    reachable: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A promotion or an abort is carried out in full."""


Observation = Outcomes | Block | Health | Shifted | Done


# --- what to do -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SetWeight:
    """The canary gets its pods, then ``percent`` of the requests."""

    percent: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at ``until`` at the latest."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Promote:
    """The stable version becomes what the canary is."""


@dataclass(frozen=True, slots=True)
class Abort:
    """All requests go to the stable version."""

    reason: str


Action = SetWeight | Wait | Promote | Abort


class Verdict(StrEnum):
    """Of one criterion at one step."""

    NO_DATA = "no data"
    UNDECIDED = "undecided"
    WITHIN = "within the margin"
    BEYOND = "beyond the margin"


def verdict(plan: CanaryPlan, criterion: Criterion, evidence: Evidence | None) -> Verdict:
    """What the evidence allows to say."""
    if evidence is None or evidence.samples == 0:
        return Verdict.NO_DATA
    if evidence.harm >= -np.log(plan.alpha_each):
        return Verdict.BEYOND
    if evidence.safe >= -np.log(plan.beta) and evidence.samples >= criterion.least:
        return Verdict.WITHIN
    return Verdict.UNDECIDED


# --- the step ---------------------------------------------------------------------------------------------------------


def advance(
    plan: CanaryPlan, state: CanaryState, seen: Sequence[Observation], now: datetime
) -> tuple[CanaryState, tuple[Action, ...]]:
    """Take in what was seen and decide.

    Returns:
        The state, to be kept before anything is done, and what is to be done. Nothing where the run is over.
    """
    if state.phase.is_over:
        return state, ()
    if state.phase in {Phase.PROMOTING, Phase.ABORTING}:
        return _finish(state, seen, now)
    step = state.step
    if step is None:
        state = _enter(state, plan.shares[0], now)
        return state, (SetWeight(plan.shares[0]), Wait(_later(now, plan.poll_seconds)))
    step = _take(plan, state, step, seen, now)
    state = replace(state, steps=(*state.steps[:-1], step))
    return _judge(plan, state, step, now)


def order(state: CanaryState, phase: Phase, who: str, now: datetime) -> CanaryState:
    """A person ends the run: ``promoting`` or ``aborting``. One that is over with the traffic held may still be ended so."""
    word = "promotion" if phase is Phase.PROMOTING else "abort"
    reason = f"{word} ordered by {who}"
    return replace(
        _end_step(state, now), phase=phase, ends=Phase.ABORTED, reason=reason, ended=None, notes=(*state.notes, Note(now, who, reason))
    )  # fmt: skip


def _finish(
    state: CanaryState, seen: Sequence[Observation], now: datetime
) -> tuple[CanaryState, tuple[Action, ...]]:
    is_promotion = state.phase is Phase.PROMOTING
    if any(isinstance(one, Done) for one in seen):
        phase = Phase.PROMOTED if is_promotion else state.ends
        note = Note(now, state.who, f"{phase}: {state.reason}")
        return replace(state, phase=phase, ended=now, notes=(*state.notes, note)), ()
    return state, (Promote() if is_promotion else Abort(state.reason),)


def _enter(state: CanaryState, percent: int, now: datetime) -> CanaryState:
    note = Note(now, state.who, f"step of {percent} % begins")
    steps = (*state.steps, Step(percent, state.who, now))
    # Counters are marked anew: requests while the traffic moved belong to no step.
    return replace(state, steps=steps, notes=(*state.notes, note), cursors={})


def _take(
    plan: CanaryPlan, state: CanaryState, step: Step, seen: Sequence[Observation], now: datetime
) -> Step:
    """The step with what was seen; what came before the traffic was there belongs to no step."""
    wanted = {one.metric: one for one in plan.criteria}
    evidence = dict(step.evidence)
    for one in seen:
        match one:
            case Shifted(percent, reachable) if percent == step.percent and step.shifted is None:
                step = replace(step, shifted=now, reachable=reachable)
            case Health(ready) if step.shifted is not None:
                since = None if ready else step.unready_since or now
                step = replace(step, unready_since=since)
            case Outcomes(metric, counts) if metric in wanted and step.shifted is not None:
                evidence[metric] = _with_pairs(wanted[metric], evidence.get(metric), counts)
            case Block(metric) if metric in wanted and step.shifted is not None:
                before = _before(state, metric, evidence.get(metric))
                evidence[metric] = _with_block(wanted[metric], evidence.get(metric), one, before)
            case _:
                pass
    return replace(step, evidence=evidence)


def _with_pairs(criterion: Criterion, known: Evidence | None, counts: tuple[int, ...]) -> Evidence:
    old = known.counts if known and known.counts else (0,) * len(counts)
    looks, starts = (known.looks, known.starts) if known else (0, ())
    if len(starts) < _MOST_STARTS:
        starts = (*starts, old)
    total = tuple(before + new for before, new in zip(old, counts, strict=True))
    # Of signs, the claim is on the median pair: slower in more than half of them.
    outcomes, bound = (
        (bets.SIGNS, 0.5) if criterion.metric.kind is Kind.SIGNS else (bets.DIFFERENCES, criterion.margin)
    )
    return Evidence(
        counts=total,
        looks=looks + 1,
        starts=starts,
        harm=float(bets.since(starts, total, outcomes, bound)),
        safe=float(bets.against_at_least(total, outcomes, bound)),
    )


def _before(state: CanaryState, metric: Metric, now: Evidence | None) -> rates.Totals:
    """All of the run's traffic before this block: it teaches what rates to expect."""
    found = [one.evidence[metric] for one in state.steps[:-1] if metric in one.evidence]
    found += [now] if now else []
    return rates.Totals(
        sum(one.canary for one in found),
        sum(one.canary_bad for one in found),
        sum(one.stable for one in found),
        sum(one.stable_bad for one in found),
    )


def _with_block(criterion: Criterion, known: Evidence | None, block: Block, before: rates.Totals) -> Evidence:
    old = known or Evidence(safe_logs=(0.0,) * rates.GUESSES)
    begun = old.harm_logs
    if old.looks % _EVERY == 0 and len(begun) < _MOST_STARTS:
        begun = (*begun, (0.0,) * rates.GUESSES)
    new = rates.Totals(block.canary, block.canary_bad, block.stable, block.stable_bad)
    harm, safe = rates.block_evidence(new, before, criterion.margin, criterion.cluster)
    harm, safe = harm + np.asarray(begun), safe + np.asarray(old.safe_logs)
    return Evidence(
        canary=old.canary + block.canary,
        canary_bad=old.canary_bad + block.canary_bad,
        stable=old.stable + block.stable,
        stable_bad=old.stable_bad + block.stable_bad,
        looks=old.looks + 1,
        harm_logs=tuple(tuple(map(float, one)) for one in harm),
        safe_logs=tuple(map(float, safe)),
        harm=float(bets.log_mean(rates.capital(harm), bets.log_deposits(len(begun)))),
        safe=float(rates.capital(safe)),
    )


def _judge(
    plan: CanaryPlan, state: CanaryState, step: Step, now: datetime
) -> tuple[CanaryState, tuple[Action, ...]]:
    wait = Wait(_later(now, plan.poll_seconds))
    if step.shifted is None:
        if now >= _later(step.entered, plan.ready_seconds):
            return _inconclusive(
                plan, state, f"the canary was not ready for {step.percent} % of the requests", now
            )
        return state, (SetWeight(step.percent), wait)
    verdicts = {one: verdict(plan, one, step.evidence.get(one.metric)) for one in plan.criteria}
    beyond = [one for one, said in verdicts.items() if said is Verdict.BEYOND]
    if beyond:
        return _abort(
            state, "; ".join(_shown(one, step.evidence[one.metric]) for one in beyond), Phase.ABORTED, now
        )
    if step.unready_since is not None and now >= _later(step.unready_since, plan.unready_seconds):
        reason = f"no pod of the canary was ready for {plan.unready_seconds:g} s"
        return _abort(state, reason, Phase.ABORTED, now)
    is_whole = all(said is Verdict.WITHIN for said in verdicts.values())
    if is_whole and step.unready_since is None and now >= _later(step.shifted, plan.least_seconds):
        return _next(plan, state, step, now)
    if now >= _later(step.shifted, plan.most_seconds):
        open_ones = [f"{one.metric}: {said}" for one, said in verdicts.items() if said is not Verdict.WITHIN]
        return _inconclusive(plan, state, f"time is up at {step.percent} % ({', '.join(open_ones)})", now)
    # Said again at every look, so that a weight that somebody changed comes back.
    return state, (SetWeight(step.percent), wait)


def _next(
    plan: CanaryPlan, state: CanaryState, step: Step, now: datetime
) -> tuple[CanaryState, tuple[Action, ...]]:
    state = replace(state, steps=(*state.steps[:-1], replace(step, ended=now)))
    place = plan.shares.index(step.percent) + 1
    if place < len(plan.shares):
        state = _enter(state, plan.shares[place], now)
        return state, (SetWeight(plan.shares[place]), Wait(_later(now, plan.poll_seconds)))
    reason = "every criterion was within its margin at every step"
    note = Note(now, state.who, f"promotion decided: {reason}")
    return replace(state, phase=Phase.PROMOTING, reason=reason, notes=(*state.notes, note)), (Promote(),)


def _inconclusive(
    plan: CanaryPlan, state: CanaryState, reason: str, now: datetime
) -> tuple[CanaryState, tuple[Action, ...]]:
    if plan.on_deadline is OnDeadline.ABORT:
        return _abort(state, reason, Phase.INCONCLUSIVE, now)
    note = Note(now, state.who, f"inconclusive, the traffic is held as it is: {reason}")
    state = _end_step(state, now)
    return (
        replace(state, phase=Phase.INCONCLUSIVE, reason=reason, ended=now, notes=(*state.notes, note)),
        (),
    )


def _abort(
    state: CanaryState, reason: str, ends: Phase, now: datetime
) -> tuple[CanaryState, tuple[Action, ...]]:
    note = Note(now, state.who, f"abort decided: {reason}")
    state = _end_step(state, now)
    state = replace(state, phase=Phase.ABORTING, ends=ends, reason=reason, notes=(*state.notes, note))
    return state, (Abort(reason),)


def _end_step(state: CanaryState, now: datetime) -> CanaryState:
    if not state.steps:
        return state
    return replace(state, steps=(*state.steps[:-1], replace(state.steps[-1], ended=now)))


def _shown(criterion: Criterion, evidence: Evidence) -> str:
    """What was measured, for the reason of an abort."""
    if criterion.metric.kind is Kind.SIGNS:
        fast, slow = evidence.counts
        return f"{criterion.metric}: slower by more than {criterion.margin * 100:.3g} % in {slow} of {fast + slow} pairs"
    if criterion.metric.kind is Kind.DIFFERENCES:
        less, same, more = evidence.counts
        return f"{criterion.metric}: only the canary failed in {more} of {less + same + more} pairs, only the stable version in {less}"
    return (
        f"{criterion.metric}: {evidence.canary_bad} of {evidence.canary} requests of the canary, {evidence.stable_bad} of "
        f"{evidence.stable} of the stable version"
    )


def _later(when: datetime, seconds: float) -> datetime:
    return when + timedelta(seconds=seconds)
