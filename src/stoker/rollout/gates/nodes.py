"""GPU nodes as gates look at them: whose pool they are of, what they have, and what is left of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object
from stoker.kube.selectors import matches
from stoker.sizing.pools import POOL_LABEL
from stoker.sizing.resolved import ResolvedPlatform
from stoker.twin.scheduler.requests import requests_of, resources_of

__all__ = ["GpuNode", "PodOnNode", "gpu_nodes", "read_gpu_nodes"]

# PCI vendors of NVIDIA and AMD: ``pci-10de.present`` as the GPU Operator has NFD name it, ``pci-0302_10de.present`` as NFD does.
_PCI: Final = re.compile(r"^feature\.node\.kubernetes\.io/pci-(\w+_)?(10de|1002)\.present$")
_GPU_LABELS: Final = ("nvidia.com/gpu.present", "nvidia.com/gpu.product", "amd.com/gpu.product-name")
_GPU_PREFIXES: Final = ("nvidia.com/gpu", "nvidia.com/mig-", "amd.com/")


@dataclass(frozen=True, slots=True)
class PodOnNode:
    """A pod that takes room on a node.

    Attributes:
        requests: in the scheduler's units: millicores, bytes, whole GPUs.
    """

    namespace: str
    name: str
    uid: str
    priority: int
    requests: Mapping[str, int]
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuNode:
    """A node that has GPUs, or should have.

    Attributes:
        pool: of the platform; empty for a GPU node that is of no pool.
        capacity, allocatable: in the scheduler's units.
        schedulable: it is Ready and not cordoned.
    """

    name: str
    pool: str
    capacity: Mapping[str, int]
    allocatable: Mapping[str, int]
    ready: bool
    schedulable: bool
    taints: tuple[Mapping[str, str], ...]
    pods: tuple[PodOnNode, ...]

    def free(self, resource: str) -> int:
        """What is left of a resource; of ``pods``, how many more may come."""
        if resource == "pods":
            return self.allocatable.get("pods", 0) - len(self.pods)
        used = sum(pod.requests.get(resource, 0) for pod in self.pods)
        return self.allocatable.get(resource, 0) - used

    def has_room(self, requests: Mapping[str, int]) -> bool:
        """Whether a pod with these requests would fit now, taints and affinity apart."""
        fits = all(self.free(name) >= amount for name, amount in requests.items())
        return self.schedulable and self.free("pods") >= 1 and fits

    @property
    def gpus(self) -> dict[str, int]:
        """GPU resources that it offers."""
        return {name: n for name, n in self.allocatable.items() if name.startswith(_GPU_PREFIXES) and n}


def read_gpu_nodes(cluster: Cluster, platform: ResolvedPlatform) -> tuple[GpuNode, ...]:
    """Every GPU node of the cluster, by name.

    Raises:
        StokerError: nodes or pods may not be read.
    """
    return gpu_nodes(cluster.objects("v1", "Node"), cluster.objects("v1", "Pod"), platform)


def gpu_nodes(
    nodes: Iterable[Object], pods: Sequence[Object], platform: ResolvedPlatform
) -> tuple[GpuNode, ...]:
    by_node: dict[str, list[PodOnNode]] = {}
    for pod in pods:
        name = pod["spec"].get("nodeName")
        if name and (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}:
            by_node.setdefault(name, []).append(_pod(pod))
    found = [
        _node(node, pool, by_node.get(node["metadata"]["name"], ()))
        for node in nodes
        if (pool := _pool_of(node, platform)) is not None
    ]
    return tuple(sorted(found, key=lambda node: node.name))


def _pod(pod: Object) -> PodOnNode:
    metadata, spec = pod["metadata"], pod["spec"]
    return PodOnNode(
        metadata["namespace"],
        metadata["name"],
        metadata["uid"],
        int(spec.get("priority") or 0),
        requests_of(spec)[0],
        metadata.get("labels") or {},
    )


def _node(node: Object, pool: str, pods: Sequence[PodOnNode]) -> GpuNode:
    status, spec = node.get("status") or {}, node.get("spec") or {}
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ())
    return GpuNode(
        node["metadata"]["name"],
        pool,
        resources_of(status.get("capacity")),
        resources_of(status.get("allocatable")),
        ready,
        ready and not spec.get("unschedulable"),
        tuple(spec.get("taints") or ()),
        tuple(pods),
    )


def _pool_of(node: Object, platform: ResolvedPlatform) -> str | None:
    """The node's pool; empty for a GPU node of none, None for a node without GPUs.

    The pool's own label counts where feature discovery does not run: its GFD labels are missing then.
    """
    labels = node["metadata"].get("labels") or {}
    named = labels.get(POOL_LABEL)
    if named in platform.pools:
        return str(named)
    for pool in platform.pools.values():
        if matches({"matchExpressions": list(pool.node_selector_terms)}, labels):
            return pool.name
    offers = any(name.startswith(_GPU_PREFIXES) for name in (node.get("status") or {}).get("capacity") or ())
    if offers or any(_PCI.match(name) or name in _GPU_LABELS for name in labels):
        return ""
    return None
