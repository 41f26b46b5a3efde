"""The soak's checker finds each kind of defect, and none where there is none."""

import pytest
from tests.lab.soak.checker import check
from tests.lab.soak.history import Change, History, Key, Outcome, State, Version, Write
from tests.lab.soak.imitation import Defect, imitate


@pytest.mark.parametrize("seed", range(6))
def test_a_server_that_keeps_its_promises_is_not_accused(seed: int) -> None:
    history = imitate(seed)

    assert [] == check(history)
    assert len(history.writes) > 400
    assert history.restarts
    assert {"stored", "gone", "refused", "lost"} == {write.outcome.kind for write in history.writes}


# What each defect may be called: the same loss shows in a list, in a watch or in what the next write was built on.
_CALLED: dict[Defect, set[str]] = {
    "lost-on-kill": {"backwards", "reused-revision"},
    "lost-silently": {"lost-write", "stale-read", "phantom", "wrong-content"},
    "phantom": {"phantom"},
    "gap": {"gap"},
    "duplicate": {"duplicate"},
    "reorder": {"order"},
    "stale-get": {"stale-read"},
    "stale-list": {"stale-read", "lost-write", "phantom"},
    "double-success": {"double-success"},
    "half-done": {"phantom"},
    "done-twice": {"phantom"},
    "reused-revision": {"reused-revision"},
    "bookmark-ahead": {"order"},
    "wrong-conflict": {"wrong-refusal"},
    "short-page": {"lost-write"},
    "dry-run-writes": {"phantom"},
    "silent-resume": {"gap"},
    "groundless-410": {"expired"},
    "early-collection": {"phantom"},
    "lost-patch": {"wrong-content"},
    "leftover": {"garbage"},
}


@pytest.mark.parametrize("defect", _CALLED)
def test_a_broken_promise_is_found_and_named(defect: Defect) -> None:
    # Not every server gets to a place where breaking its promise shows.
    found = {violation.kind for seed in (1, 2, 3) for violation in check(imitate(seed, defect))}

    assert found & _CALLED[defect], found


def _created(number: int, at: str) -> Write:
    key = Key("configmaps", "x", f"n{number}")
    version = Version(key, 10 + number, State({}, uid=f"uid-{number}"), b"", at)
    return Write(
        number,
        key,
        Change("create"),
        10 * number,
        10 * number + 1,
        Outcome("stored", version, version.state.uid),
    )


def test_a_clock_that_goes_back_is_found() -> None:
    in_order = [_created(1, "2026-01-01T00:00:00Z"), _created(2, "2026-01-01T00:00:01Z")]
    back = [_created(1, "2026-01-01T00:00:01Z"), _created(2, "2026-01-01T00:00:00Z")]

    assert [] == check(History(frozenset("x"), tuple(in_order)))
    assert ["time-backwards"] == [one.kind for one in check(History(frozenset("x"), tuple(back)))]


@pytest.mark.parametrize("code", [429, 500, 503])
def test_an_answer_that_the_server_could_not_give_is_found(code: int) -> None:
    write = Write(1, Key("configmaps", "x", "n1"), Change("create"), 1, 2, Outcome("refused", code=code))

    assert ["server-error"] == [one.kind for one in check(History(frozenset("x"), (write,)))]
