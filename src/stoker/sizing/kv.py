"""KV cache: bytes a token and a sequence take, over all GPUs and on one."""

import math

from stoker.catalog.models import Attention, ModelArchitecture

__all__ = ["kv_bytes_per_token", "sequence_bytes_per_gpu"]


def kv_bytes_per_token(architecture: ModelArchitecture, kv_bytes: float) -> int:
    """Bytes of one token in every layer, unsplit: 2 × layers × KV heads × head dimension × bytes.

    Latent attention caches one vector a layer (arXiv 2405.04434, section 2.1); encoders cache nothing.
    """
    if architecture.attention is Attention.NONE:
        return 0
    return int(architecture.layers * _layer_bytes(architecture, 1) * kv_bytes)


def sequence_bytes_per_gpu(
    architecture: ModelArchitecture, tokens: int, kv_bytes: float, *, tensor: int, pipeline: int
) -> float:
    """Bytes that a sequence of ``tokens`` takes on one GPU of the busiest pipeline stage.

    KV heads are split over ranks and replicated where there are more ranks than heads; a latent vector is replicated on
    every rank. Windowed layers keep the window only (vllm v1/core/kv_cache_manager, hybrid KV cache groups).
    """
    if architecture.attention is Attention.NONE:
        return 0.0
    windowed = architecture.sliding_layers
    held = (architecture.layers - windowed) * tokens + windowed * min(
        tokens, architecture.sliding_window or tokens
    )
    stage = math.ceil(architecture.layers / pipeline) / architecture.layers
    return held * stage * _layer_bytes(architecture, tensor) * kv_bytes


def _layer_bytes(architecture: ModelArchitecture, tensor: int) -> int:
    """Values of one token in one layer on one rank."""
    if architecture.attention is Attention.MLA:
        return architecture.mla_latent_dim
    return 2 * math.ceil(architecture.kv_heads / tensor) * architecture.head_dim
