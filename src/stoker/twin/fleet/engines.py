"""The engine that a resolved model starts: vLLM's limits from its release and GPU, KV blocks from its sizing."""

from collections.abc import Sequence
from dataclasses import replace

from stoker.errors import StokerError
from stoker.sizing.memory import batch_defaults
from stoker.sizing.resolved import ResolvedModel
from stoker.twin.engine import EngineSpec
from stoker.twin.engine.setup import release_switches
from stoker.twin.engine.timing import step_cost
from stoker.twin.fleet.adapters import load_seconds, most_in_a_batch
from stoker.twin.fleet.shares import computing_part, kv_tokens_of

__all__ = ["engine_of"]

_BLOCK_TOKENS = 16  # vllm/config/cache.py block_size


def engine_of(model: ResolvedModel, arguments: Sequence[str] = ()) -> EngineSpec:
    """The engine of one replica.

    Args:
        model: resolved.
        arguments: of the engine's command; they say what it takes of a GPU that is shared.

    Raises:
        StokerError: the catalogue does not know the model's architecture, so nothing can be computed.
    """
    if model.architecture is None or not model.kv_tokens:
        raise StokerError(
            f"{model.name}: the twin cannot run a model whose architecture is unknown, or that caches nothing",
            fix="give `architecture:` (a catalogue id, or a folder with config.json), or leave the model out",
        )
    batch = batch_defaults(model.pool.gpu, model.slice.memory_gib, model.release.defaults)
    reserve, lookahead = release_switches(model.release.engine, model.release.version)
    kv_tokens = kv_tokens_of(model, arguments)
    gpu = computing_part(model.pool, model.slice)
    cost = step_cost(
        model.architecture,
        gpu,
        tensor=model.tensor,
        pipeline=model.pipeline,
        data=model.data,
        # the compiled server has --enable-expert-parallel for mixtures of experts with data parallelism
        expert_parallel=model.data > 1 and model.architecture.moe is not None,
        quantization=model.quantization,
        kv_dtype=model.spec.kv_cache_dtype,
        version=model.release.version if model.release.engine == "vllm" else None,
    )
    if gpu is not model.pool.gpu:
        cost = replace(cost, provenance="extrapolated")  # no part of a GPU was ever measured
    return EngineSpec(
        cost=cost,
        gpus=model.gpus_per_replica,
        max_num_seqs=model.max_num_seqs or batch.max_num_seqs,
        max_num_batched_tokens=max(batch.max_num_batched_tokens, model.max_num_seqs or batch.max_num_seqs),
        max_model_len=model.context_length,
        blocks=max(1, kv_tokens // _BLOCK_TOKENS),
        block_tokens=_BLOCK_TOKENS,
        reserve_full_prompt=reserve,
        lookahead=lookahead,
        max_loras=most_in_a_batch(model),
        lora_load_s=max(
            (load_seconds(model.architecture, adapter.rank) for adapter in model.spec.lora), default=0.0
        ),
    )
