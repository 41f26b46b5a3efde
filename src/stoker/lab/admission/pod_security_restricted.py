"""Checks of the restricted level, and which checks a level has in a version.

Source: staging/src/k8s.io/pod-security-admission/policy/check_*.go, registry.go.
"""

from functools import cache
from typing import Any

from stoker.lab.admission.pod_security_baseline import (
    BASELINE,
    Check,
    Finding,
    containers_of,
    each,
    named,
    proc_mount,
    quoted,
    setters,
)

__all__ = ["NEWEST", "findings"]

NEWEST = 35  # the last minor version in which a check changed
_VOLUMES = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret")
)  # fmt: skip
# In the order in which upstream looks for them.
_OTHER_VOLUMES = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "gitRepo", "nfs", "iscsi", "glusterfs", "rbd", "flexVolume",
    "cinder", "cephfs", "flocker", "fc", "azureFile", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk",
    "portworxVolume", "scaleIO", "storageos",
)  # fmt: skip
_PROFILES = frozenset(("RuntimeDefault", "Localhost"))


def _is_windows(spec: dict[str, Any]) -> bool:
    return bool((spec.get("os") or {}).get("name") == "windows")


def _unless_windows(check: Check) -> Check:
    return lambda metadata, spec: None if _is_windows(spec) else check(metadata, spec)


def _unless_own_users(check: Check) -> Check:
    return lambda metadata, spec: None if spec.get("hostUsers") is False else check(metadata, spec)


def _escalation(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    found = [
        name
        for name, _, context in containers_of(spec)
        if context.get("allowPrivilegeEscalation") is not False
    ]
    if not found:
        return None
    return (
        "allowPrivilegeEscalation != false",
        f"{named(found)} must set securityContext.allowPrivilegeEscalation=false",
    )


def _capabilities(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    undropped, adding, added = [], [], set()
    for name, _container, context in containers_of(spec):
        capabilities = context.get("capabilities") or {}
        if "ALL" not in (capabilities.get("drop") or ()):
            undropped.append(name)
        forbidden = set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}
        if forbidden:
            adding.append(name)
            added |= forbidden
    details = []
    if undropped:
        details.append(f'{named(undropped)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        details.append(
            f"{named(adding)} must not include {quoted(sorted(added))} in securityContext.capabilities.add"
        )
    return ("unrestricted capabilities", "; ".join(details)) if details else None


def _volumes(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    volumes, kinds = [], set()
    for volume in spec.get("volumes") or ():
        if _VOLUMES.isdisjoint(volume):
            volumes.append(volume["name"])
            kinds.add(next((kind for kind in _OTHER_VOLUMES if kind in volume), "unknown"))
    if not volumes:
        return None
    verb = "uses" if len(volumes) == 1 else "use"
    what = each("restricted volume type", len(kinds))
    return "restricted volume types", f"{named(volumes, 'volume')} {verb} {what} {quoted(sorted(kinds))}"


def _non_root(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    reason = "runAsNonRoot != true"
    of_pod = (spec.get("securityContext") or {}).get("runAsNonRoot")
    states = [(name, context.get("runAsNonRoot")) for name, _, context in containers_of(spec)]
    who = setters([name for name, state in states if state is False], with_pod=of_pod is False)
    if who:
        return reason, f"{who} must not set securityContext.runAsNonRoot=false"
    unset = [name for name, state in states if state is None] if of_pod is None else []
    return (reason, f"pod or {named(unset)} must set securityContext.runAsNonRoot=true") if unset else None


def _root_user(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    who = setters(
        [name for name, _, context in containers_of(spec) if context.get("runAsUser") == 0],
        with_pod=(spec.get("securityContext") or {}).get("runAsUser") == 0,
    )
    return ("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def _seccomp(_: dict[str, Any], spec: dict[str, Any]) -> Finding | None:
    of_pod = (spec.get("securityContext") or {}).get("seccompProfile")
    profiles = [(name, context.get("seccompProfile")) for name, _, context in containers_of(spec)]
    bad = [
        (name, one.get("type", ""))
        for name, one in profiles
        if one is not None and one.get("type") not in _PROFILES
    ]
    is_pod_bad = of_pod is not None and of_pod.get("type") not in _PROFILES
    who = setters([name for name, _ in bad], with_pod=is_pod_bad)
    if who:
        types = {kind for _, kind in bad} | (
            {of_pod.get("type", "")} if of_pod is not None and is_pod_bad else set()
        )
        return (
            "seccompProfile",
            f"{who} must not set securityContext.seccompProfile.type to {quoted(sorted(types))}",
        )
    unset = [name for name, one in profiles if one is None] if of_pod is None else []
    if not unset:
        return None
    return (
        "seccompProfile",
        f'pod or {named(unset)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
    )


# By name, in the order of names: (first minor version, check, baseline checks that it stands for).
_RESTRICTED: dict[str, tuple[tuple[int, Check, str], ...]] = {
    "allowPrivilegeEscalation": ((8, _escalation, ""), (25, _unless_windows(_escalation), "")),
    "capabilities_restricted": (
        (22, _capabilities, "capabilities_baseline"),
        (25, _unless_windows(_capabilities), "capabilities_baseline"),
    ),
    "procMount_restricted": ((35, proc_mount, "procMount"),),
    "restrictedVolumes": ((0, _volumes, "hostPathVolumes"),),
    "runAsNonRoot": ((0, _non_root, ""), (35, _unless_own_users(_non_root), "")),
    "runAsUser": ((23, _root_user, ""), (35, _unless_own_users(_root_user), "")),
    "seccompProfile_restricted": (
        (19, _seccomp, "seccompProfile_baseline"),
        (25, _unless_windows(_seccomp), "seccompProfile_baseline"),
    ),
}


@cache
def _checks(level: str, minor: int) -> tuple[Check, ...]:
    """Checks of a level in version 1.``minor``: those of baseline that nothing stands for, then those of restricted."""
    restricted: list[Check] = []
    replaced: set[str] = set()
    if level == "restricted":
        for versions in _RESTRICTED.values():
            known = [one for one in versions if one[0] <= minor]
            if known:
                restricted.append(known[-1][1])
                replaced.add(known[-1][2])
    found: list[Check] = []
    for name, steps in BASELINE.items():
        reached = [check for first, check in steps if first <= minor]
        if reached and name not in replaced:
            found.append(reached[-1])
    return (*found, *restricted)


def findings(level: str, minor: int, metadata: dict[str, Any], spec: dict[str, Any]) -> list[Finding]:
    """What keeps a pod from a level: reasons with details, in the server's order."""
    if level == "privileged":
        return []
    found = (check(metadata, spec) for check in _checks(level, min(minor, NEWEST)))
    return [one for one in found if one is not None]
