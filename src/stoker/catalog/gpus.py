"""GPU types: what a datasheet, the driver and the device plugin say about them, each figure with source and date."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from stoker.catalog._load import read_data
from stoker.errors import UnknownNameError

__all__ = [
    "Gpu",
    "Interconnect",
    "MigProfile",
    "NodeShape",
    "Price",
    "Source",
    "gpu",
    "gpus",
    "node_shape",
    "node_shapes",
    "shapes_with",
]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure was read and when (ISO date)."""

    url: str
    date: str


@dataclass(frozen=True, slots=True)
class Interconnect:
    """How the GPUs of one node talk to each other.

    Attributes:
        kind: ``nvlink-switch`` (every pair at full speed), ``nvlink-mesh`` (direct links, not between every
            pair: V100), ``nvlink-bridge`` (pairs only), ``xgmi`` or ``pcie``.
        gb_per_s: bidirectional bandwidth of one GPU, GB/s (10^9).
        domain_gpus: GPUs within one fast domain (8 in an HGX node, 72 in a GB200 NVL72 rack, 2 on a bridge, 1 on PCIe).
    """

    kind: str
    gb_per_s: float
    domain_gpus: int


@dataclass(frozen=True, slots=True)
class MigProfile:
    """One MIG slice shape, e.g. ``1g.10gb``; ``max_per_gpu`` slices of it fit one GPU. ``memory_gib`` is usable."""

    name: str
    memory_gib: float
    compute_slices: int
    max_per_gpu: int


@dataclass(frozen=True, slots=True)
class Price:
    """A list price of one GPU for one hour, in US dollars."""

    usd_per_gpu_hour: float
    provider: str
    terms: str
    source: Source


@dataclass(frozen=True, slots=True)
class NodeShape:
    """A cloud instance type with GPUs.

    Host memory in GiB; local NVMe in GB and network in Gbit/s, each 0 where the source states none; ``rdma``: the
    network does GPUDirect RDMA; ``usd_per_hour`` is the on-demand list price of the whole machine.
    """

    provider: str
    name: str
    gpu: str
    gpus: int
    vcpus: int
    memory_gib: float
    local_nvme_gb: float
    network_gbps: float
    rdma: bool
    usd_per_hour: float | None
    source: Source


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU type.

    Attributes:
        name: canonical name, e.g. ``A100-SXM-80GB``.
        vendor: ``nvidia`` or ``amd``.
        family: architecture as GFD prints ``nvidia.com/gpu.family`` (``ampere``), or AMD's (``cdna3``).
        compute_capability: ``8.0`` (NVIDIA) or the gfx target (AMD).
        memory_gib: usable device memory in GiB as the driver reports it to a process (A100-80GB: 79.15).
        memory_mib_label: what GFD prints as ``nvidia.com/gpu.memory`` (MiB; A100-80GB: 81920), 0 where unknown.
        bandwidth_gb_s: memory bandwidth, GB/s (10^9).
        tflops: dense (no sparsity) tensor TFLOPS by precision; a missing precision has no hardware support.
        interconnect: within a node.
        resource: extended resource name, ``nvidia.com/gpu`` or ``amd.com/gpu``.
        product_labels: values of ``nvidia.com/gpu.product`` (AMD: ``amd.com/gpu.product-name``) seen for it; the
            first is the usual one.
        gpus_per_node: usual GPUs in one server.
        mig: MIG profiles, empty where unsupported.
        prices: list prices, cheapest on-demand first.
        sources: field name -> source.
    """

    name: str
    vendor: str
    family: str
    compute_capability: str
    memory_gib: float
    memory_mib_label: int
    bandwidth_gb_s: float
    tflops: dict[str, float]
    interconnect: Interconnect
    resource: str
    product_labels: tuple[str, ...]
    gpus_per_node: int
    aliases: tuple[str, ...] = ()
    mig: tuple[MigProfile, ...] = ()
    prices: tuple[Price, ...] = ()
    sources: dict[str, Source] = field(default_factory=dict)


def _key(name: str) -> str:
    return name.strip().casefold().replace("_", "-").replace(" ", "-")


def _sources(data: Mapping[str, Any]) -> dict[str, Source]:
    return {short: Source(**page) for short, page in data["sources"].items()}


def _gpu(name: str, raw: Mapping[str, Any], sources: Mapping[str, Source]) -> Gpu:
    memory_gib, memory_mib = raw["memory"]
    prices = (Price(usd, provider, terms, sources[page]) for usd, provider, terms, page in raw["prices"])
    return Gpu(
        name=name,
        vendor=raw["vendor"],
        family=raw["family"],
        compute_capability=raw["cc"],
        memory_gib=float(memory_gib),
        memory_mib_label=memory_mib,
        bandwidth_gb_s=float(raw["bandwidth"]),
        tflops={precision: float(value) for precision, value in raw["tflops"].items()},
        interconnect=Interconnect(*raw["interconnect"]),
        resource=raw.get("resource", "nvidia.com/gpu"),
        product_labels=tuple(raw["labels"]),
        gpus_per_node=raw["node"],
        aliases=tuple(dict.fromkeys((*raw.get("aliases", ()), *raw["labels"]))),
        mig=tuple(
            MigProfile(profile, float(gib), *rest) for profile, (gib, *rest) in raw.get("mig", {}).items()
        ),
        prices=tuple(prices),
        sources={figure: sources[page] for figure, page in raw["from"].items()},
    )


@cache
def gpus() -> Mapping[str, Gpu]:
    """Every known GPU type by canonical name, oldest architecture first; read-only."""
    data = read_data("gpus.yaml")
    sources = _sources(data)
    return MappingProxyType({name: _gpu(name, raw, sources) for name, raw in data["gpus"].items()})


@cache
def _gpus_by_key() -> Mapping[str, Gpu]:
    return {_key(name): found for found in gpus().values() for name in (found.name, *found.aliases)}


def gpu(name: str) -> Gpu:
    """The GPU type called ``name``: canonical name, alias or GFD product label, in any case.

    ``_``, space and ``-`` are alike.

    Raises:
        UnknownNameError: no GPU type has that name or alias.
    """
    found = _gpus_by_key().get(_key(name))
    if found is None:
        known = (each for entry in gpus().values() for each in (entry.name, *entry.aliases))
        raise UnknownNameError("GPU", name, known)
    return found


@cache
def node_shapes() -> tuple[NodeShape, ...]:
    """Every known cloud instance type with GPUs, by provider, then by GPU generation and size."""
    data = read_data("node_shapes.yaml")
    sources = _sources(data)
    return tuple(
        _shape(provider, row, sources)
        for provider, rows in data.items()
        if provider != "sources"
        for row in rows
    )


def _shape(provider: str, row: list[Any], sources: Mapping[str, Source]) -> NodeShape:
    name, gpu_name, count, vcpus, memory, nvme, network, rdma, usd, *page = row
    return NodeShape(
        provider=provider,
        name=name,
        gpu=gpu_name,
        gpus=count,
        vcpus=vcpus,
        memory_gib=float(memory),
        local_nvme_gb=float(nvme),
        network_gbps=float(network),
        rdma=rdma,
        usd_per_hour=None if usd is None else float(usd),
        source=sources[page[0] if page else provider],
    )


def node_shape(name: str) -> NodeShape:
    """The instance type called ``name``, in any case.

    Raises:
        UnknownNameError: no known instance type has that name.
    """
    key = _key(name)
    for shape in node_shapes():
        if _key(shape.name) == key:
            return shape
    raise UnknownNameError("node shape", name, (shape.name for shape in node_shapes()))


def shapes_with(gpu_name: str) -> tuple[NodeShape, ...]:
    """The instance types that carry the GPU called ``gpu_name`` (any name :func:`gpu` takes), in catalogue order.

    Raises:
        UnknownNameError: no GPU type has that name or alias.
    """
    canonical = gpu(gpu_name).name
    return tuple(shape for shape in node_shapes() if shape.gpu == canonical)
