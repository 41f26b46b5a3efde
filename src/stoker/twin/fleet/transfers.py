"""Reads at start-up that share bandwidth: ten pods that load at once slow each other.

Processor sharing: of n readers each gets the lesser of its own limit and an n-th of the total.
"""

from collections.abc import Callable

from stoker.twin.fleet.agenda import Agenda

__all__ = ["Source"]


class Source:
    """One thing that is read: a registry, an NFS server, a bucket, the hub, one node's disk."""

    __slots__ = ("_active", "_agenda", "_each", "_rate", "_since", "_total", "_version", "bytes_read")

    def __init__(self, agenda: Agenda, each: float, total: float) -> None:
        """A source of ``total`` bytes per second, of which one reader gets at most ``each``."""
        self._agenda = agenda
        self._each = each
        self._total = total
        self._active: dict[int, tuple[float, Callable[[], None]]] = {}
        self._since = 0.0
        self._rate = each
        self._version = 0
        self.bytes_read = 0.0

    def read(self, key: int, size: float, done: Callable[[], None]) -> None:
        """Start reading ``size`` bytes; ``done`` is called when they are there. ``key`` names the reader."""
        self._settle()
        self._active[key] = (max(size, 0.0), done)
        self.bytes_read += size
        self._plan()

    def cancel(self, key: int) -> None:
        """The reader is gone."""
        if key in self._active:
            self._settle()
            del self._active[key]
            self._plan()

    def _settle(self) -> None:
        """Count what was read since the last change."""
        read = (self._agenda.now - self._since) * self._rate
        self._since = self._agenda.now
        if read > 0.0:
            self._active = {key: (left - read, done) for key, (left, done) in self._active.items()}

    def _plan(self) -> None:
        self._version += 1
        if not self._active:
            return
        self._rate = min(self._each, self._total / len(self._active))
        least = min(left for left, _ in self._active.values())
        self._agenda.after(max(least, 0.0) / self._rate, self._finish, self._version)

    def _finish(self, version: int) -> None:
        if version != self._version:
            return
        self._settle()
        # A byte is the tolerance for rounding: reads are gigabytes.
        ready = [key for key, (left, _) in self._active.items() if left <= 1.0]
        finished = [self._active.pop(key)[1] for key in ready]
        self._plan()
        for done in finished:
            done()
