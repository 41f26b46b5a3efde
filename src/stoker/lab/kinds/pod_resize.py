"""The subresource resize: requests and limits of a pod that runs.

Sources: pkg/registry/core/pod/strategy.go (podResizeStrategy), pkg/apis/core/validation/validation.go (ValidatePodResize).
"""

from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.metadata import object_meta_update_causes
from stoker.lab.kinds.pod_annotations import MIRROR
from stoker.lab.kinds.pod_resources import qos_class
from stoker.lab.kinds.pod_update import whole_pod_causes
from stoker.lab.kinds.strategy import Object
from stoker.lab.kinds.templates import keep_status
from stoker.lab.status import Cause, forbidden_field, invalid_value

__all__ = ["prepare_resize", "resize_causes"]

_LISTS = ("containers", "initContainers")
_RESIZED = ("resources", "resizePolicy")
_META = ("deletionTimestamp", "labels", "annotations", "finalizers", "ownerReferences")
_ONLY = "only cpu and memory resources are mutable"


def prepare_resize(new: Object, old: Object) -> None:
    """Keeps nothing of the write but resources and resize policies; what renames containers is left to be refused."""
    fresh, before = new.get("spec") or {}, old.get("spec") or {}
    if any(len(fresh.get(key) or ()) != len(before.get(key) or ()) for key in _LISTS):
        return
    spec = dict(before)
    for key in _LISTS:
        if key in before:
            spec[key] = _merged(fresh[key], before[key])
    _copy(fresh, spec, "resources")
    new["spec"] = spec
    keep_status(new, old)
    for key in _META:
        _copy(old.get("metadata") or {}, new.setdefault("metadata", {}), key)


def _merged(fresh: list[Object], before: list[Object]) -> list[Object]:
    if any(one.get("name") != was.get("name") for one, was in zip(fresh, before, strict=True)):
        return fresh
    merged = [dict(was) for was in before]
    for one, found in zip(fresh, merged, strict=True):
        for key in _RESIZED:
            _copy(one, found, key)
    return merged


def _copy(source: Mapping[str, Any], target: Object, key: str) -> None:
    target.pop(key, None)
    if key in source:
        target[key] = source[key]


def resize_causes(new: Object, old: Object) -> list[Cause]:
    """ValidatePodResize."""
    fresh, before = new.get("spec") or {}, old.get("spec") or {}
    found = object_meta_update_causes(new, old) + whole_pod_causes(new, old)
    if MIRROR in ((old.get("metadata") or {}).get("annotations") or {}):
        return [forbidden_field("", "static pods cannot be resized")]
    if (before.get("os") or {}).get("name") == "windows":
        return [forbidden_field("", "windows pods cannot be resized")]
    status = old.get("status") or {}
    if (status.get("qosClass") or qos_class(old)) != qos_class(new):
        shown = (new.get("status") or {}).get("qosClass", "")
        found.append(invalid_value("spec", shown, "Pod QOS Class may not change as a result of resizing"))
    if not _is_supported(status):
        found.append(forbidden_field("spec", "Pod running on node without support for resize"))
    masked = dict(fresh)
    if before.get("resources") or fresh.get("resources"):
        found += _pod_level_causes(masked, before)
    causes = _order_causes(fresh, before)
    if causes:
        return found + causes
    for key in reversed(_LISTS):
        for index, (one, was) in enumerate(zip(fresh.get(key) or (), before.get(key) or (), strict=True)):
            found += _removed_causes(one, was, f"spec.{key}[{index}].resources")
    for key in _LISTS:
        found += _masked_causes(masked, before, key)
    return found if found or masked == before else [forbidden_field("spec", _ONLY)]


def _is_supported(status: Mapping[str, Any]) -> bool:
    """A kubelet that resizes tells the resources of what runs."""
    for one in status.get("containerStatuses") or ():
        if (one.get("state") or {}).get("running") is not None:
            return one.get("resources") is not None
    return True


def _order_causes(fresh: Mapping[str, Any], before: Mapping[str, Any]) -> list[Cause]:
    found: list[Cause] = []
    for key in _LISTS:
        ones, olds = fresh.get(key) or [], before.get(key) or []
        if len(ones) != len(olds):
            found.append(forbidden_field(f"spec.{key}", f"{key} may not be added or removed on resize"))
            continue
        text = f"{key} may not be renamed or reordered on resize"
        found += [
            forbidden_field(f"spec.{key}[{index}].name", text)
            for index, (one, was) in enumerate(zip(ones, olds, strict=True))
            if one.get("name") != was.get("name")
        ]
    return found


def _removed(one: Mapping[str, Any] | None, was: Mapping[str, Any] | None, side: str) -> bool:
    return bool(set((was or {}).get(side) or {}) - set((one or {}).get(side) or {}))


def _removed_causes(one: Mapping[str, Any], was: Mapping[str, Any], path: str) -> list[Cause]:
    return [
        forbidden_field(f"{path}.{side}", f"resource {side} cannot be removed")
        for side in ("requests", "limits")
        if _removed(one.get("resources"), was.get("resources"), side)
    ]


def _without_changes(resources: Mapping[str, Any] | None, old: Mapping[str, Any] | None) -> Object:
    """The new resources with CPU and memory as they were."""
    found: Object = {}
    for side in ("limits", "requests"):
        values = {
            name: value
            for name, value in ((resources or {}).get(side) or {}).items()
            if name not in {"cpu", "memory"}
        }
        kept = (old or {}).get(side) or {}
        values |= {name: kept[name] for name in ("cpu", "memory") if name in kept}
        if values:
            found[side] = values
    return found


def _masked_causes(masked: Object, before: Mapping[str, Any], key: str) -> list[Cause]:
    found: list[Cause] = []
    containers: list[Object] = []
    is_init = key == "initContainers"
    for index, (one, was) in enumerate(zip(masked.get(key) or (), before.get(key) or (), strict=True)):
        container = {**one, "resources": _without_changes(one.get("resources"), was.get("resources"))}
        at = f"spec.{key}[{index}]" if is_init else "spec"
        if container != was:
            text = "only cpu and memory resources for init or sidecar containers are mutable"
            found.append(forbidden_field(at, text if is_init else _ONLY))
        is_plain_init = is_init and one != was and one.get("restartPolicy") != "Always"
        for policy in (one.get("resizePolicy") or ()) if is_plain_init else ():
            if policy.get("restartPolicy") == "RestartContainer":
                text = (
                    "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
                )
                found.append(forbidden_field(at, text))
        containers.append(container)
    if containers:
        masked[key] = containers
    return found


def _pod_level_causes(masked: Object, before: Mapping[str, Any]) -> list[Cause]:
    resources, old = masked.get("resources"), before.get("resources")
    if old is not None and resources is None:
        return [forbidden_field("spec.resources", "pod-level resources cannot be removed")]
    found = [
        forbidden_field(f"spec.resources.{side}", f"pod-level resource {side} cannot be removed")
        for side in ("requests", "limits")
        if _removed(resources, old, side)
    ]
    kept = _without_changes(resources, old)
    if (resources or {}).get("claims"):
        kept["claims"] = (resources or {})["claims"]
    if old is None and not kept:
        masked.pop("resources", None)
    else:
        masked["resources"] = kept
    if masked.get("resources") != old:
        found.append(forbidden_field("spec", f"{_ONLY} at pod-level"))
    return found
