"""Rules of a pod's operating system: validateOS, validateLinux, validateWindows of pkg/apis/core/validation/validation.go."""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.pod_security import visit
from stoker.lab.status import Cause, forbidden_field, required, unsupported

__all__ = ["os_causes"]

# in the server's order; those of the pod itself stand beside the security context
_POD_FORBIDS = [
    "securityContext.appArmorProfile",
    "securityContext.seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "securityContext.seccompProfile",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "shareProcessNamespace",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
]
_CONTAINER_FORBIDS = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
]


def os_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    name = spec["os"].get("name", "")
    if not name:
        return [required(f"{path}.os.name")]
    if name not in {"linux", "windows"}:
        return [unsupported(f"{path}.os", name, ("linux", "windows"))]
    return list(_linux(spec, path) if name == "linux" else _windows(spec, path))


def _linux(spec: Mapping[str, Any], path: str) -> Iterable[Cause]:
    text = "windows options cannot be set for a linux pod"
    if (spec.get("securityContext") or {}).get("windowsOptions") is not None:
        yield forbidden_field(f"{path}.securityContext.windowsOptions", text)
    for container, at in visit(spec, path):
        if (container.get("securityContext") or {}).get("windowsOptions") is not None:
            yield forbidden_field(f"{at}.securityContext.windowsOptions", text)


def _windows(spec: Mapping[str, Any], path: str) -> Iterable[Cause]:
    text = "cannot be set for a windows pod"
    for key in _POD_FORBIDS:
        owner, _, field = key.rpartition(".")
        if ((spec.get(owner) or {}) if owner else spec).get(field) is not None:
            yield forbidden_field(f"{path}.{key}", text)
    for container, at in visit(spec, path):
        context = container.get("securityContext") or {}
        for key in _CONTAINER_FORBIDS:
            if context.get(key) is not None:
                yield forbidden_field(f"{at}.securityContext.{key}", text)
