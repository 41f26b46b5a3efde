"""Words and marks that several parts of the page share. A verdict is a colour, a shape and a word."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from html import escape
from typing import Any, Final

from stoker.report.rollout.claims import Side
from stoker.report.rollout.evidence import Figure, Gate, Window
from stoker.report.rollout.quantity import NO_DATA, clock, duration, shown
from stoker.rollout.evidence import Verdict

__all__ = ["SYMBOLS", "anchors", "cell", "plain", "side", "span", "verdict"]

# A tick in a disc, a cross in a square, a question mark in a dashed triangle, a dash.
SYMBOLS: Final = (
    '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
    '<symbol id="m-passed" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7.2" fill="none" stroke="currentColor" stroke-width="1.6"/>'
    '<path d="M4.6 8.3l2.3 2.3 4.5-5" fill="none" stroke="currentColor" stroke-width="1.8"/></symbol>'
    '<symbol id="m-failed" viewBox="0 0 16 16"><rect x="1" y="1" width="14" height="14" rx="1.5" fill="currentColor"/>'
    '<path d="M5 5l6 6M11 5l-6 6" stroke="var(--paper)" stroke-width="1.8"/></symbol>'
    '<symbol id="m-inconclusive" viewBox="0 0 16 16"><path d="M8 1.5L15 14.5H1Z" fill="none" stroke="currentColor" stroke-width="1.6" '
    'stroke-dasharray="3 1.6"/><path d="M8 6v4M8 11.6v1.4" stroke="currentColor" stroke-width="1.6"/></symbol>'
    '<symbol id="m-none" viewBox="0 0 16 16"><path d="M3 8h10" stroke="currentColor" stroke-width="1.8"/></symbol>'
    "</defs></svg>"
)
_SIDES: Final = {
    Side.AGREES: ("agrees", "m-passed"),
    Side.DIFFERS: ("differs", "m-failed"),
    Side.NOT_MEASURED: ("unmeasured", "m-none"),
}


def _marked(style: str, symbol: str, word: str) -> str:
    return f'<span class="verdict {style}"><svg aria-hidden="true"><use href="#{symbol}"/></svg>{word}</span>'


def verdict(value: Verdict) -> str:
    """A gate's verdict."""
    return _marked(value.value, f"m-{value.value}", value.value)


def side(value: Side) -> str:
    """Whether a claim agrees with what was measured."""
    style, symbol = _SIDES[value]
    return _marked(style, symbol, value.value)


def anchors(gates: Iterable[Gate]) -> list[str]:
    """Ids of HTML for gates in their order: letters, digits and hyphens; a gate that ran again has a number."""
    seen: Counter[str] = Counter()
    found = []
    for gate in gates:
        name = "gate-" + re.sub(r"[^A-Za-z0-9]+", "-", gate.id).strip("-")
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}--{seen[name]}")
    return found


def span(window: Window) -> str:
    """``10:00-10:30 UTC (30 min)``."""
    return f"{clock(window.start, seconds=False)}-{clock(window.end, seconds=False)} UTC ({duration(window.seconds)})"


def cell(figure: Figure, simulated: Figure | None) -> str:
    """A figure for a table's cell: the value, or ``no data``, with the twin's where nothing was measured."""
    if figure.value is not None:
        return f"<b>{escape(shown(figure.value, figure.unit))}</b>"
    found = f'<span class="no">{NO_DATA}</span>'
    if simulated is not None and simulated.value is not None:
        found += f'<br><span class="sim">simulated</span> {escape(shown(simulated.value, simulated.unit))}'
    return found


def plain(value: Any, most: int = 4000) -> str:
    """Any JSON as text, cut at ``most`` characters; not escaped."""
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False, default=str)
    return (
        text
        if len(text) <= most
        else f"{text[:most]}\n… {len(text) - most:,} characters more in evidence.json"
    )
