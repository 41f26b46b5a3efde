"""HorizontalPodAutoscaler between autoscaling/v1 and v2 (pkg/apis/autoscaling/v1/conversion.go, helpers.go).

What v1 has no field for travels in annotations, as JSON. The annotation of the behavior is the JSON of an internal type,
which has no tags: its keys are Go's names.
"""

import json
from collections.abc import Callable
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text
from stoker.lab.kinds.strategy import Object

__all__ = ["STATUS_ANNOTATIONS", "drop_round_trip", "v1_to_v2", "v2_to_v1"]

_PREFIX = "autoscaling.alpha.kubernetes.io/"
_METRICS, _STATUSES = f"{_PREFIX}metrics", f"{_PREFIX}current-metrics"
_CONDITIONS, _BEHAVIOR = f"{_PREFIX}conditions", f"{_PREFIX}behavior"
_ALL = (
    _METRICS, _BEHAVIOR, f"{_PREFIX}scale-down-tolerance", f"{_PREFIX}scale-up-tolerance", _STATUSES, _CONDITIONS,
)  # fmt: skip
STATUS_ANNOTATIONS = (_STATUSES, _CONDITIONS)
_RULE_FIELDS = ("StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance")


def drop_round_trip(autoscaler: Object) -> None:
    """Takes away the annotations that only conversion may write."""
    annotations = autoscaler["metadata"].get("annotations")
    if annotations and any(name in annotations for name in _ALL):
        kept = {key: value for key, value in annotations.items() if key not in _ALL}
        if kept:
            autoscaler["metadata"]["annotations"] = kept
        else:
            del autoscaler["metadata"]["annotations"]


def _is_cpu(metric: Object) -> bool:
    resource = metric.get("resource")
    return (
        metric.get("type") == "Resource"
        and resource is not None
        and resource.get("name") == "cpu"
        and "averageUtilization" in resource.get("target", {})
    )


def _put(found: Object, **values: Any) -> Object:
    """Adds what is there: v1 leaves out what is unset."""
    found.update({key: value for key, value in values.items() if value is not None})
    return found


# --- metrics ------------------------------------------------------------------------------------------------------


def _object_to_v1(source: Object) -> Object:
    target, metric = source.get("target", {}), source.get("metric", {})
    found = {
        "target": source.get("describedObject", {}),
        "metricName": metric.get("name", ""),
        "targetValue": target.get("value", "0"),
    }
    return _put(found, selector=metric.get("selector"), averageValue=target.get("averageValue"))


def _object_to_v2(source: Object) -> Object:
    average, value = source.get("averageValue"), source.get("targetValue", "0")
    target: Object = {"type": "Value" if average is None else "AverageValue"}
    if average is None or value != "0":
        target["value"] = value
    _put(target, averageValue=average)
    metric = _put({"name": source.get("metricName", "")}, selector=source.get("selector"))
    return {"describedObject": source.get("target", {}), "target": target, "metric": metric}


def _pods_to_v1(source: Object) -> Object:
    metric = source.get("metric", {})
    average = source.get("target", {}).get("averageValue", "0")
    found = {"metricName": metric.get("name", ""), "targetAverageValue": average}
    return _put(found, selector=metric.get("selector"))


def _pods_to_v2(source: Object) -> Object:
    metric = _put({"name": source.get("metricName", "")}, selector=source.get("selector"))
    average = source.get("targetAverageValue", "0")
    return {"metric": metric, "target": {"type": "AverageValue", "averageValue": average}}


def _resource_to_v1(source: Object) -> Object:
    target = source.get("target", {})
    found = _put(
        {"name": source.get("name", "")},
        targetAverageUtilization=target.get("averageUtilization"),
        targetAverageValue=target.get("averageValue"),
    )
    return _put(found, container=source.get("container"))


def _resource_to_v2(source: Object) -> Object:
    utilization = source.get("targetAverageUtilization")
    target: Object = {"type": "AverageValue" if utilization is None else "Utilization"}
    _put(target, averageValue=source.get("targetAverageValue"), averageUtilization=utilization)
    found = {"name": source.get("name", ""), "target": target}
    return _put(found, container=source.get("container"))


def _external_to_v1(source: Object) -> Object:
    metric, target = source.get("metric", {}), source.get("target", {})
    return _put(
        {"metricName": metric.get("name", "")},
        metricSelector=metric.get("selector"),
        targetValue=target.get("value"),
        targetAverageValue=target.get("averageValue"),
    )


def _external_to_v2(source: Object) -> Object:
    value = source.get("targetValue")
    target: Object = {"type": "AverageValue" if value is None else "Value"}
    _put(target, value=value, averageValue=source.get("targetAverageValue"))
    metric = _put({"name": source.get("metricName", "")}, selector=source.get("metricSelector"))
    return {"metric": metric, "target": target}


_Convert = Callable[[Object], Object]
_SPEC: dict[str, tuple[_Convert, _Convert]] = {
    "object": (_object_to_v1, _object_to_v2),
    "pods": (_pods_to_v1, _pods_to_v2),
    "resource": (_resource_to_v1, _resource_to_v2),
    "containerResource": (_resource_to_v1, _resource_to_v2),
    "external": (_external_to_v1, _external_to_v2),
}


def _status_to_v1(name: str, source: Object) -> Object:
    current, metric = source.get("current", {}), source.get("metric", {})
    value, average = current.get("value", "0"), current.get("averageValue")
    if name in {"resource", "containerResource"}:
        found = {"name": source.get("name", ""), "currentAverageValue": average or "0"}
        _put(found, currentAverageUtilization=current.get("averageUtilization"))
        return _put(found, container=source.get("container"))
    found = {"metricName": metric.get("name", "")}
    if name == "pods":
        return _put(found, currentAverageValue=average or "0", selector=metric.get("selector"))
    if name == "object":
        target = source.get("describedObject", {})
        _put(found, target=target, currentValue=value, averageValue=average)
        return _put(found, selector=metric.get("selector"))
    selector = metric.get("selector")
    return _put(found, metricSelector=selector, currentValue=value, currentAverageValue=average)


def _status_to_v2(name: str, source: Object) -> Object:
    average = source.get("currentAverageValue", "0")
    if name in {"resource", "containerResource"}:
        current = _put({}, averageUtilization=source.get("currentAverageUtilization"), averageValue=average)
        found: Object = {"name": source.get("name", ""), "current": current}
        return _put(found, container=source.get("container"))
    selector = source.get("metricSelector" if name == "external" else "selector")
    metric = _put({"name": source.get("metricName", "")}, selector=selector)
    if name == "pods":
        return {"metric": metric, "current": {"averageValue": average}}
    current = {"value": source.get("currentValue", "0")}
    if name == "object":
        _put(current, averageValue=source.get("averageValue"))
        return {"metric": metric, "current": current, "describedObject": source.get("target", {})}
    return {"metric": metric, "current": _put(current, averageValue=source.get("currentAverageValue"))}


def _each_source(metric: Object, convert: Callable[[str, Object], Object]) -> Object:
    return {key: convert(key, value) if key in _SPEC else value for key, value in metric.items()}


# --- behavior -----------------------------------------------------------------------------------------------------


def _behavior_text(behavior: Object) -> str:
    def rules(found: Object | None) -> Object | None:
        if found is None:
            return None
        policies = [
            {name: one.get(name[0].lower() + name[1:]) for name in ("Type", "Value", "PeriodSeconds")}
            for one in found.get("policies", ())
        ]
        values = {name: found.get(name[0].lower() + name[1:]) for name in _RULE_FIELDS}
        return values | {"Policies": policies or None}

    return go_text({"ScaleUp": rules(behavior.get("scaleUp")), "ScaleDown": rules(behavior.get("scaleDown"))})


def _lowered(value: Any) -> Any:
    """Go's decoder takes keys in any case; nulls are unset fields."""
    if isinstance(value, dict):
        found = {f"{key[:1].lower()}{key[1:]}": _lowered(one) for key, one in value.items()}
        return {key: one for key, one in found.items() if one is not None}
    return [_lowered(one) for one in value] if isinstance(value, list) else value


def _decoded(annotations: dict[str, str], name: str, kind: type) -> Any:
    try:
        found = json.loads(annotations[name])
    except (KeyError, ValueError):
        return None
    return found if isinstance(found, kind) else None


# --- whole objects ------------------------------------------------------------------------------------------------


def v2_to_v1(autoscaler: Object) -> Object:
    """The v1 form of a stored (v2) autoscaler; nothing of the old object is changed."""
    spec, status = autoscaler.get("spec", {}), autoscaler.get("status", {})
    metrics = spec.get("metrics", [])
    current, conditions = status.get("currentMetrics") or [], status.get("conditions", [])
    annotations = {
        key: value for key, value in autoscaler["metadata"].get("annotations", {}).items() if key not in _ALL
    }
    others = [
        _each_source(one, lambda name, source: _SPEC[name][0](source)) for one in metrics if not _is_cpu(one)
    ]
    if others:
        annotations[_METRICS] = go_text(others)
    if current:
        annotations[_STATUSES] = go_text([_each_source(one, _status_to_v1) for one in current])
    if "behavior" in spec:
        annotations[_BEHAVIOR] = _behavior_text(spec["behavior"])
    if conditions:
        annotations[_CONDITIONS] = go_text(conditions)
    metadata = {key: value for key, value in autoscaler["metadata"].items() if key != "annotations"}
    cpu = next((one["resource"]["target"]["averageUtilization"] for one in metrics if _is_cpu(one)), None)
    found_spec = {"scaleTargetRef": spec.get("scaleTargetRef", {}), "maxReplicas": spec.get("maxReplicas", 0)}
    return {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata | ({"annotations": annotations} if annotations else {}),
        "spec": _put(found_spec, minReplicas=spec.get("minReplicas"), targetCPUUtilizationPercentage=cpu),
        "status": _status_of_v1(status, current),
    }


def _status_of_v1(status: Object, current: list[Object]) -> Object:
    found = {name: status.get(name, 0) for name in ("currentReplicas", "desiredReplicas")}
    used = [
        one["resource"]["current"].get("averageUtilization")
        for one in current
        if one.get("type") == "Resource" and one.get("resource", {}).get("name") == "cpu"
    ]
    utilization = next((one for one in reversed(used) if one is not None), None)
    return _put(
        found,
        observedGeneration=status.get("observedGeneration"),
        lastScaleTime=status.get("lastScaleTime"),
        currentCPUUtilizationPercentage=utilization,
    )


def v1_to_v2(autoscaler: Object) -> Object:
    """The v2 form of an autoscaler that came as v1."""
    spec, status = autoscaler.get("spec", {}), autoscaler.get("status", {})
    annotations = autoscaler["metadata"].get("annotations", {})
    cpu = spec.get("targetCPUUtilizationPercentage")
    others = _decoded(annotations, _METRICS, list) or []
    metrics = [_each_source(one, lambda name, source: _SPEC[name][1](source)) for one in others]
    if cpu is not None or not metrics:
        target = {"type": "Utilization", "averageUtilization": 80 if cpu is None else cpu}
        metrics.append({"type": "Resource", "resource": {"name": "cpu", "target": target}})
    found_spec: Object = {
        "scaleTargetRef": spec.get("scaleTargetRef", {}),
        "maxReplicas": spec.get("maxReplicas", 0),
        "metrics": metrics,
    }
    behavior = _lowered(_decoded(annotations, _BEHAVIOR, dict) or {})
    _put(found_spec, minReplicas=spec.get("minReplicas"), behavior=behavior or None)
    found: Object = {
        "kind": "HorizontalPodAutoscaler",
        "apiVersion": "autoscaling/v2",
        "metadata": dict(autoscaler["metadata"]),
        "spec": found_spec,
        "status": _status_of_v2(status, annotations),
    }
    drop_round_trip(found)
    return found


def _status_of_v2(status: Object, annotations: dict[str, str]) -> Object:
    current = _decoded(annotations, _STATUSES, list)
    metrics = None if current is None else [_each_source(one, _status_to_v2) for one in current]
    used = status.get("currentCPUUtilizationPercentage")
    if metrics is None and used is not None:
        resource = {"name": "cpu", "current": {"averageUtilization": used}}
        metrics = [{"type": "Resource", "resource": resource}]
    found = {"desiredReplicas": status.get("desiredReplicas", 0), "currentMetrics": metrics}
    return _put(
        found,
        observedGeneration=status.get("observedGeneration"),
        lastScaleTime=status.get("lastScaleTime"),
        currentReplicas=status.get("currentReplicas") or None,
        conditions=_decoded(annotations, _CONDITIONS, list),
    )
