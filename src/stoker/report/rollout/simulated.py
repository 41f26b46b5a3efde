"""Figures of the twin, from what `stoker simulate --output json` or `--compare` printed: a column that says it is simulated."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from stoker.errors import InputError, Problem
from stoker.report.rollout.evidence import Figure
from stoker.report.rollout.measures import MEASURES
from stoker.sizing.report import HOURS_PER_MONTH

__all__ = ["parse_twin", "read_twin"]

# Ours by the simulation's names.
_SAME: Final = {
    "gpu_held": "gpu_allocated",
    "gpu_busy": "gpu_utilization",
    "gpu_useful": "gpu_useful",
    "oom_incidents": "oom_host_memory",
    "gpu_crashes": "oom_gpu_memory",
    "ttft_p50": "ttft_p50_s",
    "ttft_p95": "ttft_p95_s",
    "ttft_p99": "ttft_p99_s",
    "requests": "completed",
    "cold_starts": "cold_starts",
    "cold_start_p50": "cold_start_p50_s",
}
_MONEY: Final = {"bill_usd_month": "cost_usd", "idle_usd_month": "idle_cost_usd"}
_FIX: Final = "name the output of `stoker simulate … --baseline vanilla --output json`, --ladder or --compare"


@dataclass(frozen=True)
class _Cluster:
    end_s: float = 0.0
    owned_gpu_hours: float | None = None


@dataclass(frozen=True)
class _Run:
    """The figures of one fleet that have a row here, as `stoker.report.simulation.document` names them."""

    gpu_allocated: float | None = None
    gpu_utilization: float | None = None
    gpu_useful: float | None = None
    oom_host_memory: float | None = None
    oom_gpu_memory: float | None = None
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    ttft_p99_s: float | None = None
    completed: float | None = None
    cold_starts: float | None = None
    cold_start_p50_s: float | None = None
    cost_usd: float | None = None
    idle_cost_usd: float | None = None
    cluster: _Cluster = _Cluster()


@dataclass(frozen=True)
class _Estimate:
    mean: float | None = None


@dataclass(frozen=True)
class _Fleet:
    platform: str
    figures: Mapping[str, _Estimate]

    @property
    def run(self) -> _Run:
        """The means of a comparison."""
        names = {each.name for each in fields(_Run)}
        return _Run(**{name: each.mean for name, each in self.figures.items() if name in names})  # type: ignore[arg-type]  # no figure is called cluster


@dataclass(frozen=True)
class _Origin:
    trace: str = "an unknown trace"
    traffic: str = "unknown traffic"
    seed: int | None = None
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Document(_Run):
    fleets: tuple[_Fleet, ...] = ()
    baseline: _Run | None = None
    ladder: tuple[_Run, ...] = ()
    provenance: _Origin = _Origin()


_ADAPTER: Final = TypeAdapter(_Document)


def read_twin(path: Path) -> tuple[Figure, ...]:
    """The figures in a file.

    Raises:
        InputError: it is not there or no simulation's document.
    """
    try:
        return parse_twin(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(
            [Problem(f"cannot be read: {error.strerror}", path="--twin", file=str(path), fix=_FIX)]
        ) from error


def parse_twin(text: bytes | str, file: str = "") -> tuple[Figure, ...]:
    """Figures before (the baseline, the first step or the first fleet) and after (the last).

    Raises:
        InputError: no simulation's document.
    """
    try:
        document = _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(
            [
                Problem(
                    f"is no simulation's document: {first['msg']}",
                    path=f"--twin {place}".strip(),
                    file=file,
                    fix=_FIX,
                )
            ]
        ) from error
    parts = _parts(document)
    if not parts:
        raise InputError(
            [Problem("is no simulation's document: no fleet in it", path="--twin", file=file, fix=_FIX)]
        )
    source = _source(document.provenance)
    return tuple(
        figure
        for phase, (label, part) in parts.items()
        for figure in _figures(phase, part, f"{source}{label}")
    )


def _parts(document: _Document) -> dict[str, tuple[str, _Run]]:
    """What is before and what is after, each with a few words on it."""
    if document.fleets:
        first, last = document.fleets[0], document.fleets[-1]
        found = {"after": (f", {last.platform}", last.run)}
        return {"before": (f", {first.platform}", first.run), **found} if len(document.fleets) > 1 else found
    if document.gpu_utilization is None:
        return {}
    before = document.baseline or (document.ladder[0] if document.ladder else None)
    if before is None:
        return {"after": ("", document)}
    return {"before": (", vanilla", before), "after": (", with the upgrades", document)}


def _source(origin: _Origin) -> str:
    seed = f"seeds {origin.seeds[0]} to {origin.seeds[-1]}" if origin.seeds else f"seed {origin.seed}"
    return f"twin, simulated: {origin.trace} ({origin.traffic}), {seed}"


def _figures(phase: str, run: _Run, source: str) -> list[Figure]:
    found = [
        Figure(measure, phase, value, MEASURES[measure].unit, source)
        for measure, name in _SAME.items()
        if (value := getattr(run, name)) is not None
    ]
    hours = run.cluster.end_s / 3600
    if hours <= 0:
        return found  # a comparison does not say how long it was: no month follows from it
    if run.cluster.owned_gpu_hours is not None:
        gpus = round(run.cluster.owned_gpu_hours / hours, 3)
        found.append(Figure("gpus", phase, gpus, MEASURES["gpus"].unit, source))
    for measure, name in _MONEY.items():
        value = getattr(run, name)
        if value is not None:
            month, note = (
                round(value / hours * HOURS_PER_MONTH, 2),
                f"of {hours:.3g} h, for {HOURS_PER_MONTH} h",
            )
            found.append(Figure(measure, phase, month, MEASURES[measure].unit, source, note=note))
    return found
