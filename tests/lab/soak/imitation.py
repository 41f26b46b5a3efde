"""Histories made without a lab: a small server of our own answers clients in a random order.

The checker is tried on them. What the server does to objects is the model's, so that its histories show whether the checker
reads a history rightly; whether the model is Kubernetes', the real clients show against the lab.
"""

from dataclasses import dataclass, replace

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
    Stream,
    Version,
    Write,
)
from tests.lab.soak.imitated_server import HOLD, Defect, Feed, Server

__all__ = ["Defect", "imitate"]

_NAMES = ("n0", "n1", "n2", "n3")


@dataclass(slots=True)
class _Client:
    """Waits for an answer to what it asked; ``answer`` is there once the server is done with it."""

    write: tuple[Key, Change] | None = None
    read: Key | None = None
    lists: bool = False
    invoked: int = 0
    answer: Outcome | Version | Page | None = None
    is_answered: bool = False


class _Imitation(Server):
    def __init__(self, seed: int, defect: Defect) -> None:
        super().__init__(seed, defect)
        self.oldest = self.revision
        self.writes: list[Write] = []
        self.reads: list[Read] = []
        self.pages: list[Page] = []
        self.streams: list[Stream] = []
        self.expired: list[Expired] = []
        self.restarts: list[Restart] = []
        self.watchers = [self._watcher(selector) for selector in self.selectors()]

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

    def _watcher(self, selector: Selector) -> Feed:
        return Feed(selector, self.revision, invoked=self.next())

    def _resumed(self, watcher: Feed) -> Feed:
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

    def end(self, watcher: Feed) -> None:
        self.streams.append(
            Stream("configmaps", "", watcher.selector, watcher.invoked, watcher.start, tuple(watcher.events))
        )

    def receive(self, watcher: Feed) -> None:
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
            hold = frozenset([HOLD]) if self.chance(0.3) else frozenset()
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


def imitate(seed: int, defect: Defect = "", steps: int = 2000) -> History:
    """A history of some thousand requests with a few restarts; with a defect, of a server that breaks one promise."""
    return _Imitation(seed, defect).run(steps)
