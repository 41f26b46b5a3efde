"""Values as the server prints them in errors: its internal Go structs as JSON, every field present, nil as null.

The internal types have no JSON tags, so a field prints under its Go name, in the order of the declaration. Sources:
kubernetes pkg/apis/{core,policy,rbac,resource,autoscaling}/types.go (1.36); apimachinery pkg/util/diff/diff.go.
"""

import difflib
import json
import re
from typing import Any

__all__ = ["go_diff", "go_value"]

# Each field is its Go name and, after a colon, what it is: nothing for a string, `i` a number, `b` a boolean, `n` what may
# be nil and prints as in JSON (pointers to scalars, slices of scalars, maps, types with tags of their own), `*T` a pointer
# to a struct, `[]T` a slice of structs, `T` a struct inside, `=T` an embedded struct whose fields print inline.
_STRUCTS = {
    "PodDisruptionBudgetSpec": "MinAvailable:n Selector:n MaxUnavailable:n UnhealthyPodEvictionPolicy:n",
    "RoleRef": "APIGroup Kind Name",
    "ScopeSelector": "MatchExpressions:[]ScopedResourceSelectorRequirement",
    "ScopedResourceSelectorRequirement": "ScopeName Operator Values:n",
    "ServicePort": "Name Protocol AppProtocol:n Port:i TargetPort:i NodePort:i",
    "PersistentVolumeClaimSpec": "AccessModes:n Selector:n Resources:VolumeResourceRequirements VolumeName"
    " StorageClassName:n VolumeMode:n DataSource:*TypedLocalObjectReference DataSourceRef:*TypedObjectReference"
    " VolumeAttributesClassName:n",
    "VolumeResourceRequirements": "Limits:n Requests:n",
    "TypedLocalObjectReference": "APIGroup:n Kind Name",
    "TypedObjectReference": "APIGroup:n Kind Name Namespace:n",
    "PersistentVolumeSource": "GCEPersistentDisk:n AWSElasticBlockStore:n HostPath:*HostPathVolumeSource Glusterfs:n"
    " NFS:*NFSVolumeSource RBD:n Quobyte:n ISCSI:n FlexVolume:n Cinder:n CephFS:n FC:n Flocker:n AzureFile:n"
    " VsphereVolume:n AzureDisk:n PhotonPersistentDisk:n PortworxVolume:n ScaleIO:n Local:*LocalVolumeSource StorageOS:n"
    " CSI:*CSIPersistentVolumeSource",
    "HostPathVolumeSource": "Path Type:n",
    "NFSVolumeSource": "Server Path ReadOnly:b",
    "LocalVolumeSource": "Path FSType:n",
    "CSIPersistentVolumeSource": "Driver VolumeHandle ReadOnly:b FSType VolumeAttributes:n"
    " ControllerPublishSecretRef:*SecretReference NodeStageSecretRef:*SecretReference"
    " NodePublishSecretRef:*SecretReference ControllerExpandSecretRef:*SecretReference"
    " NodeExpandSecretRef:*SecretReference",
    "SecretReference": "Name Namespace",
    "ResourceClaimSpec": "Devices:DeviceClaim",
    "DeviceClaim": "Requests:[]DeviceRequest Constraints:[]DeviceConstraint Config:[]DeviceClaimConfiguration",
    "DeviceRequest": "Name Exactly:*ExactDeviceRequest FirstAvailable:[]DeviceSubRequest",
    "ExactDeviceRequest": "DeviceClassName Selectors:[]DeviceSelector AllocationMode Count:i AdminAccess:n"
    " Tolerations:[]DeviceToleration Capacity:*CapacityRequirements",
    "DeviceSubRequest": "Name DeviceClassName Selectors:[]DeviceSelector AllocationMode Count:i"
    " Tolerations:[]DeviceToleration Capacity:*CapacityRequirements",
    "DeviceSelector": "CEL:*CELDeviceSelector",
    "CELDeviceSelector": "Expression",
    "DeviceToleration": "Key Operator Value Effect TolerationSeconds:n",
    "CapacityRequirements": "Requests:n",
    "DeviceConstraint": "Requests:n MatchAttribute:n DistinctAttribute:n",
    "DeviceClaimConfiguration": "Requests:n Opaque:*OpaqueDeviceConfiguration",
    "OpaqueDeviceConfiguration": "Driver Parameters:n",
    "ResourceClaimTemplateSpec": "=ObjectMeta Spec:ResourceClaimSpec",
}
_CAPITALS = re.compile("^[A-Z]+(?=[A-Z][a-z]|$)|^[A-Z]")


def _json_name(name: str) -> str:
    return _CAPITALS.sub(lambda match: match[0].lower(), name, count=1)


# struct -> (Go name, JSON name, what it is)
_FIELDS: dict[str, list[tuple[str, str, str]]] = {
    struct: [
        (name, _json_name(name), what) for name, _, what in (field.partition(":") for field in text.split())
    ]
    for struct, text in _STRUCTS.items()
}
_ZERO: dict[str, Any] = {"": "", "i": 0, "b": False, "n": None}


def go_value(struct: str, value: dict[str, Any] | None) -> Any:
    """A JSON object as its internal Go struct; `status.printed` of it is what the server prints.

    Values of fields that are no structs stay as they are, so quantities must be canonical.
    """
    found: dict[str, Any] = {}
    value = value or {}
    for name, key, what in _FIELDS[struct]:
        if name.startswith("="):
            found.update(value.get("metadata", {}))
        elif what in _ZERO:
            found[name] = value.get(key, _ZERO[what])
        elif what.startswith("*"):
            inner = value.get(key)
            found[name] = None if inner is None else go_value(what[1:], inner)
        elif what.startswith("[]"):
            items = value.get(key)
            found[name] = None if items is None else [go_value(what[2:], item) for item in items]
        else:
            found[name] = go_value(what, value.get(key))
    return found


def go_diff(struct: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """What has changed, as apimachinery's diff.Diff prints it: a unified diff of indented JSON without file names."""
    then, now = (
        json.dumps(go_value(struct, value), indent=1, ensure_ascii=False) for value in (before, after)
    )
    lines = list(
        difflib.unified_diff(
            [f"{line}\n" for line in then.split("\n")], [f"{line}\n" for line in now.split("\n")], n=3
        )
    )
    return "".join(lines[2:])
