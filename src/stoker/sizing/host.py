"""What one pod asks of its host: CPU, memory, /dev/shm."""

from dataclasses import dataclass
from typing import Final

__all__ = ["Host", "host_demand", "shm_bytes"]

_GIB: Final = 2**30
# A worker process spins one core for each GPU; the API server, tokenizers and the scheduler share the rest (project facts,
# 1a: "one busy-loop core per worker + API server/tokenizer").
_CORES_PER_GPU: Final = 2
_CORES_FIXED: Final = 4
# Python, CUDA host allocations and tokenizers of an engine, before any weights.
_BASE_BYTES: Final = 8 * _GIB
# safetensors are mapped, and their pages count against the cgroup until reclaimed: room for the shards keeps the cache
# from thrashing while they are copied to the GPUs (project facts, 1g: 1.0 to 1.3 times the shards, and shm).
_SHARD_FACTOR: Final = 1.1
# Pods never take a node whole: the kubelet, the device plugin and the exporters live there too.
_POD_SHARE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Host:
    """Requests of one pod; ``memory_bytes`` includes ``shm_bytes``, whose pages the cgroup counts."""

    millicores: int
    memory_bytes: int
    shm_bytes: int


def shm_bytes(gpus: int) -> int:
    """Shared memory: NCCL and the workers' message queues; 8 to 16 GiB with tensor parallelism (project facts, 1b)."""
    if gpus == 1:
        return 2 * _GIB
    return (8 if gpus == 2 else 16) * _GIB


def host_demand(
    weights: float, *, gpus_per_pod: int, pods: int, share: float, node_millicores: int, node_bytes: int
) -> Host:
    """Requests of one pod, never more than its share of the node.

    Args:
        weights: bytes of all weights, 0 where unknown.
        gpus_per_pod: GPUs (or shares of one) that the pod asks for.
        pods: pods of one replica.
        share: part of the node's GPUs that the pod takes, 0 to 1.
        node_millicores: the node's CPU.
        node_bytes: the node's memory.
    """
    shm = shm_bytes(gpus_per_pod)
    cores = _CORES_FIXED + _CORES_PER_GPU * gpus_per_pod
    memory = _BASE_BYTES + shm + _SHARD_FACTOR * weights / pods
    whole = max(1, round(min(memory, node_bytes * share * _POD_SHARE) / _GIB))
    millicores = min(cores * 1000, int(node_millicores * share * _POD_SHARE / 100) * 100)
    return Host(max(500, millicores), whole * _GIB, min(shm, whole * _GIB // 2))
