"""The engine of one replica as the twin runs it: limits of vLLM's scheduler and the seconds of its steps."""

from dataclasses import dataclass

from stoker.twin.engine.timing.cost import StepCost

__all__ = ["EngineSpec"]


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One replica of a model: what vLLM was started with, and how long its steps take.

    Attributes:
        cost: seconds of a step.
        gpus: GPUs of one replica.
        max_num_seqs, max_num_batched_tokens, max_model_len: as vLLM spells them.
        blocks: KV blocks of ``block_tokens`` tokens that the replica allocates at start.
        chunked_prefill: a prompt may be computed in several steps.
        reserve_full_prompt: a prompt is admitted only if blocks for all of it are free (vLLM from 0.19,
            ``--scheduler-reserve-full-isl``); before, blocks for its first chunk were enough.
        lookahead: 1 where the next step is scheduled while one runs (``--async-scheduling``), so that a request that
            arrives during a step misses the next one as well; 0 otherwise.
        max_loras: adapters in one batch (``--max-loras``); 0 without ``--enable-lora``.
        lora_load_s: seconds by which a step is held up when an adapter has to be loaded.
    """

    cost: StepCost
    gpus: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    blocks: int
    block_tokens: int = 16
    chunked_prefill: bool = True
    reserve_full_prompt: bool = True
    lookahead: int = 0
    max_loras: int = 0
    lora_load_s: float = 0.0
