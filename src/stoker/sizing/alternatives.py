"""Where a model would fit that fits nowhere as asked: other GPUs of the catalogue, and narrower weights."""

from stoker.catalog.gpus import Gpu, gpus
from stoker.catalog.models import ModelArchitecture
from stoker.sizing.layouts import USEFUL_SEQUENCES, Layout
from stoker.sizing.report import size_model

__all__ = ["alternatives"]

_NARROWER = ("fp8", "awq")


def alternatives(
    architecture: ModelArchitecture, asked: Gpu, *, context_length: int, most: int = 4
) -> list[str]:
    """Layouts that would work, the fewest GPUs first: the same GPU with narrower weights, then other GPUs as published."""
    found: list[str] = []
    for quantization in _NARROWER:
        layout = size_model(
            architecture, asked, quantization=quantization, context_length=context_length
        ).recommended
        if layout and layout.max_sequences >= USEFUL_SEQUENCES:
            found.append(f"{asked.name} with {quantization} weights: {_text(layout)}")
    others = [
        (layout.gpus, f"{gpu.name}: {_text(layout)}")
        for gpu in gpus().values()
        if gpu.name != asked.name
        and (layout := size_model(architecture, gpu, context_length=context_length).recommended) is not None
        and layout.max_sequences >= USEFUL_SEQUENCES
    ]
    return [*found, *(text for _, text in sorted(others))][:most]


def _text(layout: Layout) -> str:
    return f"TP{layout.tensor_parallel} PP{layout.pipeline_parallel}, {layout.gpus} GPUs"
