"""StorageObjectInUseProtection: volumes and claims stay while somebody uses them.

Source: plugin/pkg/admission/storage/storageobjectinuseprotection/admission.go.
"""

from stoker.lab.api.cluster import Plugin, Review

__all__ = ["STORAGE_PROTECTION"]

_FINALIZERS = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
}


def _mutate(review: Review) -> None:
    finalizer = _FINALIZERS.get(review.kind.resource.qualified)
    if finalizer is None or review.operation != "CREATE" or review.subresource:
        return
    metadata = review.obj["metadata"]
    present = metadata.get("finalizers") or []
    if finalizer not in present:
        metadata["finalizers"] = [*present, finalizer]


STORAGE_PROTECTION = Plugin("StorageObjectInUseProtection", mutate=_mutate)
