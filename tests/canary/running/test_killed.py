"""`kill -9` at any request of a canary, of an abort and of a promotion: the next run goes on, and all ends as if nothing had been.

Fifty points in all. The lab is fast, so that a whole run is a few seconds of the wall.
"""

import random
import signal

import pytest
from tests.canary.running.things import SHARES, Scene, check_between, check_end

pytestmark = pytest.mark.slow
MODE = "Deployment"
SPEED = 200
Point = tuple[str, int, str]


def points(seed: int, count: int, writes: int, every: int) -> list[Point]:
    """Which kind of request, the how manieth, and on which side of it; up to about what a run makes before it only waits."""
    rng = random.Random(seed)  # noqa: S311  # moments to kill at, the same at every run
    found = []
    for _ in range(count):
        kind = rng.choice(["write", "any"])
        number = rng.randint(1, writes if kind == "write" else every)
        found.append((kind, number, rng.choice(["unsent", "answered"])))
    return found


def attempt(scene: Scene, point: Point, *arguments: object) -> None:
    """A command that kills itself at a point, or comes to its end before."""
    kind, at, moment = point
    run = scene.run if arguments else scene.start
    code, said = run(*arguments, kind=kind, at=at, moment=moment)
    assert code in {0, 1, -signal.SIGKILL}, said


def go_on(scene: Scene, expect: int) -> None:
    """What a person does: look, and run the same command again where it is not over."""
    if not scene.is_over:
        code, said = scene.start()
        assert expect == code, said


@pytest.mark.parametrize("point", points(1, 16, writes=40, every=120), ids=str)
def test_a_good_canary_is_promoted_once(scene: Scene, point: Point) -> None:
    before = scene.theirs
    attempt(scene, point)
    check_between(scene)

    go_on(scene, 0)

    state = check_end(scene, "promoted", before)
    assert len(SHARES) == len(state["steps"])


@pytest.mark.parametrize("point", points(2, 14, writes=14, every=45), ids=str)
def test_a_bad_canary_is_aborted_once(scene: Scene, point: Point) -> None:
    before = scene.theirs
    scene.shop.fault("errors", "--value", 1)
    try:
        attempt(scene, point)
        check_between(scene)

        go_on(scene, 1)
    finally:
        scene.shop.fault("errors", "--off")

    state = check_end(scene, "aborted", before)
    assert 1 == len(state["steps"])


# The two by hand: the order is taken from where it was given and the record says so, in whichever order that is done.
@pytest.mark.parametrize(
    "point",
    [("write", 3, "answered"), ("write", 4, "unsent"), *points(3, 10, writes=12, every=30)],
    ids=str,
)
def test_an_abort_that_was_given_is_never_forgotten(scene: Scene, point: Point) -> None:
    before = scene.theirs
    assert 5 == scene.start("--no-watch")[0]
    assert (50, 50) == scene.weights
    attempt(scene, point, "abort", "llama")
    state = check_between(scene)
    assert state is not None
    is_given = scene.has_order or state["phase"] in {"aborting", "aborted"}

    go_on(scene, 1 if is_given else 0)

    check_end(scene, "aborted" if is_given else "promoted", before)


@pytest.mark.parametrize("point", points(4, 10, writes=30, every=90), ids=str)
def test_a_promotion_that_was_ordered_is_carried_out_by_the_next(scene: Scene, point: Point) -> None:
    before = scene.theirs
    assert 5 == scene.start("--no-watch")[0]
    attempt(scene, point, "promote", "llama")
    state = check_between(scene)
    assert state is not None
    is_given = scene.has_order or state["phase"] in {"promoting", "promoted"}

    go_on(scene, 0)

    state = check_end(scene, "promoted", before)
    assert ("ordered by" in state["reason"]) == is_given
    assert is_given == (1 == len(state["steps"]))
