"""The platform with every open question answered: the one value that all compilers, the twin and the plan read.

`stoker.sizing.resolve.resolve` makes it from a Platform and the catalogue. Nothing below asks the catalogue again.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stoker.catalog.engines import EngineRelease
from stoker.catalog.gpus import Gpu, NodeShape
from stoker.catalog.models import ModelArchitecture
from stoker.platform.autoscaling import Broker, CronWindow, Signal, Wake
from stoker.platform.cluster import Pool, SharingMode
from stoker.platform.document import Platform
from stoker.platform.models import Model
from stoker.platform.serving import ServingMode
from stoker.platform.storage import Storage
from stoker.platform.tenants import Tenant

__all__ = [
    "Delivery",
    "DeliveryKind",
    "GpuSlice",
    "Note",
    "ResolvedCanary",
    "ResolvedModel",
    "ResolvedPlatform",
    "ResolvedPool",
    "ResolvedTenant",
    "Scaling",
    "Severity",
]


class Severity(StrEnum):
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Note:
    """Something the user should know though it is no error. ``path`` is the field path in the platform file."""

    severity: Severity
    path: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class GpuSlice:
    """What a pod of the pool can ask for: a whole GPU, a share of one, or a MIG slice.

    Attributes:
        resource: extended resource name (``nvidia.com/gpu``, ``nvidia.com/gpu.shared``, ``nvidia.com/mig-3g.40gb``).
        per_node: how many of it one node advertises.
        memory_gib: device memory that one of it may use.
        gpu_fraction: share of a physical GPU, for money and utilisation.
    """

    resource: str
    per_node: int
    memory_gib: float
    gpu_fraction: float


@dataclass(frozen=True, slots=True)
class ResolvedPool:
    """A pool with its facts filled in.

    Attributes:
        gpus_per_node: physical GPUs of one node.
        millicores, memory_bytes, nvme_bytes: of one node.
        slices: what pods may ask for; one entry but for MIG with several profiles.
        node_selector_terms: matchExpressions that select the pool's nodes by GFD labels (and by stoker.dev/pool where
            two pools share a GPU type).
        taints: every taint its nodes carry, the GPU taint first.
        usd_per_gpu_hour: price, with where it comes from in ``price_source``.
    """

    spec: Pool
    gpu: Gpu
    shape: NodeShape | None
    gpus_per_node: int
    millicores: int
    memory_bytes: int
    nvme_bytes: int
    slices: tuple[GpuSlice, ...]
    node_selector_terms: tuple[dict[str, Any], ...]
    taints: tuple[dict[str, str], ...]
    usd_per_gpu_hour: float | None
    price_source: str

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def max_nodes(self) -> int:
        return self.spec.max_nodes or self.spec.nodes

    @property
    def gpus(self) -> int:
        """Physical GPUs of the pool at its fixed size."""
        return self.spec.nodes * self.gpus_per_node

    @property
    def tolerations(self) -> list[dict[str, str]]:
        """Tolerations for every taint of the pool's nodes."""
        return [
            {"key": taint["key"], "operator": "Equal", "value": taint["value"], "effect": taint["effect"]}
            if taint.get("value") and taint["key"] != self.gpu.resource
            else {"key": taint["key"], "operator": "Exists", "effect": taint["effect"]}
            for taint in self.taints
        ]


@dataclass(frozen=True, slots=True)
class ResolvedTenant:
    """A tenant with its names and numbers.

    Attributes:
        priority_class: name of its PriorityClass.
        gpu_quota: extended resource name -> ceiling; empty where no ceiling was asked for or follows from models.
        max_gpus_per_pod: guardrail, None for none.
    """

    spec: Tenant
    namespace: str
    priority_class: str
    priority: int
    preempts: bool
    gpu_quota: dict[str, int]
    pods_quota: int | None
    max_gpus_per_pod: int | None

    @property
    def name(self) -> str:
        return self.spec.name


class DeliveryKind(StrEnum):
    """How weights reach the engine's file system."""

    PVC = "pvc"  # a ReadWriteMany or ReadOnlyMany claim, mounted
    NVME = "nvme"  # staged on each node ahead, mounted read-only through a local volume
    LOCAL_CACHE = "local-cache"  # KServe LocalModelCache: KServe copies to the nodes' disks
    OBJECT_STORE = "object-store"  # downloaded by the storage initializer, or streamed by the engine
    OCI = "oci"  # image volume or modelcar
    HUB = "hub"  # downloaded from the hub at start


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one model's weights are delivered.

    Attributes:
        source: URI the user gave.
        serve_uri: KServe storageUri that pods use (``pvc://CLAIM/PATH``, ``oci://…``, ``s3://…``).
        claim: PersistentVolumeClaim mounted by pods, or empty.
        sub_path: path of the model within the claim.
        mount_path: where the engine finds the model inside the container.
        copy: weights must be copied from ``source`` into the volume once (a Job) or on every node (a DaemonSet).
        entry: the storage entry, None for pvc:// sources and for direct downloads without an entry.
    """

    kind: DeliveryKind
    source: str
    serve_uri: str
    claim: str
    sub_path: str
    mount_path: str
    copy: bool
    entry: Storage | None


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the replica count moves.

    Attributes:
        enabled: a ScaledObject is emitted (or Knative scales).
        signal: never AUTO.
        target_concurrency: requests one replica should hold (sized concurrency x target utilisation), at least 1.
        target_queue: waiting requests per replica that start the next one, at least 1.
        wake: what starts the first replica; None where min >= 1.
        cooldown_seconds: KEDA cooldownPeriod and initialCooldownPeriod of a tier at zero.
        scale_down_seconds: HPA scaleDown stabilisation window.
    """

    enabled: bool
    signal: Signal
    target_concurrency: int
    target_queue: int
    wake: Wake | None
    broker: Broker | None
    warm_up: tuple[CronWindow, ...]
    cooldown_seconds: int
    scale_down_seconds: int


@dataclass(frozen=True, slots=True)
class ResolvedCanary:
    """The second version. ``workload`` is the Deployment it runs in, where the mode makes one."""

    name: str
    delivery: Delivery
    release: EngineRelease
    traffic_percent: int
    replicas: int
    args: tuple[str, ...]
    workload: str
    service: str


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A model with its place, its layout and its names.

    Attributes:
        architecture: None where the catalogue does not know the model (custom engines only).
        slice: what its pods ask for.
        tensor, pipeline, data: parallelism of one replica.
        nodes_per_replica: pods that make one replica (1, or the size of the multi-node group).
        gpus_per_pod: number of ``slice.resource`` that one pod asks for.
        max_sequences: full-length sequences that the KV pool of one replica holds.
        max_num_seqs: batch bound given to the engine, None to leave the engine's default.
        kv_tokens: tokens that the KV pool of one replica holds; 0 where unknown.
        weights_gib: bytes of all weights / 2**30; 0 where unknown.
        startup_seconds: estimated time from container start to ready (load + compile + capture), see ``startup_basis``.
        millicores, memory_bytes, shm_bytes: requests of one pod.
        min_replicas, max_replicas: bounds.
        max_surge, max_unavailable: rolling update that fits the pool and the quota.
        drain_seconds: what --shutdown-timeout and the grace period allow running streams.
        workload: name of the Deployment (or LeaderWorkerSet) that holds the pods, as the mode's controller names it.
        service: name of the Service in front of the pods; ``service_port`` its port.
        pod_labels: labels that select exactly this model's pods of all versions.
        scheduler_name: None for the default scheduler.
    """

    spec: Model
    tenant: ResolvedTenant
    pool: ResolvedPool
    slice: GpuSlice
    mode: ServingMode
    release: EngineRelease
    architecture: ModelArchitecture | None
    delivery: Delivery
    context_length: int
    tensor: int
    pipeline: int
    data: int
    nodes_per_replica: int
    gpus_per_pod: int
    dtype: str
    quantization: str
    gpu_memory_utilization: float
    max_sequences: int
    max_num_seqs: int | None
    kv_tokens: int
    weights_gib: float
    startup_seconds: int
    startup_basis: str
    millicores: int
    memory_bytes: int
    shm_bytes: int
    min_replicas: int
    max_replicas: int
    max_surge: int
    max_unavailable: int
    drain_seconds: int
    scaling: Scaling
    canary: ResolvedCanary | None
    workload: str
    service: str
    service_port: int
    port: int
    pod_labels: dict[str, str]
    scheduler_name: str | None
    image: str

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def namespace(self) -> str:
        return self.tenant.namespace

    @property
    def gpus_per_replica(self) -> int:
        return self.gpus_per_pod * self.nodes_per_replica

    @property
    def device_utilization(self) -> float:
        """What the engine's own option must say: engines reckon with the whole device, also where a pod has a share of it."""
        if self.pool.spec.sharing.mode in {SharingMode.TIME_SLICING, SharingMode.MPS}:
            return math.floor(self.gpu_memory_utilization * self.slice.gpu_fraction * 1000) / 1000
        return self.gpu_memory_utilization

    @property
    def peak_gpus(self) -> int:
        """GPUs charged at most: maximum replicas, rolling-update surge and canary."""
        canary = self.canary.replicas if self.canary else 0
        return (self.max_replicas + self.max_surge + canary) * self.gpus_per_replica


@dataclass(frozen=True, slots=True)
class ResolvedPlatform:
    """Everything, resolved. Names are unique; lookups by name are mappings in the user's order."""

    spec: Platform
    pools: dict[str, ResolvedPool]
    tenants: dict[str, ResolvedTenant]
    models: dict[str, ResolvedModel]
    bin_packing: bool
    notes: tuple[Note, ...] = field(default=())

    def models_of(self, tenant: str) -> list[ResolvedModel]:
        return [model for model in self.models.values() if model.tenant.name == tenant]
