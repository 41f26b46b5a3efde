"""The scheduler's queue: who is next, who waits for the cluster to change, who waits for a pause to end.

Source: kubernetes pkg/scheduler/backend/queue/scheduling_queue.go. Every change that could matter moves every pod that waits;
the real queue asks each plugin whether it does (queueing hints), and so tries less often.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from stoker.lab.controllers.objects import Object

__all__ = ["Entry", "Queue"]

Place = tuple[str, str]

# DefaultPodInitialBackoffDuration, DefaultPodMaxBackoffDuration.
_FIRST_S = 1.0
_LONGEST_S = 10.0


@dataclass(slots=True)
class Entry:
    """One pod that waits.

    Attributes:
        pod: as it was last seen.
        attempts: tries so far; each doubles the pause.
        until: no try before.
        is_active: it is in the heap.
    """

    pod: Object
    queued_s: float
    number: int
    attempts: int = 0
    until: float = 0.0
    is_active: bool = False
    is_parked: bool = False

    def key(self) -> tuple[int, float, int]:
        return -int(self.pod["spec"].get("priority") or 0), self.queued_s, self.number


class Queue:
    """Pods by place."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._entries: dict[Place, Entry] = {}
        self._heap: list[tuple[tuple[int, float, int], Place]] = []
        self._pauses: list[tuple[float, Place]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, place: Place) -> Entry | None:
        return self._entries.get(place)

    def put(self, place: Place, pod: Object, *, delay_s: float = 0.0) -> bool:
        """A pod waits, or has changed; whether it is to be tried, now or after a pause."""
        entry = self._entries.get(place)
        if entry is not None and entry.pod["metadata"]["uid"] != pod["metadata"]["uid"]:
            self.drop(place)
            entry = None
        if entry is None:
            self._added += 1
            entry = self._entries[place] = Entry(pod, self._now(), self._added)
            entry.until = self._now() + delay_s if delay_s else 0.0
            self._wake(place, entry)
            return True
        before, entry.pod = entry.pod, pod
        if before["spec"] != pod["spec"] or before["metadata"].get("labels") != pod["metadata"].get("labels"):
            self._wake(place, entry)
            return True
        return False

    def drop(self, place: Place) -> None:
        self._entries.pop(place, None)

    def pop(self) -> tuple[Place, Entry] | None:
        """The most important pod that may be tried now."""
        self._end_pauses()
        while self._heap:
            key, place = heapq.heappop(self._heap)
            entry = self._entries.get(place)
            if entry is not None and entry.is_active and entry.key() == key:
                entry.is_active = False
                entry.attempts += 1
                return place, entry
        return None

    def fail(self, place: Place) -> None:
        """It fitted nowhere: it waits until the cluster changes, and for its pause at least."""
        entry = self._entries.get(place)
        if entry is not None:
            pause = min(_LONGEST_S, _FIRST_S * 2.0 ** min(entry.attempts - 1, 10))
            entry.until = self._now() + pause
            entry.is_parked = True

    def move_all(self) -> list[Place]:
        """The cluster has changed: everybody who waits may be tried, now or after the pause; who that is."""
        parked = [(place, entry) for place, entry in self._entries.items() if entry.is_parked]
        for place, entry in parked:
            self._wake(place, entry)
        return [place for place, _ in parked]

    def seconds_to_next(self) -> float | None:
        """When to look again: at once, when a pause ends, or not before something changes."""
        if any(self._is_valid(item) for item in self._heap[:1]):
            return 0.0
        while self._pauses:
            until, place = self._pauses[0]
            entry = self._entries.get(place)
            if entry is None or entry.is_active or entry.until != until:
                heapq.heappop(self._pauses)
                continue
            return max(0.001, until - self._now())
        return 0.0 if self._heap else None

    def _is_valid(self, item: tuple[tuple[int, float, int], Place]) -> bool:
        entry = self._entries.get(item[1])
        return entry is not None and entry.is_active

    def _wake(self, place: Place, entry: Entry) -> None:
        entry.is_parked = False
        if entry.is_active:
            return
        if entry.until > self._now():
            heapq.heappush(self._pauses, (entry.until, place))
        else:
            self._activate(place, entry)

    def _activate(self, place: Place, entry: Entry) -> None:
        entry.is_active = True
        heapq.heappush(self._heap, (entry.key(), place))

    def _end_pauses(self) -> None:
        now = self._now()
        while self._pauses and self._pauses[0][0] <= now:
            until, place = heapq.heappop(self._pauses)
            entry = self._entries.get(place)
            if entry is not None and not entry.is_active and not entry.is_parked and entry.until == until:
                self._activate(place, entry)
