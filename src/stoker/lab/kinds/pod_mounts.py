"""Rules of what containers mount: pkg/apis/core/validation/validation.go (ValidateVolumeMounts, ValidateVolumeDevices)."""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.pod_paths import descending_path, no_backsteps
from stoker.lab.status import Cause, forbidden_field, invalid_value, not_found_value, required, unsupported

__all__ = ["device_causes", "mount_causes"]

_PROPAGATIONS = ("Bidirectional", "HostToContainer", "None")
_RECURSIVE = ("Disabled", "Enabled", "IfPossible")


def mount_causes(
    mounts: Iterable[Mapping[str, Any]],
    devices: Iterable[Mapping[str, Any]],
    volumes: Mapping[str, Any],
    container: Mapping[str, Any],
    path: str,
) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    device_names = {one.get("name", "") for one in devices}
    device_paths = {one.get("devicePath", "") for one in devices}
    for index, mount in enumerate(mounts):
        at = f"{path}[{index}]"
        name, target = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(required(f"{at}.name"))
        if name not in volumes:
            found.append(not_found_value(f"{at}.name", name))
        if not target:
            found.append(required(f"{at}.mountPath"))
        if target in seen:
            found.append(invalid_value(f"{at}.mountPath", target, "must be unique"))
        seen.add(target)
        if name in device_names:
            found.append(invalid_value(f"{at}.name", name, "must not already exist in volumeDevices"))
        if target in device_paths:
            text = "must not already exist as a path in volumeDevices"
            found.append(invalid_value(f"{at}.mountPath", target, text))
        found += _options_causes(mount, container, path, at)
    return found


def _options_causes(
    mount: Mapping[str, Any], container: Mapping[str, Any], path: str, at: str
) -> list[Cause]:
    """Upstream names some of these by the list and not by the mount."""
    found: list[Cause] = []
    sub_path, expression = mount.get("subPath", ""), mount.get("subPathExpr", "")
    if sub_path:
        found += descending_path(sub_path, f"{path}.subPath")
    if expression:
        if sub_path:
            text = "subPathExpr and subPath are mutually exclusive"
            found.append(invalid_value(f"{at}.subPathExpr", expression, text))
        found += descending_path(expression, f"{path}.subPathExpr")
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        if propagation not in _PROPAGATIONS:
            found.append(unsupported(f"{path}.mountPropagation", propagation, _PROPAGATIONS))
        is_privileged = (container.get("securityContext") or {}).get("privileged")
        if propagation == "Bidirectional" and not is_privileged:
            text = "Bidirectional mount propagation is available only to privileged containers"
            found.append(forbidden_field(f"{path}.mountPropagation", text))
    return found + _recursive_causes(mount, f"{path}.recursiveReadOnly")


def _recursive_causes(mount: Mapping[str, Any], path: str) -> list[Cause]:
    recursive = mount.get("recursiveReadOnly")
    if recursive is None or recursive == "Disabled":
        return []
    if recursive not in _RECURSIVE:
        return [unsupported(path, recursive, _RECURSIVE)]
    found: list[Cause] = []
    if not mount.get("readOnly"):
        found.append(forbidden_field(path, "may only be specified when readOnly is true"))
    if mount.get("mountPropagation") not in {None, "None"}:
        text = "may only be specified when mountPropagation is None or not specified"
        found.append(forbidden_field(path, text))
    return found


def device_causes(
    devices: Iterable[Mapping[str, Any]],
    mounts: Iterable[Mapping[str, Any]],
    volumes: Mapping[str, Mapping[str, Any]],
    path: str,
) -> list[Cause]:
    found: list[Cause] = []
    names: set[str] = set()
    paths: set[str] = set()
    mount_names = {one.get("name", "") for one in mounts}
    mount_paths = {one.get("mountPath", "") for one in mounts}
    for index, device in enumerate(devices):
        at = f"{path}[{index}]"
        name, target = device.get("name", ""), device.get("devicePath", "")
        volume = volumes.get(name)
        found += _device_name_causes(name, names, volume, f"{at}.name")
        if not target:
            found.append(required(f"{at}.devicePath"))
        if target in paths:
            found.append(invalid_value(f"{at}.devicePath", target, "must be unique"))
        if target and no_backsteps(target, path):
            found.append(invalid_value(f"{at}.devicePath", target, "can not contain backsteps ('..')"))
        else:
            paths.add(target)
        if name in mount_names:
            found.append(invalid_value(f"{at}.name", name, "must not already exist in volumeMounts"))
        if target in mount_paths:
            text = "must not already exist as a path in volumeMounts"
            found.append(invalid_value(f"{at}.devicePath", target, text))
        if name:
            names.add(name)
    return found


def _device_name_causes(
    name: str, seen: set[str], volume: Mapping[str, Any] | None, path: str
) -> list[Cause]:
    found = [] if name else [required(path)]
    if name in seen:
        found.append(invalid_value(path, name, "must be unique"))
    if volume is None:
        found.append(not_found_value(path, name))
    elif "persistentVolumeClaim" not in volume and "ephemeral" not in volume:
        text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
        found.append(invalid_value(path, name, text))
    return found
