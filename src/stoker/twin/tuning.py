"""What `stoker tune` varies, and what it makes of an outcome. The search itself is Optuna's (`stoker.cli.tune_search`).

A candidate is a change of the platform file: replica bounds, targets of the autoscaler, tensor parallelism, batch bound,
pool sizes. It is judged by two figures: dollars, and the share of the promises kept.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.twin.fleet.results import Figures
from stoker.twin.promises import Promise, read_promises

__all__ = [
    "KEPT",
    "Knob",
    "Promise",
    "Value",
    "apply",
    "as_it_is",
    "attainment",
    "changes",
    "knobs",
    "pareto",
    "parse_promises",
]

Value = int | float | None

KEPT: Final = 0.9999
"""Attainment from which all promises count as kept: one request in ten thousand may go unanswered."""


@dataclass(frozen=True, slots=True)
class Knob:
    """One thing that is varied.

    Attributes:
        name: path in the platform document, with model and pool names for indices.
        choices: values to choose from, ``now`` among them.
        now: what the platform has; None where it leaves the matter to the engine or to a default.
    """

    name: str
    choices: tuple[Value, ...]
    now: Value


_TIMES: Final = tuple(name for name in Figures.__slots__ if name.endswith("_s"))


def parse_promises(texts: Sequence[str]) -> tuple[Promise, ...]:
    """Read promises such as ``ttft_p95<2s`` or ``tpot_p95<100ms``; a bound without a unit is seconds.

    Raises:
        InputError: of all texts that are not of that form, or whose figure is no time that is measured.
    """
    return read_promises(texts, _TIMES)


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
        utilization = (
            model.spec.autoscaling.target_utilization or platform.spec.autoscaling.target_utilization
        )
        found += [
            _knob(f"models.{name}.replicas.max", _steps(1, ceiling), model.max_replicas),
            _knob(f"models.{name}.replicas.min", _steps(1, min(most, ceiling)), model.min_replicas),
            _knob(
                f"models.{name}.autoscaling.targetUtilization", (0.4, 0.5, 0.6, 0.7, 0.8, 0.9), utilization
            ),
            _knob(f"models.{name}.parallelism.tensor", _widths(model), model.tensor),
            _knob(f"models.{name}.maxNumSeqs", (32, 64, 128, 256, 512), model.spec.max_num_seqs),
        ]
    for name, pool in platform.pools.items():
        nodes = pool.spec.nodes
        found.append(_knob(f"pools.{name}.nodes", _steps(max(1, nodes // 8), nodes), nodes))
    return tuple(knob for knob in found if len(knob.choices) > 1)


def _knob(name: str, choices: Sequence[int | float], now: Value) -> Knob:
    extra: tuple[Value, ...] = () if now in choices else (now,)
    return Knob(name, (*extra, *choices), now)


def _widths(model: ResolvedModel) -> tuple[int, ...]:
    """Tensor parallelism within a node that holds the weights; whether all else fits the platform's own checks say."""
    if model.architecture is None or model.pipeline != 1 or model.nodes_per_replica != 1:
        return ()
    room = model.gpu_memory_utilization * model.pool.gpu.memory_gib
    return tuple(
        width
        for width in (1, 2, 4, 8)
        if width <= model.pool.gpus_per_node and model.weights_gib < room * width
    )


def _steps(least: int, most: int) -> tuple[int, ...]:
    """About eight whole numbers from ``least`` to ``most``."""
    if most - least < 8:
        return tuple(range(least, most + 1))
    return tuple(sorted({round(least + (most - least) * step / 7) for step in range(8)}))


def as_it_is(space: Sequence[Knob]) -> dict[str, Value]:
    """The candidate in which no knob is turned."""
    return {knob.name: knob.now for knob in space}


def changes(space: Sequence[Knob], values: Mapping[str, Value]) -> dict[str, Value]:
    """What a candidate changes: the knobs that are turned, and replica bounds in pairs, the lower one at most the upper."""
    wanted = dict(values)
    now = as_it_is(space)
    turned = {name for name, value in wanted.items() if value != now[name]}
    for name in now:
        if not name.endswith(".replicas.max"):
            continue
        lower = f"{name.removesuffix('max')}min"
        most, least = wanted[name], wanted.get(lower, now.get(lower))
        if most is not None and least is not None and least > most:
            wanted[lower] = most
        # One without the other is no pair of bounds.
        if turned & {name, lower} and lower in now:
            turned |= {name, lower}
    return {name: wanted[name] for name in wanted if name in turned}


def apply(document: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """The platform document with the knobs set; the document itself is left as it is. None takes a field out."""
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
        if value is None:
            target.pop(path[-1], None)
        else:
            target[path[-1]] = value
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
