"""The table of returns, and the guide's claims beside it."""

from collections.abc import Iterator, Mapping
from html import escape

from stoker.report.rollout.claims import Finding, Kind, Side
from stoker.report.rollout.evidence import Figure, Window
from stoker.report.rollout.quantity import change
from stoker.report.rollout.report import Report
from stoker.report.rollout.roi import PHASES, Row
from stoker.report.rollout.sections.words import cell, side, span

__all__ = ["claims", "roi"]

_Windows = Mapping[str, Window | None]


def roi(report: Report) -> Iterator[str]:
    """Every measure with its source and window, before and after."""
    windows = report.evidence.windows
    shared = _shared_source(report)
    asked = f" Unless a row says otherwise, asked of {escape(shared)}." if shared else ""
    yield f"<p>What was not measured says why, and is never a zero.{asked}</p>"
    heads = "".join(
        f'<th scope="col">{phase.capitalize()}{_when(windows.get(phase))}</th>' for phase in PHASES
    )
    yield f'<table class="roi"><thead><tr><th scope="col">Figure</th>{heads}</tr></thead>'
    for row in report.rows:
        yield _row(row, windows, shared)
    yield "</table>"
    price = report.evidence.price
    if price is not None:
        source = escape(price.source or "as given")
        yield f'<p class="small">Price of a GPU-hour: ${price.usd_per_gpu_hour:g}; {source}.</p>'


def _shared_source(report: Report) -> str:
    """What stands behind the last semicolon of every source; empty where they differ."""
    figures = report.evidence.figures
    ends = {figure.source.rpartition("; ")[2] for figure in figures if "; " in figure.source}
    return ends.pop() if len(ends) == 1 else ""


def _when(window: Window | None) -> str:
    return "" if window is None else f"<small>{span(window)}</small>"


def _row(row: Row, windows: _Windows, shared: str) -> str:
    measure = row.measure
    before = cell(row.before, row.simulated_before) + _own_window(row.before, windows.get("before"))
    difference = change(row.before.value, row.after.value, measure.unit)
    moved = f'<small class="change">{escape(difference)}</small>' if difference else ""
    after = cell(row.after, row.simulated_after) + moved + _own_window(row.after, windows.get("after"))
    below = [f"{measure.about} {_source(row, shared)}".strip(), *row.remarks()]
    told = "".join(f"<small>{escape(line)}</small>" for line in below)
    return (
        f'<tbody><tr><th scope="row">{escape(measure.title)}</th><td>{before}</td><td>{after}</td></tr>'
        f'<tr class="about"><td colspan="3">{told}</td></tr></tbody>'
    )


def _source(row: Row, shared: str) -> str:
    """Of the side that was measured, without what all share."""
    figure = row.after if row.after.value is not None or not row.before.source else row.before
    source = figure.source.removesuffix(shared).rstrip("; ") if shared else figure.source
    return f"Source: {source}." if source else ""


def _own_window(figure: Figure, column: Window | None) -> str:
    """The window of a figure that differs from its column's."""
    return "" if figure.window in {None, column} else _when(figure.window)


def claims(report: Report) -> Iterator[str]:
    """The guide's table as claims: never an output of ours."""
    yield (
        "<p>The guide that Stoker follows promises these figures. They are claims, shown beside what was measured here; "
        "none of them is an output of this report.</p>"
    )
    yield (
        '<table class="roi"><thead><tr><th scope="col">The guide claims</th><th scope="col">Before</th>'
        '<th scope="col">After</th></tr></thead>'
    )
    for finding in report.claims:
        yield _claim(finding)
    yield "</table>"


def _claim(finding: Finding) -> str:
    claim = finding.claim
    # A fall has one verdict for both sides, which stands after.
    before = "" if claim.kind is Kind.FALL else _held(finding.before, finding.said_before)
    after = _held(finding.after, finding.said_after)
    below = (
        f'<tr class="about"><td colspan="3"><small>{escape(claim.remark)}</small></td></tr>'
        if claim.remark
        else ""
    )
    return (
        f'<tbody><tr><th scope="row">{escape(claim.title)}</th><td>{escape(claim.said_before)}{before}</td>'
        f"<td>{escape(claim.said_after)}{after}</td></tr>{below}</tbody>"
    )


def _held(verdict: Side, said: str) -> str:
    return f"<br>{side(verdict)}<small>{escape(said)}</small>"
