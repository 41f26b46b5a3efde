"""One chart of lines over time, as HTML: drawing, legend, marks, and the table that says the same to a screen reader."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Final

from stoker.report.rollout.drawing import HEIGHT, WIDTH, Points, Scale, path, thinned, time_ticks
from stoker.report.rollout.quantity import clock, shown

__all__ = ["Band", "ChartLine", "Flag", "chart"]

_TABLE_ROWS: Final = 16
_APART: Final = 8.0  # percent of the height between two names
_EDGE: Final = 0.04  # labels nearer to an end than that are aligned with it


@dataclass(frozen=True, slots=True)
class ChartLine:
    """A line with its words; ``why`` where there are no points."""

    title: str
    points: Points
    why: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch of time with a name, such as ``before``; ``tinted`` ones stand out."""

    name: str
    start: float
    end: float
    tinted: bool = False


@dataclass(frozen=True, slots=True)
class Flag:
    """A moment, marked by a letter in the drawing; the page explains the letters once."""

    letter: str
    at: float


@dataclass(frozen=True, slots=True)
class _Time:
    """The axis of time."""

    start: float
    end: float

    def share(self, at: float) -> float:
        return (at - self.start) / (self.end - self.start)


def chart(
    title: str,
    unit: str,
    lines: Sequence[ChartLine],
    scale: Scale,
    *,
    bands: Sequence[Band] = (),
    flags: Sequence[Flag] = (),
    limit: float | None = None,
    about: str = "",
) -> Iterator[str]:
    """A figure; where no line has a point, the reasons alone."""
    drawn = [line for line in lines if any(value is not None for _, value in line.points)]
    yield f"<figure><figcaption>{escape(title)}</figcaption>"
    if about:
        yield f"<small>{escape(about)}</small>"
    if not drawn:
        reasons = (
            "; ".join(dict.fromkeys(line.why for line in lines if line.why))
            or "the evidence holds no such series"
        )
        yield f'<p class="no">no data: {escape(reasons)}</p></figure>'
        return
    times = [at for line in drawn for at, _ in line.points]
    start = min([*times, *(band.start for band in bands)])
    end = max([*times, *(band.end for band in bands)])
    axis = _Time(start, end if end > start else start + 1.0)
    seen = [flag for flag in flags if start <= flag.at <= end]
    yield from _absent(lines, drawn)
    yield f'<div class="plot" role="img" aria-label="{escape(_summary(title, drawn, unit))}">'
    yield from _bands(bands, axis)
    yield '<div class="y">'
    yield from (
        f'<span style="top:{100 * (1 - scale(tick)):.1f}%">{escape(shown(tick, unit))}</span>'
        for tick in scale.ticks
    )
    yield '</div><div class="area">'
    yield from _drawing(drawn, scale, bands, axis, limit)
    yield from (
        f'<span class="flag" data-mark="{escape(flag.letter)}" style="left:{100 * axis.share(flag.at):.2f}%"></span>'
        for flag in seen
    )
    yield '</div><div class="ends">'
    yield from _ends(drawn, scale)
    yield '</div><div class="x">'
    yield from _times(axis)
    yield "</div></div>"
    yield from _table(title, drawn, unit)
    yield "</figure>"


def _absent(lines: Sequence[ChartLine], drawn: Sequence[ChartLine]) -> Iterator[str]:
    absent = [line for line in lines if line not in drawn]
    if absent:
        yield '<ul class="legend">'
        for line in absent:
            why = f" ({line.why})" if line.why else ""
            yield f'<li class="no">{escape(line.title)}: no data{escape(why)}</li>'
        yield "</ul>"


def _ends(drawn: Sequence[ChartLine], scale: Scale) -> Iterator[str]:
    """The lines' names where they end, moved apart where they would touch; a line alone is named by the title."""
    if len(drawn) < 2:
        return
    places = []
    for number, line in enumerate(drawn, 1):
        last = [value for _, value in line.points if value is not None][-1]
        places.append((100 * (1 - scale(last)), number, line.title))
    top = -_APART
    for place, number, title in sorted(places):
        top = max(place, top + _APART)
        yield f'<span class="name-{number}" style="top:{top:.1f}%">{escape(title)}</span>'


def _summary(title: str, drawn: Sequence[ChartLine], unit: str) -> str:
    parts = []
    for line in drawn:
        values = [value for _, value in line.points if value is not None]
        parts.append(f"{line.title} from {shown(min(values), unit)} to {shown(max(values), unit)}")
    return f"{title}: {'; '.join(parts)}. The table below has the values."


def _bands(bands: Sequence[Band], axis: _Time) -> Iterator[str]:
    yield '<div class="bands">'
    for band in bands:
        left, right = 100 * axis.share(band.start), 100 * axis.share(band.end)
        yield f'<span style="left:{left:.2f}%;width:{right - left:.2f}%">{escape(band.name)}</span>'
    yield "</div>"


def _drawing(
    drawn: Sequence[ChartLine],
    scale: Scale,
    bands: Sequence[Band],
    axis: _Time,
    limit: float | None,
) -> Iterator[str]:
    yield f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" aria-hidden="true">'
    for band in bands:
        if band.tinted:
            left, right = WIDTH * axis.share(band.start), WIDTH * axis.share(band.end)
            yield f'<rect x="{left:.1f}" y="0" width="{right - left:.1f}" height="{HEIGHT:g}"/>'
    for tick in scale.ticks:
        y = HEIGHT * (1 - scale(tick))
        yield f'<line x1="0" x2="{WIDTH:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
    if limit is not None:
        y = HEIGHT * (1 - scale(limit))
        yield f'<line class="limit" x1="0" x2="{WIDTH:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
    for number, line in enumerate(drawn, 1):
        yield f'<path class="line-{number}" d="{path(thinned(line.points), axis.start, axis.end, scale)}"/>'
    yield "</svg>"


def _times(axis: _Time) -> Iterator[str]:
    for at, words in time_ticks(axis.start, axis.end):
        share = axis.share(at)
        edge = ' class="edge-left"' if share < _EDGE else ' class="edge-right"' if share > 1 - _EDGE else ""
        yield f'<span{edge} style="left:{100 * share:.2f}%">{words}</span>'


def _table(title: str, drawn: Sequence[ChartLine], unit: str) -> Iterator[str]:
    """Values at a few of the moments, as they are."""
    columns = [dict(line.points) for line in drawn]
    moments = sorted({at for column in columns for at in column})
    size = max(1, -(-len(moments) // _TABLE_ROWS))
    chosen = moments[::size]
    head = "".join(f'<th scope="col">{escape(line.title)}</th>' for line in drawn)
    every = "every moment" if size == 1 else f"one moment in {size}"
    yield f'<details class="more"><summary class="small">Values of this chart ({every})</summary><div class="scroll" tabindex="0" role="region" aria-label="Values: {escape(title)}">'
    yield f'<table><caption class="small">{escape(title)}, UTC</caption><thead><tr><th scope="col">time</th>{head}</tr></thead><tbody>'
    for at in chosen:
        when = clock(datetime.fromtimestamp(at, UTC))
        cells = "".join(f"<td>{escape(shown(column.get(at), unit))}</td>" for column in columns)
        yield f'<tr><th scope="row">{when}</th>{cells}</tr>'
    yield "</tbody></table></div></details>"
