"""Volumes for claims: what fits is bound, what a StorageClass promises is made.

Sources: kubernetes pkg/controller/volume/persistentvolume/pv_controller.go (syncClaim, syncVolume, bind), the CSI
external-provisioner (lib-controller's provisionClaimOperation, deleteVolumeOperation). Every provisioner but
``kubernetes.io/no-provisioner`` is taken to be installed: volumes are there at once.
"""

from collections.abc import Iterable, Sequence

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object
from stoker.lab.status import ApiError
from stoker.lab.store import Change
from stoker.twin.scheduler.matching import class_of, matching_volume, waits_for_pod

__all__ = ["Volumes"]

Place = tuple[str, str]

_COMPONENT = "persistentvolume-controller"
_DONE = "pv.kubernetes.io/bind-completed"
_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
_MADE_BY = "pv.kubernetes.io/provisioned-by"
_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
_BETA_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
_SELECTED = "volume.kubernetes.io/selected-node"
_NONE = "kubernetes.io/no-provisioner"
_LOST = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"


class Volumes:
    """Targets are claims by namespace and name, and volumes with an empty namespace."""

    name = "persistentvolume-binder"
    shelves: Sequence[str] = (
        "persistentvolumeclaims",
        "persistentvolumes",
        "storageclasses.storage.k8s.io",
    )

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._claims = caches("v1", "PersistentVolumeClaim")
        self._volumes = caches("v1", "PersistentVolume")
        self._classes = caches("storage.k8s.io/v1", "StorageClass")
        self._pods = caches.pods

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == "persistentvolumeclaims":
            place = (change.key.namespace, change.key.name)
            volumes = [
                ("", one["metadata"]["name"]) for one in self._volumes.all() if _reference(one) == place
            ]
            return [place, *volumes]
        pending = [
            (one["metadata"]["namespace"], one["metadata"]["name"])
            for one in self._claims.all()
            if (one.get("status") or {}).get("phase") != "Bound"
            or one["spec"].get("volumeName") == change.key.name
        ]
        return [("", change.key.name), *pending] if change.key.resource == "persistentvolumes" else pending

    def reconcile(self, target: Target) -> float | None:
        if target[0]:
            claim = self._claims.get(*target)
            if claim is not None:
                self._claim(claim)
        else:
            volume = self._volumes.get("", target[1])
            if volume is not None:
                self._volume(volume)
        return None

    def _table(self) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in self._volumes.all()}

    def _class_table(self) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in self._classes.all()}

    def _tell(self, claim: Object, kind: str, reason: str, message: str) -> None:
        record(self._local, claim, kind, reason, message, _COMPONENT)

    # --- claims ---------------------------------------------------------------------------------------------------

    def _claim(self, claim: Object) -> None:
        spec = claim["spec"]
        phase = (claim.get("status") or {}).get("phase")
        name = spec.get("volumeName")
        if name:
            volume = self._volumes.get("", name)
            if volume is not None and _reference(volume) in {None, _place(claim)}:
                self._bind(claim, volume)
            elif volume is None and (claim["metadata"].get("annotations") or {}).get(_DONE):
                if phase != "Lost":
                    self._set_claim_phase(claim, {"phase": "Lost"})
                    self._tell(claim, "Warning", "ClaimLost", _LOST)
            elif phase is None:
                self._set_claim_phase(claim, {"phase": "Pending"})
            return
        if claim["metadata"].get("deletionTimestamp"):
            return
        volume = self._match(claim)
        if volume is not None:
            self._bind(claim, volume)
            return
        if phase is None:
            self._set_claim_phase(claim, {"phase": "Pending"})
        self._wait_or_make(claim)

    def _match(self, claim: Object) -> Object | None:
        """A volume that the claim can have without a pod."""
        volumes, classes = self._table(), self._class_table()
        if waits_for_pod(claim, classes):
            volumes = {name: one for name, one in volumes.items() if _reference(one) == _place(claim)}
        taken = [name for name, one in volumes.items() if _reference(one) not in {None, _place(claim)}]
        name = matching_volume(claim, volumes, classes, taken, None)
        return volumes[name] if name else None

    def _wait_or_make(self, claim: Object) -> None:
        classes = self._class_table()
        name = class_of(claim, classes)
        annotations = claim["metadata"].get("annotations") or {}
        if waits_for_pod(claim, classes) and not annotations.get(_SELECTED):
            self._tell(claim, "Normal", *self._waiting_words(claim))
            return
        if not name:
            text = "no persistent volumes available for this claim and no storage class is set"
            self._tell(claim, "Normal", "FailedBinding", text)
            return
        found = classes.get(name)
        if found is None:
            text = f'storageclass.storage.k8s.io "{name}" not found'
            self._tell(claim, "Warning", "ProvisioningFailed", text)
            return
        if found["provisioner"] == _NONE:
            return
        self._make(claim, found)

    def _waiting_words(self, claim: Object) -> tuple[str, str]:
        namespace, name = _place(claim)
        waiting = [
            pod["metadata"]["name"]
            for pod in self._pods.all(namespace)
            if not pod["spec"].get("nodeName")
            and any(
                (one.get("persistentVolumeClaim") or {}).get("claimName") == name
                for one in pod["spec"].get("volumes") or ()
            )
        ]
        if not waiting:
            return "WaitForFirstConsumer", "waiting for first consumer to be created before binding"
        word = "pod" if len(waiting) == 1 else "pods"
        return "WaitForPodScheduled", f"waiting for {word} {','.join(waiting)} to be scheduled"

    def _make(self, claim: Object, storage_class: Object) -> None:
        """Provision: ask for the volume in the controller's words, and be the provisioner that makes it."""
        provisioner = storage_class["provisioner"]
        new = self._local.get("v1", "PersistentVolumeClaim", *_place(claim))
        if new is None:
            return
        annotations = new["metadata"].setdefault("annotations", {})
        if annotations.get(_PROVISIONER) != provisioner:
            annotations |= {_PROVISIONER: provisioner, _BETA_PROVISIONER: provisioner}
            new = self._local.update(new)
            text = (
                f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
                "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
                "correctly registered."
            )
            self._tell(new, "Normal", "ExternalProvisioning", text)
        name = f"pvc-{new['metadata']['uid']}"
        if self._volumes.get("", name) is not None:
            return
        self._local.create(self._made(name, new, storage_class))
        record(
            self._local, new, "Normal", "ProvisioningSucceeded", f"Successfully provisioned volume {name}", provisioner
        )  # fmt: skip

    def _made(self, name: str, claim: Object, storage_class: Object) -> Object:
        spec = claim["spec"]
        provisioner = storage_class["provisioner"]
        made: Object = {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": spec.get("volumeMode") or "Filesystem",
            "claimRef": _claim_reference(claim),
            "csi": {"driver": provisioner, "volumeHandle": name},
        }
        if storage_class.get("mountOptions"):
            made["mountOptions"] = storage_class["mountOptions"]
        selected = (claim["metadata"].get("annotations") or {}).get(_SELECTED)
        if selected and "ReadWriteMany" not in spec["accessModes"]:
            # A volume made for a node can be reached where the class's provisioner has it: from that node's zone.
            node = self._local.get("v1", "Node", "", selected)
            zone = ((node or {"metadata": {}})["metadata"].get("labels") or {}).get(
                "topology.kubernetes.io/zone"
            )
            if zone:
                term = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}
                made["nodeAffinity"] = {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {_MADE_BY: provisioner}},
            "spec": made,
        }

    # --- binding --------------------------------------------------------------------------------------------------

    def _bind(self, claim: Object, volume: Object) -> None:
        """Both halves know each other, and both say so (bind)."""
        name = volume["metadata"]["name"]
        if (volume["spec"].get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
            new = self._local.get("v1", "PersistentVolume", "", name)
            if new is None:
                return
            if not new["spec"].get("claimRef"):
                new["metadata"].setdefault("annotations", {})[_BY_CONTROLLER] = "yes"
            new["spec"]["claimRef"] = _claim_reference(claim)
            volume = self._local.update(new)
        self._set_volume_phase(volume, "Bound")
        fresh = self._local.get("v1", "PersistentVolumeClaim", *_place(claim))
        if fresh is None:
            return
        annotations = fresh["metadata"].setdefault("annotations", {})
        if fresh["spec"].get("volumeName") != name or _DONE not in annotations:
            if fresh["spec"].get("volumeName") != name:
                annotations[_BY_CONTROLLER] = "yes"
            annotations[_DONE] = "yes"
            fresh["spec"]["volumeName"] = name
            fresh = self._local.update(fresh)
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"]["accessModes"],
            "capacity": volume["spec"]["capacity"],
        }
        self._set_claim_phase(fresh, status)

    def _set_claim_phase(self, claim: Object, status: Object) -> None:
        new = self._local.get("v1", "PersistentVolumeClaim", *_place(claim))
        if new is not None and any(
            (new.get("status") or {}).get(key) != value for key, value in status.items()
        ):
            new["status"] = {**(new.get("status") or {}), **status}
            self._local.update_status(new)

    def _set_volume_phase(self, volume: Object, phase: str) -> Object | None:
        new = self._local.get("v1", "PersistentVolume", "", volume["metadata"]["name"])
        if new is None or (new.get("status") or {}).get("phase") == phase:
            return new
        new["status"] = {
            **(new.get("status") or {}),
            "phase": phase,
            "lastPhaseTransitionTime": self._local.cluster.now(),
        }
        return self._local.update_status(new)

    # --- volumes --------------------------------------------------------------------------------------------------

    def _volume(self, volume: Object) -> None:
        place = _reference(volume)
        if place is None:
            self._set_volume_phase(volume, "Available")
            return
        claim = self._claims.get(*place)
        uid = (volume["spec"].get("claimRef") or {}).get("uid")
        if not uid:
            if (volume.get("status") or {}).get("phase") not in {"Available", "Bound"}:
                self._set_volume_phase(volume, "Available")
            if claim is not None and not claim["spec"].get("volumeName"):
                self._claim(claim)
            return
        if claim is not None and claim["metadata"]["uid"] == uid:
            self._claim(claim)
            return
        self._release(volume)

    def _release(self, volume: Object) -> None:
        """The claim has gone: the volume is deleted or kept, as it says itself."""
        released = self._set_volume_phase(volume, "Released")
        if released is None or volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":
            return
        if _MADE_BY in (volume["metadata"].get("annotations") or {}):
            try:
                self._local.delete(released)
            except ApiError as error:
                if error.code != 404:
                    raise


def _place(claim: Object) -> Place:
    return claim["metadata"]["namespace"], claim["metadata"]["name"]


def _reference(volume: Object) -> Place | None:
    found = volume["spec"].get("claimRef")
    return (found.get("namespace", ""), found["name"]) if found else None


def _claim_reference(claim: Object) -> Object:
    metadata = claim["metadata"]
    return {
        "kind": "PersistentVolumeClaim",
        "apiVersion": "v1",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }
