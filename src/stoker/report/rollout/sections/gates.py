"""The gates: when each ran and what it said, phase by phase; below, everything that it measured."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from stoker.report.rollout.evidence import Gate
from stoker.report.rollout.quantity import NO_DATA, clock, duration, shown
from stoker.report.rollout.report import Report
from stoker.report.rollout.sections.words import anchors, plain, verdict
from stoker.rollout.evidence import Verdict

__all__ = ["gate_details", "timeline"]

_MOST_OBSERVATIONS: Final = 40  # of one gate; the rest stays in evidence.json
_MOST_CHARACTERS: Final = 150_000  # of raw evidence on the whole page


def timeline(report: Report) -> Iterator[str]:
    """Bars on one axis of time; a list, so that it reads without the drawing."""
    rollout = report.evidence.rollout
    if rollout is None:
        yield '<p class="no">no data: the evidence holds no gate</p>'
        return
    start, end = (moment.timestamp() for moment in rollout)
    whole = max(end - start, 1e-9)
    yield f"<p>From {clock(rollout[0])} to {clock(rollout[1])} UTC; the bar is when a gate ran, the tint is its phase.</p>"
    yield '<div class="gates">'
    names = iter(anchors(report.gates))
    for title, gates in report.phases.items():
        begin, stop = min(gate.started for gate in gates), max(gate.ended for gate in gates)
        left, width = 100 * (begin.timestamp() - start) / whole, 100 * (stop - begin).total_seconds() / whole
        took = duration((stop - begin).total_seconds())
        yield f'<section class="phase"><h3>{escape(_title(title))}<span class="took">{clock(begin)}, {took}</span></h3><ol>'
        for gate in gates:
            yield _bar(
                gate,
                next(names),
                start,
                whole,
                f'<i class="span" style="left:{left:.2f}%;width:{width:.2f}%"></i>',
            )
        yield "</ol></section>"
    yield "</div>"


def _title(phase: str) -> str:
    return phase.replace("-", " ").capitalize()


def _bar(gate: Gate, name: str, start: float, whole: float, phase: str) -> str:
    left = min(99.5, 100 * (gate.started.timestamp() - start) / whole)
    width = min(100 - left, 100 * (gate.ended - gate.started).total_seconds() / whole)
    run = f'<i class="run" style="left:{left:.2f}%;width:{width:.2f}%"></i>'
    took = duration((gate.ended - gate.started).total_seconds())
    return (
        f'<li>{verdict(gate.verdict)}<a href="#{name}">{escape(gate.title or gate.id)}</a>'
        f'<div class="track {gate.verdict.value}" aria-hidden="true">{phase}{run}</div><span class="took">{took}</span></li>'
    )


def gate_details(report: Report) -> Iterator[str]:
    """One gate after the other: threshold, figures, and the raw observations where one opens them."""
    left = _MOST_CHARACTERS
    for name, gate in zip(anchors(report.gates), report.gates, strict=True):
        raw, left = _raw(gate, left)
        yield from _gate(gate, name, raw)


def _gate(gate: Gate, name: str, raw: str) -> Iterator[str]:
    opened = "" if gate.verdict is Verdict.PASSED else " open"  # what did not pass is read first
    yield (
        f'<details class="gate" id="{name}"{opened}><summary>{verdict(gate.verdict)}<code>{escape(gate.id)}</code>'
        f"<span>{escape(gate.title)}</span></summary><div>"
    )
    if gate.reason:
        yield f"<p>{escape(gate.reason)}</p>"
    yield "<dl>"
    yield f"<dt>wanted</dt><dd>{escape(plain(gate.threshold))}</dd>"
    measured = gate.measured
    if isinstance(measured, Mapping):
        for what, value in measured.items():
            yield f"<dt>{escape(str(what))}</dt><dd>{escape(_value(value))}</dd>"
    elif measured is not None:
        yield f"<dt>measured</dt><dd>{escape(_value(measured))}</dd>"
    took = duration((gate.ended - gate.started).total_seconds())
    yield f"<dt>when</dt><dd>{clock(gate.started)} to {clock(gate.ended)} UTC, {took}</dd><dt>measured on</dt><dd>{escape(gate.source)}</dd>"
    yield "</dl>"
    if not gate.cleaned:
        yield '<p class="failed">Something that was made for this gate could not be removed.</p>'
    yield f"{raw}</div></details>"


def _value(value: Any) -> str:
    if value is None:
        return NO_DATA
    if isinstance(value, float):
        return shown(value, "")
    return plain(value, 600)


def _raw(gate: Gate, left: int) -> tuple[str, int]:
    """The observations as they are, as far as there is room, and the room that is left."""
    seen = gate.evidence if isinstance(gate.evidence, list | tuple) else [gate.evidence]
    if not seen:
        return "", left
    lines, used = [], 0
    for entry in seen[:_MOST_OBSERVATIONS]:
        text = _observation(entry)
        if used + len(text) > left:
            break
        lines.append(text)
        used += len(text)
    more = len(seen) - len(lines)
    rest = f"\n… {more} more in evidence.json" if more else ""
    count = f"{len(seen)} observation{'s' * (len(seen) != 1)}"
    body = escape("\n".join(lines) + rest)
    return (
        f'<details><summary class="small">Raw evidence: {count}</summary><pre tabindex="0">{body}</pre></details>',
        left - used,
    )


def _observation(entry: Any) -> str:
    if isinstance(entry, Mapping) and "what" in entry:
        data = entry.get("data")
        return f"{entry.get('at', '')}  {entry['what']}" + (f"\n{plain(data, 1500)}" if data else "")
    return plain(entry, 1500)
