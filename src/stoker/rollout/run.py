"""Carry a rollout on from where it stands: apply a phase, measure its gates, record every step before and after it is done.

Killed at any point, the next run finds the state that was written before the step, and does that step again: applying
converges, gates are measured anew, and what their probes left is swept first.
"""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

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

    def rollback(self, run: str) -> None:
        """Put back what a run changed; again is harmless."""
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
    if found is None or found.platform != fresh.platform:
        return rollout.save(fresh, "began")
    if found.digest == fresh.digest and [(p.name, p.gates) for p in found.phases] == [
        (p.name, p.gates) for p in fresh.phases
    ]:
        return found
    runs = {phase.name: phase.runs for phase in found.phases}
    phases = tuple(replace(phase, runs=runs.get(phase.name, ())) for phase in fresh.phases)
    changed = replace(found, digest=fresh.digest, phases=phases)
    return rollout.save(changed, "the platform has changed: every phase is applied and measured again")


def _apply(rollout: Rollout, state: RolloutState, name: str) -> RolloutState:
    phase, before = rollout.phase(name), state.phase(name)
    # A run that was killed in the middle goes on under its name: one rollback undoes it all.
    going_on = before.status is PhaseStatus.APPLYING and before.runs
    run = before.runs[-1] if going_on else f"{state.id}-{name}-{len(before.runs) + 1}"
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
    """Measure gates again, whatever the phases' state, and record the verdicts in the rollout where there is one."""
    sweep(rollout.cluster)
    state = rollout.store.load()
    results = []
    for phase in rollout.phases:
        for planned in phase.gates:
            if not wanted(planned.gate.id):
                continue
            number = 1 if state is None else rollout.store.count(state.id)
            result = _run(rollout, planned, f"gate-{number}")
            results.append(result)
            if state is not None and any(one.name == phase.name for one in state.phases):
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
        for run in reversed(phase.runs):
            listener.line(f"{phase.name}: rolling back {run}")
            held.check()
            applier.rollback(run)
        if phase.runs:
            state = state.rolled_back(phase.name).said(cluster.clock.now(), who, f"{phase.name}: rolled back")
            state = store.save(state)
    return state
