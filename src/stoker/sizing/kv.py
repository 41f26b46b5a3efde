"""KV cache: bytes per token."""

from stoker.catalog.models import ModelArchitecture

__all__ = ["kv_bytes_per_token"]


def kv_bytes_per_token(architecture: ModelArchitecture, kv_bytes: float) -> float:
    """2 x layers x kv_heads x head_dim x bytes (facts 1g); MLA caches one latent vector a layer."""
    if architecture.mla_latent_dim:
        return architecture.layers * architecture.mla_latent_dim * kv_bytes
    return 2 * architecture.layers * architecture.kv_heads * architecture.head_dim * kv_bytes
