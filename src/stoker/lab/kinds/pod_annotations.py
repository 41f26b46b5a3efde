"""Annotations of pods that mean something: mirror pods, deletion cost, and what seccomp and AppArmor were asked by of old.

Source: pkg/apis/core/validation/validation.go (ValidatePodSpecificAnnotations and what checks annotations against fields).
"""

from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.metadata_memory import whole_number
from stoker.lab.kinds.pod_paths import descending_path
from stoker.lab.kinds.pod_security import visit
from stoker.lab.status import Cause, forbidden_field, invalid_value

__all__ = [
    "APPARMOR",
    "MIRROR",
    "SECCOMP_CONTAINER",
    "SECCOMP_POD",
    "annotation_update_causes",
    "apparmor_field",
    "pod_annotations_causes",
    "profiles_match_causes",
]

MIRROR = "kubernetes.io/config.mirror"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_COST = "controller.kubernetes.io/pod-deletion-cost"


def pod_annotations_causes(
    annotations: Mapping[str, str] | None, spec: Mapping[str, Any], path: str
) -> list[Cause]:
    if not annotations:
        return []
    found: list[Cause] = []
    if MIRROR in annotations and not spec.get("nodeName"):
        text = "must set spec.nodeName if mirror pod annotation is set"
        found.append(invalid_value(f"{path}[{MIRROR}]", annotations[MIRROR], text))
    if _COST in annotations and not _is_cost(annotations[_COST]):
        found.append(invalid_value(f"{path}[{_COST}]", annotations[_COST], "must be a 32bit integer"))
    if SECCOMP_POD in annotations:
        found += _seccomp_causes(annotations[SECCOMP_POD], f"{path}.{SECCOMP_POD}")
    for key, value in annotations.items():
        if key.startswith(SECCOMP_CONTAINER):
            found += _seccomp_causes(value, f"{path}.{key}")
    for key, value in annotations.items():
        if key.startswith(APPARMOR):
            found += _apparmor_causes(key, value, spec, f"{path}[{key}]")
    return found


def _is_cost(text: str) -> bool:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or (text[0] == "0" and text != "0"):
        return False
    return -(2**31) <= whole_number(text) < 2**31


def _seccomp_causes(profile: str, path: str) -> list[Cause]:
    if profile in {"runtime/default", "docker/default", "unconfined"}:
        return []
    if profile.startswith("localhost/"):
        return descending_path(profile.removeprefix("localhost/"), path)
    return [invalid_value(path, profile, "must be a valid seccomp profile")]


def _apparmor_causes(key: str, profile: str, spec: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    name = key.removeprefix(APPARMOR)
    if not any(container.get("name", "") == name for container, _ in visit(spec, "spec")):
        found.append(invalid_value(path, name, "container not found"))
    if profile not in {"", "runtime/default", "unconfined"} and not profile.startswith("localhost/"):
        found.append(invalid_value(path, profile, f'invalid AppArmor profile name: "{profile}"'))
    return found


def annotation_update_causes(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> list[Cause]:
    """ValidatePodSpecificAnnotationUpdates."""
    fresh = (new.get("metadata") or {}).get("annotations") or {}
    before = (old.get("metadata") or {}).get("annotations") or {}
    found: list[Cause] = []
    for key in before:
        if fresh.get(key) != before[key]:
            found += _kept(key, "remove or update", path)
    for key in fresh:
        if key not in before:
            found += _kept(key, "add", path)
    return found + pod_annotations_causes(fresh, new.get("spec") or {}, path)


def _kept(key: str, what: str, path: str) -> list[Cause]:
    if key.startswith(APPARMOR):
        return [forbidden_field(f"{path}[{key}]", f"may not {what} AppArmor annotations")]
    if key == MIRROR:
        return [forbidden_field(f"{path}[{key}]", f"may not {what} mirror pod annotation")]
    return []


def profiles_match_causes(obj: Mapping[str, Any], path: str) -> list[Cause]:
    """What is said twice, by an annotation and by a field, must be the same."""
    annotations = (obj.get("metadata") or {}).get("annotations")
    if not annotations:
        return []
    spec = obj.get("spec") or {}
    context = spec.get("securityContext") or {}
    found: list[Cause] = []
    if context.get("seccompProfile") and SECCOMP_POD in annotations:
        at = f"{path}.securityContext.seccompProfile"
        found += _match_causes("seccomp", annotations[SECCOMP_POD], context["seccompProfile"], at)
    for container, at in visit(spec, path):
        profile = (container.get("securityContext") or {}).get("seccompProfile")
        key = f"{SECCOMP_CONTAINER}{container.get('name', '')}"
        if profile and key in annotations:
            where = f"{at}.securityContext.seccompProfile"
            found += _match_causes("seccomp", annotations[key], profile, where)
    if (spec.get("os") or {}).get("name") == "windows":
        return found
    for container, at in visit(spec, path):
        own = (container.get("securityContext") or {}).get("appArmorProfile")
        profile = own or context.get("appArmorProfile")
        key = f"{APPARMOR}{container.get('name', '')}"
        if profile and key in annotations:
            where = f"{at}.securityContext.appArmorProfile"
            found += _match_causes("apparmor", annotations[key], profile, where)
    return found


def _match_causes(kind: str, annotation: str, profile: Mapping[str, Any], path: str) -> list[Cause]:
    type_ = profile.get("type")
    fits = {"Unconfined": {"unconfined"}, "RuntimeDefault": {"runtime/default"}}
    if kind == "seccomp":
        fits["RuntimeDefault"] = {"runtime/default", "docker/default"}
    is_local = annotation.startswith("localhost/")
    if (type_ in fits and annotation not in fits[type_]) or (type_ == "Localhost" and not is_local):
        return [forbidden_field(f"{path}.type", f"{kind} type in annotation and field must match")]
    local = profile.get("localhostProfile")
    if type_ == "Localhost" and annotation.removeprefix("localhost/") != local:
        text = f"{kind} profile in annotation and field must match"
        return [forbidden_field(f"{path}.localhostProfile", text)]
    return []


def apparmor_field(annotation: str) -> dict[str, str] | None:
    """ApparmorFieldForAnnotation (pkg/api/pod/util.go): the profile that an annotation means; None for none."""
    if annotation == "unconfined":
        return {"type": "Unconfined"}
    if annotation == "runtime/default":
        return {"type": "RuntimeDefault"}
    local = annotation.removeprefix("localhost/")
    if local != annotation and local.strip() == local and local:
        return {"type": "Localhost", "localhostProfile": local}
    return None
