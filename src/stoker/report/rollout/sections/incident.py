"""The incident: what was broken, and how long it took until somebody knew."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from html import escape
from typing import Final

from stoker.report.rollout.evidence import Incident, Outage
from stoker.report.rollout.quantity import clock, duration
from stoker.report.rollout.report import Report
from stoker.report.rollout.sections.charts import incident_chart

__all__ = ["incident"]

_MOMENTS: Final = (
    ("injected", "injected"),
    ("saturated", "saturated"),
    ("fired", "alert firing"),
    ("paged", "paged"),
    ("resolved", "resolved"),
)


def incident(report: Report) -> Iterator[str]:
    """Moments in their order, each with the time since the one before; below, what was broken under load."""
    found, outage = report.evidence.incident, report.evidence.outage
    if found is None and outage is None:
        yield '<p class="no">no data: no incident was injected</p>'
    if found is not None:
        yield from _paged(report, found)
    if outage is not None:
        yield from _outage(outage)


def _outage(outage: Outage) -> Iterator[str]:
    yield f"<h3>Under load</h3><p>{escape(outage.what)}</p>"
    yield '<ol class="moments">'
    yield from _moments((("injected", outage.injected), ("recovered", outage.recovered)))
    if outage.requests:
        yield f"<li><b>{outage.answered:,} of {outage.requests:,} answered</b><small>of the requests sent meanwhile</small></li>"
    yield "</ol>"


def _paged(report: Report, found: Incident) -> Iterator[str]:
    parts = [
        found.what,
        f"alert {found.alert}" if found.alert else "",
        f"to {found.receiver}" if found.receiver else "",
    ]
    yield f"<p>{escape('; '.join(part for part in parts if part))}</p>"
    yield '<ol class="moments">'
    yield from _moments((words, getattr(found, name)) for name, words in _MOMENTS)
    yield "</ol>"
    yield from incident_chart(report)


def _moments(moments: Iterable[tuple[str, datetime | None]]) -> Iterator[str]:
    last: datetime | None = None
    for words, at in moments:
        if at is None:
            yield f'<li class="missing"><b>{words}</b><small class="no">not seen</small></li>'
            continue
        since = "" if last is None else f", {_since(last, at)}"
        yield f'<li class="{words.replace(" ", "-")}"><b>{words}</b><small>{clock(at)} UTC{since}</small></li>'
        last = at


def _since(last: datetime, at: datetime) -> str:
    seconds = (at - last).total_seconds()
    return f"{duration(seconds)} later" if seconds >= 0 else f"{duration(-seconds)} earlier"
