"""What a share of a GPU is to the engine on it: memory that it takes, blocks it gets for that, speed that is left.

An engine's share of memory is of the *whole* device (vllm/v1/worker/gpu_worker.py asks CUDA for the total, which
neither time-slicing nor MPS makes smaller; NVIDIA/k8s-device-plugin issue 764), whatever sizing means by it. So the
figure is taken from the compiled command, and where that says nothing from the release's default.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from stoker.catalog.gpus import Gpu
from stoker.platform.cluster import SharingMode
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.resolved import GpuSlice, ResolvedModel, ResolvedPool
from stoker.twin.fleet.sharing import GpuSharing

__all__ = ["computing_part", "engine_memory", "gpu_sharing", "kv_tokens_of"]

_GIB: Final = 2**30
_DEFAULT_UTILIZATION: Final = 0.9  # of engines whose release names none; sizing has the same
_FLAGS: Final = ("--gpu-memory-utilization", "--gpu_memory_utilization", "--mem-fraction-static")
_POOLED: Final = frozenset((SharingMode.TIME_SLICING, SharingMode.MPS))


def gpu_sharing(pool: ResolvedPool) -> GpuSharing | None:
    """How the pool's GPUs are divided; None where pods get whole ones."""
    mode = pool.spec.sharing.mode
    if mode is SharingMode.NONE:
        return None
    whole = pool.gpu.memory_gib * _GIB
    return GpuSharing(
        mode,
        whole,
        {
            item.resource: whole if mode is SharingMode.TIME_SLICING else item.memory_gib * _GIB
            for item in pool.slices
        },
        {item.resource: item.per_node // pool.gpus_per_node for item in pool.slices},
    )


def computing_part(pool: ResolvedPool, item: GpuSlice) -> Gpu:
    """The GPU as fast as one share of it: itself whole, or time-sliced, where what slows it changes by the minute.

    A MIG slice has its compute slices of the multiprocessors and memory bandwidth in proportion to its memory. An MPS client
    gets 100 / replicas per cent of the multiprocessors, whoever else is there (the plugin's
    ``set_default_active_thread_percentage``); that it gets as much of the bandwidth is an assumption (docs/simulate.md).
    """
    mode = pool.spec.sharing.mode
    if mode is SharingMode.MPS:
        compute = bandwidth = 1.0 / pool.spec.sharing.replicas
    elif mode is SharingMode.MIG:
        named = {f"nvidia.com/mig-{profile.name.replace('+', '.')}": profile for profile in pool.gpu.mig}
        most = max(profile.compute_slices for profile in pool.gpu.mig)
        compute = named[item.resource].compute_slices / most
        bandwidth = min(1.0, item.gpu_fraction)
    else:
        return pool.gpu
    return replace(
        pool.gpu,
        bandwidth_gb_s=pool.gpu.bandwidth_gb_s * bandwidth,
        tflops={name: value * compute for name, value in pool.gpu.tflops.items()},
    )


def engine_memory(model: ResolvedModel, arguments: Sequence[str]) -> float:
    """Bytes of one physical GPU that the engine takes when it starts; 0 where it has a device of its own.

    Infinite where what it would take leaves no room for one sequence: it fails at every start.

    Args:
        model: resolved.
        arguments: of the engine's command; empty for its defaults.
    """
    if model.pool.spec.sharing.mode not in _POOLED:
        return 0.0
    if kv_tokens_of(model, arguments) < model.context_length:
        return float("inf")
    return _utilization(model, arguments) * model.pool.gpu.memory_gib * _GIB


def kv_tokens_of(model: ResolvedModel, arguments: Sequence[str]) -> int:
    """Tokens that the KV cache holds: what sizing found, and what more or less memory than it reckoned with makes of it."""
    if model.pool.spec.sharing.mode not in _POOLED or model.architecture is None:
        return int(model.kv_tokens)
    reckoned = model.gpu_memory_utilization * model.slice.memory_gib
    more = _utilization(model, arguments) * model.pool.gpu.memory_gib - reckoned
    sequence = sequence_bytes_per_gpu(
        model.architecture,
        model.context_length,
        1.0 if model.spec.kv_cache_dtype == "fp8" else 2.0,
        tensor=model.tensor,
        pipeline=model.pipeline,
    )
    return max(0, round(model.kv_tokens + more * _GIB / sequence * model.context_length))


def _utilization(model: ResolvedModel, arguments: Sequence[str]) -> float:
    """Share of the device that the command asks for: the last one given, as the engine's parser has it."""
    found = float(model.release.defaults.get("gpu_memory_utilization") or _DEFAULT_UTILIZATION)
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in _FLAGS:
            value = value if equals else next(iter(arguments[place + 1 : place + 2]), "")
            try:
                found = float(value)
            except ValueError:
                continue
    return found
