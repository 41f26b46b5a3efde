"""ResourceSlice: the devices that a driver offers (pkg/apis/resource/validation/validation.go)."""

import re
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.devices import qualified_device_name
from stoker.lab.kinds.metadata import immutable, is_dns_label, is_dns_subdomain
from stoker.lab.kinds.services_endpoints import too_many
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.volumes import csi_driver_name
from stoker.lab.status import Cause, duplicate, invalid_value, required, too_long

__all__ = ["RESOURCE_SLICE"]

_SELECTIONS = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_VALUES = ("bool", "int", "string", "version", "bools", "ints", "strings", "versions")
_VALUE_LIMIT = 64
_PRE = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(
    rf"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-{_PRE}(\.{_PRE})*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)


def _validate(found: Object) -> list[Cause]:
    spec = found.get("spec", {})
    causes = csi_driver_name(spec.get("driver", ""), "spec.driver")
    causes += _pool_causes(spec.get("pool", {}), "spec.pool")
    causes += _selection_causes(spec)
    if spec.get("sharedCounters") and spec.get("devices"):
        causes.append(invalid_value("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    devices = spec.get("devices", ())
    is_advanced = any(one.get("taints") or one.get("consumesCounters") for one in devices)
    limit = 64 if is_advanced else 128
    if len(devices) > limit:
        causes.append(too_many("spec.devices", len(devices), limit))
    names: set[str] = set()
    for index, device in enumerate(devices):
        path, name = f"spec.devices[{index}]", device.get("name", "")
        causes += each(f"{path}.name", name, is_dns_label) + _device_causes(device, path)
        if name in names:
            causes.append(duplicate(path, name))
        names.add(name)
    return causes


def _pool_causes(pool: Object, path: str) -> list[Cause]:
    name, causes = pool.get("name", ""), []
    if not name:
        causes.append(required(f"{path}.name"))
    else:
        if len(name) > 253:
            causes.append(too_long(f"{path}.name", 253))
        causes += [
            cause for part in name.split("/") for cause in each(f"{path}.name", part, is_dns_subdomain)
        ]
    count, generation = pool.get("resourceSliceCount", 0), pool.get("generation", 0)
    if count <= 0:
        causes.append(invalid_value(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        text = "must be greater than or equal to zero"
        causes.append(invalid_value(f"{path}.generation", generation, text))
    return causes


def _selection_causes(spec: Object) -> list[Cause]:
    causes: list[Cause] = []
    given = []
    for name in _SELECTIONS:
        if name not in spec:
            continue
        value, path = spec[name], f"spec.{name}"
        if name == "nodeName":
            if value == "":
                text = "must be either unset or set to a non-empty string"
                causes.append(invalid_value(path, value, text))
                continue
            causes += each(path, value, is_dns_subdomain)
        elif name == "nodeSelector":
            causes += _node_selector_causes(value, path)
        elif value is not True:
            causes.append(invalid_value(path, value, "must be either unset or set to true"))
            continue
        given.append(f"`{name}`")
    if not given:
        causes.append(required("spec", _ONE))
    elif len(given) > 1:
        text = f"{_ONE}, but multiple fields are set"
        causes.append(invalid_value("spec", f"{{{', '.join(given)}}}", text))
    return causes


def _node_selector_causes(selector: Object, path: str) -> list[Cause]:
    terms = selector.get("nodeSelectorTerms") or []
    where = f"{path}.nodeSelectorTerms"
    causes = [] if terms else [required(where, "must have at least one node selector term")]
    if len(terms) != 1:
        printed = go_text(terms or None)
        causes.append(invalid_text(where, printed, "must have exactly one node selector term"))
    return causes


def _device_causes(device: Object, path: str) -> list[Cause]:
    attributes, capacity = device.get("attributes", {}), device.get("capacity", {})
    count, causes = len(attributes) + len(capacity), []
    if count > 32:
        text = "the total number of attributes and capacities must not exceed 32"
        causes.append(invalid_value(path, count, text))
    for name in sorted(attributes):
        where = f"{path}.attributes[{name}]"
        causes += qualified_device_name(name, f"{path}.attributes")
        causes += _attribute_causes(attributes[name], where)
    for name in sorted(capacity):
        causes += qualified_device_name(name, f"{path}.capacity")
    return causes


def _attribute_causes(attribute: Object, path: str) -> list[Cause]:
    given: list[Any] = [name for name in _VALUES if name in attribute]
    causes = []
    for name in ("string", "version"):
        value = attribute.get(name)
        if value is None:
            continue
        if name == "version" and not _SEMVER.fullmatch(value):
            text = "must be a string compatible with semver.org spec 2.0.0"
            causes.append(invalid_value(f"{path}.{name}", value, text))
        if len(value.encode()) > _VALUE_LIMIT:
            causes.append(too_long(f"{path}.{name}", _VALUE_LIMIT))
    if not given:
        causes.append(invalid_value(path, "", "exactly one value must be specified"))
    elif len(given) > 1:
        causes.append(invalid_value(path, attribute, "exactly one value must be specified"))
    return causes


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new.get("spec", {}), old.get("spec", {})
    pools = [one.get("pool", {}).get("name", "") for one in (spec, before)]
    causes = immutable("spec.pool.name", *pools)
    for name in ("driver", "nodeName"):
        causes += immutable(f"spec.{name}", spec.get(name), before.get(name))
    return causes


RESOURCE_SLICE = Strategy(validate=_validate, validate_update=_validate_update, has_generation=True)
