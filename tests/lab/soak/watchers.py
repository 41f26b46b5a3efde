"""Clients that watch, as client-go's reflector does: list, watch from there, resume, list again where that is too old."""

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
from tests.lab.soak.forms import FORMS, Form, selector_query
from tests.lab.soak.history import Event, Expired, Selector, Stream, Version
from tests.lab.soak.lab import Lab, LostError, UnsentError
from tests.lab.soak.recorder import Recorder
from tests.lab.soak.writers import Client

__all__ = ["Watcher", "watchers"]

_END = "k8s.io/initial-events-end"


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Bookmark(msgspec.Struct):
    metadata: dict[str, object]


_decode = msgspec.json.Decoder(_Line).decode
_decode_bookmark = msgspec.json.Decoder(_Bookmark).decode


class Watcher:
    """One watch after another over the same selection.

    Attributes:
        end: the newest revision up to which it has been told everything.
    """

    def __init__(
        self, lab: Lab, recorder: Recorder, rng: random.Random, form: Form, namespace: str, selector: Selector
    ) -> None:
        self._lab = lab
        self._recorder = recorder
        self._rng = rng
        self._form = form
        self._namespace = namespace
        self._selector = selector
        self._client = Client(lab, recorder, rng, "watcher")
        self.end = 0

    def __str__(self) -> str:
        return f"watch of {self._namespace or 'all'} {self._form.resource} {self._selector}"

    async def follow(self, stop: asyncio.Event) -> None:
        """Watch until told to stop."""
        while not stop.is_set():
            await self._lab.is_up.wait()
            try:
                if not self.end:
                    await self._begin(stop)
                else:
                    await self._watch(stop, self.end)
            except (LostError, UnsentError):
                await asyncio.sleep(0.02)

    async def _begin(self, stop: asyncio.Event) -> None:
        """With a list, or with a watch that sends the state first."""
        if self._rng.random() < 0.3:
            await self._watch(stop, None)
            return
        page = await self._client.list(
            self._form, self._namespace, self._selector, limit=self._rng.choice((0, 4))
        )
        if page is not None:
            self.end = page.revision

    async def _watch(self, stop: asyncio.Event, start: int | None) -> None:
        """One watch; None begins with what there is."""
        query = {**selector_query(self._selector), "timeoutSeconds": str(self._rng.randint(3, 9))}
        query["allowWatchBookmarks"] = "true"
        if start is None:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        else:
            query["resourceVersion"] = str(start)
        invoked = self._recorder.next()
        taken = _Taken(self._recorder, self._form, self._selector, start)
        try:
            async with self._lab.watch(self._form.path(self._namespace), query) as chunks:
                async for line in _lines(chunks):
                    taken.add(line)
                    self.end = max(self.end, taken.revision)
                    if taken.is_expired:
                        self._recorder.expired.append(
                            Expired("watch", start or 0, invoked, self._recorder.next())
                        )
                        self.end = 0
                        return
                    if stop.is_set():
                        return
        finally:
            if taken.start is not None and not taken.is_expired:
                self._recorder.streams.append(
                    Stream(
                        self._form.resource,
                        self._namespace,
                        self._selector,
                        invoked,
                        taken.start,
                        tuple(taken.events),
                        taken.initial,
                    )
                )

    async def look_back(self, stop: asyncio.Event) -> None:
        """Resume again and again at revisions of the past, near and far, and read up to the present."""
        while not stop.is_set():
            await self._lab.is_up.wait()
            pages = self._recorder.pages
            if pages:
                back = self._rng.choice((10, 200, 2000, 100_000))
                start = self._rng.choice(pages[-back:]).revision
                try:
                    await self._watch(stop, start)
                except (LostError, UnsentError):
                    await asyncio.sleep(0.02)
            await asyncio.sleep(self._rng.random())


class _Taken:
    """What a watch has sent so far."""

    def __init__(self, recorder: Recorder, form: Form, selector: Selector, start: int | None) -> None:
        self._recorder = recorder
        self._form = form
        self._selector = selector
        self.start = start
        self.events: list[Event] = []
        self.initial: tuple[Version, ...] | None = None
        self._first: list[Version] = []
        self.is_expired = False
        self.revision = 0

    def add(self, line: bytes) -> None:
        found = _decode(line)
        order = self._recorder.next()
        if found.type == "ERROR":
            status = msgspec.json.decode(found.object)
            assert status["code"] == 410, status
            self.is_expired = True
            return
        if found.type == "BOOKMARK":
            metadata = _decode_bookmark(found.object).metadata
            revision = int(str(metadata["resourceVersion"]))
            is_end = _END in (metadata.get("annotations") or {})  # type: ignore[operator]
            assert is_end == (self.start is None), line
            if is_end:
                self.start, self.initial = revision, tuple(self._first)
            self._note(Event(order, "BOOKMARK", revision, None))
            return
        is_deleted = found.type == "DELETED"
        version = self._recorder.of_text(self._form, found.object, is_live=not is_deleted)
        if is_deleted and not self._selector.has_labels:
            self._recorder.forget(version)
        if self.start is None:
            assert found.type == "ADDED", line
            self._first.append(version)
        else:
            self._note(Event(order, found.type, version.revision, version))

    def _note(self, event: Event) -> None:
        self.events.append(event)
        self.revision = max(self.revision, event.revision)


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Whole lines; what a kill cuts off is none."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


def watchers(lab: Lab, recorder: Recorder, rng: random.Random) -> list[Watcher]:
    """One over everything of each kind, and some over parts."""
    namespace = recorder.namespaces[0]
    parts = [
        ("configmaps", "", Selector("tier", "=", "a")),
        ("configmaps", namespace, Selector()),
        ("marks", "", Selector("tier", "!=", "a")),
        ("pods", namespace, Selector("tier", "absent")),
        ("podtemplates", "", Selector(name="n1")),
    ]
    everything = [(resource, "", Selector()) for resource in FORMS]
    return [
        Watcher(lab, recorder, random.Random(rng.random()), FORMS[resource], where, selector)  # noqa: S311
        for resource, where, selector in [*everything, *parts]
    ]
