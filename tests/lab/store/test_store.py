"""The store keeps every acknowledged write, tells of each once and in order, and remembers a window of the past."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.lab.store import Key, Store, TooOldError

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "delete"]), st.sampled_from(["x", "y"]), _NAMES), max_size=60
)


def _object(name: str, value: int = 0) -> dict[str, object]:
    return {"metadata": {"name": name}, "value": value}


def _names(store: Store, revision: int | None = None, namespace: str = "") -> list[tuple[str, str]]:
    if revision is None:
        return [place for place, _ in store.scan("things", namespace)]
    return [place for place, _ in store.scan_at(revision, "things", namespace)]


@given(_STEPS)
def test_the_past_can_be_listed_as_it_was(steps: list[tuple[str, str, str]]) -> None:
    """A plain dictionary beside the store is the model of what was there at each revision."""
    store = Store()
    model: dict[tuple[str, str], int] = {}
    past = [(store.revision, dict(model))]
    for number, (action, namespace, name) in enumerate(steps):
        key = Key("things", namespace, name)
        if action == "put":
            store.put(key, _object(name, number))
            model[namespace, name] = number
        elif (namespace, name) in model:
            store.delete(key)
            del model[namespace, name]
        past.append((store.revision, dict(model)))

    for revision, expected in past:
        found = {place: record.object()["value"] for place, record in store.scan_at(revision, "things")}
        assert expected == found
        assert sorted(expected) == _names(store, revision)


@given(_STEPS, st.integers(0, 60))
def test_a_subscription_tells_every_later_change_once_and_in_order(
    steps: list[tuple[str, str, str]], begins: int
) -> None:
    store = Store()
    subscription = None
    expected = []
    for number, (action, namespace, name) in enumerate(steps):
        if number == begins:
            subscription = store.subscribe("things", store.revision, lambda: None)
        key = Key("things", namespace, name)
        if action == "put":
            record = store.put(key, _object(name))
        elif store.get(key) is not None:
            record = store.delete(key)
        else:
            continue
        if subscription is not None:
            expected.append((record.revision, action == "delete", key))

    found = [] if subscription is None else subscription.changes
    assert expected == [(change.record.revision, change.is_delete, change.key) for change in found]


def test_a_page_begins_behind_the_last_one() -> None:
    store = Store()
    for namespace, name in (("x", "a"), ("x", "b"), ("y", "a"), ("y", "c")):
        store.put(Key("things", namespace, name), _object(name))

    assert [("x", "b"), ("y", "a"), ("y", "c")] == [
        place for place, _ in store.scan("things", after=("x", "a"))
    ]
    assert [("y", "c")] == [place for place, _ in store.scan("things", "y", after=("y", "a"))]
    assert [("y", "a"), ("y", "c")] == [place for place, _ in store.scan("things", "y")]


def test_a_reader_that_stops_reading_is_dropped_and_the_others_are_not() -> None:
    store = Store()
    stalled = store.subscribe("pods", 1, lambda: None, most=3)
    reading = store.subscribe("pods", 1, lambda: None, most=3)
    seen = []

    for number in range(5):
        store.put(Key("pods", "a", f"p{number}"), _object(f"p{number}"))
        seen.append(reading.changes.popleft().key.name)

    assert (True, 0) == (stalled.is_lost, len(stalled.changes))
    assert not reading.is_lost
    assert [f"p{number}" for number in range(5)] == seen


def test_what_lies_before_the_window_is_too_old() -> None:
    store = Store(window=3)
    first = store.put(Key("things", "x", "a"), _object("a")).revision
    for number in range(5):
        store.put(Key("things", "x", "b"), _object("b", number))

    with pytest.raises(TooOldError):
        store.subscribe("things", first, lambda: None)
    with pytest.raises(TooOldError):
        store.scan_at(first, "things")
    assert 3 == len(store.subscribe("things", store.revision - 3, lambda: None).changes)


def test_a_reopened_store_has_everything_and_goes_on_counting(tmp_path: Path) -> None:
    store = Store(tmp_path / "objects.db")
    store.put(Key("things", "x", "a"), _object("a", 1))
    store.put(Key("things", "x", "b"), _object("b", 2))
    store.delete(Key("things", "x", "a"))
    revision = store.revision
    store.close()

    again = Store(tmp_path / "objects.db")

    assert revision == again.revision
    assert [("x", "b")] == _names(again)
    assert revision + 1 == again.put(Key("things", "x", "c"), _object("c")).revision


_WRITER = """
import sys
from pathlib import Path
from stoker.lab.store import Key, Store
store = Store(Path(sys.argv[1]))
for number in range(100000):
    record = store.put(Key("things", "x", f"n{number}"), {"metadata": {"name": f"n{number}"}, "value": number})
    print(number, record.revision, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 40, 400])
def test_a_killed_process_loses_no_acknowledged_write(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "objects.db"
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().split() for _ in range(lines)]
        os.kill(writer.pid, signal.SIGKILL)
        # The last line may have been cut off: it was not acknowledged then.
        acknowledged += [line.split() for line in writer.stdout.read().split("\n")[:-1]]

    store = Store(path)

    found = {record.object()["value"]: record.revision for _, record in store.scan("things")}
    missing = [number for number, revision in acknowledged if found.get(int(number)) != int(revision)]
    assert [] == missing
    assert store.revision >= max(int(revision) for _, revision in acknowledged)
