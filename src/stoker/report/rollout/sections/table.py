"""The table of returns, and the guide's claims beside it."""

from collections.abc import Iterator, Mapping
from html import escape

from stoker.report.rollout.claims import Finding, Side
from stoker.report.rollout.evidence import Figure, Window
from stoker.report.rollout.quantity import change
from stoker.report.rollout.report import Report
from stoker.report.rollout.roi import PHASES, Row
from stoker.report.rollout.sections.words import cell, side, span

__all__ = ["claims", "roi"]


def roi(report: Report) -> Iterator[str]:
    """Every measure with its source and window, before and after."""
    windows = report.evidence.windows
    yield "<p>Each figure is measured where its source says; what was not measured says why, and is never a zero.</p>"
    heads = "".join(
        f'<th scope="col">{phase.capitalize()}{_when(windows.get(phase))}</th>' for phase in PHASES
    )
    yield f'<table class="roi"><thead><tr><th scope="col">Figure and source</th>{heads}</tr></thead><tbody>'
    for row in report.rows:
        yield _row(row, windows)
    yield "</tbody></table>"
    price = report.evidence.price
    if price is not None:
        yield f'<p class="small">Price: ${price.usd_per_gpu_hour:g} for a GPU and hour; {escape(price.source or "as given")}.</p>'


def _when(window: Window | None) -> str:
    return "" if window is None else f"<small>{span(window)}</small>"


def _row(row: Row, windows: Mapping[str, Window | None]) -> str:
    source = row.after if row.after.value is not None or not row.before.source else row.before
    told = source.source or "not asked"
    head = f'<th scope="row">{escape(row.measure.title)}<small>{escape(row.measure.about)}</small><small>{escape(told)}</small></th>'
    before = cell(row.before, row.simulated_before) + _own_window(row.before, "before", windows)
    after = cell(row.after, row.simulated_after) + _own_window(row.after, "after", windows)
    difference = change(row.before.value, row.after.value, row.measure.unit)
    moved = f'<small class="change">{escape(difference)}</small>' if difference else ""
    return f"<tr>{head}<td>{before}</td><td>{after}{moved}</td></tr>"


def _own_window(figure: Figure, phase: str, windows: Mapping[str, Window | None]) -> str:
    """The window of a figure that differs from its column's."""
    if figure.window is None or figure.window == windows.get(phase):
        return ""
    return f"<small>{span(figure.window)}</small>"


def claims(report: Report) -> Iterator[str]:
    """The guide's table as claims: never an output of ours."""
    yield (
        "<p>The guide that Stoker follows promises these figures. They are claims, shown beside what was measured here; "
        "none of them is an output of this report.</p>"
    )
    yield '<table class="roi"><thead><tr><th scope="col">The guide claims</th><th scope="col">Before</th><th scope="col">After</th></tr></thead><tbody>'
    for finding in report.claims:
        yield _claim(finding)
    yield "</tbody></table>"


def _claim(finding: Finding) -> str:
    claim = finding.claim
    remark = f"<small>{escape(claim.remark)}</small>" if claim.remark else ""
    cells = "".join(
        f"<td>{escape(claimed)}{_held(verdict, said)}</td>"
        for claimed, verdict, said in (
            (claim.said_before, finding.before, finding.said_before),
            (claim.said_after, finding.after, finding.said_after),
        )
    )
    return f'<tr><th scope="row">{escape(claim.title)}{remark}</th>{cells}</tr>'


def _held(verdict: Side, said: str) -> str:
    return f"<br>{side(verdict)}<small>{escape(said)}</small>"
