"""The cluster as the scheduler sees it, kept up to date pod by pod and node by node."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from stoker.twin.scheduler.matching import bound_by_controller
from stoker.twin.scheduler.pods import PodInfo, parse_pod
from stoker.twin.scheduler.profiles import DEFAULT_PROFILES, Profile
from stoker.twin.scheduler.requests import resources_of

__all__ = ["Allocation", "ClaimKey", "ClusterState", "DeviceId", "NodeInfo", "Taken"]

Object = Mapping[str, Any]
ClaimKey = tuple[str, str]  # namespace, name
DeviceId = tuple[str, str, str]  # driver, pool, name


@dataclass(frozen=True, slots=True)
class Taken:
    """A device that a claim holds, or the part that it holds of one; administrators take nothing away from others."""

    device: DeviceId
    consumed: Mapping[str, Decimal]
    admin: bool


@dataclass(frozen=True, slots=True)
class Allocation:
    """What a ResourceClaim holds, and from where it can be reached: a node, nodes that all selectors mean, or anywhere."""

    taken: tuple[Taken, ...]
    node: str
    selectors: tuple[Object, ...]


@dataclass(slots=True, eq=False)
class NodeInfo:
    """One node: what it offers, and what its pods have taken.

    Attributes:
        allocatable, requested: amounts by resource in the scheduler's units (CPU in thousandths).
        scored: requested CPU and memory with defaults for containers that ask for none.
        images: bytes by name of the images that it has.
    """

    name: str
    labels: Mapping[str, str]
    taints: tuple[Object, ...]
    unschedulable: bool
    allocatable: dict[str, int]
    images: Mapping[str, int] = field(default_factory=dict)
    pods: dict[tuple[str, str], PodInfo] = field(default_factory=dict)
    requested: dict[str, int] = field(default_factory=dict)
    scored: dict[str, int] = field(default_factory=dict)

    def add(self, pod: PodInfo) -> None:
        """A pod is on the node."""
        self.pods[pod.key] = pod
        self._count(pod, 1)

    def remove(self, pod: PodInfo) -> None:
        """A pod has left it."""
        del self.pods[pod.key]
        self._count(pod, -1)

    def _count(self, pod: PodInfo, sign: int) -> None:
        for name, amount in pod.requests.items():
            self.requested[name] = self.requested.get(name, 0) + sign * amount
        for name, amount in pod.scored.items():
            self.scored[name] = self.scored.get(name, 0) + sign * amount


class ClusterState:
    """Nodes, pods, namespaces, budgets and volumes. Objects are plain Kubernetes mappings."""

    def __init__(self, profiles: Mapping[str, Profile] = DEFAULT_PROFILES) -> None:
        """``profiles`` by scheduler name; a pod whose scheduler is not there gets the default profile."""
        self.profiles = profiles
        self.nodes: dict[str, NodeInfo] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.budgets: tuple[Object, ...] = ()
        self.claims: dict[tuple[str, str], Object] = {}
        self.volumes: dict[str, Object] = {}
        self.classes: dict[str, Object] = {}
        self.resource_claims: dict[tuple[str, str], Object] = {}
        self.slices: tuple[Object, ...] = ()
        self.device_classes: dict[str, Object] = {}
        self.allocations: dict[ClaimKey, Allocation] = {}
        self.held: dict[tuple[str, str], tuple[ClaimKey, ...]] = {}
        self.extended: dict[str, str] = {}
        self.bindings: dict[ClaimKey, str] = {}
        self.selected: dict[ClaimKey, str] = {}
        self.csi_nodes: dict[str, Object] = {}
        self.csi_drivers: dict[str, Object] = {}
        self.capacities: tuple[Object, ...] = ()
        self.services: tuple[tuple[str, Mapping[str, str]], ...] = ()
        self.nominated: dict[tuple[str, str], tuple[PodInfo, str]] = {}
        self.with_anti_affinity = 0
        self.with_preferences = 0
        self.with_images = False
        self._pods: dict[tuple[str, str], str] = {}
        self._added = 0

    def add_node(self, node: Object) -> None:
        """A node joins, or comes back."""
        metadata, spec, status = node["metadata"], node.get("spec") or {}, node.get("status") or {}
        self.nodes[metadata["name"]] = NodeInfo(
            name=metadata["name"],
            labels=metadata.get("labels") or {},
            taints=tuple(spec.get("taints") or ()),
            unschedulable=bool(spec.get("unschedulable")),
            allocatable=resources_of(status.get("allocatable")),
            images={
                name: int(image.get("sizeBytes") or 0)
                for image in status.get("images") or ()
                for name in image.get("names") or ()
            },
        )

        self.with_images |= bool(status.get("images"))

    def update_node(self, node: Object) -> None:
        """A node's labels, taints or capacity changed; its pods stay."""
        old = self.nodes[node["metadata"]["name"]]
        self.add_node(node)
        for pod in old.pods.values():
            self.nodes[old.name].add(pod)

    def remove_node(self, name: str) -> None:
        """A node is gone, with all its pods."""
        for pod in list(self.nodes[name].pods.values()):
            self.remove_pod(*pod.key)
        del self.nodes[name]

    def add_pod(self, pod: Object) -> None:
        """A pod is bound to the node that its ``spec.nodeName`` says."""
        info = parse_pod(pod)
        self.place(info, pod["spec"]["nodeName"])

    def place(self, info: PodInfo, node: str) -> None:
        """A parsed pod is bound to ``node``."""
        self._added += 1
        info.order = self._added
        self.nodes[node].add(info)
        self._pods[info.key] = node
        self.with_anti_affinity += bool(info.anti_affinity)
        self.with_preferences += bool(info.preferred or info.affinity)
        self.nominated.pop(info.key, None)

    def remove_pod(self, namespace: str, name: str) -> None:
        """A bound pod is gone, or has ended; unknown pods are no error."""
        node = self._pods.pop((namespace, name), None)
        if (namespace, name) in self.held:
            self._give_back(self.held.pop((namespace, name)))
        self.nominated.pop((namespace, name), None)
        if node is not None:
            info = self.nodes[node].pods[namespace, name]
            self.nodes[node].remove(info)
            self.with_anti_affinity -= bool(info.anti_affinity)
            self.with_preferences -= bool(info.preferred or info.affinity)

    def _give_back(self, claims: Iterable[ClaimKey]) -> None:
        """Claims without a pod are deallocated, as the controller does."""
        for key in claims:
            if not any(key in held for held in self.held.values()):
                self.allocations.pop(key, None)

    def terminate(self, namespace: str, name: str, *, preempted: bool = True) -> None:
        """A bound pod was told to stop: it holds its room until it is removed.

        While a node has victims of preemption, ``preempted``, the pod that it was promised to makes no more.
        """
        node = self._pods.get((namespace, name))
        if node is not None:
            info = self.nodes[node].pods[namespace, name]
            info.terminating = True
            info.preempted = preempted

    def nominate(self, pod: Object, node: str) -> None:
        """A pod that preempts is promised a node: pods of lower priority see its room as taken."""
        info = parse_pod(pod)
        info.nominated = node
        # Those of lower priority that hoped for the node look for another (preemption/executor.go prepareCandidate).
        self.nominated = {
            key: (other, name)
            for key, (other, name) in self.nominated.items()
            if name != node or other.priority >= info.priority
        }
        self.nominated[info.key] = (info, node)

    def set_namespaces(self, namespaces: Iterable[Object]) -> None:
        """Namespaces with their labels, for namespace selectors."""
        self.namespaces = {
            name: {"kubernetes.io/metadata.name": name, **(item["metadata"].get("labels") or {})}
            for item in namespaces
            for name in (item["metadata"]["name"],)
        }

    def set_services(self, services: Iterable[Object]) -> None:
        """Services: without constraints of their own, the pods of each are spread."""
        self.services = tuple(
            (item["metadata"].get("namespace", ""), item["spec"]["selector"])
            for item in services
            if item["spec"].get("selector")
        )

    def set_budgets(self, budgets: Iterable[Object]) -> None:
        """PodDisruptionBudgets, with ``status.disruptionsAllowed``."""
        self.budgets = tuple(budgets)

    def set_volumes(
        self, claims: Iterable[Object], volumes: Iterable[Object], classes: Iterable[Object]
    ) -> None:
        """PersistentVolumeClaims, PersistentVolumes and StorageClasses.

        Claims that wait for no pod are bound to volumes, as the controller has done by now.
        """
        self.claims = {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in claims
        }
        self.volumes = {item["metadata"]["name"]: item for item in volumes}
        self.classes = {item["metadata"]["name"]: item for item in classes}
        self.bindings = bound_by_controller(self.claims, self.volumes, self.classes, self.bindings)

    def set_devices(
        self, claims: Iterable[Object], slices: Iterable[Object], classes: Iterable[Object]
    ) -> None:
        """ResourceClaims, ResourceSlices and DeviceClasses."""
        self.resource_claims = {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in claims
        }
        self.slices = tuple(slices)
        self.device_classes = {item["metadata"]["name"]: item for item in classes}
        for name, item in self.device_classes.items():
            self.extended[f"deviceclass.resource.kubernetes.io/{name}"] = name
            resource = (item.get("spec") or {}).get("extendedResourceName")
            if resource:
                self.extended[resource] = name

    def set_storage(
        self, nodes: Iterable[Object], drivers: Iterable[Object] = (), capacities: Iterable[Object] = ()
    ) -> None:
        """CSINodes with their limits, CSIDrivers, and CSIStorageCapacities."""
        self.csi_nodes = {item["metadata"]["name"]: item for item in nodes}
        self.csi_drivers = {item["metadata"]["name"]: item for item in drivers}
        self.capacities = tuple(capacities)
