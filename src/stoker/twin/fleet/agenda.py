"""What happens when: a heap of actions in virtual time."""

import heapq
from collections.abc import Callable
from typing import Any

__all__ = ["Agenda"]


class Agenda:
    """Actions by time, and in the order they were entered where times are equal, so that runs repeat exactly."""

    __slots__ = ("_entered", "_heap", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._entered = 0

    def at(self, time: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do ``action(*arguments)`` at ``time``, or now where that is past."""
        self._entered += 1
        heapq.heappush(self._heap, (max(time, self.now), self._entered, action, arguments))

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> None:
        """Do ``action(*arguments)`` in ``seconds``."""
        self.at(self.now + seconds, action, *arguments)

    def next_time(self) -> float:
        """Time of the next action; infinite where there is none."""
        return self._heap[0][0] if self._heap else float("inf")

    def step(self) -> None:
        """Do the next action."""
        self.now, _, action, arguments = heapq.heappop(self._heap)
        action(*arguments)
