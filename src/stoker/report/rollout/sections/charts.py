"""The lines over time, and the bill: what was before, during and after, with the incident marked."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import Final

from stoker.report.rollout.chart import Band, ChartLine, Flag, chart
from stoker.report.rollout.drawing import Scale, log_scale, ratio_scale, value_scale
from stoker.report.rollout.evidence import Evidence, Series
from stoker.report.rollout.measures import LINES
from stoker.report.rollout.quantity import NO_DATA, clock, shown
from stoker.report.rollout.report import Report

__all__ = ["cost", "incident_chart", "latency", "letters", "load", "utilisation"]

_LETTERS: Final = (
    ("injected", "a", "incident injected"),
    ("paged", "b", "paged"),
    ("resolved", "c", "resolved"),
)
_KV_LIMIT: Final = 0.9  # the saturation that week 4 pages for
_AROUND_S: Final = 240.0


def letters(report: Report) -> Iterator[str]:
    """What the letters in the charts stand for."""
    incident = report.evidence.incident
    there = (
        []
        if incident is None
        else [(letter, what, getattr(incident, name)) for name, letter, what in _LETTERS]
    )
    words = [f"<b>{letter}</b> {what} {clock(at)}" for letter, what, at in there if at is not None]
    told = f" Upright dashes: {', '.join(words)}." if words else ""
    tint = " The tint is the rollout." if report.evidence.gates else ""
    yield f"<p>Times are UTC.{tint}{told}</p>"


def utilisation(report: Report) -> Iterator[str]:
    """Shares of all GPUs."""
    about = "Held: requested by running pods. Busy: a kernel ran. Useful: the multiprocessors had work."
    yield from _lines(
        report, "GPUs held, busy and useful", "ratio", ("gpu_held", "gpu_busy", "gpu_useful"), about
    )


def latency(report: Report) -> Iterator[str]:
    """Percentiles of the time to the first token."""
    about = "Percentiles over all engines; each step of the scale is a factor of ten."
    yield from _lines(
        report, "Time to the first token", "seconds", ("ttft_p50", "ttft_p95", "ttft_p99"), about
    )


def load(report: Report) -> Iterator[str]:
    """Requests in the system, and the replicas that took them."""
    yield '<div class="pair">'
    yield from _lines(
        report, "Requests in the engines", "requests", ("requests_waiting", "requests_running"), ""
    )
    yield from _lines(report, "Replicas that Prometheus sees", "count", ("replicas",), "")
    yield "</div>"


def incident_chart(report: Report) -> Iterator[str]:
    """The fullest KV cache against the threshold, some minutes around the incident."""
    line, flags = _line(report.evidence, "kv_cache_usage"), _flags(report.evidence)
    if flags:
        first, last = min(flag.at for flag in flags) - _AROUND_S, max(flag.at for flag in flags) + _AROUND_S
        near = [point for point in line.points if first <= point[0] <= last]
        line = replace(line, points=near, why=line.why or "no sample near the incident")
    about = "The dashed line across is 90 %. a: injected, b: paged, c: resolved."
    yield from chart(
        "Fullest KV cache", "ratio", [line], ratio_scale(), flags=flags, limit=_KV_LIMIT, about=about
    )


def _lines(report: Report, title: str, unit: str, names: Sequence[str], about: str) -> Iterator[str]:
    evidence = report.evidence
    lines = [_line(evidence, name) for name in names]
    values = [value for line in lines for _, value in line.points if value is not None]
    scale = _scale(unit, values)
    yield from chart(title, unit, lines, scale, bands=_bands(evidence), flags=_flags(evidence), about=about)


def _scale(unit: str, values: Sequence[float]) -> Scale:
    if unit == "ratio":
        return ratio_scale()
    return log_scale(values) if unit == "seconds" else value_scale(values, whole=True)


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
    found = ((letter, getattr(incident, name)) for name, letter, _ in _LETTERS)
    return [Flag(letter, at.timestamp()) for letter, at in found if at is not None]


def cost(report: Report) -> Iterator[str]:
    """The bill of a month in three parts, as bars with their figures in words."""
    row = report.row("bill_usd_month")
    figures = {"before": row.before, "after": row.after}
    top = max((figure.value for figure in figures.values() if figure.value is not None), default=0.0)
    yield "<figure><figcaption>A month's bill for GPUs</figcaption>"
    if not top:
        yield f'<p class="no">{NO_DATA}: {escape(row.after.why or row.before.why)}</p></figure>'
        return
    yield '<ul class="legend">'
    for style, words in _STYLES.items():
        yield f'<li><i class="swatch {style}"></i>{words}</li>'
    yield "</ul>"
    for phase, figure in figures.items():
        if figure.value is None:
            yield _bar(phase, f'<span class="no">{NO_DATA}: {escape(figure.why)}</span>')
            continue
        parts, bill = _shares(report, phase), figure.value
        words = ", ".join(f"{_STYLES[style]} {shown(bill * share, 'usd')}" for style, share in parts.items())
        bars = "".join(
            f'<i class="{style}" style="width:{100 * share:.1f}%"></i>' for style, share in parts.items()
        )
        stack = f'<div style="width:{100 * bill / top:.1f}%"><div class="stack" aria-hidden="true">{bars}</div></div>'
        yield _bar(phase, f"<span>{shown(bill, 'usd')}: {words}</span>", stack)
    yield "</figure>"


_STYLES: Final = {
    "busy": "busy",
    "held": "held and not busy",
    "free": "held by nobody",
    "none": "not told apart",
}


def _bar(phase: str, words: str, stack: str = "") -> str:
    return f'<div class="bar-row"><p><b>{phase.capitalize()}</b>{words}</p>{stack}</div>'


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
