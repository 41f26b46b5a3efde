"""Queues of work between the store and the controllers.

A controller names the shelves it watches and says which of its own objects a change concerns; the manager calls
`reconcile` for each of them, once however often it was named meanwhile, again after a pause that doubles when it fails,
and when it asked to be called. Controllers are level-triggered, as Kubernetes' are: they look at what is, not at what
happened.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stoker.lab.control.clock import LabClock
from stoker.lab.status import ApiError
from stoker.lab.store import Change, Key, Store, Subscription

__all__ = ["Controller", "Manager", "Target"]

# client-go's ItemExponentialFailureRateLimiter: 5 ms doubling to 1000 s; here at most 30 s, so that a lab shows progress.
_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 30.0
_BATCH = 64

log = logging.getLogger("stoker.lab")

# Namespace and name of the object to look at.
Target = tuple[str, str]


class Controller(Protocol):
    """Keeps one kind of object as its specification says."""

    name: str
    shelves: Sequence[str]

    def targets(self, change: Change) -> Iterable[Target]:
        """Which of the controller's own objects a change concerns."""

    def reconcile(self, target: Target) -> float | None:
        """Bring one object in order; seconds after which to look again, or None."""


@dataclass(slots=True)
class _Work:
    controller: Controller
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    queue: dict[Target, None] = field(default_factory=dict)
    failures: dict[Target, int] = field(default_factory=dict)
    timers: dict[Target, asyncio.TimerHandle] = field(default_factory=dict)


class Manager:
    """Runs controllers on the event loop of the lab."""

    def __init__(self, store: Store, clock: LabClock, controllers: Sequence[Controller]) -> None:
        self._store = store
        self._clock = clock
        self._work = [_Work(controller) for controller in controllers]
        self._wake = asyncio.Event()
        self._stopped = False
        self._begun = False

    @property
    def controllers(self) -> list[Controller]:
        return [work.controller for work in self._work]

    def begin(self) -> None:
        """Watch from now on; everything that is stored already is looked at first."""
        if self._begun:
            return
        self._begun = True
        for work in self._work:
            self._watch(work)

    def _watch(self, work: _Work) -> None:
        """Subscribe to the controller's shelves; those of new custom kinds come later."""
        for shelf in work.controller.shelves:
            if shelf in work.subscriptions:
                continue
            work.subscriptions[shelf] = self._store.subscribe(shelf, self._store.revision, self._wake.set)
            for place, record in self._store.scan(shelf):
                self._enqueue(work, Change(Key(shelf, *place), record, None, is_delete=False))

    async def run(self) -> None:
        """Work until `stop`."""
        self.begin()
        try:
            while not self._stopped:
                if not self._step():
                    self._wake.clear()
                    await self._wake.wait()
                else:
                    await asyncio.sleep(0)
        finally:
            for work in self._work:
                for subscription in work.subscriptions.values():
                    subscription.close()
                for timer in work.timers.values():
                    timer.cancel()

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    def poke(self, controller: Controller, target: Target) -> None:
        """Have a controller look at one of its objects though nothing in the store has changed."""
        for work in self._work:
            if work.controller is controller:
                work.queue[target] = None
        self._wake.set()

    def settle(self, most: int = 100_000) -> None:
        """Work at once until nothing is left that does not wait for its time: for tests, and before `lab up` returns."""
        self.begin()
        for _ in range(most):
            if not self._step():
                return
        raise RuntimeError("controllers do not come to rest")

    def _step(self) -> bool:
        """Move changes into the queues and reconcile a batch; whether anything was done."""
        is_busy = False
        for work in self._work:
            if len(work.controller.shelves) != len(work.subscriptions):
                self._watch(work)
            for subscription in list(work.subscriptions.values()):
                while subscription.changes:
                    self._enqueue(work, subscription.changes.popleft())
                    is_busy = True
            for _ in range(min(_BATCH, len(work.queue))):
                target = next(iter(work.queue))
                del work.queue[target]
                self._reconcile(work, target)
                is_busy = True
        return is_busy

    def _enqueue(self, work: _Work, change: Change) -> None:
        try:
            for target in work.controller.targets(change):
                work.queue[target] = None
        except Exception:
            # As in `_reconcile`; a change that a controller cannot read is one that it does not act on.
            log.exception("%s %s", work.controller.name, "/".join(change.key))

    def _reconcile(self, work: _Work, target: Target) -> None:
        timer = work.timers.pop(target, None)
        if timer is not None:
            timer.cancel()
        try:
            again = work.controller.reconcile(target)
        except ApiError as error:
            again = self._failed(work, target)
            if error.code not in {404, 409}:
                log.info("%s %s/%s: %s", work.controller.name, *target, error.message)
        except Exception:
            # A defect of one controller must not stop the others; it is logged whole and tried again.
            again = self._failed(work, target)
            log.exception("%s %s/%s", work.controller.name, *target)
        else:
            work.failures.pop(target, None)
        if again is not None:
            self._later(work, target, again)

    def _failed(self, work: _Work, target: Target) -> float:
        count = work.failures.get(target, 0)
        work.failures[target] = count + 1
        return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**count)

    def _later(self, work: _Work, target: Target, seconds: float) -> None:
        def due() -> None:
            work.timers.pop(target, None)
            work.queue[target] = None
            self._wake.set()

        call_later: Callable[[float, Callable[[], None]], asyncio.TimerHandle]
        try:
            call_later = asyncio.get_running_loop().call_later
        except RuntimeError:
            return  # settled outside a loop: what waits for its time is not waited for
        work.timers[target] = call_later(self._clock.wall(seconds), due)
