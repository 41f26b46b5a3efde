"""A rollout as one HTML file: no request leaves it, no script runs in it, it reads on a phone, on paper and to a screen reader."""

from collections.abc import Callable, Iterator

from stoker.report.page import document
from stoker.report.rollout.evidence import Evidence
from stoker.report.rollout.report import Report, build_report, headline
from stoker.report.rollout.sections.audits import audits
from stoker.report.rollout.sections.canary import canary
from stoker.report.rollout.sections.charts import cost, latency, letters, load, utilisation
from stoker.report.rollout.sections.foot import provenance, queries
from stoker.report.rollout.sections.gates import gate_details, timeline
from stoker.report.rollout.sections.incident import incident
from stoker.report.rollout.sections.table import claims, roi
from stoker.report.rollout.sections.top import top
from stoker.report.rollout.sections.words import SYMBOLS
from stoker.report.rollout.style import STYLE

__all__ = ["as_html", "render_report"]

_Part = Callable[[Report], Iterator[str]]
# Id, title, and what stands below it, in the order of the page.
_SECTIONS: tuple[tuple[str, str, tuple[_Part, ...]], ...] = (
    ("returns", "Before and after", (roi,)),
    ("claims", "The guide's claims", (claims,)),
    ("over-time", "Over time", (letters, utilisation, latency, load)),
    ("cost", "Cost", (cost,)),
    ("gates", "Gates", (timeline,)),
    ("canary", "Canary", (canary,)),
    ("audit", "Audit", (audits,)),
    ("incident", "Incident", (incident,)),
    ("evidence", "Evidence of each gate", (gate_details,)),
)


def render_report(evidence: Evidence) -> str:
    """The page of a rollout's evidence."""
    return as_html(build_report(evidence))


def as_html(report: Report) -> str:
    """The whole document."""
    return document(f"{headline(report)} · Stoker rollout report", STYLE, _body(report))


def _body(report: Report) -> Iterator[str]:
    yield SYMBOLS
    yield from top(report, {name: title for name, title, _ in _SECTIONS} | {"provenance": "Sources"})
    for name, title, parts in _SECTIONS:
        yield f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}</h2>'
        for part in parts:
            yield from part(report)
        yield "</section>"
    yield '<footer><h2 id="provenance">Where this comes from</h2>'
    yield from queries(report)
    yield from provenance(report)
    yield "</footer>"
