"""Namespaces: pkg/registry/core/namespace/strategy.go, pkg/apis/core (defaults, validation), 1.36."""

from collections.abc import Iterable

from stoker.lab.kinds.metadata import (
    format_causes,
    is_dns_label,
    is_qualified_name,
    object_meta_causes,
    object_meta_update_causes,
)
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.kinds.templates import keep_status, on_create, only_status
from stoker.lab.status import Cause, invalid_value

__all__ = ["NAMESPACE", "finalize_causes", "namespace_status_causes", "prepare_finalize"]

_NAME_LABEL = "kubernetes.io/metadata.name"
_FINALIZER = "kubernetes"
_STANDARD = frozenset({_FINALIZER, "orphan", "foregroundDeletion"})


def _default(obj: Object) -> None:
    meta = obj.setdefault("metadata", {})
    name = meta.get("name")
    if name:  # one whose name is still to be generated gets the label when it has the name
        labels = meta.get("labels") or {}
        if labels.get(_NAME_LABEL) != name:
            meta["labels"] = dict(sorted({**labels, _NAME_LABEL: name}.items()))
    obj.setdefault("spec", {})
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Active"


def _prepare_create(obj: Object) -> None:
    obj["status"] = {"phase": "Active"}
    spec = obj.setdefault("spec", {})
    finalizers = spec.get("finalizers") or []
    if _FINALIZER not in finalizers:
        spec["finalizers"] = [*finalizers, _FINALIZER]
    _default(obj)


def _prepare_update(new: Object, old: Object) -> None:
    """Only the subresource finalize writes the finalizers of the spec."""
    spec, before = new.setdefault("spec", {}), old.get("spec") or {}
    spec.pop("finalizers", None)
    if "finalizers" in before:
        spec["finalizers"] = before["finalizers"]
    keep_status(new, old)
    _default(new)


def _finalizers_causes(finalizers: Iterable[str], paths: Iterable[str]) -> list[Cause]:
    found: list[Cause] = []
    for name, path in zip(finalizers, paths, strict=True):
        found += format_causes(path, name, is_qualified_name)
        if "/" not in name and name not in _STANDARD:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            found.append(invalid_value(path, name, text))
    return found


def _causes(obj: Object) -> list[Cause]:
    finalizers = (obj.get("spec") or {}).get("finalizers") or []
    found = object_meta_causes(obj, False, is_dns_label)
    return found + _finalizers_causes(finalizers, ["spec.finalizers"] * len(finalizers))


def _update_causes(new: Object, old: Object) -> list[Cause]:
    return _causes(new) + object_meta_update_causes(new, old)


def prepare_finalize(new: Object, old: Object) -> None:
    """The subresource finalize writes no status."""
    keep_status(new, old)


def finalize_causes(new: Object, old: Object) -> list[Cause]:
    """ValidateNamespaceFinalizeUpdate."""
    finalizers = (new.get("spec") or {}).get("finalizers") or []
    paths = [f"spec.finalizers[{index}]" for index in range(len(finalizers))]
    return object_meta_update_causes(new, old) + _finalizers_causes(finalizers, paths)


def namespace_status_causes(new: Object, old: Object) -> list[Cause]:
    """ValidateNamespaceStatusUpdate."""
    found = object_meta_update_causes(new, old)
    phase = (new.get("status") or {}).get("phase", "")
    is_going = bool((new.get("metadata") or {}).get("deletionTimestamp"))
    if is_going and phase != "Terminating":
        text = "may only be 'Terminating' if `deletionTimestamp` is not empty"
        found.append(invalid_value("status.Phase", phase, text))
    elif not is_going and phase != "Active":
        text = "may only be 'Active' if `deletionTimestamp` is empty"
        found.append(invalid_value("status.Phase", phase, text))
    return found


NAMESPACE = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=only_status,
    validate=on_create(_causes),
    validate_update=_update_causes,
)
