"""What one step moves and computes on one rank, from the model's shapes alone: nothing here is fitted."""

from dataclasses import dataclass
from typing import Final

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import Attention, ModelArchitecture
from stoker.catalog.parameters import count
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.weights import Width, weight_bytes

__all__ = ["Layout", "Parts", "parts_of"]

# Checkpoints in four bits quantise the experts of a mixture and keep attention, router and embeddings in 16 (gpt-oss,
# Kimi-K2.5 and NVIDIA's NVFP4 conversions: `ignore` and `modules_to_not_convert` of their config.json).
_EXPERTS_ONLY: Final = frozenset(("mxfp4", "nvfp4", "gptq", "awq", "nf4"))
# Layers with a window are judged at this length: by the share of its cache that they keep, and of its pairs that they see.
_CONTEXT: Final = 4096


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica is split: tensor, pipeline and data parallelism, and whether experts are kept whole (EP)."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert_parallel: bool = False


@dataclass(frozen=True, slots=True)
class Parts:
    """Bytes and FLOPs of one rank (with pipeline parallelism: of all stages one after the other).

    Attributes:
        dense_bytes: weights that every step reads; ``expert_bytes`` those of all routed experts.
        dense_flops: per token of this rank, without the output projection; ``expert_flops`` per token of the replica.
        picked: share of its experts that a token is sent to; 0 for dense models.
        dense_peak, expert_peak: FLOP/s of the formats that the two are multiplied in.
        kv_bytes: per cached token.
        pair_flops: per pair of query and key token, over all layers; ``pair_peak`` FLOP/s they are computed at.
    """

    dense_bytes: float
    expert_bytes: float
    dense_flops: float
    expert_flops: float
    picked: float
    dense_peak: float
    expert_peak: float
    kv_bytes: float
    pair_flops: float
    pair_peak: float


def parts_of(
    architecture: ModelArchitecture, gpu: Gpu, layout: Layout, width: Width, kv_bytes: float
) -> Parts:
    """Bytes and FLOPs of a step. ``kv_bytes`` is the width of one cached value.

    A token costs 2 FLOPs a parameter (arXiv 2001.08361, section 2.1), a pair 4 a head dimension and head (its appendix).
    """
    sixteen = _peak(gpu, width.dtype)
    narrow = _peak(gpu, _COMPUTED_IN.get(width.quantization, width.dtype))
    embedding = architecture.vocab_size * architecture.hidden_size
    lookup = 0 if architecture.tied_embeddings or architecture.task == "embed" else embedding
    routed, picked = _experts(architecture)
    total = float(weight_bytes(architecture, width))
    everything = count(architecture).total
    dense = everything - routed
    if routed and width.quantization in _EXPERTS_ONLY:
        dense_bytes = 2.0 * (dense - lookup)
        expert_bytes = total - 2.0 * dense
        dense_peak = sixteen
    elif width.quantization == "none":
        dense_bytes, expert_bytes = total * (dense - lookup) / everything, total * routed / everything
        dense_peak = sixteen
    else:
        # Quantised linear layers; embeddings and output projection keep 16 bits.
        kept = embedding + lookup
        each = (total - 2.0 * kept) / (everything - kept)
        dense_bytes, expert_bytes = each * (dense - kept) + 2.0 * embedding, each * routed
        dense_peak = narrow
    return Parts(
        dense_bytes=dense_bytes / layout.tensor,
        expert_bytes=expert_bytes / (layout.tensor * layout.data),
        dense_flops=2.0 * max(0, dense - lookup - embedding) / layout.tensor,
        expert_flops=2.0 * routed * picked / (layout.tensor * layout.data),
        picked=picked,
        dense_peak=dense_peak,
        expert_peak=narrow,
        kv_bytes=sequence_bytes_per_gpu(architecture, _CONTEXT, kv_bytes, tensor=layout.tensor, pipeline=1)
        / _CONTEXT,
        pair_flops=_pair_flops(architecture) / layout.tensor,
        pair_peak=sixteen,
    )


# Weight-only formats are unpacked to 16 bits; mxfp4 is multiplied with 8-bit activations where the GPU can
# (vLLM's VLLM_USE_FLASHINFER_MOE_MXFP4_MXFP8 on Blackwell, Marlin elsewhere).
_COMPUTED_IN: Final = {"fp8": "fp8", "int8": "int8", "nvfp4": "fp4", "mxfp4": "mxfp4"}


def _peak(gpu: Gpu, computed_in: str) -> float:
    """FLOP/s of a format, or of 16 bits where the GPU lacks it."""
    name = ("fp8" if "fp4" in gpu.tflops else "bf16") if computed_in == "mxfp4" else computed_in
    for known in (name, "bf16", "fp16"):
        if known in gpu.tflops:
            return gpu.tflops[known] * 1e12
    return max(gpu.tflops.values()) * 1e12


def _experts(architecture: ModelArchitecture) -> tuple[int, float]:
    """Parameters of all routed experts, and the share of them that one token meets."""
    moe = architecture.moe
    if moe is None:
        return 0, 0.0
    routed = 3 * moe.experts * architecture.hidden_size * moe.expert_intermediate_size * moe.moe_layers
    return routed, moe.experts_per_token / moe.experts


def _pair_flops(architecture: ModelArchitecture) -> float:
    """Two products of a head dimension, 2 FLOPs each, per head and layer."""
    if architecture.attention is Attention.NONE:
        return 0.0
    dimension = float(architecture.head_dim)
    if architecture.mla is not None:
        dimension = (architecture.mla.nope_dim + architecture.mla.rope_dim + architecture.mla.value_dim) / 2
    within = min(1.0, architecture.sliding_window / _CONTEXT)
    seen = within * (
        2.0 - within
    )  # of the triangle of causal pairs, what lies within the window of its diagonal
    layers = architecture.layers - architecture.sliding_layers * (1.0 - seen)
    return 4.0 * dimension * architecture.attention_heads * layers
