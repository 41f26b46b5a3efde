"""LoRA adapters of a model: how many share a batch, and how long one takes to come into the GPU."""

from collections.abc import Sequence
from typing import Final

from stoker.catalog.models import ModelArchitecture
from stoker.sizing.resolved import DeliveryKind, ResolvedModel
from stoker.sizing.startup import LOAD_BANDWIDTH

__all__ = ["adapter_bytes", "load_seconds", "most_in_a_batch"]

_WIDTH: Final = 2  # adapters are kept in 16 bits
# PCIe 4.0 x16, one direction; newer boards are faster, and the disk is what counts.
_TO_GPU_BYTES_PER_S: Final = 31.5e9


def adapter_bytes(architecture: ModelArchitecture, rank: int) -> int:
    """Bytes of an adapter on every linear layer of attention and dense MLP: rank x (inputs + outputs) each, 16 bits.

    Routed experts are left out, as most adapters leave them (arXiv 2106.09685 adapts attention alone).
    """
    hidden = architecture.hidden_size
    queries = architecture.attention_heads * architecture.head_dim
    keys = architecture.kv_heads * architecture.head_dim
    sides = 2 * (hidden + queries) + 2 * (hidden + keys)
    if architecture.moe is None:
        sides += 3 * (hidden + architecture.intermediate_size)
    return _WIDTH * rank * sides * architecture.layers


def load_seconds(architecture: ModelArchitecture, rank: int) -> float:
    """From the pod's disk into the GPU. vLLM keeps only as many in host memory as in the GPU (``--max-cpu-loras``)."""
    size = adapter_bytes(architecture, rank)
    return size / LOAD_BANDWIDTH[DeliveryKind.NVME] + size / _TO_GPU_BYTES_PER_S


def most_in_a_batch(model: ResolvedModel) -> int:
    """``--max-loras`` of the compiled server: what the user's arguments say, else one slot for each adapter."""
    return _given(model.spec.engine.args) or len(model.spec.lora)


def _given(arguments: Sequence[str]) -> int:
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--max-loras":
            value = value if equals else next(iter(arguments[place + 1 : place + 2]), "")
            return int(value) if value.isdecimal() else 0
    return 0
