"""Deployments and ReplicaSets.

Sources: pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation/validation.go, pkg/registry/apps/{deployment,replicaset}/
strategy.go, 1.36.
"""

import re
from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.metadata import (
    immutable,
    is_dns_subdomain,
    label_selector_causes,
    not_negative,
    object_meta_causes,
    object_meta_update_causes,
    regex_message,
    selector_matches,
)
from stoker.lab.kinds.metadata_memory import whole_number
from stoker.lab.kinds.pod_defaults import default_template
from stoker.lab.kinds.pod_warnings import template_warnings
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import (
    drop_template_fields,
    keep_status,
    name_warning,
    on_create,
    only_status,
    selector_mismatch,
    template_for_replicas_causes,
)
from stoker.lab.status import Cause, forbidden_field, invalid_value, required

__all__ = [
    "DEPLOYMENT",
    "REPLICA_SET",
    "above_hundred",
    "amount",
    "collision_causes",
    "counts_causes",
    "deployment_status_causes",
    "int_or_percent_causes",
    "replica_set_status_causes",
    "selector_causes",
    "strategy_unsupported",
]

_EMPTY: Mapping[str, Any] = {}
_PERCENT = re.compile("[0-9]+%")
_PERCENT_MESSAGE = regex_message(
    "a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", "1%", "93%"
)


# --- numbers and percentages --------------------------------------------------------------------------------------


def int_or_percent_causes(value: Any, path: str) -> list[Cause]:
    """ValidatePositiveIntOrPercent."""
    if isinstance(value, str):
        return [] if _PERCENT.fullmatch(value) else [invalid_value(path, value, _PERCENT_MESSAGE)]
    return not_negative(path, value)


def amount(value: Any) -> int:
    """The number or the percentage; text that is no percentage counts as the number it may be."""
    if not isinstance(value, str):
        return int(value or 0)
    text = value.removesuffix("%") if _PERCENT.fullmatch(value) else value
    return whole_number(text) if re.fullmatch("[+-]?[0-9]+", text) else 0


def above_hundred(value: Any, path: str) -> list[Cause]:
    """IsNotMoreThan100Percent."""
    if isinstance(value, str) and _PERCENT.fullmatch(value) and amount(value) > 100:
        return [invalid_value(path, value, "must not be greater than 100%")]
    return []


def strategy_unsupported(path: str, printed: Any, known: tuple[str, ...]) -> Cause:
    """An update strategy of an unknown type, printed as a whole."""
    listed = ", ".join(f'"{one}"' for one in known)
    text = f"Unsupported value: {go_text(printed)}: supported values: {listed}"
    return Cause("FieldValueNotSupported", text, path)


def selector_causes(selector: Mapping[str, Any] | None, path: str, kind: str) -> list[Cause]:
    """A selector that must be there and select something."""
    if selector is None:
        return [required(path)]
    found = label_selector_causes(selector, path)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        text = f"empty selector is invalid for {kind}"
        found.append(invalid_text(path, go_text(dict(selector)), text))
    return found


def _selected_template_causes(
    spec: Mapping[str, Any], path: str, old: Mapping[str, Any] | None
) -> list[Cause]:
    """ValidatePodTemplateSpecForReplicaSet, where the selector can be read."""
    selector, template = spec.get("selector"), spec.get("template") or _EMPTY
    if selector_matches(selector, {}) is None:
        return [invalid_text(f"{path}.selector", go_text(selector), "invalid label selector")]
    found: list[Cause] = []
    if selector is None or selector.get("matchLabels") or selector.get("matchExpressions"):
        found += selector_mismatch(selector, template, f"{path}.template")
    before = (old or _EMPTY).get("template")
    return found + template_for_replicas_causes(template, f"{path}.template", "ReplicaSet", before)


def counts_causes(
    status: Mapping[str, Any], keys: str, below: str, available: str = "readyReplicas"
) -> list[Cause]:
    """Counts of a status: not negative, and not more than there are replicas."""
    found: list[Cause] = []
    for key in keys.split():
        found += not_negative(f"status.{key}", status.get(key))
    replicas = status.get("replicas", 0)
    for key in below.split():
        if status.get(key, 0) > replicas:
            text = "cannot be greater than status.replicas"
            found.append(invalid_value(f"status.{key}", status.get(key, 0), text))
    ready = status.get("readyReplicas", 0)
    if status.get("availableReplicas", 0) > ready:
        text = f"cannot be greater than {available}"
        found.append(invalid_value("status.availableReplicas", status.get("availableReplicas", 0), text))
    return found


# --- Deployment ---------------------------------------------------------------------------------------------------


def _default_deployment(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    default_template(spec.get("template"))


def _prepare_deployment(obj: Object) -> None:
    obj["status"] = {}
    drop_template_fields((obj.get("spec") or {}).get("template"))


def _prepare_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    template = (new.get("spec") or {}).get("template")
    drop_template_fields(template, (old.get("spec") or {}).get("template"))


def _prepare_deployment_status(new: Object, old: Object) -> None:
    only_status(new, old)
    meta, before = new.setdefault("metadata", {}), old.get("metadata") or {}
    meta.pop("labels", None)
    if "labels" in before:
        meta["labels"] = before["labels"]


def _deployment_spec_causes(obj: Object, old: Object | None = None) -> list[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or _EMPTY
    found = not_negative("spec.replicas", spec.get("replicas"))
    found += selector_causes(spec.get("selector"), "spec.selector", "deployment")
    found += _selected_template_causes(spec, "spec", (old or _EMPTY).get("spec"))
    found += _strategy_causes(spec.get("strategy") or _EMPTY, "spec.strategy")
    for key in ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        found += not_negative(f"spec.{key}", spec.get(key))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        text = "must be greater than minReadySeconds"
        found.append(invalid_value("spec.progressDeadlineSeconds", deadline, text))
    return found


def _strategy_causes(strategy: Mapping[str, Any], path: str) -> list[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "Recreate":
        text = "may not be specified when strategy `type` is 'Recreate'"
        return [] if rolling is None else [forbidden_field(f"{path}.rollingUpdate", text)]
    if kind != "RollingUpdate":
        printed = None
        if rolling is not None:
            printed = {
                "MaxUnavailable": rolling.get("maxUnavailable", 0),
                "MaxSurge": rolling.get("maxSurge", 0),
            }
        shown = {"Type": kind, "RollingUpdate": printed}
        return [strategy_unsupported(path, shown, ("Recreate", "RollingUpdate"))]
    at = f"{path}.rollingUpdate"
    if rolling is None:
        return [required(at, "this should be defaulted and never be nil")]
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found = int_or_percent_causes(unavailable, f"{at}.maxUnavailable")
    found += int_or_percent_causes(surge, f"{at}.maxSurge")
    if not amount(unavailable) and not amount(surge):
        text = "may not be 0 when `maxSurge` is 0"
        found.append(invalid_value(f"{at}.maxUnavailable", unavailable, text))
    return found + above_hundred(unavailable, f"{at}.maxUnavailable")


def _selector_immutable(new: Object, old: Object) -> list[Cause]:
    fresh, before = (new.get("spec") or _EMPTY).get("selector"), (old.get("spec") or _EMPTY).get("selector")
    return immutable("spec.selector", fresh, before, go_text(fresh))


def _deployment_causes(obj: Object) -> list[Cause]:
    return object_meta_causes(obj, True, is_dns_subdomain) + _deployment_spec_causes(obj)


def _deployment_update_causes(new: Object, old: Object) -> list[Cause]:
    found = object_meta_update_causes(new, old) + _deployment_spec_causes(new, old)
    return found + _selector_immutable(new, old)


def deployment_status_causes(new: Object, old: Object) -> list[Cause]:
    """ValidateDeploymentStatusUpdate."""
    status: Mapping[str, Any] = new.get("status") or _EMPTY
    found = object_meta_update_causes(new, old)
    found += counts_causes(
        status,
        "observedGeneration replicas updatedReplicas readyReplicas availableReplicas unavailableReplicas"
        " terminatingReplicas collisionCount",
        "updatedReplicas readyReplicas availableReplicas",
    )
    return found + collision_causes(new, old)


def collision_causes(new: Object, old: Object) -> list[Cause]:
    """IsDecremented of the collision count."""
    count = (new.get("status") or _EMPTY).get("collisionCount")
    before = (old.get("status") or _EMPTY).get("collisionCount")
    if before is None or (count is not None and count >= before):
        return []
    return [invalid_value("status.collisionCount", count or 0, "cannot be decremented")]


def _warnings(obj: Object) -> list[str]:
    template = (obj.get("spec") or {}).get("template") or {}
    return name_warning(obj) + template_warnings(template, "spec.template")


DEPLOYMENT = Strategy(
    default=_default_deployment,
    prepare_create=_prepare_deployment,
    prepare_update=_prepare_update,
    prepare_status=_prepare_deployment_status,
    validate=on_create(_deployment_causes),
    validate_update=_deployment_update_causes,
    warnings=_warnings,
    has_generation=True,
)


# --- ReplicaSet ---------------------------------------------------------------------------------------------------


def _default_replica_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    default_template(spec.get("template"))


def _prepare_replica_set(obj: Object) -> None:
    obj["status"] = {"replicas": 0}
    drop_template_fields((obj.get("spec") or {}).get("template"))


def _replica_set_spec_causes(obj: Object, old: Object | None = None) -> list[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or _EMPTY
    found = not_negative("spec.replicas", spec.get("replicas"))
    found += not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    found += selector_causes(spec.get("selector"), "spec.selector", "deployment")  # upstream's word
    return found + _selected_template_causes(spec, "spec", (old or _EMPTY).get("spec"))


def _replica_set_causes(obj: Object) -> list[Cause]:
    return object_meta_causes(obj, True, is_dns_subdomain) + _replica_set_spec_causes(obj)


def _replica_set_update_causes(new: Object, old: Object) -> list[Cause]:
    found = object_meta_update_causes(new, old) + _replica_set_spec_causes(new, old)
    return found + _selector_immutable(new, old)


def replica_set_status_causes(new: Object, old: Object) -> list[Cause]:
    """ValidateReplicaSetStatusUpdate, of ReplicationControllers too."""
    return object_meta_update_causes(new, old) + counts_causes(
        new.get("status") or _EMPTY,
        "replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration terminatingReplicas",
        "fullyLabeledReplicas readyReplicas availableReplicas",
    )


REPLICA_SET = Strategy(
    default=_default_replica_set,
    prepare_create=_prepare_replica_set,
    prepare_update=_prepare_update,
    prepare_status=only_status,
    validate=on_create(_replica_set_causes),
    validate_update=_replica_set_update_causes,
    warnings=_warnings,
    has_generation=True,
)
