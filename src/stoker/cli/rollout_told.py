"""A rollout that is held by this process, and what it tells on the terminal."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from stoker.cli.apply_told import narrate
from stoker.cli.progress import Narration, narration
from stoker.kube.cluster import Cluster
from stoker.kube.lease import Holder, hold
from stoker.rollout.applying import ByApply
from stoker.rollout.evidence import GateResult, Verdict
from stoker.rollout.phases import PlannedPhase
from stoker.rollout.run import Rollout, undo
from stoker.rollout.state import Apply, Measure, Next, RolloutState
from stoker.rollout.store import LEASE, Store
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import PLATFORM_NAMESPACE

__all__ = ["Told", "held_rollout", "take_back"]

_MARKS: Final = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.INCONCLUSIVE: "?"}


class Told:
    """Prints steps, lines and verdicts."""

    def __init__(self, lines: Narration) -> None:
        self.lines = lines

    def step(self, step: Next) -> None:
        if isinstance(step, Apply):
            self.lines.say(f"{step.phase}: applying")
        elif isinstance(step, Measure):
            self.lines.say(f"{step.gate}: measuring")

    def line(self, text: str) -> None:
        self.lines.say(f"  {text}")

    def result(self, result: GateResult) -> None:
        mark = _MARKS[result.verdict]
        self.lines.say(
            f"{mark} {result.id} {result.verdict.value}: {result.judgement.reason} [{result.source}]"
        )


@contextmanager
def held_rollout(cluster: Cluster) -> Iterator[Callable[..., Rollout]]:
    """Hold the lease of rollouts; yields a maker of the `Rollout` that this process may carry on."""
    store = Store(cluster)
    store.prepare()
    holder = Holder.this_process()
    with (
        narration(None) as lines,
        hold(cluster, PLATFORM_NAMESPACE, LEASE, what="a rollout", holder=holder, told=lines.say) as held,
    ):

        def make(
            platform: ResolvedPlatform,
            phases: Sequence[PlannedPhase],
            services: Mapping[str, str],
            seed: int,
            *,
            set_nodes: bool = False,
            timeout: float = 1800.0,
        ) -> Rollout:
            applier = ByApply(
                cluster, platform, narrate(lines), lines.say, set_nodes=set_nodes, timeout=timeout
            )
            return Rollout(
                cluster, platform, phases, digest_of(phases), store, applier, held, Told(lines),
                f"{holder.user}@{holder.host}", services, seed, threading.Event(),
            )  # fmt: skip

        yield make


def take_back(
    cluster: Cluster, back_to: str = "", timeout: float = 1800.0
) -> tuple[RolloutState | None, list[str]]:
    """Roll back phases under the lease, and what was set on nodes where all of them go; the state, and what was left, with why."""
    holder = Holder.this_process()
    with (
        narration(None) as lines,
        hold(cluster, PLATFORM_NAMESPACE, LEASE, what="a rollout", holder=holder, told=lines.say) as held,
    ):
        applier = ByApply(cluster, None, narrate(lines), lines.say, timeout=timeout)
        who = f"{holder.user}@{holder.host}"
        state = undo(cluster, Store(cluster), applier, Told(lines), held=held, who=who, back_to=back_to)
        if not back_to:
            applier.restore_nodes()
    return state, applier.left


def digest_of(phases: Sequence[PlannedPhase]) -> str:
    """Of everything that is applied and of the figures that gates want: another one begins anew."""
    import hashlib
    import json

    text = json.dumps(
        [
            [
                phase.name,
                [item.object for item in phase.objects],
                [[one.gate.id, dict(one.settings)] for one in phase.gates],
            ]
            for phase in phases
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]
