"""What KEDA's validating webhook refuses, and warns of, in its words.

Source: kedacore/keda v2.20.2 apis/keda/v1alpha1/scaledobject_webhook.go (its checks run in no particular order there; here in
the order of that file), scaletriggers_types.go. The formula of scalingModifiers is not checked.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from stoker.lab.api.cluster import Cluster, Plugin, Review
from stoker.lab.platform.webhooks import denied, plugin_of
from stoker.lab.status import ApiError, not_found

__all__ = ["bounds_error", "plugin", "trigger_error"]

Object = dict[str, Any]

_WEBHOOK = "vscaledobject.kb.io"
_LONGEST_LABEL = 63
_RESOURCES = frozenset(("cpu", "memory"))
_WORKLOADS = {"apps/v1.Deployment": "deployments.apps", "apps/v1.StatefulSet": "statefulsets.apps"}
_IRRELEVANT = {
    "pollingInterval": (
        "PollingInterval is configured but is not relevant. PollingInterval is only relevant when minReplicaCount = 0 or "
        "idleReplicaCount = 0 or useCachedMetrics is enabled"
    ),
    "cooldownPeriod": (
        "CooldownPeriod is configured but is not relevant. CooldownPeriod is only relevant when minReplicaCount = 0 or "
        "idleReplicaCount = 0"
    ),
}


def plugin() -> Plugin:
    """The webhook for ScaledObjects and ScaledJobs."""
    return plugin_of(
        "KedaValidating",
        validate={"scaledobjects.keda.sh": _scaled_object, "scaledjobs.keda.sh": _scaled_job},
    )


def _scaled_object(review: Review) -> None:
    obj, old = review.obj, review.old
    if old is not None and _removes_finalizer(obj, old):
        return
    review.warnings.extend(_warnings(obj["spec"]))
    for why in _errors(review):
        raise denied(_WEBHOOK, why)


def _scaled_job(review: Review) -> None:
    why = trigger_error(review.obj["spec"].get("triggers") or ())
    if why:
        raise denied("vscaledjob.kb.io", why)


def _removes_finalizer(new: Object, old: Object) -> bool:
    fewer = len(new["metadata"].get("finalizers") or ()) < len(old["metadata"].get("finalizers") or ())
    return fewer and bool(new["spec"] == old["spec"])


def _warnings(spec: Object) -> Iterator[str]:
    if int(spec.get("minReplicaCount") or 0) <= 0 or spec.get("idleReplicaCount") == 0:
        return
    cached = any(trigger.get("useCachedMetrics") for trigger in spec["triggers"])
    for field, text in _IRRELEVANT.items():
        if spec.get(field) is not None and not (field == "pollingInterval" and cached):
            yield text


def _errors(review: Review) -> Iterator[str]:
    """Why a ScaledObject is refused; the first counts."""
    obj = review.obj
    yield from _other_scaled_objects(review.cluster, obj)
    if not review.is_dry_run:
        yield from _resources(review.cluster, obj)
    yield from _other_autoscalers(review.cluster, obj)
    yield from filter(None, (bounds_error(obj["spec"]), _fallback_error(obj["spec"])))
    yield from _names(obj)
    yield from filter(None, (trigger_error(obj["spec"]["triggers"]),))


def bounds_error(spec: Object) -> str:
    """CheckReplicaCountBoundsAreValid; empty where they are."""
    least = spec.get("minReplicaCount")
    bound = 0 if least is None else max(1, least)
    most = 100 if spec.get("maxReplicaCount") is None else spec["maxReplicaCount"]
    if bound > most:
        return f"MinReplicaCount={bound} must be less than MaxReplicaCount={most}"
    idle = spec.get("idleReplicaCount")
    if idle is not None and idle >= bound:
        return f"IdleReplicaCount={idle} must be less than MinReplicaCount={bound}"
    return ""


def _fallback_error(spec: Object) -> str:
    fallback = spec.get("fallback")
    modifiers = (spec.get("advanced") or {}).get("scalingModifiers")
    if not fallback:
        return ""
    if fallback.get("behavior") == "scalingModifiers" and not (modifiers or {}).get("formula"):
        return "scalingModifiers fallback behavior requires scalingModifiers.formula to be defined"
    if not modifiers and all(trigger["type"] in _RESOURCES for trigger in spec["triggers"]):
        return (
            "at least one trigger (that is not cpu or memory) has to have the `AverageValue` type for the fallback to be "
            "enabled"
        )
    return ""


def trigger_error(triggers: Sequence[Object]) -> str:
    """ValidateTriggers; empty where nothing is wrong."""
    if not triggers:
        return "no triggers defined in the ScaledObject/ScaledJob"
    names: set[str] = set()
    for trigger in triggers:
        if trigger.get("useCachedMetrics") and trigger["type"] in {"cpu", "memory", "cron"}:
            return f'property "useCachedMetrics" is not supported for "{trigger["type"]}" scaler'
        name = trigger.get("name") or ""
        if name and name in names:
            return f'triggerName "{name}" is defined multiple times in the ScaledObject/ScaledJob, but it must be unique'
        names.add(name)
    return ""


def _names(obj: Object) -> Iterator[str]:
    name, hpa = obj["metadata"]["name"], _hpa_name(obj)
    if len(name) > _LONGEST_LABEL:
        yield (
            f'scaledobject name "{name}" is {len(name)} characters long; must be no more than {_LONGEST_LABEL} characters '
            'because it is used as the "scaledobject.keda.sh/name" label value'
        )
    if len(hpa) > _LONGEST_LABEL:
        yield (
            f'HPA name "{hpa}" derived from scaledobject is {len(hpa)} characters long; must be no more than '
            f"{_LONGEST_LABEL} characters; set spec.advanced.horizontalPodAutoscalerConfig.name to a shorter name or "
            "shorten the scaledobject name"
        )


def _hpa_name(obj: Object) -> str:
    config = (obj["spec"].get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    return config.get("name") or f"keda-hpa-{obj['metadata']['name']}"


def _target(reference: Object) -> tuple[str, str]:
    """``apps/v1.Deployment`` and the name."""
    version = reference.get("apiVersion") or "apps/v1"
    return f"{version}.{reference.get('kind') or 'Deployment'}", reference["name"]


def _other_scaled_objects(cluster: Cluster, obj: Object) -> Iterator[str]:
    metadata = obj["metadata"]
    mine = _target(obj["spec"]["scaleTargetRef"])
    for other in cluster.objects("scaledobjects.keda.sh", metadata["namespace"]):
        name = other["metadata"]["name"]
        if name == metadata["name"]:
            continue
        if _target(other["spec"]["scaleTargetRef"]) == mine:
            yield f"the workload '{mine[1]}' of type '{mine[0]}' is already managed by the ScaledObject '{name}'"
        if _hpa_name(other) == _hpa_name(obj):
            yield f"the HPA '{_hpa_name(other)}' is already managed by the ScaledObject '{name}'"


def _other_autoscalers(cluster: Cluster, obj: Object) -> Iterator[str]:
    metadata = obj["metadata"]
    kind, name = mine = _target(obj["spec"]["scaleTargetRef"])
    annotations = metadata.get("annotations") or {}
    for hpa in cluster.objects("horizontalpodautoscalers.autoscaling", metadata["namespace"]):
        found = hpa["metadata"]
        if (found.get("annotations") or {}).get("validations.keda.sh/hpa-ownership") == "false":
            continue
        if _target(hpa["spec"]["scaleTargetRef"]) != mine:
            continue
        owners = found.get("ownerReferences") or ()
        if any(one["kind"] == "ScaledObject" and one["name"] == metadata["name"] for one in owners):
            continue
        if annotations.get("scaledobject.keda.sh/transfer-hpa-ownership") != "true":
            yield f"the workload '{name}' of type '{kind}' is already managed by the hpa '{found['name']}'"
        elif _hpa_name(obj) != found["name"]:
            yield (
                f"the existing hpa '{found['name']}' for workload '{name}' of type '{kind}' must be specified by name in "
                "advanced settings to enable ownership transfer"
            )


def _resources(cluster: Cluster, obj: Object) -> Iterator[str]:
    """A CPU or memory trigger needs requests to measure against, and never goes to zero alone."""
    spec, namespace = obj["spec"], obj["metadata"]["namespace"]
    triggers = [trigger for trigger in spec["triggers"] if trigger["type"] in _RESOURCES]
    kind, name = _target(spec["scaleTargetRef"])
    shelf = _WORKLOADS.get(kind)
    if not triggers or shelf is None:
        return
    workload = cluster.get(shelf, namespace, name)
    if workload is None:
        plural, _, group = shelf.partition(".")
        error = not_found(group, plural, name)
        raise ApiError(404, "NotFound", f'admission webhook "{_WEBHOOK}" denied the request: {error.message}')
    limits = [
        entry.get("default") or {}
        for one in cluster.objects("limitranges", namespace)
        for entry in one["spec"]["limits"]
        if entry["type"] == "Container"
    ]
    for trigger in triggers:
        resource, wanted = trigger["type"], (trigger.get("metadata") or {}).get("containerName")
        for container in workload["spec"]["template"]["spec"]["containers"]:
            if wanted and container["name"] != wanted:
                continue
            own = container.get("resources") or {}
            if not any(
                resource in one for one in (own.get("requests") or {}, own.get("limits") or {}, *limits)
            ):
                yield (
                    f"the scaledobject has a {resource} trigger but the container {container['name']} doesn't have the "
                    f"{resource} request defined"
                )
        if len(triggers) == len(spec["triggers"]) and not spec.get("minReplicaCount"):
            yield (
                "scaledobject has only cpu/memory triggers AND minReplica is 0 (scale to zero doesn't work in this case)"
            )
