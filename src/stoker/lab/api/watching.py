"""Watch: what happens to a collection from a revision on, as a stream of JSON lines."""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec

from stoker.lab.api.call import Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.convert import from_storage
from stoker.lab.api.reading import Wanted, metadata_only, text_of, wanted
from stoker.lab.api.served import Kind
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, bad_request, expired, invalid
from stoker.lab.store import Change, Record, Subscription, TooOldError
from stoker.lab.tables import table

__all__ = ["Watch", "open_watch"]

_encode = msgspec.json.Encoder().encode
_BOOKMARK_S = 60.0
_LAST_BOOKMARK_S = 2.0
# More than the store's window: whoever resumes at its far end is not lost at once. The real server ends a watch whose
# buffer is full (watch cache, forgetWatcher).
_MOST_BEHIND = 25_000
_LONGEST_S = 1800.0  # --min-request-timeout; the real server ends a watch after once to twice of it
_BATCH_S = (
    0.005  # changes that come within it travel together: fifty watchers cost fifty writes, not fifty thousand
)
_INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(slots=True)
class _Options:
    revision: int | None
    initial: bool
    ends_initial: bool
    bookmarks: bool
    seconds: float


def _options(call: Call) -> _Options:
    query = call.query
    causes: list[Cause] = []
    initial = query.get("sendInitialEvents")
    match = query.get("resourceVersionMatch", "")
    if initial is not None and match != "NotOlderThan":
        causes.append(
            Cause(
                "FieldValueForbidden",
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                "resourceVersionMatch",
            )
        )
    elif initial is None and match:
        causes.append(
            Cause(
                "FieldValueForbidden",
                "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                "resourceVersionMatch",
            )
        )
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)
    text = query.get("resourceVersion", "")
    if text and not text.isdigit():
        raise bad_request(f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    bookmarks = query.get("allowWatchBookmarks") in {"true", "1"}
    asked = query.get("timeoutSeconds", "")
    if asked and not asked.isdigit():
        raise bad_request(f'strconv.ParseInt: parsing "{asked}": invalid syntax')
    # How long is no decision of the twin: it only spreads the reconnections of clients.
    seconds = float(asked) if asked and int(asked) else _LONGEST_S * (1 + random.random())  # noqa: S311
    wants_initial = initial in {"true", "1"}
    from_nothing = text in {"", "0"} and initial is None
    return _Options(
        int(text) if text and text != "0" else None,
        wants_initial or from_nothing,
        wants_initial and bookmarks,
        bookmarks,
        seconds,
    )


class Watch:
    """A watch that has begun: `lines` is its answer."""

    def __init__(self, cluster: Cluster, kind: Kind, call: Call) -> None:
        self._cluster = cluster
        self._kind = kind
        self._options = _options(call)
        self._what: Wanted = wanted(kind, call)
        self._namespace = call.namespace if kind.resource.namespaced else ""
        self._name = call.name or self._what.fields.name
        self._wake = asyncio.Event()
        self._sent_columns = False
        self._subscription: Subscription | None = None
        self._first: list[bytes] = []
        options, store = self._options, cluster.store
        try:
            start = store.revision if options.initial or options.revision is None else options.revision
            self._subscription = store.subscribe(
                kind.shelf, min(start, store.revision), self._wake.set, most=_MOST_BEHIND
            )
        except TooOldError as error:
            self._first.append(_line("ERROR", _encode(expired(str(error)).document())))
            return
        if options.initial:
            for place, record in store.scan(kind.shelf, self._namespace):
                if self._name and place[1] != self._name:
                    continue
                text = self._frame("ADDED", record, None)
                if text is not None:
                    self._first.append(text)
        if options.ends_initial:
            self._first.append(self._bookmark(_INITIAL_END))

    async def lines(self) -> AsyncIterator[bytes]:
        """Chunks of whole lines, until the time is up or the reader has gone."""
        subscription = self._subscription
        try:
            if self._first:
                yield b"".join(self._first)
                self._first.clear()
            if subscription is None:
                return
            loop = asyncio.get_running_loop()
            end = loop.time() + self._options.seconds
            bookmark_at = self._next_bookmark(loop.time(), end)
            while loop.time() < end and not subscription.is_lost:
                is_busy = bool(subscription.changes)
                found = self._frames(subscription)
                if loop.time() >= bookmark_at:
                    # Nothing waits any more and nobody writes in between: everything up to the bookmark has been told.
                    found.append(self._bookmark(None))
                    bookmark_at = self._next_bookmark(loop.time(), end)
                if found:
                    yield b"".join(found)
                if found or is_busy:
                    await asyncio.sleep(_BATCH_S)
                    continue
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), max(0.0, min(end, bookmark_at) - loop.time()))
        finally:
            if subscription is not None:
                subscription.close()

    def _next_bookmark(self, now: float, end: float) -> float:
        """Every minute, and two seconds before the end (cacheWatcher.nextBookmarkTime); never where none is wanted or left."""
        at = min(now + _BOOKMARK_S, end - _LAST_BOOKMARK_S)
        return at if self._options.bookmarks and at > now else math.inf

    def _frames(self, subscription: Subscription) -> list[bytes]:
        found = []
        changes = subscription.changes
        while changes:
            change = changes.popleft()
            if self._namespace and change.key.namespace != self._namespace:
                continue
            if self._name and change.key.name != self._name:
                continue
            text = self._of_change(change)
            if text is not None:
                found.append(text)
        return found

    def _of_change(self, change: Change) -> bytes | None:
        if self._what.is_everything and self._what.form.name == "object":
            mark = self._kind.resource.api_version
            text = change.frames.get(mark)
            if text is None:
                kind = "DELETED" if change.is_delete else "MODIFIED" if change.before is not None else "ADDED"
                text = change.frames[mark] = _line(kind, text_of(self._kind, change.record))
            return text
        was = change.before is not None and self._matches(change.before)
        is_now = not change.is_delete and self._matches(change.record)
        if is_now:
            return self._frame("MODIFIED" if was else "ADDED", change.record, True)
        if was and change.before is not None:
            return self._frame(
                "DELETED", change.record if change.is_delete else _left(change, change.before), True
            )
        return None

    def _matches(self, record: Record) -> bool:
        return self._what.is_everything or self._what.matches(from_storage(self._kind, record.object()))

    def _frame(self, event: str, record: Record, is_known: bool | None) -> bytes | None:  # noqa: FBT001
        """A line about an object; None where the selectors do not want it."""
        form = self._what.form
        if form.name == "object" and (is_known or self._what.is_everything):
            return _line(event, text_of(self._kind, record))
        obj = from_storage(self._kind, record.object())
        if not is_known and not self._what.matches(obj):
            return None
        if form.name == "object":
            return _line(event, _encode(obj))
        if form.name == "metadata":
            return _line(event, _encode(metadata_only(obj, form)))
        return _line(event, _encode(self._row(obj)))

    def _row(self, obj: Object) -> Object:
        kind = self._kind
        found = table(
            kind.resource,
            [obj],
            now=self._cluster.clock(),
            include_object=self._what.include,
            list_metadata={"resourceVersion": obj["metadata"]["resourceVersion"]},
            columns=None if kind.custom is None else kind.custom.columns,
            has_headers=not self._sent_columns,
            version=self._what.form.version,
        )
        self._sent_columns = True
        return found

    def _bookmark(self, annotations: dict[str, str] | None) -> bytes:
        metadata: dict[str, Any] = {"resourceVersion": str(self._cluster.store.revision)}
        if annotations:
            metadata["annotations"] = annotations
        resource = self._kind.resource
        return _line(
            "BOOKMARK",
            _encode({"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}),
        )


def _left(change: Change, before: Record) -> Record:
    """What no longer matches is told as it was when it still did, at the revision of the change (convertToWatchEvent)."""
    obj = before.object()
    obj["metadata"]["resourceVersion"] = str(change.record.revision)
    return Record(change.record.revision, _encode(obj))


def _line(event: str, text: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (event.encode(), text)


def open_watch(cluster: Cluster, kind: Kind, call: Call) -> Watch:
    """Begin a watch: options are checked, the past is fixed, and from now on nothing is missed.

    Raises:
        ApiError: options that mean nothing.
    """
    return Watch(cluster, kind, call)
