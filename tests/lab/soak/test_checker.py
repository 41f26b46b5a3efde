"""The soak's checker finds each kind of defect, and none where there is none."""

import pytest
from tests.lab.soak.checker import check
from tests.lab.soak.imitation import Defect, imitate


@pytest.mark.parametrize("seed", range(6))
def test_a_server_that_keeps_its_promises_is_not_accused(seed: int) -> None:
    history = imitate(seed)

    assert [] == check(history)
    assert len(history.writes) > 500
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
