"""HorizontalPodAutoscalers: defaults, refusals, and the round trip between the two versions."""

import json
from typing import Any

from stoker.lab.kinds.autoscaling_conversion import v1_to_v2, v2_to_v1
from stoker.lab.kinds.registry import strategy

Object = dict[str, Any]
AUTOSCALER = strategy("autoscaling", "HorizontalPodAutoscaler")
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}


def _autoscaler(version: str = "v2", **spec: Any) -> Object:
    found: Object = {
        "apiVersion": f"autoscaling/{version}",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "h", "namespace": "ns"},
        "spec": {"scaleTargetRef": dict(TARGET), "maxReplicas": 4, **spec},
    }
    AUTOSCALER.default(found)
    return found


def _external(value: str) -> Object:
    metric = {"name": "queue", "selector": {"matchLabels": {"a": "b"}}}
    return {"type": "External", "external": {"metric": metric, "target": {"type": "Value", "value": value}}}


def test_an_autoscaler_without_metrics_aims_at_cpu() -> None:
    spec = _autoscaler()["spec"]
    assert 1 == spec["minReplicas"]
    target = {"type": "Utilization", "averageUtilization": 80}
    assert [{"type": "Resource", "resource": {"name": "cpu", "target": target}}] == spec["metrics"]


def test_half_a_behavior_is_filled_up() -> None:
    policy = {"type": "Pods", "value": 1, "periodSeconds": 60}
    behavior = _autoscaler(behavior={"scaleDown": {"policies": [policy]}})["spec"]["behavior"]
    assert {"selectPolicy": "Max", "policies": [policy]} == behavior["scaleDown"]
    assert 0 == behavior["scaleUp"]["stabilizationWindowSeconds"]
    assert ["Pods", "Percent"] == [one["type"] for one in behavior["scaleUp"]["policies"]]


def test_metrics_and_behavior_survive_the_old_version() -> None:
    pods = {
        "type": "Pods",
        "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "5"}},
    }
    cpu = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    original = _autoscaler(
        metrics=[_external("30"), pods, cpu], behavior={"scaleUp": {"selectPolicy": "Min"}}
    )
    old = v2_to_v1(original)
    assert 70 == old["spec"]["targetCPUUtilizationPercentage"]
    annotation = json.loads(old["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/behavior"])
    assert "Min" == annotation["ScaleUp"]["SelectPolicy"]
    assert original["spec"] == v1_to_v2(old)["spec"]
    assert "annotations" not in v1_to_v2(old)["metadata"]


def test_an_autoscaler_of_the_old_version_is_given_its_cpu_target() -> None:
    spec = _autoscaler("v1")["spec"]
    assert (1, 80) == (spec["minReplicas"], spec["targetCPUUtilizationPercentage"])
    assert "metrics" not in spec


def test_mistakes_have_the_servers_words() -> None:
    metric = {"type": "Pods", "resource": {"name": "", "target": {"type": "Value"}}}
    found = _autoscaler(minReplicas=5, metrics=[metric])
    found["spec"]["scaleTargetRef"] = {"kind": "Deployment", "apiVersion": "v1"}
    assert [
        "spec.maxReplicas: Invalid value: 4: must be greater than or equal to `minReplicas`",
        "spec.scaleTargetRef.name: Required value",
        'spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group',
        "spec.metrics[0].resource.name: Required value: must specify a resource name",
        (
            "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a"
            " target utilization"
        ),
        "spec.metrics[0].pods: Required value: must populate information for the given metric source",
    ] == [str(cause) for cause in AUTOSCALER.validate(found)]
    assert AUTOSCALER.validate(found) == AUTOSCALER.validate({**found, "apiVersion": "autoscaling/v2"})
