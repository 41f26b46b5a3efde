"""Fixed layouts against the pools: a replica that spans nodes needs a network made for it."""

from collections.abc import Iterator, Mapping

from stoker.platform.check.finding import Finding
from stoker.platform.check.pools import gpu_of, shape_of
from stoker.platform.cluster import Fabric, Pool, SharingMode
from stoker.platform.document import Platform
from stoker.platform.models import Model, Parallelism
from stoker.platform.positions import Path

__all__ = ["layouts", "must_span_nodes", "node_sizes"]


def node_sizes(platform: Platform) -> dict[str, int | None]:
    """GPUs in one node, by pool; None where nothing known says it."""
    return {pool.name: _node_size(pool) for pool in platform.pools}


def _node_size(pool: Pool) -> int | None:
    shape, kind = shape_of(pool), gpu_of(pool)
    return pool.gpus_per_node or (shape.gpus if shape else None) or (kind.gpus_per_node if kind else None)


def must_span_nodes(model: Model, sizes: Mapping[str, int | None]) -> bool:
    """Whether a fixed layout needs more GPUs than one node of any pool the model may use has."""
    layout = model.parallelism
    if not isinstance(layout, Parallelism):
        return False
    possible = [size for name, size in sizes.items() if model.pool in (None, name)]
    return bool(possible) and all(size is not None and _gpus(layout) > size for size in possible)


def _gpus(layout: Parallelism) -> int:
    return layout.tensor * layout.pipeline * layout.data


def layouts(platform: Platform) -> Iterator[Finding]:
    """Layouts that the user fixed; `auto` is chosen among those that fit."""
    sizes = node_sizes(platform)
    for index, model in enumerate(platform.models):
        if not isinstance(model.parallelism, Parallelism):
            continue
        pools = [pool for pool in platform.pools if model.pool in (None, pool.name)]
        refusals = [_refusal(model.parallelism, pool, sizes[pool.name]) for pool in pools]
        if pools and all(refusals):
            reasons = dict.fromkeys(text for text in refusals if text is not None)
            path: Path = ("models", index, "parallelism")
            layout = model.parallelism
            yield Finding(
                path,
                "; ".join(list(reasons)[:4]),
                found=f"tensor {layout.tensor} × pipeline {layout.pipeline} × data {layout.data} = {_gpus(layout)} GPUs",
                wanted="a layout that one of its pools can hold",
                fix="`parallelism: auto` takes the smallest layout that fits",
            )


def _refusal(layout: Parallelism, pool: Pool, size: int | None) -> str | None:
    gpus = _gpus(layout)
    if gpus > 1 and pool.sharing.mode is not SharingMode.NONE:
        return f"pool {pool.name} hands out parts of GPUs ({pool.sharing.mode.value}), and a layout over several GPUs needs whole ones"
    if size is None or gpus <= size:
        return None
    if pool.fabric is Fabric.NONE:
        return f"a node of pool {pool.name} has {size} GPUs, and without a fabric (infiniband, roce or efa) no replica spans nodes"
    if gpus > size * (pool.max_nodes or pool.nodes):
        return f"pool {pool.name} has {size * (pool.max_nodes or pool.nodes)} GPUs in all"
    return None
