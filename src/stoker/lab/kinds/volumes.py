"""PersistentVolume (pkg/apis/core/validation/validation.go, pkg/registry/core/persistentvolume/strategy.go).

Of the twenty kinds of source only those that clusters of today use are looked into: hostPath, local, nfs, csi. Others are
accepted as they are.
"""

import posixpath

from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.config_golang import go_diff
from stoker.lab.kinds.metadata import is_dns_label, is_dns_subdomain
from stoker.lab.kinds.pod_scheduling import node_requirement_causes
from stoker.lab.kinds.quotas import amount
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, too_long, unsupported

__all__ = ["ACCESS_MODES", "PERSISTENT_VOLUME", "VOLUME_MODES", "access_mode_causes", "csi_driver_name"]

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
_RECLAIM = ("Delete", "Recycle", "Retain")
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_SOURCES = (
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte", "cephfs",
    "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume",
    "azureDisk", "scaleIO", "local", "storageos", "csi",
)  # fmt: skip
_DEPRECATED = {
    "cephfs": ("cephfs", "v1.28", "v1.31+"),
    "photonPersistentDisk": ("photonPersistentDisk", "v1.11", "v1.16+"),
    "scaleIO": ("scaleIO", "v1.16", "v1.22+"),
    "storageos": ("storageOS", "v1.22", "v1.25+"),
    "glusterfs": ("glusterfs", "v1.25", "v1.26+"),
    "rbd": ("rbd", "v1.28", "v1.31+"),
}


def _default(volume: Object) -> None:
    volume.setdefault("status", {}).setdefault("phase", "Pending")
    spec = volume.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")


def _prepare_create(volume: Object) -> None:
    volume["status"] = {"phase": "Pending"}
    created = volume["metadata"].get("creationTimestamp")
    if created:  # the clock is the pipeline's
        volume["status"]["lastPhaseTransitionTime"] = created


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old["status"]


def _prepare_status(new: Object, old: Object) -> None:
    """A new phase without a time of its own is dated by who writes it: `lastPhaseTransitionTime` is left to the pipeline."""
    new["spec"] = old["spec"]
    status, before = new.setdefault("status", {}), old.get("status", {})
    if status.get("phase") == before.get("phase") and "lastPhaseTransitionTime" in before:
        status.setdefault("lastPhaseTransitionTime", before["lastPhaseTransitionTime"])


def access_mode_causes(modes: list[str], path: str) -> list[Cause]:
    causes = [unsupported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    known = {mode for mode in modes if mode in ACCESS_MODES}
    if "ReadWriteOncePod" in known and len(known) > 1:
        causes.append(forbidden_field(path, "may not use ReadWriteOncePod with other access modes"))
    return causes


def csi_driver_name(name: str, path: str) -> list[Cause]:
    """``ValidateCSIDriverName``."""
    if not name:
        return [required(path)]
    causes = [too_long(path, 63)] if len(name) > 63 else []
    return causes + [invalid_value(path, name, message) for message in is_dns_subdomain(name.lower())]


def _validate(volume: Object) -> list[Cause]:
    spec = volume.get("spec", {})
    modes = spec.get("accessModes", [])
    causes = [] if modes else [required("spec.accessModes")]
    causes += access_mode_causes(modes, "spec.accessModes")
    causes += _capacity_causes(spec.get("capacity", {}))
    policy = spec.get("persistentVolumeReclaimPolicy", "")
    if policy and policy not in _RECLAIM:
        causes.append(unsupported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM))
    if "nodeAffinity" in spec:
        causes += _affinity_causes(spec["nodeAffinity"], "spec.nodeAffinity.required")
    causes += _source_causes(spec)
    if spec.get("storageClassName"):
        causes += each("spec.storageClassName", spec["storageClassName"], is_dns_subdomain)
    if spec.get("volumeMode", "Block") not in VOLUME_MODES:
        causes.append(unsupported("spec.volumeMode", spec["volumeMode"], VOLUME_MODES))
    return causes + _attributes_class_causes(spec)


def _capacity_causes(capacity: dict[str, str]) -> list[Cause]:
    path = "spec.capacity"
    causes = [] if capacity else [required(path)]
    if "storage" not in capacity or len(capacity) > 1:
        causes.append(unsupported(path, capacity or None, ("storage",)))
    return causes + [
        invalid_value(f"{path}[{name}]", capacity[name], "must be greater than zero")
        for name in sorted(capacity)
        if amount(capacity[name]) <= 0
    ]


def _attributes_class_causes(spec: Object) -> list[Cause]:
    path, name = "spec.volumeAttributesClassName", spec.get("volumeAttributesClassName")
    if name is None:
        return []
    causes = each(path, name, is_dns_subdomain) if name else [required(path, "an empty string is disallowed")]
    if "csi" not in spec:
        causes.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
    return causes


def _affinity_causes(affinity: Object, path: str) -> list[Cause]:
    if "required" not in affinity:
        return [required(path, "must specify required node constraints")]
    terms = affinity["required"].get("nodeSelectorTerms", ())
    if not terms:
        return [required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    causes: list[Cause] = []
    for index, term in enumerate(terms):
        for at, expression in enumerate(term.get("matchExpressions", ())):
            where = f"{path}.nodeSelectorTerms[{index}].matchExpressions[{at}]"
            causes += node_requirement_causes(expression, where, are_values_checked=True)
    return causes


def _source_causes(spec: Object) -> list[Cause]:
    given = [name for name in _SOURCES if name in spec]
    if not given:
        return [required("spec", "must specify a volume type")]
    first, *others = given
    path = f"spec.{first}"
    causes: list[Cause] = []
    if first == "hostPath":
        causes = _host_path_causes(spec["hostPath"], path)
    elif first == "nfs":
        causes = _nfs_causes(spec["nfs"], path)
    elif first == "local":
        causes = _path_causes(spec["local"].get("path", ""), f"{path}.path")
        if "nodeAffinity" not in spec:
            causes.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    elif first == "csi":
        causes = _csi_causes(spec["csi"], path)
    causes += [forbidden_field(f"spec.{name}", "may not specify more than 1 volume type") for name in others]
    root = posixpath.normpath(spec.get("hostPath", {}).get("path", "") or ".") == "/"
    if root and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        text = "may not be 'recycle' for a hostPath mount of '/'"
        causes.append(forbidden_field("spec.persistentVolumeReclaimPolicy", text))
    return causes


def _path_causes(value: str, path: str) -> list[Cause]:
    if not value:
        return [required(path)]
    return [invalid_value(path, value, "must not contain '..'")] if ".." in value.split("/") else []


def _host_path_causes(source: Object, path: str) -> list[Cause]:
    causes = _path_causes(source.get("path", ""), f"{path}.path")
    if source.get("path") and source.get("type", "") not in _HOST_PATH_TYPES:
        causes.append(unsupported(f"{path}.type", source["type"], _HOST_PATH_TYPES))
    return causes


def _nfs_causes(source: Object, path: str) -> list[Cause]:
    causes = [required(f"{path}.{name}") for name in ("server", "path") if not source.get(name)]
    if not source.get("path", "").startswith("/"):
        causes.append(invalid_value(f"{path}.path", source.get("path", ""), "must be an absolute path"))
    return causes


def _csi_causes(source: Object, path: str) -> list[Cause]:
    causes = csi_driver_name(source.get("driver", ""), f"{path}.driver")
    if not source.get("volumeHandle"):
        causes.append(required(f"{path}.volumeHandle"))
    for name in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        field = f"{name}SecretRef"
        for part, check in (
            (("name", is_dns_subdomain), ("namespace", is_dns_label)) if field in source else ()
        ):
            value = source[field].get(part, "")
            where = f"{path}.{field}.{part}"
            causes += each(where, value, check) if value else [required(where)]
    return causes


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new.get("spec", {}), old.get("spec", {})
    sources = [{name: one[name] for name in _SOURCES if name in one} for one in (before, spec)]
    if "csi" in sources[0] and "csi" in sources[1] and "controllerExpandSecretRef" not in sources[0]["csi"]:
        kept = {key: value for key, value in spec["csi"].items() if key != "controllerExpandSecretRef"}
        sources[1] = {**sources[1], "csi": kept}
    causes = []
    if sources[0] != sources[1]:
        shown = go_diff("PersistentVolumeSource", *sources)
        text = f"spec.persistentvolumesource is immutable after creation\n{shown}"
        causes.append(forbidden_field("spec.persistentvolumesource", text))
    if spec.get("volumeMode") != before.get("volumeMode"):
        causes.append(invalid_value("volumeMode", spec.get("volumeMode"), "field is immutable"))
    if "nodeAffinity" in before and spec.get("nodeAffinity") != before["nodeAffinity"]:
        text = "field is immutable, except for updating from beta label to GA"
        causes.append(invalid_value("nodeAffinity", spec.get("nodeAffinity"), text))
    name = "volumeAttributesClassName"
    if name in before and name not in spec:
        causes.append(forbidden_field(f"spec.{name}", "update from non-nil value to nil is forbidden"))
    return causes


def _warnings(volume: Object) -> list[str]:
    spec = volume.get("spec", {})
    found = []
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach"
            " is to use dynamic provisioning."
        )
    found += [
        f"spec.{shown}: deprecated in {since}, non-functional in {gone}"
        for name, (shown, since, gone) in _DEPRECATED.items()
        if name in spec
    ]
    return found


PERSISTENT_VOLUME = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    warnings=_warnings,
)
