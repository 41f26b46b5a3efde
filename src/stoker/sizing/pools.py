"""Node pools with their facts filled in: what a node has, what pods may ask for, how its nodes are selected."""

from collections import Counter
from typing import Any, Final

from stoker.catalog.gpus import Gpu, NodeShape, gpu, node_shape
from stoker.platform.base import bytes_of, millicores_of
from stoker.platform.cluster import Pool, SharingMode
from stoker.platform.document import Platform
from stoker.sizing.resolved import GpuSlice, ResolvedPool

__all__ = ["POOL_LABEL", "resolve_pools"]

POOL_LABEL: Final = "stoker.dev/pool"

# Least CPUs per GPU of the cloud shapes in the catalogue with eight data-centre GPUs (p4d and p4de: 96 / 8).
_CPUS_PER_GPU: Final = 12
# p4de.24xlarge: 1152 GiB of host memory beside 640 GiB of GPU memory; smaller shapes have less, never below this.
_HOST_BYTES_PER_GPU_BYTE: Final = 1.5


def resolve_pools(platform: Platform) -> dict[str, ResolvedPool]:
    """Fill in every pool. Names are valid here: `platform.check` has refused unknown GPUs and shapes."""
    types = Counter(_gpu_of(pool).name for pool in platform.pools)
    return {
        pool.name: _resolve(pool, platform, shared_type=types[_gpu_of(pool).name] > 1)
        for pool in platform.pools
    }


def _gpu_of(pool: Pool) -> Gpu:
    if pool.gpu is not None:
        return gpu(pool.gpu)
    if pool.shape is None:
        raise ValueError(f"pool {pool.name} names neither gpu nor shape")  # refused by platform.check before
    return gpu(node_shape(pool.shape).gpu)


def _resolve(pool: Pool, platform: Platform, *, shared_type: bool) -> ResolvedPool:
    shape = node_shape(pool.shape) if pool.shape else None
    kind = _gpu_of(pool)
    gpus = pool.gpus_per_node or (shape.gpus if shape else kind.gpus_per_node)
    price, price_source = _price(pool, platform, kind, shape)
    return ResolvedPool(
        spec=pool,
        gpu=kind,
        shape=shape,
        gpus_per_node=gpus,
        millicores=_millicores(pool, shape, gpus),
        memory_bytes=_memory(pool, shape, kind, gpus),
        nvme_bytes=_nvme(pool, shape),
        slices=_slices(pool, kind, gpus),
        node_selector_terms=_selector(pool, kind, shared_type=shared_type),
        taints=_taints(pool, kind),
        usd_per_gpu_hour=price,
        price_source=price_source,
    )


def _millicores(pool: Pool, shape: NodeShape | None, gpus: int) -> int:
    if pool.cpu is not None:
        return millicores_of(pool.cpu)
    return shape.vcpus * 1000 if shape else gpus * _CPUS_PER_GPU * 1000


def _memory(pool: Pool, shape: NodeShape | None, kind: Gpu, gpus: int) -> int:
    if pool.memory is not None:
        return bytes_of(pool.memory)
    gib = shape.memory_gib if shape else gpus * kind.memory_gib * _HOST_BYTES_PER_GPU_BYTE
    return int(gib * 2**30)


def _nvme(pool: Pool, shape: NodeShape | None) -> int:
    if pool.local_nvme is not None:
        return bytes_of(pool.local_nvme)
    return int(shape.local_nvme_gb * 10**9) if shape else 0


def _slices(pool: Pool, kind: Gpu, gpus: int) -> tuple[GpuSlice, ...]:
    sharing = pool.sharing
    if sharing.mode is SharingMode.MIG:
        profiles = {profile.name: profile for profile in kind.mig}
        return tuple(
            GpuSlice(
                # The device plugin's mixed strategy names the resource after the profile; "+me" becomes ".me".
                resource=f"nvidia.com/mig-{name.replace('+', '.')}",
                per_node=gpus * count,
                memory_gib=profiles[name].memory_gib,
                gpu_fraction=profiles[name].memory_gib / kind.memory_gib,
            )
            for name, count in sharing.mig_profiles.items()
        )
    if sharing.mode is SharingMode.NONE:
        return (GpuSlice(kind.resource, gpus, kind.memory_gib, 1.0),)
    # We set renameByDefault, so that a share is never mistaken for a GPU in a quota.
    return (
        GpuSlice(
            resource=f"{kind.resource}.shared",
            per_node=gpus * sharing.replicas,
            memory_gib=kind.memory_gib / sharing.replicas,
            gpu_fraction=1 / sharing.replicas,
        ),
    )


def _selector(pool: Pool, kind: Gpu, *, shared_type: bool) -> tuple[dict[str, Any], ...]:
    terms: list[dict[str, Any]] = []
    if kind.product_labels:
        key = "nvidia.com/gpu.product" if kind.vendor == "nvidia" else "amd.com/gpu.product-name"
        values = list(kind.product_labels)
        if pool.sharing.mode in {SharingMode.TIME_SLICING, SharingMode.MPS}:
            # GFD appends -SHARED where the plugin does not rename the shared resource (facts: NDP README 620-640);
            # both spellings are accepted so that the selector survives a change of that setting.
            values += [f"{value}-SHARED" for value in values]
        terms.append({"key": key, "operator": "In", "values": values})
    if shared_type or not terms:
        terms.append({"key": POOL_LABEL, "operator": "In", "values": [pool.name]})
    return tuple(terms)


def _taints(pool: Pool, kind: Gpu) -> tuple[dict[str, str], ...]:
    # The one key that the device plugin and GFD tolerate as shipped (NVIDIA/k8s-device-plugin v0.20.0, static manifest).
    own = {"key": kind.resource, "value": "present", "effect": "NoSchedule"}
    return (own, *({"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in pool.taints))


def _price(pool: Pool, platform: Platform, kind: Gpu, shape: NodeShape | None) -> tuple[float | None, str]:
    if pool.usd_per_gpu_hour is not None:
        return pool.usd_per_gpu_hour, f"pools.{pool.name}.usdPerGpuHour"
    for name, price in platform.cost.usd_per_gpu_hour.items():
        if gpu(name).name == kind.name:
            return price, f"cost.usdPerGpuHour.{name}"
    if shape is not None and shape.usd_per_hour is not None:
        return (
            shape.usd_per_hour / shape.gpus,
            f"list price of {shape.name} ({shape.source.url}, {shape.source.date})",
        )
    if kind.prices:
        lowest = min(kind.prices, key=lambda price: price.usd_per_gpu_hour)
        return (
            lowest.usd_per_gpu_hour,
            f"{lowest.provider} {lowest.terms} ({lowest.source.url}, {lowest.source.date})",
        )
    return None, "no list price known"
