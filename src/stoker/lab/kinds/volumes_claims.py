"""PersistentVolumeClaim (pkg/apis/core/validation/validation.go, pkg/registry/core/persistentvolumeclaim/strategy.go)."""

from decimal import ROUND_CEILING

from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.config_golang import go_diff
from stoker.lab.kinds.metadata import is_dns_label, is_dns_subdomain, label_selector_causes
from stoker.lab.kinds.quotas import amount
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.volumes import VOLUME_MODES, access_mode_causes
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["CLAIM", "claim_spec_causes", "default_claim_spec"]

_CLASS = "volume.beta.kubernetes.io/storage-class"
_IMMUTABLE = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def default_claim_spec(spec: Object) -> None:
    """``SetDefaults_PersistentVolumeClaimSpec``: claims in templates and ephemeral volumes have it too."""
    spec.setdefault("volumeMode", "Filesystem")


def _default(claim: Object) -> None:
    spec = claim.setdefault("spec", {})
    spec.setdefault("resources", {})
    default_claim_spec(spec)
    claim.setdefault("status", {}).setdefault("phase", "Pending")


def _prepare_create(claim: Object) -> None:
    claim["status"] = {"phase": "Pending"}
    _normalize_sources(claim["spec"], {})


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old["status"]
    _normalize_sources(new["spec"], old["spec"])


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old["spec"]


def _normalize_sources(spec: Object, before: Object) -> None:
    """``dataSource`` and ``dataSourceRef`` say the same; what the older field cannot hold is dropped from it."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if reference is not None and reference.get("namespace") and "dataSourceRef" not in before:
        del spec["dataSourceRef"]  # CrossNamespaceVolumeDataSource is off
        reference = None
    if source is not None and reference is None and not {"dataSource", "dataSourceRef"} & set(before):
        kind = (source.get("apiGroup", ""), source.get("kind"))
        if kind not in {("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot")}:
            del spec["dataSource"]
            return
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = {key: value for key, value in reference.items() if key != "namespace"}


def claim_spec_causes(spec: Object, path: str) -> list[Cause]:
    """``ValidatePersistentVolumeClaimSpec``."""
    modes = spec.get("accessModes", [])
    causes = [] if modes else [required(f"{path}.accessModes", "at least 1 access mode is required")]
    causes += label_selector_causes(spec.get("selector"), f"{path}.selector")
    causes += access_mode_causes(modes, f"{path}.accessModes")
    causes += _size_causes(spec, f"{path}.resources[storage]")
    if spec.get("storageClassName"):
        causes += each(f"{path}.storageClassName", spec["storageClassName"], is_dns_subdomain)
    if spec.get("volumeMode", "Block") not in VOLUME_MODES:
        causes.append(unsupported(f"{path}.volumeMode", spec["volumeMode"], VOLUME_MODES))
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for name, found in (("dataSource", source), ("dataSourceRef", reference)):
        if found is not None:
            causes += _source_causes(found, f"{path}.{name}")
    if reference is not None and reference.get("namespace"):
        if source is not None:
            text = "may not be specified when dataSourceRef.namespace is specified"
            causes.append(invalid_value(path, {}, text))
    elif source is not None and reference is not None and source != reference:
        causes.append(invalid_value(path, {}, "must match dataSourceRef"))
    if spec.get("volumeAttributesClassName"):
        name = spec["volumeAttributesClassName"]
        causes += each(f"{path}.volumeAttributesClassName", name, is_dns_subdomain)
    return causes


def _size_causes(spec: Object, path: str) -> list[Cause]:
    size = spec.get("resources", {}).get("requests", {}).get("storage")
    if size is None:
        return [required(path)]
    return [] if amount(size) > 0 else [invalid_value(path, size, "must be greater than zero")]


def _source_causes(source: Object, path: str) -> list[Cause]:
    causes = [required(f"{path}.{name}") for name in ("name", "kind") if not source.get(name)]
    group = source.get("apiGroup", "")
    if not group and source.get("kind") != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        causes.append(invalid_value(path, source.get("kind", ""), text))
    if group:
        causes += each(f"{path}.apiGroup", group, is_dns_subdomain)
    if source.get("namespace"):
        causes += each(f"{path}.namespace", source["namespace"], is_dns_label)
    return causes


def _validate(claim: Object) -> list[Cause]:
    return claim_spec_causes(claim.get("spec", {}), "spec")


def _validate_update(new: Object, old: Object) -> list[Cause]:
    spec, before = new["spec"], old["spec"]
    causes = []
    comparable = _comparable(new, old)
    annotation = [one["metadata"].get("annotations", {}).get(_CLASS, "") for one in (new, old)]
    if annotation[0] != annotation[1] and not _moves_class(new, old):
        causes.append(invalid_value(f"metadata.annotations.{_CLASS}", annotation[0], "field is immutable"))
    if comparable[0] != comparable[1]:
        text = f"{_IMMUTABLE}\n{go_diff('PersistentVolumeClaimSpec', *comparable)}"
        causes.append(forbidden_field("spec", text))
    sizes = [
        amount(one.get("resources", {}).get("requests", {}).get("storage", "0")) for one in (spec, before)
    ]
    held = amount(old.get("status", {}).get("capacity", {}).get("storage", "0"))
    if sizes[0] < sizes[1] and sizes[0] <= held:
        text = "field can not be less than status.capacity"
        causes.append(forbidden_field("spec.resources.requests.storage", text))
    if spec.get("volumeMode") != before.get("volumeMode"):
        causes.append(invalid_value("volumeMode", spec.get("volumeMode"), "field is immutable"))
    return causes + _attributes_class_causes(spec, before, old.get("status", {}))


def _moves_class(new: Object, old: Object) -> bool:
    """``validateStorageClassUpgradeFromAnnotation``: the class moves from the annotation of old to its field."""
    was = old["metadata"].get("annotations", {}).get(_CLASS)
    return (
        was is not None
        and "storageClassName" not in old["spec"]
        and new["spec"].get("storageClassName") == was
        and new["metadata"].get("annotations", {}).get(_CLASS, was) == was
    )


def _comparable(new: Object, old: Object) -> tuple[Object, Object]:
    """Both specs, old first, with what may change made alike."""
    spec, before = dict(new["spec"]), dict(old["spec"])
    if "volumeName" not in before and "volumeName" in spec:
        before["volumeName"] = spec["volumeName"]
    if "storageClassName" not in before and "storageClassName" in spec:
        was = old["metadata"].get("annotations", {}).get(_CLASS)
        if was is None or was == spec["storageClassName"]:
            del spec["storageClassName"]
    if new.get("status", {}).get("phase") == "Bound":
        spec.pop("volumeAttributesClassName", None)
        if "volumeAttributesClassName" in before:
            spec["volumeAttributesClassName"] = before["volumeAttributesClassName"]
        size = before.get("resources", {}).get("requests", {}).get("storage")
        requests = spec.get("resources", {}).get("requests")
        if requests is not None and size is not None:
            spec["resources"] = {**spec["resources"], "requests": {**requests, "storage": size}}
    return before, spec


def _attributes_class_causes(spec: Object, before: Object, status: Object) -> list[Cause]:
    name = "volumeAttributesClassName"
    if spec.get(name) == before.get(name) or "currentVolumeAttributesClassName" not in status:
        return []
    if spec.get(name):
        return []
    what = "empty string" if name in spec else "nil"
    text = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
    return [forbidden_field(f"spec.{name}", text)]


def _warnings(claim: Object) -> list[str]:
    found = []
    if _CLASS in claim["metadata"].get("annotations", {}):
        path = f"metadata.annotations[{_CLASS}]"
        found.append(f'{path}: deprecated since v1.8; use "storageClassName" attribute instead')
    resources = claim.get("spec", {}).get("resources", {})
    for field in ("requests", "limits"):
        size = resources.get(field, {}).get("storage")
        if size is not None and (amount(size) * 1000).to_integral_value(ROUND_CEILING) % 1000:
            text = f'fractional byte value "{size}" is invalid, must be an integer'
            found.append(f"spec.resources.{field}[storage]: {text}")
    return found


CLAIM = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    validate_update=_validate_update,
    warnings=_warnings,
)
