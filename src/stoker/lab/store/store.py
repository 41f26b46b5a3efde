"""The store behind the API server: etcd's promises, for one process.

Every write has the next revision, is on its way to the disk before it is acknowledged (SQLite, write-ahead log: the
operating system holds it, so a killed process loses nothing), and reaches every subscription in the order of revisions.
Objects are kept as JSON text and decoded anew for each reader: what a reader gets is its own to change, and ten thousand
objects take megabytes instead of hundreds.

A window of past changes serves watches that resume and lists that go on page by page; what is older is gone, as after
etcd's compaction. The window does not survive a restart: clients then list again, which the API has them do.
"""

import sqlite3
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

__all__ = ["Change", "Key", "Record", "Store", "Subscription", "TooOldError"]

Object = dict[str, Any]

_WINDOW = 20_000
# Changes whose frames are kept: watchers that keep up share them; who resumes further back makes its own.
_FRESH = 512
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Key(NamedTuple):
    """Where an object lives. ``resource`` is ``pods`` or ``deployments.apps``; namespace is empty for cluster scope."""

    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Record:
    """An object as it was at a revision, as JSON text."""

    revision: int
    text: bytes

    def object(self) -> Object:
        """A copy of the object that belongs to the caller."""
        found: Object = _decode(self.text)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One write. ``before`` is None for a create; for a delete ``record`` is the last state under the deletion's revision.

    ``frames`` is for those who send the change to many: what they made of it once. It is emptied when the change is no longer
    among the newest.
    """

    key: Key
    record: Record
    before: Record | None
    is_delete: bool
    frames: dict[Any, bytes] = field(default_factory=dict)


class TooOldError(Exception):
    """The revision lies before the window; ``oldest`` is the first that can be asked for."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision = revision
        self.oldest = oldest


class Subscription:
    """Changes of one resource from a revision on, in order; `close` ends it.

    Attributes:
        changes: those that the reader has not taken yet.
        is_lost: the reader was ``most`` changes behind. It gets no more and has to begin anew: one that has stopped reading
            must not keep everything that ever happened in memory.
    """

    __slots__ = ("_close", "_most", "_wake", "changes", "is_lost")

    def __init__(
        self,
        changes: deque[Change],
        wake: Callable[[], None],
        close: Callable[["Subscription"], None],
        most: int | None,
    ) -> None:
        self.changes = changes
        self.is_lost = False
        self._wake = wake
        self._close = close
        self._most = most

    def push(self, change: Change) -> None:
        if self.is_lost:
            return
        if self._most is not None and len(self.changes) >= self._most:
            self.is_lost = True
            self.changes.clear()
        else:
            self.changes.append(change)
        self._wake()

    def close(self) -> None:
        self._close(self)


class _Shelf:
    """Objects of one resource, with their keys in etcd's order: namespace, then name."""

    __slots__ = ("changed", "changes", "keys", "records", "subscriptions")

    def __init__(self) -> None:
        self.changed = 0
        self.records: dict[tuple[str, str], Record] = {}
        self.keys: list[tuple[str, str]] = []
        self.changes: deque[Change] = deque()
        self.subscriptions: list[Subscription] = []


class Store:
    """Objects, revisions, history. One thread uses it; a write is one transaction.

    Args:
        path: the database file; None keeps everything in memory.
        window: how many past changes are kept, over all resources.
    """

    def __init__(self, path: Path | None = None, *, window: int = _WINDOW) -> None:
        self._database = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA locking_mode=EXCLUSIVE;"
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, revision INTEGER, text BLOB,"
            " PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value);"
            "INSERT OR IGNORE INTO facts VALUES ('revision', 1);"
        )
        self._shelves: dict[str, _Shelf] = {}
        self._window = window
        self._order: deque[str] = deque()
        self._fresh: deque[Change] = deque()
        self.revision = int(self.fact("revision") or 1)
        self._oldest = self.revision
        for resource, namespace, name, revision, text in self._database.execute(
            "SELECT resource, namespace, name, revision, text FROM objects ORDER BY resource, namespace, name"
        ):
            shelf = self._shelf(resource)
            shelf.records[namespace, name] = Record(revision, text)
            shelf.keys.append((namespace, name))

    def close(self) -> None:
        """Write everything into the one file and let go of it."""
        self._database.close()

    # --- facts about the cluster itself ---------------------------------------------------------------------------

    def fact(self, name: str) -> Any:
        """A value kept beside the objects, such as a key or the time of creation; None where it was never set."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def set_fact(self, name: str, value: Any) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # --- reading --------------------------------------------------------------------------------------------------

    def get(self, key: Key) -> Record | None:
        shelf = self._shelves.get(key.resource)
        return None if shelf is None else shelf.records.get((key.namespace, key.name))

    def scan(
        self, resource: str, namespace: str = "", *, after: tuple[str, str] | None = None
    ) -> Iterator[tuple[tuple[str, str], Record]]:
        """Objects in the order of their keys: of one namespace, or of all where it is empty; those behind ``after`` only."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            return
        start = 0 if after is None else bisect_left(shelf.keys, (*after, ""))
        if namespace and (after is None or after[0] != namespace):
            start = bisect_left(shelf.keys, (namespace,))
        for key in shelf.keys[start:]:
            if namespace and key[0] != namespace:
                return
            yield key, shelf.records[key]

    def scan_at(
        self, revision: int, resource: str, namespace: str = "", *, after: tuple[str, str] | None = None
    ) -> list[tuple[tuple[str, str], Record]]:
        """As `scan`, at a past revision.

        Raises:
            TooOldError: the window no longer reaches back to it.
        """
        if revision < self._oldest:
            raise TooOldError(revision, self._oldest)
        shelf = self._shelves.get(resource)
        if shelf is None or not shelf.changes or shelf.changes[-1].record.revision <= revision:
            return list(self.scan(resource, namespace, after=after))
        found = dict(self.scan(resource, namespace, after=after))
        for change in reversed(shelf.changes):
            if change.record.revision <= revision:
                break
            place = (change.key.namespace, change.key.name)
            if (namespace and place[0] != namespace) or (after is not None and place <= after):
                continue
            if change.before is None:
                found.pop(place, None)
            else:
                found[place] = change.before
        return sorted(found.items())

    def count(self, resource: str) -> int:
        shelf = self._shelves.get(resource)
        return 0 if shelf is None else len(shelf.keys)

    def changed(self, resource: str) -> int:
        """Revision of the last write to a resource in this process; what is computed from it is good until it moves."""
        shelf = self._shelves.get(resource)
        return 0 if shelf is None else shelf.changed

    # --- writing --------------------------------------------------------------------------------------------------

    def put(self, key: Key, found: Object) -> Record:
        """Write an object; its resourceVersion is set in ``found`` too. The caller has checked what it replaces."""
        revision = self.revision + 1
        found["metadata"]["resourceVersion"] = str(revision)
        text = _encode(found)
        self._commit(
            revision,
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)",
            (key.resource, key.namespace, key.name, revision, text),
        )
        shelf = self._shelf(key.resource)
        place = (key.namespace, key.name)
        before = shelf.records.get(place)
        record = Record(revision, text)
        shelf.records[place] = record
        if before is None:
            insort(shelf.keys, place)
        self._tell(shelf, Change(key, record, before, is_delete=False))
        return record

    def delete(self, key: Key, last: Object | None = None) -> Record:
        """Remove an object; ``last`` is its final state where that differs from what is stored.

        Raises:
            KeyError: there is no such object.
        """
        shelf = self._shelf(key.resource)
        place = (key.namespace, key.name)
        before = shelf.records[place]
        revision = self.revision + 1
        final = before.object() if last is None else last
        final["metadata"]["resourceVersion"] = str(revision)
        self._commit(
            revision,
            "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?",
            (key.resource, key.namespace, key.name),
        )
        del shelf.records[place]
        del shelf.keys[bisect_left(shelf.keys, place)]
        record = Record(revision, _encode(final))
        self._tell(shelf, Change(key, record, before, is_delete=True))
        return record

    def _commit(self, revision: int, statement: str, values: tuple[Any, ...]) -> None:
        run = self._database.execute
        run("BEGIN IMMEDIATE")
        try:
            run(statement, values)
            run("UPDATE facts SET value = ? WHERE name = 'revision'", (revision,))
        except BaseException:
            run("ROLLBACK")
            raise
        run("COMMIT")
        self.revision = revision

    def _tell(self, shelf: _Shelf, change: Change) -> None:
        shelf.changed = change.record.revision
        shelf.changes.append(change)
        self._order.append(change.key.resource)
        self._fresh.append(change)
        if len(self._fresh) > _FRESH:
            self._fresh.popleft().frames.clear()
        if len(self._order) > self._window:
            oldest = self._shelves[self._order.popleft()].changes.popleft()
            self._oldest = oldest.record.revision
        for subscription in shelf.subscriptions:
            subscription.push(change)

    # --- watching -------------------------------------------------------------------------------------------------

    def subscribe(
        self, resource: str, revision: int, wake: Callable[[], None], *, most: int | None = None
    ) -> Subscription:
        """Changes after ``revision``, those of the past first; ``wake`` is called for every new one.

        Args:
            resource: whose.
            revision: the last one that the reader knows.
            wake: must not block.
            most: changes that may wait for the reader; None for any number.

        Raises:
            TooOldError: some of them are no longer known.
        """
        if revision < self._oldest:
            raise TooOldError(revision, self._oldest)
        shelf = self._shelf(resource)
        changes = deque(change for change in shelf.changes if change.record.revision > revision)
        subscription = Subscription(changes, wake, shelf.subscriptions.remove, most)
        shelf.subscriptions.append(subscription)
        return subscription

    def _shelf(self, resource: str) -> _Shelf:
        found = self._shelves.get(resource)
        if found is None:
            found = self._shelves[resource] = _Shelf()
        return found
