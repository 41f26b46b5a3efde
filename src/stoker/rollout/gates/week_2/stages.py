"""The stages of a canary: its share, all of the requests, none of them; each counted, while a prober asks at every door."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Final

import httpx2

from stoker.rollout.endpoints import Endpoint
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.rollout.gates.week_2.counting import Count, Look, counted, pods_of, read_counters
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

    def answering(self, percent: int) -> dict[str, Endpoint]:
        """The doors, as soon as the front answers: a route takes a moment until it is programmed."""
        last = "nothing was tried"

        def look() -> dict[str, Endpoint] | None:
            nonlocal last
            try:
                doors = self.traffic.doors(percent)
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
        self.prober.watch("split", _versions(doors))
        half = float(self.settings["half_width"])
        # As many as keep the interval narrow for every share whose interval still holds the one that was given.
        share = min(0.5, percent / 100 + half)
        requests = tries_for(share, half, float(self.settings["confidence"]))
        stage, _ = self._count(Stage("split", percent), doors["front"], requests)
        return stage

    def shift(self, name: str, percent: int) -> Stage:
        """Give the canary all or none of the requests, and wait until that has come through."""
        self.prober.watch(name, _versions(self.traffic.doors(percent)))
        self.traffic.shift(percent)
        changed = self.context.now()
        look: Look | None = None
        stage = Stage(name, percent, settled=None)

        def settled() -> float | None:
            nonlocal look, stage
            began = self.context.now()
            doors = self.traffic.doors(percent)
            self.prober.watch(name, _versions(doors))
            stage, look = self._count(Stage(name, percent, settled=None), doors["front"], _TRY, look)
            wanted = stage.sent if percent else 0
            if not stage.sent or stage.why or stage.canary != (wanted, wanted):
                return None
            return round((began - changed).total_seconds(), 1)

        seconds = self.context.until(settled, within=_SETTLE)
        if seconds is None:
            return stage
        requests = int(self.settings["requests_after"])
        stage, _ = self._count(Stage(name, percent, settled=seconds), self.traffic.front(), requests, look)
        return stage

    def _count(
        self, stage: Stage, front: Endpoint, requests: int, before: Look | None = None
    ) -> tuple[Stage, Look | None]:
        """Send requests through the front door and count who answered; with the look from which the next count may go on."""
        if not front.takes_load:
            return replace(stage, why="requests go through the API server, which splits nothing"), None
        try:
            before = before or self._still()
            problems = self._send(front, requests)
            self.prober.note("front", requests, problems)
            answered = requests - len(problems)
            count, after = self._counted(before, answered)
        except CannotMeasureError as error:
            return replace(stage, why=error.message), None
        _, canary = self.traffic.versions()
        made = replace(
            stage, sent=answered, failed=len(problems), canary=count.bounds(canary), others=count.others
        )
        self.context.note(
            f"{stage.name}: {dict(count.finished)} of {requests} requests",
            sent=requests,
            finished=dict(count.finished),
        )
        return made, after

    def _still(self) -> Look:
        """The counters when they have all that was answered; with other clients that cannot be seen, and is told apart later."""
        with self.prober.held() as direct:
            for _ in range(_LOOKS):
                before = self._read()
                self.context.wait(_PAUSE * self.context.clock.speed)
                if self._read() == before:
                    break
            return Look(before, direct)

    def _read(self) -> dict[str, tuple[str, float]]:
        return read_counters(self.context, self.traffic.model, pods_of(self.context, self.traffic.model))

    def _counted(self, before: Look, answered: int) -> tuple[Count, Look]:
        """The counters' difference, as soon as they have all that was answered: engines count a moment later."""
        with self.prober.held() as direct:

            def look() -> tuple[Count, Look] | None:
                after = Look(self._read(), direct)
                count = counted(before, after, answered)
                return (count, after) if count.others >= 0 else None

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


def _versions(doors: Mapping[str, Endpoint]) -> dict[str, Endpoint]:
    """The versions' own doors: the front door is asked in batches that are counted."""
    return {door: endpoint for door, endpoint in doors.items() if door != "front"}
