"""Counting parameters from an architecture's shapes; tests hold the counts against the published totals."""

from dataclasses import dataclass

from stoker.catalog.models import Attention, ModelArchitecture

__all__ = ["Parameters", "count"]

# Families whose attention projections carry biases (Qwen2, gpt-oss) or whose MLP has two matrices (BERT kind).
_QKV_BIAS = frozenset(("qwen2", "qwen2_moe", "gpt_oss"))
_ENCODERS = frozenset(("bert", "xlm-roberta", "roberta"))
_FOUR_NORMS = frozenset(("gemma2", "gemma3_text", "gemma3"))


@dataclass(frozen=True, slots=True)
class Parameters:
    """Counts: ``total``, those that touch one token, and the embeddings (input and output) among them."""

    total: int
    active: int
    embeddings: int


def count(model: ModelArchitecture) -> Parameters:
    """Parameters of the language model; vision towers and multi-token-prediction heads are not counted."""
    hidden = model.hidden_size
    dense = model.layers - (model.moe.moe_layers if model.moe else 0)
    shared_by_layer = _attention(model) + _norms(model)
    mlp = (2 if model.family in _ENCODERS else 3) * hidden * model.intermediate_size
    total = active = model.layers * shared_by_layer + dense * mlp
    if model.moe is not None:
        moe = model.moe
        expert = 3 * hidden * moe.expert_intermediate_size
        if model.family == "gpt_oss":
            expert += 2 * moe.expert_intermediate_size + hidden  # biases of gate, up and down
        router = hidden * moe.experts
        total += moe.moe_layers * ((moe.experts + moe.shared_experts) * expert + router)
        active += moe.moe_layers * ((moe.experts_per_token + moe.shared_experts) * expert + router)
    copies = 1 if model.tied_embeddings or model.task == "embed" else 2
    embeddings = copies * model.vocab_size * hidden
    if model.family in _ENCODERS:
        embeddings += model.max_context * hidden  # learned positions
    return Parameters(total + embeddings + hidden, active + embeddings + hidden, embeddings)


def _attention(model: ModelArchitecture) -> int:
    hidden, heads = model.hidden_size, model.attention_heads
    if model.attention is Attention.MLA and model.mla is not None:
        mla = model.mla
        query_dim = heads * (mla.nope_dim + mla.rope_dim)
        query = hidden * mla.q_rank + mla.q_rank * query_dim if mla.q_rank else hidden * query_dim
        latent = hidden * (mla.kv_rank + mla.rope_dim) + mla.kv_rank * heads * (mla.nope_dim + mla.value_dim)
        return query + latent + heads * mla.value_dim * hidden
    width = model.head_dim
    weights = hidden * width * (2 * heads + 2 * model.kv_heads)
    bias = width * (heads + 2 * model.kv_heads) if model.family in _QKV_BIAS else 0
    return weights + bias


def _norms(model: ModelArchitecture) -> int:
    return (4 if model.family in _FOUR_NORMS else 2) * model.hidden_size
