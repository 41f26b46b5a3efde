"""The JSON contract of `stoker report`."""

from typing import Any

from stoker.report.rollout.claims import Finding
from stoker.report.rollout.evidence import Canary, Figure, Gate, Incident, Outage, Window
from stoker.report.rollout.quantity import change
from stoker.report.rollout.report import AuditRow, Report
from stoker.report.rollout.roi import Row
from stoker.report.rollout.shares import share_of
from stoker.rollout.evidence import moment

__all__ = ["as_json"]


def as_json(report: Report) -> dict[str, Any]:
    """Plain data, keys in a fixed order; a value that is not known is null and says why."""
    evidence = report.evidence
    windows = {phase: window for phase, window in evidence.windows.items() if window is not None}
    return {
        "measured_on": evidence.measured_on,
        "gates": {
            **{verdict.value: count for verdict, count in report.verdicts.items()},
            "results": [_gate(gate) for gate in report.gates],
        },
        "windows": {phase: _window(window) for phase, window in windows.items()},
        "price": None
        if evidence.price is None
        else {"usd_per_gpu_hour": evidence.price.usd_per_gpu_hour, "source": evidence.price.source},
        "roi": [_row(row) for row in report.rows],
        "claims": [_claim(finding) for finding in report.claims],
        "canary": None if evidence.canary is None else _canary(evidence.canary),
        "audit": [_audit(row) for row in report.audits],
        "incident": None if evidence.incident is None else _incident(evidence.incident),
        "outage": None if evidence.outage is None else _outage(evidence.outage),
        "provenance": dict(evidence.provenance),
    }


def _window(window: Window | None) -> dict[str, Any] | None:
    if window is None:
        return None
    return {"from": moment(window.start), "to": moment(window.end), "seconds": window.seconds}


def _gate(gate: Gate) -> dict[str, Any]:
    return {
        "id": gate.id,
        "phase": gate.group,
        "verdict": gate.verdict.value,
        "reason": gate.reason,
        "measured": gate.measured,
        "threshold": gate.threshold,
        "started": moment(gate.started),
        "ended": moment(gate.ended),
        "source": gate.source,
    }


def _row(row: Row) -> dict[str, Any]:
    measure = row.measure
    return {
        "measure": measure.id,
        "title": measure.title,
        "unit": measure.unit,
        "better": measure.better,
        "before": _figure(row.before),
        "after": _figure(row.after),
        "change": change(row.before.value, row.after.value, measure.unit) or None,
        "simulated": {
            "before": None if row.simulated_before is None else _figure(row.simulated_before),
            "after": None if row.simulated_after is None else _figure(row.simulated_after),
        },
    }


def _figure(figure: Figure) -> dict[str, Any]:
    found = {
        "value": figure.value,
        "source": figure.source,
        "query": figure.query,
        "window": _window(figure.window),
        "note": figure.note,
    }
    return (
        found if figure.value is not None else {**found, "why": figure.why or "the evidence does not say why"}
    )


def _claim(finding: Finding) -> dict[str, Any]:
    claim = finding.claim
    return {
        "measure": claim.measure,
        "title": claim.title,
        "claimed": {"before": claim.said_before, "after": claim.said_after},
        "before": {"verdict": finding.before.value, "why": finding.said_before},
        "after": {"verdict": finding.after.value, "why": finding.said_after},
        "remark": claim.remark,
    }


def _canary(canary: Canary) -> dict[str, Any]:
    return {
        "model": canary.model,
        "outcome": canary.outcome,
        "reason": canary.reason,
        "steps": [
            {
                "percent": step.percent,
                "requests": step.requests,
                "answered": step.answered,
                "share": None if (share := share_of(step)) is None else share.value,
                "interval": None if share is None else [share.low, share.high],
            }
            for step in canary.steps
        ],
    }


def _audit(row: AuditRow) -> dict[str, Any]:
    return {
        "upgrade": row.upgrade,
        "before": None if row.before is None else dict(row.before),
        "after": None if row.after is None else dict(row.after),
        "score": {"before": row.score_before, "after": row.score_after},
    }


def _incident(incident: Incident) -> dict[str, Any]:
    moments = ("injected", "saturated", "fired", "paged", "resolved")
    return {
        "what": incident.what,
        "alert": incident.alert,
        "receiver": incident.receiver,
        **{name: None if (at := getattr(incident, name)) is None else moment(at) for name in moments},
    }


def _outage(outage: Outage) -> dict[str, Any]:
    seconds = None
    if outage.injected is not None and outage.recovered is not None:
        seconds = (outage.recovered - outage.injected).total_seconds()
    return {
        "what": outage.what,
        "injected": None if outage.injected is None else moment(outage.injected),
        "recovered": None if outage.recovered is None else moment(outage.recovered),
        "seconds": seconds,
        "requests": outage.requests,
        "answered": outage.answered,
    }
