"""What of one GPU's memory is left for the KV cache."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import ModelArchitecture

__all__ = ["Batch", "batch_defaults", "overhead_gib"]

_GIB: Final = 2**30
# CUDA context, allocator slack and libraries of one worker; NCCL's buffers come on top with tensor parallelism. Together
# with the terms below this gives 3.1 GiB for Llama-3-70B on A100, within the 2 to 5 GiB of the project's facts (1g).
_CONTEXT_GIB: Final = 1.0
_NCCL_GIB: Final = 0.5
_GRAPHS_GIB: Final = 1.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Bounds of one engine step: sequences and tokens."""

    max_num_seqs: int
    max_num_batched_tokens: int


def batch_defaults(gpu: Gpu, memory_gib: float, defaults: Mapping[str, Any]) -> Batch:
    """Bounds that the engine's release sets itself for a GPU (vllm/engine/arg_utils.py get_batch_defaults).

    Three sizes are told apart: at least 160 GiB, at least 70 GiB and no A100, and all others. An engine that names no
    bounds is taken to have the smallest.

    Args:
        gpu: GPU type.
        memory_gib: memory of what one worker has, a slice where the GPU is shared.
        defaults: `EngineRelease.defaults`.
    """
    large = memory_gib >= 70 and not gpu.name.startswith("A100")
    sizes = ("huge", "large") if memory_gib >= 160 else ("large",) if large else ("small",)

    def first(flag: str, fallback: int) -> int:
        names = [*(f"{flag}_{size}" for size in sizes), flag]
        return int(next((defaults[name] for name in names if isinstance(defaults.get(name), int)), fallback))

    return Batch(first("max_num_seqs", 256), first("max_num_batched_tokens", 2048))


def overhead_gib(architecture: ModelArchitecture, batch: Batch, tensor: int) -> float:
    """Memory of one GPU that is neither weights nor KV cache: context, NCCL, CUDA graphs, activations, logits.

    Activations of the largest step: the residual stream and its copies, and the widest split intermediate (gate, up and
    their product), 16 bits each; logits of every sequence in 32 bits with one copy for sampling.
    """
    width = architecture.intermediate_size
    if architecture.moe is not None:
        width = max(width, architecture.moe.expert_intermediate_size * architecture.moe.experts_per_token)
    activations = batch.max_num_batched_tokens * (4 * architecture.hidden_size + 3 * width / tensor) * 2
    logits = (
        min(batch.max_num_seqs, 256) * architecture.vocab_size * 4 * 2
        if architecture.task == "generate"
        else 0
    )
    nccl = _NCCL_GIB if tensor > 1 else 0.0
    return _CONTEXT_GIB + nccl + _GRAPHS_GIB + (activations + logits) / _GIB
