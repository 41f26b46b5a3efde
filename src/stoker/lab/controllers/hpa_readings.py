"""What the metrics of a HorizontalPodAutoscaler say: for the twin's algorithm, and in the words of status and conditions.

Sources: kubernetes pkg/controller/podautoscaler/{horizontal.go,replica_calculator.go,metrics/client.go}.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from stoker.kube.quantities import parse
from stoker.lab.controllers.disruption import selector_text
from stoker.lab.controllers.metrics import MetricsError, MetricsSource, Usage
from stoker.lab.controllers.objects import Object, condition_of, moment
from stoker.lab.kinds.quantity_text import NANO, Quantity, text_of
from stoker.twin.autoscaler.controller import Reading
from stoker.twin.autoscaler.hpa import HpaSpec, Metric
from stoker.twin.autoscaler.replicas import NoMetricsError, PodSample, replicas_for

__all__ = ["Asked", "Found", "count_ready", "read"]


@dataclass(frozen=True, slots=True)
class Found:
    """One metric at one sync.

    Attributes:
        reading: for the twin.
        proposal: replicas that it asks for; None where it cannot be read.
        name: as events name it.
        status: its entry in ``status.currentMetrics``; empty where it cannot be read.
        error: why it cannot be read, and ``told`` the same as the whole sync tells it.
    """

    reading: Reading
    proposal: int | None
    name: str
    status: Object
    error: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom to ask, about what.

    Attributes:
        source: the metrics APIs.
        pods: of the target.
        wanted: ``spec.replicas`` of the target, and ``there`` its ``status.replicas``.
        namespace: of the HPA.
        now: the time.
    """

    source: MetricsSource
    pods: Sequence[Object]
    wanted: int
    there: int
    namespace: str
    now: datetime


def read(entry: Object, spec: HpaSpec, metric: Metric, asked: Asked) -> Found:
    """Ask for one metric.

    Args:
        entry: of ``spec.metrics``.
        spec: the HPA as the twin reads it.
        metric: the entry as the twin reads it.
        asked: whom, about what.
    """
    try:
        reading, status = _ASK[metric.kind](entry, metric, asked)
        proposal = _propose(spec, metric, reading, asked)
    except (MetricsError, NoMetricsError) as error:
        text = f"{_lead(entry, metric)}{error}"
        return Found(Reading(error=text), None, "", {}, text, f"{_told(entry, metric)}: {text}")
    return Found(reading, proposal, _name(entry, metric), status)


def _propose(spec: HpaSpec, metric: Metric, reading: Reading, asked: Asked) -> int:
    return replicas_for(
        spec,
        metric,
        asked.wanted,
        value=reading.value,
        pods=reading.pods,
        ready=count_ready(asked.pods),
        status=asked.there,
        now=asked.now.timestamp(),
    )


# --- words --------------------------------------------------------------------------------------------------------


def _source(entry: Object, metric: Metric) -> Object:
    found: Object = entry[metric.kind[0].lower() + metric.kind[1:]]
    return found


def _lead(entry: Object, metric: Metric) -> str:
    """What upstream puts before an error of the calculator: the condition's and the event's text begins with it."""
    source = _source(entry, metric)
    if metric.kind in {"Resource", "ContainerResource"}:
        what = "utilization" if metric.target == "Utilization" else "usage"
        return f"failed to get {source['name']} {what}: "
    return ""


def _told(entry: Object, metric: Metric) -> str:
    source = _source(entry, metric)
    match metric.kind:
        case "Resource":
            return f"failed to get {source['name']} resource metric value"
        case "ContainerResource":
            return f"failed to get {source['container']} container metric value"
        case "External":
            text = f"failed to get {metric.name} external metric value"
            # The calculator's error is wrapped once more than in the condition.
            if metric.target == "AverageValue":
                return f"{text}: failed to get {metric.name} external metric"
            return f"{text}: failed to get external metric {metric.name}"
        case "Object":
            text = "failed to get object metric value"
            return (
                f"{text}: failed to get {metric.name} object metric"
                if metric.target == "AverageValue"
                else text
            )
    return "failed to get pods metric value"


def _name(entry: Object, metric: Metric) -> str:
    source = _source(entry, metric)
    match metric.kind:
        case "Resource" | "ContainerResource":
            if metric.target != "Utilization":
                return f"{metric.name} resource"
            part = "container resource" if metric.kind == "ContainerResource" else "resource"
            return f"{metric.name} {part} utilization (percentage of request)"
        case "Pods":
            return f"pods metric {metric.name}"
        case "Object" if metric.target == "Value":
            return f"{source['describedObject']['kind']} metric {metric.name}"
    return f"external metric {metric.name}({selector_text(source['metric'].get('selector'))})"


def _milli(value: float, form: str = "decimal") -> str:
    return text_of(Quantity(math.ceil(round(value, 6)) * (NANO // 1000), form))


# --- asking -------------------------------------------------------------------------------------------------------


def _ask_resource(entry: Object, metric: Metric, asked: Asked) -> tuple[Reading, Object]:
    wanted = _source(entry, metric)
    container = str(wanted.get("container") or "")
    names = [pod["metadata"]["name"] for pod in asked.pods]
    try:
        usages = asked.source.resource(asked.namespace, names, metric.name, container)
    except MetricsError as error:
        raise MetricsError(
            f"unable to get metrics for resource {metric.name}: unable to fetch metrics from resource metrics API: {error}"
        ) from error
    if not usages:
        raise MetricsError(
            f"unable to get metrics for resource {metric.name}: no metrics returned from resource metrics API"
        )
    needs_request = metric.target == "Utilization"
    samples = [
        _sample(pod, usages, _request(pod, metric.name, container) if needs_request and usages else 0.0)
        for pod in asked.pods
    ]
    _check_samples(samples)
    current = _current(metric, samples, asked.now)
    if needs_request and current is not None:
        _check_requests(asked.pods, metric.name, container)
    found: Object = {"name": metric.name, "current": current or {}}
    if container:
        found["container"] = container
    return Reading(pods=samples), {"type": metric.kind, _field(metric): found}


def _ask_pods(entry: Object, metric: Metric, asked: Asked) -> tuple[Reading, Object]:
    identity = _source(entry, metric)["metric"]
    names = [pod["metadata"]["name"] for pod in asked.pods]
    try:
        usages = asked.source.pods(asked.namespace, names, metric.name, identity.get("selector"))
    except MetricsError as error:
        raise MetricsError(
            f"unable to get metric {metric.name}: unable to fetch metrics from custom metrics API: {error}"
        ) from error
    if not usages:
        raise MetricsError(f"unable to get metric {metric.name}: no metrics returned from custom metrics API")
    samples = [_sample(pod, usages, 0.0) for pod in asked.pods]
    _check_samples(samples)
    current = _current(metric, samples, asked.now) or {}
    return Reading(pods=samples), {"type": "Pods", "pods": {"metric": identity, "current": current}}


def _ask_object(entry: Object, metric: Metric, asked: Asked) -> tuple[Reading, Object]:
    wanted = _source(entry, metric)
    about = wanted["describedObject"]
    try:
        value = asked.source.object(asked.namespace, about, metric.name, wanted["metric"].get("selector"))
    except MetricsError as error:
        raise MetricsError(
            f"unable to get metric {metric.name}: {about['kind']} on {asked.namespace} {about['name']}/"
            f"unable to fetch metrics from custom metrics API: {error}"
        ) from error
    found = {
        "describedObject": about,
        "metric": wanted["metric"],
        "current": _whole(metric, value, asked.there),
    }
    return Reading(value=value), {"type": "Object", "object": found}


def _ask_external(entry: Object, metric: Metric, asked: Asked) -> tuple[Reading, Object]:
    identity = _source(entry, metric)["metric"]
    selector = identity.get("selector")
    lead = f"unable to get external metric {asked.namespace}/{metric.name}/{selector_text(selector)}: "
    try:
        values = asked.source.external(asked.namespace, metric.name, selector)
    except MetricsError as error:
        raise MetricsError(f"{lead}unable to fetch metrics from external metrics API: {error}") from error
    if not values:
        raise MetricsError(f"{lead}no metrics returned from external metrics API")
    total = sum(values)
    found = {"metric": identity, "current": _whole(metric, total, asked.there)}
    return Reading(value=total), {"type": "External", "external": found}


_Ask = Callable[[Object, Metric, Asked], tuple[Reading, Object]]
_ASK: dict[str, _Ask] = {
    "Resource": _ask_resource,
    "ContainerResource": _ask_resource,
    "Pods": _ask_pods,
    "Object": _ask_object,
    "External": _ask_external,
}


def _field(metric: Metric) -> str:
    return metric.kind[0].lower() + metric.kind[1:]


def _whole(metric: Metric, value: float, status: int) -> Object:
    if metric.target == "AverageValue":
        return {"averageValue": _milli(value * 1000 / status) if status else "0"}
    return {"value": _milli(value * 1000)}


# --- pods ---------------------------------------------------------------------------------------------------------


def count_ready(pods: Sequence[Object]) -> int:
    """Pods that run and are ready (getReadyPodsCount)."""
    return sum((pod.get("status") or {}).get("phase") == "Running" and _ready(pod)[0] is True for pod in pods)


def _ready(pod: Object) -> tuple[bool | None, float]:
    """The Ready condition, and since when."""
    found = condition_of(pod, "Ready")
    if found is None:
        return None, 0.0
    since = found.get("lastTransitionTime")
    return found["status"] == "True", moment(since).timestamp() if since else 0.0


def _sample(pod: Object, usages: Mapping[str, Usage], request: float | None) -> PodSample:
    status = pod.get("status") or {}
    usage = usages.get(pod["metadata"]["name"])
    ready, since = _ready(pod)
    start = status.get("startTime")
    return PodSample(
        value=None if usage is None else usage.value,
        request=request,
        phase=status.get("phase") or "Pending",
        ready=ready,
        ready_since_s=since,
        started_s=moment(start).timestamp() if start else None,
        deleted=bool(pod["metadata"].get("deletionTimestamp")),
        sampled_s=0.0 if usage is None else usage.sampled.timestamp(),
        window_s=60.0 if usage is None else usage.window_s,
    )


def _check_samples(samples: Sequence[PodSample]) -> None:
    if not samples:
        raise NoMetricsError("no pods returned by selector while calculating replica count")


def _containers(pod: Object) -> list[Object]:
    sidecars = [
        one for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"
    ]
    return [*pod["spec"]["containers"], *sidecars]


def _request(pod: Object, resource: str, container: str) -> float | None:
    """What a pod requests of a resource; None where a container does not say (calculatePodRequests)."""
    whole = ((pod["spec"].get("resources") or {}).get("requests") or {}).get(resource)
    if whole is not None and not container:
        return float(parse(whole) or 0)
    total = 0.0
    for one in _containers(pod):
        if container and one["name"] != container:
            continue
        text = ((one.get("resources") or {}).get("requests") or {}).get(resource)
        if text is None:
            return None
        total += float(parse(text) or 0)
    return total


def _check_requests(pods: Sequence[Object], resource: str, container: str) -> None:
    """Refuse a utilization that nobody can compute, in the words of the calculator."""
    for pod in pods:
        name = pod["metadata"]["name"]
        if container and all(one["name"] != container for one in _containers(pod)):
            raise NoMetricsError(f"container {container} not found in Pod {name}")
        if _request(pod, resource, container) is not None:
            continue
        for one in _containers(pod):
            requests = (one.get("resources") or {}).get("requests") or {}
            if resource not in requests and container in {"", one["name"]}:
                raise NoMetricsError(
                    f"missing request for {resource} in container {one['name']} of Pod {name}"
                )


def _current(metric: Metric, samples: Sequence[PodSample], now: datetime) -> Object | None:
    """What pods that count use on average, and of what they request; None where none counts."""
    counted = [one for one in samples if _counts(metric, one, now.timestamp())]
    if not counted:
        return None
    values = [math.ceil(round((one.value or 0.0) * 1000, 6)) for one in counted]
    form = "binary" if metric.name == "memory" and metric.kind != "Pods" else "decimal"
    found: Object = {"averageValue": _milli(sum(values) // len(values), form)}
    if metric.target == "Utilization":
        requested = sum(math.ceil(round((one.request or 0.0) * 1000, 6)) for one in counted)
        if requested:
            found = {"averageUtilization": sum(values) * 100 // requested, **found}
    return found


def _counts(metric: Metric, sample: PodSample, now: float) -> bool:
    if sample.deleted or sample.phase in {"Failed", "Pending"} or sample.value is None:
        return False
    if metric.name != "cpu" or metric.kind not in {"Resource", "ContainerResource"}:
        return True
    # --horizontal-pod-autoscaler-cpu-initialization-period: 5 min; -initial-readiness-delay: 30 s.
    if sample.ready is None or sample.started_s is None:
        return False
    if sample.started_s + 300.0 > now:
        return bool(sample.ready) and sample.sampled_s >= sample.ready_since_s + sample.window_s
    return bool(sample.ready) or sample.started_s + 30.0 <= sample.ready_since_s
