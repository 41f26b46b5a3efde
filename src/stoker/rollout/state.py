"""Where a rollout stands, and what comes next; pure. The state is what survives the operator's laptop.

pending ─► applying ─► gating ─► passed      (next phase)
▲           │
└── failed ◄┘   a failed or inconclusive gate stops the run; `run` or `resume` tries that phase again
any ─► rolling-back ─► rolled-back               a rollback that was cut off is ended by the next, or the phase applied again
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from stoker.rollout.evidence import Verdict, moment

__all__ = [
    "Apply",
    "Done",
    "Entry",
    "Measure",
    "Next",
    "PhaseState",
    "PhaseStatus",
    "RolloutState",
    "Stopped",
    "begin",
    "next_step",
]


class PhaseStatus(StrEnum):
    PENDING = "pending"
    APPLYING = "applying"
    GATING = "gating"
    PASSED = "passed"
    FAILED = "failed"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"


_TO_APPLY = frozenset(
    (PhaseStatus.PENDING, PhaseStatus.APPLYING, PhaseStatus.ROLLING_BACK, PhaseStatus.ROLLED_BACK)
)


@dataclass(frozen=True, slots=True)
class PhaseState:
    """One phase.

    Attributes:
        gates: the ids that it has to pass, in order.
        verdicts: the last verdict of each gate that was measured since the phase was last applied.
        runs: the apply runs that belong to it, oldest first: what a rollback undoes.
        times: how many runs it ever had: no two have one name, those of before a rollback among them.
    """

    name: str
    gates: tuple[str, ...]
    status: PhaseStatus = PhaseStatus.PENDING
    verdicts: dict[str, str] = field(default_factory=dict)
    runs: tuple[str, ...] = ()
    times: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record: who did what when."""

    at: str
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class RolloutState:
    """A rollout of one platform.

    Attributes:
        id: of the rollout, such as ``20261128-101500``.
        platform: name of the platform.
        digest: of the compiled objects; another digest applies every phase again.
    """

    id: str
    platform: str
    digest: str
    phases: tuple[PhaseState, ...]
    log: tuple[Entry, ...] = ()

    def phase(self, name: str) -> PhaseState:
        return next(phase for phase in self.phases if phase.name == name)

    def with_phase(self, phase: PhaseState) -> "RolloutState":
        return replace(self, phases=tuple(phase if one.name == phase.name else one for one in self.phases))

    def said(self, now: datetime, who: str, what: str) -> "RolloutState":
        """With one more line in the record."""
        return replace(self, log=(*self.log, Entry(moment(now), who, what)))

    def applying(self, name: str, run: str) -> "RolloutState":
        """Its objects are about to be applied by this run: what was measured before counts no more."""
        phase = self.phase(name)
        known = run in phase.runs
        runs = phase.runs if known else (*phase.runs, run)
        times = phase.times if known else phase.times + 1
        return self.with_phase(
            replace(phase, status=PhaseStatus.APPLYING, runs=runs, times=times, verdicts={})
        )

    def applied(self, name: str) -> "RolloutState":
        return self.with_phase(replace(self.phase(name), status=PhaseStatus.GATING)).settled(name)

    def measured(self, name: str, gate: str, verdict: Verdict) -> "RolloutState":
        phase = self.phase(name)
        return self.with_phase(replace(phase, verdicts={**phase.verdicts, gate: verdict.value})).settled(name)

    def settled(self, name: str) -> "RolloutState":
        """Passed where every gate has, failed where one has not: only for a phase that was applied."""
        phase = self.phase(name)
        if phase.status not in {PhaseStatus.GATING, PhaseStatus.FAILED, PhaseStatus.PASSED}:
            return self
        seen = [phase.verdicts.get(gate) for gate in phase.gates]
        if all(verdict == Verdict.PASSED for verdict in seen):
            status = PhaseStatus.PASSED
        elif any(verdict not in {None, Verdict.PASSED} for verdict in seen):
            status = PhaseStatus.FAILED
        else:
            status = PhaseStatus.GATING
        return self.with_phase(replace(phase, status=status))

    def rolling_back(self, name: str) -> "RolloutState":
        """Its objects are about to go: nothing that was measured counts, whatever comes of it."""
        return self.with_phase(replace(self.phase(name), status=PhaseStatus.ROLLING_BACK, verdicts={}))

    def rolled_back(self, name: str) -> "RolloutState":
        return self.with_phase(
            replace(self.phase(name), status=PhaseStatus.ROLLED_BACK, verdicts={}, runs=())
        )

    def verdict(self, through: str = "") -> Verdict:
        """Of all phases as far as ``through``: failed where a gate has, passed where every phase has, else inconclusive.

        A phase that was not applied and a gate that was not measured have shown nothing.
        """
        names = [phase.name for phase in self.phases]
        phases = self.phases[: names.index(through) + 1] if through in names else self.phases
        if any(Verdict.FAILED in phase.verdicts.values() for phase in phases):
            return Verdict.FAILED
        whole = all(phase.status is PhaseStatus.PASSED for phase in phases)
        return Verdict.PASSED if whole else Verdict.INCONCLUSIVE

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; `from_json` reads it back."""
        return asdict(self)

    @staticmethod
    def from_json(value: dict[str, Any]) -> "RolloutState":
        phases = tuple(
            PhaseState(
                one["name"],
                tuple(one["gates"]),
                PhaseStatus(one["status"]),
                dict(one["verdicts"]),
                tuple(one["runs"]),
                int(one.get("times", len(one["runs"]))),
            )
            for one in value["phases"]
        )
        log = tuple(Entry(one["at"], one["who"], one["what"]) for one in value["log"])
        return RolloutState(value["id"], value["platform"], value["digest"], phases, log)


@dataclass(frozen=True, slots=True)
class Apply:
    phase: str


@dataclass(frozen=True, slots=True)
class Measure:
    phase: str
    gate: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Nothing more is to be done now; ``why`` says what stands in the way."""

    why: str
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    pass


Next = Apply | Measure | Stopped | Done


def begin(name: str, platform: str, digest: str, phases: Sequence[tuple[str, Sequence[str]]]) -> RolloutState:
    """A rollout that has not begun; ``phases`` are their names with the ids of their gates."""
    return RolloutState(
        name, platform, digest, tuple(PhaseState(phase, tuple(gates)) for phase, gates in phases)
    )


def next_step(
    state: RolloutState, *, paused: bool = False, through: str = "", tried: frozenset[str] = frozenset()
) -> Next:
    """What a run does next.

    Args:
        state: as it stands.
        paused: somebody wants it to stop before its next step.
        through: the last phase to do; all where empty.
        tried: gates that this run has measured: one that did not pass stops it rather than being measured for ever.
    """
    if paused:
        return Stopped("it is paused; `stoker rollout resume` goes on")
    for phase in state.phases:
        if phase.status in _TO_APPLY:
            return Apply(phase.name)
        for gate in phase.gates:
            if phase.verdicts.get(gate) == Verdict.PASSED:
                continue
            if gate not in tried:
                return Measure(phase.name, gate)
        short = [gate for gate in phase.gates if phase.verdicts.get(gate) != Verdict.PASSED]
        if short:
            told = ", ".join(f"{gate} is {phase.verdicts.get(gate, 'not measured')}" for gate in short)
            return Stopped(told, phase.name)
        if phase.name == through:
            return Done()
    return Done()
