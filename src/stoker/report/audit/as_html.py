"""An audit as one HTML file: no request leaves it, it prints, it reads with a keyboard and a screen reader."""

import json
from collections.abc import Iterator
from html import escape

from stoker.audit.finding import Finding, Severity
from stoker.audit.score import CAP, AreaScore
from stoker.kube.paths import show
from stoker.kube.snapshot import Item
from stoker.report.audit.as_json import patch_json
from stoker.report.audit.outcome import Outcome
from stoker.report.page import document

__all__ = ["as_html"]

_STYLE = """
.scores { display: grid; gap: .75rem; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); list-style: none; padding: 0; }
.scores li { border: 1px solid var(--edge); border-radius: .4rem; padding: .6rem; } .scores b { display: block; font-size: 1.6rem; }
.bar { background: var(--soft); border-radius: .2rem; height: .4rem; } .bar i { border-radius: .2rem; display: block; height: 100%; }
fieldset { border: 1px solid var(--edge); border-radius: .4rem; display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
.object { border: 1px solid var(--edge); border-radius: .4rem; margin: 1rem 0; padding: .8rem 1rem; }
.finding { border-left: .25rem solid; margin: .8rem 0; padding-left: .8rem; } .finding p { margin: .15rem 0; }
.error { border-color: var(--error); } .warning { border-color: var(--warning); } .info { border-color: var(--info); }
.tag { font-weight: 600; } .error .tag { color: var(--error); } .warning .tag { color: var(--warning); } .info .tag { color: var(--info); }
.place { opacity: .75; overflow-wrap: anywhere; } [hidden] { display: none; }
@media print { fieldset { display: none; } .object { break-inside: avoid; } }
"""

# Shows what is ticked; an object without a visible finding goes with its findings.
_SCRIPT = """
for (const box of document.querySelectorAll("fieldset input")) box.addEventListener("change", () => {
  const on = new Set([...document.querySelectorAll("fieldset input:checked")].map(e => e.name + ":" + e.value));
  for (const f of document.querySelectorAll(".finding"))
    f.hidden = !(on.has("severity:" + f.dataset.severity) && on.has("upgrade:" + f.dataset.upgrade));
  for (const o of document.querySelectorAll(".object")) o.hidden = !o.querySelector(".finding:not([hidden])");
});
"""


def as_html(outcome: Outcome) -> str:
    """The whole document."""
    title = f"Audit of {outcome.source}"
    body = (
        f"<header><h1>{escape(title)}</h1><p>{escape(outcome.summary())}. {outcome.today.isoformat()}.</p></header>",
        *_scores(outcome),
        *_filters(outcome),
        *(line for item, findings in outcome.by_object.items() for line in _object(item, findings)),
        *_gaps(outcome),
    )
    return document(title, _STYLE, body, _SCRIPT)


def _scores(outcome: Outcome) -> Iterator[str]:
    yield '<section aria-labelledby="scores"><h2 id="scores">Score</h2><ul class="scores">'
    yield _score("all", outcome.score.total)
    for area, score in outcome.score.areas.items():
        yield _score(area.value, score)
    yield "</ul></section>"


def _score(name: str, score: AreaScore) -> str:
    if score.points is None:
        return f"<li>{name}<b>–</b><small>nothing to judge</small></li>"
    colour = (
        "ok"
        if score.points > CAP[Severity.WARNING]
        else "warning"
        if score.points > CAP[Severity.ERROR]
        else "error"
    )
    return (
        f'<li>{name}<b>{score.points}</b><div class="bar"><i style="width:{score.points}%;background:var(--{colour})"></i></div>'
        f"<small>{score.failed} of {score.rules} rules failed</small></li>"
    )


def _filters(outcome: Outcome) -> Iterator[str]:
    yield "<fieldset><legend>Show</legend>"
    for severity, number in outcome.counts.items():
        yield _box("severity", severity.value, f"{severity.value} ({number})")
    for area in outcome.score.areas:
        number = sum(finding.area is area for finding in outcome.findings)
        if number:
            yield _box("upgrade", area.value, f"{area.value} ({number})")
    yield "</fieldset>"


def _box(name: str, value: str, label: str) -> str:
    return f'<label><input type="checkbox" name="{name}" value="{value}" checked> {label}</label>'


def _object(item: Item, findings: list[Finding]) -> Iterator[str]:
    place = f"{item.source.file}:{item.source.line}" if item.source.file else ""
    yield f'<section class="object"><h3>{escape(str(item))}</h3><p class="place">{escape(place)}</p>'
    for finding in findings:
        yield from _finding(finding)
    yield "</section>"


def _finding(finding: Finding) -> Iterator[str]:
    severity = finding.severity.value
    yield f'<div class="finding {severity}" data-severity="{severity}" data-upgrade="{finding.area.value}">'
    yield f'<p><span class="tag">{severity}</span> {escape(finding.message)} <code>{escape(finding.rule)}</code></p>'
    if finding.path:
        place = f"line {finding.line}: " if finding.line else ""
        yield f'<p class="place">{place}<code>{escape(show(finding.path))}</code></p>'
    yield f"<p>Why: {escape(finding.why)}</p><p>Fix: {escape(finding.fix.text)}</p>"
    if finding.fix.ops:
        ops = patch_json(finding.fix)
        yield f"<details><summary>Patch</summary><pre>{escape(json.dumps(ops, indent=2, ensure_ascii=False))}</pre></details>"
    yield f'<p class="place">Source: {escape("; ".join(finding.references))}</p></div>'


def _gaps(outcome: Outcome) -> Iterator[str]:
    if not outcome.gaps:
        return
    yield '<section aria-labelledby="gaps"><h2 id="gaps">Not checked</h2><ul>'
    for gap in outcome.gaps:
        count = f" ({gap.count})" if gap.count > 1 else ""
        yield f"<li><code>{escape(gap.what)}</code>{count}: {escape(gap.reason)}</li>"
    yield "</ul></section>"
