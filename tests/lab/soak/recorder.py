"""Puts requests and answers into a history while they happen."""

import hashlib
from itertools import count
from typing import Any

import msgspec
from tests.lab.soak.forms import FORMS, Form, version_of
from tests.lab.soak.history import (
    Change,
    Expired,
    History,
    Key,
    Outcome,
    Page,
    Read,
    Restart,
    Stream,
    Version,
    Write,
)

__all__ = ["Recorder"]

Object = dict[str, Any]


class Recorder:
    """What all clients share: the count that orders what they do, and what the objects last looked like.

    Attributes:
        seen: the newest body of each object that anybody saw; a client decides by it what to ask next.
    """

    def __init__(self, namespaces: tuple[str, ...]) -> None:
        self.namespaces = namespaces
        self.seen: dict[Key, tuple[Object, Version]] = {}
        self.gone: set[str] = set()
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self.pages: list[Page] = []
        self.streams: list[Stream] = []
        self.expired: list[Expired] = []
        self.restarts: list[Restart] = []
        self._order = count(1)
        # Watches repeat each other: equal texts are decoded once.
        self._texts: dict[bytes, Version] = {}
        self._versions: dict[tuple[int, bytes], Version] = {}

    def next(self) -> int:
        return next(self._order)

    def version(self, form: Form, obj: Object, *, is_live: bool = True) -> Version:
        """What the model sees of an object; and what clients see from now on, where it is there."""
        found = version_of(form, obj)
        found = self._versions.setdefault((found.revision, found.digest), found)
        last = self.seen.get(found.key)
        if (
            is_live
            and (last is None or last[1].revision < found.revision)
            and found.state.uid not in self.gone
        ):
            self.seen[found.key] = (obj, found)
        return found

    def forget(self, version: Version) -> None:
        """An object is known to be gone."""
        self.gone.add(version.state.uid)
        last = self.seen.get(version.key)
        if last is not None and last[1].state.uid == version.state.uid:
            del self.seen[version.key]

    def of_text(self, form: Form, text: msgspec.Raw, *, is_live: bool) -> Version:
        mark = hashlib.blake2b(text, digest_size=16).digest()
        found = self._texts.get(mark)
        if found is None:
            found = self._texts[mark] = self.version(form, msgspec.json.decode(text), is_live=is_live)
        return found

    def write(self, key: Key, change: Change, invoked: int, outcome: Outcome) -> None:
        self.writes.append(Write(invoked, key, change, invoked, self.next(), outcome))

    def outcome(self, key: Key, change: Change, status: int, text: bytes) -> Outcome:
        """What an answer to a write says."""
        answer = msgspec.json.decode(text)
        if status >= 400:
            return Outcome(
                "refused", code=status, reason=answer.get("reason", ""), message=answer.get("message", "")
            )
        if change.is_dry:
            return Outcome("stored")
        if answer.get("kind") == "Status":
            return Outcome("gone", uid=answer["details"]["uid"])
        version = self.version(FORMS[key.resource], answer)
        # Kinds without a grace period may answer a deletion with the object as it was.
        is_gone = version.is_final or (
            change.verb == "delete" and key.resource != "pods" and not version.state.finalizers
        )
        if is_gone:
            self.forget(version)
        return Outcome("gone" if is_gone else "stored", version, version.state.uid)

    def history(self) -> History:
        return History(
            frozenset(self.namespaces), tuple(self.writes), tuple(self.reads), tuple(self.pages), tuple(self.streams),
            tuple(self.expired), tuple(self.restarts),
        )  # fmt: skip
