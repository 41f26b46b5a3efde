"""Rules of security contexts, of the host's namespaces and of Windows pods.

Source: pkg/apis/core/validation/validation.go (ValidateSecurityContext, validatePodSpecSecurityContext), 1.36.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import invalid_struct
from stoker.lab.kinds.metadata import in_range
from stoker.lab.kinds.pod_paths import descending_path
from stoker.lab.status import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    too_long,
    unsupported,
)

__all__ = ["host_users_causes", "pod_security_causes", "security_context_causes", "visit"]

_IDS = in_range(0, 2**31 - 1)
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL = r"[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SYSCTL_NAME = rf"^({_SYSCTL}[\./])*{_SYSCTL}$"
_SYSCTL_RE = re.compile(_SYSCTL_NAME)
_IPC_SYSCTLS = frozenset(
    [
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
        "kernel.shm",
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.msg",
    ]
)
_POD_CHOICES = {
    "supplementalGroupsPolicy": ("Merge", "Strict"),
    "seLinuxChangePolicy": ("MountOption", "Recursive"),
}


def visit(spec: Mapping[str, Any], path: str) -> Iterable[tuple[Mapping[str, Any], str]]:
    """Every container with its path, in the order in which the server visits them."""
    for key in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(key) or ()):
            yield container, f"{path}.{key}[{index}]"


def _id_causes(context: Mapping[str, Any], keys: Iterable[str], path: str) -> list[Cause]:
    return [
        invalid_value(f"{path}.{key}", context[key], _IDS)
        for key in keys
        if context.get(key) is not None and not 0 <= context[key] < 2**31
    ]


def security_context_causes(context: Mapping[str, Any], path: str, *, is_host_users: bool) -> list[Cause]:
    """Of a container."""
    if not context:
        return []
    get = context.get
    found = _id_causes(context, ("runAsUser", "runAsGroup"), path)
    mount = get("procMount")
    if mount is not None:
        if mount not in {"Default", "Unmasked"}:
            found.append(unsupported(f"{path}.procMount", mount, ("Default", "Unmasked")))
        if is_host_users and mount == "Unmasked":
            text = "`hostUsers` must be false to use `Unmasked`"
            found.append(invalid_value(f"{path}.procMount", mount, text))
    found += _seccomp_causes(get("seccompProfile"), f"{path}.seccompProfile")
    if get("allowPrivilegeEscalation") is False:
        head = "cannot set `allowPrivilegeEscalation` to false and"
        if get("privileged"):
            found.append(
                invalid_struct(path, "core.SecurityContext", context, f"{head} `privileged` to true")
            )
        for one in (get("capabilities") or {}).get("add") or ():
            if one == "CAP_SYS_ADMIN":
                text = f"{head} `capabilities.Add` CAP_SYS_ADMIN"
                found.append(invalid_struct(path, "core.SecurityContext", context, text))
    found += _windows_options_causes(get("windowsOptions"), f"{path}.windowsOptions")
    return found + _apparmor_causes(get("appArmorProfile"), f"{path}.appArmorProfile")


def _seccomp_causes(profile: Mapping[str, Any] | None, path: str) -> list[Cause]:
    if profile is None:
        return []
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    found: list[Cause] = []
    if not kind:
        found.append(required(f"{path}.type", "type is required when seccompProfile is set"))
    elif kind not in _PROFILES:
        found.append(unsupported(f"{path}.type", kind, _PROFILES))
    at = f"{path}.localhostProfile"
    if kind == "Localhost":
        if local is None:
            found.append(required(at, "must be set when seccomp type is Localhost"))
        else:
            found += descending_path(local, at)
    elif local is not None:
        text = "can only be set when seccomp type is Localhost"
        found.append(invalid_struct(at, "core.SeccompProfile", profile, text))
    return found


def _apparmor_causes(profile: Mapping[str, Any] | None, path: str) -> list[Cause]:
    if profile is None:
        return []
    kind, local = profile.get("type", ""), profile.get("localhostProfile")
    at = f"{path}.localhostProfile"
    if not kind:
        return [required(f"{path}.type", "type is required when appArmorProfile is set")]
    if kind not in _PROFILES:
        return [unsupported(f"{path}.type", kind, _PROFILES)]
    if kind != "Localhost":
        text = "can only be set when AppArmor type is Localhost"
        return [] if local is None else [invalid_value(at, local, text)]
    if local is None:
        return [required(at, "must be set when AppArmor type is Localhost")]
    found: list[Cause] = []
    if local != local.strip():
        found.append(invalid_value(at, local, "must not be padded with whitespace"))
    elif not local:
        found.append(required(at, "must be set when AppArmor type is Localhost"))
    return [*found, too_long(at, 4095)] if len(local) > 4095 else found


def _windows_options_causes(options: Mapping[str, Any] | None, path: str) -> list[Cause]:
    """The fields that matter on a cluster of Linux nodes: that names are there at all."""
    return [
        invalid_value(f"{path}.{key}", "", f"{key} cannot be an empty string")
        for key in ("gmsaCredentialSpec", "runAsUserName")
        if options and options.get(key) == ""
    ]


def pod_security_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    """Of the pod: validatePodSpecSecurityContext."""
    context = spec.get("securityContext") or {}
    if not context:
        return []
    at = f"{path}.securityContext"
    found = _id_causes(context, ("fsGroup", "runAsUser", "runAsGroup"), at)
    found += [
        invalid_value(f"{at}.supplementalGroups[{index}]", group, _IDS)
        for index, group in enumerate(context.get("supplementalGroups") or ())
        if not 0 <= group < 2**31
    ]
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(invalid_value(f"{at}.shareProcessNamespace", value=True, detail=text))
    found += _sysctl_causes(context.get("sysctls") or (), spec, f"{at}.sysctls")
    found += _choice_causes(context, "fsGroupChangePolicy", ("Always", "OnRootMismatch"), at)
    found += _seccomp_causes(context.get("seccompProfile"), f"{at}.seccompProfile")
    found += _windows_options_causes(context.get("windowsOptions"), f"{at}.windowsOptions")
    found += _apparmor_causes(context.get("appArmorProfile"), f"{at}.appArmorProfile")
    for key, known in _POD_CHOICES.items():
        found += _choice_causes(context, key, known, at)
    return found


def _choice_causes(context: Mapping[str, Any], key: str, known: tuple[str, ...], path: str) -> list[Cause]:
    value = context.get(key)
    return [] if value is None or value in known else [unsupported(f"{path}.{key}", value, known)]


def _sysctl_causes(sysctls: Iterable[Mapping[str, Any]], spec: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate(sysctls):
        at, name = f"{path}[{index}].name", one.get("name", "")
        if not name:
            found.append(required(at))
        elif len(name) > 253 or not _SYSCTL_RE.search(name):
            text = f"must have at most 253 characters and match regex {_SYSCTL_NAME}"
            found.append(invalid_value(at, name, text))
        elif name in seen:
            found.append(duplicate(at, name))
        seen.add(name)
        plain = name.replace("/", ".")
        if spec.get("hostNetwork") and plain.startswith("net."):
            found.append(invalid_value(at, name, "may not be specified when 'hostNetwork' is true"))
        elif spec.get("hostIPC") and (plain in _IPC_SYSCTLS or plain.startswith("fs.mqueue.")):
            found.append(invalid_value(at, name, "may not be specified when 'hostIPC' is true"))
    return found


# --- what depends on the host and on the operating system ------------------------------------------------------------


def host_users_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    """A pod in a user namespace shares no other namespace with the host."""
    if spec.get("hostUsers") is not False:
        return []
    text = "when `hostUsers` is false"
    found = [
        forbidden_field(f"{path}.{shown}", text)
        for key, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC"))
        if spec.get(key)
    ]
    return found + [
        forbidden_field(f"{at}.volumeDevices", text)
        for container, at in visit(spec, path)
        if container.get("volumeDevices")
    ]
