"""Where a model goes and how it is split: pool, GPU slice and layout, chosen by cost among those that fit."""

from collections.abc import Mapping
from dataclasses import dataclass

from stoker.catalog.engines import EngineRelease
from stoker.catalog.models import ModelArchitecture
from stoker.errors import Problem
from stoker.platform.cluster import Fabric
from stoker.platform.models import Model, Parallelism, Tier
from stoker.sizing.layouts import Layout, choose_layout
from stoker.sizing.report import SizeReport, size_model, speed_of
from stoker.sizing.resolved import GpuSlice, ResolvedPool
from stoker.sizing.throughput import Speed

__all__ = ["Placement", "place", "place_unknown"]


@dataclass(frozen=True, slots=True)
class Placement:
    """A pool, what one pod asks of it, and the layout of one replica.

    ``report`` holds the arithmetic behind it; None, with weights of 0, for a model whose architecture nobody knows.
    """

    pool: ResolvedPool
    slice: GpuSlice
    layout: Layout
    report: SizeReport | None
    weights: int
    dtype: str
    quantization: str

    @property
    def weights_gib(self) -> float:
        return self.weights / 2**30

    @property
    def speed(self) -> Speed | None:
        """Estimated speed of one replica; None where the architecture is unknown."""
        return speed_of(self.report, self.layout) if self.report else None

    @property
    def usd_per_hour(self) -> float:
        """Price of one replica for one hour; infinite where no price is known, so that a known price wins."""
        price = self.pool.usd_per_gpu_hour
        return float("inf") if price is None else price * self.layout.gpus * self.slice.gpu_fraction


def place(
    model: Model,
    architecture: ModelArchitecture,
    pools: Mapping[str, ResolvedPool],
    *,
    engine: EngineRelease,
    gpu_memory_utilization: float,
    context_length: int,
    path: str,
) -> Placement | Problem:
    """Choose pool, slice and layout, or say why nothing fits and what would.

    A named pool is used or refused. Otherwise the cheapest replica wins, spot pools only for the batch tier, the
    earlier pool on a tie.
    """
    candidates = (
        [pools[model.pool]]
        if model.pool
        else [pool for pool in pools.values() if model.tier is Tier.BATCH or not pool.spec.spot]
    )
    found: list[Placement] = []
    refusals: list[str] = []
    for pool in candidates:
        for item in pool.slices:
            report = _report(
                model,
                architecture,
                pool,
                item,
                engine=engine,
                gpu_memory_utilization=gpu_memory_utilization,
                context_length=context_length,
            )
            layout = _layout(model, report)
            if layout is not None and _fits_pool(layout, pool):
                found.append(_placed(pool, item, layout, report))
            else:
                refusals.append(f"{pool.name} ({pool.gpu.name}): {_why_not(model, report, layout, pool)}")
    if found:
        return min(found, key=lambda placement: placement.usd_per_hour)
    named = isinstance(model.parallelism, Parallelism)
    return Problem(
        f"{architecture.name} fits no pool as asked: "
        + "; ".join(refusals or ["no pool may hold it (spot only)"]),
        path=f"{path}.parallelism" if named else path,
        wanted="a layout whose weights and KV cache fit",
        fix=f"`stoker size {architecture.name} --gpu {candidates[0].gpu.name if candidates else 'H100-SXM-80GB'}` lists "
        "every layout with its reason; a larger pool, quantisation or a shorter contextLength helps",
    )


def _report(
    model: Model,
    architecture: ModelArchitecture,
    pool: ResolvedPool,
    item: GpuSlice,
    *,
    engine: EngineRelease,
    gpu_memory_utilization: float,
    context_length: int,
) -> SizeReport:
    return size_model(
        architecture,
        pool.gpu,
        gpus_per_node=1 if item.gpu_fraction < 1 else pool.gpus_per_node,
        memory_gib=item.memory_gib,
        precision=model.precision,
        quantization=model.quantization,
        kv_dtype=model.kv_cache_dtype,
        context_length=context_length,
        gpu_memory_utilization=gpu_memory_utilization,
        max_num_seqs=model.max_num_seqs,
        engine=engine,
    )


def _layout(model: Model, report: SizeReport) -> Layout | None:
    """The layout the user fixed, where it fits; else the smallest useful one."""
    wanted = model.parallelism
    if not isinstance(wanted, Parallelism):
        return choose_layout(report.layouts)
    return next(
        (
            layout
            for layout in report.layouts
            if layout.fits
            and (layout.tensor_parallel, layout.pipeline_parallel) == (wanted.tensor, wanted.pipeline)
        ),
        None,
    )


def _fits_pool(layout: Layout, pool: ResolvedPool) -> bool:
    """Several nodes need a fabric between them."""
    return layout.nodes == 1 or pool.spec.fabric is not Fabric.NONE


def _why_not(model: Model, report: SizeReport, layout: Layout | None, pool: ResolvedPool) -> str:
    if layout is not None:
        return (
            f"TP{layout.tensor_parallel} PP{layout.pipeline_parallel} needs {layout.nodes} nodes, and pool {pool.name} has no "
            "fabric between nodes"
        )
    wanted = model.parallelism
    if isinstance(wanted, Parallelism):
        for candidate in report.layouts:
            if (candidate.tensor_parallel, candidate.pipeline_parallel) == (wanted.tensor, wanted.pipeline):
                return f"TP{wanted.tensor} PP{wanted.pipeline}: {candidate.reason}"
        return f"TP{wanted.tensor} PP{wanted.pipeline} is no layout of this pool's nodes"
    largest = max(report.layouts, key=lambda candidate: candidate.gpus)
    return f"up to {largest.gpus} GPUs: {largest.reason}"


def _placed(pool: ResolvedPool, item: GpuSlice, layout: Layout, report: SizeReport) -> Placement:
    return Placement(
        pool, item, layout, report, report.weights, report.width.dtype, report.width.quantization
    )


def place_unknown(model: Model, pools: Mapping[str, ResolvedPool], *, path: str) -> Placement | Problem:
    """Place a model that only its custom image knows: the layout the user gives, one GPU otherwise, nothing assumed fits."""
    wanted = model.parallelism if isinstance(model.parallelism, Parallelism) else Parallelism()
    gpus = wanted.tensor * wanted.pipeline
    candidates = [pools[model.pool]] if model.pool else list(pools.values())
    for pool in candidates:
        for item in pool.slices:
            if gpus <= item.per_node or pool.spec.fabric is not Fabric.NONE:
                nodes = -(-gpus // item.per_node)
                layout = Layout(
                    wanted.tensor,
                    wanted.pipeline,
                    True,
                    "not sized: unknown architecture",
                    0.0,
                    0,
                    0,
                    gpus,
                    nodes,
                )
                return Placement(pool, item, layout, None, 0, "auto", "none")
    return Problem(
        f"no pool has {gpus} GPUs in one node, or a fabric between its nodes",
        path=f"{path}.parallelism",
        wanted="a layout that fits one node",
        fix="lower parallelism, or set the pool's fabric",
    )
