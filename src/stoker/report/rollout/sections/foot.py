"""Where everything comes from: each query, and what the evidence says of itself."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from stoker.report.rollout.evidence import Figure, Series
from stoker.report.rollout.report import Report
from stoker.report.rollout.roi import PHASES
from stoker.report.rollout.sections.words import plain, span

__all__ = ["provenance", "queries"]


def queries(report: Report) -> Iterator[str]:
    """Every figure and line with its source, window and query."""
    asked: list[tuple[str, Figure | Series]] = []
    for row in report.rows:
        for phase in PHASES:
            figure: Figure = getattr(row, phase)
            if figure.source:
                asked.append((f"{row.measure.title}, {phase}", figure))
    asked += [
        (f"line {line.name}{f', {line.phase}' if line.phase else ''}", line)
        for line in report.evidence.series
    ]
    if not asked:
        return
    yield f"<details><summary>How each figure was measured ({len(asked)})</summary><dl>"
    for title, thing in asked:
        window = f"; {span(thing.window)}" if thing.window is not None else ""
        query = f"<br><code>{escape(thing.query)}</code>" if thing.query else ""
        yield f"<dt>{escape(title)}</dt><dd>{escape(thing.source)}{window}{query}</dd>"
    yield "</dl></details>"


def provenance(report: Report) -> Iterator[str]:
    """Versions, seed, speed, trace, machine: what the writer of the evidence put down."""
    found: Mapping[str, Any] = report.evidence.provenance
    if not found:
        yield '<p class="no">no data: the evidence does not say</p>'
        return
    yield "<dl>"
    for key, value in found.items():
        text = (
            ", ".join(f"{k} {plain(v)}" for k, v in value.items())
            if isinstance(value, Mapping)
            else plain(value)
        )
        yield f"<dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(text)}</dd>"
    yield "</dl>"
