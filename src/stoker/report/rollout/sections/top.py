"""The head of the page: what came out, in one sentence and four tiles."""

from collections.abc import Iterator
from html import escape

from stoker.report.rollout.quantity import NO_DATA, change, clock, day_and_time, duration, shown
from stoker.report.rollout.report import Report, headline
from stoker.report.rollout.roi import Row

__all__ = ["top"]

_TILES = ("gpu_busy", "ttft_p95", "idle_usd_month", "rollout_seconds")


def top(report: Report, sections: dict[str, str]) -> Iterator[str]:
    """Headline, where it was measured, links to the sections by their ids, tiles."""
    evidence = report.evidence
    where = evidence.measured_on or str(evidence.provenance.get("measured_on", ""))
    yield '<header><p class="eyebrow">Stoker rollout report'
    yield f" · measured on: {escape(where)}</p>" if where else "</p>"
    yield f"<h1>{escape(headline(report))}</h1>"
    if evidence.rollout is not None:
        begin, end = evidence.rollout
        took = duration((end - begin).total_seconds())
        stop = clock(end) if begin.date() == end.date() else day_and_time(end)
        yield f"<p>{day_and_time(begin)} to {stop} UTC, {took} of the cluster's time</p>"
    links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title in sections.items())
    yield f'<nav aria-label="Sections">{links}</nav></header>'
    yield '<ul class="tiles" aria-label="In short">'
    for name in _TILES:
        yield _tile(report.row(name))
    yield "</ul>"


def _tile(row: Row) -> str:
    unit, after, before = row.measure.unit, row.after, row.before
    title = f'<span class="what">{escape(row.measure.title)}{" a month" if unit == "usd_per_month" else ""}</span>'
    if after.value is not None:
        value = f'<span class="value">{escape(shown(after.value, unit))}</span>'
    elif row.simulated_after is not None and row.simulated_after.value is not None:
        return (
            f'<li>{title}<span class="value">{escape(shown(row.simulated_after.value, unit))}</span>'
            '<span class="small"><span class="sim">simulated</span></span></li>'
        )
    else:
        value = f'<span class="value no">{NO_DATA}</span>'
    if before.value is None:
        told = (
            "before: no data"
            if row.before.query or not row.before.why.startswith("the rollout")
            else row.measure.about
        )
    else:
        difference = change(before.value, after.value, unit)
        told = f"before: {shown(before.value, unit)}" + (f", {difference}" if difference else "")
    return f'<li>{title}{value}<span class="small">{escape(told)}</span></li>'
