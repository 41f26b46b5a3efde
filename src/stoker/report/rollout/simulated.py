"""Figures of the twin, from what `stoker simulate --output json` or `--compare` printed: a column that says it is simulated."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

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
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError([Problem(f"is no JSON: {error}", path="--twin", file=file, fix=_FIX)]) from error
    parts = _parts(document) if isinstance(document, dict) else {}
    if not parts:
        raise InputError([Problem("is no simulation's document", path="--twin", file=file, fix=_FIX)])
    source = _source(document)
    return tuple(
        figure
        for phase, (label, part) in parts.items()
        for figure in _figures(phase, part, f"{source}{label}")
    )


def _parts(document: Mapping[str, Any]) -> dict[str, tuple[str, Mapping[str, Any]]]:
    fleets = document.get("fleets")
    if isinstance(fleets, list) and fleets:
        found: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for phase, fleet in {"before": fleets[0], "after": fleets[-1]}.items():
            figures = {name: (each or {}).get("mean") for name, each in fleet.get("figures", {}).items()}
            found[phase] = (f", {fleet.get('platform', 'fleet')}", figures)
        return found if len(fleets) > 1 else {"after": found["after"]}
    if "gpu_utilization" not in document:
        return {}
    ladder = document.get("ladder")
    baseline = document.get("baseline") or (ladder[0] if isinstance(ladder, list) and ladder else None)
    after = {"after": (", with the upgrades" if baseline else "", document)}
    return {"before": (", vanilla", baseline), **after} if isinstance(baseline, dict) else after


def _source(document: Mapping[str, Any]) -> str:
    origin = document.get("provenance") or {}
    seeds = origin.get("seeds")
    seed = (
        f"seeds {seeds[0]} to {seeds[-1]}"
        if isinstance(seeds, list) and seeds
        else f"seed {origin.get('seed')}"
    )
    return f"twin, simulated: {origin.get('trace', 'unknown trace')} ({origin.get('traffic', '')}), {seed}"


def _figures(phase: str, part: Mapping[str, Any], source: str) -> list[Figure]:
    found = []
    for measure, name in _SAME.items():
        value = part.get(name)
        if isinstance(value, int | float):
            found.append(Figure(measure, phase, float(value), MEASURES[measure].unit, source))
    cluster = part.get("cluster") or {}
    hours = float(cluster.get("end_s") or 0) / 3600
    if hours > 0:
        owned = cluster.get("owned_gpu_hours")
        if isinstance(owned, int | float):
            found.append(Figure("gpus", phase, round(owned / hours, 3), "count", source))
        for measure, name in _MONEY.items():
            value = part.get(name)
            if isinstance(value, int | float):
                month = round(value / hours * HOURS_PER_MONTH, 2)
                found.append(
                    Figure(
                        measure,
                        phase,
                        month,
                        MEASURES[measure].unit,
                        source,
                        note=f"{hours:.3g} h, times {HOURS_PER_MONTH} h",
                    )
                )
    return found
