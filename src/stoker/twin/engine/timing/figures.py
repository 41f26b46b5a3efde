"""The calibration's figures for a model on a GPU: measured, or taken from the nearest that was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import ModelArchitecture
from stoker.catalog.versions import in_range

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: same result, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

__all__ = ["MOST", "SHARES", "Figures", "calibration", "family_of", "figures_for", "release_of", "weights_of"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Efficiencies as shares of the datasheet, times in seconds.

    Attributes:
        bandwidth, expert_bandwidth, kv_bandwidth: shares of the memory bandwidth at which dense weights, experts and the
            cache are read.
        arithmetic, expert_arithmetic, attention: shares of the peak that matrix products, those of experts, and prompt
            attention reach.
        routing: factor on the tokens of a step in the share of experts they touch: below 1 where tokens go to the same
            experts more often than by chance, above 1 where kernels pad every expert's few tokens to a tile.
        expert_imbalance: time of the busiest rank over the mean with expert parallelism.
        data_balance: a prompt is as fast as if shared by (data-parallel ranks) ** this.
        knee: exponent of the norm of reading and computing; larger is sharper.
        link: share of the link's bandwidth; ``link_latency_s`` per exchange.
        host_s, layer_s: per step, and per layer of it; ``mixed_layer_s`` more per layer with prompt tokens.
        sequence_s, chunk_s: per decoding sequence, per prompt chunk.
        arrival_s, arrival_token_s: per request and per prompt token, outside the steps.
        provenance: ``measured`` (this model on this GPU), ``interpolated`` (other models on it), ``extrapolated``.
    """

    bandwidth: float
    expert_bandwidth: float
    kv_bandwidth: float
    arithmetic: float
    expert_arithmetic: float
    attention: float
    routing: float
    expert_imbalance: float
    data_balance: float
    knee: float
    link: float
    link_latency_s: float
    host_s: float
    layer_s: float
    mixed_layer_s: float
    sequence_s: float
    chunk_s: float
    arrival_s: float
    arrival_token_s: float
    provenance: str = "extrapolated"


# Shares of a datasheet figure. A little above 1 is kept: datasheets of some parts state less than they do.
SHARES: Final = (
    *(
        "bandwidth",
        "expert_bandwidth",
        "kv_bandwidth",
        "arithmetic",
        "expert_arithmetic",
        "attention",
        "link",
    ),
)
MOST: Final = 1.15
# Weight-only formats of one width run on the same kernels (Marlin).
_SAME_KERNELS: Final = {"awq": "gptq", "nf4": "gptq", "none": "16-bit"}
# Releases that differ in how steps are launched: V0; V1 up to the measured 0.11; V1 before asynchronous scheduling became
# the default (release notes of 0.14). Later ones are the general figures.
_RELEASES: Final = (
    (None, "0.8", "before 0.8"),
    ("0.8", "0.12", "0.8 to 0.11"),
    ("0.12", "0.14", "0.12 to 0.13"),
)


@cache
def calibration() -> dict[str, Any]:
    """The fitted figures as they are in the data file."""
    path = Path(__file__).parents[1] / "data" / "calibration.yaml"
    found: dict[str, Any] = yaml.load(path.read_bytes(), Loader=_Loader)
    return found


def family_of(gpu: Gpu) -> str:
    """GPUs that run the same kernels: the architecture, with Blackwell's workstation parts (compute capability 12) apart."""
    return f"{gpu.family} sm120" if gpu.compute_capability.startswith("12.") else gpu.family


def weights_of(quantization: str) -> str:
    """The format of the weights as the data file calls it."""
    return _SAME_KERNELS.get(quantization, quantization)


def release_of(version: str | None) -> str:
    """The releases that one of vLLM is measured with; empty for the newest."""
    if version is None:
        return ""
    return next((name for since, until, name in _RELEASES if in_range(version, since, until)), "")


def figures_for(
    architecture: ModelArchitecture, gpu: Gpu, quantization: str, version: str | None = None
) -> Figures:
    """The figures of a model on a GPU: the general ones, changed by those of family, GPU, format, model, pair and release.

    Args:
        architecture: the model.
        gpu: GPU type.
        quantization: format of the weights, ``none`` for 16 bits.
        version: vLLM release; None for the newest that was measured.
    """
    data = calibration()
    weights = weights_of(quantization)
    pair = f"{architecture.name}/{gpu.name}/{weights}"
    keys = {
        "families": family_of(gpu),
        "gpus": gpu.name,
        "formats": f"{family_of(gpu)}/{weights}",
        "models": architecture.name,
        "pairs": pair,
        "releases": release_of(version),
    }
    figures = Figures(**data["general"])
    for level, key in keys.items():
        factors: Mapping[str, float] = data[level].get(key, {})
        figures = replace(figures, **{name: getattr(figures, name) * by for name, by in factors.items()})
    bounded = {name: min(getattr(figures, name), MOST) for name in SHARES}
    return replace(figures, **bounded, provenance=_provenance(pair, gpu, data["measured"]))


def _provenance(pair: str, gpu: Gpu, measured: Sequence[str]) -> str:
    if pair in measured:
        return "measured"
    return "interpolated" if any(each.split("/")[1] == gpu.name for each in measured) else "extrapolated"
