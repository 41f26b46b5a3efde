"""Where a model goes and how it is split: pool, GPU slice and layout, chosen by cost among those that fit."""

from collections.abc import Mapping
from dataclasses import dataclass

from stoker.catalog.models import ModelArchitecture
from stoker.errors import Problem
from stoker.platform.models import Model, Parallelism, Tier
from stoker.sizing.layouts import Layout
from stoker.sizing.report import SizeReport, size_model
from stoker.sizing.resolved import GpuSlice, ResolvedPool

__all__ = ["Placement", "place"]


@dataclass(frozen=True, slots=True)
class Placement:
    """A pool, what one pod asks of it, and the layout of one replica; ``report`` holds the arithmetic behind it."""

    pool: ResolvedPool
    slice: GpuSlice
    layout: Layout
    report: SizeReport

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
            report = _report(model, architecture, pool, item, gpu_memory_utilization, context_length)
            layout = _layout(model, report)
            if layout is not None and _fits_pool(layout, pool):
                found.append(Placement(pool, item, layout, report))
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
