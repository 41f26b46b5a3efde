"""The canary: each step's share as asked, as counted, with its interval."""

from collections.abc import Iterator
from html import escape

from stoker.report.rollout.evidence import CanaryStep
from stoker.report.rollout.quantity import clock, duration
from stoker.report.rollout.report import Report
from stoker.report.rollout.shares import criteria, share_of

__all__ = ["canary"]


def canary(report: Report) -> Iterator[str]:
    """Steps on an axis from 0 to 100 %."""
    found = report.evidence.canary
    if found is None:
        yield '<p class="no">no data: no canary ran</p>'
        return
    words = [f"{found.model or 'The model'}: {found.outcome or 'no outcome'}"]
    if found.started and found.ended:
        words.append(f"after {duration((found.ended - found.started).total_seconds())}")
    reason = f". {found.reason}" if found.reason else ""
    yield f"<p>{escape(' '.join(words) + reason)}</p>"
    if not found.steps:
        yield '<p class="no">no data: the evidence holds no step</p>'
        return
    yield '<ul class="legend"><li><i class="swatch busy"></i>answered by the new version</li><li>pale: 95 % interval</li><li>upright line: as asked</li></ul>'
    yield '<ol class="steps">'
    for step in found.steps:
        yield _step(step)
    yield "</ol>"


def _step(step: CanaryStep) -> str:
    share = share_of(step)
    parts = [f'<i class="asked" style="left:{min(99.8, max(0.0, step.percent)):.2f}%"></i>']
    if share is None:
        told = "answers were not counted"
    else:
        low, high = 100 * share.low, 100 * share.high
        parts.insert(0, f'<i class="interval" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>')
        parts.append(f'<i class="seen" style="left:{100 * share.value:.2f}%"></i>')
        told = f"{100 * share.value:.1f} % of {share.requests:,} requests ({low:.1f}-{high:.1f} %)"
    if step.started and step.ended:
        told += f"; {clock(step.started)}, {duration((step.ended - step.started).total_seconds())}"
    if step.verdict or step.reason:
        told += f"; {' '.join(filter(None, (step.verdict, step.reason)))}"
    if step.reachable is not None:
        told = f"the split really gives {step.reachable:.0f} %; {told}"
    told = "".join(f"<span>{escape(words)}</span>" for words in (told, *criteria(step)))
    return f'<li><b>{step.percent:g} %</b><div class="axis" aria-hidden="true">{"".join(parts)}</div><small>{told}</small></li>'
