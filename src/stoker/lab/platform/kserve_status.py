"""What KServe says of an InferenceService. Pure; ``status`` is changed in place.

Source: kserve/kserve v0.20.0 pkg/apis/serving/v1beta1/inference_service_status.go.
"""

from collections.abc import Sequence
from typing import Any

from stoker.lab.controllers.objects import condition_of, is_ready
from stoker.lab.platform.conditions import find, set_knative, summarise

__all__ = ["initialize", "is_true", "model_state", "propagate_knative", "propagate_raw", "refuse", "set_one"]

Object = dict[str, Any]

_DEPENDENTS = ("IngressReady", "PredictorReady")
_READY = {"predictor": "PredictorReady", "transformer": "TransformerReady", "explainer": "ExplainerReady"}
_ROUTES = {
    "predictor": "PredictorRouteReady",
    "transformer": "TransformerRouteReady",
    "explainer": "ExplainerRoutesReady",
}
_CONFIGURATIONS = {
    "predictor": "PredictorConfigurationReady",
    "transformer": "TransformerConfigurationReady",
    "explainer": "ExplainerConfigurationReady",
}


def initialize(status: Object, now: str) -> None:
    conditions = status.setdefault("conditions", [])
    for kind in (*_DEPENDENTS, "Ready"):
        if find(conditions, kind) is None:
            set_knative(conditions, kind, "Unknown", now=now)


def set_one(  # noqa: PLR0917  # in the order of conditionSet.SetCondition
    status: Object, kind: str, value: str, now: str, reason: str = "", message: str = ""
) -> None:
    """A condition, and Ready as it follows; those that Ready does not hang on are for information."""
    severity = "" if kind in _DEPENDENTS else "Info"
    set_knative(status["conditions"], kind, value, now=now, reason=reason, message=message, severity=severity)
    summarise(status["conditions"], _DEPENDENTS, now=now)


def is_true(status: Object, kind: str) -> bool:
    return (find(status.get("conditions") or (), kind) or {}).get("status") == "True"


def propagate_raw(status: Object, component: str, deployment: Object, url: str, now: str) -> None:
    """PropagateRawStatus: readiness as the Deployment's conditions have it."""
    entry = status.setdefault("components", {}).setdefault(component, {})
    available = condition_of(deployment, "Available") or {}
    progressing = condition_of(deployment, "Progressing") or {}
    failing = condition_of(deployment, "ReplicaFailure") or {}
    value, why = "False", {}
    if available.get("status") == "True":
        value, why = "True", available
    if progressing.get("status") == "False" and progressing.get("message"):
        value, why = "False", progressing
    elif progressing.get("status") == "True":
        if progressing.get("reason") == "NewReplicaSetAvailable":
            value, why = "True", progressing
        elif available.get("status") != "True":
            value, why = "Unknown", progressing
    if available.get("status") == "False":
        value, why = "False", available
    if failing.get("status") == "True":
        value, why = "False", failing
    if value == "True":
        entry["url"] = url
    set_one(status, _READY[component], value, now, why.get("reason", ""), why.get("message", ""))
    observed = (deployment.get("status") or {}).get("observedGeneration")
    if observed is not None:
        status["observedGeneration"] = observed


def propagate_knative(status: Object, component: str, found: Object, now: str) -> None:
    """PropagateStatus: revisions that were rolled out, traffic, addresses."""
    entry = status.setdefault("components", {}).setdefault(component, {})
    latest, created = found.get("latestReadyRevisionName"), found.get("latestCreatedRevisionName")
    traffic = found.get("traffic") or []
    if created:
        entry["latestCreatedRevision"] = created
    for one in traffic:
        if one.get("revisionName") == latest and one.get("latestRevision"):
            _roll_out(entry, one.get("percent"), found)
    if latest:
        entry["latestReadyRevision"] = latest
    conditions = found.get("conditions") or ()
    if (find(conditions, "Ready") or {}).get("status") == "True":
        entry |= {key: found[key] for key in ("address", "url") if key in found}
    if traffic:
        entry["traffic"] = traffic
    for kind, theirs in (
        (_READY[component], "Ready"),
        (_ROUTES[component], "RoutesReady"),
        (_CONFIGURATIONS[component], "ConfigurationsReady"),
    ):
        one = find(conditions, theirs)
        if one is not None:
            set_one(status, kind, one["status"], now, one.get("reason", ""), one.get("message", ""))
    if found.get("observedGeneration") is not None:
        status["observedGeneration"] = found["observedGeneration"]


def _roll_out(entry: Object, percent: int | None, found: Object) -> None:
    """A revision that takes everything is rolled out; one that shares again what it took is rolled back."""
    latest = found.get("latestReadyRevisionName")
    if entry.get("latestRolledoutRevision") != latest:
        if percent == 100:
            if entry.get("latestRolledoutRevision"):
                entry["previousRolledoutRevision"] = entry["latestRolledoutRevision"]
            entry["latestRolledoutRevision"] = latest
    elif latest == found.get("latestCreatedRevisionName") and percent is not None and percent < 100:
        traffic = found.get("traffic") or ()
        total = sum(int(one.get("percent") or 0) for one in traffic if one["revisionName"] == latest)
        if total == 100 and entry.get("previousRolledoutRevision"):
            entry["latestRolledoutRevision"] = entry["previousRolledoutRevision"]


def refuse(status: Object, reason: str, message: str) -> None:
    """UpdateModelTransitionStatus: the specification cannot be served."""
    model = _model(status)
    model["transitionStatus"] = "InvalidSpec"
    states = model.setdefault("states", {"activeModelState": ""})
    states["targetModelState"] = "FailedToLoad"
    model["lastFailureInfo"] = {"reason": reason, "message": message}


def _model(status: Object) -> Object:
    found: Object = status.setdefault("modelStatus", {"transitionStatus": "UpToDate"})
    return found


def model_state(status: Object, pods: Sequence[Object], *, is_current: bool = True) -> None:
    """PropagateModelStatus: whether the model is loaded, from the pods that load it."""
    model = _model(status)
    ready = sum(1 for pod in pods if (pod.get("status") or {}).get("phase") == "Running" and is_ready(pod))
    model["copies"] = {**(model.get("copies") or {"failedCopies": 0}), "totalCopies": ready}
    if not pods:
        _state(model, "Pending")
        return
    first = pods[0].get("status") or {}
    for one in first.get("initContainerStatuses") or ():
        if one["name"] == "storage-initializer":
            state = one.get("state") or {}
            if state.get("running"):
                _state(model, "Loading")
                return
            if _failed(model, one):
                return
    if is_true(status, "Ready") and is_current:
        _state(model, "Loaded")
        model.pop("lastFailureInfo", None)
        return
    for one in first.get("containerStatuses") or ():
        if one["name"] == "kserve-container" and not _failed(model, one):
            _state(model, "Pending")


def _failed(model: Object, container: Object) -> bool:
    state = container.get("state") or {}
    ended = state.get("terminated")
    if (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff":
        ended = (container.get("lastState") or {}).get("terminated") or {}
    elif ended is None or ended.get("reason") != "Error":
        return False
    _state(model, "FailedToLoad")
    model["lastFailureInfo"] = {
        "reason": "ModelLoadFailed",
        "message": ended.get("message", ""),
        "exitCode": int(ended.get("exitCode") or 0),
    }
    return True


def _state(model: Object, state: str) -> None:
    states = model.setdefault("states", {"activeModelState": ""})
    states["targetModelState"] = state
    if state in {"Pending", "Loading"}:
        model["transitionStatus"] = "InProgress"
    elif state == "Loaded":
        model["transitionStatus"] = "UpToDate"
        states["activeModelState"] = "Loaded"
    else:
        model["transitionStatus"] = "BlockedByFailedLoad"
