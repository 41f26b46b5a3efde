"""The incident: what was broken, and how long it took until somebody knew."""

from collections.abc import Iterator
from datetime import datetime
from html import escape
from typing import Final

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
    """Moments in their order, each with the time since the one before."""
    found = report.evidence.incident
    if found is None:
        yield '<p class="no">no data: no incident was injected</p>'
        return
    parts = [
        found.what,
        f"alert {found.alert}" if found.alert else "",
        f"to {found.receiver}" if found.receiver else "",
    ]
    yield f"<p>{escape('; '.join(part for part in parts if part))}</p>"
    yield '<ol class="moments">'
    last: datetime | None = None
    for name, words in _MOMENTS:
        at = getattr(found, name)
        if at is None:
            yield f'<li class="missing"><b>{words}</b><small class="no">not seen</small></li>'
            continue
        since = "" if last is None else f", {_since(last, at)}"
        yield f'<li class="{name}"><b>{words}</b><small>{clock(at)} UTC{since}</small></li>'
        last = at
    yield "</ol>"
    yield from incident_chart(report)


def _since(last: datetime, at: datetime) -> str:
    seconds = (at - last).total_seconds()
    return f"{duration(seconds)} later" if seconds >= 0 else f"{duration(-seconds)} earlier"
