"""The lines over time, and the bill: what was before, during and after, with the incident marked."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from stoker.report.rollout.chart import Band, ChartLine, Flag, chart
from stoker.report.rollout.drawing import Scale, log_scale, ratio_scale, value_scale
from stoker.report.rollout.evidence import Evidence, Series
from stoker.report.rollout.measures import LINES
from stoker.report.rollout.quantity import NO_DATA, shown
from stoker.report.rollout.report import Report
from stoker.report.rollout.roi import PHASES

__all__ = ["cost", "incident_chart", "latency", "load", "utilisation"]

_LETTERS: Final = (
    ("injected", "a", "incident injected"),
    ("paged", "b", "paged"),
    ("resolved", "c", "resolved"),
)
_KV_LIMIT: Final = 0.9  # the saturation that week 4 pages for


def utilisation(report: Report) -> Iterator[str]:
    """Shares of all GPUs."""
    yield from _lines(
        report,
        "GPUs held, busy and useful",
        "ratio",
        ("gpu_held", "gpu_busy", "gpu_useful"),
        "Held: requested by running pods. Busy: a kernel ran. Useful: the multiprocessors had work.",
    )


def latency(report: Report) -> Iterator[str]:
    """Percentiles of the time to the first token."""
    yield from _lines(
        report,
        "Time to the first token",
        "seconds",
        ("ttft_p50", "ttft_p95", "ttft_p99"),
        "Percentiles over all engines; each step of the scale is a factor of ten.",
    )


def load(report: Report) -> Iterator[str]:
    """Requests in the system, and the replicas that took them."""
    yield from _lines(
        report, "Requests in the engines", "requests", ("requests_waiting", "requests_running"), ""
    )
    yield from _lines(report, "Replicas that Prometheus sees", "count", ("replicas",), "")


def incident_chart(report: Report) -> Iterator[str]:
    """The fullest KV cache against the threshold."""
    yield from _lines(
        report, "Fullest KV cache", "ratio", ("kv_cache_usage",), "The dashed line is 90 %.", limit=_KV_LIMIT
    )


def _lines(
    report: Report, title: str, unit: str, names: Sequence[str], about: str, *, limit: float | None = None
) -> Iterator[str]:
    evidence = report.evidence
    lines = [_line(evidence, name) for name in names]
    values = [value for line in lines for _, value in line.points if value is not None]
    yield from chart(
        title,
        unit,
        lines,
        _scale(unit, values),
        bands=_bands(evidence),
        flags=_flags(evidence),
        limit=limit,
        about=about,
    )


def _scale(unit: str, values: Sequence[float]) -> Scale:
    if unit == "ratio":
        return ratio_scale()
    return log_scale(values) if unit == "seconds" else value_scale(values)


def _line(evidence: Evidence, name: str) -> ChartLine:
    """All parts of one name as one line; a gap stands between two parts."""
    title = next((line.title for line in LINES if line.name == name), name)
    parts: list[Series] = sorted(
        (part for part in evidence.series if part.name == name and part.points),
        key=lambda part: part.points[0][0],
    )
    points: list[tuple[float, float | None]] = []
    for part in parts:
        if points:
            points.append((points[-1][0], None))
        points += sorted(part.points, key=lambda point: point[0])
    why = next((part.why for part in evidence.series if part.name == name and part.why), "")
    return ChartLine(title, points, why)


def _bands(evidence: Evidence) -> list[Band]:
    found = [
        Band(phase, window.start.timestamp(), window.end.timestamp())
        for phase, window in evidence.windows.items()
        if window is not None
    ]
    if evidence.rollout is not None:
        begin, end = evidence.rollout
        found.append(Band("rollout", begin.timestamp(), end.timestamp(), tinted=True))
    return found


def _flags(evidence: Evidence) -> list[Flag]:
    incident = evidence.incident
    if incident is None:
        return []
    found = ((letter, getattr(incident, name), what) for name, letter, what in _LETTERS)
    return [Flag(letter, at.timestamp(), what) for letter, at, what in found if at is not None]


def cost(report: Report) -> Iterator[str]:
    """The bill of a month in three parts, as bars that a table explains."""
    bills = {phase: getattr(report.row("bill_usd_month"), phase).value for phase in PHASES}
    shares = {phase: _shares(report, phase) for phase in PHASES}
    yield "<figure><figcaption>A month's bill for GPUs</figcaption>"
    price = report.evidence.price
    if price is None or all(bill is None for bill in bills.values()):
        row = report.row("bill_usd_month")
        yield f'<p class="no">no data: {escape(row.after.why or row.before.why)}</p></figure>'
        return
    yield '<ul class="legend">'
    for style, words in (
        ("busy", "busy"),
        ("held", "held, not busy"),
        ("free", "held by nobody"),
        ("none", "not told apart"),
    ):
        yield f'<li><i class="swatch {style}"></i>{words}</li>'
    yield "</ul>"
    top = max(bill for bill in bills.values() if bill is not None) or 1.0
    for phase, bill in bills.items():
        if bill is None:
            why = getattr(report.row("bill_usd_month"), phase).why
            yield f'<div class="bar-row"><p><b>{phase.capitalize()}</b><span class="no">{NO_DATA}: {escape(why)}</span></p></div>'
            continue
        parts = shares[phase]
        words = ", ".join(f"{name} {shown(bill * share, 'usd')}" for name, share in _named(parts))
        bars = "".join(
            f'<i class="{style}" style="width:{100 * share:.1f}%"></i>' for style, share in parts.items()
        )
        yield (
            f'<div class="bar-row"><p><b>{phase.capitalize()}</b><span>{shown(bill, "usd")}: {escape(words)}</span></p>'
            f'<div style="width:{100 * bill / top:.1f}%"><div class="stack" aria-hidden="true">{bars}</div></div></div>'
        )
    yield "</figure>"


def _shares(report: Report, phase: str) -> dict[str, float]:
    """Parts of the whole by their style; what is not known is not told apart."""
    busy = getattr(report.row("gpu_busy"), phase).value
    held = getattr(report.row("gpu_held"), phase).value
    if busy is None:
        return {"none": 1.0}
    if held is None:
        return {"busy": busy, "none": 1 - busy}
    inside = max(0.0, held - busy)
    return {"busy": busy, "held": inside, "free": max(0.0, 1 - busy - inside)}


def _named(parts: dict[str, float]) -> list[tuple[str, float]]:
    words = {"busy": "busy", "held": "held and not busy", "free": "held by nobody", "none": "not told apart"}
    return [(words[style], share) for style, share in parts.items()]
