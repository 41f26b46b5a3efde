"""Layouts of one replica: tensor × pipeline parallelism, each with whether it fits and, if not, why."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import Attention, ModelArchitecture
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.memory import Batch, overhead_gib
from stoker.sizing.weights import Width

__all__ = ["USEFUL_SEQUENCES", "Layout", "choose_layout", "indivisible", "layouts"]

USEFUL_SEQUENCES: Final = 8  # fewer full-length sequences than this cannot fill a batch
_GIB: Final = 2**30
_MOST_STAGES: Final = 4
# Quantised kernels work on blocks of 128 columns: group size of AWQ and GPTQ, block of DeepSeek-style FP8.
_BLOCK: Final = 128
_BLOCKED: Final = frozenset(("awq", "gptq", "fp8"))


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to split a replica.

    Attributes:
        fits: the engine would start.
        reason: why it does not fit; for one that fits, what to know of it (or empty).
        weights_gib_per_gpu: weights on one GPU, GiB.
        kv_tokens: tokens that the KV pool of the replica holds (of sequences of the context length).
        max_sequences: sequences of the context length that the pool holds at once.
        gpus: GPUs of the replica; ``nodes`` nodes they stand in.
    """

    tensor_parallel: int
    pipeline_parallel: int
    fits: bool
    reason: str
    weights_gib_per_gpu: float
    kv_tokens: int
    max_sequences: int
    gpus: int
    nodes: int


def layouts(
    architecture: ModelArchitecture,
    gpu: Gpu,
    *,
    memory_gib: float,
    gpus_per_node: int,
    weights: int,
    width: Width,
    kv_bytes: float,
    batch: Batch,
    context_length: int,
    gpu_memory_utilization: float,
) -> tuple[Layout, ...]:
    """Every candidate, fewest GPUs first; those that do not fit say why.

    Pool per GPU = utilisation × usable memory − weights/(TP × PP) − overhead.
    """
    found: list[Layout] = []
    for tensor, pipeline in _candidates(gpus_per_node):
        share = weights / (tensor * pipeline) / _GIB
        nodes = math.ceil(tensor * pipeline / gpus_per_node)
        reason = width.refusal or indivisible(architecture, width, tensor=tensor, pipeline=pipeline)
        room = gpu_memory_utilization * memory_gib - share - overhead_gib(architecture, batch, tensor)
        if not reason and room <= 0:
            reason = (
                f"{share:.1f} GiB of weights and {overhead_gib(architecture, batch, tensor):.1f} GiB of overhead exceed "
                f"{gpu_memory_utilization:.2f} of {memory_gib:.1f} GiB"
            )
        tokens = sequences = 0
        if not reason:
            sequence = sequence_bytes_per_gpu(
                architecture, context_length, kv_bytes, tensor=tensor, pipeline=pipeline
            )
            tokens, sequences = _pool(room, sequence, context_length=context_length, batch=batch)
        if not reason and sequences == 0:
            reason = f"the KV cache holds {tokens} tokens, less than one sequence of {context_length}"
        fits = not reason
        if fits:
            reason = _remark(gpu, tensor, sequences)
        found.append(
            Layout(
                tensor, pipeline, fits, reason, round(share, 2), tokens, sequences, tensor * pipeline, nodes
            )
        )
    return tuple(sorted(found, key=lambda layout: (layout.gpus, layout.pipeline_parallel)))


def choose_layout(candidates: Sequence[Layout]) -> Layout | None:
    """The smallest layout that holds eight full-length sequences, tensor before pipeline; else the roomiest that fits."""
    fitting = [layout for layout in candidates if layout.fits]
    useful = [layout for layout in fitting if layout.max_sequences >= USEFUL_SEQUENCES]
    if useful:
        return min(useful, key=lambda layout: (layout.gpus, layout.pipeline_parallel))
    return max(fitting, key=lambda layout: (layout.max_sequences, -layout.gpus), default=None)


def _candidates(gpus_per_node: int) -> Iterator[tuple[int, int]]:
    """Powers of two within a node, and whole nodes in a pipeline."""
    tensor = 1
    while tensor <= gpus_per_node:
        stages = 1
        while tensor * stages <= gpus_per_node:
            yield tensor, stages
            stages *= 2
        tensor *= 2
    whole = 1 << (gpus_per_node.bit_length() - 1)
    for stages in range(2, _MOST_STAGES + 1):
        if whole * stages > gpus_per_node:
            yield whole, stages


def indivisible(
    architecture: ModelArchitecture,
    width: Width,
    *,
    tensor: int,
    pipeline: int,
    expert_parallel: bool = False,
) -> str:
    """Why a model cannot be split so; empty where it can. With expert parallelism experts are not split."""
    if architecture.attention_heads % tensor:
        return f"{architecture.attention_heads} attention heads do not divide by TP{tensor}"
    if pipeline > architecture.layers:
        return f"{architecture.layers} layers are fewer than {pipeline} pipeline stages"
    if pipeline > 1 and architecture.attention is Attention.NONE:
        return "an encoder is not split into pipeline stages"
    moe = architecture.moe
    inner = moe.expert_intermediate_size if moe else architecture.intermediate_size
    split = moe is None or not expert_parallel
    blocked = split and width.quantization in _BLOCKED and inner >= _BLOCK
    if blocked and (inner % tensor or inner // tensor % _BLOCK):
        return (
            f"{width.quantization} works in blocks of {_BLOCK}, and {inner} / TP{tensor} is no multiple of it"
        )
    return ""


def _pool(
    room: float,
    sequence: float,
    *,
    context_length: int,
    batch: Batch,
) -> tuple[int, int]:
    """Tokens and full-length sequences of the pool, ``sequence`` bytes each on one GPU.

    An encoder caches nothing: its batch bound is all there is.
    """
    if not sequence:
        return 0, batch.max_num_seqs
    share = room * _GIB / sequence
    return int(share * context_length), int(share)


def _remark(gpu: Gpu, tensor: int, sequences: int) -> str:
    if sequences < USEFUL_SEQUENCES:
        return f"starts, and holds {sequences} full-length sequences: too few to batch"
    link = gpu.interconnect
    if tensor > max(1, link.domain_gpus):
        return f"tensor parallelism over {link.kind}: every layer waits for the slow link"
    return ""
