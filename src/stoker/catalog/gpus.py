"""GPU types: what a datasheet, the driver and the device plugin say about them, each figure with source and date."""

from dataclasses import dataclass, field

__all__ = ["Gpu", "Interconnect", "MigProfile", "NodeShape", "Price", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure was read and when (ISO date)."""

    url: str
    date: str


@dataclass(frozen=True, slots=True)
class Interconnect:
    """How the GPUs of one node talk to each other.

    Attributes:
        kind: ``nvlink-switch`` (every pair at full speed), ``nvlink-bridge`` (pairs only), ``xgmi`` or ``pcie``.
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
    """A cloud instance type with GPUs. Host memory in GiB, local NVMe in GB, network in Gbit/s."""

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
        product_labels: values of ``nvidia.com/gpu.product`` seen for it; the first is the usual one.
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
