"""Claims and volumes that are in use stay until nobody uses them: the finalizers that admission gave them are taken off then.

Source: kubernetes pkg/controller/volume/pvcprotection/pvc_protection_controller.go, pvprotection/pv_protection_controller.go. A
claim is used by every pod that has a node and names it, also by one that is over; a volume as long as it is bound.
"""

from collections.abc import Iterable, Sequence

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.objects import Object
from stoker.lab.store import Change

__all__ = ["StorageProtection"]

_CLAIM = "kubernetes.io/pvc-protection"
_VOLUME = "kubernetes.io/pv-protection"


class StorageProtection:
    """Targets are claims by namespace and name, and volumes with an empty namespace."""

    name = "storage-protection"
    shelves: Sequence[str] = ("persistentvolumeclaims", "persistentvolumes", "pods")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._claims = caches("v1", "PersistentVolumeClaim")
        self._volumes = caches("v1", "PersistentVolume")
        self._caches = caches

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource != "pods":
            return () if change.is_delete else [(change.key.namespace, change.key.name)]
        pods = self._caches.now_and_before(change)
        return {(change.key.namespace, name) for pod in pods for name in _named(pod)}

    def reconcile(self, target: Target) -> float | None:
        namespace, name = target
        if namespace:
            claim = self._claims.get(namespace, name)
            if claim is not None and not self._is_used(namespace, name):
                self._let_go(claim, _CLAIM)
        else:
            volume = self._volumes.get("", name)
            if volume is not None and (volume.get("status") or {}).get("phase") != "Bound":
                self._let_go(volume, _VOLUME)
        return None

    def _is_used(self, namespace: str, name: str) -> bool:
        return any(
            pod["spec"].get("nodeName") and name in _named(pod) for pod in self._caches.pods.all(namespace)
        )

    def _let_go(self, obj: Object, finalizer: str) -> None:
        metadata = obj["metadata"]
        if not metadata.get("deletionTimestamp") or finalizer not in (metadata.get("finalizers") or ()):
            return
        fresh = self._local.get(
            obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]
        )
        if fresh is None or fresh["metadata"]["uid"] != metadata["uid"]:
            return
        held = fresh["metadata"].get("finalizers") or []
        fresh["metadata"]["finalizers"] = [one for one in held if one != finalizer]
        self._local.update(fresh)


def _named(pod: Object) -> set[str]:
    """The claims that a pod names, its own ephemeral ones among them."""
    found = set()
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            found.add(volume["persistentVolumeClaim"]["claimName"])
        elif volume.get("ephemeral"):
            found.add(f"{pod['metadata']['name']}-{volume['name']}")
    return found
