"""Model architectures: the numbers of a Hugging Face ``config.json`` that decide memory and speed."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Attention", "ModelArchitecture", "Moe"]


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


def _interim() -> dict[str, ModelArchitecture]:
    def llama(
        name: str, hf: str, params: int, layers: int, hidden: int, inter: int, heads: int
    ) -> ModelArchitecture:
        return ModelArchitecture(
            name,
            (f"meta-llama/{hf}", f"meta-llama/{hf}-Instruct"),
            "llama",
            "generate",
            params,
            params,
            layers,
            hidden,
            inter,
            heads,
            8,
            128,
            128256,
            Attention.GQA,
            0,
            8192,
            0,
            0,
            "bf16",
            None,
            None,
            True,
            "",
        )

    return {
        "llama-3-70b": llama("llama-3-70b", "Meta-Llama-3-70B", 70553706496, 80, 8192, 28672, 64),
        "llama-3-8b": llama("llama-3-8b", "Meta-Llama-3-8B", 8030261248, 32, 4096, 14336, 32),
    }


def models() -> dict[str, ModelArchitecture]:
    return _interim()


def model(name: str) -> ModelArchitecture:
    from stoker.errors import UnknownNameError

    for item in _interim().values():
        if name.lower() in (
            item.name,
            *(h.lower() for h in item.hf_ids),
            *(h.rpartition("/")[2].lower() for h in item.hf_ids),
        ):
            return item
    raise UnknownNameError("model", name, _interim())


def load_model_folder(path: object) -> ModelArchitecture:
    raise NotImplementedError(path)
