"""A run as plain data: what `stoker load --output json` prints and what evidence keeps. Keys are a contract."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from stoker.load.result import Result
from stoker.load.summary import Part, Spread, Summary
from stoker.load.verdict import Verdict

__all__ = ["load_document", "result_row"]

_FIGURES = ("ttft", "tpot", "e2e", "ttft_from_send", "e2e_from_send")
_DIGITS = 6


def load_document(summary: Summary, verdicts: Sequence[Verdict] = ()) -> dict[str, Any]:
    """The figures of a run; times in seconds, None where nothing was measured."""
    return {
        **_part(summary.total),
        "planned": summary.planned,
        "in_flight": summary.in_flight,
        "answered": summary.answered,
        "cancelled": summary.is_cancelled,
        "offered_rate": _short(summary.offered_rate),
        "sent_rate": _short(summary.sent_rate),
        "completed_rate": _short(summary.completed_rate),
        "prompt_tokens": summary.prompt_tokens,
        "output_tokens": summary.output_tokens,
        "prompt_tokens_per_s": _short(summary.prompt_tokens_per_s),
        "output_tokens_per_s": _short(summary.output_tokens_per_s),
        "answered_by": summary.answered_by,
        "send_lag_s": _spread(summary.lag),
        "kept_schedule": not summary.is_late,
        "held": summary.held,
        "max_in_flight": summary.max_in_flight,
        "peak_in_flight": summary.peak_in_flight,
        "details": {kind: list(words) for kind, words in summary.details.items()},
        "models": {name: _part(part) for name, part in summary.models.items()},
        "tenants": {name: _part(part) for name, part in summary.tenants.items() if name},
        "elapsed_s": _short(summary.elapsed_s),
        "slo": [
            {
                "promise": verdict.promise.text,
                "verdict": {True: "kept", False: "missed", None: "inconclusive"}[verdict.is_kept],
                "measured": _short(verdict.measured),
                "requests": verdict.requests,
                "why": verdict.why,
            }
            for verdict in verdicts
        ],
        "provenance": {
            "measured_on": f"requests to {summary.target}",
            "load": summary.source,
            "seed": summary.seed,
            "speed": summary.speed,
            "latencies_from": "the intended moment of sending",
            "percentiles": "nearest rank",
        },
    }


def result_row(result: Result) -> dict[str, Any]:
    """One request, for a file with a line for each."""
    planned = asdict(result.planned)
    del planned["prefix"]
    return {
        **planned,
        "outcome": result.kind,
        "sent_s": _short(result.sent_s),
        "first_s": _short(result.first_s),
        "end_s": _short(result.end_s),
        "told_prompt_tokens": result.prompt_tokens,
        "told_output_tokens": result.output_tokens,
        "answered_by": result.answered_by,
        "held": result.is_held,
        "detail": result.detail,
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        "requests": part.requests,
        "ok": part.ok,
        "outcomes": part.outcomes,
        "error_rate": _short(part.error_rate),
        **{f"{name}_s": _spread(getattr(part, name)) for name in _FIGURES},
    }


def _spread(spread: Spread) -> dict[str, float | int | None]:
    figures = {
        "mean": spread.mean,
        "p50": spread.p50,
        "p90": spread.p90,
        "p95": spread.p95,
        "p99": spread.p99,
    }
    return {
        "count": spread.count,
        **{name: _short(value) for name, value in figures.items()},
        "max": _short(spread.most),
    }


def _short(value: float | None) -> float | None:
    """Microseconds are more than an event loop knows."""
    return None if value is None else round(value, _DIGITS)
