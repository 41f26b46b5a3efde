"""Nodes alike: a thousand nodes of one group are one question to the scheduler's rules, not a thousand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stoker.audit.view.workloads import Workload, gpu_resource
from stoker.kube.selectors import nodes_terms
from stoker.kube.snapshot import Item

__all__ = ["NodeClass", "classes_of"]


@dataclass(frozen=True, slots=True)
class NodeClass:
    """Nodes that no workload of the snapshot can tell apart: ``one`` stands for ``count``."""

    one: Item
    count: int


def classes_of(nodes: Iterable[Item], workloads: Iterable[Workload]) -> tuple[NodeClass, ...]:
    """Nodes grouped by what selectors, tolerations and GPU requests look at."""
    keys: set[str] = set()
    by_name = False
    for workload in workloads:
        keys |= set(workload.pod.get("nodeSelector") or {})
        for term in nodes_terms(workload.pod):
            keys |= {str(entry.get("key")) for entry in term.get("matchExpressions") or []}
            by_name = by_name or bool(term.get("matchFields"))
    wanted = sorted(keys)
    found: dict[tuple[Any, ...], list[Item]] = {}
    for node in nodes:
        labels = node.labels
        mark = (
            tuple(labels.get(key) for key in wanted),
            labels.get("nvidia.com/gpu.product") or labels.get("node.kubernetes.io/instance-type"),
            tuple(str(taint) for taint in node.spec.get("taints") or []),
            bool(node.spec.get("unschedulable")),
            _gpus(node.section("status", "allocatable")),
            node.name if by_name else "",
        )
        found.setdefault(mark, []).append(node)
    return tuple(NodeClass(group[0], len(group)) for group in found.values())


def _gpus(amounts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, amount) for name, amount in amounts.items() if gpu_resource(name)))
