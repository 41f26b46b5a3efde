"""One engine from a model, a GPU and a layout, with vLLM's own defaults for the rest."""

from stoker.catalog.engines import release
from stoker.catalog.gpus import Gpu
from stoker.catalog.models import Attention, ModelArchitecture
from stoker.catalog.versions import in_range
from stoker.errors import StokerError
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.layouts import indivisible
from stoker.sizing.memory import batch_defaults
from stoker.sizing.weights import resolve_width, weight_bytes
from stoker.twin.engine.spec import EngineSpec
from stoker.twin.engine.timing import step_cost

__all__ = ["engine_spec", "release_switches"]

_GIB = 2**30
_BLOCK_TOKENS = 16  # vllm/config/cache.py block_size
# What is neither weights nor cache: context, NCCL, CUDA graphs, activations; facts 1g give 2 to 5 GiB, the queues of
# measured rows whose cache was full this (docs/calibration.md).
_OVERHEAD_GIB = 3.8
# Checkpoints whose own configuration asks for a cache in eight bits, which vLLM's `auto` follows: NVIDIA's conversions
# (kv_cache_quant_algo of their hf_quant_config.json).
_EIGHT_BIT_CACHE = frozenset(("nvfp4",))


def release_switches(engine: str, version: str) -> tuple[bool, int]:
    """Whether a release reserves blocks for the whole prompt, and how many steps ahead it schedules.

    vLLM has ``--scheduler-reserve-full-isl`` from 0.19 and schedules asynchronously by default from 0.14 (release
    notes); other engines are taken to do neither.
    """
    if engine != "vllm":
        return False, 0
    return in_range(version, "0.19.0", None), int(in_range(version, "0.14.0", None))


def engine_spec(
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
    max_num_seqs: int | None = None,
    max_num_batched_tokens: int | None = None,
    max_model_len: int | None = None,
    gpu_memory_utilization: float | None = None,
) -> EngineSpec:
    """The engine of one replica as ``vllm serve`` would start it.

    Args:
        architecture: the model.
        gpu: GPU type.
        tensor: tensor parallelism.
        pipeline: pipeline parallelism.
        data: data parallelism, of the attention.
        expert_parallel: experts are spread whole over the ranks.
        quantization: as in the platform file; ``auto`` serves as published.
        kv_dtype: ``auto`` (as the checkpoint asks, else 16 bits) or ``fp8``.
        version: vLLM release; the catalogue's pinned one where None.
        max_num_seqs: batch bound; vLLM's default for the GPU where None.
        max_num_batched_tokens: tokens of a step; the same.
        max_model_len: longest prompt and answer; the model's own where None.
        gpu_memory_utilization: share of the memory that vLLM takes; the release's default where None.

    Raises:
        StokerError: an encoder, a format or a layout that cannot be, or weights that leave no room for a cache.
    """
    if architecture.attention is Attention.NONE:
        raise StokerError(f"{architecture.name} makes no tokens: the twin runs models that decode")
    found = release("vllm", version)
    width = resolve_width(architecture, gpu, precision="auto", quantization=quantization)
    # Whether FP8's blocks of experts divide is the release's affair: rows of MiniMax-M2.5 at TP8 were measured.
    refusal = width.refusal or indivisible(
        architecture, width, tensor=tensor, pipeline=pipeline, expert_parallel=True
    )
    if refusal:
        raise StokerError(
            f"{architecture.name} cannot be served so: {refusal}",
            fix=f"`stoker size {architecture.name} --gpu {gpu.name}` shows the layouts that can",
        )
    weights = weight_bytes(architecture, width)
    ranks = tensor * pipeline * data
    if kv_dtype == "auto" and width.quantization in _EIGHT_BIT_CACHE:
        kv_dtype = "fp8"
    kv_bytes = 1.0 if kv_dtype == "fp8" else 2.0
    per_token = (
        sequence_bytes_per_gpu(architecture, 10_000, kv_bytes, tensor=tensor, pipeline=pipeline) / 10_000
    )
    utilization = gpu_memory_utilization or float(found.defaults["gpu_memory_utilization"])
    room = gpu.memory_gib * utilization - weights / ranks / _GIB - _OVERHEAD_GIB
    tokens = int(room * _GIB / per_token) * data
    if tokens < _BLOCK_TOKENS * 64:
        raise StokerError(
            f"{architecture.name} does not fit: {weights / ranks / _GIB:.0f} GiB of weights on each of {ranks} "
            f"{gpu.name} with {gpu.memory_gib:g} GiB leave no room for a KV cache",
            fix="more tensor parallelism, a larger GPU, or quantisation; `stoker size` shows what fits",
        )
    batch = batch_defaults(gpu, gpu.memory_gib, found.defaults)
    reserve, lookahead = release_switches("vllm", found.version)
    sequences = max_num_seqs or batch.max_num_seqs
    return EngineSpec(
        cost=step_cost(
            architecture,
            gpu,
            tensor=tensor,
            pipeline=pipeline,
            data=data,
            expert_parallel=expert_parallel,
            quantization=quantization,
            kv_dtype=kv_dtype,
            version=found.version,
        ),
        gpus=ranks,
        max_num_seqs=sequences,
        max_num_batched_tokens=max(max_num_batched_tokens or batch.max_num_batched_tokens, sequences),
        max_model_len=min(max_model_len or architecture.max_context, tokens),
        blocks=tokens // _BLOCK_TOKENS,
        block_tokens=_BLOCK_TOKENS,
        reserve_full_prompt=reserve,
        lookahead=lookahead,
    )
