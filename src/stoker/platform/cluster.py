"""The cluster and its GPU node pools."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from stoker.platform.base import HostName, Name, Quantity, Section, about

__all__ = [
    "Cluster",
    "Fabric",
    "GpuAllocation",
    "GpuStack",
    "Pool",
    "Scheduler",
    "Sharing",
    "SharingMode",
    "Taint",
]

LabelKey = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=317,
    ),
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)
]


class GpuStack(StrEnum):
    GPU_OPERATOR = "gpu-operator"
    DEVICE_PLUGIN = "device-plugin"


class GpuAllocation(StrEnum):
    DEVICE_PLUGIN = "device-plugin"
    DRA = "dra"


class Scheduler(StrEnum):
    AUTO = "auto"
    DEFAULT = "default"
    BIN_PACKING = "bin-packing"


class SharingMode(StrEnum):
    NONE = "none"
    TIME_SLICING = "time-slicing"
    MPS = "mps"
    MIG = "mig"


class Fabric(StrEnum):
    NONE = "none"
    INFINIBAND = "infiniband"
    ROCE = "roce"
    EFA = "efa"


class Cluster(Section):
    """The cluster that the objects are compiled for."""

    version: Annotated[
        str,
        StringConstraints(pattern=r"^1\.(3[3-7])$"),
        about(
            "Kubernetes minor version of the target cluster: 1.33 to 1.37.",
            why="1.35: the newest minor within the stated range of every pinned component that states one.",
        ),
    ] = "1.35"
    gpu_stack: Annotated[
        GpuStack,
        about(
            "Who brings the NVIDIA device plugin, GFD and the DCGM exporter: the GPU Operator, or the plain charts.",
            why="The GPU Operator also owns driver, container toolkit and MIG layout, so a replaced node comes back whole.",
        ),
    ] = GpuStack.GPU_OPERATOR
    gpu_allocation: Annotated[
        GpuAllocation,
        about(
            "How pods ask for GPUs: extended resources of the device plugin, or DRA ResourceClaims.",
            why="Quotas, autoscalers and dashboards of most clusters still count nvidia.com/gpu; DRA is opt-in.",
        ),
    ] = GpuAllocation.DEVICE_PLUGIN
    scheduler: Annotated[
        Scheduler,
        about(
            "Scheduler profile for GPU pods. `bin-packing` runs a second scheduler with MostAllocated on GPUs; `auto` "
            "does so where pods of different GPU counts share multi-GPU nodes.",
            why="The default profile (LeastAllocated) spreads one-GPU pods over eight-GPU nodes, and then no node has "
            "four free GPUs for a tensor-parallel pod.",
        ),
    ] = Scheduler.AUTO


class Taint(Section):
    """A taint that the pool's nodes carry besides the GPU taint."""

    key: Annotated[LabelKey, about("Taint key.")]
    value: Annotated[LabelValue, about("Taint value.")] = ""
    effect: Annotated[
        str,
        StringConstraints(pattern=r"^(NoSchedule|NoExecute|PreferNoSchedule)$"),
        about(
            "NoSchedule, NoExecute or PreferNoSchedule.",
            why="NoSchedule never evicts a running DaemonSet pod.",
        ),
    ] = "NoSchedule"


class Sharing(Section):
    """How one physical GPU is divided."""

    mode: Annotated[
        SharingMode,
        about(
            "none, time-slicing, mps or mig.",
            why="Whole GPUs: time-slicing isolates neither memory nor faults, MPS memory only, MIG both but fixes sizes.",
        ),
    ] = SharingMode.NONE
    replicas: Annotated[
        int, Field(ge=2, le=48), about("Shares of one GPU, for time-slicing and mps.", why="Two halves.")
    ] = 2
    mig_profiles: Annotated[
        dict[
            Annotated[str, StringConstraints(pattern=r"^\d+g\.\d+gb(\+me)?$")],
            Annotated[int, Field(ge=1, le=7)],
        ],
        Field(max_length=8),
        about("MIG slices of each GPU, profile to count, for example {3g.40gb: 2}.", example={"3g.40gb": 2}),
    ] = Field(default_factory=dict)


class Pool(Section):
    """Nodes of one kind."""

    name: Annotated[Name, about("Name of the pool; nodes carry it as label stoker.dev/pool.")]
    gpu: Annotated[
        str | None,
        Field(min_length=1, max_length=64),
        about(
            "GPU type from the catalogue (`stoker catalog gpus`); may be left out where `shape` says it.",
            why="The shape's.",
            example="A100-SXM-80GB",
        ),
    ] = None
    shape: Annotated[
        str | None,
        Field(min_length=1, max_length=64),
        about(
            "Cloud instance type; fills gpu, gpusPerNode, cpu, memory, localNvme and price.",
            why="None: own hardware, stated field by field.",
            example="p4de.24xlarge",
        ),
    ] = None
    nodes: Annotated[int, Field(ge=1, le=10_000), about("Number of nodes.")]
    max_nodes: Annotated[
        int | None,
        Field(ge=1, le=10_000),
        about("Upper bound where a node autoscaler may add nodes.", why="Equal to nodes: a fixed pool."),
    ] = None
    gpus_per_node: Annotated[
        int | None,
        Field(ge=1, le=16),
        about("GPUs in one node.", why="The usual server of that GPU type (8 in an HGX board)."),
    ] = None
    cpu: Annotated[
        Quantity | None,
        about(
            "CPUs of one node.",
            why="The shape's; else 12 per GPU, the least that cloud shapes of 2024-26 give.",
        ),
    ] = None
    memory: Annotated[
        Quantity | None,
        about("Host memory of one node.", why="The shape's; else 1.5 times the node's GPU memory."),
    ] = None
    local_nvme: Annotated[
        Quantity | None,
        about("Local NVMe of one node, for pre-staged models.", why="The shape's; else none."),
    ] = None
    fabric: Annotated[
        Fabric,
        about("Network between nodes for multi-node models.", why="None: most model layouts fit one node."),
    ] = Fabric.NONE
    sharing: Annotated[Sharing, about("How one GPU is divided among pods.")] = Sharing()
    spot: Annotated[
        bool,
        about(
            "Nodes can be reclaimed at any time.",
            why="False; only batch-tier models are placed on spot pools by auto.",
        ),
    ] = False
    zones: Annotated[
        tuple[HostName, ...],
        Field(max_length=16),
        about(
            "Failure zones that the nodes stand in.", why="Empty: one zone; replicas spread over hosts only."
        ),
    ] = ()
    labels: Annotated[
        dict[LabelKey, LabelValue],
        Field(max_length=32),
        about("Labels the nodes carry besides those of GFD."),
    ] = Field(default_factory=dict)
    taints: Annotated[
        tuple[Taint, ...], Field(max_length=8), about("Taints the nodes carry besides the GPU taint.")
    ] = ()
    usd_per_gpu_hour: Annotated[
        float | None,
        Field(gt=0, le=1000, allow_inf_nan=False),
        about(
            "Price of one GPU for one hour, in US dollars.",
            why="The catalogue's lowest on-demand list price.",
        ),
    ] = None
