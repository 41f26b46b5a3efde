"""A gate: precondition, procedure, measurement, threshold, clean-up in all cases, verdict."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from stoker.errors import StokerError
from stoker.kube.clock import Clock
from stoker.kube.cluster import Cluster
from stoker.rollout.evidence import GateResult, Judgement, Observation
from stoker.rollout.probes import Probes
from stoker.sizing.resolved import ResolvedPlatform

__all__ = ["CannotMeasureError", "Context", "Gate", "run_gate"]

Found = TypeVar("Found")


class CannotMeasureError(StokerError):
    """A gate's precondition does not hold, or what it needs to see cannot be seen: the verdict is inconclusive."""


@dataclass(frozen=True)
class Gate:
    """One thing that is proved by measuring it.

    Attributes:
        id: unique, such as ``week-1/taint``; `phase` is what comes before the slash.
        title: what is proved, as a sentence.
        threshold: what is wanted, with the figures of ``settings`` filled in by `str.format`.
        procedure: what is done to the cluster, for people who must allow it.
        measure: does it; returns the judgement, or raises `CannotMeasureError`.
        settings: its figures and their defaults, such as ``{"replicas": 4, "within_seconds": 120}``.
    """

    id: str
    title: str
    threshold: str
    procedure: str
    measure: Callable[["Context"], Judgement]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def phase(self) -> str:
        return self.id.partition("/")[0]


@dataclass
class Context:
    """What a gate's procedure has at hand. Times are the cluster's seconds.

    Attributes:
        platform: what is wanted, resolved.
        settings: the gate's figures, as the user set them.
        chance: seeded; names and orders come from it.
        probes: makes objects that are removed afterwards, whatever happens.
        stop: set where the user wants to stop: `wait` and `until` end with `KeyboardInterrupt`.
        tell: one line of progress for the user.
        services: URLs by name that the user or the lab gives: ``prometheus``, ``alertmanager``, ``catcher``, or a model's
            name for its endpoint.
        memory: what gates of one run leave for those that follow, so that one long procedure serves several of them.
    """

    cluster: Cluster
    platform: ResolvedPlatform
    settings: Mapping[str, Any]
    chance: random.Random
    probes: Probes
    services: Mapping[str, str] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    tell: Callable[[str], None] = lambda _: None
    evidence: list[Observation] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        return self.cluster.clock

    def note(self, what: str, /, **data: Any) -> None:
        """Record a raw observation, and tell it."""
        self.evidence.append(Observation(self.clock.now(), what, data))
        self.tell(what)

    def wait(self, seconds: float) -> None:
        """Let so many of the cluster's seconds go by."""
        if self.stop.wait(seconds / self.clock.speed):
            raise KeyboardInterrupt

    def until(self, look: Callable[[], Found | None], *, within: float, every: float = 1.0) -> Found | None:
        """Look until there is something, for so many of the cluster's seconds at most; None where there never was.

        ``every`` is in the cluster's seconds too, but no more than ten looks a second of the wall are made.
        """
        end = self.clock.now().timestamp() + within
        while (found := look()) is None:
            if self.clock.now().timestamp() >= end:
                return look()  # what came at the last moment counts
            self.wait(max(every, 0.1 * self.clock.speed))
        return found

    def now(self) -> datetime:
        return self.clock.now()


def run_gate(gate: Gate, context: Context) -> GateResult:
    """Run a gate and clean up behind it, whatever happens.

    An error of the cluster makes it inconclusive; `KeyboardInterrupt` and defects of ours go on after the clean-up.
    """
    started = context.now()
    cleaned = False
    try:
        try:
            judgement = gate.measure(context)
        except StokerError as error:
            judgement = Judgement.inconclusive(error.message + (f" ({error.fix})" if error.fix else ""))
    finally:
        cleaned = context.probes.clean()
    if not cleaned:
        context.note("something made for this gate could not be removed", left=context.probes.left())
    return GateResult(
        gate.id,
        gate.phase,
        gate.title,
        judgement,
        gate.threshold.format(**context.settings),
        tuple(context.evidence),
        started,
        context.now(),
        context.cluster.measured_on,
        cleaned,
    )
