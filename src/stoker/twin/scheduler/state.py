"""The cluster as the scheduler sees it, kept up to date pod by pod and node by node."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stoker.twin.scheduler.pods import PodInfo, parse_pod, resources_of
from stoker.twin.scheduler.profiles import DEFAULT_PROFILES, Profile

__all__ = ["ClusterState", "NodeInfo"]

Object = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class NodeInfo:
    """One node: what it offers, and what its pods have taken.

    Attributes:
        allocatable, requested: amounts by resource in the scheduler's units (CPU in thousandths).
        scored: requested CPU and memory with defaults for containers that ask for none.
    """

    name: str
    labels: Mapping[str, str]
    taints: tuple[Object, ...]
    unschedulable: bool
    allocatable: dict[str, int]
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
        self.devices_taken: dict[tuple[str, str], tuple[tuple[str, str, str], ...]] = {}
        self.nominated: dict[tuple[str, str], tuple[PodInfo, str]] = {}
        self.with_anti_affinity = 0
        self.with_preferences = 0
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
        )

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
        self.devices_taken.pop((namespace, name), None)
        self.nominated.pop((namespace, name), None)
        if node is not None:
            info = self.nodes[node].pods[namespace, name]
            self.nodes[node].remove(info)
            self.with_anti_affinity -= bool(info.anti_affinity)
            self.with_preferences -= bool(info.preferred or info.affinity)

    def terminate(self, namespace: str, name: str) -> None:
        """A bound pod was told to stop: it holds its room until it is removed."""
        node = self._pods.get((namespace, name))
        if node is not None:
            self.nodes[node].pods[namespace, name].terminating = True

    def nominate(self, pod: Object, node: str) -> None:
        """A pod that preempts is promised a node: pods of lower priority see its room as taken."""
        info = parse_pod(pod)
        info.nominated = node
        self.nominated[info.key] = (info, node)

    def set_namespaces(self, namespaces: Iterable[Object]) -> None:
        """Namespaces with their labels, for namespace selectors."""
        self.namespaces = {
            item["metadata"]["name"]: item["metadata"].get("labels") or {} for item in namespaces
        }

    def set_budgets(self, budgets: Iterable[Object]) -> None:
        """PodDisruptionBudgets, with ``status.disruptionsAllowed``."""
        self.budgets = tuple(budgets)

    def set_volumes(
        self, claims: Iterable[Object], volumes: Iterable[Object], classes: Iterable[Object]
    ) -> None:
        """PersistentVolumeClaims, PersistentVolumes and StorageClasses."""
        self.claims = {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in claims
        }
        self.volumes = {item["metadata"]["name"]: item for item in volumes}
        self.classes = {item["metadata"]["name"]: item for item in classes}

    def set_devices(
        self, claims: Iterable[Object], slices: Iterable[Object], classes: Iterable[Object]
    ) -> None:
        """ResourceClaims, ResourceSlices and DeviceClasses."""
        self.resource_claims = {
            (item["metadata"].get("namespace", ""), item["metadata"]["name"]): item for item in claims
        }
        self.slices = tuple(slices)
        self.device_classes = {item["metadata"]["name"]: item for item in classes}
