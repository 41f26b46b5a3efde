"""Carrying a canary out: look, decide, keep, do, until it is over. Whoever is killed is followed by the next.

The state is kept before anything is done, and what is to be done follows from the state alone.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import httpx2

from stoker.canary import measure
from stoker.canary.decide import (
    Abort,
    Action,
    Done,
    Health,
    Observation,
    Promote,
    SetWeight,
    Shifted,
    advance,
    order,
)
from stoker.canary.probe import Pair, Prober, Target, direct, draw, is_near, proxied
from stoker.canary.prompts import PromptSet
from stoker.canary.scene import Scene
from stoker.canary.scoring import Scorer
from stoker.canary.state import CanaryState, Note, Phase, Step
from stoker.canary.store import Store
from stoker.canary.traffic import STABLE, Traffic
from stoker.catalog.engines import EngineRelease
from stoker.errors import StokerError
from stoker.kube.cluster import Cluster
from stoker.kube.lease import Held
from stoker.kube.prometheus import instant

__all__ = ["Probes", "Runner", "Telling", "new_run_name"]

_KEPT: Final = 200  # raw measurements of a step
_LEAST_PAUSE: Final = 0.2  # of the wall: a fast lab would do nothing but answer looks


@dataclass(frozen=True)
class Probes:
    """What probes need besides the cluster.

    Attributes:
        direct, proxy: clients for pods at their own addresses, and for the API server's proxy.
        way: ``direct``, ``proxy``, or ``auto`` for whichever works.
    """

    prompts: PromptSet
    direct: httpx2.Client
    proxy: httpx2.Client
    scorer: Scorer
    way: str = "auto"


@dataclass(frozen=True)
class Telling:
    """Where words go: ``progress`` what is waited for, ``event`` what was decided, ``warn`` what could not be measured."""

    progress: Callable[[str], None] = lambda _: None
    event: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None


@dataclass
class Runner:
    """One run by one process, which holds the lease.

    Attributes:
        release: of the stable version's engine, for the names of its series. ``canary_release``: of the canary's.
        probes: None sends none.
        prometheus: None asks none.
        held: the lease.
    """

    cluster: Cluster
    store: Store
    scene: Scene
    state: CanaryState
    traffic: Traffic
    held: Held
    releases: tuple[EngineRelease, EngineRelease] | None = None
    probes: Probes | None = None
    prometheus: httpx2.Client | None = None
    telling: Telling = field(default_factory=Telling)
    _waiting: str = ""
    _way: str = ""
    _warned: frozenset[str] = frozenset()
    _told: int = 0

    def run(self, *, once: bool = False) -> CanaryState:
        """Until it is over; or one look where ``once``.

        Raises:
            UnsafeError: the lease was lost.
            UnreachableError: the cluster cannot be reached; the next run goes on.
        """
        self._told = len(self.state.notes)
        seen: list[Observation] = []
        while True:
            self.held.check()
            self._obey()
            if self.state.phase is Phase.RUNNING and self.state.step is not None:
                seen += self._look(self.state.step)
            self.state, actions = advance(self.state.plan, self.state, seen, self._now())
            if self.state.phase.is_over:
                self.store.clear_order()  # first: whoever is killed here comes back, after the last write nobody does
            self._keep()
            seen = []
            for action in actions:
                self.held.check()
                seen += self._do(action)
            if self.state.phase.is_over:
                return self.state
            if once and not any(isinstance(one, Done) for one in seen):
                self._take_in(seen)
                return self.state
            if not any(isinstance(one, Done) for one in seen):
                self._pause()

    def _take_in(self, seen: Sequence[Observation]) -> None:
        self.state, _ = advance(self.state.plan, self.state, seen, self._now())
        self._keep()

    def _now(self) -> datetime:
        return self.cluster.clock.now()

    def _keep(self) -> None:
        self.state = self.store.save(self.state, self.scene)
        for note in self.state.notes[self._told :]:
            self.telling.event(note.what)
        self._told = len(self.state.notes)

    def _pause(self) -> None:
        """Until the next look; at short intervals of the wall, so that an order is obeyed soon."""
        seconds = self.state.plan.poll_seconds if self.state.phase is Phase.RUNNING else 2.0
        if self.state.step is not None and self.state.step.shifted is None:
            seconds = min(seconds, 2.0)
        end = time.monotonic() + max(_LEAST_PAUSE, seconds / self.cluster.clock.speed)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 1.0))
            self.held.check()
            if left > 1.0 and self.store.order() is not None:
                return

    def _obey(self) -> None:
        given = self.store.order()
        if given is None or self.state.phase.is_over:
            return
        is_meant = given.run == self.state.run and given.phase in {Phase.PROMOTING, Phase.ABORTING}
        if is_meant and self.state.phase is not given.phase:
            self.state = order(self.state, given.phase, given.who, self._now())
            self._keep()
        self.store.clear_order()

    def _warn(self, what: str) -> None:
        """Once a run."""
        if what not in self._warned:
            self._warned |= {what}
            self.telling.warn(what)

    # --- looking ------------------------------------------------------------------------------------------------------

    def _look(self, step: Step) -> list[Observation]:
        """Everything there is to see. Measurements are kept with the step as they came."""
        canary, stable = self.traffic.ready(self.scene.canary), self.traffic.ready(STABLE)
        seen: list[Observation] = [Health(len(canary))]
        if step.shifted is None:
            return seen
        raw: list[dict[str, Any]] = []
        if self.prometheus is not None and self.releases is not None:
            seen += self._scrape(self.prometheus, self.releases, canary, stable, raw)
        if self.probes is not None and canary and stable:
            seen += self._probe(self.probes, canary, stable, raw)
        kept = (*step.raw, *raw)
        dropped = max(0, len(kept) - _KEPT)
        step = replace(step, raw=kept[dropped:], dropped=step.dropped + dropped)
        self.state = replace(self.state, steps=(*self.state.steps[:-1], step))
        return seen

    def _scrape(
        self,
        client: httpx2.Client,
        releases: tuple[EngineRelease, EngineRelease],
        canary: Sequence[dict[str, Any]],
        stable: Sequence[dict[str, Any]],
        raw: list[dict[str, Any]],
    ) -> list[Observation]:
        now = self._now()
        sides = [[str(pod["metadata"]["name"]) for pod in pods] for pods in (canary, stable)]
        counters: dict[str, measure.Counters] = {}
        criteria = {one.metric: one for one in self.state.plan.criteria}
        try:
            for pods, release in zip(sides, (releases[1], releases[0]), strict=True):
                if not pods:
                    continue
                for query in measure.queries(release, self.state.plan, self.scene.namespace, pods):
                    read = measure.read_counters(query, instant(client, query.text, now))
                    counters.setdefault(query.metric, {}).update(read)
        except StokerError as error:
            self._warn(f"Prometheus: {error.message}")
            return []
        found: list[Observation] = []
        cursors = dict(self.state.cursors)
        for metric in criteria:
            if not metric.is_live:
                continue
            block, after = measure.blocks(
                metric, counters.get(metric, {}), cursors.get(metric, {}), canary=sides[0], stable=sides[1]
            )
            cursors[metric] = after
            if block is None:
                self._warn(f"{metric}: Prometheus has no series of one of the versions")
                continue
            found.append(block)
            raw.append(
                {
                    "at": now.isoformat(timespec="milliseconds"),
                    "metric": metric.value,
                    "canary": [block.canary, block.canary_bad],
                    "stable": [block.stable, block.stable_bad],
                }
            )
        self.state = replace(self.state, cursors=cursors)
        return found

    def _probe(
        self,
        probes: Probes,
        canary: Sequence[dict[str, Any]],
        stable: Sequence[dict[str, Any]],
        raw: list[dict[str, Any]],
    ) -> list[Observation]:
        self._choose_way(probes, stable)
        many = min(len(canary), len(stable))  # see `probe`: as many of the one as of the other
        left = [self._target(pod) for pod in canary[:many]]
        right = [self._target(pod) for pod in stable[:many]]
        client = probes.direct if self._way == "direct" else probes.proxy
        prober = Prober(client, self.scene.served, self.cluster.clock.speed, via_api=self._way != "direct")
        prober.warm([*left, *right])
        pairs: list[Pair] = []
        number, seed = self.state.pairs, self.state.seed
        end = time.monotonic() + max(1.0, self.state.plan.poll_seconds / self.cluster.clock.speed)
        for _ in range(self.state.plan.pairs):
            drawn = draw(seed, number, len(probes.prompts.prompts))
            place = number % many
            pairs.append(
                prober.pair(
                    number, probes.prompts.prompts[drawn[0]], drawn=drawn, stable=right[place], canary=left[place]
                )
            )  # fmt: skip
            number += 1
            if time.monotonic() > end:
                break  # the rest at the next look: orders and health come first
            self.held.check()
        at = self._now().isoformat(timespec="milliseconds")
        raw += [{"at": at, **measure.raw_of(pair, probes.scorer.passes)} for pair in pairs]
        self.state = replace(self.state, pairs=number)
        for void in [pair for pair in pairs if pair.is_void][:1]:
            self._warn(f"a pair of probes: {void.canary.error or void.stable.error}")
        found: list[Observation] = [*measure.outcomes(self.state.plan.criteria, pairs, probes.scorer.passes)]
        if probes.scorer.trouble:
            self._warn(probes.scorer.trouble)
            probes.scorer.trouble = ""
        return found

    def _target(self, pod: dict[str, Any]) -> Target:
        if self._way == "direct":
            return direct(pod, self.scene.port, self.scene.base_path)
        return proxied(pod, self.scene.port, self.scene.base_path, self.cluster.server)

    def _choose_way(self, probes: Probes, pods: Sequence[dict[str, Any]]) -> None:
        """Once a run, by ready pods of the stable version: one that cannot be reached later is a failure, no other way."""
        if not self._way:
            near = any(is_near(pod, self.scene.port) for pod in pods)
            self._way = probes.way if probes.way != "auto" else "direct" if near else "proxy"

    # --- doing --------------------------------------------------------------------------------------------------------

    def _do(self, action: Action) -> list[Observation]:
        step = self.state.step
        match action:
            case SetWeight(percent):
                is_there = step is not None and step.shifted is not None
                before = self.state.steps[-2].percent if len(self.state.steps) > 1 else 0
                outcome = self.traffic.shift(percent, before, is_there=is_there)
                self._wait_for(outcome.why)
                return [Shifted(percent, outcome.reachable)] if outcome.done and not is_there else []
            case Promote():
                outcome = self.traffic.promote(step.percent if step is not None else 0)
                self._wait_for(outcome.why if not outcome.done else "")
                return [Done()] if outcome.done else []
            case Abort():
                return self._back(step)
            case _:
                return []

    def _back(self, step: Step | None) -> list[Observation]:
        is_back, outcome = self.traffic.back()
        self._wait_for(outcome.why)
        if outcome.done:
            return [Done()]
        since = (step.ended or step.entered) if step is not None else self.state.started
        if is_back and (self._now() - since).total_seconds() > self.state.plan.ready_seconds:
            what = (
                "all requests go to the stable version, and stay there as long as `canaryTrafficPercent: 0` does; not yet "
                f"tidied up: {outcome.why}"
            )
            self.state = replace(
                self.state, notes=(*self.state.notes, Note(self._now(), self.state.who, what))
            )
            return [Done()]
        return []

    def _wait_for(self, why: str) -> None:
        """Note what is waited for, when that changes: it says later why a step never began."""
        if why and why != self._waiting:
            self.state = replace(
                self.state, notes=(*self.state.notes, Note(self._now(), self.state.who, f"waiting: {why}"))
            )
        self._waiting = why


def new_run_name(rng: random.Random, now: datetime) -> str:
    """Unique for the model: the time, and a few letters for two in one second."""
    return f"{now:%Y%m%d-%H%M%S}-{rng.randrange(16**4):04x}"
