"""Bytes of weights: which width each part of a model has, and whether a GPU can compute with it."""

from dataclasses import dataclass
from typing import Final

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import ModelArchitecture
from stoker.catalog.parameters import count

__all__ = ["Width", "resolve_width", "weight_bytes"]

# Bytes per quantised parameter, with its share of the scales:
#   awq, gptq: 4 bits, and per group of 128 one 16-bit scale and one 4-bit zero point (AutoAWQ and GPTQ formats)
#   mxfp4: 4 bits and one 8-bit scale per 32 (OCP Microscaling Formats 1.0); nvfp4: one 8-bit scale per 16 (NVIDIA)
#   nf4: 4 bits and one 32-bit scale per 64 (bitsandbytes)
_BYTES: Final = {
    "fp32": 4.0,
    "bf16": 2.0,
    "fp16": 2.0,
    "fp8": 1.0,
    "int8": 1.0,
    "awq": 0.5 + 2.5 / 128,
    "gptq": 0.5 + 2.5 / 128,
    "mxfp4": 0.5 + 1 / 32,
    "nvfp4": 0.5 + 1 / 16,
    "nf4": 0.5 + 4 / 64,
}
_PLAIN: Final = frozenset(("fp32", "bf16", "fp16"))
# Least CUDA compute capability that runs the format at all, and the one that computes in it; below the second the kernels
# only store in it and compute in 16 bits (vllm docs "Supported Hardware" of quantization, Marlin kernels).
_CAPABILITY: Final = {
    "fp8": (8.0, 8.9),
    "int8": (7.5, 7.5),
    "awq": (7.5, 7.5),
    "gptq": (7.0, 7.0),
    "mxfp4": (8.0, 9.0),
    "nvfp4": (8.0, 10.0),
    "nf4": (7.0, 7.0),
}
_NOT_ON_AMD: Final = frozenset(("nvfp4", "nf4"))


@dataclass(frozen=True, slots=True)
class Width:
    """What weights are stored and computed in.

    Attributes:
        dtype: of activations and unquantised weights: ``bf16``, ``fp16`` or ``fp32``.
        quantization: ``none`` or a format.
        refusal: why the GPU cannot serve it; empty where it can.
        notes: what differs from what was asked or published.
    """

    dtype: str
    quantization: str
    refusal: str = ""
    notes: tuple[str, ...] = ()


def resolve_width(
    architecture: ModelArchitecture, gpu: Gpu, *, precision: str = "auto", quantization: str = "auto"
) -> Width:
    """What is stored and computed on this GPU: as published, unless asked otherwise or the GPU lacks it."""
    published = architecture.dtype
    chosen = quantization if quantization != "auto" else ("none" if published in _PLAIN else published)
    dtype = precision if precision != "auto" else (published if published in _PLAIN else "bf16")
    notes: list[str] = []
    if dtype == "fp32" and precision == "auto":
        dtype = "fp16" if "bf16" not in gpu.tflops else "bf16"
    if dtype == "bf16" and "bf16" not in gpu.tflops:
        if precision == "bf16":
            return Width(dtype, chosen, f"{gpu.name} has no BF16; use fp16")
        dtype = "fp16"
        notes.append(f"{gpu.name} has no BF16: FP16 is used")
    if chosen == "none":
        return Width(dtype, chosen, "", tuple(notes))
    refusal = _refusal(chosen, gpu, notes)
    return Width(dtype, chosen, refusal, tuple(notes))


def _refusal(quantization: str, gpu: Gpu, notes: list[str]) -> str:
    if gpu.vendor != "nvidia":
        return f"{quantization} has no kernels for {gpu.name}" if quantization in _NOT_ON_AMD else ""
    least, native = _CAPABILITY[quantization]
    capability = float(gpu.compute_capability)
    if capability < least:
        return f"{quantization} needs compute capability {least}, {gpu.name} has {gpu.compute_capability}"
    if capability < native:
        notes.append(
            f"{gpu.name} stores {quantization} and computes in 16 bits: memory is saved, arithmetic is not"
        )
    return ""


def weight_bytes(architecture: ModelArchitecture, width: Width) -> int:
    """Bytes of all weights as they lie in GPU memory.

    The published file sizes win where the model is served as published. Otherwise embeddings keep 16 bits under every
    quantisation, and mxfp4 covers the experts only (openai/gpt-oss model card).
    """
    if architecture.weight_bytes is not None and _as_published(architecture, width):
        return architecture.weight_bytes
    parameters = count(architecture)
    plain = _BYTES[width.dtype]
    if width.quantization == "none":
        return int(parameters.total * plain)
    if width.quantization == "mxfp4" and architecture.moe is not None:
        quantised = _expert_parameters(architecture)
    else:
        quantised = parameters.total - parameters.embeddings
    return int(quantised * _BYTES[width.quantization] + (parameters.total - quantised) * plain)


def _as_published(architecture: ModelArchitecture, width: Width) -> bool:
    published = architecture.dtype
    return published == (width.dtype if width.quantization == "none" else width.quantization)


def _expert_parameters(architecture: ModelArchitecture) -> int:
    moe = architecture.moe
    if moe is None:
        return 0
    return moe.moe_layers * moe.experts * 3 * architecture.hidden_size * moe.expert_intermediate_size
