"""DefaultStorageClass: claims that name no class get the default one (plugin/pkg/admission/storage/storageclass/setdefault)."""

from collections.abc import Iterator

from stoker.lab.admission.requests import Kept, is_write_of, spec_of
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object

__all__ = ["class_of", "default_storage_class", "newest_default"]

BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
_MARKS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def default_storage_class() -> Plugin:
    """The plugin; it keeps the name of the default class."""
    kept: Kept[str] = Kept("storageclasses.storage.k8s.io", lambda objects: newest_default(objects, _MARKS))

    def mutate(review: Review) -> None:
        if not is_write_of(review, "persistentvolumeclaims", "CREATE"):
            return
        spec = spec_of(review)
        annotations = review.obj["metadata"].get("annotations") or {}
        if BETA_CLASS in annotations or spec.get("storageClassName") is not None:
            return
        name = kept.of(review.cluster)
        if name:
            spec["storageClassName"] = name

    return Plugin("DefaultStorageClass", mutate)


def newest_default(classes: Iterator[Object], marks: tuple[str, ...]) -> str:
    """The class that is marked as default: of several the newest, then the first by name; empty for none."""
    found = [
        item["metadata"]
        for item in classes
        if any((item["metadata"].get("annotations") or {}).get(mark) == "true" for mark in marks)
    ]
    found.sort(key=lambda metadata: str(metadata["name"]))
    found.sort(key=lambda metadata: str(metadata.get("creationTimestamp") or ""), reverse=True)
    return str(found[0]["name"]) if found else ""


def class_of(claim: Object) -> str:
    """The storage class of a claim (component-helpers storage/volume GetPersistentVolumeClaimClass)."""
    annotations = claim["metadata"].get("annotations") or {}
    if BETA_CLASS in annotations:
        return str(annotations[BETA_CLASS])
    return str((claim.get("spec") or {}).get("storageClassName") or "")
