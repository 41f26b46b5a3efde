"""A fleet as the twin runs it: nodes, the models served on them, their neighbours, and what governs them.

Nodes, pods, quotas and scalers are plain Kubernetes objects: those that Stoker compiles, or those of a vanilla cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stoker.twin.engine import EngineSpec, Policy
from stoker.twin.fleet.sharing import GpuSharing
from stoker.twin.scheduler import DEFAULT_PROFILES, Profile

__all__ = ["Faults", "FleetSpec", "Neighbour", "NodeGroup", "Object", "Sources", "StartUp", "WorkloadSpec"]

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NodeGroup:
    """Nodes of one kind.

    Attributes:
        template: the Node object; name and zone label are filled in per node.
        nodes: how many at the start.
        max_nodes: what a cluster autoscaler may add up to; equal to ``nodes`` for a fixed group.
        gpus: physical GPUs of one node.
        cores, memory_bytes: CPU cores and physical host memory of one node.
        usd_per_gpu_hour: price.
        spot: the provider may take its nodes back.
        provision_s: from the autoscaler's request to a Ready node.
        sharing: how each GPU is divided among pods; None where they get whole ones.
    """

    name: str
    template: Object
    nodes: int
    max_nodes: int
    gpus: int
    cores: float
    memory_bytes: float
    usd_per_gpu_hour: float
    spot: bool = False
    provision_s: float = 300.0
    sharing: GpuSharing | None = None


@dataclass(frozen=True, slots=True)
class StartUp:
    """What a pod goes through between binding and Ready.

    Attributes:
        image_bytes: pulled once per node, through the registry.
        weights_bytes: read by every pod that starts.
        source: name of the `Sources` entry they come from; ``local`` reads the node's own disk.
        engine_s: imports, compile, CUDA graphs: once the weights are there.
    """

    image_bytes: float
    weights_bytes: float
    source: str
    engine_s: float


@dataclass(frozen=True, slots=True)
class Sources:
    """Bandwidth of what pods read at start, in bytes per second: of one reader, and of all readers together.

    ``local`` is per node. Readers share the total evenly (processor sharing).
    """

    each: Mapping[str, float]
    total: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class WorkloadSpec:
    """One model version behind its own route.

    Attributes:
        model, tenant, version: names; requests of ``model`` reach the version by ``weight`` percent.
        pod: Pod object of one member of a replica; name is filled in.
        pods_per_replica: pods that make one replica.
        gpus_per_pod: physical GPUs of one pod.
        engine: the engine of one replica.
        start_up: what a pod does before it is ready.
        min_replicas, max_replicas: bounds; alike where nothing scales it.
        scaled_object: KEDA ScaledObject, or None.
        hpa: HorizontalPodAutoscaler v2, or None. At most one of the two.
        knative: PodAutoscaler annotations, or None.
        policy: routing in front of the replicas.
        hold_timeout_s: how long requests are held while no replica is ready; None: refused at once.
        in_flight_limit: requests that one replica is given while others are held (a broker's consumer); None: all.
        drain_s: what running requests get when a pod is stopped.
        host_memory_bytes: resident host memory of one pod once it serves.
        cpu_idle, cpu_per_request: cores that a serving pod uses: busy loops of its workers, and per request in flight.
        ttft_slo_s, tpot_slo_s: the promise that goodput counts.
        adapters: LoRA adapters, each a model name to its clients.
        gpu_memory_bytes: of each of its GPUs that the engine takes when it starts, where GPUs are shared.
        max_surge, max_unavailable: replicas more, and fewer, than desired while a new version is rolled out.
    """

    model: str
    tenant: str
    version: str
    weight: float
    pod: Object
    pods_per_replica: int
    gpus_per_pod: float
    engine: EngineSpec
    start_up: StartUp
    min_replicas: int
    max_replicas: int
    scaled_object: Object | None
    hpa: Object | None
    knative: Object | None
    policy: Policy
    hold_timeout_s: float | None
    in_flight_limit: int | None
    drain_s: float
    host_memory_bytes: float
    cpu_idle: float
    cpu_per_request: float
    ttft_slo_s: float
    tpot_slo_s: float
    adapters: tuple[str, ...] = ()
    max_surge: int = 1
    max_unavailable: int = 0
    gpu_memory_bytes: float = 0.0

    @property
    def name(self) -> str:
        return self.model if self.version == "stable" else f"{self.model}-{self.version}"

    @property
    def gpus(self) -> float:
        """Physical GPUs of one replica."""
        return self.gpus_per_pod * self.pods_per_replica


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A pod that is no inference: a training job, a notebook, a microservice.

    Attributes:
        arrival_s, duration_s: when it is submitted, and how long it runs once it is bound.
        pod: Pod object with its namespace, requests and priority class.
        gpus: physical GPUs it takes.
        host_memory_bytes, cores: what it uses at its peak, whatever it asked for.
        busy_share: share of its GPU seconds in which the GPU works.
        gpu_memory_bytes: of each of its GPUs that it uses at its peak, where GPUs are shared.
        kind: ``training``, ``notebook`` or ``service``.
    """

    kind: str
    arrival_s: float
    duration_s: float
    pod: Object
    gpus: float
    host_memory_bytes: float
    cores: float
    busy_share: float
    gpu_memory_bytes: float = 0.0


@dataclass(frozen=True, slots=True)
class Faults:
    """What breaks and what is changed while the fleet runs; 0 is never.

    Attributes:
        node_mtbf_s: mean seconds between failures of one node; it is back, empty, after ``node_repair_s``.
        spot_reclaim_s: mean seconds between reclaims of one node of a spot group.
        drains: times at which one node after another is drained for maintenance.
        rollouts: times at which every model gets a new version by rolling update.
    """

    node_mtbf_s: float = 0.0
    node_repair_s: float = 3600.0
    spot_reclaim_s: float = 0.0
    drains: tuple[float, ...] = ()
    rollouts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """Everything that runs, and what governs it.

    Attributes:
        label: ``platform``, ``vanilla``, or what the caller compares.
        policies: Namespaces, ResourceQuotas, LimitRanges, PriorityClasses, PodDisruptionBudgets.
        profiles: of the schedulers, by scheduler name; a name that is not there gets the default profile.
    """

    label: str
    groups: tuple[NodeGroup, ...]
    workloads: tuple[WorkloadSpec, ...]
    neighbours: tuple[Neighbour, ...]
    policies: tuple[Object, ...]
    sources: Sources
    faults: Faults = field(default_factory=Faults)
    profiles: Mapping[str, Profile] = field(default_factory=lambda: DEFAULT_PROFILES)
    scrape_interval_s: float = 15.0
