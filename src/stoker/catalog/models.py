"""Model architectures: the numbers of a Hugging Face ``config.json`` that decide memory and speed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final

from stoker.catalog._load import read_data
from stoker.errors import UnknownNameError

__all__ = ["Attention", "Mla", "ModelArchitecture", "Moe", "model", "models"]


class Attention(StrEnum):
    """MHA, GQA and MQA cache one K and one V vector per KV head; MLA caches one compressed vector per token."""

    MHA = "mha"
    GQA = "gqa"
    MQA = "mqa"
    MLA = "mla"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Moe:
    """Mixture of experts: routed experts per layer, how many answer a token, shared ones, layers that are MoE."""

    experts: int
    experts_per_token: int
    shared_experts: int
    expert_intermediate_size: int
    moe_layers: int


@dataclass(frozen=True, slots=True)
class Mla:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): ranks and head dimensions; ``q_rank`` 0 for none."""

    q_rank: int
    kv_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True)
class ModelArchitecture:
    """What sizing needs to know of a model.

    Attributes:
        name: catalogue id, e.g. ``llama-3-70b``.
        hf_ids: Hugging Face repositories with this architecture, the usual one first.
        family: ``model_type`` of the config, e.g. ``llama``.
        task: ``generate`` or ``embed``.
        parameters: total parameters (checked against the published count in tests).
        active_parameters: parameters that touch one token (equals ``parameters`` for dense models).
        layers, hidden_size, intermediate_size, attention_heads, kv_heads, head_dim, vocab_size: as in the config.
        attention: kind of KV cache.
        mla_latent_dim: kv_lora_rank + qk_rope_head_dim for MLA, else 0.
        max_context: max_position_embeddings (after the config's own rope scaling).
        sliding_window: window in tokens of the windowed layers, 0 for none.
        sliding_layers: number of layers that use the window.
        dtype: dtype the weights are published in: ``bf16``, ``fp16``, ``fp8``, ``mxfp4`` …
        weight_bytes: bytes of the published safetensors where known, else None (then parameters x width).
        moe: None for dense models.
        gated: the licence must be accepted on the hub before download.
        source: where the figures were read.
        tied_embeddings: the output projection is the input embedding.
        mla: ranks of latent attention, None for other kinds.
        notes: what could not be read and was assumed.
    """

    name: str
    hf_ids: tuple[str, ...]
    family: str
    task: str
    parameters: int
    active_parameters: int
    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    attention: Attention
    mla_latent_dim: int
    max_context: int
    sliding_window: int
    sliding_layers: int
    dtype: str
    weight_bytes: int | None
    moe: Moe | None
    gated: bool
    source: str
    tied_embeddings: bool = False
    mla: Mla | None = None
    notes: tuple[str, ...] = ()


@cache
def models() -> Mapping[str, ModelArchitecture]:
    """Every built-in model by its id, in the order of the data file."""
    return {name: _entry(name, data) for name, data in read_data("models.yaml").items()}


def _entry(name: str, data: Mapping[str, Any]) -> ModelArchitecture:
    """One entry of models.yaml: a Hugging Face config with a few facts of the publication beside it."""
    from stoker.catalog.hf_config import from_hf_config

    architecture = from_hf_config(data["config"], name=name, weight_bytes=data.get("weight_bytes"))
    return replace(
        architecture,
        hf_ids=tuple(data["hf"]),
        gated=data.get("gated", False),
        source=data["source"],
    )


def model(name: str) -> ModelArchitecture:
    """A built-in model by its id or by a Hugging Face repository of its family, in any spelling.

    Raises:
        UnknownNameError: the catalogue does not hold it.
    """
    found = _by_key().get(_key(name))
    if found is None:
        raise UnknownNameError("model", name, models())
    return models()[found]


@cache
def _by_key() -> dict[str, str]:
    keys: dict[str, str] = {}
    for name, architecture in models().items():
        for spelling in (name, *architecture.hf_ids):
            keys.setdefault(_key(spelling), name)
    return keys


# Published variants of one architecture: the same shapes, other weights.
_VARIANTS: Final = re.compile(r"-(instruct|chat|it|base|hf|bf16|text|2\d{3}|v\d(\.\d)?)(?=-|$)")


def _key(name: str) -> str:
    """``meta-llama/Meta-Llama-3-70B-Instruct``, ``llama3_70b`` and ``llama-3-70b`` are one key."""
    key = name.strip().lower().rpartition("/")[2].replace("_", "-")
    key = _VARIANTS.sub("", key)
    return re.sub(r"[^a-z0-9]", "", key.removeprefix("meta-"))
