"""Carry a rollout on from where it stands: apply a phase, measure its gates, record every step before and after it is done.

Killed at any point, the next run finds the state that was written before the step, and does that step again: applying
converges, gates are measured anew, and what their probes left is swept first.
"""

import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from stoker.errors import UnsafeError
from stoker.kube.cluster import Cluster
from stoker.kube.lease import Held
from stoker.rollout.evidence import GateResult
from stoker.rollout.gate import Context, run_gate
from stoker.rollout.phases import PlannedGate, PlannedPhase
from stoker.rollout.probes import Probes, sweep
from stoker.rollout.state import (
    Apply,
    Measure,
    Next,
    PhaseState,
    PhaseStatus,
    RolloutState,
    begin,
    next_step,
)
from stoker.rollout.store import Store
from stoker.sizing.resolved import ResolvedPlatform

__all__ = ["Applier", "Listener", "Rollout", "carry_on", "measure_gates", "undo"]


class Applier(Protocol):
    """The way objects reach the cluster; `stoker.apply` behind the command line."""

    def apply(self, phase: PlannedPhase, run: str) -> None:
        """Apply a phase's objects under the name of a run and wait until they are ready; again is harmless."""
        ...

    def rollback(self, runs: Collection[str]) -> None:
        """Put back what runs changed, and no other; again is harmless."""
        ...


class Listener(Protocol):
    """Who is told what happens."""

    def step(self, step: Next) -> None: ...
    def line(self, text: str) -> None: ...
    def result(self, result: GateResult) -> None: ...


@dataclass
class Rollout:
    """All that a run needs.

    Attributes:
        digest: of everything that is to be applied.
        who: for the record, such as ``ada@laptop``.
        services: URLs that gates may use; see `Context.services`.
        seed: of names and orders in gates.
        memory: see `Context.memory`.
    """

    cluster: Cluster
    platform: ResolvedPlatform
    phases: Sequence[PlannedPhase]
    digest: str
    store: Store
    applier: Applier
    held: Held
    listener: Listener
    who: str
    services: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    memory: dict[str, Any] = field(default_factory=dict)

    def phase(self, name: str) -> PlannedPhase:
        return next(phase for phase in self.phases if phase.name == name)

    def save(self, state: RolloutState, what: str) -> RolloutState:
        """Record a step."""
        self.held.check()
        return self.store.save(state.said(self.cluster.clock.now(), self.who, what))


def carry_on(rollout: Rollout, *, through: str = "") -> tuple[RolloutState, Next]:
    """Go on until everything has passed, a gate stands in the way, or it is paused; where it stands and why it ended."""
    swept = sweep(rollout.cluster)
    for ref in swept:
        rollout.listener.line(f"removed {ref}, which an earlier run left")
    state = _opened(rollout)
    tried: frozenset[str] = frozenset()
    while True:
        step = next_step(state, paused=rollout.store.paused(), through=through, tried=tried)
        rollout.listener.step(step)
        if isinstance(step, Apply):
            state = _apply(rollout, state, step.phase)
        elif isinstance(step, Measure):
            state = _measure(rollout, state, step)
            tried |= {step.gate}
        else:
            return state, step


def _opened(rollout: Rollout) -> RolloutState:
    """The state that is recorded, or a new one; what has changed since is done again."""
    found = rollout.store.load()
    now = rollout.cluster.clock.now()
    fresh = begin(
        now.strftime("%Y%m%d-%H%M%S"),
        rollout.platform.spec.name,
        rollout.digest,
        [(phase.name, [planned.gate.id for planned in phase.gates]) for phase in rollout.phases],
    )
    if found is None:
        return rollout.save(fresh, "began")
    if found.platform != fresh.platform:
        if any(phase.runs for phase in found.phases):
            raise UnsafeError(
                f"this cluster has the rollout of another platform: {found.platform}",
                fix=f"take it back first (`stoker rollout rollback`), or give this file its name: `name: {found.platform}`",
            )
        return rollout.save(fresh, f"began, after {found.platform} was rolled back")
    if found.digest == fresh.digest and [(p.name, p.gates) for p in found.phases] == [
        (p.name, p.gates) for p in fresh.phases
    ]:
        return found
    changed = replace(found, digest=fresh.digest, phases=_with_runs(fresh.phases, found.phases))
    return rollout.save(changed, "the platform has changed: every phase is applied and measured again")


def _with_runs(phases: Sequence[PhaseState], before: Sequence[PhaseState]) -> tuple[PhaseState, ...]:
    """New phases with the runs of those before them; what phases applied that are no more is undone with the first."""
    known = {phase.name: phase for phase in before}
    names = {phase.name for phase in phases}
    orphans = tuple(run for phase in before if phase.name not in names for run in phase.runs)
    found = [
        replace(phase, runs=known[phase.name].runs, times=known[phase.name].times)
        if phase.name in known
        else phase
        for phase in phases
    ]
    if orphans and found:
        found[0] = replace(found[0], runs=(*orphans, *found[0].runs))
    return tuple(found)


def _apply(rollout: Rollout, state: RolloutState, name: str) -> RolloutState:
    phase, before = rollout.phase(name), state.phase(name)
    # A run that was killed in the middle goes on under its name: one rollback undoes it all.
    going_on = before.status is PhaseStatus.APPLYING and before.runs
    run = before.runs[-1] if going_on else f"{state.id}-{name}-{before.times + 1}"
    state = rollout.save(state.applying(name, run), f"{name}: applying {len(phase.objects)} objects as {run}")
    rollout.applier.apply(phase, run)
    return rollout.save(state.applied(name), f"{name}: applied")


def _measure(rollout: Rollout, state: RolloutState, step: Measure) -> RolloutState:
    planned = next(one for one in rollout.phase(step.phase).gates if one.gate.id == step.gate)
    number = rollout.store.count(state.id)
    result = _run(rollout, planned, f"{state.id}-{number}")
    rollout.store.keep(state.id, number, result.as_json())
    state = state.measured(step.phase, step.gate, result.verdict)
    return rollout.save(state, f"{step.gate}: {result.verdict.value}: {result.judgement.reason}")


def _run(rollout: Rollout, planned: PlannedGate, run: str) -> GateResult:
    rollout.held.check()
    context = Context(
        rollout.cluster,
        rollout.platform,
        planned.settings,
        random.Random(f"{rollout.seed} {planned.gate.id}"),  # noqa: S311  # a seed makes runs alike, nothing is kept secret by it
        Probes(rollout.cluster, run),
        rollout.services,
        rollout.stop,
        rollout.listener.line,
        memory=rollout.memory,
    )
    result = run_gate(planned.gate, context)
    rollout.listener.result(result)
    return result


def measure_gates(rollout: Rollout, wanted: Callable[[str], bool]) -> list[GateResult]:
    """Measure gates again, whatever the phases' state, and record the verdicts in the rollout of this very platform.

    Verdicts by other objects or other figures than the rollout's are told, and change nothing in its record.
    """
    sweep(rollout.cluster)
    state = rollout.store.load()
    if state is not None and (state.platform, state.digest) != (
        rollout.platform.spec.name,
        rollout.digest,
    ):
        rollout.listener.line("the rollout is of another file: its record stays as it is")
        state = None
    results: list[GateResult] = []
    for phase in rollout.phases:
        for planned in phase.gates:
            if not wanted(planned.gate.id):
                continue
            number = len(results) + 1 if state is None else rollout.store.count(state.id)
            result = _run(rollout, planned, f"gate-{number}")
            results.append(result)
            if state is not None:
                rollout.store.keep(state.id, number, result.as_json())
                state = state.measured(phase.name, planned.gate.id, result.verdict)
                state = rollout.save(
                    state, f"{planned.gate.id}: {result.verdict.value}: {result.judgement.reason}"
                )
    return results


def undo(
    cluster: Cluster,
    store: Store,
    applier: Applier,
    listener: Listener,
    *,
    held: Held,
    who: str,
    back_to: str = "",
) -> RolloutState | None:
    """Roll back phases, the last first, as far as ``back_to``, which stays; all of them where it is empty.

    None where there is no rollout.
    """
    state = store.load()
    if state is None:
        return None
    sweep(cluster)
    for phase in reversed(state.phases):
        if phase.name == back_to:
            break
        if not phase.runs:
            continue
        # Written first: a run that follows one which was killed must not take the phase for one that passed.
        told = f"{phase.name}: rolling back {', '.join(phase.runs)}"
        listener.line(told)
        held.check()
        state = store.save(state.rolling_back(phase.name).said(cluster.clock.now(), who, told))
        applier.rollback(phase.runs)
        held.check()
        state = state.rolled_back(phase.name).said(cluster.clock.now(), who, f"{phase.name}: rolled back")
        state = store.save(state)
    return state
