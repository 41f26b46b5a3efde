"""HorizontalPodAutoscaler in both versions (pkg/apis/autoscaling/{v1,v2}/defaults.go, …/validation/validation.go).

Objects are stored as autoscaling/v2. One that comes as v1 is validated as the v2 object that it stands for, and is given
what the round trip through the stored form gives it (a CPU target of 80 % where it names no metric).
"""

from typing import Any

from stoker.lab.kinds.autoscaling_conversion import STATUS_ANNOTATIONS, drop_round_trip, v1_to_v2, v2_to_v1
from stoker.lab.kinds.autoscaling_metrics import metrics_causes, reference_causes
from stoker.lab.kinds.quotas import amount
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, invalid_value, required, unsupported

__all__ = ["AUTOSCALER", "autoscaler_status_causes"]

_SELECTS = ("Disabled", "Max", "Min")
_POLICY_TYPES = ("Percent", "Pods")
_PERCENT = {"type": "Percent", "value": 100, "periodSeconds": 15}
_PODS = {"type": "Pods", "value": 4, "periodSeconds": 15}


def _is_v1(autoscaler: Object) -> bool:
    return bool(autoscaler.get("apiVersion") == "autoscaling/v1")


def _default(autoscaler: Object) -> None:
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if _is_v1(autoscaler):
        through = v2_to_v1(v1_to_v2(autoscaler))
        autoscaler.update({part: through[part] for part in ("metadata", "spec", "status")})
        return
    drop_round_trip(autoscaler)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        up: Object = {"stabilizationWindowSeconds": 0, "selectPolicy": "Max"}
        behavior["scaleUp"] = up | {"policies": [dict(_PODS), dict(_PERCENT)]} | behavior.get("scaleUp", {})
        down: Object = {"selectPolicy": "Max", "policies": [dict(_PERCENT)]}
        behavior["scaleDown"] = down | behavior.get("scaleDown", {})


def _empty_status(autoscaler: Object) -> Object:
    if _is_v1(autoscaler):
        return {"currentReplicas": 0, "desiredReplicas": 0}
    return {"desiredReplicas": 0, "currentMetrics": None}


def _prepare_create(autoscaler: Object) -> None:
    autoscaler["status"] = _empty_status(autoscaler)
    if _is_v1(autoscaler):  # what annotations say of a status goes with it
        annotations = autoscaler["metadata"].get("annotations", {})
        for name in STATUS_ANNOTATIONS:
            annotations.pop(name, None)


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", _empty_status(new))
    if _is_v1(new):
        kept = old["metadata"].get("annotations", {})
        annotations = {
            key: value
            for key, value in new["metadata"].get("annotations", {}).items()
            if key not in STATUS_ANNOTATIONS
        } | {key: kept[key] for key in STATUS_ANNOTATIONS if key in kept}
        if annotations:
            new["metadata"]["annotations"] = annotations


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old["spec"]


def _validate(autoscaler: Object) -> list[Cause]:
    if _is_v1(autoscaler):
        autoscaler = v1_to_v2(autoscaler)
    spec = autoscaler.get("spec", {})
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    causes = []
    if least is not None and least < 1:
        causes.append(invalid_value("spec.minReplicas", least, "must be greater than or equal to 1"))
    if most == 0:
        causes.append(required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        causes.append(invalid_value("spec.maxReplicas", most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        text = "must be greater than or equal to `minReplicas`"
        causes.append(invalid_value("spec.maxReplicas", most, text))
    target = spec.get("scaleTargetRef", {})
    # an object that exists keeps a version that was accepted once
    is_stored = bool(autoscaler["metadata"].get("resourceVersion"))
    group_may_lack = is_stored or target.get("kind") == "ReplicationController"
    causes += reference_causes(target, "spec.scaleTargetRef", group_may_lack=group_may_lack)
    causes += metrics_causes(spec.get("metrics", ()), "spec.metrics", least)
    behavior = spec.get("behavior", {})
    for name in ("scaleUp", "scaleDown"):
        if name in behavior:
            causes += _rules_causes(behavior[name], f"spec.behavior.{name}")
    return causes


def _rules_causes(rules: Object, path: str) -> list[Cause]:
    causes = []
    window = rules.get("stabilizationWindowSeconds", 0)
    if window < 0:
        text = "must be greater than or equal to zero"
        causes.append(invalid_value(f"{path}.stabilizationWindowSeconds", window, text))
    if window > 3600:
        text = "must be less than or equal to 3600"
        causes.append(invalid_value(f"{path}.stabilizationWindowSeconds", window, text))
    if rules.get("selectPolicy", "Max") not in _SELECTS:
        causes.append(unsupported(f"{path}.selectPolicy", rules["selectPolicy"], _SELECTS))
    policies: list[Any] = rules.get("policies", [])
    if not policies:
        causes.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        causes += _policy_causes(policy, f"{path}.policies[{index}]")
    tolerance = rules.get("tolerance", "0")
    if amount(tolerance) < 0:
        text = "must be greater than or equal to 0"
        causes.append(invalid_value(f"{path}.tolerance", tolerance, text))
    return causes


def _policy_causes(policy: Object, path: str) -> list[Cause]:
    kind, value, period = policy.get("type", ""), policy.get("value", 0), policy.get("periodSeconds", 0)
    causes = []
    if kind not in _POLICY_TYPES:
        causes.append(unsupported(f"{path}.type", kind, _POLICY_TYPES))
    if value <= 0:
        causes.append(invalid_value(f"{path}.value", value, "must be greater than zero"))
    if period <= 0:
        causes.append(invalid_value(f"{path}.periodSeconds", period, "must be greater than zero"))
    if period > 1800:
        causes.append(invalid_value(f"{path}.periodSeconds", period, "must be less than or equal to 1800"))
    return causes


def autoscaler_status_causes(new: Object) -> list[Cause]:
    """``ValidateHorizontalPodAutoscalerStatusUpdate``."""
    status = new.get("status", {})
    return [
        invalid_value(f"status.{name}", status[name], "must be greater than or equal to 0")
        for name in ("currentReplicas", "desiredReplicas")
        if status.get(name, 0) < 0
    ]


AUTOSCALER = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
)
