"""A view in, a platform document out: pools, tenants and models of what exists, in a file that passes `stoker check`."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from stoker.adopt.around import cluster, components, gateway, graphs, tenancy
from stoker.adopt.ledger import Adopted, Ledger, dump_order
from stoker.adopt.left import tell_what_is_left
from stoker.adopt.models import common_mode, plan_models
from stoker.adopt.names import managed, name_of
from stoker.adopt.planned import PlannedModel
from stoker.adopt.pools import Pools, plan_pools
from stoker.adopt.scaling import platform_autoscaling
from stoker.adopt.settle import settle
from stoker.adopt.tenants import Namespaces, find_namespaces, plan_tenants
from stoker.adopt.watch import observability
from stoker.adopt.weights import find_weights
from stoker.audit.view.view import View
from stoker.catalog.gpus import node_shape
from stoker.errors import InputError, Problem
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item
from stoker.platform.document import API_VERSION, Platform

__all__ = ["adopt"]

_ORDER: Final = tuple(info.alias or name for name, info in Platform.model_fields.items())
_LOOKED_FOR: Final = (
    "Deployments, StatefulSets, LeaderWorkerSets, InferenceServices or LLMInferenceServices with GPUs that run vLLM, SGLang, TGI, Triton or "
    "KServe's Hugging Face server, and say where their weights come from"
)


def adopt(view: View, line: Callable[[Item, Path], int] | None = None) -> Adopted:
    """Carry what exists over into a platform document.

    Args:
        view: what was read.
        line: finds the line of a field, for notes; the object's own line without it.

    Raises:
        InputError: there is no inference server that can be carried over.
    """
    ledger = Ledger(line) if line else Ledger()
    pools = plan_pools(view, ledger)
    namespaces = find_namespaces(view, ledger)
    weights = find_weights(view, ledger)
    models = plan_models(view, pools, namespaces, weights, ledger)
    if not models:
        raise _nothing(view, ledger)
    storage = [
        entry
        for entry in weights.entries.values()
        if any(model.entry.get("storage") == entry["name"] for model in models)
    ]
    used = [
        pool
        for pool in pools.planned
        if pool.counted or any(model.pool is pool for model in models) or _taken(view, pools, pool.name)
    ]
    pools.planned[:] = used
    mode = common_mode(models)
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "Platform",
        "name": _platform_name(view, ledger),
        "cluster": cluster(view, ledger),
        "pools": [pool.entry for pool in used],
        "tenants": _tenants(view, namespaces, models, pools, ledger),
        "models": [model.entry for model in models],
        "graphs": graphs(view, models, namespaces, ledger),
        "storage": storage,
        "serving": {
            "mode": mode,
            **({"gateway": found} if (found := gateway(view, namespaces, ledger)) else {}),
        },
        "autoscaling": platform_autoscaling(view),
        "tenancy": tenancy(view, namespaces, models, ledger),
        "observability": observability(view, namespaces, ledger),
        "components": components(view),
    }
    _disks(models, storage, ledger)
    for model in models:
        if model.entry.get("serving") == mode:
            del model.entry["serving"]
    document = dump_order(document, _ORDER)
    others = {pool.name: _taken(view, pools, pool.name, models) for pool in used}
    settle(document, models, used, others, ledger)
    document["pools"] = [_ordered_pool(pool) for pool in document["pools"]]
    tell_what_is_left(view, namespaces, ledger)
    return Adopted(document, tuple(ledger.notes), tuple(ledger.assumptions.values()))


def _disks(models: list[PlannedModel], storage: list[dict[str, Any]], ledger: Ledger) -> None:
    """Pools whose nodes hold staged weights have disks for them, whatever the nodes' labels say."""
    staged = {entry["name"] for entry in storage if entry["kind"] == "nvme"}
    for model in models:
        if (
            model.entry.get("storage") in staged
            and model.pool is not None
            and "localNvme" not in model.pool.entry
        ):
            shape = model.pool.entry.get("shape")
            if shape and node_shape(str(shape)).local_nvme_gb > 0:
                continue
            model.pool.entry["localNvme"] = "1Ti"
            ledger.assume(
                f"pools.{model.pool.name}.localNvme",
                "1Ti",
                f"the weights of {model.name} are staged on its nodes; no size was read",
            )


def _nothing(view: View, ledger: Ledger) -> InputError:
    reasons = [
        Problem(f"was not read: {unread.reason}", file=unread.what, line=unread.line, column=1)
        for unread in view.snapshot.unread[:10]
        if not unread.harmless
    ]
    reasons += [
        Problem(note.message, path=note.path, file=note.file, line=note.line, column=1, found=note.object)
        for note in list(ledger.notes)[:10]
        if "not carried over" in note.message
    ]
    return InputError([Problem("no inference server here can be adopted", wanted=_LOOKED_FOR), *reasons])


def _platform_name(view: View, ledger: Ledger) -> str:
    names = Counter(
        item.labels.get("app.kubernetes.io/part-of", "") for item in view.snapshot.items if managed(item)
    )
    best = names.most_common(1)[0][0] if names else ""
    if best and best == name_of(best, ""):
        return best
    ledger.assume("name", "adopted", "the source does not name a platform")
    return "adopted"


def _tenants(
    view: View, namespaces: Namespaces, models: list[PlannedModel], pools: Pools, ledger: Ledger
) -> list[dict[str, Any]]:
    tenants = plan_tenants(view, namespaces, pools, ledger)
    owners = {model.entry["tenant"] for model in models}
    return sorted(tenants, key=lambda tenant: tenant["name"] not in owners)


def _taken(view: View, pools: Pools, name: str, models: list[PlannedModel] | None = None) -> int:
    """GPUs that workloads beside the models take of a pool at their most."""
    own = {id(item) for model in models or [] for item in (model.server.item, *model.items)}
    return sum(
        workload.gpu_count * max(view.replicas(workload)) * workload.pods_per_replica
        for workload in view.gpu_workloads
        if id(workload.item) not in own
        and (pool := pools.of(workload))
        and pool.name == name
        and workload.item.kind != "DaemonSet"
    )


def _ordered_pool(entry: dict[str, Any]) -> dict[str, Any]:
    order = (
        "name",
        "gpu",
        "shape",
        "nodes",
        "maxNodes",
        "gpusPerNode",
        "cpu",
        "memory",
        "localNvme",
        "fabric",
        "sharing",
        "spot",
        "zones",
        "labels",
        "taints",
    )
    return dump_order(entry, order)
