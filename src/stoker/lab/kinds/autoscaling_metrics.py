"""Metrics and targets of HorizontalPodAutoscalers (pkg/apis/autoscaling/validation/validation.go)."""

from collections.abc import Iterable

from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.metadata import is_dns_label, is_path_segment
from stoker.lab.kinds.quotas import amount, container_resource_name
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["metrics_causes", "reference_causes"]

_TYPES = ("ContainerResource", "External", "Object", "Pods", "Resource")
_SOURCES = ("object", "external", "pods", "resource", "containerResource")
_TARGET_TYPES = {"Utilization", "Value", "AverageValue"}


def reference_causes(reference: Object, path: str, *, group_may_lack: bool) -> list[Cause]:
    """``ValidateCrossVersionObjectReference``."""
    causes: list[Cause] = []
    for part in ("kind", "name"):
        value, where = reference.get(part, ""), f"{path}.{part}"
        causes += each(where, value, is_path_segment) if value else [required(where)]
    version = reference.get("apiVersion", "")
    problem = ""
    if version.count("/") > 1:
        problem = f"unexpected GroupVersion string: {version}"
    elif not group_may_lack and not version.rpartition("/")[0]:
        problem = "apiVersion must specify API group"
    if problem:
        causes.append(invalid_value(f"{path}.apiVersion", version, problem))
    return causes


def metrics_causes(metrics: Iterable[Object], path: str, least: int | None) -> list[Cause]:
    causes: list[Cause] = []
    kinds = set()
    for index, metric in enumerate(metrics):
        causes += _metric_causes(metric, f"{path}[{index}]")
        kinds.add(metric.get("type"))
    if least == 0 and not kinds & {"Object", "External"}:
        text = "must specify at least one Object or External metric to support scaling to zero replicas"
        causes.append(forbidden_field(path, text))
    return causes


def _metric_causes(metric: Object, path: str) -> list[Cause]:
    kind = metric.get("type", "")
    causes = []
    if not kind:
        causes.append(required(f"{path}.type", "must specify a metric source type"))
    if kind not in _TYPES:
        causes.append(unsupported(f"{path}.type", kind, _TYPES))
    given = [name for name in _SOURCES if name in metric]
    if given:
        causes += _source_causes(given[0], metric[given[0]], f"{path}.{given[0]}")
    expected = ""
    if kind in _TYPES:
        expected = kind[0].lower() + kind[1:]
        if expected not in metric:
            text = "must populate information for the given metric source"
            causes.append(required(f"{path}.{expected}", text))
    else:
        causes.append(unsupported(f"{path}.type", kind, _TYPES))
    if len(given) != 1:
        text = "must populate the given metric source only"
        causes += [forbidden_field(f"{path}.{name}", text) for name in given if name != expected]
    return causes


def _source_causes(name: str, source: Object, path: str) -> list[Cause]:
    target, where = source.get("target", {}), f"{path}.target"
    causes: list[Cause] = []
    if name == "object":
        described = source.get("describedObject", {})
        causes = reference_causes(described, f"{path}.describedObject", group_may_lack=True)
    if name in {"object", "external", "pods"}:
        metric = source.get("metric", {}).get("name", "")
        if metric:
            causes += each(f"{path}.metric.name", metric, is_path_segment)
        else:
            causes.append(required(f"{path}.metric.name", "must specify a metric name"))
    else:
        causes += _resource_causes(name, source, path)
    return causes + _target_causes(target, where) + _amount_causes(name, target, where)


def _resource_causes(name: str, source: Object, path: str) -> list[Cause]:
    resource = source.get("name", "")
    causes = [] if resource else [required(f"{path}.name", "must specify a resource name")]
    if name == "resource":
        return causes
    if resource:
        causes += container_resource_name(resource, f"{path}.name")
    container = source.get("container", "")
    if container:
        return causes + each(f"{path}.container", container, is_dns_label)
    return [*causes, required(f"{path}.container", "must specify a container")]


def _target_causes(target: Object, path: str) -> list[Cause]:
    kind = target.get("type", "")
    causes = []
    if not kind:
        causes.append(required(f"{path}.type", "must specify a metric target type"))
    if kind not in _TARGET_TYPES:
        text = "must be either Utilization, Value, or AverageValue"
        causes.append(invalid_value(f"{path}.type", kind, text))
    causes += [
        invalid_value(f"{path}.{name}", target[name], "must be positive")
        for name in ("value", "averageValue")
        if name in target and amount(target[name]) <= 0
    ]
    if target.get("averageUtilization", 1) < 1:
        text = "must be greater than 0"
        causes.append(invalid_value(f"{path}.averageUtilization", target["averageUtilization"], text))
    return causes


def _amount_causes(name: str, target: Object, path: str) -> list[Cause]:
    """Which amounts each kind of source takes."""
    average = "averageValue" in target
    if name == "pods":
        text = "must specify a positive target averageValue"
        return [] if average else [required(f"{path}.averageValue", text)]
    if name in {"resource", "containerResource"}:
        if average and "averageUtilization" in target:
            text = "may not set both a target raw value and a target utilization"
            return [forbidden_field(f"{path}.averageValue", text)]
        text = "must set either a target raw value or a target utilization"
        is_given = average or "averageUtilization" in target
        return [] if is_given else [required(f"{path}.averageUtilization", text)]
    if not average and "value" not in target:
        text = "must set either a target value or averageValue"
        if name == "external":
            text = "must set either a target value for metric or a per-pod target"
        return [required(f"{path}.averageValue", text)]
    if name == "external" and average and "value" in target:
        text = "may not set both a target value for metric and a per-pod target"
        return [forbidden_field(f"{path}.value", text)]
    return []
