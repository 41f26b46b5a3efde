"""The JSON document of a simulation: the totals at the top, the same by model and tenant below, and where they come from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from stoker.twin.fleet.results import Figures, Result
from stoker.twin.workload import Trace

__all__ = ["Provenance", "rounded", "simulation_document", "trace_provenance"]


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a figure was measured on.

    Attributes:
        measured_on: always ``twin``: a simulation, no cluster.
        trace: name of the trace; ``trace_sha256`` of its bytes, ``trace_rows`` as read, ``trace_repairs`` counts by kind.
        traffic: how the trace became the requests: ``as recorded``, ``cut`` or ``stretched``, and what was made of its models.
        seed: of everything random.
        version: of Stoker.
        calibration: by model, how the step times are known.
        upgrades: those in place.
        faults: what was asked to break and to change.
        trace_holes: silences of the trace, (from, to) in seconds; ``trace_repeated`` rows that repeat the one before.
    """

    measured_on: str
    trace: str
    trace_sha256: str
    trace_rows: int
    trace_repairs: Mapping[str, int]
    traffic: str
    seed: int
    version: str
    calibration: Mapping[str, str]
    upgrades: tuple[str, ...]
    faults: Mapping[str, Any]
    trace_holes: tuple[tuple[float, float], ...] = ()
    trace_repeated: int = 0


def trace_provenance(trace: Trace) -> dict[str, Any]:
    """Where figures of several runs under one trace come from: the fields of `Provenance` that the runs share."""
    return {
        "measured_on": "twin",
        "trace": trace.name,
        "trace_sha256": trace.sha256,
        "trace_rows": trace.rows,
        "trace_repairs": trace.repairs,
        "trace_holes": trace.holes,
        "trace_repeated": trace.repeated,
        "version": version("stoker"),
    }


def simulation_document(result: Result, provenance: Provenance) -> dict[str, Any]:
    """One simulated fleet as a JSON value. Keys are stable; times are seconds, money US dollars, shares 0 to 1."""
    return {
        **_figures(result.total),
        "models": {name: _figures(figures) for name, figures in result.models.items()},
        "tenants": {name: _figures(figures) for name, figures in result.tenants.items()},
        "cluster": {
            "owned_gpu_hours": rounded(result.owned_gpu_hours),
            "pod_preemptions": result.pod_preemptions,
            "unrouted_requests": result.unrouted,
            "duration_s": result.duration_s,
            "end_s": result.end_s,
            **asdict(result.faults),
            "rollouts": len(result.rollout_s),
            "rollout_max_s": rounded(max(result.rollout_s, default=None)),
        },
        "neighbours": {
            kind: {name: rounded(value) for name, value in tally.items()}
            for kind, tally in result.neighbours.items()
        },
        "provenance": asdict(provenance),
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {name: rounded(value) for name, value in asdict(figures).items()}


def rounded(value: float | None) -> float | int | None:
    """Six significant digits: what is beyond is noise, and would tell machines apart."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
