"""The calibration's figures for a model on a GPU: measured, or taken from the nearest that was."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import ModelArchitecture

__all__ = ["Figures", "calibration", "figures_for"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Efficiencies as shares of the datasheet, times in seconds.

    Attributes:
        bandwidth, expert_bandwidth, kv_bandwidth: shares of the memory bandwidth that weights, experts and the cache are
            read at.
        arithmetic, attention: shares of the peak that matrix products and prompt attention reach.
        knee: exponent of the norm of reading and computing; larger is sharper.
        link: share of the link's bandwidth; ``link_latency_s`` per all-reduce.
        host_s, layer_s: per step, and per layer of it.
        mixed_s: more for a step with prompt tokens: it is not launched as one graph.
        sequence_s, chunk_s: per decoding sequence, per prompt chunk.
        arrival_s, arrival_token_s: per request and per prompt token, outside the steps.
        provenance: ``measured`` (this model on this GPU), ``interpolated`` (other models on it), ``extrapolated``.
    """

    bandwidth: float
    expert_bandwidth: float
    kv_bandwidth: float
    arithmetic: float
    attention: float
    knee: float
    link: float
    link_latency_s: float
    host_s: float
    layer_s: float
    mixed_s: float
    sequence_s: float
    chunk_s: float
    arrival_s: float
    arrival_token_s: float
    provenance: str = "extrapolated"


_SHARES = frozenset(("bandwidth", "expert_bandwidth", "kv_bandwidth", "arithmetic", "attention", "link"))
_MOST = 1.2  # a cache kept in 8 bits by the measured server, counted here in 16, shows as a share above 1


@cache
def calibration() -> dict[str, Any]:
    """The fitted figures as they are in the data file."""
    path = Path(__file__).parents[1] / "data" / "calibration.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def figures_for(architecture: ModelArchitecture, gpu: Gpu, quantization: str) -> Figures:
    """The figures of a model on a GPU: the general ones, changed by those of the GPU, the format and the model."""
    data = calibration()
    figures = Figures(**data["general"])
    own = data["gpus"].get(gpu.name)
    figures = _changed(figures, own if own is not None else data["families"].get(gpu.family) or {})
    figures = _changed(figures, data["formats"].get(f"{gpu.family}/{quantization}") or {})
    figures = _changed(figures, data["models"].get(architecture.name) or {})
    measured = data["pairs"].get(f"{architecture.name}/{gpu.name}/{quantization}")
    if measured is not None:
        return replace(_changed(figures, measured), provenance="measured")
    return replace(figures, provenance="interpolated" if own is not None else "extrapolated")


def _changed(figures: Figures, factors: dict[str, float]) -> Figures:
    """Each figure times its factor; no share of a datasheet goes beyond what its rounding explains."""
    found = {name: getattr(figures, name) * factor for name, factor in factors.items()}
    return replace(
        figures, **{name: min(value, _MOST) if name in _SHARES else value for name, value in found.items()}
    )
