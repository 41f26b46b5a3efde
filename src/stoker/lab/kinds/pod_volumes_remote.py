"""Rules of the volume plugins that are kept for old manifests, and of NFS and iSCSI.

Source: pkg/apis/core/validation/validation.go, 1.36.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.metadata import format_causes, in_range, is_dns_label
from stoker.lab.kinds.pod_paths import descending_path
from stoker.lab.status import Cause, invalid_value, required, unsupported

__all__ = ["REMOTE", "iscsi_name_causes"]

Check = Callable[[Mapping[str, Any], str], list[Cause]]
_INITIATORS = {
    "iqn": re.compile(r"iqn\.\d{4}-\d{2}\.([a-zA-Z0-9-.]+)(:[^,;*&$|\s]+)$", re.ASCII),
    "eui": re.compile(r"^eui.[a-zA-Z0-9]{16}$", re.ASCII),
    "naa": re.compile(r"^naa.[a-zA-Z0-9]{32}$", re.ASCII),
}
_CACHING = ("None", "ReadOnly", "ReadWrite")
_DISKS = ("Dedicated", "Managed", "Shared")
_MANAGED_URI = (
    "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
)
_BLOB_URI = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"


def _needs(*keys: str) -> Check:
    """A check that only asks for fields."""
    return lambda source, path: [required(f"{path}.{key}") for key in keys if not source.get(key)]


def _git_repo(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = _needs("repository")(source, path)
    return found + descending_path(source.get("directory", ""), f"{path}.directory")


def _disk(key: str) -> Check:
    def check(source: Mapping[str, Any], path: str) -> list[Cause]:
        found = _needs(key)(source, path)
        partition = source.get("partition", 0)
        if not 0 <= partition <= 255:
            found.append(invalid_value(f"{path}.partition", partition, in_range(1, 255)))
        return found

    return check


def _nfs(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = _needs("server", "path")(source, path)
    target = source.get("path", "")
    if not target.startswith("/"):
        found.append(invalid_value(f"{path}.path", target, "must be an absolute path"))
    return found


def _initiator_causes(name: str, path: str) -> list[Cause]:
    pattern = _INITIATORS.get(name[:3])
    if pattern is None:
        text = "must be valid format starting with iqn, eui, or naa"
        return [invalid_value(path, name, text)]
    return [] if pattern.search(name) else [invalid_value(path, name, "must be valid format")]


def _iscsi(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = _needs("targetPortal")(source, path)
    name, lun = source.get("iqn", ""), source.get("lun", 0)
    found += _initiator_causes(name, f"{path}.iqn") if name else [required(f"{path}.iqn")]
    if not 0 <= lun <= 255:
        found.append(invalid_value(f"{path}.lun", lun, in_range(0, 255)))
    has_chap = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if has_chap and source.get("secretRef") is None:
        found.append(required(f"{path}.secretRef"))
    if source.get("initiatorName") is not None:
        found += _initiator_causes(source["initiatorName"], f"{path}.initiatorname")
    return found


def iscsi_name_causes(source: Mapping[str, Any], name: str, path: str) -> list[Cause]:
    if source.get("initiatorName") is None or len(f"{name}:{source.get('targetPortal', '')}") <= 64:
        return []
    text = (
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is"
        " specified."
    )
    return [invalid_value(path, name, text)]


def _flocker(source: Mapping[str, Any], path: str) -> list[Cause]:
    name, uuid = source.get("datasetName", ""), source.get("datasetUUID", "")
    found: list[Cause] = []
    if not name and not uuid:
        found.append(required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        text = "datasetName and datasetUUID can not be specified simultaneously"
        found.append(invalid_value(path, "resource", text))
    if "/" in name:
        found.append(invalid_value(f"{path}.datasetName", name, "must not contain '/'"))
    return found


def _secret_named(key: str) -> Check:
    def check(source: Mapping[str, Any], path: str) -> list[Cause]:
        found = _needs(key)(source, path)
        secret = source.get("secretRef")
        if secret is not None and not secret.get("name"):
            found.append(required(f"{path}.secretRef.name"))
        return found

    return check


def _quobyte(source: Mapping[str, Any], path: str) -> list[Cause]:
    pairs = "must be a host:port pair or multiple pairs separated by commas"
    registry = source.get("registry", "")
    found: list[Cause] = []
    if not registry:
        found.append(required(f"{path}.registry", pairs))
    elif len(source.get("tenant", "")) >= 65:
        text = "must be a UUID and may not exceed a length of 64 characters"
        found.append(required(f"{path}.tenant", text))
    else:
        bad = [one for one in registry.split(",") if not re.fullmatch(r"([^:\[\]]*|\[[^\[\]]*\]):[^:]*", one)]
        found += [invalid_value(f"{path}.registry", registry, pairs) for _ in bad]
    return found + _needs("volume")(source, path)


def _fc(source: Mapping[str, Any], path: str) -> list[Cause]:
    names, ids, lun = source.get("targetWWNs") or [], source.get("wwids") or [], source.get("lun")
    found: list[Cause] = []
    if not names and not ids:
        found.append(required(f"{path}.targetWWNs", "must specify either targetWWNs or wwids, but not both"))
    if names and ids:
        text = "targetWWNs and wwids can not be specified simultaneously"
        found.append(invalid_text(f"{path}.targetWWNs", go_text(names), text))
    if names and lun is None:
        found.append(required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif names and lun is not None and not 0 <= lun <= 255:
        found.append(invalid_value(f"{path}.lun", lun, in_range(0, 255)))
    return found


def _flex(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = _needs("driver")(source, path)
    for key in source.get("options") or {}:
        namespace = f".{key.split('/', 1)[0].lower()}"
        if namespace.endswith((".kubernetes.io", ".k8s.io")):
            text = "kubernetes.io and k8s.io namespaces are reserved"
            found.append(invalid_value(f"{path}.options[{key}]", key, text))
    return found


def _azure_disk(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = _needs("diskName", "diskURI")(source, path)
    uri, kind = source.get("diskURI", ""), source.get("kind")
    for key, known in (("cachingMode", _CACHING), ("kind", _DISKS)):
        value = source.get(key)
        if value is not None and value not in known:
            found.append(unsupported(f"{path}.{key}", value, known))
    if kind == "Managed" and not uri.startswith("/subscriptions/"):
        found.append(unsupported(f"{path}.diskURI", uri, (_MANAGED_URI,)))
    elif kind not in {None, "Managed"} and not uri.startswith("https://"):
        found.append(unsupported(f"{path}.diskURI", uri, (_BLOB_URI,)))
    return found


def _storageos(source: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    name, namespace = source.get("volumeName", ""), source.get("volumeNamespace", "")
    found += (
        format_causes(f"{path}.volumeName", name, is_dns_label) if name else [required(f"{path}.volumeName")]
    )
    if namespace:
        found += format_causes(f"{path}.volumeNamespace", namespace, is_dns_label)
    secret = source.get("secretRef")
    if secret is not None and not secret.get("name"):
        found.append(required(f"{path}.secretRef.name"))
    return found


REMOTE: dict[str, Check] = {
    "gitRepo": _git_repo,
    "gcePersistentDisk": _disk("pdName"),
    "awsElasticBlockStore": _disk("volumeID"),
    "nfs": _nfs,
    "iscsi": _iscsi,
    "glusterfs": _needs("endpoints", "path"),
    "flocker": _flocker,
    "rbd": _needs("monitors", "image"),
    "cinder": _secret_named("volumeID"),
    "cephfs": _needs("monitors"),
    "quobyte": _quobyte,
    "fc": _fc,
    "flexVolume": _flex,
    "azureFile": _needs("secretName", "shareName"),
    "vsphereVolume": _needs("volumePath"),
    "photonPersistentDisk": _needs("pdID"),
    "portworxVolume": _needs("volumeID"),
    "azureDisk": _azure_disk,
    "storageos": _storageos,
    "scaleIO": _needs("gateway", "system", "volumeName"),
}
