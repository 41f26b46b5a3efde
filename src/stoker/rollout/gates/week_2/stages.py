"""The stages of a canary: its share, all of the requests, none of them; each counted, while a prober asks at every door."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2

from stoker.rollout.endpoints import Endpoint
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.rollout.gates.week_2.counting import Count, counted, pods_of, read_counters
from stoker.rollout.gates.week_2.judges import Stage
from stoker.rollout.gates.week_2.prober import Prober, Sender
from stoker.rollout.gates.week_2.traffic import Traffic
from stoker.rollout.intervals import tries_for

__all__ = ["Stages"]

_SETTLE: Final = 300.0  # the cluster's seconds after which a shift is given up
_TRY: Final = 10  # requests of a batch that shows whether a shift has come through
_COUNTERS: Final = (
    15.0  # the wall's seconds until an engine's counters have all requests that it has answered
)
_LOOKS: Final = 10  # at counters that do not come to rest
_PAUSE: Final = 0.3  # the wall's seconds between them


@dataclass
class Stages:
    """What is measured on one canary.

    Attributes:
        settings: percent, confidence, half_width, requests_after, concurrency.
    """

    context: Context
    settings: Mapping[str, Any]
    traffic: Traffic
    sender: Sender
    prober: Prober

    def answering(self) -> dict[str, Endpoint]:
        """The doors, as soon as the front answers: a route takes a moment until it is programmed."""
        last = "nothing was tried"

        def look() -> dict[str, Endpoint] | None:
            nonlocal last
            try:
                doors = self.traffic.doors()
                with self.sender.client(doors["front"]) as client:
                    last = self.sender.send(client)
            except CannotMeasureError as error:
                last = error.message
                return None
            return None if last else doors

        found = self.context.until(look, within=120, every=2)
        if found is None:
            raise CannotMeasureError(
                f"{self.traffic.model.name} does not answer at its gateway: {last}", fix=""
            )
        return found

    def split(self, doors: Mapping[str, Endpoint], percent: int) -> Stage:
        self.prober.watch("split", doors)
        share, half = percent / 100, float(self.settings["half_width"])
        requests = tries_for(share, half, float(self.settings["confidence"]))
        stage = Stage("split", percent)
        return self._count(stage, doors["front"], requests)

    def shift(self, name: str, percent: int) -> Stage:
        began = self.context.now()
        self.prober.watch(name, self.traffic.doors())
        self.traffic.shift(percent)
        stage = Stage(name, percent, settled=None)

        def settled() -> Stage | None:
            nonlocal stage
            doors = self.traffic.doors()
            self.prober.watch(name, doors)
            stage = self._count(Stage(name, percent, settled=None), doors["front"], _TRY)
            wanted = stage.sent if percent else 0
            return stage if stage.sent and not stage.why and stage.canary == (wanted, wanted) else None

        if self.context.until(settled, within=_SETTLE, every=2) is None:
            return stage
        seconds = round((self.context.now() - began).total_seconds(), 1)
        final = Stage(name, percent, settled=seconds)
        return self._count(final, self.traffic.front(), int(self.settings["requests_after"]))

    def _count(self, stage: Stage, front: Endpoint, requests: int) -> Stage:
        """Send requests through the front door and count who answered; the prober sends nothing that is counted."""
        if not front.takes_load:
            return replace(stage, why="requests go through the API server, which splits nothing")
        self.prober.quiet(light=True)
        try:
            before = self._still()
            problems = self._send(front, requests)
            answered = requests - len(problems)
            count = self._counted(before, answered)
        except CannotMeasureError as error:
            return replace(stage, why=error.message)
        finally:
            self.prober.quiet(light=False)
        self.prober.asked("front", requests)
        for problem in problems:
            self.prober.failed("front", problem)
        _, canary = self.traffic.versions()
        made = replace(
            stage, sent=answered, failed=len(problems), canary=count.bounds(canary), others=count.others
        )
        self.context.note(
            f"{stage.name}: {dict(count.finished)} of {requests} requests",
            sent=requests,
            finished=dict(count.finished),
        )
        return made

    def _read(self) -> dict[str, tuple[str, float]]:
        return read_counters(self.context, self.traffic.model, pods_of(self.context, self.traffic.model))

    def _still(self) -> dict[str, tuple[str, float]]:
        """The counters when they have come to rest; with other clients they never do, and those are told apart later."""
        before = self._read()
        for _ in range(_LOOKS):
            self.context.wait(_PAUSE * self.context.clock.speed)
            after = self._read()
            if after == before:
                break
            before = after
        return before

    def _counted(self, before: Mapping[str, tuple[str, float]], answered: int) -> Count:
        """The counters' difference, as soon as they have all that was answered: engines count a moment later."""

        def look() -> Count | None:
            count = counted(before, self._read(), answered)
            return count if count.others >= 0 else None

        found = self.context.until(look, within=_COUNTERS * self.context.clock.speed, every=0.2)
        if found is None:
            raise CannotMeasureError(
                f"the engines have not counted all of the {answered} requests that were answered",
                fix="run it again",
            )
        return found

    def _send(self, front: Endpoint, requests: int) -> list[str]:
        """Why requests failed."""
        workers = max(1, int(self.settings["concurrency"]))

        stop = threading.Event()

        def some(count: int, client: httpx2.Client) -> list[str]:
            return [self.sender.send(client) for _ in range(count) if not stop.is_set()]

        with ThreadPoolExecutor(workers) as pool, self.sender.client(front) as client:
            shares = [requests // workers + (number < requests % workers) for number in range(workers)]
            running = [pool.submit(some, share, client) for share in shares]
            try:
                while wait(running, timeout=0.1).done != set(running):
                    self.context.wait(0)
            except KeyboardInterrupt:
                stop.set()  # the pool ends when what is under way has ended
                raise
        return [why for one in running for why in one.result() if why]
