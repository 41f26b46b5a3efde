"""Rules of the claims that pods and StatefulSets have made for them.

Source: pkg/apis/core/validation/validation.go (ValidatePersistentVolumeClaimSpec, ValidatePersistentVolumeClaimTemplate).
"""

from collections.abc import Mapping
from typing import Any

from stoker.lab.kinds.metadata import (
    annotations_causes,
    format_causes,
    is_dns_label,
    is_dns_subdomain,
    label_selector_causes,
    labels_causes,
)
from stoker.lab.kinds.pod_resources import quantity_causes
from stoker.lab.kinds.quantity_text import nano
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["claim_spec_causes", "claim_template_causes"]

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_META = [
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
]


def claim_template_causes(template: Mapping[str, Any], path: str) -> list[Cause]:
    meta = template.get("metadata") or {}
    found = annotations_causes(meta.get("annotations"), f"{path}.metadata.annotations")
    found += labels_causes(meta.get("labels"), f"{path}.metadata.labels")
    names = {"uid": "uID"}  # the Go name with a small first letter
    found += [
        forbidden_field(f"{path}.metadata.{names.get(key, key)}", "cannot be set")
        for key in _META
        if meta.get(key)
    ]
    return found + claim_spec_causes(template.get("spec") or {}, f"{path}.spec")


def claim_spec_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    modes = spec.get("accessModes") or ()
    found: list[Cause] = []
    if not modes:
        found.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    found += label_selector_causes(spec.get("selector"), f"{path}.selector")
    found += [unsupported(f"{path}.accessModes", one, _MODES) for one in modes if one not in _MODES]
    if "ReadWriteOncePod" in modes and any(one in _MODES[:3] for one in modes):
        text = "may not use ReadWriteOncePod with other access modes"
        found.append(forbidden_field(f"{path}.accessModes", text))
    at, size = (
        f"{path}.resources[storage]",
        ((spec.get("resources") or {}).get("requests") or {}).get("storage"),
    )
    if size is None:
        found.append(required(at))
    elif nano(size) <= 0:
        found.append(invalid_value(at, size, "must be greater than zero"))
    else:
        found += quantity_causes(at, "storage", size)
    if spec.get("storageClassName"):
        found += format_causes(f"{path}.storageClassName", spec["storageClassName"], is_dns_subdomain)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in {"Block", "Filesystem"}:
        found.append(unsupported(f"{path}.volumeMode", mode, ("Block", "Filesystem")))
    return found + _source_causes(spec, path)


def _source_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    found: list[Cause] = []
    for key, value in (("dataSource", source), ("dataSourceRef", reference)):
        if value is not None:
            found += _reference_causes(value, f"{path}.{key}")
    namespace = (reference or {}).get("namespace")
    if source is not None and reference is not None:
        # upstream prints the path object, which has nothing but private fields
        if namespace:
            text = "may not be specified when dataSourceRef.namespace is specified"
            found.append(Cause("FieldValueInvalid", f"Invalid value: {{}}: {text}", path))
        elif any(source.get(key) != reference.get(key) for key in ("apiGroup", "kind", "name")):
            text = "must match dataSourceRef"
            found.append(Cause("FieldValueInvalid", f"Invalid value: {{}}: {text}", path))
    if spec.get("volumeAttributesClassName"):
        name = spec["volumeAttributesClassName"]
        found += format_causes(f"{path}.volumeAttributesClassName", name, is_dns_subdomain)
    return found


def _reference_causes(source: Mapping[str, Any], path: str) -> list[Cause]:
    found = [required(f"{path}.{key}") for key in ("name", "kind") if not source.get(key)]
    group, kind = source.get("apiGroup") or "", source.get("kind", "")
    if not group and kind != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        found.append(invalid_value(path, kind, text))
    if group:
        found += format_causes(f"{path}.apiGroup", group, is_dns_subdomain)
    if source.get("namespace"):
        found += format_causes(f"{path}.namespace", source["namespace"], is_dns_label)
    return found
