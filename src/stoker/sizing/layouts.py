"""Layouts of one replica: tensor x pipeline parallelism, each with whether it fits and why not."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["USEFUL_SEQUENCES", "Layout", "choose_layout"]

USEFUL_SEQUENCES = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to split a replica."""

    tensor_parallel: int
    pipeline_parallel: int
    fits: bool
    reason: str
    weights_gib_per_gpu: float
    kv_tokens: int
    max_sequences: int
    gpus: int
    nodes: int


def choose_layout(layouts: Sequence[Layout]) -> Layout | None:
    """The smallest layout that fits and holds enough full-length sequences; else the roomiest that fits."""
    fitting = [layout for layout in layouts if layout.fits]
    useful = [layout for layout in fitting if layout.max_sequences >= USEFUL_SEQUENCES]
    if useful:
        return min(useful, key=lambda layout: (layout.gpus, layout.pipeline_parallel))
    return max(fitting, key=lambda layout: layout.max_sequences, default=None)
