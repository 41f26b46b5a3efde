"""Whether each watch told exactly what happened to what it selects, from where it began to where it had come."""

from collections.abc import Iterator

from tests.lab.soak.history import Event, State, Stream
from tests.lab.soak.truth import Entry, Truth, Violation

__all__ = ["check_streams"]


def check_streams(truth: Truth) -> Iterator[Violation]:
    """Gaps, repetitions, wrong order, events of what did not happen."""
    for stream in truth.history.streams:
        yield from _order(stream)
        yield from _content(truth, stream)


def _name(stream: Stream) -> str:
    return f"watch of {stream.namespace or 'all'} {stream.resource} {stream.selector} from {stream.start} (at {stream.invoked})"


def _order(stream: Stream) -> Iterator[Violation]:
    last = stream.start
    for event in stream.events:
        is_bookmark = event.version is None
        if event.revision < last:
            yield Violation("order", f"{_name(stream)}: {event.kind} of {event.revision} comes after {last}")
        elif event.revision == last and not is_bookmark:
            kind = "order" if last == stream.start else "duplicate"
            yield Violation(kind, f"{_name(stream)}: {event.kind} of {event.revision} comes again")
        last = max(last, event.revision)


def _content(truth: Truth, stream: Stream) -> Iterator[Violation]:
    told: dict[int, Event] = {}
    for event in stream.events:
        if event.version is not None:
            told.setdefault(event.revision, event)
    for before, after in truth.changes(stream.resource, stream.start, stream.end):
        if stream.namespace not in {"", after.key.namespace} or before.low > stream.end:
            continue
        yield from _change(stream, before, after, told.pop(after.low, None) if after.is_exact else None)
    for event in told.values():
        # What an object became that left the selection just before a kill, nobody may have seen.
        is_seen = event.version is not None and truth.covers(
            event.version.key, event.revision - 1, event.revision
        )
        if event.revision > stream.start and (is_seen or event.kind != "DELETED"):
            yield Violation(
                "phantom", f"{_name(stream)}: {event.kind} at {event.revision} is of nothing that it selects"
            )


def _change(stream: Stream, before: Entry, after: Entry, event: Event | None) -> Iterator[Violation]:
    was, is_now = _selects(stream, before), _selects(stream, after)
    if after.is_certain:
        wanted = {(True, True): "MODIFIED", (False, True): "ADDED", (True, False): "DELETED"}.get(
            (was, is_now)
        )
        allowed = {wanted}
    elif is_now:
        allowed = {"ADDED", "MODIFIED"}
    else:
        # The deletion may lie before the watch, or what was there last may not have been selected.
        allowed = {"DELETED", None}
    found = None if event is None else event.kind
    if found in allowed:
        if event is not None and event.kind == "DELETED" and after.version is not None and after.is_certain:
            yield from _leave(stream, before.state, event)
        return
    kind = "gap" if event is None else "phantom"
    yield Violation(
        kind,
        f"{_name(stream)}: {found} at {after.high} for {after.key}, expected {'/'.join(map(str, sorted(allowed, key=str)))}: "
        f"{before.state} -> {after.state}",
    )


def _selects(stream: Stream, entry: Entry) -> bool:
    return entry.version is not None and stream.selector.matches(entry.key, entry.version.state)


def _leave(stream: Stream, before: State | None, event: Event) -> Iterator[Violation]:
    """What leaves a selection is told as it was while it was selected."""
    if before is not None and event.version is not None and event.version.state.fields != before.fields:
        yield Violation(
            "wrong-content",
            f"{_name(stream)}: DELETED at {event.revision} shows {event.version.state.fields}, last was {before.fields}",
        )
