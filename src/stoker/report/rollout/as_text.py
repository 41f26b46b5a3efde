"""A rollout for a terminal: rows of the tables that the page has."""

from stoker.report.rollout.evidence import Figure, Gate
from stoker.report.rollout.quantity import change, clock, duration, shown
from stoker.report.rollout.report import Report
from stoker.report.rollout.sections.words import span

__all__ = ["claim_rows", "gate_rows", "heads", "notes", "roi_rows"]


def heads(report: Report) -> list[str]:
    """Column heads of the table of returns, with the windows."""
    windows = report.evidence.windows
    return [
        "figure",
        *(
            f"{phase}{f', {span(window)}' if (window := windows.get(phase)) is not None else ''}"
            for phase in ("before", "after")
        ),
        "change",
    ]


def roi_rows(report: Report) -> list[list[str]]:
    """A row per measure; `notes` says why there is no data."""
    return [
        [
            row.measure.title + (" a month" if row.measure.unit == "usd_per_month" else ""),
            _cell(row.before, row.simulated_before),
            _cell(row.after, row.simulated_after),
            change(row.before.value, row.after.value, row.measure.unit),
        ]
        for row in report.rows
    ]


def _cell(figure: Figure, twin: Figure | None) -> str:
    if figure.value is None and twin is not None and twin.value is not None:
        return f"{shown(twin.value, twin.unit)} (simulated)"
    return shown(figure.value, figure.unit)


def claim_rows(report: Report) -> list[list[str]]:
    """The guide's claims: before, whether it agrees, after, whether it agrees."""
    return [
        [
            finding.claim.title,
            finding.claim.said_before,
            f"{finding.before.value}: {finding.said_before}",
            finding.claim.said_after,
            f"{finding.after.value}: {finding.said_after}",
        ]
        for finding in report.claims
    ]


def gate_rows(report: Report) -> list[list[str]]:
    """Verdict, id, begin, how long it took, reason."""
    return [_gate(gate) for gate in report.gates]


def _gate(gate: Gate) -> list[str]:
    took = duration((gate.ended - gate.started).total_seconds())
    return [gate.verdict.value, gate.id, clock(gate.started), took, gate.reason or gate.title]


def notes(report: Report) -> list[str]:
    """Why some figures are missing, what must be known of others, and where they come from."""
    lines = [f"{row.measure.title}. {remark}" for row in report.rows for remark in row.remarks()]
    sources = {figure.source.rpartition("; ")[2] for figure in report.evidence.figures if figure.source}
    lines += [f"Measured on {source}." for source in sorted(sources)]
    price = report.evidence.price
    if price is not None:
        lines.append(f"A GPU-hour costs ${price.usd_per_gpu_hour:g}: {price.source or 'as given'}.")
    return lines
