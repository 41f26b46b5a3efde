"""What of one GPU's memory is left for the KV cache."""

from dataclasses import dataclass
from typing import Final

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


def batch_defaults(gpu: Gpu, memory_gib: float) -> Batch:
    """VLLM's defaults for the OpenAI server (0.33: vllm/engine/arg_utils.py get_batch_defaults).

    GPUs of at least 160 GiB, of at least 70 GiB that are no A100, and all others.
    """
    if memory_gib >= 160:
        return Batch(1024, 16384)
    if memory_gib >= 70 and not gpu.name.startswith("A100"):
        return Batch(1024, 8192)
    return Batch(256, 2048)


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
