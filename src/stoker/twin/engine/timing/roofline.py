"""How long one engine step takes: a roofline of bandwidth and arithmetic with measured efficiencies.

A step reads every weight that its tokens touch, multiplies, talks to the other ranks, attends to the cache, and is launched
by a host that schedules, samples and sends answers:

- weights: bytes over bandwidth; of experts the share that n tokens touch when each picks k of E: 1 - (1 - k/E)^n;
- arithmetic: 2 FLOPs a parameter and token (arXiv 2001.08361, section 2.1) over the peak of the format;
- a step takes the p-norm of the two, which is the larger one with a soft knee;
- tensor parallelism: two all-reduces a layer, each a latency and a message over the link;
- attention of decodes: cached bytes over bandwidth; of prompts: 4 FLOPs a head dimension and (query, key) pair;
- the host: a constant, a part per layer, and a part per sequence.

Efficiencies, latencies and host times are fitted on measurements (docs/calibration.md); a GPU or model that was not
measured takes the figures of its family.
"""

from dataclasses import dataclass
from typing import Final

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import Attention, ModelArchitecture
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.weights import resolve_width, weight_bytes
from stoker.twin.engine.timing.cost import StepCost
from stoker.twin.engine.timing.figures import Figures, figures_for

__all__ = ["Layout", "step_cost"]

# Token counts at which the table has a value: dense where graphs and tiles change, sparse where arithmetic rules.
KNOTS: Final = (
    1,
    2,
    4,
    8,
    12,
    16,
    24,
    32,
    48,
    64,
    96,
    128,
    192,
    256,
    384,
    512,
    768,
    1024,
    1536,
    2048,
    4096,
    8192,
    16384,
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one replica is split: tensor, pipeline and data parallelism, and whether experts are kept whole (EP)."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert_parallel: bool = False

    @property
    def ranks(self) -> int:
        return self.tensor * self.pipeline * self.data


@dataclass(frozen=True, slots=True)
class _Parts:
    """Bytes and FLOPs that do not depend on the calibration.

    Attributes:
        always: bytes of weights that every step reads on one rank; ``experts`` those of all its experts.
        flops: per token, on one rank.
    """

    always: float
    experts: float
    flops: float
    touched: float  # experts a token picks over all experts


def step_cost(
    architecture: ModelArchitecture,
    gpu: Gpu,
    *,
    tensor: int = 1,
    pipeline: int = 1,
    data: int = 1,
    expert_parallel: bool = False,
    quantization: str = "auto",
    kv_dtype: str = "auto",
    figures: Figures | None = None,
) -> StepCost:
    """Seconds of a step of one replica.

    Args:
        architecture: the model.
        gpu: GPU type.
        tensor: tensor parallelism.
        pipeline: pipeline parallelism.
        data: data parallelism, of the attention.
        expert_parallel: experts are spread whole over the ranks.
        quantization: as in the platform file; ``auto`` serves as published.
        kv_dtype: ``auto`` is 16 bits.
        figures: in place of the calibration's.
    """
    layout = Layout(tensor, pipeline, data, expert_parallel)
    width = resolve_width(architecture, gpu, precision="auto", quantization=quantization)
    known = figures or figures_for(architecture, gpu, width.quantization)
    parts = _parts(architecture, layout, float(weight_bytes(architecture, width)))
    peak = _peak(gpu, width.quantization, width.dtype)
    seconds = tuple(_step(architecture, gpu, layout, parts, peak, known, tokens) for tokens in KNOTS)
    kv_bytes = 1.0 if kv_dtype == "fp8" else 2.0
    per_token = sequence_bytes_per_gpu(architecture, 100_000, kv_bytes, tensor=tensor, pipeline=1) / 100_000
    bandwidth = gpu.bandwidth_gb_s * 1e9
    return StepCost(
        knot_tokens=KNOTS,
        knot_seconds=seconds,
        mixed_seconds=tuple(value + known.mixed_s for value in seconds),
        kv_read_s=per_token / (bandwidth * known.kv_bandwidth * data),
        decode_seq_s=known.sequence_s,
        prefill_pair_s=_pair_flops(architecture, tensor)
        / (gpu.tflops.get("bf16", gpu.tflops["fp16"]) * 1e12 * known.attention),
        prefill_chunk_s=known.chunk_s,
        arrival_s=known.arrival_s,
        arrival_token_s=known.arrival_token_s,
        provenance=known.provenance,
    )


def _parts(architecture: ModelArchitecture, layout: Layout, weights: float) -> _Parts:
    shards = layout.tensor
    moe = architecture.moe
    # Looking a token up reads one row of the embedding; the head is read whole.
    embedding = architecture.vocab_size * architecture.hidden_size
    body = architecture.parameters - (0 if architecture.tied_embeddings else embedding)
    per_parameter = weights / architecture.parameters
    active = architecture.active_parameters - (0 if architecture.tied_embeddings else embedding)
    if moe is None:
        return _Parts(body * per_parameter / shards, 0.0, 2.0 * active / shards, 0.0)
    routed = 3 * moe.experts * architecture.hidden_size * moe.expert_intermediate_size * moe.moe_layers
    picked = routed * moe.experts_per_token / moe.experts
    dense = body - routed
    expert_shards = layout.tensor * layout.data
    # With data parallelism each rank works on its own share of the tokens; attention weights are whole on each.
    flops = 2.0 * ((active - picked) / (shards * layout.data) + picked / expert_shards)
    # What is not an expert is kept in 16 bits by most published quantisations of these models.
    dense_bytes = max(per_parameter, 2.0 if architecture.family in _DENSE_16 else per_parameter)
    return _Parts(
        dense * dense_bytes / shards,
        routed * per_parameter / expert_shards,
        flops,
        moe.experts_per_token / moe.experts,
    )


_DENSE_16: Final = frozenset(("gpt_oss", "kimi_k2", "gpt-oss", "kimi"))


def _peak(gpu: Gpu, quantization: str, dtype: str) -> float:
    """FLOP/s of the format that the kernels compute in; weight-only formats compute in 16 bits."""
    by_format = {"fp8": "fp8", "int8": "int8", "nvfp4": "fp4", "mxfp4": "fp4"}
    for name in (by_format.get(quantization, dtype), dtype, "bf16", "fp16"):
        if name in gpu.tflops:
            return gpu.tflops[name] * 1e12
    return max(gpu.tflops.values()) * 1e12


def _step(
    architecture: ModelArchitecture,
    gpu: Gpu,
    layout: Layout,
    parts: _Parts,
    peak: float,
    known: Figures,
    tokens: int,
) -> float:
    bandwidth = gpu.bandwidth_gb_s * 1e9
    touched = 1.0 - (1.0 - parts.touched) ** tokens if parts.experts else 0.0
    reading = parts.always / (bandwidth * known.bandwidth) + parts.experts * touched / (
        bandwidth * known.expert_bandwidth
    )
    computing = parts.flops * tokens / (peak * known.arithmetic)
    norm: float = (reading**known.knee + computing**known.knee) ** (1.0 / known.knee)
    talking = 0.0
    if layout.tensor * layout.data > 1:
        message = tokens * architecture.hidden_size * 2.0
        link = gpu.interconnect.gb_per_s * 1e9 / 2
        rounds = 2 * architecture.layers
        ranks = layout.tensor * layout.data
        talking = rounds * (
            known.link_latency_s * (ranks.bit_length() - 1) ** 0.5 + message / (link * known.link)
        )
    host = known.host_s + known.layer_s * architecture.layers
    return norm + talking + host


def _pair_flops(architecture: ModelArchitecture, tensor: int) -> float:
    """FLOPs of one (query, key) pair over all layers: two products of a head dimension, 2 FLOPs each, per head."""
    if architecture.attention is Attention.NONE:
        return 0.0
    dimension = architecture.head_dim
    if architecture.mla is not None:
        dimension = (architecture.mla.nope_dim + architecture.mla.rope_dim + architecture.mla.value_dim) // 2
    layers = architecture.layers - architecture.sliding_layers
    flops: float = 4.0 * dimension * architecture.attention_heads * layers / tensor
    return flops
