"""How far a canary is: plain data that one JSON document holds, and that any later run goes on from."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from stoker.canary.plan import CanaryPlan
from stoker.errors import StokerError

__all__ = ["CanaryState", "Evidence", "Note", "Phase", "Step", "decode", "encode"]


class Phase(StrEnum):
    """``promoting`` and ``aborting`` are decided and not carried out in full: whoever comes next finishes them."""

    RUNNING = "running"
    PROMOTING = "promoting"
    ABORTING = "aborting"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    INCONCLUSIVE = "inconclusive"

    @property
    def is_over(self) -> bool:
        return self in {Phase.PROMOTED, Phase.ABORTED, Phase.INCONCLUSIVE}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one step knows of one criterion.

    Attributes:
        counts: outcomes of pairs, in the order of `bets.SIGNS` or `bets.DIFFERENCES`; empty for rates and before any data.
        canary, canary_bad, stable, stable_bad: requests of real traffic; all 0 for pairs.
        looks: how many there were.
        starts: of pairs, the counts at the looks at which capital against "within the margin" was laid down.
        harm_logs: of rates, the logarithm of that capital for each such look and each guess. ``safe_logs``: of the other, for
            each guess.
        harm, safe: logarithm of the capital against "within the margin" and against "beyond it".
    """

    counts: tuple[int, ...] = ()
    canary: int = 0
    canary_bad: int = 0
    stable: int = 0
    stable_bad: int = 0
    looks: int = 0
    starts: tuple[tuple[int, ...], ...] = ()
    harm_logs: tuple[tuple[float, ...], ...] = ()
    safe_logs: tuple[float, ...] = ()
    harm: float = 0.0
    safe: float = 0.0

    @property
    def samples(self) -> int:
        """Pairs, or requests of the canary."""
        return sum(self.counts) or self.canary


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        percent: of requests that go to the canary.
        reachable: what the split really gives, where it cannot be as fine; None where it is as asked.
        who: who ran Stoker when it began.
        entered: when it was decided; ``shifted`` when the traffic was there; ``ended`` when it was left.
        unready_since: since when no pod of the canary is ready; None while one is.
        evidence: by metric.
        raw: measurements as they came, the last few hundred; see `measure`.
        dropped: how many older ones are no longer kept.
    """

    percent: int
    who: str
    entered: datetime
    shifted: datetime | None = None
    ended: datetime | None = None
    reachable: float | None = None
    unready_since: datetime | None = None
    evidence: dict[str, Evidence] = field(default_factory=dict)
    raw: tuple[dict[str, Any], ...] = ()
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done or decided, by whom and when."""

    when: datetime
    who: str
    what: str


@dataclass(frozen=True, slots=True)
class CanaryState:
    """One run.

    Attributes:
        model, namespace: whose.
        run: name of the run, unique for the model.
        seed: of all that is drawn: prompts, their order, who is asked first.
        who: who carries it out now, as user@host.
        measured_on: ``live``, or the lab and its speed.
        ends: what an abort ends in: aborted or inconclusive.
        reason: why it is over, or is being ended.
        pairs: pairs of probes sent so far, the counter of what is drawn next.
        cursors: where each counter of Prometheus stood at the last look, by metric, version, pod.
    """

    model: str
    namespace: str
    run: str
    plan: CanaryPlan
    seed: int
    who: str
    started: datetime
    measured_on: str = "live"
    phase: Phase = Phase.RUNNING
    ends: Phase = Phase.ABORTED
    reason: str = ""
    steps: tuple[Step, ...] = ()
    notes: tuple[Note, ...] = ()
    pairs: int = 0
    cursors: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    ended: datetime | None = None

    @property
    def step(self) -> Step | None:
        """The one that runs, or ran last."""
        return self.steps[-1] if self.steps else None


def encode(state: CanaryState) -> str:
    """As JSON: same state, same text."""
    return msgspec.json.encode(state).decode()


def decode(text: str, *, where: str) -> CanaryState:
    """The state of a document.

    Raises:
        StokerError: it is none, or one of another Stoker.
    """
    try:
        return msgspec.json.decode(text, type=CanaryState)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StokerError(
            f"{where} holds no canary that this Stoker reads: {error}",
            fix="use the Stoker that wrote it, or delete the ConfigMap once the traffic is where you want it",
        ) from error
