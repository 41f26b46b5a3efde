"""An API server that is busy, broken, slow or gone while a canary goes on, and two that begin at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.canary.running.conftest import finish
from tests.canary.running.things import Scene, check_between, check_end
from tests.lab.running.conftest import stoker

pytestmark = pytest.mark.slow
MODE = "Deployment"
SPEED = 200
_MOST_RUNS = 30
_ERRORS = ("does not answer as it should", "lost its lease", "was written by somebody else")


@contextmanager
def api(scene: Scene, fault: str, share: float) -> Iterator[None]:
    """The API server as it is on a bad day; whole again afterwards."""
    stoker("lab", "fault", fault, "--value", share, "--state", scene.shop.folder)
    try:
        yield
    finally:
        stoker("lab", "fault", fault, "--off", "--state", scene.shop.folder)


def until_over(scene: Scene, *options: object, **at: Any) -> str:
    """The same command again as long as it ends in an error that it states; the traffic stands as recorded meanwhile."""
    for _ in range(_MOST_RUNS):
        code, said = scene.start(*options, **at)
        if code not in {3, 4}:
            return said
        assert any(one in said for one in _ERRORS), said
        check_between(scene)
        if scene.is_over:  # the answer to its very last write was lost
            return said
    raise AssertionError(f"no run came to an end: {said}")


@pytest.mark.parametrize(("fault", "share"), [("api-429", 0.2), ("api-500", 0.2), ("api-timeout", 0.01)])
def test_a_server_that_refuses_fails_or_hangs_changes_nothing_of_the_end(
    scene: Scene, fault: str, share: float
) -> None:
    before = scene.theirs
    with api(scene, fault, share):
        until_over(scene)

    check_end(scene, "promoted", before)


@pytest.mark.parametrize("fault", ["api-429", "api-500"])
def test_a_bad_canary_is_not_promoted_by_a_bad_server_through_which_it_is_asked(
    scene: Scene, fault: str
) -> None:
    before = scene.theirs
    scene.shop.fault("errors", "--value", 0.7)
    try:
        with api(scene, fault, 0.2):
            until_over(scene, "--reach", "proxy")
    finally:
        scene.shop.fault("errors", "--off")

    check_end(scene, "aborted", before)


def test_what_the_server_refuses_is_no_data_of_a_good_one(scene: Scene) -> None:
    before = scene.theirs
    with api(scene, "api-429", 0.1):
        until_over(scene, "--reach", "proxy")

    state = check_end(scene, "promoted", before)
    pairs = [pair for step in state["steps"] for pair in step["raw"]]
    assert any("noData" in pair["canary"] or "noData" in pair["stable"] for pair in pairs)
    for step in state["steps"]:
        less, _, more = step["evidence"]["errors"]["counts"]
        assert (0, 0) == (less, more)


def test_answers_that_are_lost_are_not_taken_for_refusals(scene: Scene) -> None:
    before = scene.theirs

    until_over(scene, kind="write", at=7, moment="cut")

    check_end(scene, "promoted", before)


@pytest.mark.parametrize("at", [12, 25, 45, 70])
def test_a_network_that_is_gone_ends_in_one_error_and_the_next_run_goes_on(scene: Scene, at: int) -> None:
    before = scene.theirs
    code, said = scene.start(at=at, moment="gone")
    assert (3, True) == (code, "no route to host" in said), said
    check_between(scene)

    assert 0 == scene.start()[0]

    check_end(scene, "promoted", before)


def test_of_two_that_begin_at_the_same_moment_one_is_refused_and_told_by_whom(scene: Scene) -> None:
    both = [scene.shop.start("--steps", "50,75,100", "--most", "20h", "--ready", "20h") for _ in range(2)]

    ends = [finish(process) for process in both]

    assert [0, 4] == sorted(code for code, _ in ends), ends
    said = next(said for code, said in ends if code == 4)
    assert "holds Lease" in said or "is not as the platform file says" in said
    state = scene.record
    assert state is not None
    assert 1 == sum("begun by" in note["what"] for note in state["notes"])
    assert not scene.cluster.objects("v1", "ConfigMap", "prod", labels="stoker.dev/canary-archive=llama")
