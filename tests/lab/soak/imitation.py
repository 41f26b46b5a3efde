"""Histories made without a server: a small one of our own answers clients in a random order, and breaks a promise when told to.

The checker is tried on them. What this server does to objects is the model's, so that its histories show whether the checker
reads a history rightly; whether the model is Kubernetes', the real clients show against the lab.
"""

import hashlib
import random
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.lab.soak.history import (
    Change,
    Event,
    Expired,
    History,
    Key,
    Outcome,
    Page,
    Read,
    Restart,
    Selector,
    State,
    Stream,
    Version,
    Write,
)
from tests.lab.soak.model import GONE, Gone, Refused, Result, controller_steps, effects

__all__ = ["Defect", "imitate"]

Defect = Literal[
    "", "lost-on-kill", "lost-silently", "phantom", "gap", "duplicate", "reorder", "stale-get", "stale-list", "double-success",
    "half-done", "done-twice", "reused-revision", "bookmark-ahead", "wrong-conflict", "short-page", "dry-run-writes",
    "silent-resume", "groundless-410", "early-collection", "lost-patch", "leftover",
]  # fmt: skip

_NAMES = ("n0", "n1", "n2", "n3")
_HOLD = "soak.test/hold"
# How often a promise is broken.
_TIMES = 8


@dataclass(slots=True)
class _Watcher:
    selector: Selector
    start: int
    pending: deque[tuple[str, int, Version]] = field(default_factory=deque)
    events: list[Event] = field(default_factory=list)
    invoked: int = 0


@dataclass(slots=True)
class _Client:
    """Waits for an answer to what it asked; ``answer`` is there once the server is done with it."""

    write: tuple[Key, Change] | None = None
    read: Key | None = None
    lists: bool = False
    invoked: int = 0
    answer: Outcome | Version | Page | None = None
    is_answered: bool = False


class _Imitation:
    def __init__(self, seed: int, defect: Defect) -> None:
        self.rng = random.Random(seed)  # noqa: S311  # the same history for the same seed
        self.defect = defect
        self.order = 0
        self.revision = 10
        self.oldest = 10
        self.objects: dict[Key, Version] = {}
        self.past: list[tuple[int, Key, Version | None, Version | None]] = []
        self.before_kill: dict[Key, Version] = {}
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self.pages: list[Page] = []
        self.streams: list[Stream] = []
        self.expired: list[Expired] = []
        self.restarts: list[Restart] = []
        self.watchers = [self._watcher(selector) for selector in self.selectors()]
        self.uids = 0
        self.broken = 0

    @staticmethod
    def selectors() -> list[Selector]:
        return [Selector(), Selector("tier", "=", "a"), Selector("tier", "!=", "a"), Selector(name="n1")]

    def next(self) -> int:
        self.order += 1
        return self.order

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def breaks(self, defect: Defect, share: float = 0.3) -> bool:
        """Whether to break this promise now. It takes a few times: once can happen where nobody looks."""
        if self.defect != defect or self.broken == _TIMES or self.order < 300 or not self.chance(share):
            return False
        self.broken += 1
        return True

    # --- the server -----------------------------------------------------------------------------------------------

    def version(self, key: Key, state: State, revision: int) -> Version:
        return Version(key, revision, state, hashlib.sha256(f"{revision} {state}".encode()).digest())

    def store(self, key: Key, result: State | Gone) -> Version:
        """The next revision of an object, or of its deletion."""
        before = self.objects.get(key)
        self.revision += 0 if self.breaks("reused-revision") else 1
        if isinstance(result, Gone):
            assert before is not None
            found = self.version(
                key, replace(before.state, is_going=True, finalizers=frozenset()), self.revision
            )
            del self.objects[key]
        else:
            if not result.uid:
                self.uids += 1
                result = replace(result, uid=f"uid-{self.uids}")
            found = self.objects[key] = self.version(key, replace(result, grace=0), self.revision)
        after = self.objects.get(key)
        self.past.append((self.revision, key, before, after))
        for watcher in self.watchers:
            self.tell(watcher, found, before, after)
        return found

    def tell(self, watcher: _Watcher, found: Version, before: Version | None, after: Version | None) -> None:
        selects = watcher.selector.matches
        was = before is not None and selects(before.key, before.state)
        is_now = after is not None and selects(after.key, after.state)
        if not (was or is_now):
            return
        kind = "DELETED" if not is_now else "MODIFIED" if was else "ADDED"
        shown = found
        if not is_now and before is not None:
            shown = self.version(before.key, before.state, found.revision)
        if self.breaks("gap", 0.02):
            return
        watcher.pending.append((kind, found.revision, shown))
        if self.breaks("duplicate", 0.02):
            watcher.pending.append((kind, found.revision, shown))
        if len(watcher.pending) > 1 and self.breaks("reorder"):
            watcher.pending[-1], watcher.pending[-2] = watcher.pending[-2], watcher.pending[-1]

    def apply(self, key: Key, change: Change) -> Outcome:
        here = self.objects.get(key)
        is_stale = here is not None and change.revision != here.revision and change.uid == here.state.uid
        if here is not None and change.revision is not None and is_stale and self.breaks("double-success", 1):
            change = replace(change, revision=here.revision)
        if change.verb in {"merge", "json"} and here is not None and self.breaks("lost-patch"):
            earlier = [after for _, one, _, after in self.past if one == key and after is not None]
            mine = [one for one in earlier if one.state.uid == here.state.uid and one.state != here.state]
            result = self.chosen(key, change, mine[-1]) if mine else None
            if isinstance(result, State):
                return self.outcome(self.store(key, result))
            self.broken -= 1
        result = self.chosen(key, change, here)
        if change.revision is not None and isinstance(result, State) and self.breaks("wrong-conflict"):
            return Outcome("refused", code=409, reason="Conflict")
        if isinstance(result, Refused):
            codes = {"NotFound": 404, "AlreadyExists": 409, "Conflict": 409, "Invalid": 422}
            return Outcome("refused", code=codes[result.reason], reason=result.reason)
        if change.is_dry and not self.breaks("dry-run-writes", 1):
            return Outcome("stored")
        if isinstance(result, State) and here is not None and result.is_like(here.state):
            return self.outcome(here)
        found = self.store(key, result)
        if isinstance(result, Gone) and change.verb == "delete":
            return Outcome("gone", uid=found.state.uid)
        if change.is_dry:
            return Outcome("stored")
        return Outcome("gone" if isinstance(result, Gone) else "stored", found, found.state.uid)

    def chosen(self, key: Key, change: Change, here: Version | None) -> Result:
        state, revision = (None, None) if here is None else (here.state, here.revision)
        return self.rng.choice(effects(key, change, state, revision))

    @staticmethod
    def outcome(found: Version) -> Outcome:
        return Outcome("stored", found, found.state.uid)

    def control(self) -> None:
        """One step of a controller, where there is any."""
        living = {one.state.uid: one for one in self.objects.values()}

        def is_leaving(uid: str) -> bool:
            return uid not in living or living[uid].state.is_going

        for key, version in sorted(self.objects.items()):
            owners = version.state.owners
            if owners and not is_leaving(min(owners)) and self.breaks("early-collection", 0.2):
                self.store(key, GONE)
                return
            if owners and self.defect == "leftover":
                continue
            steps = [
                step
                for step in controller_steps(key, version.state, is_leaving)
                if isinstance(step, Gone) or step != version.state
            ]
            if steps:
                self.store(key, self.rng.choice(steps))
                return

    def listed(self, revision: int) -> dict[Key, Version]:
        """What was there at a past revision."""
        found = dict(self.objects)
        for at, key, before, _ in reversed(self.past):
            if at <= revision:
                break
            if before is None:
                found.pop(key, None)
            else:
                found[key] = before
        return found

    def page(self, invoked: int) -> Page:
        selector = self.rng.choice(self.selectors())
        stated = self.revision
        shown = stated - 6 if self.breaks("stale-list", 1) else stated
        items = [one for key, one in sorted(self.listed(shown).items()) if selector.matches(key, one.state)]
        limit = self.rng.choice((0, 2))
        rest = max(0, len(items) - limit) if limit else 0
        if limit:
            items = items[:limit]
        if len(items) > 1 and self.breaks("short-page"):
            del items[0]
            limit, rest = 0, 0
        return Page(
            "configmaps", "x", selector, invoked, 0, stated, tuple(items), limit=limit, more=rest > 0,
            remaining=rest if rest and not selector.has_labels and not selector.name else None,
        )  # fmt: skip

    def kill(self, clients: list[_Client]) -> None:
        killed = self.next()
        if self.breaks("lost-on-kill", 1) or self.breaks("lost-silently", 1):
            self.forget()
        for client in clients:
            if client.write is not None:
                key, change = client.write
                if not client.is_answered and self.breaks("half-done", 1):
                    self.half(key, change)
                elif client.is_answered and self.breaks("done-twice", 1):
                    self.again(key)
                self.record(client, Outcome("lost"))
            client.write = client.read = None
            client.lists = client.is_answered = False
        self.oldest = self.revision
        ready = self.next()
        self.restarts.append(Restart(killed, ready))
        for watcher in self.watchers:
            self.end(watcher)
        self.watchers = [self._resumed(watcher) for watcher in self.watchers]

    def forget(self) -> None:
        """The last writes had not reached the disk."""
        for revision, key, before, _ in reversed(self.past[-6:]):
            if before is None:
                self.objects.pop(key, None)
            else:
                self.objects[key] = before
            if self.defect == "lost-on-kill":
                self.revision = min(self.revision, revision - 1)
        del self.past[-6:]

    def half(self, key: Key, change: Change) -> None:
        here = self.objects.get(key)
        if here is None or len(change.fields) < 2 or change.verb in {"create", "delete"}:
            self.broken -= 1
            return
        path = ("cell", "op")
        managers = {**(here.state.managers or {}), path: frozenset([(change.manager, "Update")])}
        fields = {**here.state.fields, path: change.fields[path]}
        self.store(key, replace(here.state, fields=fields, managers=managers))

    def again(self, key: Key) -> None:
        """What was done and not answered is done once more after the restart, over what came later."""
        here = self.objects.get(key)
        if here is None or here.state.is_going:
            self.broken -= 1
            return
        path = ("cell", "k0")
        managers = {**(here.state.managers or {}), path: frozenset([("c", "Update")])}
        self.store(key, replace(here.state, fields={**here.state.fields, path: "again"}, managers=managers))

    # --- the clients ----------------------------------------------------------------------------------------------

    def _watcher(self, selector: Selector) -> _Watcher:
        return _Watcher(selector, self.revision, invoked=self.next())

    def _resumed(self, watcher: _Watcher) -> _Watcher:
        """A watch goes on where it was, or begins anew with a list where the server no longer knows."""
        last = max((event.revision for event in watcher.events), default=watcher.start)
        if last < self.oldest:
            if not watcher.selector.has_labels and self.breaks("silent-resume", 1):
                return replace(self._watcher(watcher.selector), start=last)
            self.expired.append(Expired("watch", last, self.next(), self.next()))
        items = tuple(
            one for key, one in sorted(self.objects.items()) if watcher.selector.matches(key, one.state)
        )
        page = Page("configmaps", "", watcher.selector, self.next(), self.next(), self.revision, items)
        self.pages.append(page)
        return self._watcher(watcher.selector)

    def end(self, watcher: _Watcher) -> None:
        self.streams.append(
            Stream("configmaps", "", watcher.selector, watcher.invoked, watcher.start, tuple(watcher.events))
        )

    def receive(self, watcher: _Watcher) -> None:
        if watcher.pending:
            if len(watcher.pending) > 1 and self.breaks("bookmark-ahead"):
                watcher.events.append(Event(self.next(), "BOOKMARK", self.revision, None))
            kind, revision, version = watcher.pending.popleft()
            watcher.events.append(Event(self.next(), kind, revision, version))
        elif self.chance(0.1):
            watcher.events.append(Event(self.next(), "BOOKMARK", self.revision, None))

    def ask(self, client: _Client) -> None:
        client.invoked = self.next()
        key = Key("configmaps", "x", self.rng.choice(_NAMES))
        dice = self.rng.random()
        if dice < 0.15:
            client.read = key
        elif dice < 0.25:
            client.lists = True
        else:
            client.write = (key, self.wish(key, client.invoked))

    def wish(self, key: Key, number: int) -> Change:
        rng = self.rng
        here = self.objects.get(key)
        token = {("cell", "op"): str(number), ("cell", f"k{rng.randrange(3)}"): str(number)}
        label = {("label", "tier"): rng.choice("abc")} if self.chance(0.5) else {}
        fields = {**token, **label}
        if here is None:
            others = [one.state.uid for one in self.objects.values()]
            owners = frozenset([rng.choice(others)]) if others and self.chance(0.5) else frozenset()
            hold = frozenset([_HOLD]) if self.chance(0.3) else frozenset()
            return Change("create", "c", fields, finalizers=hold, owners=owners)
        if here.state.is_going:
            return Change("merge", "c", token, finalizers=frozenset())
        match rng.randrange(7):
            case 0:
                return Change("delete", policy=rng.choice((None, "Background", "Foreground", "Orphan")))
            case 1 | 2:
                past = [one for _, at, _, one in self.past[-12:] if at == key and one is not None]
                seen = rng.choice([*past, here, here])
                return Change(
                    "put", "p", {**seen.state.fields, **fields}, finalizers=seen.state.finalizers,
                    owners=seen.state.owners, revision=seen.revision, uid=seen.state.uid,
                )  # fmt: skip
            case 3:
                return Change("apply", f"a{rng.randrange(2)}", token, is_forced=self.chance(0.5))
            case 4:
                drop = frozenset([("cell", f"k{rng.randrange(3)}")])
                return Change("json", "j", {("cell", "op"): str(number)}, drop=drop)
            case 5:
                return Change("merge", "m", fields, is_dry=self.chance(0.2))
            case _:
                return Change("merge", "m", fields)

    def serve(self, client: _Client) -> None:
        client.is_answered = True
        if client.write is not None:
            client.answer = self.apply(*client.write)
        elif client.read is not None:
            client.answer = self.objects.get(client.read)
            old = [one for _, key, one, _ in self.past[:-8] if key == client.read and one is not None]
            if old and self.breaks("stale-get"):
                client.answer = old[-1]
        else:
            client.answer = self.page(client.invoked)

    def record(self, client: _Client, outcome: Outcome) -> None:
        assert client.write is not None
        key, change = client.write
        self.writes.append(Write(client.invoked, key, change, client.invoked, self.next(), outcome))

    def hear(self, client: _Client) -> None:
        answer = client.answer
        if isinstance(answer, Outcome):
            self.record(client, answer)
        elif isinstance(answer, Page):
            self.pages.append(replace(answer, completed=self.next()))
        elif client.read is not None:
            self.reads.append(Read(client.read, client.invoked, self.next(), answer))
        client.write = client.read = None
        client.lists = client.is_answered = False

    def step(self, clients: list[_Client]) -> None:
        client = self.rng.choice(clients)
        if client.is_answered:
            self.hear(client)
        elif client.write is not None or client.read is not None or client.lists:
            self.serve(client)
        else:
            self.ask(client)
        if self.chance(0.3):
            self.control()
        if self.objects and self.breaks("phantom", 0.05):
            key = self.rng.choice(sorted(self.objects))
            state = self.objects[key].state
            self.store(key, replace(state, fields={**state.fields, ("cell", "k0"): "out of nowhere"}))
        if self.breaks("groundless-410", 0.05):
            self.expired.append(Expired("watch", self.revision - 1, self.next(), self.next()))
        for watcher in self.watchers:
            if self.chance(0.4):
                self.receive(watcher)

    def run(self, steps: int) -> History:
        clients = [_Client() for _ in range(4)]
        for _ in range(steps):
            self.step(clients)
            if self.chance(0.006):
                self.kill(clients)
        self.settle(clients)
        return History(
            frozenset("x"), tuple(self.writes), tuple(self.reads), tuple(self.pages), tuple(self.streams),
            tuple(self.expired), tuple(self.restarts),
        )  # fmt: skip

    def settle(self, clients: list[_Client]) -> None:
        for client in clients:
            if client.is_answered:
                self.hear(client)
            elif client.write is not None:
                self.record(client, Outcome("lost"))
        for _ in range(200):
            self.control()
        for watcher in self.watchers:
            while watcher.pending:
                self.receive(watcher)
            self.end(watcher)
        items = tuple(one for _, one in sorted(self.objects.items()))
        invoked = self.next()
        self.pages.append(
            Page("configmaps", "x", Selector(), invoked, self.next(), self.revision, items, is_last=True)
        )


def imitate(seed: int, defect: Defect = "", steps: int = 3000) -> History:
    """A history of some thousand requests with a few restarts; with a defect, of a server that breaks one promise."""
    return _Imitation(seed, defect).run(steps)
