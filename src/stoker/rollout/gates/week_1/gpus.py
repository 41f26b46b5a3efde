"""GPU resources are visible on every GPU node."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.refs import Object
from stoker.platform.cluster import GpuAllocation
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.gates.nodes import read_gpu_nodes

__all__ = ["GATE", "NodeSeen", "judge", "plugin_states"]

_PLUGIN: Final = re.compile(r"device-plugin|amdgpu-dp|gpu-operator-validator")
_NONE: Final = "no device-plugin pod on the node"


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A GPU node as it was seen.

    Attributes:
        pool: empty for a GPU node of no pool of the platform.
        wanted: resources that a node of the pool has.
        plugin: state of its device plugin, for the reason.
    """

    name: str
    pool: str
    wanted: Mapping[str, int]
    capacity: Mapping[str, int]
    allocatable: Mapping[str, int]
    ready: bool
    plugin: str = ""

    @property
    def problem(self) -> str:
        """What is wrong with it; empty where nothing is."""
        told = f" ({self.plugin})" if self.plugin else ""
        if not any(self.capacity.values()):
            return f"{self.name} shows no GPU resource{told}"
        for resource, count in self.wanted.items():
            has, may = self.capacity.get(resource, 0), self.allocatable.get(resource, 0)
            if has != count:
                return f"{self.name} shows {has} {resource} instead of {count}{told}"
            if may != count:
                return f"{self.name} has {has} {resource}, but only {may} may be used: the others are not healthy{told}"
        return ""

    def as_json(self) -> dict[str, Any]:
        return {
            "pool": self.pool, "wanted": dict(self.wanted), "capacity": dict(self.capacity),
            "allocatable": dict(self.allocatable), "ready": self.ready, "device_plugin": self.plugin,
        }  # fmt: skip


def judge(nodes: Sequence[NodeSeen], wanted: Mapping[str, int]) -> Judgement:
    """Every node shows what its pool has.

    ``wanted`` is nodes by pool. A node that is missing altogether, or that nobody has labelled, was not looked at: that is
    inconclusive, unless another one fails.
    """
    seen = {pool: sum(node.pool == pool for node in nodes) for pool in wanted}
    bad = [node.problem for node in nodes if node.problem]
    figures = {"gpu_nodes": len(nodes), "nodes_with_their_gpus": len(nodes) - len(bad), "nodes_by_pool": seen}
    if not nodes:
        return Judgement.inconclusive("the cluster has no GPU node", **figures)
    if bad:
        return Judgement.failed("; ".join(bad), **figures)
    asleep = [node.name for node in nodes if not node.ready]
    if asleep:
        return Judgement.inconclusive(
            f"not Ready, so what it shows may be old: {', '.join(asleep)}", **figures
        )
    missing = [
        f"{seen[pool]} of {count} nodes of pool {pool}"
        for pool, count in wanted.items()
        if seen[pool] < count
    ]
    if missing:
        return Judgement.inconclusive(
            f"only {' and '.join(missing)} are there, or labelled as such", **figures
        )
    gpus = sum(sum(node.allocatable.get(name, 0) for name in node.wanted) for node in nodes)
    return Judgement.passed(
        f"all {len(nodes)} GPU nodes show their GPUs, {gpus} in all", gpus=gpus, **figures
    )


def plugin_states(nodes: Iterable[str], pods: Iterable[Object]) -> dict[str, str]:
    """What the device plugin's pod of each node is doing."""
    found: dict[str, str] = {}
    for pod in pods:
        spec, metadata = pod["spec"], pod["metadata"]
        node = spec.get("nodeName") or ""
        texts = [metadata["name"], *(str(one.get("image") or "") for one in spec.get("containers") or ())]
        if node and any(_PLUGIN.search(text) for text in texts):
            phase = (pod.get("status") or {}).get("phase") or "Pending"
            found[node] = f"device-plugin pod {metadata['namespace']}/{metadata['name']} is {phase}"
    return {node: found.get(node, _NONE) for node in nodes}


def measure(context: Context) -> Judgement:
    platform = context.platform
    if platform.spec.cluster.gpu_allocation is GpuAllocation.DRA:
        raise CannotMeasureError(
            "GPUs are allocated by DRA here: nodes show ResourceSlices, which this gate does not read",
            fix="kubectl get resourceslices",
        )
    nodes = read_gpu_nodes(context.cluster, platform)
    plugins = plugin_states([node.name for node in nodes], context.cluster.objects("v1", "Pod"))
    seen = []
    for node in nodes:
        pool = platform.pools.get(node.pool)
        wanted = {one.resource: one.per_node for one in pool.slices} if pool else {}
        names = tuple(wanted) or tuple(node.gpus)
        one = NodeSeen(
            node.name,
            node.pool,
            wanted,
            {name: node.capacity.get(name, 0) for name in names},
            {name: node.allocatable.get(name, 0) for name in names},
            node.ready,
            plugins[node.name],
        )
        seen.append(one)
        context.note(f"node {node.name}: {one.problem or 'shows its GPUs'}", **one.as_json())
    return judge(seen, {pool.name: pool.spec.nodes for pool in platform.pools.values()})


GATE: Final = Gate(
    "week-1/gpus-visible",
    "Every GPU node shows its GPUs",
    "capacity and allocatable of every GPU node are what its pool has",
    "reads nodes and pods",
    measure,
)
