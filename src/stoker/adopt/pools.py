"""Node pools: from Nodes where there are any, else from the GPU types that workloads name, else assumed."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.names import free, name_of
from stoker.adopt.nodes import NodeGroup, node_groups
from stoker.audit.view.gpus import fit, guess_gpu
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Container, Workload
from stoker.catalog.gpus import Gpu, NodeShape, gpu, gpus, node_shapes
from stoker.kube.selectors import node_fits, nodes_terms

__all__ = ["KNOWN_RESOURCES", "PlannedPool", "Pools", "plan_pools"]

KNOWN_RESOURCES: Final = ("nvidia.com/", "amd.com/")
POOL_LABEL: Final = "stoker.dev/pool"
_TYPES: Final = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_MIG: Final = "nvidia.com/mig-"
# Tried in this order where nothing names a type: the first in which every model fits as it is laid out today.
_CANDIDATES: Final[Mapping[str, tuple[str, ...]]] = {
    "nvidia": ("L40S", "A100-SXM-80GB", "H100-SXM-80GB", "H200-SXM-141GB"),
    "amd": ("MI300X",),
}
_NOBODY: Final = "NO NODE AND NO WORKLOAD NAMES A GPU TYPE: put yours here"
# Until the demand is known; the check that follows puts the real figure here.
MANY_NODES: Final = 10_000


@dataclass
class PlannedPool:
    """A pool of the document to be.

    Attributes:
        resources: extended resources that it offers, as pods of today name them.
        counted: its nodes were counted; else their number follows from the demand.
        group: the nodes, where there are any.
    """

    name: str
    gpu: Gpu
    entry: dict[str, Any]
    resources: frozenset[str]
    counted: bool
    group: NodeGroup | None = None


@dataclass
class Pools:
    """Every pool, and which one a workload runs in."""

    planned: list[PlannedPool] = field(default_factory=list)
    of_workload: dict[int, PlannedPool] = field(default_factory=dict)

    def of(self, workload: Workload) -> PlannedPool | None:
        return self.of_workload.get(id(workload))

    def offering(self, resource: str) -> PlannedPool | None:
        """The first pool with the extended resource."""
        return next((pool for pool in self.planned if resource in pool.resources), None)


def plan_pools(view: View, ledger: Ledger) -> Pools:
    """Pools for every GPU workload of the view."""
    pools = Pools()
    for group in node_groups(view, ledger):
        name = free(group.name, [pool.name for pool in pools.planned])
        entry = {"name": name, **group.entry}
        pools.planned.append(PlannedPool(name, group.gpu, entry, group.resources, counted=True, group=group))
    if pools.planned:
        for workload in view.gpu_workloads:
            _on_nodes(workload, pools, ledger)
        return pools
    _from_workloads(view, pools, ledger)
    return pools


def _on_nodes(workload: Workload, pools: Pools, ledger: Ledger) -> None:
    wanted = set(workload.gpus)
    offering = [pool for pool in pools.planned if wanted & pool.resources]
    fitting = [
        pool
        for pool in offering
        if pool.group and any(node_fits(workload.pod, node.name, node.labels) for node in pool.group.nodes)
    ]
    if fitting:
        pools.of_workload[id(workload)] = fitting[0]
    elif workload.serves:
        ledger.note(
            workload.item,
            workload.path,
            "no node that was read takes its pods (GPU resource, nodeSelector or node affinity); the pool is left to sizing",
        )


def _from_workloads(view: View, pools: Pools, ledger: Ledger) -> None:
    # Of other makers' devices (Gaudi, Intel) the catalogue knows none.
    workloads = [
        workload for workload in view.gpu_workloads if min(workload.gpus).startswith(KNOWN_RESOURCES)
    ]
    guesses = {id(workload): _guess(view, workload) for workload in workloads}
    named = Counter(found.name for found in guesses.values() if found)
    unnamed = [workload for workload in workloads if guesses[id(workload)] is None]
    assumed: dict[str, Gpu] = {}
    for workload in unnamed:
        resource = min(workload.gpus)
        if resource not in assumed:
            assumed[resource] = _assumed(view, resource, named, unnamed)
        guesses[id(workload)] = assumed[resource]
    keys: dict[tuple[str, ...], PlannedPool] = {}
    sure = {id(workload) for workload in workloads} - {id(workload) for workload in unnamed}
    for workload in workloads:
        found = guesses[id(workload)]
        if found is None:
            continue
        resource = min(workload.gpus)
        label, shape = _selected(workload, POOL_LABEL), _shape(workload, found)
        key = (found.name, label or "", resource, shape.name if shape else "")
        if key not in keys:
            told = (
                "" if id(workload) in sure else "its pods name no type, others here do" if named else _NOBODY
            )
            keys[key] = _planned(found, resource, label, shape, pools=pools, ledger=ledger, unsure=told)
            pools.planned.append(keys[key])
        pools.of_workload[id(workload)] = keys[key]
        _widen(keys[key], workload)


def _guess(view: View, workload: Workload) -> Gpu | None:
    """The type that a workload's node selection names; for a part of a GPU just the same."""
    found = view.gpu(workload)
    if found is not None:
        return found.gpu
    whole = Container(workload.path, {"resources": {"limits": {"nvidia.com/gpu": "1"}}})
    other = guess_gpu(_with(workload, whole), view.of("Node"))
    return other.gpu if other else None


def _with(workload: Workload, container: Container) -> Workload:
    return Workload(
        workload.item, workload.part, workload.path, workload.pod, workload.labels, workload.annotations,
        workload.minimum, workload.maximum, containers=(container,),
    )  # fmt: skip


def _assumed(view: View, resource: str, named: Counter[str], unnamed: Iterable[Workload]) -> Gpu:
    if resource.startswith(_MIG):
        profile = resource.removeprefix(_MIG).replace(".me", "+me")
        offering = [item for item in gpus().values() if any(found.name == profile for found in item.mig)]
        likely = [item for item in offering if item.name in named] or offering
        if likely:
            return likely[0]
    vendor = "amd" if resource.startswith("amd.com/") else "nvidia"
    candidates = [name for name in named if gpu(name).vendor == vendor] or list(_CANDIDATES[vendor])
    mine = {id(workload) for workload in unnamed if resource in workload.gpus}
    servers = [server for server in view.running_servers if id(server.workload) in mine]
    best, most = gpu(candidates[0]), -1
    for name in candidates:
        candidate = gpu(name)
        sizes = [fit(server, candidate) for server in servers]
        good = sum(1 for size in sizes if size and size.layout and size.layout.fits)
        if good > most:
            best, most = candidate, good
    return best


def _planned(
    found: Gpu, resource: str, label: str | None, shape: NodeShape | None, *, pools: Pools, ledger: Ledger, unsure: str
) -> PlannedPool:  # fmt: skip
    entry: dict[str, Any] = {}
    if shape:
        entry["shape"] = shape.name
    else:
        entry |= {"gpu": found.name, "gpusPerNode": found.gpus_per_node}
    sharing = _sharing(found, resource)
    short = re.sub(r"-(sxm|pcie|nvl)\b", "", found.name.lower())
    taken = [pool.name for pool in pools.planned]
    name = free(name_of(label or (shape.name if shape else short), "gpu"), taken, sharing.get("mode", ""))
    if sharing:
        entry["sharing"] = sharing
        if sharing.get("replicas"):
            ledger.assume(f"pools.{name}.sharing", "time-slicing in 2", f"pods ask for {resource}")
        else:
            ledger.assume(
                f"pools.{name}.sharing",
                f"MIG {sharing['migProfiles']} on each GPU",
                f"pods ask for {resource}",
            )
    if unsure:
        ledger.assume(f"pools.{name}.gpu", found.name, unsure)
    if not shape:
        ledger.assume(
            f"pools.{name}.gpusPerNode",
            found.gpus_per_node,
            f"the usual server of {found.name}: no Node was read",
        )
    return PlannedPool(
        name, found, {"name": name, **entry, "nodes": MANY_NODES}, frozenset({resource}), counted=False
    )


def _sharing(found: Gpu, resource: str) -> dict[str, Any]:
    if resource.startswith(_MIG):
        profile = resource.removeprefix(_MIG).replace(".me", "+me")
        most = next((item.max_per_gpu for item in found.mig if item.name == profile), 0)
        return {"mode": "mig", "migProfiles": {profile: most}} if most else {}
    return {"mode": "time-slicing", "replicas": 2} if resource.endswith(".shared") else {}


def _widen(pool: PlannedPool, workload: Workload) -> None:
    """A node holds at least one pod's GPUs."""
    size = pool.entry.get("gpusPerNode")
    need = max(workload.gpus.values())
    if size is not None and "sharing" not in pool.entry and size < need <= 16:
        pool.entry["gpusPerNode"] = need


def _selected(workload: Workload, key: str) -> str | None:
    """The one value of a node label that the pods ask for."""
    selector: Mapping[str, str] = workload.pod.get("nodeSelector") or {}
    if key in selector:
        return selector[key]
    for term in nodes_terms(workload.pod):
        for entry in term.get("matchExpressions") or []:
            values = entry.get("values") or []
            if entry.get("key") == key and entry.get("operator") == "In" and len(values) == 1:
                return str(values[0])
    return None


def _shape(workload: Workload, found: Gpu) -> NodeShape | None:
    wanted = next((value for key in _TYPES if (value := _selected(workload, key))), None)
    return next(
        (item for item in node_shapes() if wanted and item.name == wanted and item.gpu == found.name), None
    )
