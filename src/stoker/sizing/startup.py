"""Time from container start to ready: weights over the storage's bandwidth, then the engine's own start."""

from dataclasses import dataclass
from typing import Final

from stoker.sizing.resolved import DeliveryKind

__all__ = ["ENGINE_SECONDS", "LOAD_BANDWIDTH", "Startup", "load_seconds", "startup"]

# Bytes per second of one reader. NVMe: 141 GB in 90 s, shared volume: 141 GB in 8 min, hub: 141 GB in 15 min; the guide's
# figures, which the project's facts (1a, 1g) find plausible. Object stores are taken as shared volumes until measured.
LOAD_BANDWIDTH: Final = {
    DeliveryKind.NVME: 1.56e9,
    DeliveryKind.LOCAL_CACHE: 1.56e9,
    DeliveryKind.OCI: 1.56e9,
    DeliveryKind.PVC: 0.29e9,
    DeliveryKind.OBJECT_STORE: 0.29e9,
    DeliveryKind.HUB: 0.157e9,
}
# vLLM 0.26, Qwen3-32B on one H100: imports 73 s, engine initialisation with compile and CUDA graphs 73 s (llm-d guides,
# "cold start", read 2026-11-24).
ENGINE_SECONDS: Final = 146


@dataclass(frozen=True, slots=True)
class Startup:
    """Estimated seconds from container start to ready, and what they are made of."""

    seconds: int
    basis: str


def load_seconds(weights: float, kind: DeliveryKind) -> float:
    """Seconds to read the weights once, by a single replica: replicas that start together share a shared volume."""
    return weights / LOAD_BANDWIDTH[kind]


def startup(weights: float, kind: DeliveryKind) -> Startup:
    """Time to ready of one replica; ``weights`` in bytes, 0 where they are unknown."""
    load = load_seconds(weights, kind)
    speed = LOAD_BANDWIDTH[kind] / 1e9
    return Startup(
        round(load + ENGINE_SECONDS),
        f"estimate: {load:.0f} s for {weights / 1e9:.0f} GB by {kind.value} at {speed:.2g} GB/s, {ENGINE_SECONDS} s of engine start",
    )
