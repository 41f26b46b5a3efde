"""HorizontalPodAutoscalers: replicas, conditions, events, what the status says."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.lab.controllers.world import Object, World, make_world, workload

from stoker.lab.controllers.metrics import MetricsError, Usage

KIND = "autoscaling/v2/HorizontalPodAutoscaler"


class Metrics:
    """Metrics that a test sets."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.each: float | None = None
        self.whole: float | None = None

    def _usages(self, pods: Sequence[str]) -> Mapping[str, Usage]:
        assert self.world is not None
        if self.each is None:
            raise MetricsError("the server could not find the requested resource (get pods.metrics.k8s.io)")
        return {pod: Usage(self.each, self.world.now) for pod in pods}

    def resource(
        self, namespace: str, pods: Sequence[str], resource: str, container: str
    ) -> Mapping[str, Usage]:
        del namespace, resource, container
        return self._usages(pods)

    def pods(
        self, namespace: str, pods: Sequence[str], metric: str, selector: Object | None
    ) -> Mapping[str, Usage]:
        del namespace, metric, selector
        return self._usages(pods)

    def object(self, namespace: str, reference: Object, metric: str, selector: Object | None) -> float:
        del namespace, reference, metric, selector
        if self.whole is None:
            raise MetricsError("no custom metrics API (custom.metrics.k8s.io) registered")
        return self.whole

    def external(self, namespace: str, metric: str, selector: Object | None) -> Sequence[float]:
        del namespace, selector
        if self.whole is None:
            raise MetricsError(
                f"the server could not find the requested resource (get {metric}.external.metrics.k8s.io)"
            )
        return [self.whole]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def _start(world: World) -> None:
    """Pods have been running for an hour."""
    for name in world.names("Pod"):
        world.change(
            "Pod", name, lambda pod: pod["status"].update(startTime="2026-01-05T11:00:00Z"), part="status"
        )


@pytest.fixture
def scaled(metrics: Metrics) -> World:
    """A Deployment with two pods that are ready and request one core each."""
    world = make_world(metrics)
    metrics.world = world
    deployment = workload("Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
    world.create(deployment)
    world.run_pods()
    _start(world)
    return world


def _hpa(*metrics: Object, **spec: Any) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h"},
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": list(metrics),
            **spec,
        },
    }


def _cpu(percent: int = 50) -> Object:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def _external(value: str = "10") -> Object:
    selector = {"matchLabels": {"scaledobject.keda.sh/name": "so"}}
    metric = {"name": "s0-prometheus", "selector": selector}
    return {
        "type": "External",
        "external": {"metric": metric, "target": {"type": "AverageValue", "averageValue": value}},
    }


def _replicas(world: World) -> int:
    return int(world.fetch("apps/v1/Deployment", "d")["spec"]["replicas"])


def _conditions(world: World) -> dict[str, tuple[str, str, str]]:
    return {
        one["type"]: (one["status"], one["reason"], one["message"])
        for one in world.fetch(KIND, "h")["status"]["conditions"]
    }


def test_more_use_than_the_target_scales_up_and_says_why(scaled: World, metrics: Metrics) -> None:
    metrics.each = 1.0
    scaled.now = scaled.now.replace(hour=13)
    scaled.create(_hpa(_cpu()))
    assert 4 == _replicas(scaled)
    status = scaled.fetch(KIND, "h")["status"]
    assert (2, 4, "2026-01-05T13:00:00Z") == (
        status["currentReplicas"],
        status["desiredReplicas"],
        status["lastScaleTime"],
    )
    current = {"averageUtilization": 100, "averageValue": "1"}
    assert [{"type": "Resource", "resource": {"name": "cpu", "current": current}}] == status["currentMetrics"]
    assert {
        "AbleToScale": (
            "True",
            "SucceededRescale",
            "the HPA controller was able to update the target scale to 4",
        ),
        "ScalingActive": (
            "True",
            "ValidMetricFound",
            "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
        ),
        "ScalingLimited": ("False", "DesiredWithinRange", "the desired count is within the acceptable range"),
    } == _conditions(scaled)
    assert [
        "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    ] == scaled.events("SuccessfulRescale")


def test_the_scale_belongs_to_the_controller(scaled: World, metrics: Metrics) -> None:
    metrics.each = 1.0
    scaled.now = scaled.now.replace(hour=13)
    scaled.create(_hpa(_cpu()))
    owners = [
        (one["manager"], one.get("subresource"))
        for one in scaled.fetch("apps/v1/Deployment", "d")["metadata"]["managedFields"]
        if "f:replicas" in one["fieldsV1"].get("f:spec", {})
    ]
    assert [("kube-controller-manager", "scale")] == owners


def test_the_target_is_not_scaled_down_before_the_window_has_passed(scaled: World, metrics: Metrics) -> None:
    metrics.each = 0.1
    scaled.now = scaled.now.replace(hour=13)
    scaled.create(_hpa(_cpu()))
    assert 2 == _replicas(scaled)
    assert ("True", "ScaleDownStabilized") == _conditions(scaled)["AbleToScale"][:2]
    scaled.wait(301)
    assert 1 == _replicas(scaled)
    assert "New size: 1; reason: All metrics below target" in scaled.events("SuccessfulRescale")


def test_without_metrics_the_condition_says_what_the_real_one_says(scaled: World) -> None:
    scaled.create(_hpa(_cpu()))
    text = (
        "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource "
        "metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
    )
    assert (
        "False",
        "FailedGetResourceMetric",
        f"the HPA was unable to compute the replica count: {text}",
    ) == (_conditions(scaled)["ScalingActive"])
    assert [text] == scaled.events("FailedGetResourceMetric")
    assert [
        f"invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {text}"
    ] == scaled.events("FailedComputeMetricsReplicas")


def test_an_external_metric_is_shared_among_pods(scaled: World, metrics: Metrics) -> None:
    metrics.whole = 45.0
    scaled.create(_hpa(_external()))
    assert 4 == _replicas(scaled)
    assert ("True", "ScaleUpLimit") == _conditions(scaled)["ScalingLimited"][:2]
    current = scaled.fetch(KIND, "h")["status"]["currentMetrics"][0]["external"]["current"]
    assert {"averageValue": "22500m"} == current


def test_an_external_metric_that_is_not_there_is_named_with_its_selector(scaled: World) -> None:
    scaled.create(_hpa(_external()))
    selector = (
        "&LabelSelector{MatchLabels:map[string]string{scaledobject.keda.sh/name: so,},"
        "MatchExpressions:[]LabelSelectorRequirement{},}"
    )
    text = (
        f"unable to get external metric default/s0-prometheus/{selector}: unable to fetch metrics from external metrics "
        "API: the server could not find the requested resource (get s0-prometheus.external.metrics.k8s.io)"
    )
    assert [text] == scaled.events("FailedGetExternalMetric")


def test_a_target_that_is_not_there_cannot_be_scaled(scaled: World) -> None:
    hpa = _hpa(_cpu())
    hpa["spec"]["scaleTargetRef"]["name"] = "other"
    scaled.create(hpa)
    text = (
        'the HPA controller was unable to get the target\'s current scale: deployments.apps "other" not found'
    )
    assert {"AbleToScale": ("False", "FailedGetScale", text)} == _conditions(scaled)


def test_a_target_at_zero_is_left_alone(scaled: World, metrics: Metrics) -> None:
    metrics.whole = 100.0
    scaled.change("apps/v1/Deployment", "d", lambda obj: obj["spec"].update(replicas=0))
    scaled.create(_hpa(_external()))
    assert 0 == _replicas(scaled)
    assert ("False", "ScalingDisabled") == _conditions(scaled)["ScalingActive"][:2]


def test_a_target_outside_its_bounds_is_brought_back(scaled: World) -> None:
    scaled.create(_hpa(_cpu(), minReplicas=5))
    assert 5 == _replicas(scaled)
    assert ["New size: 5; reason: Current number of replicas below Spec.MinReplicas"] == scaled.events(
        "SuccessfulRescale"
    )


def test_a_pod_without_a_request_has_no_utilization(scaled: World, metrics: Metrics) -> None:
    metrics.each = 1.0

    def change(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["resources"] = {}

    scaled.change("apps/v1/Deployment", "d", change)
    scaled.run_pods()
    _start(scaled)
    scaled.now = scaled.now.replace(hour=13)
    scaled.create(_hpa(_cpu()))
    name = scaled.names("Pod")[0]
    assert [
        f"failed to get cpu utilization: missing request for cpu in container c of Pod {name}"
    ] == scaled.events("FailedGetResourceMetric")


def test_its_own_status_does_not_wake_it(scaled: World, metrics: Metrics) -> None:
    metrics.whole = 20.0
    scaled.create(_hpa(_external()))
    version = scaled.fetch(KIND, "h")["metadata"]["resourceVersion"]
    scaled.settle()
    assert version == scaled.fetch(KIND, "h")["metadata"]["resourceVersion"]
