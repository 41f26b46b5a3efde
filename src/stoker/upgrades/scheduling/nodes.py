"""What the nodes of each pool must look like. Nodes are not ours to write; what we rely on is written down instead."""

import json
from dataclasses import dataclass
from typing import Any, Final

from stoker.platform.cluster import GpuStack, SharingMode
from stoker.sizing.pools import POOL_LABEL
from stoker.sizing.resolved import ResolvedPlatform, ResolvedPool
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted, Upgrade, Wave, emit

__all__ = ["NODE_POOLS", "NodePlan", "compile_node_pools", "node_plan"]

NODE_POOLS: Final = "stoker-node-pools"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What the nodes of one pool must carry, for the people or the autoscaler that make them.

    Attributes:
        pool: name of the pool.
        nodes, max_nodes: size of the pool.
        labels: labels to set on the node group; GFD adds its own.
        taints: taints to set on the node group, never by hand on one node: a replaced node would come without them.
        selector: label selector (`kubectl get nodes -l`) that lists the nodes, by GFD's product label.
        expressions: match expressions by which pods find the nodes; the same selection.
        resources: extended resource name -> how many of it one node must show as allocatable.
    """

    pool: str
    nodes: int
    max_nodes: int
    labels: dict[str, str]
    taints: tuple[dict[str, str], ...]
    selector: str
    expressions: tuple[dict[str, Any], ...]
    resources: dict[str, int]


def node_plan(platform: ResolvedPlatform) -> list[NodePlan]:
    """The plan of every pool, in the file's order."""
    return [_plan(platform, pool) for pool in platform.pools.values()]


def _plan(platform: ResolvedPlatform, pool: ResolvedPool) -> NodePlan:
    return NodePlan(
        pool=pool.name,
        nodes=pool.spec.nodes,
        max_nodes=pool.max_nodes,
        labels=_labels(platform, pool),
        taints=pool.taints,
        selector=",".join(
            f"{term['key']} in ({','.join(term['values'])})" for term in pool.node_selector_terms
        ),
        expressions=pool.node_selector_terms,
        resources={item.resource: item.per_node for item in pool.slices},
    )


def _labels(platform: ResolvedPlatform, pool: ResolvedPool) -> dict[str, str]:
    labels = {POOL_LABEL: pool.name, **pool.spec.labels}
    mode = pool.spec.sharing.mode
    if mode is not SharingMode.NONE:
        # The device plugin picks a node's section of its configuration by this label (k8s-device-plugin README,
        # "Updating Per-Node Configuration With a Node Label").
        labels["nvidia.com/device-plugin.config"] = pool.name
    if mode is SharingMode.MIG and platform.spec.cluster.gpu_stack is GpuStack.GPU_OPERATOR:
        # The operator's MIG manager lays out the GPUs by it (gpu-operator documentation, "MIG Manager").
        labels["nvidia.com/mig.config"] = pool.name
    return labels


def compile_node_pools(platform: ResolvedPlatform) -> list[Emitted]:
    """A ConfigMap that tells node groups, auditors and gates what each pool's nodes must carry."""
    data = {
        plan.pool: json.dumps(
            {
                "nodes": plan.nodes,
                "maxNodes": plan.max_nodes,
                "labels": plan.labels,
                "taints": list(plan.taints),
                "selector": plan.selector,
                "allocatablePerNode": plan.resources,
            },
            indent=2,
            sort_keys=True,
        )
        for plan in node_plan(platform)
    }
    return [
        emit(
            platform,
            Upgrade.SCHEDULING,
            Wave.POLICY,
            "Labels and taints that each pool's node group must set; pods rely on them and nodes come and go",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": NODE_POOLS, "namespace": PLATFORM_NAMESPACE},
                "data": data,
            },
        )
    ]
