"""Rules of volumes: pkg/apis/core/validation/validation.go (ValidateVolumes, validateVolumeSource), 1.36."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from stoker.lab.kinds.metadata import format_causes, is_dns_label, is_dns_subdomain
from stoker.lab.kinds.pod_claims import claim_template_causes
from stoker.lab.kinds.pod_environment import field_ref_causes, resource_ref_causes
from stoker.lab.kinds.pod_paths import no_backsteps, non_reserved_path
from stoker.lab.kinds.pod_volumes_remote import REMOTE, iscsi_name_causes
from stoker.lab.kinds.quantity_text import nano
from stoker.lab.status import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    too_long,
    unsupported,
)

__all__ = ["volumes_causes"]

Check = Callable[[Mapping[str, Any], str], list[Cause]]
_POLICIES = ("Always", "IfNotPresent", "Never")
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_HOST_PATHS = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
# the order in which validateVolumeSource looks at the sources
_ORDER = [
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
]
_KNOWN = frozenset(_ORDER)
_PATHS = {"gcePersistentDisk": "persistentDisk"}  # where upstream's path is not the field's
_FORBIDDEN_PATHS = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}


def volumes_causes(
    volumes: Iterable[Mapping[str, Any]], pod_name: str | None, path: str, *, is_pod: bool
) -> tuple[dict[str, Mapping[str, Any]], list[Cause]]:
    """The volumes that are right, by name, and what is wrong with the others.

    Args:
        volumes: the volumes of a spec.
        pod_name: name of the pod; None in a template.
        path: where the list stands.
        is_pod: whether the spec is a pod's and not a template's.
    """
    found: list[Cause] = []
    right: dict[str, Mapping[str, Any]] = {}
    claims = {f"{pod_name}-{one.get('name', '')}" for one in volumes if pod_name and "ephemeral" in one}
    for index, volume in enumerate(volumes):
        at, name = f"{path}[{index}]", volume.get("name", "")
        causes = _source_causes(volume, name, pod_name, at, is_pod=is_pod)
        causes += format_causes(f"{at}.name", name, is_dns_label) if name else [required(f"{at}.name")]
        if name in right:
            causes.append(duplicate(f"{at}.name", name))
        if causes:
            found += causes
        else:
            right[name] = volume
        claim = volume.get("persistentVolumeClaim")
        if claim is not None and claim.get("claimName", "") in claims:
            text = "must not reference a PVC that gets created for an ephemeral volume"
            where = f"{at}.persistentVolumeClaim.claimName"
            found.append(invalid_value(where, claim.get("claimName", ""), text))
    return right, found


def _source_causes(
    volume: Mapping[str, Any], name: str, pod_name: str | None, path: str, *, is_pod: bool
) -> list[Cause]:
    present = _KNOWN & volume.keys()
    if not present:
        return [required(path, "must specify a volume type")]
    kinds = list(present) if len(present) == 1 else sorted(present, key=_ORDER.index)
    found: list[Cause] = []
    for place, kind in enumerate(kinds):
        if place:
            where = f"{path}.{_FORBIDDEN_PATHS.get(kind, kind)}"
            found.append(forbidden_field(where, "may not specify more than 1 volume type"))
        else:
            at = f"{path}.{_PATHS.get(kind, kind)}"
            source = volume[kind]
            if kind == "image":
                found += _image_causes(source, at, is_pod=is_pod)
            else:
                found += (_SOURCES.get(kind) or REMOTE[kind])(source, at)
            if kind == "ephemeral" and pod_name and name:
                claim = f"{pod_name}-{name}"
                messages = is_dns_subdomain(claim)
                found += [
                    invalid_value(f"{path}.name", name, f'PVC name "{claim}": {one}') for one in messages
                ]
        if kind == "iscsi":
            found += iscsi_name_causes(volume[kind], name, f"{path}.name")
    return found


def _empty_dir(source: Mapping[str, Any], path: str) -> list[Cause]:
    if nano(source.get("sizeLimit", "0")) < 0:
        text = "SizeLimit field must be a valid resource quantity"
        return [forbidden_field(f"{path}.sizeLimit", text)]
    return []


def _host_path(source: Mapping[str, Any], path: str) -> list[Cause]:
    target, kind = source.get("path", ""), source.get("type")
    if not target:
        return [required(f"{path}.path")]
    found = no_backsteps(target, f"{path}.path")
    if kind is not None and kind not in _HOST_PATHS:
        found.append(unsupported(f"{path}.type", kind, _HOST_PATHS))
    return found


def _mode_causes(source: Mapping[str, Any], key: str, path: str) -> list[Cause]:
    mode = source.get(key)
    return [] if mode is None or 0 <= mode <= 0o777 else [invalid_value(f"{path}.{key}", mode, _MODE)]


def _keys_causes(items: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, item in enumerate(items):
        found += _key_causes(item, f"{path}[{index}]")
    return found


def _key_causes(item: Mapping[str, Any], path: str) -> list[Cause]:
    found = [required(f"{path}.{key}") for key in ("key", "path") if not item.get(key)]
    found += non_reserved_path(item.get("path", ""), f"{path}.path")
    return found + _mode_causes(item, "mode", path)


def _secret(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = [] if source.get("secretName") else [required(f"{path}.secretName")]
    found += _mode_causes(source, "defaultMode", path)
    return found + _keys_causes(source.get("items") or (), f"{path}.items")


def _config_map(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = [] if source.get("name") else [required(f"{path}.name")]
    found += _mode_causes(source, "defaultMode", path)
    return found + _keys_causes(source.get("items") or (), f"{path}.items")


def _claim(source: Mapping[str, Any], path: str) -> list[Cause]:
    return [] if source.get("claimName") else [required(f"{path}.claimName")]


def _downward(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = _mode_causes(source, "defaultMode", path)
    for item in source.get("items") or ():
        found += _downward_file(item, path)
    return found


def _downward_file(item: Mapping[str, Any], path: str) -> list[Cause]:
    """Upstream names the list, not the file."""
    target = item.get("path", "")
    found = [] if target else [required(f"{path}.path")]
    found += non_reserved_path(target, f"{path}.path")
    if item.get("fieldRef") is not None:
        found += field_ref_causes(item["fieldRef"], _FIELDS, f"{path}.fieldRef")
        if item.get("resourceFieldRef") is not None:
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(invalid_value(path, "resource", text))
    elif item.get("resourceFieldRef") is not None:
        found += resource_ref_causes(item["resourceFieldRef"], f"{path}.resourceFieldRef", is_volume=True)
    else:
        found.append(required(path, "one of fieldRef and resourceFieldRef is required"))
    return found + _mode_causes(item, "mode", path)


def _projected(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = _mode_causes(source, "defaultMode", path)
    taken: set[str] = set()
    for index, one in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{index}]"
        for kind in ("secret", "configMap"):
            if one.get(kind) is not None:
                found += _projected_keys(one[kind], taken, path, f"{at}.{kind}")
        for item in (one.get("downwardAPI") or {}).get("items") or ():
            found += _downward_file(item, f"{at}.downwardAPI")
            target = item.get("path", "")
            found += _take(target, target, taken, path)
        if one.get("serviceAccountToken") is not None:
            found += _token_causes(one["serviceAccountToken"], path, f"{at}.serviceAccountToken")
        if len(one) > 1:
            found.append(forbidden_field(at, "may not specify more than 1 volume type per source"))
    return found


def _take(target: str, value: str, taken: set[str], path: str) -> list[Cause]:
    if target in taken:
        return [invalid_value(path, value, "conflicting duplicate paths")]
    if target:
        taken.add(target)
    return []


def _projected_keys(source: Mapping[str, Any], taken: set[str], path: str, at: str) -> list[Cause]:
    name = source.get("name", "")
    found = [] if name else [required(f"{at}.name")]
    for index, item in enumerate(source.get("items") or ()):
        found += _key_causes(item, f"{at}.items[{index}]")
        found += _take(item.get("path", ""), name, taken, path)
    return found


def _token_causes(source: Mapping[str, Any], path: str, at: str) -> list[Cause]:
    seconds, target = source.get("expirationSeconds", 0), source.get("path", "")
    found: list[Cause] = []
    for is_wrong, text in (
        (seconds < 600, "may not specify a duration less than 10 minutes"),
        (seconds > 2**32, "may not specify a duration larger than 2^32 seconds"),
    ):
        if is_wrong:
            found.append(invalid_value(f"{at}.expirationSeconds", seconds, text))
    return found + (non_reserved_path(target, f"{path}.path") if target else [required(f"{path}.path")])


def _csi(source: Mapping[str, Any], path: str) -> list[Cause]:
    driver = source.get("driver", "")
    found: list[Cause] = []
    if not driver:
        found.append(required(f"{path}.driver"))
    else:
        if len(driver) > 63:
            found.append(too_long(f"{path}.driver", 63))
        found += [invalid_value(f"{path}.driver", driver, one) for one in is_dns_subdomain(driver.lower())]
    secret = source.get("nodePublishSecretRef")
    if secret is not None:
        name = secret.get("name", "")
        if not name:
            found.append(required(f"{path}.nodePublishSecretRef.name"))
        else:
            found += format_causes(f"{path}.name", name, is_dns_subdomain)
    return found


def _ephemeral(source: Mapping[str, Any], path: str) -> list[Cause]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        return [required(f"{path}.volumeClaimTemplate")]
    return claim_template_causes(template, f"{path}.volumeClaimTemplate")


def _image_causes(source: Mapping[str, Any], path: str, *, is_pod: bool) -> list[Cause]:
    found = [required(f"{path}.reference")] if is_pod and not source.get("reference") else []
    policy = source.get("pullPolicy", "")
    if policy not in _POLICIES:
        at = f"{path}.pullPolicy"
        found.append(unsupported(at, policy, _POLICIES) if policy else required(at))
    return found


_SOURCES: dict[str, Check] = {
    "emptyDir": _empty_dir,
    "hostPath": _host_path,
    "secret": _secret,
    "configMap": _config_map,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward,
    "projected": _projected,
    "csi": _csi,
    "ephemeral": _ephemeral,
}
