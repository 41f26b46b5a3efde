"""What becomes of the count that Knative wants, by upstream's own rows: knative/serving.

Ids are the labels of TestScaler in pkg/reconciler/autoscaling/kpa/scaler_test.go, with its stable window of 5 minutes and its
grace period of 60 s.
"""

from dataclasses import replace
from typing import Any

import pytest

from stoker.twin.autoscaler.knative import KpaSpec, KpaState, Wanted, decide, observe, settle

NOW = 100_000.0
STABLE, GRACE, DEADLINE = 300.0, 60.0, 121.0
SPEC = KpaSpec(10.0, 0, 0, stable_s=STABLE, grace_s=GRACE, deadline_s=DEADLINE)


def made(**fields: Any) -> KpaSpec:
    return replace(SPEC, **fields)


def active(since: float) -> dict[str, Any]:
    return {"phase": "active", "phase_s": NOW - since}


def inactive(since: float, **fields: Any) -> dict[str, Any]:
    return {"phase": "inactive", "phase_s": NOW - since, **fields}


def activating(since: float, **fields: Any) -> dict[str, Any]:
    return {"phase": "activating", "phase_s": NOW - since, **fields}


TIMEOUT = DEADLINE + 30
NEW = {"initialized": False}


@pytest.mark.parametrize(
    ("spec", "state", "current", "desired", "expected"),
    [
        pytest.param(SPEC, active(STABLE - 1), 1, 0, 1, id="waits to scale to zero (just before idle period)"),
        pytest.param(made(stable_s=100.0), active(99), 1, 0, 1, id="waits to scale to zero (just before idle period), custom PA window"),
        pytest.param(made(stable_s=100.0), active(STABLE), 1, 0, 1, id="custom PA window, check for standard window, no probe"),
        pytest.param(SPEC, active(STABLE - 1), 10, 0, 1, id="scale to 1 waiting for idle expires"),
        pytest.param(SPEC, active(STABLE), 1, 0, 1, id="waits to scale to zero after idle period"),
        pytest.param(made(retention_s=0.0), inactive(GRACE), 1, 0, 0, id="can scale to zero after grace period, but 0 PA retention"),
        pytest.param(made(retention_s=2 * GRACE), inactive(GRACE), 1, 0, 1, id="can't scale to zero after grace period, but before last pod retention"),
        pytest.param(made(retention_s=42.0), inactive(41, proxy_s=NOW - GRACE), 1, 0, 1, id="lastPodRetention: a hard deadline, however long the activator has been in the path"),
        pytest.param(made(retention_s=GRACE), inactive(GRACE), 1, 0, 0, id="scale to zero after grace period, and after last pod retention"),
        pytest.param(SPEC, inactive(GRACE), 1, 0, 0, id="scale to zero after grace period"),
        pytest.param(SPEC, inactive(GRACE - 1), 1, 0, 1, id="waits to scale to zero (just before grace period)"),
        pytest.param(SPEC, inactive(GRACE - 1, proxy_s=NOW - GRACE + 1), 1, 0, 1, id="waits to scale to zero (just before grace period, sks short)"),
        pytest.param(made(retention_s=42.0), inactive(GRACE - 1, proxy_s=NOW - GRACE), 1, 0, 0, id="(just before grace period, sks in proxy long) and last pod timeout positive"),
        pytest.param(SPEC, inactive(GRACE - 1, proxy_s=NOW - GRACE), 1, 0, 0, id="waits to scale to zero (just before grace period, sks in proxy long)"),
        pytest.param(made(burst_capacity=-1.0), inactive(GRACE), 1, 0, 0, id="scale to zero with TBC=-1"),
        pytest.param(SPEC, activating(TIMEOUT / 2), 1, 0, 1, id="waits to scale to zero while activating until after deadline exceeded"),
        pytest.param(SPEC, activating(TIMEOUT + 1), 1, 0, 0, id="scale to zero while activating after deadline exceeded"),
        pytest.param(made(deadline_s=5.0), activating(36), 1, 0, 0, id="scale to zero while activating after revision deadline exceeded"),
        pytest.param(made(min_scale=2), inactive(GRACE - 1), 10, 0, 2, id="scale down to minScale before grace period"),
        pytest.param(made(min_scale=2), inactive(GRACE), 10, 0, 2, id="scale down to minScale after grace period"),
        pytest.param(made(retention_s=10 * GRACE, reachable=False), inactive(GRACE), 1, 0, 0, id="scale to zero ignore last pod retention if revision is unreachable"),
        pytest.param(made(retention_s=10 * GRACE, reachable=False), inactive(GRACE - 1), 1, 0, 1, id="can't scale to zero if revision is unreachable, but before deadline"),
        pytest.param(made(min_scale=2, reachable=False), inactive(GRACE), 10, 0, 0, id="ignore minScale if unreachable"),
        pytest.param(SPEC, active(0), 1, 10, 10, id="scales up"),
        pytest.param(made(max_scale=8), active(0), 1, 10, 8, id="scales up to maxScale"),
        pytest.param(SPEC, inactive(GRACE / 2), 1, 10, 10, id="scale up inactive revision"),
        pytest.param(SPEC, inactive(0), 0, 1, 1, id="scales up from zero to desired one"),
        pytest.param(SPEC, inactive(0), 0, 10, 10, id="scales up from zero to desired high scale"),
        pytest.param(made(initial_scale=2), active(120), 2, 0, 1, id="initial scale attained, but now time to scale down"),
        pytest.param(made(initial_scale=2), activating(0, **NEW), 0, 1, 2, id="haven't scaled to initial scale, override desired scale with initial scale"),
        pytest.param(made(initial_scale=5), activating(0, **NEW), 5, 1, 5, id="initial scale reached for the first time"),
        pytest.param(made(initial_scale=2, reachable=False), {**active(120), **NEW}, 2, 0, 1, id="unreachable revision with initialScale > 1 can scale to 0"),
        pytest.param(made(scale_to_zero=False), inactive(GRACE), 4, 0, 1, id="enable-scale-to-zero is off: one pod stays"),
    ],
)  # fmt: skip
def test_a_wanted_count_is_applied_as_upstream_applies_it(
    spec: KpaSpec, state: dict[str, Any], current: int, desired: int, expected: int
) -> None:
    found = settle(spec, KpaState(**state), Wanted(desired, 0), current, current, NOW)
    assert found == expected


@pytest.mark.parametrize(
    ("before", "desired", "ready", "after"),
    [
        pytest.param(active(STABLE), 0, 1, "inactive", id="active for a window and nothing wanted: inactive, still with its pod"),
        pytest.param(active(STABLE - 1), 0, 1, "active", id="not yet for a window: active"),
        pytest.param(activating(TIMEOUT + 1), 0, 0, "inactive", id="given up: inactive"),
        pytest.param(inactive(0), 1, 0, "activating", id="wanted without a ready pod: activating"),
        pytest.param(activating(0), 1, 1, "active", id="with one: active"),
        pytest.param(active(10), 1, 0, "activating", id="its pod is gone: activating"),
    ],
)  # fmt: skip
def test_a_revision_is_active_activating_or_inactive_as_upstream_marks_it(
    before: dict[str, Any], desired: int, ready: int, after: str
) -> None:
    """See computeActiveCondition of kpa.go."""
    state = KpaState(**before)
    settle(SPEC, state, Wanted(desired, 0), ready, 1, NOW)
    assert state.phase == after
    assert (state.phase_s == NOW) == (before["phase"] != after)


PLAIN = KpaSpec(1.0, 0, 0, stable_s=10.0, panic_s=4.0)


def test_a_window_averages_what_it_has_as_upstreams_buckets_do() -> None:
    """TestTimedFloat64BucketsWindowAverage of pkg/autoscaler/aggregation/bucketing_test.go, a bucket a tick."""
    state = KpaState()

    def stable(tick: int, value: float | None) -> float | None:
        # Without a pod and a request nothing is recorded.
        found = observe(PLAIN, state, value or 0.0, 0 if value is None else 1, 2.0 * tick)
        return None if found is None else found[0]

    assert stable(0, 1) == 1
    assert [stable(tick, tick + 1) for tick in range(1, 5)] == [1.5, 2, 2.5, 3]
    assert stable(6, None) == (15 - 1 - 2) / 3
    assert stable(6, 91) == (15 - 1 - 2 + 91) / 5
    assert stable(16, None) is None
    assert stable(36, 1984) == 1984
    assert stable(37, 5) == (1984 + 5) / 2


def test_the_first_requests_of_a_sleeping_revision_count_in_full() -> None:
    """A window that held nothing begins anew, so two hundred requests at zero wake the pods that they need at once."""
    spec, state = KpaSpec(target=10.0, min_scale=0, max_scale=50), KpaState()
    for tick in range(60):
        assert decide(spec, state, 0.0, 0, 0, 2.0 * tick) == 0
    assert decide(spec, state, 200.0, 0, 0, 120.0) == 20


def test_a_quiet_revision_goes_to_zero_after_the_window_and_the_grace_period() -> None:
    """With the activator out of the path, 60 s for the average to be zero and 30 s of grace: the second tick's is the last."""
    spec = KpaSpec(target=10.0, min_scale=0, max_scale=50, burst_capacity=0.0)
    state, current, gone = KpaState(), 1, 0.0
    decide(spec, state, 5.0, 1, 1, 0.0)
    for tick in range(1, 100):
        current = decide(spec, state, 0.0, current, current, 2.0 * tick)
        if current == 0:
            gone = 2.0 * tick
            break
    assert gone == 90.0


def test_where_the_activator_is_in_the_path_already_there_is_no_grace_to_wait_for() -> None:
    """By default 211 requests must fit in besides; one pod of 10 does not have that, so the activator never left."""
    spec = KpaSpec(target=10.0, min_scale=0, max_scale=50)
    state, current, gone = KpaState(), 1, 0.0
    for tick in range(100):
        current = decide(spec, state, 5.0 if tick < 20 else 0.0, current, current, 2.0 * tick)
        if current == 0:
            gone = 2.0 * tick
            break
    # The last request at 38 s leaves the window at 98 s, when the revision becomes inactive; its pod goes at the next tick.
    assert gone == 100.0


def test_a_revision_follows_concurrency_and_panics() -> None:
    spec, state = KpaSpec(target=10.0, min_scale=0, max_scale=50), KpaState()
    current = 1
    for tick in range(1, 41):
        current = decide(spec, state, 20.0, current, current, 2.0 * tick)
    assert current == 2
    for tick in range(41, 44):
        current = decide(spec, state, 200.0, 2, current, 2.0 * tick)
    assert current == 20
    for tick in range(44, 70):
        current = decide(spec, state, 20.0, 20, current, 2.0 * tick)
    assert current == 20
