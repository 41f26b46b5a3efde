"""The fit: figures that many measurements share, each changed a little by family, GPU, format, model, pair and release.

Every figure of `Figures` is a product: a general value times one factor a level. Logarithms of the factors are the unknowns,
drawn towards 0 by a normal prior whose width says how much a level may matter: what few rows speak of stays with its family.
Rows enter with the logarithm of predicted over measured, in units of a tolerance, and a robust (pseudo-Huber) loss, so that
a row of a broken run does not bend the rest. Solved by Levenberg-Marquardt with differences for derivatives; a factor
moves only the rows under it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stoker.twin.engine.timing.figures import MOST, SHARES, Figures

__all__ = ["LEVELS", "Fit", "Observation", "solve"]

LEVELS = ("families", "gpus", "formats", "models", "pairs", "releases")
Factor = tuple[str, str, str]
"""Figure, level, key; the general value of a figure has level ``general`` and no key."""

# Start of each figure, width of its prior there, and widths by level.
_PRIORS: Mapping[str, tuple[float, float, Mapping[str, float]]] = {
    "bandwidth": (0.78, 0.15, {"families": 0.25, "gpus": 0.1, "formats": 0.2, "pairs": 0.12}),
    "expert_bandwidth": (0.8, 0.7, {"formats": 0.3, "models": 0.3, "pairs": 0.2}),
    "kv_bandwidth": (0.8, 0.4, {"families": 0.3, "models": 0.3, "pairs": 0.12}),
    "arithmetic": (0.5, 0.4, {"families": 0.3, "gpus": 0.1, "formats": 0.3, "models": 0.2, "pairs": 0.15}),
    "expert_arithmetic": (0.25, 0.7, {"formats": 0.3, "models": 0.3, "pairs": 0.2}),
    "attention": (0.4, 0.7, {"families": 0.3, "models": 0.3, "pairs": 0.12}),
    "routing": (1.5, 0.5, {"models": 0.3}),
    "expert_imbalance": (1.0, 0.15, {}),
    "data_balance": (0.7, 0.25, {}),
    "knee": (3.0, 0.3, {}),
    "link": (0.6, 0.4, {"families": 0.2, "releases": 0.2}),
    "link_latency_s": (5e-6, 0.7, {"families": 0.3, "pairs": 0.15, "releases": 0.2}),
    "host_s": (1.2e-3, 0.7, {"families": 0.2, "models": 0.2, "releases": 0.4}),
    "layer_s": (
        4e-5,
        0.7,
        {"families": 0.3, "formats": 0.3, "models": 0.3, "pairs": 0.2, "releases": 0.3},
    ),
    "mixed_layer_s": (8e-5, 0.7, {"families": 0.3, "models": 0.3, "pairs": 0.15, "releases": 0.3}),
    "sequence_s": (1.5e-5, 0.7, {"families": 0.2, "models": 0.2, "releases": 0.4}),
    "chunk_s": (4e-4, 0.7, {"families": 0.2, "models": 0.3}),
    "arrival_s": (1.2e-2, 0.7, {"families": 0.2, "models": 0.3, "releases": 0.4}),
    "arrival_token_s": (3e-6, 0.7, {"models": 0.3, "releases": 0.4}),
}
_EXPERTS = frozenset(("expert_bandwidth", "expert_arithmetic", "routing"))
_LINKS = frozenset(("link", "link_latency_s"))
_DIFFERENCE = 0.02
_LONGEST = 0.6  # of a step, in a logarithm
_FARTHEST = 1.2  # residuals beyond this ratio (in a logarithm) say nothing more


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What was measured under one configuration.

    Attributes:
        keys: level -> key; a level without a key has no factor of its own (hopper and the newest release are general).
        measured, tolerance: figures, and the relative error of each that counts as one.
        predict: the figures from `Figures`.
        experts, ranks, data, expert_parallel: which figures can matter at all.
    """

    keys: Mapping[str, str]
    measured: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    predict: Callable[[Figures], Sequence[float]]
    experts: bool
    ranks: int
    data: int
    expert_parallel: bool

    def names(self) -> Iterable[str]:
        """Figures that this observation depends on."""
        for name in _PRIORS:
            if (name in _EXPERTS and not self.experts) or (name in _LINKS and self.ranks == 1):
                continue
            if (name == "expert_imbalance" and not self.expert_parallel) or (
                name == "data_balance" and self.data == 1
            ):
                continue
            yield name


class Fit:
    """Factors and their logarithms."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        self.place: dict[Factor, int] = {}
        widths: list[float] = []
        for name, (_, width, levels) in _PRIORS.items():
            self.place[name, "general", ""] = len(widths)
            widths.append(width)
            for level, wide in levels.items():
                for key in sorted({each.keys[level] for each in observations if level in each.keys}):
                    self.place[name, level, key] = len(widths)
                    widths.append(wide)
        self.widths = np.array(widths)
        self.logs = np.zeros(len(widths))

    def places(self, observation: Observation, name: str) -> list[int]:
        """Unknowns that make up one figure of an observation."""
        found = [self.place[name, "general", ""]]
        for level in _PRIORS[name][2]:
            place = self.place.get((name, level, observation.keys.get(level, "")))
            if place is not None:
                found.append(place)
        return found

    def figures(self, observation: Observation, logs: NDArray[np.float64] | None = None) -> Figures:
        """The figures of an observation."""
        logs = self.logs if logs is None else logs
        values = {
            name: start * float(np.exp(logs[self.places(observation, name)].sum()))
            for name, (start, _, _) in _PRIORS.items()
        }
        return _bounded(values)

    def document(self) -> dict[str, object]:
        """The figures as the data file holds them: general values, and factors by level and key."""
        found: dict[str, dict[str, dict[str, float]]] = {level: {} for level in LEVELS}
        general = {}
        for (name, level, key), place in self.place.items():
            factor = float(np.exp(self.logs[place]))
            if level == "general":
                general[name] = float(f"{_PRIORS[name][0] * factor:.4g}")
            elif abs(factor - 1) >= 0.002:
                found[level].setdefault(key, {})[name] = float(f"{factor:.4g}")
        return {"general": general, **found}


def _bounded(values: Mapping[str, Any]) -> Figures:
    figures = Figures(**values)
    return replace(figures, **{name: min(getattr(figures, name), MOST) for name in SHARES})


def solve(observations: Sequence[Observation], steps: int = 10) -> Fit:
    """Fit the factors."""
    fit = Fit(observations)
    precision = 1 / fit.widths**2
    damping = 1e-2
    residuals = [_residual(each, fit.figures(each)) for each in observations]
    best = _loss(residuals, fit.logs, precision)
    for _ in range(steps):
        curvature, gradient = _linearised(fit, observations, residuals)
        improved = False
        for _ in range(5):
            damped = curvature + np.diag(precision + damping * (np.diag(curvature) + precision))
            change = np.clip(-np.linalg.solve(damped, gradient + precision * fit.logs), -_LONGEST, _LONGEST)
            logs = fit.logs + change
            trial = [_residual(each, fit.figures(each, logs)) for each in observations]
            loss = _loss(trial, logs, precision)
            if loss < best:
                improved = True
                break
            damping = max(damping * 6, 1e-2)
        if not improved:
            break
        gain, best = best - loss, loss
        fit.logs, residuals, damping = logs, trial, max(damping / 4, 1e-5)
        if gain < 0.002 * best:
            break
    return fit


def _residual(observation: Observation, figures: Figures) -> NDArray[np.float64]:
    ratio = np.log(np.asarray(observation.predict(figures)) / observation.measured)
    return np.asarray(np.clip(ratio, -_FARTHEST, _FARTHEST) / observation.tolerance)


def _loss(
    residuals: Sequence[NDArray[np.float64]], logs: NDArray[np.float64], precision: NDArray[np.float64]
) -> float:
    every = np.concatenate(residuals)
    return float((4 * (np.sqrt(1 + (every / 2) ** 2) - 1)).sum() + 0.5 * (precision * logs**2).sum())


def _linearised(
    fit: Fit, observations: Sequence[Observation], residuals: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Newton curvature and gradient of the robust loss, without the prior."""
    curvature = np.zeros((len(fit.logs), len(fit.logs)))
    gradient = np.zeros(len(fit.logs))
    for observation, residual in zip(observations, residuals, strict=True):
        here = fit.figures(observation)
        weight = 1 / np.sqrt(1 + (residual / 2) ** 2)
        columns: list[int] = []
        slopes: list[NDArray[np.float64]] = []
        for name in observation.names():
            there = replace(here, **{name: getattr(here, name) * float(np.exp(_DIFFERENCE))})
            slope = (_residual(observation, there) - residual) / _DIFFERENCE
            for place in fit.places(observation, name):
                columns.append(place)
                slopes.append(slope)
        jacobian = np.array(slopes).T
        curvature[np.ix_(columns, columns)] += (jacobian * weight[:, None]).T @ jacobian
        gradient[columns] += jacobian.T @ (weight * residual)
    return curvature, gradient
