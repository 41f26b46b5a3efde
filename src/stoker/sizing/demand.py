"""What one replica can carry and what it asks of its host, from the sizing of its layout."""

from dataclasses import dataclass

from stoker.catalog.engines import EngineRelease
from stoker.catalog.models import ModelArchitecture
from stoker.platform.models import Model
from stoker.sizing.placement import Placement
from stoker.sizing.resolved import DeliveryKind

__all__ = ["Demand", "Host", "Startup", "host_demand", "measure", "startup"]


@dataclass(frozen=True, slots=True)
class Startup:
    seconds: int
    basis: str


@dataclass(frozen=True, slots=True)
class Host:
    millicores: int
    memory_bytes: int
    shm_bytes: int


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests one replica should hold, requests that may wait, replicas that the stated peak needs (None: unstated)."""

    concurrency: int
    queue: int
    replicas: int | None


def startup(weights_gib: float, kind: DeliveryKind) -> Startup:
    return Startup(int(weights_gib / 1.0 + 150), f"interim {kind}")


def host_demand(placement: Placement, gpus_per_pod: int) -> Host:
    shm = (16 if gpus_per_pod > 1 else 2) * 2**30
    memory = int(placement.weights_gib * 2**30) // placement.layout.nodes + shm + 8 * 2**30
    return Host(4000 * gpus_per_pod, memory, shm)


def measure(
    model: Model, engine: EngineRelease, architecture: ModelArchitecture | None, placement: Placement
) -> Demand:
    return Demand(64, 4, None)
