"""One sync of the HPA controller, by upstream's own rows: kubernetes 1.36 pkg/controller/podautoscaler/horizontal_test.go.

Figures are upstream's; an id is the name of its test. Pods are letters as in `test_hpa_calculator`, levels thousandths.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from stoker.twin.autoscaler.controller import HpaDecision, HpaState, Reading, sync
from stoker.twin.autoscaler.hpa import Flags, Metric, parse_hpa
from stoker.twin.autoscaler.replicas import PodSample

NOW = 100_000.0
WITHIN, MANY, FEW = "DesiredWithinRange", "TooManyReplicas", "TooFewReplicas"
VALID = "ValidMetricFound"
NEVER = [(-1e9, 0)]
"""Recommendations of a controller that has run for long, none of them recent."""


UPSTREAM = Flags(cpu_initialization_s=120.0, initial_readiness_delay_s=10.0)


@dataclass(frozen=True)
class Row:
    """A testCase of upstream's.

    Attributes:
        cpu: target utilisation of pods; 0 is none.
        metrics: (kind, target type, target) of others, called ``qps``; a kind that is none is what upstream calls cheese.
        levels: of pods' samples, or the first for a value.
        pods: a letter each; ready ones for each level where empty.
        fresh: there is no recent recommendation; otherwise the current count is one.
        broken: kinds whose API answers with an error.
        flags: of the controller; upstream's tests have the feature gates that they are about.
        zeroed, after_zeroed: the ScaledToZero condition before and after.
        reason, limited: of the conditions ScalingActive and ScalingLimited after the sync.
    """

    name: str
    current: int
    expected: int
    cpu: int = 0
    metrics: tuple[tuple[str, str, str], ...] = ()
    levels: tuple[float, ...] = ()
    pods: str = ""
    requests: tuple[float, ...] = ()
    least: int = 2
    most: int = 6
    status: int | None = None
    fresh: bool = False
    broken: tuple[str, ...] = ()
    behavior: dict[str, Any] | None = None
    flags: Flags = UPSTREAM
    zeroed: bool = False
    reason: str = VALID
    limited: str = WITHIN
    after_zeroed: bool = False


def gated(*, zero: bool = True, tolerance: bool = True) -> Flags:
    return replace(UPSTREAM, scale_to_zero=zero, configurable_tolerance=tolerance)


def pod(letter: str, level: float | None, request: float) -> PodSample:
    start = NOW if letter in "ho" else NOW - 180 if letter == "c" else 0.0
    return PodSample(
        None if level is None else level / 1000,
        request,
        phase="Failed" if letter == "f" else "Running",
        ready=letter in "rhc",
        ready_since_s=start,
        started_s=start,
        deleted=letter == "d",
        sampled_s=NOW,
    )


def entry(kind: str, type_: str, target: str) -> dict[str, Any]:
    if kind == "CheddarCheese":
        return {"type": kind}
    field = {"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}[type_]
    source: dict[str, Any] = {"metric": {"name": "qps"}, "target": {"type": type_, field: target}}
    if kind in {"Resource", "ContainerResource"}:
        source = {"name": "cpu", "target": source["target"]}
    return {"type": kind, kind[0].lower() + kind[1:]: source}


def run(row: Row, state: HpaState) -> HpaDecision:
    metrics = [entry(*metric) for metric in row.metrics]
    if row.cpu:
        metrics.insert(0, entry("Resource", "Utilization", str(row.cpu)))
    spec: dict[str, Any] = {"minReplicas": row.least, "maxReplicas": row.most, "metrics": metrics}
    if row.behavior is not None:
        spec["behavior"] = row.behavior
    letters = row.pods or "r" * (len(row.requests) or len(row.levels))
    levels = [*row.levels, *[None] * (len(letters) - len(row.levels))]
    samples = [
        pod(letter, level, request)
        for letter, level, request in zip(letters, levels, row.requests or [1.0] * len(letters), strict=False)
    ]

    def read(metric: Metric) -> Reading:
        if metric.kind in row.broken:
            return Reading(error="something went wrong")
        if metric.kind in {"Object", "External"}:
            return Reading(value=row.levels[0] / 1000)
        return Reading(pods=samples)

    return sync(parse_hpa({"spec": spec}, row.flags), state, row.current, read, NOW, status=row.status)


CHEESE = (("CheddarCheese", "", ""),)
QPS15, QPS20 = (("Pods", "AverageValue", "15"),), (("Pods", "AverageValue", "20"),)
OBJECT15, OBJECT20 = (("Object", "Value", "15"),), (("Object", "Value", "20"),)
FIVE = (100.0, 300.0, 500.0, 250.0, 250.0)
NINE = (0.9, 1.0, 1.1)
TENTHS = (0.1, 0.1, 0.1)
TEN = (0.4, 0.2, 0.31, 0.29, 0.302, 0.298, 0.301, 0.299, 0.3, 0.3)


def percent(value: int, period: int, window: int) -> dict[str, Any]:
    policy = {"type": "Percent", "value": value, "periodSeconds": period}
    return {"scaleUp": {"stabilizationWindowSeconds": window, "policies": [policy]}}


UP = [
    Row("TestScaleUp", 3, 5, cpu=30, levels=(300, 500, 700)),
    Row("TestScaleUpContainer", 3, 5, metrics=(("ContainerResource", "Utilization", "30"),), levels=(300, 500, 700)),
    Row("TestScaleUpUnreadyLessScale", 3, 4, cpu=30, levels=(300, 500, 700), pods="urr"),
    Row("TestScaleUpHotCpuLessScale", 3, 4, cpu=30, levels=(300, 500, 700), pods="hcc"),
    Row("TestScaleUpUnreadyNoScale", 3, 3, cpu=30, levels=(400, 500, 700), pods="ruu"),
    Row("TestScaleUpHotCpuNoScale", 3, 3, cpu=30, levels=(400, 500, 700), pods="coo"),
    Row("TestScaleUpIgnoresFailedPods", 2, 4, cpu=30, levels=(500, 700), pods="rrff"),
    Row("TestScaleUpIgnoresDeletionPods", 2, 4, cpu=30, levels=(500, 700), pods="rrdd"),
    Row("TestScaleUpCM", 3, 4, metrics=QPS15, levels=(20000, 10000, 30000)),
    Row("TestScaleUpCMUnreadyAndHotCpuNoLessScale", 3, 6, metrics=QPS15, levels=(50000, 10000, 30000), pods="cco"),
    Row("TestScaleUpCMUnreadyandCpuHot", 3, 6, metrics=QPS15, levels=(50000, 15000, 30000), pods="oco", limited=MANY),
    Row("TestScaleUpHotCpuNoScaleWouldScaleDown", 3, 6, metrics=QPS15, levels=(50000, 15000, 30000), pods="hch", limited=MANY),
    Row("TestScaleUpCMObject", 3, 4, metrics=OBJECT15, levels=(20000,)),
    Row("TestScaleUpPerPodCMObject", 3, 4, metrics=(("Object", "AverageValue", "10"),), levels=(40000,)),
    Row("TestScaleUpCMExternal", 3, 4, metrics=(("External", "Value", "6666m"),), levels=(8600,)),
    Row("TestScaleUpPerPodCMExternal", 3, 4, metrics=(("External", "AverageValue", "2222m"),), levels=(8600,)),
    Row("TestScaleUpOneMetricInvalid", 3, 4, cpu=30, metrics=CHEESE, levels=(300, 400, 500)),
    Row("TestScaleUpOneMetricEmpty", 3, 4, cpu=30, metrics=(("External", "Value", "100m"),), levels=(300, 400, 500), broken=("External",)),
    Row("TestNoBackoffUpscaleCM", 3, 4, metrics=QPS15, levels=(20000, 10000, 30000), least=1, most=5),
    Row("TestNoBackoffUpscaleCMNoBackoffCpu", 3, 5, cpu=10, metrics=QPS15, levels=(20000, 10000, 30000), least=1, most=5, limited=MANY),
    Row("TestEventCreated", 1, 2, cpu=50, levels=(200,), requests=(0.2,), least=1, most=5),
    Row("TestMaxReplicas", 3, 5, cpu=90, levels=(8000, 9500, 1000), requests=NINE, most=5, limited=MANY),
    Row("TestSuperfluousMetrics", 4, 6, cpu=100, levels=(4000, 9500, 3000, 7000), limited=MANY),
    Row("TestUpscaleCap", 3, 24, cpu=10, levels=(100, 200, 300), requests=TENTHS, least=1, most=100, behavior=percent(700, 60, 0), limited="ScaleUpLimit"),
    Row("TestUpscaleCapGreaterThanMaxReplicas", 3, 20, cpu=10, levels=(100, 200, 300), requests=TENTHS, least=1, most=20, behavior=percent(700, 60, 0), limited=MANY),
    Row("TestHPARescaleWithSuccessfulConflictRetry", 3, 5, cpu=50, levels=(600, 700, 800)),
]  # fmt: skip

DOWN = [
    Row("TestScaleDown", 5, 3, cpu=50, levels=FIVE, fresh=True),
    Row("TestScaleDownContainerResource", 5, 3, metrics=(("ContainerResource", "Utilization", "50"),), levels=FIVE, fresh=True),
    Row("TestScaleDownWithScalingRules", 5, 3, cpu=50, levels=FIVE, behavior=percent(100, 15, 30), fresh=True),
    Row("TestScaleDownStabilizeInitialSize", 5, 5, cpu=50, levels=FIVE),
    Row("TestScaleDownCM", 5, 3, metrics=QPS20, levels=(12000,) * 5, fresh=True),
    Row("TestScaleDownCMObject", 5, 3, metrics=OBJECT20, levels=(12000,), fresh=True),
    Row("TestScaleDownPerPodCMObject", 5, 3, metrics=(("Object", "AverageValue", "20"),), levels=(60000,), fresh=True),
    Row("TestScaleDownCMExternal", 5, 3, metrics=(("External", "Value", "14400m"),), levels=(8600,), fresh=True),
    Row("TestScaleDownPerPodCMExternal", 5, 3, metrics=(("External", "AverageValue", "3"),), levels=(8600,), fresh=True),
    Row("TestScaleDownIncludeUnreadyPods", 5, 2, cpu=50, levels=FIVE, pods="rrruu", fresh=True),
    Row("TestScaleDownIgnoreHotCpuPods", 5, 2, cpu=50, levels=FIVE, pods="ccchh", fresh=True),
    Row("TestScaleDownIgnoresFailedPods", 5, 3, cpu=50, levels=FIVE, pods="rrrrrff", fresh=True),
    Row("TestScaleDownIgnoresDeletionPods", 5, 3, cpu=50, levels=FIVE, pods="rrrrrdd", fresh=True),
    Row("TestMinReplicas", 3, 2, cpu=90, levels=(10, 95, 10), requests=NINE, most=5, fresh=True, limited=FEW),
    Row("TestMinReplicasDesiredZero", 3, 2, cpu=90, levels=(0, 0, 0), requests=NINE, most=5, fresh=True, limited=FEW),
    Row("TestZeroMinReplicasDesiredZero", 3, 0, cpu=90, levels=(0, 0, 0), requests=NINE, least=0, most=5, fresh=True),
    Row("TestMissingMetrics", 4, 3, cpu=100, levels=(400, 95), pods="rrrr", fresh=True),
    Row("TestMissingReports", 4, 2, cpu=50, levels=(200,), requests=(0.2,), least=1, most=5, fresh=True),
    Row("TestComputedToleranceAlgImplementation: beyond", 10, 9, cpu=56, levels=(150,) * 10, requests=TEN, least=0, most=1000, fresh=True),
]  # fmt: skip

STAYS = [
    Row("TestTolerance", 3, 3, cpu=100, levels=(1010, 1030, 1020), requests=NINE, least=1, most=5),
    Row("TestToleranceCM", 3, 3, metrics=QPS20, levels=(20000, 20001, 21000), least=1, most=5),
    Row("TestToleranceCMObject", 3, 3, metrics=OBJECT20, levels=(20050,), least=1, most=5),
    Row("TestToleranceCMExternal", 4, 4, metrics=(("External", "Value", "8666m"),), levels=(8600,)),
    Row("TestTolerancePerPodCMObject", 4, 4, metrics=(("Object", "AverageValue", "2200m"),), levels=(8600,)),
    Row("TestTolerancePerPodCMExternal", 4, 4, metrics=(("External", "AverageValue", "2200m"),), levels=(8600,)),
    Row("TestComputedToleranceAlgImplementation: within", 10, 10, cpu=55, levels=(150,) * 10, requests=TEN, least=0, most=1000, fresh=True),
    Row("TestEventNotCreated", 2, 2, cpu=50, levels=(200, 200), requests=(0.4, 0.4), least=1, most=5),
    Row("TestMoreReplicasThanSpecNoScale", 4, 4, cpu=50, levels=(500,) * 5, status=5, least=1, most=8),
    Row("TestScaleUpBothMetricsEmpty", 3, 3, metrics=CHEESE, reason="InvalidMetricSourceType", limited=""),
    Row("TestConditionInvalidSourceType", 3, 3, metrics=CHEESE, levels=(20000,), reason="InvalidMetricSourceType", limited=""),
    Row("TestNoScaleDownOneMetricInvalid", 5, 5, cpu=50, metrics=CHEESE, levels=FIVE, fresh=True, reason="InvalidMetricSourceType", limited=""),
    Row("TestNoScaleDownOneMetricEmpty", 5, 5, cpu=50, metrics=(("External", "Value", "1"),), levels=FIVE, fresh=True, broken=("External",), reason="FailedGetExternalMetric", limited=""),
    Row("TestEmptyMetrics", 4, 4, cpu=100, pods="rrrr", reason="FailedGetResourceMetric", limited=""),
    Row("TestEmptyCPURequest", 1, 1, cpu=100, levels=(), least=1, most=5, reason="FailedGetResourceMetric", limited=""),
    *(
        Row(f"TestConditionFailedGetMetrics: {kind}", 3, 3, metrics=((kind, type_, target),), levels=(100, 200, 300), least=1, most=100, broken=(kind,), reason=f"FailedGet{kind}Metric", limited="")
        for kind, type_, target in (("Resource", "Utilization", "10"), ("ContainerResource", "Utilization", "10"), ("Pods", "AverageValue", "15"), ("Object", "Value", "15"), ("External", "Value", "300m"))
    ),
]  # fmt: skip

BOUNDS = [
    Row("TestZeroReplicas", 0, 0, cpu=90, least=3, most=5, reason="ScalingDisabled", limited=""),
    Row("TestTooFewReplicas", 2, 3, cpu=90, least=3, most=5, reason="", limited=""),
    Row("TestTooManyReplicas", 10, 5, cpu=90, least=3, most=5, reason="", limited=""),
    Row("TestScaleUpRCImmediately", 1, 2, levels=(0,) * 4, reason="", limited=""),
    Row("TestScaleDownRCImmediately", 6, 5, cpu=50, levels=(8000, 9500, 1000), requests=NINE, most=5, reason="", limited=""),
]  # fmt: skip

OFF = gated(zero=False)
ZERO = [
    Row("TestScaleUpFromZeroCMObject: gate on", 0, 2, metrics=OBJECT15, levels=(20000,), least=0, flags=gated(), zeroed=True),
    Row("TestScaleUpFromZeroCMObject: gate off", 0, 0, metrics=OBJECT15, levels=(20000,), least=0, flags=OFF, zeroed=True, reason="ScalingDisabled", limited=""),
    Row("TestScaleUpFromZeroIgnoresToleranceCMObject: gate on", 0, 1, metrics=(("Object", "Value", "1"),), levels=(1000,), least=0, flags=gated(), zeroed=True),
    Row("TestScaleUpFromZeroIgnoresToleranceCMObject: gate off", 0, 0, metrics=(("Object", "Value", "1"),), levels=(1000,), least=0, flags=OFF, zeroed=True, reason="ScalingDisabled", limited=""),
    *(Row(f"TestScaleUpFromZeroOneMetricInvalid: {flags.scale_to_zero}", 0, 0, cpu=30, metrics=CHEESE, levels=(300, 400, 500), least=0, flags=flags, fresh=True, reason="ScalingDisabled", limited="") for flags in (gated(), OFF)),
    Row("TestScaleDownToZeroCMObject: gate on", 5, 0, metrics=OBJECT20, levels=(0,), least=0, flags=gated(), fresh=True, after_zeroed=True),
    Row("TestScaleDownToZeroCMObject: gate off", 5, 0, metrics=OBJECT20, levels=(0,), least=0, flags=OFF, fresh=True),
    Row("TestScaleDownToZeroCMExternal: gate off", 5, 0, metrics=(("External", "Value", "14400m"),), levels=(0,), least=0, flags=OFF, fresh=True),
    Row("TestScaleDownToZeroCMExternal: gate on", 5, 0, metrics=(("External", "Value", "14400m"),), levels=(0,), least=0, flags=gated(), fresh=True, after_zeroed=True),
    *(Row(f"TestScaleUpFromZeroWithoutCondition: {flags.scale_to_zero}", 0, 0, metrics=OBJECT15, levels=(20000,), least=0, flags=flags, reason="ScalingDisabled", limited="") for flags in (gated(), OFF)),
    Row("TestScaleUpFromZeroWhenMinReplicasIncreased: gate on", 0, 2, metrics=OBJECT15, levels=(10000,), flags=gated(), zeroed=True, limited=FEW),
    Row("reconcileAutoscaler: a raised minimum from zero, with behavior", 0, 2, metrics=OBJECT15, levels=(10000,), behavior={}, flags=gated(), zeroed=True),
    Row("TestScaleUpFromZeroWhenMinReplicasIncreased: gate off", 0, 0, metrics=OBJECT15, levels=(10000,), flags=OFF, zeroed=True, reason="ScalingDisabled", limited=""),
    Row("TestScaledToZeroConditionHandledOnNormalRescale: gate off", 3, 5, cpu=30, levels=(300, 500, 700), least=1, flags=OFF, zeroed=True),
    Row("TestScaledToZeroConditionHandledOnNormalRescale: gate on", 3, 5, cpu=30, levels=(300, 500, 700), least=1, flags=gated(), zeroed=True),
    *(Row(f"TestManualScaleToZeroDisablesHPA: {flags.scale_to_zero}", 0, 0, cpu=50, least=1, flags=flags, reason="ScalingDisabled", limited="") for flags in (gated(), OFF)),
]  # fmt: skip

SAME = (1010, 1030, 1020)
TOLERANCES = [
    Row("TestConfigurableTolerance: up at 1 %", 3, 4, cpu=100, levels=SAME, requests=NINE, least=1, most=5, behavior={"scaleUp": {"tolerance": "0.01"}}),
    Row("TestConfigurableTolerance: not down at 90 %", 3, 3, cpu=100, levels=(300,) * 3, least=1, most=5, behavior={"scaleDown": {"tolerance": "0.9"}}, fresh=True),
    Row("TestConfigurableTolerance: the default is larger", 3, 3, cpu=100, levels=SAME, requests=NINE, least=1, most=5),
    Row("TestConfigurableTolerance: gate off", 3, 3, cpu=100, levels=SAME, requests=NINE, least=1, most=5, behavior={"scaleUp": {"tolerance": "0.01"}}, flags=gated(zero=False, tolerance=False)),
]  # fmt: skip


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in (*UP, *DOWN, *STAYS, *BOUNDS, *ZERO, *TOLERANCES)]
)
def test_a_sync_does_what_upstream_says(row: Row) -> None:
    state = HpaState(recommendations=list(NEVER) if row.fresh else [], scaled_to_zero=row.zeroed)
    found = run(row, state)
    assert (found.replicas, found.reason, found.limited_reason) == (row.expected, row.reason, row.limited)
    assert found.active == (row.reason in {VALID, ""})
    assert found.limited == (row.limited not in {"", WITHIN})
    assert state.scaled_to_zero == row.after_zeroed


def test_a_higher_recommendation_of_the_last_minutes_holds_a_scale_down() -> None:
    """TestStabilizeDownscale: of 10 ten minutes ago and 4 a minute ago the second still counts."""
    state = HpaState(recommendations=[(NOW - 600, 10), (NOW - 60, 4)])
    found = run(Row("", 4, 4, cpu=100, levels=(50,) * 3, requests=TENTHS, least=1, most=5), state)
    assert (found.replicas, found.proposed, found.stabilized) == (4, 2, True)


def test_without_metrics_an_hpa_goes_by_80_percent_of_the_cpu() -> None:
    """pkg/apis/autoscaling/v2/defaults.go SetDefaults_HorizontalPodAutoscaler."""
    assert parse_hpa({"spec": {"maxReplicas": 3}}).metrics == (
        Metric("cpu", "Resource", "Utilization", 80.0),
    )
    assert run(Row("", 3, 4, levels=(1000,) * 3), HpaState()).replicas == 4
    assert run(Row("", 3, 3, levels=(870,) * 3), HpaState()).replicas == 3


def test_an_empty_behavior_is_a_behavior_with_the_defaults() -> None:
    """From 3 pods four more may come within 15 s by the default rules, where without rules it is double."""
    huge = {"cpu": 10, "levels": (1000.0,) * 3, "least": 1, "most": 100}
    assert run(Row("", 3, 0, behavior={}, **huge), HpaState()).replicas == 7  # type: ignore[arg-type]
    assert run(Row("", 3, 0, **huge), HpaState()).replicas == 6  # type: ignore[arg-type]
