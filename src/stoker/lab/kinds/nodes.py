"""Nodes: pkg/registry/core/node/strategy.go, pkg/apis/core (defaults, conversion, validation), 1.36."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, internal, invalid_text
from stoker.lab.kinds.metadata import (
    format_causes,
    is_dns_subdomain,
    is_label_value,
    is_qualified_name,
    object_meta_causes,
    object_meta_update_causes,
)
from stoker.lab.kinds.pod_resources import quantity_causes
from stoker.lab.kinds.pod_scheduling import taint_effect_causes
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import keep_status, on_create, only_status
from stoker.lab.status import Cause, duplicate, forbidden_field, invalid_value

__all__ = ["NODE", "node_status_causes"]

_EMPTY: Mapping[str, Any] = {}
_FEATURE = re.compile("[A-Z][a-zA-Z0-9]*(/[a-zA-Z0-9]+)*", re.ASCII)
_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def _default(obj: Object) -> None:
    status = obj.setdefault("status", {})
    if "allocatable" not in status and "capacity" in status:
        status["allocatable"] = dict(status["capacity"])
    spec = obj.setdefault("spec", {})
    cidr, cidrs = spec.get("podCIDR"), spec.get("podCIDRs")
    if cidr and (not cidrs or cidrs[0] != cidr):  # the conversion keeps the old field and the new one alike
        spec["podCIDRs"] = [cidr]
    elif cidrs and not cidr:
        spec["podCIDR"] = cidrs[0]


def _prepare_create(obj: Object) -> None:
    """A node is created with its status; only the kubelet's dynamic configuration is gone."""
    (obj.get("spec") or {}).pop("configSource", None)
    (obj.get("status") or {}).pop("config", None)


def _prepare_update(new: Object, old: Object) -> None:
    keep_status(new, old)
    if "configSource" not in (old.get("spec") or {}):
        (new.get("spec") or {}).pop("configSource", None)


def _prepare_status(new: Object, old: Object) -> None:
    only_status(new, old)
    if "config" not in (old.get("status") or {}):
        (new.get("status") or {}).pop("config", None)


def _taints_causes(taints: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        at, key, effect = f"{path}[{index}]", taint.get("key", ""), taint.get("effect", "")
        found += format_causes(f"{at}.key", key, is_qualified_name)
        messages = is_label_value(taint.get("value", ""))
        if messages:
            found.append(invalid_value(f"{at}.value", taint["value"], ";".join(messages)))
        found += taint_effect_causes(effect, f"{at}.effect")
        if (key, effect) in seen:
            shown = go_text(internal("core.Taint", taint))
            text = f"Duplicate value: {shown}: taints must be unique by key and effect pair"
            found.append(Cause("FieldValueDuplicate", text, at))
        seen.add((key, effect))
    return found


def _resources_causes(obj: Object) -> list[Cause]:
    status = obj.get("status") or _EMPTY
    return [
        cause
        for key in ("capacity", "allocatable")
        for name, value in (status.get(key) or {}).items()
        for cause in quantity_causes(f"status.{key}.{name}", name, value)
    ]


def _features_causes(obj: Object) -> list[Cause]:
    features = (obj.get("status") or _EMPTY).get("declaredFeatures") or []
    path = "status.declaredFeatures"
    found: list[Cause] = []
    for index, name in enumerate(features):
        if not _FEATURE.fullmatch(name):
            text = (
                f'invalid feature name "{name}": must start with an UpperCamelCase segment, with subsequent segments'
                " separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric"
                " characters and slashes"
            )
            found.append(invalid_value(f"{path}[{index}]", name, text))
        if index + 1 < len(features):
            following = features[index + 1]
            if name == following:
                found.append(duplicate(f"{path}[{index + 1}]", following))
            elif name > following:
                text = "list must be sorted alphabetically"
                found.append(invalid_value(f"{path}[{index + 1}]", following, text))
    return found


def _cidr_causes(cidrs: list[str], path: str) -> list[Cause]:
    found: list[Cause] = []
    versions: list[int] = []
    for index, one in enumerate(cidrs):
        try:
            versions.append(ipaddress.ip_network(one, strict=False).version if "/" in one else 0)
        except ValueError:
            versions.append(0)
        if not versions[-1]:
            found.append(invalid_value(f"{path}[{index}]", one, _CIDR))
    if len(cidrs) > 1 and (len(cidrs) > 2 or sorted(versions) != [4, 6]):
        text = "may specify no more than one CIDR for each IP family"
        found.append(invalid_text(path, go_text(cidrs), text))
    return found


def _causes(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or _EMPTY
    found = object_meta_causes(obj, False, is_dns_subdomain)
    found += _taints_causes(spec.get("taints") or (), "metadata.taints")  # upstream's path
    found += _resources_causes(obj) + _features_causes(obj)
    return found + _cidr_causes(spec.get("podCIDRs") or [], "spec.podCIDRs")


def _only_update_causes(new: Object, old: Object) -> list[Cause]:
    """ValidateNodeUpdate."""
    spec, before = new.get("spec") or _EMPTY, old.get("spec") or _EMPTY
    found = object_meta_update_causes(new, old) + _resources_causes(new) + _features_causes(new)
    seen: list[Mapping[str, Any]] = []
    for index, address in enumerate((new.get("status") or _EMPTY).get("addresses") or ()):
        if address in seen:
            shown = go_text(internal("core.NodeAddress", address))
            at = f"status.addresses[{index}]"
            found.append(Cause("FieldValueDuplicate", f"Duplicate value: {shown}", at))
        seen.append(address)
    old_cidrs, cidrs = before.get("podCIDRs") or [], spec.get("podCIDRs") or []
    if old_cidrs and old_cidrs != cidrs:
        text = 'node updates may not change podCIDR except from "" to valid'
        changed = sum(one != other for one, other in zip(old_cidrs, cidrs, strict=False))
        count = 1 if len(old_cidrs) != len(cidrs) else changed
        found += [forbidden_field("spec.podCIDRs", text)] * count
    if before.get("providerID") and before["providerID"] != spec.get("providerID", ""):
        text = 'node updates may not change providerID except from "" to valid'
        found.append(forbidden_field("spec.providerID", text))
    found += _taints_causes(spec.get("taints") or (), "metadata.taints")
    if spec.get("externalID", "") != before.get("externalID", ""):
        found.append(forbidden_field("spec.externalID", "may not be updated"))
    return found


def _update_causes(new: Object, old: Object) -> list[Cause]:
    return _causes(new) + _only_update_causes(new, old)


def node_status_causes(new: Object, old: Object) -> list[Cause]:
    """A write of the status is validated as an update, without the rules of a create."""
    return _only_update_causes(new, old)


def _warnings(obj: Object) -> list[str]:
    spec = obj.get("spec") or _EMPTY
    found: list[str] = []
    if spec.get("configSource") is not None:
        found.append("spec.configSource: the feature is removed")
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    return found


NODE = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=on_create(_causes),
    validate_update=_update_causes,
    warnings=_warnings,
)
