"""A rollout for a terminal: rows of the tables that the page has."""

from stoker.report.rollout.evidence import Figure, Gate
from stoker.report.rollout.quantity import change, clock, duration, shown
from stoker.report.rollout.report import Report
from stoker.report.rollout.roi import Row
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
    """A row per measure; those that nobody measured or simulated are left to `notes`."""
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
    """Where figures come from, and why some are missing; each reason once."""
    lines: dict[str, None] = {}
    for row in report.rows:
        lines.update(dict.fromkeys(_whys(row)))
    sources = {figure.source.rpartition("; ")[2] for figure in report.evidence.figures if figure.source}
    lines.update(dict.fromkeys(f"measured on {source}" for source in sorted(sources)))
    twins = {
        twin.source
        for row in report.rows
        for twin in (row.simulated_before, row.simulated_after)
        if twin is not None
    }
    lines.update(dict.fromkeys(sorted(twins)))
    price = report.evidence.price
    if price is not None:
        lines[f"a GPU-hour costs ${price.usd_per_gpu_hour:g}: {price.source or 'as given'}"] = None
    return list(lines)


def _whys(row: Row) -> list[str]:
    found = []
    for phase, figure in (("before", row.before), ("after", row.after)):
        if figure.value is None:
            found.append(f"{row.measure.title}, {phase}: no data: {figure.why}")
        elif figure.note:
            found.append(f"{row.measure.title}, {phase}: {figure.note}")
    return found
