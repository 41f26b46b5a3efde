"""The plan's time: seconds since the run began, as many times faster than this machine's clock as a lab runs."""

import time
from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """Begins when it is started.

    Args:
        speed: seconds of the plan in one of the machine's; that of `stoker lab up --speed`, 1 for a real cluster.
        monotonic: the machine's clock, in seconds.
    """

    def __init__(self, speed: float = 1.0, monotonic: Callable[[], float] = time.perf_counter) -> None:
        self.speed = speed
        self._monotonic = monotonic
        self._begin = monotonic()

    def start(self) -> None:
        self._begin = self._monotonic()

    def now(self) -> float:
        """Seconds of the plan since the start."""
        return (self._monotonic() - self._begin) * self.speed

    def wall(self, seconds: float) -> float:
        """Seconds of the machine that so many of the plan take."""
        return seconds / self.speed
