"""Whether a history keeps the API server's promises. A pure function of the history.

No acknowledged write is lost and none comes from nowhere; what is read was there at the revision that is stated, and never older
than what was known before the question; a watch tells every change of what it selects once, in order, up to where it has come;
of two writers with one resourceVersion one at most succeeds; a refusal has its reason; revisions never go back, and each is of
one change.
"""

from collections.abc import Iterator
from itertools import pairwise

from tests.lab.soak.causes import explain
from tests.lab.soak.history import History, Key, Page, Version, Write
from tests.lab.soak.model import Refused, effects
from tests.lab.soak.streams import check_streams
from tests.lab.soak.truth import Entry, Truth, Violation, pages_of

__all__ = ["Violation", "check"]


def check(history: History) -> list[Violation]:
    """Every promise that was broken; none, where the history is one of a server that keeps them."""
    truth = Truth(history)
    found = [*truth.violations, *explain(truth)]
    found += _unseen(truth)
    found += _times(truth)
    found += _writes(truth)
    found += _reads(truth)
    for page in pages_of(history):
        found += _page(truth, page)
    found += check_streams(truth)
    found += _expired(truth)
    for page in history.pages:
        if page.is_last:
            found += _left(truth, page)
    return found


# --- writes -------------------------------------------------------------------------------------------------------


def _unseen(truth: Truth) -> Iterator[Violation]:
    for chain in truth.chains.values():
        for after in chain:
            if not after.is_exact and truth.covers(after.key, after.low - 1, after.high):
                yield Violation(
                    "gap", f"no watch told of the deletion of {after.key} of uid {after.uid} by {after.high}"
                )
    for uid, writes in truth.ends.items():
        if len(writes) > 1:
            yield Violation("double-success", f"{' and '.join(map(str, writes))} all deleted uid {uid}")
        created = any(
            write.key == writes[0].key
            and write.outcome.kind == "lost"
            and write.change.verb in {"create", "apply"}
            for write in truth.history.writes
        )
        if uid not in truth.live_uids and not created:
            yield Violation("phantom", f"{writes[0]} deleted uid {uid}, which nobody can have created")


def _times(truth: Truth) -> Iterator[Violation]:
    """What is created later is not younger: the server's clock goes on over its restarts."""
    created = [
        write.outcome.version
        for write in truth.history.writes
        if write.change.verb == "create" and write.outcome.version is not None
    ]
    created.sort(key=lambda version: version.revision)
    for before, after in pairwise(created):
        if after.created < before.created:
            yield Violation(
                "time-backwards",
                f"{after.key} was created at {after.created} as revision {after.revision}, {before.key} at {before.created} as "
                f"{before.revision}",
            )


def _writes(truth: Truth) -> Iterator[Violation]:
    for write in truth.history.writes:
        outcome = write.outcome
        if outcome.kind == "refused":
            yield from _refusal(truth, write)
        elif outcome.version is not None:
            version = outcome.version
            found, _ = truth.between(write.key, write.invoked, write.completed)
            if not any(
                entry.version is version
                or (entry.is_exact and (entry.low, entry.uid) == (version.revision, version.state.uid))
                for entry in found
            ):
                yield Violation(
                    "stale-read",
                    f"{write} was answered with revision {version.revision}, which was no longer, or not yet, there: "
                    f"{_told(found)}",
                )
        elif outcome.kind == "done":
            since = truth.leaving.get(outcome.uid)
            if since is None or since > truth.orders.bound(write.completed):
                yield Violation("lost-write", f"{write}: uid {outcome.uid} stayed")


def _refusal(truth: Truth, write: Write) -> Iterator[Violation]:
    outcome = write.outcome
    if outcome.code >= 500 or outcome.code == 429:
        yield Violation("server-error", f"{write}: {outcome.code} {outcome.message}")
        return
    found, is_hidden = truth.between(write.key, write.invoked, write.completed)
    if is_hidden:
        return
    wanted = Refused(outcome.reason)
    for entry in found:
        revision = entry.low if entry.is_exact else None
        if wanted in effects(write.key, write.change, entry.state, revision):
            return
    yield Violation(
        "wrong-refusal",
        f"{write} was refused with {outcome.code} {outcome.reason} ({outcome.message}), but there was {_told(found)}; "
        f"it wanted {write.change}",
    )


# --- reads --------------------------------------------------------------------------------------------------------


def _reads(truth: Truth) -> Iterator[Violation]:
    for read in truth.history.reads:
        found, is_hidden = truth.between(read.key, read.invoked, read.completed)
        if read.version is None:
            if is_hidden or any(entry.version is None for entry in found):
                continue
            yield Violation(
                "lost-write", f"GET {read.key} at {read.invoked} finds nothing, but there was {_told(found)}"
            )
        elif not any(entry.version is not None and entry.low == read.version.revision for entry in found):
            yield Violation(
                "stale-read",
                f"GET {read.key} at {read.invoked} finds revision {read.version.revision}, but there was {_told(found)}",
            )


def _page(truth: Truth, page: Page) -> Iterator[Violation]:
    name = f"list of {page.namespace or 'all'} {page.resource} at revision {page.revision} (asked at {page.invoked})"
    known = truth.orders.known(page.invoked)
    if page.is_newest and page.revision < known:
        yield Violation("backwards", f"{name}: {known} was known before")
    places = [item.key[1:] for item in page.items]
    if places != sorted(set(places)):
        yield Violation("order", f"{name} is not in the order of names: {places}")
    if page.limit and (len(places) > page.limit or (page.more and len(places) != page.limit)):
        yield Violation(
            "order", f"{name} has {len(places)} objects of {page.limit}; is there more: {page.more}"
        )
    shown = {item.key: item for item in page.items}
    least = most = 0
    for key, possible in _scope(truth, page):
        if page.more and places and key[1:] > places[-1]:
            least += all(_shown(page, entry) for entry in possible)
            most += any(_shown(page, entry) for entry in possible)
        else:
            yield from _item(page, name, possible, shown.pop(key, None))
    if page.more and page.remaining is not None and not least <= page.remaining <= most:
        kind = "lost-write" if page.remaining < least else "phantom"
        yield Violation(kind, f"{name}: {page.remaining} are said to remain, {least} to {most} do")
    for key in shown:
        yield Violation("phantom", f"{name} shows {key}, which is none of its own")


def _scope(truth: Truth, page: Page) -> Iterator[tuple[Key, list[Entry]]]:
    """Names that the page can be about, with what they can have held."""
    for key in truth.chains:
        if key.resource == page.resource and page.namespace in {"", key.namespace}:
            if page.after is not None and key[1:] <= page.after:
                continue
            yield key, truth.at(key, page.revision)


def _shown(page: Page, entry: Entry) -> bool:
    return entry.version is not None and page.selector.matches(entry.key, entry.version.state)


def _item(page: Page, name: str, possible: list[Entry], item: Version | None) -> Iterator[Violation]:
    fits = [entry for entry in possible if _shown(page, entry)]
    if item is None:
        if len(fits) == len(possible):
            yield Violation("lost-write", f"{name} lacks {fits[0].key}: there was {_told(fits)}")
    elif not any(entry.low == item.revision for entry in fits):
        is_older = all(item.revision < entry.low for entry in possible)
        yield Violation(
            "stale-read" if is_older else "phantom",
            f"{name} shows {item.key} at {item.revision}, but there was {_told(possible)}",
        )


def _left(truth: Truth, page: Page) -> Iterator[Violation]:
    """What controllers should have dealt with long ago."""
    living = {item.state.uid for other in truth.history.pages if other.is_last for item in other.items}
    for item in page.items:
        if item.key.namespace not in truth.history.namespaces:
            continue
        state = item.state
        if state.owners and not state.owners & living:
            yield Violation(
                "garbage", f"{item.key} is left, and all its owners are gone: {sorted(state.owners)}"
            )
        if state.is_going and not {one for one in state.finalizers if one.startswith("soak.test/")}:
            yield Violation("garbage", f"{item.key} never went: {state}")


def _expired(truth: Truth) -> Iterator[Violation]:
    """410 needs a reason: a restart since, or a revision that lies far back."""
    for one in truth.history.expired:
        known = truth.orders.known(one.completed)
        is_cut = any(
            restart.killed <= one.completed and one.revision <= truth.orders.known(restart.ready)
            for restart in truth.history.restarts
        )
        if not is_cut and known - one.revision < truth.history.window:
            yield Violation(
                "expired",
                f"{one.what} from {one.revision} at {one.invoked} is too old, but {known} was the newest",
            )


def _told(entries: list[Entry]) -> str:
    return (
        ", ".join(
            f"{'nothing' if entry.version is None else entry.state} since {entry.low}"
            + ("" if entry.is_exact else f"..{entry.high}")
            for entry in entries[:4]
        )
        or "nothing that was known"
    )
