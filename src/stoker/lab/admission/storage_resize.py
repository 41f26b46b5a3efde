"""PersistentVolumeClaimResize: only bound claims of classes that allow it grow.

Source: plugin/pkg/admission/storage/persistentvolume/resize/admission.go.
"""

from stoker.lab.admission.requests import is_write_of, refusal
from stoker.lab.admission.storage_classes import class_of
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.twin.admission.amounts import NOTHING, Amount, amounts_of

__all__ = ["STORAGE_RESIZE"]


def _validate(review: Review) -> None:
    old = review.old
    if old is None or not is_write_of(review, "persistentvolumeclaims", "UPDATE"):
        return
    if _size(review.obj) <= _size(old):
        return
    if (old.get("status") or {}).get("phase") != "Bound":
        raise refusal(review, "Only bound persistent volume claims can be expanded")
    name = class_of(review.obj)
    found = review.cluster.get("storageclasses.storage.k8s.io", "", name) if name else None
    if found is None or name != class_of(old) or not found.get("allowVolumeExpansion"):
        raise refusal(
            review,
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        )


def _size(claim: Object) -> Amount:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests")
    return amounts_of(requests).get("storage", NOTHING)


STORAGE_RESIZE = Plugin("PersistentVolumeClaimResize", validate=_validate)
