"""GPU nodes that were read, grouped into pools."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.names import name_of, plain_labels
from stoker.audit.view.gpus import gpu_of_node
from stoker.audit.view.view import View
from stoker.audit.view.workloads import gpu_resource
from stoker.catalog.gpus import Gpu, NodeShape, node_shapes
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

__all__ = ["NodeGroup", "node_groups"]

_POOL_LABELS: Final = (
    "stoker.dev/pool", "cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup", "karpenter.sh/nodepool", "agentpool",
)  # fmt: skip
_TYPES: Final = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
# Labels that the cluster, the cloud or the GPU stack writes by itself.
_OTHERS: Final = re.compile(
    r"(^|\.)(kubernetes\.io|k8s\.io|nvidia\.com|amd\.com|amazonaws\.com|google\.com|azure\.com|karpenter\.sh|eksctl\.io|k8s\.aws|"
    r"openshift\.io|oraclecloud\.com|stoker\.dev|rancher\.io|k3s\.io|run\.ai)(/|$)|^agentpool$"
)
_SPOT: Final = {
    "karpenter.sh/capacity-type": "spot",
    "cloud.google.com/gke-spot": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
_PASSING: Final = re.compile(r"^(node\.kubernetes\.io/|node\.cloudprovider\.|ToBeDeleted|DeletionCandidate)")
_ZONE: Final = "topology.kubernetes.io/zone"
_MIG: Final = "nvidia.com/mig-"


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of one kind: ``entry`` is the pool without its name, ``resources`` the GPU resources that the nodes offer."""

    name: str
    gpu: Gpu
    nodes: tuple[Item, ...]
    entry: dict[str, Any]
    resources: frozenset[str]


@dataclass(frozen=True)
class _Kind:
    pool: str
    gpu: str
    physical: int
    shape: str
    sharing: tuple[str, ...]
    spot: bool
    taints: tuple[tuple[str, str, str], ...]


def node_groups(view: View, ledger: Ledger) -> Iterator[NodeGroup]:
    """Nodes with GPUs, grouped by what a pool says of its nodes."""
    groups: dict[_Kind, list[Item]] = defaultdict(list)
    for node in view.of("Node"):
        found = gpu_of_node(node)
        offered = _offered(node)
        if not offered:
            if found is not None:
                ledger.note(
                    node,
                    ("status", "capacity"),
                    "its labels name a GPU, and it offers none: left out of the pools",
                )
            continue
        if found is None:
            ledger.note(
                node,
                ("metadata", "labels"),
                "its GPU type is none that `stoker catalog gpus` lists, or no label names it: left out of the pools",
            )
            continue
        ledger.use(node)
        groups[_kind(node, found, offered)].append(node)
    for kind, nodes in groups.items():
        found = gpu_of_node(nodes[0])
        if found is not None:
            yield _group(kind, found, tuple(nodes), ledger)


def _offered(node: Item) -> dict[str, int]:
    capacity = node.section("status", "capacity") or node.section("status", "allocatable")
    return {
        name: int(number)
        for name, amount in sorted(capacity.items())
        if gpu_resource(name) and (number := parse(amount)) is not None and number > 0
    }


def _kind(node: Item, found: Gpu, offered: dict[str, int]) -> _Kind:
    labels = node.labels
    slices = {name: count for name, count in offered.items() if name.startswith(_MIG)}
    whole = next((count for name, count in offered.items() if name not in slices), 0)
    counted = labels.get("nvidia.com/gpu.count", "")
    replicas = labels.get("nvidia.com/gpu.replicas", "")
    shares = int(replicas) if re.fullmatch(r"[0-9]{1,2}", replicas) else 1
    physical = int(counted) if re.fullmatch(r"[1-9][0-9]?", counted) else max(1, whole // max(1, shares))
    sharing: tuple[str, ...] = ()
    if slices:
        profiles = {name.removeprefix(_MIG).replace(".me", "+me"): count for name, count in slices.items()}
        sharing = ("mig", *(f"{name}={max(1, count // physical)}" for name, count in profiles.items()))
    elif 2 <= shares <= 48:
        strategy = labels.get("nvidia.com/gpu.sharing-strategy", "")
        sharing = ("mps" if strategy == "mps" else "time-slicing", str(shares))
    shape = _shape(labels, found, physical)
    return _Kind(
        pool=next((labels[key] for key in _POOL_LABELS if labels.get(key)), ""),
        gpu=found.name,
        physical=min(physical, 16),
        shape=shape.name if shape else "",
        sharing=sharing,
        spot=any(labels.get(key) == value for key, value in _SPOT.items()),
        taints=tuple(
            (taint["key"], taint.get("value", ""), taint.get("effect", "NoSchedule"))
            for taint in node.spec.get("taints") or []
            if taint.get("key") and taint["key"] != found.resource and not _PASSING.match(taint["key"])
        )[:8],
    )


def _shape(labels: dict[str, str], found: Gpu, physical: int) -> NodeShape | None:
    wanted = next((labels[key] for key in _TYPES if labels.get(key)), "").lower()
    return next(
        (s for s in node_shapes() if s.name.lower() == wanted and s.gpu == found.name and s.gpus == physical),
        None,
    )


def _group(kind: _Kind, found: Gpu, nodes: tuple[Item, ...], ledger: Ledger) -> NodeGroup:
    short = re.sub(r"-(sxm|pcie|nvl)\b", "", found.name.lower())
    name = name_of(kind.pool or short, "gpu")
    entry: dict[str, Any] = {"shape": kind.shape} if kind.shape else {"gpu": found.name}
    entry["nodes"] = min(len(nodes), 10_000)
    if not kind.shape:
        entry["gpusPerNode"] = kind.physical
        entry |= {key: least for key in ("cpu", "memory") if (least := _least(nodes, key))}
    if any("vpc.amazonaws.com/efa" in node.section("status", "capacity") for node in nodes):
        entry["fabric"] = "efa"
    elif any(key.startswith("rdma/") for node in nodes for key in node.section("status", "capacity")):
        entry["fabric"] = "infiniband"
        ledger.assume(
            f"pools.{name}.fabric", "infiniband", "the nodes offer an rdma/ resource; it may be RoCE"
        )
    if kind.sharing:
        entry["sharing"] = _sharing(kind.sharing)
    if kind.spot:
        entry["spot"] = True
    zones = sorted({node.labels[_ZONE] for node in nodes if node.labels.get(_ZONE)})
    if len(zones) > 1:
        entry["zones"] = zones[:16]
    labels = _own_labels(nodes)
    if labels:
        entry["labels"] = labels
    if kind.taints:
        entry["taints"] = [_taint(*taint) for taint in kind.taints]
    return NodeGroup(name, found, nodes, entry, frozenset(key for node in nodes for key in _offered(node)))


def _sharing(sharing: tuple[str, ...]) -> dict[str, Any]:
    mode, *rest = sharing
    if mode == "mig":
        return {
            "mode": mode,
            "migProfiles": {name: int(count) for name, _, count in (item.partition("=") for item in rest)},
        }
    return {"mode": mode, "replicas": int(rest[0])}


def _taint(key: str, value: str, effect: str) -> dict[str, str]:
    return {"key": key, **({"value": value} if value else {}), "effect": effect}


def _least(nodes: tuple[Item, ...], resource: str) -> str | None:
    amounts = [
        number
        for node in nodes
        if (number := parse(node.section("status", "capacity").get(resource, ""))) is not None
    ]
    if not amounts or min(amounts) < 1:
        return None
    return str(int(min(amounts))) if resource == "cpu" else f"{int(min(amounts)) // 2**30}Gi"


def _own_labels(nodes: tuple[Item, ...]) -> dict[str, str]:
    """Labels by hand that all of the nodes carry."""
    shared = Counter(pair for node in nodes for pair in plain_labels(node.labels).items())
    own = {
        key: value
        for (key, value), count in shared.items()
        if count == len(nodes) and not _OTHERS.search(key.partition("/")[0] if "/" in key else key)
    }
    return dict(list(own.items())[:32])
