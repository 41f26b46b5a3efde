"""The lab's time inside the serving process, and timers that keep it."""

import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "Loop", "Timer", "WallClock"]


class Timer(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """What a clock needs of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Timer: ...


class Clock(Protocol):
    """Time that an engine lives in: the lab's, or a test's that only moves when told."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def at(self, when: float, do: Callable[[], None]) -> Timer:
        """Call ``do`` once it is ``when``."""
        ...


class _Pending:
    """A timer that is moved when the clock is set."""

    __slots__ = ("_clock", "_do", "_handle", "when")

    def __init__(self, clock: "WallClock", when: float, do: Callable[[], None]) -> None:
        self._clock = clock
        self._do = do
        self._handle: Timer | None = None
        self.when = when

    def arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._clock.loop.call_later(self._clock.wall(self.when - self._clock.now()), self.ring)

    def ring(self) -> None:
        self._clock.pending.discard(self)
        self._do()

    def cancel(self) -> None:
        self._clock.pending.discard(self)
        if self._handle is not None:
            self._handle.cancel()


class WallClock:
    """The lab's time: set by the nodes, running ``speed`` times as fast as the wall's."""

    def __init__(self, loop: Loop, *, now: float | None = None, speed: float = 1.0) -> None:
        self.loop = loop
        self.speed = speed
        self.pending: set[_Pending] = set()
        self._start = time.time() if now is None else now
        self._zero = time.monotonic()

    def set(self, now: float, speed: float) -> None:
        """Take the nodes' time; timers that wait are moved with it."""
        self._start, self._zero, self.speed = now, time.monotonic(), speed
        for timer in list(self.pending):
            timer.arm()

    def now(self) -> float:
        return self._start + (time.monotonic() - self._zero) * self.speed

    def wall(self, seconds: float) -> float:
        """How long the lab's ``seconds`` take on the wall."""
        return max(0.0, seconds) / self.speed

    def at(self, when: float, do: Callable[[], None]) -> Timer:
        timer = _Pending(self, when, do)
        self.pending.add(timer)
        timer.arm()
        return timer
