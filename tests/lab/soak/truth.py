"""What happened, from all that was seen: for every name the chain of its changes, each at its revision.

Where a watch over everything ran, the chain is whole. Between the last event before a kill and the first list after it,
changes can have happened that nobody saw: a change there is `not certain` to follow the one before it, and a deletion may
be known by its consequences only, with bounds instead of a revision.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from tests.lab.soak.history import History, Key, Page, State, Version, Write
from tests.lab.soak.orders import NEVER, Orders

__all__ = ["Entry", "Truth", "Violation", "pages_of"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken."""

    kind: str
    text: str


@dataclass(slots=True, eq=False)
class Entry:
    """A change of one name.

    Attributes:
        low, high: bounds of its revision, equal where it was seen.
        version: what is there from then on; None where nothing is.
        uid: of what is there, or was until then.
        is_certain: nothing happened to the name between the change before and this one.
        begun: it cannot have happened before this place in the order.
    """

    key: Key
    low: int
    high: int
    version: Version | None
    uid: str = ""
    is_certain: bool = True
    begun: int = 0

    @property
    def is_exact(self) -> bool:
        return self.low == self.high

    @property
    def state(self) -> State | None:
        return None if self.version is None else self.version.state


def pages_of(history: History) -> list[Page]:
    """All lists, those too with which watches began."""
    return list(history.pages) + [
        Page(
            one.resource,
            one.namespace,
            one.selector,
            one.invoked,
            one.invoked,
            one.start,
            one.initial,
            is_newest=False,
        )
        for one in history.streams
        if one.initial is not None
    ]


@dataclass(slots=True)
class _Evidence:
    """Versions and deletions that somebody saw, by revision."""

    versions: dict[int, Version] = field(default_factory=dict)
    deleted: dict[int, Version] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    def live(self, version: Version) -> None:
        known = self.versions.setdefault(version.revision, version)
        self._compare(known, version, is_same=known.digest == version.digest)

    def gone(self, version: Version) -> None:
        """An answer shows the object without what held it, a watch as it was before: only who it is can be compared."""
        known = self.deleted.setdefault(version.revision, version)
        self._compare(known, version, is_same=known.state.uid == version.state.uid)

    def _compare(self, known: Version, version: Version, *, is_same: bool) -> None:
        if known.key != version.key or not is_same:
            self.violations.append(
                Violation(
                    "reused-revision",
                    f"revision {version.revision} is of two things: {known.key} and {version.key}",
                )
            )


def _versions(history: History) -> Iterator[Version]:
    yield from (one.version for one in history.reads if one.version is not None)
    for page in pages_of(history):
        yield from page.items


def _evidence(history: History) -> _Evidence:
    found = _Evidence()
    for write in history.writes:
        version = write.outcome.version
        if version is not None:
            (found.gone if write.outcome.kind == "gone" else found.live)(version)
    for version in _versions(history):
        found.live(version)
    for stream in history.streams:
        for event in stream.events:
            if event.version is None:
                continue
            if event.kind != "DELETED":
                found.live(event.version)
            elif not stream.selector.has_labels:
                found.gone(event.version)
    for revision in found.versions.keys() & found.deleted.keys():
        found.violations.append(
            Violation(
                "reused-revision",
                f"revision {revision} is of a write to {found.versions[revision].key} and of the deletion of "
                f"{found.deleted[revision].key}",
            )
        )
    return found


class Truth:
    """Chains of changes by name, and what can be asked about them."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.orders = Orders(history)
        evidence = _evidence(history)
        self.violations = evidence.violations
        self.ends: dict[str, list[Write]] = defaultdict(list)
        for write in history.writes:
            if write.outcome.kind == "gone":
                self.ends[write.outcome.uid].append(write)
        self._covered = _covered(history)
        self.live_uids = {version.state.uid for version in evidence.versions.values()}
        self.chains = self._chains(evidence)
        self._highs = {key: [entry.high for entry in chain] for key, chain in self.chains.items()}
        # From which revision on an object can have been going or gone.
        self.leaving: dict[str, int] = {}
        for chain in self.chains.values():
            for before, after in pairwise(chain):
                if after.version is None or after.version.state.is_going:
                    since = after.low if after.is_certain else before.low + 1
                    self.leaving[after.uid] = min(since, self.leaving.get(after.uid, NEVER))
        changes: dict[str, list[tuple[Entry, Entry]]] = defaultdict(list)
        for key, chain in self.chains.items():
            changes[key.resource] += pairwise(chain)
        self._changes = {
            resource: sorted(found, key=lambda one: one[1].high) for resource, found in changes.items()
        }
        self._change_highs = {
            resource: [after.high for _, after in found] for resource, found in self._changes.items()
        }

    # --- building -------------------------------------------------------------------------------------------------

    def _chains(self, evidence: _Evidence) -> dict[Key, list[Entry]]:
        by_key: dict[Key, list[tuple[int, Version, bool]]] = defaultdict(list)
        for revision, version in evidence.versions.items():
            by_key[version.key].append((revision, version, False))
        for revision, version in evidence.deleted.items():
            by_key[version.key].append((revision, version, True))
        pages: dict[str, list[Page]] = defaultdict(list)
        for page in pages_of(self.history):
            pages[page.resource].append(page)
        return {
            key: self._chain(key, sorted(found, key=lambda one: one[0]), pages[key.resource])
            for key, found in by_key.items()
        }

    def _chain(self, key: Key, found: list[tuple[int, Version, bool]], pages: list[Page]) -> list[Entry]:
        chain = [Entry(key, 0, 0, None)]
        dead: set[str] = set()
        for revision, version, is_end in found:
            uid = version.state.uid
            last = chain[-1]
            if uid in dead:
                self.violations.append(
                    Violation(
                        "phantom", f"{key} of uid {uid} is there again at {revision}, after its deletion"
                    )
                )
            if last.version is not None and last.uid != uid:
                chain.append(self._unseen_end(last, revision - 1, pages))
                dead.add(last.uid)
            if is_end:
                dead.add(uid)
            chain.append(Entry(key, revision, revision, None if is_end else version, uid))
        last = chain[-1]
        if last.version is not None:
            end = self._unseen_end(last, NEVER, pages)
            if end.high < NEVER:
                chain.append(end)
        for before, after in pairwise(chain):
            after.is_certain = before.is_exact and after.is_exact and self.covers(key, before.low, after.low)
        return chain

    def _unseen_end(self, last: Entry, until: int, pages: list[Page]) -> Entry:
        """When an object went whose deletion nobody saw; never, where nothing says that it did."""
        low, high = last.low, until
        place = last.key[1:]
        for page in pages:
            if page.namespace not in {"", last.key.namespace} or page.revision < last.low:
                continue
            item = next((one for one in page.items if one.key == last.key), None)
            if item is not None and item.state.uid == last.uid:
                low = max(low, page.revision)
            elif item is None and _would_show(page, place):
                high = min(high, page.revision)
        for write in self.ends.get(last.uid, ()):
            low = max(low, self.orders.known(write.invoked))
            # It is gone, even if nobody has looked since.
            high = min(high, self.orders.bound(write.completed), NEVER - 1)
        if low >= high:
            self.violations.append(
                Violation(
                    "lost-write",
                    f"{last.key} of uid {last.uid} was there at revision {low} and is not at {high}: there is no room for its "
                    "deletion",
                )
            )
        return Entry(last.key, min(low + 1, high), high, None, last.uid)

    # --- asking ---------------------------------------------------------------------------------------------------

    def covers(self, key: Key, start: int, end: int) -> bool:
        """Whether a watch over everything would have shown each change of a name within (start, end]."""
        spans = self._covered.get(key.resource, [])
        index = bisect_right(spans, (start, NEVER)) - 1
        return index >= 0 and spans[index][0] <= start and end <= spans[index][1]

    def changes(self, resource: str, start: int, end: int) -> Iterator[tuple[Entry, Entry]]:
        """Changes and what was before them, whose revision is within (start, end], in order."""
        highs = self._change_highs.get(resource, [])
        found = self._changes.get(resource, [])
        yield from found[bisect_right(highs, start) : bisect_right(highs, end)]

    def at(self, key: Key, revision: int) -> list[Entry]:
        """What a name can have held at a revision: one entry, or more where the time of a change is not known."""
        return self._within(key, revision, revision)[0]

    def between(self, key: Key, invoked: int, completed: int) -> tuple[list[Entry], bool]:
        """What a request can have found; and whether something unseen may have been there as well."""
        found, is_hidden = self._within(key, self.orders.known(invoked), self.orders.bound(completed))
        return [entry for entry in found if entry.begun < completed], is_hidden

    def _within(self, key: Key, low: int, high: int) -> tuple[list[Entry], bool]:
        chain = self.chains.get(key)
        if chain is None:
            return [Entry(key, 0, 0, None)], False
        # The last entry that had surely begun is the first that can have been.
        first = max(0, bisect_right(self._highs[key], low) - 1)
        last = first
        is_hidden = False
        while last + 1 < len(chain):
            is_hidden |= not chain[last + 1].is_certain
            if chain[last + 1].low > high:
                break
            last += 1
        return chain[first : last + 1], is_hidden


def _would_show(page: Page, place: tuple[str, str]) -> bool:
    """Whether a page reaches over a place, whatever is there."""
    if page.selector.has_labels or (page.selector.name and page.selector.name != place[1]):
        return False
    if page.after is not None and place <= page.after:
        return False
    return not page.more or (bool(page.items) and place <= page.items[-1].key[1:])


def _covered(history: History) -> dict[str, list[tuple[int, int]]]:
    """Ranges of revisions in which a watch over everything ran, by resource, joined where they touch.

    Nothing of the soak's own is there before its first watch, so that all revisions before count as watched.
    """
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for stream in history.streams:
        if not stream.namespace and not stream.selector.has_labels and not stream.selector.name:
            spans[stream.resource].append((stream.start, stream.end))
    joined: dict[str, list[tuple[int, int]]] = {}
    for resource, found in spans.items():
        found.sort()
        found[0] = (0, found[0][1])
        whole: list[tuple[int, int]] = []
        for start, end in found:
            if whole and start <= whole[-1][1]:
                whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
            else:
                whole.append((start, end))
        joined[resource] = whole
    return joined
