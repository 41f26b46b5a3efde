"""StorageClass and the objects that CSI drivers write (pkg/apis/storage/validation/validation.go, v1/defaults.go)."""

from typing import Any

from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.metadata import is_dns_subdomain, is_qualified_name, label_selector_causes
from stoker.lab.kinds.quotas import amount
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.volumes import csi_driver_name
from stoker.lab.status import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    too_long,
    unsupported,
)

__all__ = ["CSI_DRIVER", "CSI_NODE", "CSI_STORAGE_CAPACITY", "STORAGE_CLASS", "VOLUME_ATTACHMENT"]

_RECLAIM = ("Delete", "Retain")
_BINDING = ("Immediate", "WaitForFirstConsumer")
_IMMUTABLE = "field is immutable"
_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Persistent", "Ephemeral")


def _changed(new: Object, old: Object, name: str, path: str = "") -> list[Cause]:
    if new.get(name) == old.get(name):
        return []
    return [invalid_value(path or name, new.get(name), _IMMUTABLE)]


# --- StorageClass -------------------------------------------------------------------------------------------------


def _default_class(found: Object) -> None:
    found.setdefault("reclaimPolicy", "Delete")
    found.setdefault("volumeBindingMode", "Immediate")


def _validate_class(found: Object) -> list[Cause]:
    provisioner, parameters = found.get("provisioner", ""), found.get("parameters", {})
    causes: list[Cause] = []
    if not provisioner:
        causes.append(required("provisioner"))
    else:
        causes += each("provisioner", provisioner.lower(), is_qualified_name)
    if len(parameters) > 512:
        causes.append(too_long("parameters", 512))
    elif sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > 256 * 1024:
        causes.append(too_long("parameters", 256 * 1024))
    policy = found.get("reclaimPolicy")
    if policy and policy not in _RECLAIM:
        causes.append(unsupported("reclaimPolicy", policy, _RECLAIM))
    mode = found.get("volumeBindingMode")
    if mode is None:
        causes.append(required("volumeBindingMode"))
    elif mode not in _BINDING:
        causes.append(unsupported("volumeBindingMode", mode, _BINDING))
    return causes + _topology_causes(found.get("allowedTopologies") or ())


def _topology_causes(topologies: Any) -> list[Cause]:
    causes: list[Cause] = []
    for index, term in enumerate(topologies):
        seen: set[str] = set()
        for at, expression in enumerate(term.get("matchLabelExpressions") or ()):
            path = f"allowedTopologies[{index}].matchLabelExpressions[{at}]"
            values, key = expression.get("values") or [], expression.get("key") or ""
            if not values:
                causes.append(required(f"{path}.values"))
            for position, value in enumerate(values):
                if value in values[:position]:
                    causes.append(duplicate(f"{path}.values[{position}]", value))
            causes += each(f"{path}.key", key, is_qualified_name)
            if key in seen:
                causes.append(duplicate(f"{path}.key", key))
            seen.add(key)
    return causes


def _validate_class_update(new: Object, old: Object) -> list[Cause]:
    fields = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
    return [cause for name in fields for cause in _changed(new, old, name)]


STORAGE_CLASS = Strategy(
    default=_default_class, validate=_validate_class, validate_update=_validate_class_update
)


# --- CSIDriver ----------------------------------------------------------------------------------------------------


def _default_driver(found: Object) -> None:
    spec = found.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    for name in ("podInfoOnMount", "storageCapacity", "requiresRepublish", "seLinuxMount"):
        spec.setdefault(name, False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _count_driver(new: Object, old: Object) -> None:
    """Upstream counts changes of the spec but does not begin at 1, so the pipeline's counting does not fit."""
    if new.get("spec") != old.get("spec"):
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _validate_driver(found: Object) -> list[Cause]:
    spec = found.get("spec", {})
    policy = spec.get("fsGroupPolicy", "File")
    causes = []
    if policy not in _GROUP_POLICIES:
        causes.append(unsupported("spec.fsGroupPolicy", policy, _GROUP_POLICIES))
    causes += _token_causes(spec.get("tokenRequests", ()))
    causes += [
        unsupported("spec.volumeLifecycleModes", mode, _LIFECYCLES)
        for mode in spec.get("volumeLifecycleModes", ())
        if mode not in _LIFECYCLES
    ]
    period = spec.get("nodeAllocatableUpdatePeriodSeconds", 10)
    if period < 10:
        text = "must be greater than or equal to 10 seconds"
        causes.append(invalid_value("spec.nodeAllocatableUpdatePeriodSeconds", period, text))
    if "serviceAccountTokenInSecrets" in spec and not spec.get("tokenRequests"):
        text = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        value = spec["serviceAccountTokenInSecrets"]
        causes.append(invalid_value("spec.serviceAccountTokenInSecrets", value, text))
    return causes


def _token_causes(requests: Any) -> list[Cause]:
    causes: list[Cause] = []
    audiences: set[str] = set()
    for index, request in enumerate(requests):
        path, audience = f"spec.tokenRequests[{index}]", request.get("audience", "")
        if audience in audiences:
            causes.append(duplicate(f"{path}.audience", audience))
            continue
        audiences.add(audience)
        seconds = request.get("expirationSeconds", 600)
        if seconds < 600:
            text = "may not specify a duration less than 10 minutes"
            causes.append(invalid_value(f"{path}.expirationSeconds", seconds, text))
        if seconds > 1 << 32:
            text = "may not specify a duration larger than 2^32 seconds"
            causes.append(invalid_value(f"{path}.expirationSeconds", seconds, text))
    return causes


def _validate_driver_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new.get("spec", {}), old.get("spec", {})
    causes = _changed(spec, before, "attachRequired", "spec.attachedRequired")
    return causes + _changed(spec, before, "volumeLifecycleModes", "spec.volumeLifecycleModes")


CSI_DRIVER = Strategy(
    default=_default_driver,
    validate=_validate_driver,
    prepare_update=_count_driver,
    validate_update=_validate_driver_update,
    allows_unconditional_update=False,
)


# --- CSINode, CSIStorageCapacity, VolumeAttachment ----------------------------------------------------------------


def _validate_node(found: Object) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, driver in enumerate(found.get("spec", {}).get("drivers") or ()):
        path, name = f"spec.drivers[{index}]", driver.get("name", "")
        causes += csi_driver_name(name, f"{path}.name")
        identity = driver.get("nodeID", "")
        if not identity:
            causes.append(required(f"{path}.nodeID"))
        if len(identity) > 256:
            causes.append(invalid_value(f"{path}.nodeID", identity, "must be 256 characters or less"))
        count = driver.get("allocatable", {}).get("count", 0)
        if count < 0:
            text = "must be greater than or equal to 0"
            causes.append(invalid_value(f"{path}.allocatable.count", count, text))
        if name in seen:
            causes.append(duplicate(f"{path}.name", name))
        seen.add(name)
        for key in driver.get("topologyKeys") or ():
            causes += each(path, key, is_qualified_name)
    return causes


CSI_NODE = Strategy(validate=_validate_node, allows_unconditional_update=False)


def _validate_capacity(found: Object) -> list[Cause]:
    causes = label_selector_causes(found.get("nodeTopology"), "nodeTopology")
    causes += each("storageClassName", found.get("storageClassName", ""), is_dns_subdomain)
    size = found.get("capacity", "0")
    if amount(size) < 0:
        causes.append(invalid_value("capacity", size, "must be greater than or equal to 0"))
    return causes


def _validate_capacity_update(new: Object, old: Object) -> list[Cause]:
    return _changed(new, old, "nodeTopology") + _changed(new, old, "storageClassName")


CSI_STORAGE_CAPACITY = Strategy(
    validate=_validate_capacity,
    validate_update=_validate_capacity_update,
    allows_unconditional_update=False,
)


def _prepare_attachment(found: Object) -> None:
    found["status"] = {"attached": False}


def _keep_status(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {"attached": False})


def _keep_spec(new: Object, old: Object) -> None:
    new["spec"] = old["spec"]


def _validate_attachment(found: Object) -> list[Cause]:
    spec = found.get("spec", {})
    causes = csi_driver_name(spec.get("attacher", ""), "spec.attacher")
    source = spec.get("source", {})
    names = ("inlineVolumeSpec", "persistentVolumeName")
    given = [name for name in names if name in source]
    text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    if not given:
        causes.append(required("spec.source", text))
    elif len(given) > 1:
        causes.append(forbidden_field("spec.source", text))
    return causes + each("spec.nodeName", spec.get("nodeName", ""), is_dns_subdomain)


def _validate_attachment_update(new: Object, old: Object) -> list[Cause]:
    return _changed(new, old, "spec")


VOLUME_ATTACHMENT = Strategy(
    prepare_create=_prepare_attachment,
    prepare_update=_keep_status,
    prepare_status=_keep_spec,
    validate=_validate_attachment,
    validate_update=_validate_attachment_update,
    allows_unconditional_update=False,
)
