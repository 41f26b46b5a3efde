"""Replicas for one metric, by upstream's own rows: kubernetes 1.36 pkg/controller/podautoscaler/replica_calculator_test.go.

Figures and names are upstream's (an id is the name of its test), with its flags: two minutes for a CPU to settle, ten seconds
for a pod to become ready. Pods are written as letters: **r**eady, **u**nready since they started, **h**ot (started this moment
and ready), c**o**ld-unready (started this moment and unready), **p**ending, **f**ailed, **d**eleted. Rows of a container differ
from those of a pod in what the sample is taken from, which the twin's samples have behind them; they are rows all the same.
"""

import pytest

from stoker.twin.autoscaler.hpa import Flags, HpaSpec, Metric, Policy, Rules
from stoker.twin.autoscaler.replicas import NoMetricsError, PodSample, replicas_for

NOW = 100_000.0
FLAGS = Flags(cpu_initialization_s=120.0, initial_readiness_delay_s=10.0)
MAX = 2**31 - 1


def spec(down: float = 0.1, up: float = 0.1) -> HpaSpec:
    up_rules, down_rules = (Rules(0, "Max", (Policy("Percent", 100, 15),), at) for at in (up, down))
    return HpaSpec(1, MAX, (), up_rules, down_rules, has_behavior=True, flags=FLAGS)


def pod(letter: str, level: float | None, request: float | None = 1.0) -> PodSample:
    value = None if level is None else level / 1000
    if letter == "p":
        return PodSample(value, request, phase="Pending", ready=False)
    if letter == "f":
        return PodSample(value, request, phase="Failed", ready=False)
    start = NOW if letter in "ho" else 0.0
    return PodSample(
        value,
        request,
        ready=letter in "rh",
        ready_since_s=start,
        started_s=start,
        deleted=letter == "d",
        sampled_s=NOW,
    )


def pods(letters: str, levels: list[float], requests: list[float] | None = None) -> list[PodSample]:
    """A pod for each letter; the last ones have no sample where levels are fewer."""
    padded: list[float | None] = [*levels, *[None] * (len(letters) - len(levels))]
    return [
        pod(letter, level, request)
        for letter, level, request in zip(letters, padded, requests or [1.0] * len(letters), strict=True)
    ]


NINE_TO_ELEVEN = [0.9, 1.0, 1.1]
TEN = [0.4, 0.2, 0.31, 0.29, 0.302, 0.298, 0.301, 0.299, 0.3, 0.3]

CPU_ROWS = [
    ("TestReplicaCalcScaleUp", 30, 3, "rrr", [300, 500, 700], None, 5),
    ("TestReplicaCalcContainerScaleUp", 30, 3, "rrr", [300, 500, 700], None, 5),
    ("TestReplicaCalcScaleUpUnreadyLessScale", 30, 3, "urr", [300, 500, 700], None, 4),
    ("TestReplicaCalcScaleUpHotCpuLessScale", 30, 3, "hrr", [300, 500, 700], None, 4),
    ("TestReplicaCalcScaleUpContainerHotCpuLessScale", 30, 3, "hrr", [300, 500, 700], None, 4),
    ("TestReplicaCalcScaleUpUnreadyNoScale", 30, 3, "ruu", [400, 500, 700], None, 3),
    ("TestReplicaCalcScaleHotCpuNoScale", 30, 3, "roo", [400, 500, 700], None, 3),
    ("TestReplicaCalcScaleUpIgnoresFailedPods", 30, 2, "rrff", [500, 700], None, 4),
    ("TestReplicaCalcMissingContainerMetricScaleUpIgnoresFailedPods", 30, 2, "rrff", [500, 700], None, 4),
    ("TestReplicaCalcScaleUpContainerIgnoresFailedPods", 30, 2, "rrff", [500, 700], None, 4),
    ("TestReplicaCalcScaleUpIgnoresDeletionPods", 30, 2, "rrdd", [500, 700], None, 4),
    ("TestReplicaCalcScaleUpContainerIgnoresDeletionPods", 30, 2, "rrdd", [500, 700], None, 4),
    ("TestReplicaCalcScaleDown", 50, 5, "rrrrr", [100, 300, 500, 250, 250], None, 3),
    ("TestReplicaCalcContainerScaleDown", 50, 5, "rrrrr", [100, 300, 500, 250, 250], None, 3),
    ("TestReplicaCalcScaleDownExcludeUnreadyPods", 50, 5, "rrruu", [100, 300, 500, 250, 250], None, 2),
    ("TestReplicaCalcScaleDownContainerExcludeUnreadyPods", 50, 5, "rrruu", [100, 300, 500, 250, 250], None, 2),
    ("TestReplicaCalcScaleDownExcludeUnscheduledPods", 50, 5, "rpppp", [100], None, 1),
    ("TestReplicaCalcScaleDownContainerExcludeUnscheduledPods", 50, 5, "rpppp", [100, 300, 500, 250, 250], None, 1),
    ("TestReplicaCalcScaleDownIgnoreHotCpuPods", 50, 5, "rrrhh", [100, 300, 500, 250, 250], None, 2),
    ("TestReplicaCalcScaleDownContainerIgnoreHotCpuPods", 50, 5, "rrrhh", [100, 300, 500, 1000, 1000], None, 2),
    ("TestReplicaCalcScaleDownIgnoresFailedPods", 50, 5, "rrrrrff", [100, 300, 500, 250, 250], None, 3),
    ("TestReplicaCalcScaleDownContainerIgnoresFailedPods", 50, 5, "rrrrrff", [100, 300, 500, 250, 250], None, 3),
    ("TestReplicaCalcScaleDownIgnoresDeletionPods", 50, 5, "rrrrrdd", [100, 300, 500, 250, 250], None, 3),
    ("TestReplicaCalcScaleDownIgnoresDeletionPods_StillRunning", 50, 5, "rrrrrdd", [100, 300, 500, 250, 250], None, 3),
    ("TestReplicaCalcTolerance", 100, 3, "rrr", [1010, 1030, 1020], NINE_TO_ELEVEN, 3),
    # Upstream has two samples of pods that nobody knows besides; a twin's pods are all known.
    ("TestReplicaCalcSuperfluousMetrics", 100, 4, "rrrr", [4000, 9500, 3000, 7000], None, 24),
    ("TestReplicaCalcMissingMetrics", 100, 4, "rrrr", [400, 95], None, 3),
    ("TestReplicaCalcMissingMetricsNoChangeEq", 100, 2, "rr", [1000], None, 2),
    ("TestReplicaCalcMissingMetricsNoChangeGt", 100, 2, "rr", [1900], None, 2),
    ("TestReplicaCalcMissingMetricsNoChangeLt", 100, 2, "rr", [600], None, 2),
    ("TestReplicaCalcMissingMetricsUnreadyChange", 50, 3, "urr", [100, 450], None, 3),
    ("TestReplicaCalcMissingMetricsHotCpuNoChange", 50, 3, "hrr", [100, 450], None, 3),
    ("TestReplicaCalcMissingMetricsUnreadyScaleUp", 50, 3, "urr", [100, 2000], None, 4),
    ("TestReplicaCalcMissingMetricsHotCpuScaleUp", 50, 3, "orr", [100, 2000], None, 4),
    ("TestReplicaCalcMissingMetricsUnreadyScaleDown", 50, 4, "urrr", [100, 100, 100], None, 3),
    ("TestReplicaCalcMissingMetricsScaleDownTargetOver100", 300, 4, "urrr", [200, 100, 100], [1, 1, 2, 2], 2),
    ("TestReplicaCalcDuringRollingUpdateWithMaxSurge", 50, 2, "rrr", [100, 100], None, 2),
    ("TestReplicaCalcComputedToleranceAlgImplementation: beyond", 56, 10, "r" * 10, [150] * 10, TEN, 9),
    ("TestReplicaCalcComputedToleranceAlgImplementation: within", 55, 10, "r" * 10, [150] * 10, TEN, 10),
]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "current", "letters", "levels", "requests", "expected"),
    [pytest.param(*row[1:], id=row[0]) for row in CPU_ROWS],
)
def test_utilisation_of_pods_asks_for_what_upstream_says(
    target: int,
    current: int,
    letters: str,
    levels: list[float],
    requests: list[float] | None,
    expected: int,
) -> None:
    metric = Metric("cpu", "Resource", "Utilization", float(target))
    found = replicas_for(spec(), metric, current, pods=pods(letters, levels, requests), now=NOW)
    assert found == expected


@pytest.mark.parametrize(
    ("down", "up", "levels", "expected"),
    [
        # TestReplicaCalcConfigurableTolerance
        pytest.param(0.0, 0.0, [909, 1010, 1111], 4, id="beyond a tolerance of nothing"),
        pytest.param(0.1, 2.0, [1890, 1910, 1900], 3, id="within 200 % on the way up"),
        pytest.param(
            2.0, 0.08, [1100, 1080, 1090], 4, id="beyond 8 % on the way up, whatever is for the way down"
        ),
        pytest.param(0.36, 0.1, [660, 640, 650], 3, id="within 36 % on the way down"),
        pytest.param(0.34, 0.1, [660, 640, 650], 2, id="beyond 34 % on the way down"),
    ],
)
def test_each_direction_has_its_tolerance(down: float, up: float, levels: list[float], expected: int) -> None:
    metric = Metric("cpu", "Resource", "Utilization", 100.0)
    found = replicas_for(spec(down, up), metric, 3, pods=pods("rrr", levels, NINE_TO_ELEVEN), now=NOW)
    assert found == expected


@pytest.mark.parametrize(
    ("target", "up", "current", "letters", "levels", "expected"),
    [
        pytest.param(15, 0.1, 3, "rrr", [20000, 10000, 30000], 4, id="TestReplicaCalcScaleUpCM"),
        pytest.param(
            15, 0.1, 3, "rro", [50000, 10000, 30000], 6, id="TestReplicaCalcScaleUpCMUnreadyHotCpuNoLessScale"
        ),
        pytest.param(
            15,
            0.1,
            3,
            "oro",
            [50000, 15000, 30000],
            7,
            id="TestReplicaCalcScaleUpCMUnreadyHotCpuScaleWouldScaleDown",
        ),
        pytest.param(4.4, 0.1, 1, "r", [8600], 2, id="TestReplicaCalcScaleUpCMExternal"),
        pytest.param(4.4, 0.1, 1, "r", [8600], 2, id="TestReplicaCalcScaleUpCMExternalNoLabels"),
        pytest.param(20, 0.1, 5, "rrrrr", [12000] * 5, 3, id="TestReplicaCalcScaleDownCM"),
        pytest.param(20, 0.1, 3, "rrr", [20000, 21000, 21000], 3, id="TestReplicaCalcToleranceCM"),
        pytest.param(
            20, 0.01, 3, "rrr", [20000, 21000, 21000], 4, id="TestReplicaCalcConfigurableToleranceCM"
        ),
        pytest.param(
            20,
            0.1,
            5,
            "rrrrr",
            [20000, 19000, 21000],
            5,
            id="TestPlainMetricReplicaCalcMissingMetricsNoChangeEq",
        ),
        pytest.param(
            17, 0.1, 2, "rrr", [10000, 10000], 2, id="TestReplicaCalcDuringRollingUpdateWithMaxSurgeCM"
        ),
    ],
)
def test_averages_of_pods_ask_for_what_upstream_says(
    target: float, up: float, current: int, letters: str, levels: list[float], expected: int
) -> None:
    metric = Metric("qps", "Pods", "AverageValue", target)
    found = replicas_for(spec(up=up), metric, current, pods=pods(letters, levels), now=NOW)
    assert found == expected


@pytest.mark.parametrize(
    ("kind", "type_", "target", "up", "current", "ready", "value", "expected"),
    [
        pytest.param("Object", "Value", 15, 0.1, 3, 3, 20, 4, id="TestReplicaCalcScaleUpCMObject"),
        pytest.param("Object", "AverageValue", 5, 0.1, 3, 3, 20, 4, id="TestReplicaCalcScaleUpCMPerPodObject"),
        pytest.param("Object", "Value", 10, 0.1, 3, 1, 50, 5, id="TestReplicaCalcScaleUpCMObjectIgnoresUnreadyPods"),
        pytest.param("External", "Value", 4.4, 0.1, 3, 1, 8.6, 2, id="TestReplicaCalcScaleUpCMExternalIgnoresUnreadyPods"),
        pytest.param("External", "AverageValue", 2.15, 0.1, 3, 3, 8.6, 4, id="TestReplicaCalcScaleUpPerPodCMExternal"),
        pytest.param("Object", "AverageValue", 2, 0.1, 5, 5, 6, 3, id="TestReplicaCalcScaleDownPerPodCMObject"),
        pytest.param("Object", "Value", 20, 0.1, 5, 5, 12, 3, id="TestReplicaCalcScaleDownCMObject"),
        pytest.param("External", "Value", 14.334, 0.1, 5, 5, 8.6, 3, id="TestReplicaCalcScaleDownCMExternal"),
        pytest.param("External", "AverageValue", 2.867, 0.1, 5, 5, 8.6, 3, id="TestReplicaCalcScaleDownPerPodCMExternal"),
        pytest.param("Object", "Value", 20, 0.1, 3, 3, 20.666, 3, id="TestReplicaCalcToleranceCMObject"),
        pytest.param("Object", "AverageValue", 5, 0.1, 4, 4, 20.166, 4, id="TestReplicaCalcTolerancePerPodCMObject"),
        pytest.param("External", "Value", 8.888, 0.1, 3, 3, 8.6, 3, id="TestReplicaCalcToleranceCMExternal"),
        pytest.param("External", "AverageValue", 2.9, 0.1, 3, 3, 8.6, 3, id="TestReplicaCalcTolerancePerPodCMExternal"),
        pytest.param("Object", "Value", 20, 0.01, 3, 3, 20.666, 4, id="TestReplicaCalcConfigurableToleranceCMObject"),
        pytest.param("Object", "AverageValue", 5, 0.01, 4, 4, 20.208, 5, id="TestReplicaCalcConfigurableTolerancePerPodCMObject"),
        pytest.param("External", "Value", 8.8, 0.01, 3, 3, 8.9, 4, id="TestReplicaCalcConfigurableToleranceCMExternal"),
        pytest.param("External", "AverageValue", 2.8, 0.01, 3, 3, 8.6, 4, id="TestReplicaCalcConfigurableTolerancePerPodCMExternal"),
        pytest.param("Object", "Value", 0.001, 0.1, 3, 3, 2.0**53, MAX, id="TestReplicaCalcScaleUpOverflow"),
        pytest.param("External", "AverageValue", 0.001, 0.1, 1, 1, 2.0**53, MAX, id="TestExternalPerPodMetricReplicaOverflow"),
        pytest.param("External", "AverageValue", 2.0**53, 0.1, 1, 1, 2.0**53, 1, id="TestExternalPerPodMetricUsageOverflow"),
        pytest.param("External", "Value", 2.0**53, 0.1, 3, 3, 2.0**53, 3, id="TestReplicaCalcExternalMetricUsageOverflow"),
    ],
)  # fmt: skip
def test_a_value_asks_for_what_upstream_says(
    kind: str,
    type_: str,
    target: float,
    up: float,
    current: int,
    ready: int,
    value: float,
    expected: int,
) -> None:
    metric = Metric("qps", kind, type_, target)
    assert replicas_for(spec(up=up), metric, current, value=value, ready=ready) == expected


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        pytest.param(pods("rrr", []), "did not receive metrics", id="TestReplicaCalcEmptyMetrics"),
        pytest.param([pod("r", 200, None)], "missing request for cpu", id="TestReplicaCalcEmptyCPURequest"),
        pytest.param(
            [pod("r", 200), pod("f", None, None)], "missing request", id="TestCalculateRequests: one without, though it failed"
        ),
        pytest.param([], "no pods returned by selector", id="no pod at all (GetResourceReplicas)"),
        pytest.param([pod("r", 50, 0.0), pod("r", 76, 0.0)], "matched known pods", id="TestGetResourceUtilizationRatioNoRequests"),
    ],
)  # fmt: skip
def test_without_samples_or_requests_there_is_no_answer(samples: list[PodSample], message: str) -> None:
    metric = Metric("cpu", "Resource", "Utilization", 100.0)
    with pytest.raises(NoMetricsError, match=message):
        replicas_for(spec(), metric, 4, pods=samples, now=NOW)


MINUTE = 60.0
# A pod of TestGroupPods stands beside another, and what is asked for tells which group it is in.
GROUPS = [
    ("count in a ready pod - memory", "memory", PodSample(1.0, 1.0, ready=None), "counted"),
    ("unready a pod without ready condition - CPU", "cpu", PodSample(1.0, 1.0, ready=None, started_s=NOW), "unready"),
    (
        "count in a ready pod with fresh metrics during initialization period - CPU", "cpu",
        PodSample(1.0, 1.0, ready_since_s=NOW - 30, started_s=NOW - MINUTE, sampled_s=NOW, window_s=30.0), "counted",
    ),
    (
        "unready a ready pod without fresh metrics during initialization period - CPU", "cpu",
        PodSample(1.0, 1.0, ready_since_s=NOW - 30, started_s=NOW - MINUTE, sampled_s=NOW, window_s=60.0), "unready",
    ),
    (
        "unready an unready pod during initialization period - CPU", "cpu",
        PodSample(1.0, 1.0, ready=False, ready_since_s=NOW - 9 * MINUTE - 54, started_s=NOW - 10 * MINUTE), "unready",
    ),
    (
        "count in a ready pod without fresh metrics after initialization period - CPU", "cpu",
        PodSample(1.0, 1.0, ready_since_s=NOW - 3 * MINUTE, started_s=NOW - 3 * MINUTE, sampled_s=NOW - 2 * MINUTE), "counted",
    ),
    (
        "count in an unready pod that was ready after initialization period - CPU", "cpu",
        PodSample(1.0, 1.0, ready=False, ready_since_s=NOW - 9 * MINUTE, started_s=NOW - 10 * MINUTE), "counted",
    ),
    (
        "unready pod that has never been ready after initialization period - CPU", "cpu",
        PodSample(1.0, 1.0, ready=False, ready_since_s=NOW - 9 * MINUTE - 50, started_s=NOW - 10 * MINUTE), "counted",
    ),
    ("a missing pod", "cpu", PodSample(None, 1.0, ready=None, started_s=NOW - 3 * MINUTE), "missing"),
    ("pending pods are unreadied", "cpu", PodSample(None, 1.0, phase="Pending"), "unready"),
    ("ignore pods with deletion timestamps", "cpu", PodSample(1.0, 1.0, phase="Pending", deleted=True), "ignored"),
    ("ignore pods in a failed state", "cpu", PodSample(1.0, 1.0, phase="Failed"), "ignored"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "sample", "group"), [pytest.param(*row[1:], id=f"TestGroupPods: {row[0]}") for row in GROUPS]
)
def test_a_pod_belongs_to_the_group_that_upstream_puts_it_in(
    resource: str, sample: PodSample, group: str
) -> None:
    metric = Metric(resource, "Resource", "Utilization", 100.0)

    def beside(level: float, current: int = 2) -> int:
        return replicas_for(spec(), metric, current, pods=[PodSample(level, 1.0), sample], now=NOW)

    # The other at 300 %: with the pod counted 200 % of two, with zero for it 150 % of two, without it 300 % of one.
    # At 20 %: counted 60 % of two, which a missing one gives too; without it 20 % of one.
    # At 150 % of five: counted 125 % of two; zero for it turns the direction round, and the five stay; without it two.
    seen = {"counted": (4, 2, 3), "unready": (3, 1, 5), "missing": (3, 2, 5), "ignored": (3, 1, 2)}
    assert (beside(3.0), beside(0.2), beside(1.5, 5)) == seen[group]


def test_utilisation_is_a_whole_percent_and_an_average_whole_thousandths() -> None:
    """TestGetResourceUtilizationRatioBaseCase and TestGetMetricUsageRatioBaseCase, at the edge of a tolerance."""
    exact = spec(0.0, 0.26)
    assert (
        replicas_for(
            exact, Metric("cpu", "Resource", "Utilization", 50.0), 2, pods=pods("rr", [50, 76], [0.1, 0.1])
        )
        == 2
    )
    plain = Metric("qps", "Pods", "AverageValue", 10.0)
    four = pods("rrrr", [5000, 10000, 5000, 10000])
    assert replicas_for(spec(0.25), plain, 4, pods=four) == 4
    assert replicas_for(spec(0.24), plain, 4, pods=four) == 3
    # 110.9 % is 110 %, which a tenth still tolerates; a third of a thousandth more than the target is none.
    assert (
        replicas_for(
            spec(),
            Metric("cpu", "Resource", "Utilization", 100.0),
            10,
            pods=pods("r" * 10, [1109] * 10),
            now=NOW,
        )
        == 10
    )
    assert replicas_for(spec(0, 0), plain, 3, pods=pods("rrr", [10000, 10000, 10001])) == 3


def test_average_values_go_by_the_pods_there_are_and_values_by_the_ready_ones() -> None:
    """GetExternalPerPodMetricReplicas is given status.replicas, GetExternalMetricReplicas spec.replicas."""
    per_pod, total = (Metric("m", "External", kind, 10.0) for kind in ("AverageValue", "Value"))
    assert replicas_for(spec(), per_pod, 4, value=42.0, status=4) == 4
    assert replicas_for(spec(), per_pod, 4, value=42.0, status=2) == 5
    assert replicas_for(spec(), total, 4, value=20.0, ready=3, status=4) == 6
    with pytest.raises(NoMetricsError, match="no pods returned by selector"):
        replicas_for(spec(), total, 4, value=20.0, ready=0, status=0)
