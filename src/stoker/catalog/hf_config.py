"""Reading a Hugging Face ``config.json``: the fields that decide memory and speed, by family.

The file is somebody else's: every number is checked for type and range before it is used.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from stoker.catalog.models import Attention, Mla, ModelArchitecture, Moe
from stoker.catalog.parameters import count
from stoker.errors import InputError, Problem

__all__ = ["from_hf_config", "load_model_folder"]

_MOST_BYTES: Final = 4 << 20
_ENCODERS: Final = frozenset(("bert", "xlm-roberta", "roberta"))
_KNOWN: Final = _ENCODERS | frozenset((
    "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3", "gemma3_text",
    "phi", "phi3", "phimoe", "kimi_k2", "deepseek_v2", "deepseek_v3", "gpt_oss", "llama4", "llama4_text", "starcoder2",
))  # fmt: skip
# Every other layer is windowed: transformers models gemma2, gpt_oss (layer_types says so in newer files).
_ALTERNATING: Final = frozenset(("gemma2", "gpt_oss"))
# Output projection shared with the embedding unless the file says otherwise.
_TIED: Final = frozenset(("gemma", "gemma2", "gemma3", "gemma3_text"))
_DTYPES: Final = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_QUANTIZED: Final = {
    "fp8": "fp8",
    "fbgemm_fp8": "fp8",
    "awq": "awq",
    "gptq": "gptq",
    "mxfp4": "mxfp4",
    "modelopt": "nvfp4",
}


class _Fields:
    """Checked access to one config; problems are collected, not raised one by one."""

    def __init__(self, data: Mapping[str, Any], file: str) -> None:
        self._data = data
        self._file = file
        self.problems: list[Problem] = []

    def whole(self, *names: str, default: int | None = None, most: int = 10_000_000, least: int = 1) -> int:
        """The first of ``names`` that is there, as an integer within bounds."""
        for name in names:
            value = self._data.get(name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                self._complain(name, value, f"an integer from {least} to {most}")
                return least
            return value
        if default is None:
            self._complain(names[0], None, "an integer")
            return least
        return default

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._data.get(name, default)
        return value if isinstance(value, bool) else default

    def _complain(self, name: str, value: object, wanted: str) -> None:
        found = "" if value is None else repr(value)[:80]
        message = "is not there" if value is None else "cannot be used"
        self.problems.append(Problem(message, path=name, file=self._file, found=found, wanted=wanted))


def from_hf_config(
    config: Mapping[str, Any], *, name: str, weight_bytes: int | None = None, file: str = ""
) -> ModelArchitecture:
    """The architecture of a config.

    Args:
        config: parsed ``config.json``; a multimodal one is read by its ``text_config``.
        name: id to give it.
        weight_bytes: bytes of the published weights where known.
        file: name for messages.

    Raises:
        InputError: a field that sizing needs is missing or absurd.
    """
    inner = config.get("text_config")
    data = (
        {**inner, "model_type": inner.get("model_type", config.get("model_type"))}
        if isinstance(inner, dict)
        else config
    )
    family = data.get("model_type")
    if not isinstance(family, str) or not family or len(family) > 64:
        raise InputError(
            [
                Problem(
                    "is not there",
                    path="model_type",
                    file=file,
                    wanted="the family, such as llama or qwen3",
                    fix="use the config.json that was published with the weights",
                )
            ]
        )
    fields = _Fields(data, file)
    architecture = replace(_read(fields, data, config, family), name=name, weight_bytes=weight_bytes)
    if fields.problems:
        raise InputError(fields.problems)
    parameters = count(architecture)
    return replace(architecture, parameters=parameters.total, active_parameters=parameters.active)


def _read(
    fields: _Fields, data: Mapping[str, Any], config: Mapping[str, Any], family: str
) -> ModelArchitecture:
    layers = fields.whole("num_hidden_layers", "n_layer", most=2000)
    hidden = fields.whole("hidden_size", "n_embd", most=1_000_000)
    heads = fields.whole("num_attention_heads", "n_head", most=100_000)
    kv_heads = fields.whole("num_key_value_heads", default=heads, most=100_000)
    head_dim = fields.whole("head_dim", default=max(1, hidden // heads), most=65_536)
    window = fields.whole("sliding_window", default=0, most=10_000_000, least=0)
    windowed = _windowed_layers(data, family, layers) if window else 0
    mla = _mla(fields) if data.get("kv_lora_rank") is not None else None
    embed = family in _ENCODERS or _is_embedding(config)
    attention = Attention.MLA if mla else Attention.NONE if family in _ENCODERS else _kind(heads, kv_heads)
    return ModelArchitecture(
        name="",
        hf_ids=(),
        family=family,
        task="embed" if embed else "generate",
        parameters=0,
        active_parameters=0,
        layers=layers,
        hidden_size=hidden,
        intermediate_size=_dense_width(fields, family),
        attention_heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=fields.whole("vocab_size"),
        attention=attention,
        mla_latent_dim=mla.kv_rank + mla.rope_dim if mla else 0,
        max_context=fields.whole("max_position_embeddings", "n_positions", default=2048, most=100_000_000),
        sliding_window=window if windowed else 0,
        sliding_layers=windowed,
        dtype=_dtype(config, data),
        weight_bytes=None,
        moe=_moe(fields, data, family, layers),
        gated=False,
        source="",
        tied_embeddings=fields.flag("tie_word_embeddings", default=family in _TIED),
        mla=mla,
        notes=() if family in _KNOWN else (f"model_type {family} is not known; read as a plain decoder",),
    )


def _kind(heads: int, kv_heads: int) -> Attention:
    if kv_heads == heads:
        return Attention.MHA
    return Attention.MQA if kv_heads == 1 else Attention.GQA


def _is_embedding(config: Mapping[str, Any]) -> bool:
    """A class without a head (``MistralModel``, not ``MistralForCausalLM``) is published for its embeddings."""
    classes = config.get("architectures")
    first = classes[0] if isinstance(classes, list) and classes else ""
    return isinstance(first, str) and first.endswith("Model") and "For" not in first


def _dense_width(fields: _Fields, family: str) -> int:
    if family in {"llama4", "llama4_text"}:  # dense layers have a width of their own
        return fields.whole("intermediate_size_mlp", "intermediate_size", most=10_000_000)
    return fields.whole("intermediate_size", "n_inner", "ffn_dim", most=10_000_000)


def _mla(fields: _Fields) -> Mla:
    return Mla(
        q_rank=fields.whole("q_lora_rank", default=0, most=1_000_000, least=0),
        kv_rank=fields.whole("kv_lora_rank", most=1_000_000),
        rope_dim=fields.whole("qk_rope_head_dim", most=65_536),
        nope_dim=fields.whole("qk_nope_head_dim", most=65_536),
        value_dim=fields.whole("v_head_dim", most=65_536),
    )


def _moe(fields: _Fields, data: Mapping[str, Any], family: str, layers: int) -> Moe | None:
    names = ("n_routed_experts", "num_local_experts", "num_experts")
    if not any(data.get(name) for name in names):
        return None
    dense_first = fields.whole("first_k_dense_replace", default=0, most=2000, least=0)
    step = fields.whole(
        "interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_freq", default=1, most=2000
    )
    llama4 = family in {"llama4", "llama4_text"}
    return Moe(
        experts=fields.whole(*names, most=100_000),
        experts_per_token=fields.whole("num_experts_per_tok", "experts_per_token", most=100_000),
        shared_experts=1 if llama4 else fields.whole("n_shared_experts", default=0, most=1000, least=0),
        expert_intermediate_size=fields.whole(
            *(("intermediate_size",) if llama4 else ("moe_intermediate_size", "intermediate_size")),
            most=10_000_000,
        ),
        moe_layers=max(0, layers - dense_first) // step,
    )


def _windowed_layers(data: Mapping[str, Any], family: str, layers: int) -> int:
    types = data.get("layer_types")
    if isinstance(types, list) and types:
        return sum(1 for item in types if item == "sliding_attention")
    if data.get("use_sliding_window") is False:
        return 0
    pattern = data.get("sliding_window_pattern")
    if family in {"gemma3", "gemma3_text"}:
        every = (
            pattern
            if isinstance(pattern, int) and not isinstance(pattern, bool) and 1 < pattern < layers
            else 6
        )
        return layers - layers // every
    if family in _ALTERNATING:
        return layers - layers // 2
    return layers


def _dtype(config: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    quantized = config.get("quantization_config") or data.get("quantization_config")
    if isinstance(quantized, dict):
        method = quantized.get("quant_method")
        if method == "compressed-tensors":
            return "fp8" if "float" in json.dumps(quantized, default=str) else "int8"
        if method == "bitsandbytes":
            return "int8" if quantized.get("load_in_8bit") else "nf4"
        if isinstance(method, str) and method in _QUANTIZED:
            return _QUANTIZED[method]
    for source in (data, config):
        for key in ("torch_dtype", "dtype"):
            value = source.get(key)
            if isinstance(value, str) and value in _DTYPES:
                return _DTYPES[value]
    return "bf16"


def load_model_folder(path: Path) -> ModelArchitecture:
    """The architecture of a folder with ``config.json``; bytes of the weights from its index or its safetensors.

    Raises:
        InputError: no such file, no JSON, or a field that cannot be used.
    """
    file = path / "config.json"
    config = _json(file)
    return from_hf_config(config, name=path.resolve().name, weight_bytes=_weight_bytes(path), file=str(file))


def _weight_bytes(path: Path) -> int | None:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        metadata = _json(index).get("metadata")
        size = metadata.get("total_size") if isinstance(metadata, dict) else None
        if isinstance(size, int | float) and not isinstance(size, bool) and 0 < size < 2**60:
            return int(size)
    sizes = [item.stat().st_size for item in sorted(path.glob("*.safetensors")) if item.is_file()]
    return sum(sizes) or None


def _json(file: Path) -> dict[str, Any]:
    try:
        if not file.is_file():
            raise InputError([Problem("is not there", file=str(file), wanted="a Hugging Face config.json")])
        if file.stat().st_size > _MOST_BYTES:
            raise InputError(
                [Problem("is larger than 4 MiB", file=str(file), wanted="a Hugging Face config.json")]
            )
        data = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError([Problem(f"cannot be read as JSON: {str(error)[:120]}", file=str(file))]) from error
    if not isinstance(data, dict):
        raise InputError(
            [Problem("holds no JSON object", file=str(file), wanted="an object with model_type")]
        )
    return data


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
