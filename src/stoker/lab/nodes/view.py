"""The cluster as the scheduler sees it, kept up to date by the store's own changes.

Pods, nodes and labels of namespaces go into the twin's `ClusterState` write by write. Budgets, services, volumes and devices
are read anew before the next decision, once something about them has changed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.objects import Object, is_terminal
from stoker.lab.nodes.device_claims import allocations_of
from stoker.lab.store import Change
from stoker.twin.scheduler import ClusterState, Profile

__all__ = ["SHELVES", "View", "is_bound", "is_waiting"]

Place = tuple[str, str]

_VOLUMES = ("persistentvolumeclaims", "persistentvolumes", "storageclasses.storage.k8s.io")
_STORAGE = (
    "csinodes.storage.k8s.io",
    "csidrivers.storage.k8s.io",
    "csistoragecapacities.storage.k8s.io",
)
_DEVICES = (
    "resourceclaims.resource.k8s.io",
    "resourceslices.resource.k8s.io",
    "deviceclasses.resource.k8s.io",
)
SHELVES = (
    "pods", "nodes", "namespaces", "poddisruptionbudgets.policy", "services", *_VOLUMES, *_STORAGE, *_DEVICES,
)  # fmt: skip


def is_bound(pod: Object) -> bool:
    """It takes room on a node."""
    return bool(pod["spec"].get("nodeName")) and not is_terminal(pod)


def is_waiting(pod: Object) -> bool:
    """It waits to be scheduled."""
    return (
        not pod["spec"].get("nodeName")
        and not is_terminal(pod)
        and not pod["metadata"].get("deletionTimestamp")
    )


class View:
    """Keeps a `ClusterState`.

    Attributes:
        state: pass it to `schedule` after `refresh`.
        generation: moves whenever a decision could come out otherwise than before.
    """

    def __init__(self, local: Local, caches: Caches, profiles: Mapping[str, Profile]) -> None:
        self._caches = caches
        self._local = local
        self.state = ClusterState(profiles)
        self.generation = 0
        self._pods = caches.pods
        self._nodes = caches("v1", "Node")
        self._dirty = {
            "namespaces",
            *_VOLUMES,
            *_STORAGE,
            *_DEVICES,
            "services",
            "poddisruptionbudgets.policy",
        }
        self._known: dict[Place, Object] = {}
        self._assumed: dict[Place, str] = {}
        for node in self._nodes.all():
            self.state.add_node(node)
        for pod in self._pods.all():
            if is_bound(pod):
                self._place(pod)
            elif is_waiting(pod) and (pod.get("status") or {}).get("nominatedNodeName"):
                self.state.nominate(pod, pod["status"]["nominatedNodeName"])

    # --- following ------------------------------------------------------------------------------------------------

    def follow(self, change: Change) -> bool:
        """Take a change in; whether pods that fitted nowhere may fit now."""
        shelf = change.key.resource
        if shelf == "pods":
            return self._pod(change)
        if shelf == "nodes":
            return self._node(change)
        self._dirty.add(shelf)
        self.generation += 1
        return shelf not in {"namespaces", "services", "poddisruptionbudgets.policy"}

    def _pod(self, change: Change) -> bool:
        place = (change.key.namespace, change.key.name)
        pod = None if change.is_delete else self._pods.get(*place)
        if pod is None:
            # Deleted, or deleted since: the change that says so comes behind.
            was_there = place in self._known or place in self.state.nominated
            self._forget(place)
            return was_there
        if not is_bound(pod):
            was_there = place in self._known
            if was_there:
                self._forget(place)
            if pod["metadata"].get("deletionTimestamp") and place in self.state.nominated:
                self.state.remove_pod(*place)
                self.generation += 1
                return True
            return was_there
        before = self._known.get(place)
        if (
            before is not None
            and before["metadata"]["uid"] == pod["metadata"]["uid"]
            and _is_alike(before, pod)
        ):
            self._known[place] = pod
            return False
        if before is not None:
            self._forget(place)
        self._place(pod)
        # A pod that another one wants to be near, or one that is smaller than it was.
        return True

    def _node(self, change: Change) -> bool:
        name = change.key.name
        node = None if change.is_delete else self._nodes.get("", name)
        if node is None:
            if name in self.state.nodes:
                self._drop_node(name)
            return False
        known = self.state.nodes.get(name)
        if known is None:
            self.state.add_node(node)
            for pod in self._pods.all():
                if is_bound(pod) and pod["spec"]["nodeName"] == name:
                    self._place(pod)
        else:
            labels, taints, allocatable = known.labels, known.taints, known.allocatable
            unschedulable, images = known.unschedulable, known.images
            self.state.update_node(node)
            now = self.state.nodes[name]
            if (labels, taints, unschedulable, allocatable, images) == (
                now.labels, now.taints, now.unschedulable, now.allocatable, now.images,
            ):  # fmt: skip
                return False
        self.generation += 1
        return True

    def _drop_node(self, name: str) -> None:
        self.generation += 1
        for place in [key for key in self.state.nodes[name].pods if key in self._known]:
            del self._known[place]
        self.state.remove_node(name)

    def _place(self, pod: Object) -> None:
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        name = pod["spec"]["nodeName"]
        assumed = self._assumed.pop(place, None)
        if assumed == name and not pod["metadata"].get("deletionTimestamp"):
            self._known[place] = pod
            return
        self.generation += 1
        if assumed is not None:
            self.state.remove_pod(*place)
        if name not in self.state.nodes:
            return
        self.state.add_pod(pod)
        self._known[place] = pod

    def _forget(self, place: Place) -> None:
        self.generation += 1
        self._known.pop(place, None)
        self._assumed.pop(place, None)
        self.state.remove_pod(*place)

    # --- assuming -------------------------------------------------------------------------------------------------

    def assume(self, pod: Object, node: str) -> None:
        """A pod is on its way to a node: its room is taken before it is bound."""
        self.generation += 1
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.state.add_pod({**pod, "spec": {**pod["spec"], "nodeName": node}})
        self._assumed[place] = node

    def assumed(self, place: Place) -> str | None:
        return self._assumed.get(place)

    def give_up(self, place: Place) -> None:
        """An assumed pod could not be bound."""
        if self._assumed.pop(place, None) is not None:
            self.generation += 1
            self.state.remove_pod(*place)
            self._dirty |= {*_VOLUMES, *_DEVICES}

    # --- reading --------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read what has changed and is not followed write by write."""
        if not self._dirty:
            return
        dirty, self._dirty = self._dirty, set()
        readers: tuple[tuple[tuple[str, ...], Callable[[], None]], ...] = (
            (("namespaces",), lambda: self.state.set_namespaces(self._all("v1", "Namespace"))),
            (("services",), lambda: self.state.set_services(self._all("v1", "Service"))),
            (
                ("poddisruptionbudgets.policy",),
                lambda: self.state.set_budgets(self._all("policy/v1", "PodDisruptionBudget")),
            ),
            (_VOLUMES, self._read_volumes),
            (_STORAGE, self._read_storage),
            (_DEVICES, self._read_devices),
        )
        for shelves, read in readers:
            if not dirty.isdisjoint(shelves):
                read()

    def _all(self, api_version: str, kind: str) -> list[Object]:
        if self._local.kind(api_version, kind) is None:
            return []
        return list(self._caches(api_version, kind).all())

    def _read_volumes(self) -> None:
        self.state.selected.clear()
        self.state.bindings.clear()
        self.state.set_volumes(
            self._all("v1", "PersistentVolumeClaim"),
            self._all("v1", "PersistentVolume"),
            self._all("storage.k8s.io/v1", "StorageClass"),
        )

    def _read_storage(self) -> None:
        self.state.set_storage(
            self._all("storage.k8s.io/v1", "CSINode"),
            self._all("storage.k8s.io/v1", "CSIDriver"),
            self._all("storage.k8s.io/v1", "CSIStorageCapacity"),
        )

    def _read_devices(self) -> None:
        group = "resource.k8s.io/v1"
        claims = self._all(group, "ResourceClaim")
        self.state.set_devices(claims, self._all(group, "ResourceSlice"), self._all(group, "DeviceClass"))
        allocations, held = allocations_of(claims)
        self.state.allocations = allocations
        self.state.held = held


def _is_alike(before: Object, after: Object) -> bool:
    """Whether two versions of a bound pod are the same to the scheduler."""
    one, other = before["metadata"], after["metadata"]
    return (
        one.get("labels") == other.get("labels")
        and one.get("deletionTimestamp") == other.get("deletionTimestamp")
        and before["spec"] == after["spec"]
        and _was_preempted(before) == _was_preempted(after)
    )


def _was_preempted(pod: Object) -> bool:
    conditions: Any = (pod.get("status") or {}).get("conditions") or ()
    return any(
        one["type"] == "DisruptionTarget" and one.get("reason") == "PreemptionByScheduler"
        for one in conditions
    )
