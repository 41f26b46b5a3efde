"""What `stoker tune` varies, and what it makes of an outcome. The search itself is Optuna's (`stoker.cli.tune`).

A candidate is a change of the platform document: replica bounds, targets of the autoscaler, tensor parallelism, batch
bound, pool sizes. It is judged by two figures: dollars, and the share of the promises kept.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.errors import InputError, Problem
from stoker.sizing.resolved import ResolvedPlatform
from stoker.twin.fleet.results import Figures

__all__ = ["Knob", "Promise", "apply", "attainment", "knobs", "pareto", "parse_promises"]


@dataclass(frozen=True, slots=True)
class Knob:
    """One thing that is varied.

    Attributes:
        name: path in the platform document, with model and pool names for indices.
        choices: values to choose from, in order.
    """

    name: str
    choices: tuple[int | float, ...]


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound on a figure, as the user writes it: ``ttft_p95<2s``."""

    figure: str
    most: float
    text: str


_UNITS: Final = {"ms": 1e-3, "s": 1.0, "m": 60.0, "": 1.0, "%": 0.01}
_PROMISE: Final = re.compile(r"^\s*([a-z0-9_]+)\s*<=?\s*([0-9.]+)\s*(ms|s|m|%)?\s*$")


def parse_promises(texts: Sequence[str]) -> tuple[Promise, ...]:
    """Read promises such as ``ttft_p95<2s`` or ``tpot_p95<100ms``.

    Raises:
        InputError: not of that form, or a figure that there is not.
    """
    found = []
    for text in texts:
        match = _PROMISE.match(text)
        name = match.group(1) if match else ""
        figure = name if name in Figures.__slots__ else f"{name}_s"
        if match is None or figure not in Figures.__slots__:
            raise InputError(
                [Problem("no promise", path="--slo", found=text, wanted="FIGURE<BOUND, such as ttft_p95<2s")]
            )
        found.append(Promise(figure, float(match.group(2)) * _UNITS[match.group(3) or ""], text.strip()))
    return tuple(found)


def attainment(figures: Figures, promises: Sequence[Promise]) -> float:
    """How well promises are kept: 1 where all are and nothing failed, less in proportion to what is missed.

    Each promise adds the bound over the figure, at most 1; the mean of them is taken, times the share of requests that were
    answered at all.
    """
    answered = figures.completed / figures.requests if figures.requests else 0.0
    parts = []
    for promise in promises:
        value = getattr(figures, promise.figure)
        parts.append(0.0 if value is None else 1.0 if value <= promise.most else promise.most / value)
    return answered * (sum(parts) / len(parts) if parts else 1.0)


def knobs(platform: ResolvedPlatform) -> tuple[Knob, ...]:
    """What can be varied on this platform."""
    found: list[Knob] = []
    for name, model in platform.models.items():
        most = max(model.max_replicas, 2)
        ceiling = max(1, min(64, 4 * most, int(model.pool.gpus // model.gpus_per_replica) or 1))
        found.append(Knob(f"models.{name}.replicas.max", _steps(1, ceiling)))
        found.append(Knob(f"models.{name}.replicas.min", _steps(1, max(1, min(most, ceiling)))))
        found.append(Knob(f"models.{name}.autoscaling.targetUtilization", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9)))
        if model.architecture is not None and model.pipeline == 1 and model.nodes_per_replica == 1:
            widths = [t for t in (1, 2, 4, 8) if model.tensor <= t <= model.pool.gpus_per_node]
            if len(widths) > 1:
                found.append(Knob(f"models.{name}.parallelism.tensor", tuple(widths)))
        found.append(Knob(f"models.{name}.maxNumSeqs", (32, 64, 128, 256, 512)))
    for name, pool in platform.pools.items():
        found.append(Knob(f"pools.{name}.nodes", _steps(max(1, pool.spec.nodes // 8), pool.spec.nodes)))
    return tuple(found)


def _steps(least: int, most: int) -> tuple[int, ...]:
    """About eight whole numbers from ``least`` to ``most``."""
    if most - least < 8:
        return tuple(range(least, most + 1))
    return tuple(sorted({round(least + (most - least) * step / 7) for step in range(8)}))


def apply(document: Mapping[str, Any], values: Mapping[str, int | float]) -> dict[str, Any]:
    """The platform document with the knobs set; the document itself is left as it is."""
    changed: dict[str, Any] = copy.deepcopy(dict(document))
    for name, value in values.items():
        kind, entry, *path = name.split(".")
        target = next(item for item in changed[kind] if item["name"] == entry)
        for step in path[:-1]:
            inner = target.get(step)
            if not isinstance(inner, dict):
                # `replicas: 3` and `parallelism: auto` are short for a mapping.
                inner = {"min": inner, "max": inner} if isinstance(inner, int) else {}
            target[step] = inner
            target = inner
        target[path[-1]] = value
    for model in changed["models"]:
        bounds = model.get("replicas")
        if isinstance(bounds, dict) and {"min", "max"} <= set(bounds):
            bounds["min"] = min(bounds["min"], bounds["max"])
    return changed


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of points that no other beats: (cost, attainment), less and more are better; cheapest first."""
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    front: list[int] = []
    best = float("-inf")
    for index in order:
        if points[index][1] > best:
            best = points[index][1]
            front.append(index)
    return front
