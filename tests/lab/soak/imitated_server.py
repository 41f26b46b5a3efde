"""A small API server of our own, in memory, that breaks a promise when told to. What it does to objects is the model's."""

import hashlib
import random
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.lab.soak.history import Change, Event, Key, Outcome, Page, Selector, State, Version
from tests.lab.soak.model import GONE, Gone, Refused, Result, controller_steps, effects

__all__ = ["HOLD", "Defect", "Feed", "Server"]

Defect = Literal[
    "", "lost-on-kill", "lost-silently", "phantom", "gap", "duplicate", "reorder", "stale-get", "stale-list", "double-success",
    "half-done", "done-twice", "reused-revision", "bookmark-ahead", "wrong-conflict", "short-page", "dry-run-writes",
    "silent-resume", "groundless-410", "early-collection", "lost-patch", "leftover",
]  # fmt: skip
HOLD = "soak.test/hold"
# How often a promise is broken.
_TIMES = 8


@dataclass(slots=True)
class Feed:
    """A watch, and what is on its way to its reader."""

    selector: Selector
    start: int
    pending: deque[tuple[str, int, Version]] = field(default_factory=deque)
    events: list[Event] = field(default_factory=list)
    invoked: int = 0


class Server:
    """Objects, revisions, controllers and feeds; and the count that orders everything."""

    def __init__(self, seed: int, defect: Defect) -> None:
        self.rng = random.Random(seed)  # noqa: S311  # the same history for the same seed
        self.defect = defect
        self.order = 0
        self.revision = 10
        self.objects: dict[Key, Version] = {}
        self.past: list[tuple[int, Key, Version | None, Version | None]] = []
        self.uids = 0
        self.broken = 0
        self.watchers: list[Feed] = []

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

    def tell(self, watcher: Feed, found: Version, before: Version | None, after: Version | None) -> None:
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
