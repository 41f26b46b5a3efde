"""StatefulSets and DaemonSets.

Sources: pkg/apis/apps/v1/{defaults,conversion}.go, pkg/apis/apps/validation/validation.go, pkg/registry/apps, 1.36.
"""

import re
from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, internal, invalid_struct, invalid_text
from stoker.lab.kinds.metadata import (
    annotations_causes,
    format_causes,
    immutable,
    is_dns_label,
    is_dns_subdomain,
    label_selector_causes,
    labels_causes,
    not_negative,
    object_meta_causes,
    object_meta_update_causes,
    selector_matches,
)
from stoker.lab.kinds.metadata_memory import whole_number
from stoker.lab.kinds.pod_annotations import pod_annotations_causes
from stoker.lab.kinds.pod_claims import claim_spec_causes
from stoker.lab.kinds.pod_defaults import default_template
from stoker.lab.kinds.pod_warnings import template_warnings
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import (
    drop_template_fields,
    keep_status,
    on_create,
    only_status,
    selector_mismatch,
    template_causes,
    template_for_replicas_causes,
)
from stoker.lab.kinds.workloads import (
    above_hundred,
    amount,
    collision_causes,
    counts_causes,
    int_or_percent_causes,
    selector_causes,
    strategy_unsupported,
)
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = [
    "DAEMON_SET",
    "STATEFUL_SET",
    "daemon_set_status_causes",
    "stateful_set_status_causes",
]

_EMPTY: Mapping[str, Any] = {}
_GENERATION = "deprecated.daemonset.template.generation"


# --- StatefulSet --------------------------------------------------------------------------------------------------


def _default_stateful_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    for key in ("whenDeleted", "whenScaled"):
        if not retention.get(key):
            retention[key] = "Retain"
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    default_template(spec.get("template"))
    for claim in spec.get("volumeClaimTemplates") or ():
        claim["kind"], claim["apiVersion"] = "PersistentVolumeClaim", "v1"
        claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
        claim.setdefault("status", {}).setdefault("phase", "Pending")


def _drop_max_unavailable(obj: Object, old: Object | None = None) -> None:
    """MaxUnavailableStatefulSet is off by default."""

    def rolling(one: Object | None) -> Object:
        strategy = ((one or {}).get("spec") or {}).get("updateStrategy") or {}
        return strategy.get("rollingUpdate") or {}

    if "maxUnavailable" not in rolling(old):
        rolling(obj).pop("maxUnavailable", None)


def _prepare_stateful_set(obj: Object) -> None:
    obj["status"] = {"replicas": 0, "availableReplicas": 0}
    _drop_max_unavailable(obj)
    drop_template_fields((obj.get("spec") or {}).get("template"))


def _prepare_stateful_set_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    _drop_max_unavailable(new, old)
    drop_template_fields((new.get("spec") or {}).get("template"), (old.get("spec") or {}).get("template"))


def _stateful_spec_causes(
    spec: Mapping[str, Any],
    *,
    is_update: bool = False,
    is_template_checked: bool = True,
) -> list[Cause]:
    policy = spec.get("podManagementPolicy", "")
    found: list[Cause] = []
    if not policy:
        found.append(required("spec.podManagementPolicy"))
    elif policy not in {"OrderedReady", "Parallel"}:
        found.append(
            invalid_value("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
        )
    found += _stateful_strategy_causes(spec.get("updateStrategy") or _EMPTY, "spec.updateStrategy")
    retention = spec.get("persistentVolumeClaimRetentionPolicy")
    for key in ("whenDeleted", "whenScaled"):
        if retention is not None and retention.get(key, "") not in {"Retain", "Delete"}:
            at = f"spec.persistentVolumeClaimRetentionPolicy.{key}"
            found.append(unsupported(at, retention.get(key, ""), ("Retain", "Delete")))
    if not is_update:
        for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
            found += claim_spec_causes(claim.get("spec") or {}, f"spec.volumeClaimTemplates[{index}].spec")
    for key in ("replicas", "minReadySeconds"):
        found += not_negative(f"spec.{key}", spec.get(key))
    found += not_negative("spec.ordinals.start", (spec.get("ordinals") or _EMPTY).get("start"))
    if not is_update and spec.get("serviceName"):
        found += format_causes("spec.serviceName", spec["serviceName"], is_dns_label)
    found += selector_causes(spec.get("selector"), "spec.selector", "statefulset")
    return found + _stateful_template_causes(spec, is_checked=is_template_checked)


def _stateful_template_causes(spec: Mapping[str, Any], *, is_checked: bool) -> list[Cause]:
    selector, template = spec.get("selector"), spec.get("template") or _EMPTY
    path = "spec.template"
    found: list[Cause] = []
    if selector_matches(selector, {}) is None:
        found.append(Cause("FieldValueInvalid", f"Invalid value: {go_text(selector)}", "spec.selector"))
    else:
        if selector is None or selector.get("matchLabels") or selector.get("matchExpressions"):
            found += selector_mismatch(selector, template, path)
        checked = _with_claims(spec, template)
        if is_checked:
            found += template_causes(checked, path)
        meta = template.get("metadata") or _EMPTY
        found += labels_causes(meta.get("labels"), f"{path}.labels")
        found += annotations_causes(meta.get("annotations"), f"{path}.annotations")
        pod = checked.get("spec") or _EMPTY
        found += pod_annotations_causes(meta.get("annotations"), pod, f"{path}.annotations")
    pod = template.get("spec") or _EMPTY
    if pod.get("restartPolicy") != "Always":
        found.append(unsupported(f"{path}.spec.restartPolicy", pod.get("restartPolicy", ""), ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        text = "activeDeadlineSeconds in StatefulSet is not Supported"
        found.append(forbidden_field(f"{path}.spec.activeDeadlineSeconds", text))
    return found


def _with_claims(spec: Mapping[str, Any], template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The template as its pods will be: claims are volumes, names of hosts are the controller's."""
    pod = template.get("spec") or {}
    claims = spec.get("volumeClaimTemplates") or ()
    if not claims and not pod.get("hostname") and not pod.get("subdomain"):
        return template
    names = {(one.get("metadata") or {}).get("name", ""): None for one in claims}
    volumes = [{"name": one, "persistentVolumeClaim": {"claimName": one}} for one in names]
    volumes += [one for one in pod.get("volumes") or () if one.get("name", "") not in names]
    kept = {key: value for key, value in pod.items() if key not in {"hostname", "subdomain"}}
    return {**template, "spec": {**kept, "volumes": volumes}}


def _stateful_strategy_causes(strategy: Mapping[str, Any], path: str) -> list[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if not kind:
        return [required(path)]
    if kind == "OnDelete":
        if rolling is None:
            return []
        shown = go_text(internal("apps.RollingUpdateStatefulSetStrategy", rolling))
        text = "only allowed for updateStrategy 'RollingUpdate'"
        return [invalid_text(f"{path}.rollingUpdate", shown, text)]
    if kind != "RollingUpdate":
        text = "must be 'RollingUpdate' or 'OnDelete'"
        return [invalid_struct(path, "apps.StatefulSetUpdateStrategy", strategy, text)]
    if rolling is None:
        return []
    at = f"{path}.rollingUpdate"
    found = not_negative(f"{at}.partition", rolling.get("partition"))
    most = rolling.get("maxUnavailable")
    if most is not None:
        found += int_or_percent_causes(most, f"{at}.maxUnavailable")
        if not amount(most):
            found.append(invalid_value(f"{at}.maxUnavailable", most, "cannot be 0"))
        found += above_hundred(most, f"{at}.maxUnavailable")
    return found


def _stateful_set_causes(obj: Object) -> list[Cause]:
    return object_meta_causes(obj, True, is_dns_label) + _stateful_spec_causes(obj.get("spec") or _EMPTY)


_MAY_CHANGE = [
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
]


def _stateful_set_update_causes(new: Object, old: Object) -> list[Cause]:
    spec: Mapping[str, Any] = new.get("spec") or _EMPTY
    before: Mapping[str, Any] = old.get("spec") or _EMPTY
    is_sound = spec == before or not _stateful_spec_causes(before, is_update=True)
    found = object_meta_update_causes(new, old)
    found += _stateful_spec_causes(spec, is_update=True, is_template_checked=is_sound)
    keys = (spec.keys() | before.keys()) - set(_MAY_CHANGE)
    if any(spec.get(key) != before.get(key) for key in keys):
        text = (
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy',"
            " 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        )
        found.append(forbidden_field("spec", text))
    return found


def stateful_set_status_causes(new: Object, old: Object) -> list[Cause]:
    """ValidateStatefulSetStatusUpdate."""
    found = counts_causes(
        new.get("status") or _EMPTY,
        "replicas readyReplicas currentReplicas updatedReplicas availableReplicas observedGeneration collisionCount",
        "readyReplicas currentReplicas updatedReplicas availableReplicas",
        "status.readyReplicas",
    )
    return found + object_meta_update_causes(new, old) + collision_causes(new, old)


def _stateful_warnings(obj: Object) -> list[str]:
    spec = obj.get("spec") or {}
    found = template_warnings(spec.get("template") or {}, "spec.template")
    limit = spec.get("revisionHistoryLimit")
    if limit is not None and limit < 0:
        text = "a negative value retains all historical revisions; a value >= 0 is recommended"
        found.append(f"spec.revisionHistoryLimit: {text}")
    return found


STATEFUL_SET = Strategy(
    default=_default_stateful_set,
    prepare_create=_prepare_stateful_set,
    prepare_update=_prepare_stateful_set_update,
    prepare_status=only_status,
    validate=on_create(_stateful_set_causes),
    validate_update=_stateful_set_update_causes,
    warnings=_stateful_warnings,
    has_generation=True,
)


# --- DaemonSet ----------------------------------------------------------------------------------------------------


def _default_daemon_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", 10)
    default_template(spec.get("template"))


def _generation_of(obj: Object) -> int:
    """The internal field templateGeneration is kept as an annotation."""
    text = ((obj.get("metadata") or {}).get("annotations") or {}).get(_GENERATION, "0")
    return whole_number(text) if re.fullmatch("-?[0-9]+", text) else 0


def _write_generation(obj: Object, generation: int) -> None:
    meta = obj.setdefault("metadata", {})
    meta["annotations"] = dict(
        sorted({**(meta.get("annotations") or {}), _GENERATION: str(generation)}.items())
    )


def _prepare_daemon_set(obj: Object) -> None:
    obj["status"] = {
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 0,
        "numberReady": 0,
    }
    _write_generation(obj, max(_generation_of(obj), 1))
    drop_template_fields((obj.get("spec") or {}).get("template"))


def _prepare_daemon_set_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    fresh, before = (new.get("spec") or {}).get("template"), (old.get("spec") or {}).get("template")
    drop_template_fields(fresh, before)
    _write_generation(new, _generation_of(old) + (fresh != before))


def _daemon_spec_causes(obj: Object, old: Object | None = None) -> list[Cause]:
    spec: Mapping[str, Any] = obj.get("spec") or _EMPTY
    selector, template = spec.get("selector"), spec.get("template") or _EMPTY
    found = label_selector_causes(selector, "spec.selector")
    found += selector_mismatch(selector, template, "spec.template")
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        text = "empty selector is invalid for daemonset"
        found.append(invalid_text("spec.selector", go_text(dict(selector)), text))
    before = ((old or _EMPTY).get("spec") or _EMPTY).get("template")
    found += template_for_replicas_causes(template, "spec.template", "DaemonSet", before)
    found += not_negative("spec.minReadySeconds", spec.get("minReadySeconds"))
    found += not_negative("spec.templateGeneration", _generation_of(obj))
    found += _daemon_strategy_causes(spec.get("updateStrategy") or _EMPTY, "spec.updateStrategy")
    return found + not_negative("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))


def _daemon_strategy_causes(strategy: Mapping[str, Any], path: str) -> list[Cause]:
    kind, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if kind == "OnDelete":
        return []
    if kind != "RollingUpdate":
        shown = internal("apps.DaemonSetUpdateStrategy", strategy)
        return [strategy_unsupported(path, shown, ("RollingUpdate", "OnDelete"))]
    at = f"{path}.rollingUpdate"
    if rolling is None:
        return [required(at)]
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found = int_or_percent_causes(unavailable, f"{at}.maxUnavailable")
    found += int_or_percent_causes(surge, f"{at}.maxSurge")
    found += above_hundred(unavailable, f"{at}.maxUnavailable") + above_hundred(surge, f"{at}.maxSurge")
    if amount(unavailable) and amount(surge):
        text = "may not be set when maxUnavailable is non-zero"
        found.append(invalid_value(f"{at}.maxSurge", surge, text))
    elif not amount(unavailable) and not amount(surge):
        found.append(required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return found


def _daemon_set_causes(obj: Object) -> list[Cause]:
    return object_meta_causes(obj, True, is_dns_subdomain) + _daemon_spec_causes(obj)


def _daemon_set_update_causes(new: Object, old: Object) -> list[Cause]:
    found = object_meta_update_causes(new, old)
    fresh, before = (new.get("spec") or _EMPTY).get("selector"), (old.get("spec") or _EMPTY).get("selector")
    found += immutable("spec.selector", fresh, before, go_text(fresh))
    return found + _daemon_spec_causes(new, old)


def daemon_set_status_causes(new: Object, old: Object) -> list[Cause]:
    """ValidateDaemonSetStatusUpdate."""
    found = object_meta_update_causes(new, old)
    status: Mapping[str, Any] = new.get("status") or _EMPTY
    for key in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ]:
        found += not_negative(f"status.{key}", status.get(key))
    return found + collision_causes(new, old)


DAEMON_SET = Strategy(
    default=_default_daemon_set,
    prepare_create=_prepare_daemon_set,
    prepare_update=_prepare_daemon_set_update,
    prepare_status=only_status,
    validate=on_create(_daemon_set_causes),
    validate_update=_daemon_set_update_causes,
    warnings=lambda obj: template_warnings((obj.get("spec") or {}).get("template") or {}, "spec.template"),
    has_generation=True,
)
