"""How long one engine step takes: a roofline of bandwidth and arithmetic with measured efficiencies.

A step reads every weight that its tokens touch, multiplies, talks to the other ranks, attends to the cache, and is launched
by a host that schedules, samples and sends answers:

- weights: bytes over bandwidth; of experts the share that n tokens touch when each picks k of E: 1 - (1 - k/E)^n;
- arithmetic: FLOPs over the peak of the format. Reading and computing overlap: their p-norm is the larger one with a soft
  knee;
- tensor and data parallelism: two exchanges a layer, each a latency and a message over the link;
- attention: of decodes cached bytes over bandwidth, of prompts FLOPs of (query, key) pairs;
- the host: a constant, a part per layer, more per layer where the step has prompt tokens and does not run as one CUDA
  graph, and parts per sequence and per chunk.

Efficiencies, latencies and host times are fitted on measurements (docs/calibration.md); what was not measured takes the
figures of its family.
"""

from typing import Final

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import ModelArchitecture
from stoker.sizing.weights import resolve_width
from stoker.twin.engine.timing.cost import StepCost
from stoker.twin.engine.timing.figures import Figures, figures_for
from stoker.twin.engine.timing.parts import Layout, Parts, parts_of

__all__ = ["step_cost"]

# Token counts at which the table has a value: dense where experts and tiles fill up, sparse where arithmetic rules.
_KNOTS: Final = (
    *(1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768),
    *(1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768),
)
_KV_BYTES: Final = {"auto": 2.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0}


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
    version: str | None = None,
    figures: Figures | None = None,
) -> StepCost:
    """Seconds of a step of one replica, all its data-parallel ranks taken as one engine.

    Pipeline stages work on shares of the batch one after the other, so that a step of n tokens takes as long as one of
    n / stages tokens without the pipeline (not measured).

    Args:
        architecture: the model.
        gpu: GPU type.
        tensor: ranks that share every layer.
        pipeline: stages of layers.
        data: ranks that hold attention whole and share the experts.
        expert_parallel: experts are spread whole over the ranks, not each split.
        quantization: as in the platform file; ``auto`` serves as published.
        kv_dtype: vLLM's ``--kv-cache-dtype``; ``auto`` is taken as 16 bits.
        version: vLLM release; None for the newest that was measured.
        figures: in place of the calibration's.
    """
    layout = Layout(tensor, pipeline, data, expert_parallel)
    width = resolve_width(architecture, gpu, precision="auto", quantization=quantization)
    known = figures or figures_for(architecture, gpu, width.quantization, version)
    parts = parts_of(architecture, gpu, layout, width, _KV_BYTES[kv_dtype])
    steps = [_seconds(architecture, gpu, layout, parts, known, tokens) for tokens in _KNOTS]
    # A prompt stands on one of the data-parallel ranks, and the others wait for it.
    mixed = [
        _seconds(architecture, gpu, layout, parts, known, tokens, spread=data**known.data_balance)
        + known.mixed_layer_s * architecture.layers
        for tokens in _KNOTS
    ]
    sharers = data * pipeline
    return StepCost(
        knot_tokens=_KNOTS,
        knot_seconds=tuple(steps),
        mixed_seconds=tuple(mixed),
        kv_read_s=parts.kv_bytes / (gpu.bandwidth_gb_s * 1e9 * known.kv_bandwidth * sharers),
        decode_seq_s=known.sequence_s,
        prefill_pair_s=parts.pair_flops
        / (parts.pair_peak * known.attention * pipeline * data**known.data_balance),
        prefill_chunk_s=known.chunk_s,
        arrival_s=known.arrival_s,
        arrival_token_s=known.arrival_token_s,
        provenance=known.provenance,
    )


def _seconds(
    architecture: ModelArchitecture,
    gpu: Gpu,
    layout: Layout,
    parts: Parts,
    known: Figures,
    tokens: int,
    *,
    spread: float | None = None,
) -> float:
    """Seconds that depend on the number of tokens; ``spread`` ranks share them, all data-parallel ones by default."""
    bandwidth = gpu.bandwidth_gb_s * 1e9
    staged = tokens / layout.pipeline
    own = staged / (spread or layout.data)
    working = _norm(
        parts.dense_bytes / (bandwidth * known.bandwidth),
        parts.dense_flops * own / (parts.dense_peak * known.arithmetic),
        known.knee,
    )
    if parts.expert_bytes:
        touched = 1.0 - (1.0 - parts.picked) ** max(1.0, known.routing * staged)
        experts = _norm(
            parts.expert_bytes * touched / (bandwidth * known.expert_bandwidth),
            parts.expert_flops * staged / (parts.expert_peak * known.expert_arithmetic),
            known.knee,
        )
        working += experts * (known.expert_imbalance if layout.expert_parallel else 1.0)
    ranks = layout.tensor * layout.data
    talking = 0.0
    if ranks > 1:
        # A ring moves 2 (n - 1) / n of a message over each link (NCCL tests, PERFORMANCE.md, all-reduce).
        message = own * architecture.hidden_size * 2.0 * 2.0 * (ranks - 1) / ranks
        link = gpu.interconnect.gb_per_s * 1e9 / 2 * known.link
        hops = (ranks.bit_length() - 1) ** 0.5
        talking = 2 * architecture.layers * (known.link_latency_s * hops + message / link)
    return working + talking + known.host_s + known.layer_s * architecture.layers


def _norm(reading: float, computing: float, knee: float) -> float:
    return float((reading**knee + computing**knee) ** (1.0 / knee))
