"""Rows of the kinds that run pods, and of what scales them.

Upstream: pkg/printers/internalversion/printers.go.
"""

from datetime import datetime
from typing import Any

from stoker.lab.tables.duration import age, human_duration, parse_time
from stoker.lab.tables.texts import (
    NONE,
    UNSET,
    containers,
    format_labels,
    format_selector,
    selector_text,
    yes_no,
)

__all__ = ["WORKLOADS"]

Object = dict[str, Any]
_NO: Object = {}
_UNKNOWN = "<unknown>"
_NIL = "<nil>"


def _name(obj: Object) -> str:
    return str(obj.get("metadata", _NO).get("name", ""))


def _age(obj: Object, now: datetime) -> str:
    return age(obj.get("metadata", _NO).get("creationTimestamp"), now)


def _pod_spec(spec: Object) -> Object:
    found: Object = spec.get("template", _NO).get("spec", _NO)
    return found


def _deployment(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    selector = selector_text(spec.get("selector"))
    return [
        _name(obj),
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(obj, now),
        *containers(_pod_spec(spec)),
        "<invalid>" if selector is None else selector,
    ]


def _replicas(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    return [
        _name(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(obj, now),
        *containers(_pod_spec(spec)),
    ]


def _replica_set(obj: Object, now: datetime) -> list[Any]:
    return [*_replicas(obj, now), format_selector(obj.get("spec", _NO).get("selector"))]


def _replication_controller(obj: Object, now: datetime) -> list[Any]:
    return [*_replicas(obj, now), format_labels(obj.get("spec", _NO).get("selector"))]


def _stateful_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    return [_name(obj), ready, _age(obj, now), *containers(_pod_spec(spec))]


def _daemon_set(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    return [
        _name(obj),
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        format_labels(_pod_spec(spec).get("nodeSelector")),
        _age(obj, now),
        *containers(_pod_spec(spec)),
        format_selector(spec.get("selector")),
    ]


def _controller_revision(obj: Object, now: datetime) -> list[Any]:
    controller = NONE
    for owner in obj.get("metadata", _NO).get("ownerReferences", ()):
        if owner.get("controller"):
            group = owner["apiVersion"].rpartition("/")[0]
            kind = f"{owner['kind']}.{group}" if group else owner["kind"]
            controller = f"{kind.lower()}/{owner['name']}"
            break
    return [_name(obj), controller, obj.get("revision", 0), _age(obj, now)]


def _pod_template(obj: Object, _: datetime) -> list[Any]:
    template = obj.get("template", _NO)
    labels = format_labels(template.get("metadata", _NO).get("labels"))
    return [_name(obj), *containers(template.get("spec", _NO)), labels]


_JOB_STATES = (
    ("Complete", "Complete"),
    ("Failed", "Failed"),
    ("", "Terminating"),
    ("Suspended", "Suspended"),
    ("FailureTarget", "FailureTarget"),
    ("SuccessCriteriaMet", "SuccessCriteriaMet"),
)


def _job(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    succeeded, parallelism = status.get("succeeded", 0), spec.get("parallelism", 0)
    if "completions" in spec:
        completions = f"{succeeded}/{spec['completions']}"
    else:
        completions = f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"
    duration = ""
    if started := status.get("startTime"):
        ended = status.get("completionTime")
        duration = human_duration((parse_time(ended) if ended else now) - parse_time(started))
    return [
        _name(obj),
        _job_state(obj),
        completions,
        duration,
        _age(obj, now),
        *containers(_pod_spec(spec)),
        format_selector(spec.get("selector")),
    ]


def _job_state(obj: Object) -> str:
    met: dict[str, bool] = {}
    for one in obj.get("status", _NO).get("conditions", ()):
        met.setdefault(one.get("type", ""), one.get("status") == "True")
    met[""] = bool(obj.get("metadata", _NO).get("deletionTimestamp"))
    return next((word for condition, word in _JOB_STATES if met.get(condition)), "Running")


def _cron_job(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    job = spec.get("jobTemplate", _NO).get("spec", _NO)
    last = status.get("lastScheduleTime")
    return [
        _name(obj),
        spec.get("schedule", ""),
        spec.get("timeZone", NONE),
        yes_no(spec.get("suspend")),
        len(status.get("active", ())),
        age(last, now) if last else NONE,
        _age(obj, now),
        *containers(_pod_spec(job)),
        format_selector(job.get("selector")),
    ]


def _pod_disruption_budget(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    return [
        _name(obj),
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        obj.get("status", _NO).get("disruptionsAllowed", 0),
        _age(obj, now),
    ]


def _autoscaler(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    target = spec.get("scaleTargetRef", _NO)
    metrics, current = spec.get("metrics", []), status.get("currentMetrics", [])
    if obj.get("apiVersion") == "autoscaling/v1":
        metrics, current = _metrics_of_v1(spec, status)
    minimum = spec.get("minReplicas")
    return [
        _name(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _targets(metrics, current),
        UNSET if minimum is None else str(minimum),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        _age(obj, now),
    ]


def _metrics_of_v1(spec: Object, status: Object) -> tuple[list[Object], list[Object]]:
    """What a v1 object says of CPU, as v2 says it; other metrics are in annotations and are not read."""
    target, current = (
        spec.get("targetCPUUtilizationPercentage"),
        status.get("currentCPUUtilizationPercentage"),
    )
    if target is None:
        return [], []
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": target}}}]
    if current is None:
        return metrics, []
    return metrics, [
        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": current}}}
    ]


_SOURCES = {
    "External": "external",
    "Pods": "pods",
    "Object": "object",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}


def _targets(metrics: list[Object], statuses: list[Object]) -> str:
    """Current value and target of the first two metrics (formatHPAMetrics)."""
    if not metrics:
        return NONE
    shown = [
        _target(metric, statuses[index] if index < len(statuses) else _NO)
        for index, metric in enumerate(metrics)
    ]
    text = ", ".join(shown[:2])
    return f"{text} + {len(shown) - 2} more..." if len(shown) > 2 else text


def _target(metric: Object, status: Object) -> str:
    source = _SOURCES.get(metric.get("type", ""))
    if source is None:
        return "<unknown type>"
    wanted, found = metric.get(source, _NO), status.get(source)
    target = wanted.get("target", _NO)
    current = None if found is None else found.get("current", _NO)
    if source == "pods":
        return f"{_value(current, 'averageValue')}/{target.get('averageValue', _NIL)}"
    if source in {"external", "object"}:
        if "averageValue" in target:
            average = (current or _NO).get("averageValue", _UNKNOWN)
            return f"{average}/{target['averageValue']} (avg)"
        return f"{_value(current, 'value')}/{target.get('value', _NIL)}"
    name = wanted.get("name", "")
    if "averageValue" in target:
        return f"{name}: {_value(current, 'averageValue')}/{target['averageValue']}"
    goal = f"{target['averageUtilization']}%" if "averageUtilization" in target else "<auto>"
    use = f"{current['averageUtilization']}%" if current and "averageUtilization" in current else _UNKNOWN
    return f"{name}: {use}/{goal}"


def _value(current: Object | None, key: str) -> str:
    """A current value; where the metric is known and this value of it is not, Go prints a nil."""
    return _UNKNOWN if current is None else str(current.get(key, _NIL))


def _scale(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    return [_name(obj), spec.get("replicas", 0), status.get("replicas", 0), _age(obj, now)]


def _priority_class(obj: Object, now: datetime) -> list[Any]:
    return [
        _name(obj),
        obj.get("value", 0),
        obj.get("globalDefault", False),
        _age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


WORKLOADS = {
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("", "ReplicationController"): _replication_controller,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ControllerRevision"): _controller_revision,
    ("", "PodTemplate"): _pod_template,
    ("batch", "Job"): _job,
    ("batch", "CronJob"): _cron_job,
    ("policy", "PodDisruptionBudget"): _pod_disruption_budget,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("autoscaling", "Scale"): _scale,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
}
