"""How many pods Knative wants, by upstream's own rows: knative/serving pkg/autoscaler/scaling/autoscaler_test.go.

An id is the name of upstream's test. Its autoscaler grows and shrinks tenfold at most, panics at twice the ready pods, and a
pod takes a target over 75 %.
"""

import math
from dataclasses import replace
from typing import Any

import pytest

from stoker.errors import StokerError
from stoker.twin.autoscaler.kpa import KpaSpec, KpaState, metric_target, wanted

NOW = 100_000.0
UTILISATION = 0.75


def spec(target: float, burst: float = 100.0, **fields: Any) -> KpaSpec:
    made = KpaSpec(target, 0, 0, max_up=10.0, max_down=10.0, total=target / UTILISATION, burst_capacity=burst)
    return replace(made, **fields)


def free(target: float, burst: float, panic: float, ready: int) -> int:
    """Upstream's expectedEBC."""
    return math.floor(target / UTILISATION * ready - burst - panic)


PANICS = {"panic_s": NOW - 5, "panic_pods": 5}


@pytest.mark.parametrize(
    ("made", "state", "stable", "panic", "ready", "expected", "excess"),
    [
        pytest.param(spec(10), {}, 0, 0, 1, 0, free(10, 100, 0, 1), id="AutoscalerNoDataAtZeroNoAutoscale"),
        pytest.param(spec(181, -1), {}, 21, 26, 1, 1, -1, id="AutoscalerStableModeUnlimitedTBC"),
        pytest.param(spec(10, 0), {}, 50, 49, 1, 5, 0, id="Autoscaler0TBC"),
        pytest.param(spec(10), {}, 50, 50, 1, 5, free(10, 100, 50, 1), id="AutoscalerStableModeNoChange"),
        pytest.param(spec(1), PANICS, 50, 30, 5, 50, free(1, 100, 30, 5), id="AutoscalerPanicStableLargerThanPanic"),
        pytest.param(spec(1), PANICS, 20, 30, 5, 30, free(1, 100, 30, 5), id="AutoscalerPanicStableLessThanPanic"),
        pytest.param(spec(10), {}, 50, 50, 5, 5, free(10, 100, 50, 5), id="AutoscalerStableModeNoChangeAlreadyScaled"),
        pytest.param(spec(1, 1982, max_up=1.1), {}, 3, 3.1, 2, 3, free(1, 1982, 3.1, 2), id="AutoscalerStableModeIncreaseWithSmallScaleUpRate"),
        pytest.param(spec(10, 1982, max_down=1.1), {}, 1, 1, 100, 90, free(10, 1982, 1, 100), id="AutoscalerStableModeDecreaseWithSmallScaleDownRate"),
        pytest.param(spec(10, 1982, max_down=1.1, reachable=False), {}, 1, 1, 100, 1, free(10, 1982, 1, 100), id="AutoscalerStableModeDecreaseNonReachable"),
        pytest.param(spec(10, 84), {}, 50, 100, 1, 10, free(10, 84, 100, 1), id="AutoscalerPanicModeDoublePodCount"),
        pytest.param(spec(10), {}, 50, 50, 1, 5, free(10, 100, 50, 1), id="TestAutoscalerMetrics"),
        pytest.param(spec(10), {}, 100, 99, 1, 10, free(10, 100, 99, 1), id="TestAutoscalerMetricsWithRPS"),
        pytest.param(spec(10, 101), {}, 50, 10, 1, 5, free(10, 101, 10, 1), id="TestAutoscalerStableModeIncreaseWithConcurrencyDefault"),
        pytest.param(spec(10, 101), {}, 100, 10, 1, 10, free(10, 101, 10, 1), id="TestAutoscalerStableModeIncreaseWithConcurrencyDefault: more"),
        pytest.param(spec(10, 98), {}, 100, 100, 8, 10, free(10, 98, 100, 8), id="TestAutoscalerStableModeDecrease: before"),
        pytest.param(spec(10, 98), {}, 50, 50, 8, 5, free(10, 98, 50, 8), id="TestAutoscalerStableModeDecrease: after"),
        pytest.param(spec(10, 75), {}, 1, 0, 1, 1, free(10, 75, 0, 1), id="TestAutoscalerStableModeNoTrafficScaleToZero: little"),
        pytest.param(spec(10, 75), {}, 0, 0, 1, 0, free(10, 75, 0, 1), id="TestAutoscalerStableModeNoTrafficScaleToZero: none"),
        pytest.param(spec(10, 75, activation_scale=2), {}, 0, 0, 1, 0, free(10, 75, 0, 1), id="TestAutoscalerActivationScale: none"),
        pytest.param(spec(10, 75, activation_scale=2), {}, 1, 0, 1, 2, free(10, 75, 0, 1), id="TestAutoscalerActivationScale: little"),
        pytest.param(spec(10, 61), {}, 1000, 1001, 1, 10, free(10, 61, 1001, 1), id="TestAutoscalerRateLimitScaleUp: from one"),
        pytest.param(spec(10, 61), {}, 1000, 1001, 10, 100, free(10, 61, 1001, 10), id="TestAutoscalerRateLimitScaleUp: from ten"),
        pytest.param(spec(10, 61), {}, 1, 1, 100, 10, free(10, 61, 1, 100), id="TestAutoscalerRateLimitScaleDown: from a hundred"),
        pytest.param(spec(10, 61), {}, 1, 1, 10, 1, free(10, 61, 1, 10), id="TestAutoscalerRateLimitScaleDown: from ten"),
        pytest.param(spec(10, 81), {}, 1000, 888, 0, 10, free(10, 81, 888, 0), id="TestAutoscalerUseOnePodAsMinimumIfEndpointsNotFound"),
        pytest.param(spec(1, 71), {}, 100, 101, 10, 100, free(1, 71, 101, 10), id="TestAutoscalerUpdateTarget"),
    ],
)  # fmt: skip
def test_one_evaluation_wants_what_upstream_wants(
    made: KpaSpec,
    state: dict[str, Any],
    stable: float,
    panic: float,
    ready: int,
    expected: int,
    excess: int,
) -> None:
    found = wanted(made, KpaState(**state), stable, panic, ready, NOW)
    assert (found.replicas, found.excess_burst) == (expected, excess)


Step = tuple[float, float, float, int, int]

SEQUENCES: list[tuple[str, KpaSpec, list[Step], list[float | None]]] = [
    # Seconds, stable, panic, ready, what is wanted; and since when it panics after each step.
    ("TestAutoscalerUnpanicAfterSlowIncrease", spec(1, 98), [(0, 11, 25, 10, 25), (30, 30, 41, 40, 41), (62, 50, 56, 55, 50)], [0, 0, None]),
    ("TestAutoscalerExtendPanicWindow", spec(1, 98), [(0, 11, 25, 10, 25), (30, 30, 80, 40, 80)], [0, 30]),
    (
        "TestAutoscalerPanicModeExponentialTrackAndStabilize", spec(1, 101),
        [(0, 6, 6, 1, 6), (0, 36, 36, 6, 36), (1, 216, 216, 36, 216), (1, 1296, 1296, 216, 1296), (2, 1296, 1296, 1296, 1296)],
        [0, 0, 1, 1, 1],
    ),
    (
        "TestAutoscalerPanicThenUnPanicScaleDown", spec(10, 93),
        [(0, 100, 100, 1, 10), (0, 100, 1000, 10, 100), (30, 1, 1, 10, 100), (61, 1, 1, 10, 1)],
        [0, 0, 0, None],
    ),
    ("the stable window has to be over before panic ends", spec(10, 93), [(0, 100, 100, 1, 10), (60, 1, 1, 10, 10), (60.5, 1, 1, 10, 1)], [0, 0, None]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "steps", "panics"), [pytest.param(*row[1:], id=row[0]) for row in SEQUENCES]
)
def test_panic_begins_lasts_and_ends_when_upstream_says(
    made: KpaSpec, steps: list[Step], panics: list[float | None]
) -> None:
    state = KpaState()
    for (at, stable, panic, ready, expected), since in zip(steps, panics, strict=True):
        assert wanted(made, state, stable, panic, ready, at).replicas == expected
        assert state.panic_s == since


@pytest.mark.parametrize(
    ("steps", "delay"),
    [
        pytest.param([(2, 40, 4), (300, 0, 4), (302, 0, 0)], 300.0, id="TestAutoscalerScaleDownDelay: simple"),
        pytest.param(
            [(540, 40, 4), (600, 30, 4), (660, 0, 4), (840, 0, 3), (900, 0, 0)], 300.0, id="TestAutoscalerScaleDownDelay: gradual"
        ),
        pytest.param([(0, 40, 4), (0.5, 20, 2)], 0.0, id="TestAutoscalerScaleDownDelayZero"),
    ],
)  # fmt: skip
def test_a_lower_count_waits_for_the_scale_down_delay(
    steps: list[tuple[float, float, int]], delay: float
) -> None:
    made, state = spec(10, panic_threshold=100.0, down_delay_s=delay), KpaState()
    assert [wanted(made, state, load, load, 0, at).replicas for at, load, _ in steps] == [
        expected for *_, expected in steps
    ]


def test_a_revision_that_no_route_reaches_does_not_wait() -> None:
    """TestAutoscalerScaleDownDelayNotReachable."""
    made, state = spec(10, panic_threshold=100.0, down_delay_s=300.0), KpaState()
    assert wanted(made, state, 40, 40, 0, 2.0).replicas == 4
    assert wanted(made, state, 0, 0, 0, 60.0).replicas == 4
    assert wanted(replace(made, reachable=False), state, 0, 0, 0, 62.0).replicas == 0


@pytest.mark.parametrize(("ready", "since"), [(0, None), (1, None), (2, NOW)])
def test_an_autoscaler_that_starts_over_several_pods_panics_to_keep_them(
    ready: int, since: float | None
) -> None:
    """TestStartInPanicMode."""
    state = KpaState.started(ready, NOW)
    assert (state.panic_s, state.panic_pods) == (since, ready)
    assert wanted(spec(10), state, 0, 0, ready, NOW).replicas == (ready if since else 0)


@pytest.mark.parametrize(
    ("own", "limit", "default", "fraction", "target", "total"),
    [
        pytest.param({}, 0, 100, 1.0, 100, 100, id="defaults"),
        pytest.param({}, 0, 100, 0.8, 80, 100, id="default CC + 80% TU"),
        pytest.param({}, 0, 2, 0.3, 0.6, 2, id="non-default CC and TU"),
        pytest.param({"target-utilization-percentage": "75"}, 12, 100, 0.8, 9, 12, id="CC 12 and TU=80%, but TU annotation 75%"),
        pytest.param({}, 10, 100, 0.8, 8, 10, id="with container concurrency 10 and TU=80%"),
        pytest.param({}, 1, 100, 0.8, 0.8, 1, id="with container concurrency 1 and TU=80%"),
        pytest.param({}, 1, 100, 1.0, 1, 1, id="with container concurrency 1"),
        pytest.param({}, 10, 100, 1.0, 10, 10, id="with container concurrency 10"),
        pytest.param({"target": "1"}, 0, 100, 1.0, 1, 1, id="with target annotation 1"),
        pytest.param({"target": "1"}, 0, 100, 0.001, 0.01, 1, id="with target annotation 1 and TU=0.1%"),
        pytest.param({"target": "1"}, 0, 100, 0.75, 0.75, 1, id="with target annotation 1 and TU=75%"),
        pytest.param({"target": "10"}, 0, 100, 0.75, 7.5, 10, id="with target annotation 10 and TU=75%"),
        pytest.param({"target": "1"}, 10, 100, 1.0, 1, 1, id="with container concurrency greater than target annotation"),
        pytest.param({"target": "500"}, 0, 100, 1.0, 500, 500, id="with target annotation greater than default"),
        pytest.param({"target": "10"}, 1, 100, 1.0, 1, 1, id="with target annotation greater than container concurrency"),
    ],
)  # fmt: skip
def test_the_target_is_what_upstream_resolves(
    own: dict[str, str], limit: int, default: float, fraction: float, target: float, total: float
) -> None:
    """TestResolveMetricTarget of pkg/reconciler/autoscaling/resources/target_test.go."""
    found = metric_target(own, limit, default=default, fraction=fraction)
    assert found == pytest.approx((target, total))


def test_annotations_are_read_with_the_defaults_of_config_autoscaler() -> None:
    """pkg/autoscaler/config/config.go defaultConfig."""
    prefix = "autoscaling.knative.dev/"
    plain = KpaSpec.from_annotations({})
    assert (plain.target, plain.total, plain.stable_s, plain.panic_s, plain.panic_threshold) == (
        70,
        100,
        60,
        6,
        2,
    )
    assert (plain.max_up, plain.max_down, plain.grace_s, plain.burst_capacity) == (1000, 2, 30, 211)
    own = {
        "window": "1m30s",
        "panic-window-percentage": "20",
        "scale-down-delay": "2m",
        "scale-to-zero-pod-retention-period": "0",
        "activation-scale": "3",
        "initial-scale": "0",
        "target-burst-capacity": "-1",
    }
    found = KpaSpec.from_annotations({prefix + name: value for name, value in own.items()})
    assert (found.stable_s, found.panic_s, found.down_delay_s, found.retention_s) == (90, 18, 120, 0)
    assert (found.activation_scale, found.initial_scale, found.burst_capacity) == (3, 1, -1)


@pytest.mark.parametrize("own", [{"metric": "rps"}, {"window": "soon"}, {"window": "60"}])
def test_what_the_twin_cannot_read_is_refused(own: dict[str, str]) -> None:
    with pytest.raises(StokerError, match=r"scale by|duration"):
        KpaSpec.from_annotations({f"autoscaling.knative.dev/{name}": value for name, value in own.items()})
