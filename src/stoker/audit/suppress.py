"""Findings that a team has decided to live with: in the objects themselves, or in a baseline file.

An object carries its suppressions as annotations, which every dump keeps, or as comments, which only files have:

    metadata:
      annotations:
        audit.stoker.dev/model-from-hub-at-start: "until 2027-03-31: mirror is being built, PLAT-812"

    # stoker:ignore model-from-hub-at-start until 2027-03-31: mirror is being built, PLAT-812

Each needs an expiry and a reason; one without them, past its date, or naming no rule is refused and its finding stands.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from stoker.audit.finding import Finding
from stoker.errors import InputError, Problem, nearest
from stoker.kube.paths import show
from stoker.kube.snapshot import Item, Snapshot

__all__ = [
    "Baseline",
    "Suppressed",
    "Suppression",
    "baseline_of",
    "read_baseline",
    "suppress",
    "suppressions_of",
]

PREFIX: Final = "audit.stoker.dev/"
_TEXT: Final = re.compile(r"^\s*until\s+(\S+?)\s*:\s*(.*?)\s*$", re.DOTALL)
_COMMENT: Final = re.compile(r"stoker:ignore\s+(\S+)\s*(.*)$")
_LEAST_REASON: Final = 8  # "because" is no reason


@dataclass(frozen=True, slots=True)
class Suppression:
    """What an object says about one rule.

    Attributes:
        refused: why it does not count; empty where it does.
    """

    item: Item
    rule: str
    until: date | None
    reason: str
    line: int
    refused: str = ""


@dataclass(frozen=True)
class Suppressed:
    """Findings parted: those that stand, those hidden with the suppression that hides them, those of the baseline.

    ``unused`` are suppressions that hide nothing: the fault is mended, or they name another object's.
    """

    standing: tuple[Finding, ...]
    hidden: tuple[tuple[Finding, Suppression], ...]
    known: tuple[Finding, ...]
    refused: tuple[Suppression, ...]
    unused: tuple[Suppression, ...]


def suppressions_of(snapshot: Snapshot, rules: Collection[str], today: date) -> list[Suppression]:
    """Every suppression that an object carries, judged."""
    found: list[Suppression] = []
    for item in snapshot.items:
        for key, text in item.annotations.items():
            if key.startswith(PREFIX):
                found.append(_judge(item, key.removeprefix(PREFIX), text, item.source.line, rules, today))
        for line, comment in item.source.remarks:
            match = _COMMENT.search(comment)
            if match:
                found.append(_judge(item, match[1], match[2], line, rules, today))
    return found


def _judge(item: Item, rule: str, text: str, line: int, rules: Collection[str], today: date) -> Suppression:  # noqa: PLR0917
    match = _TEXT.match(text)
    until: date | None = None
    reason = match[2] if match else ""
    refused = ""
    if rule not in rules:
        near = nearest(rule, rules)
        refused = f"there is no rule {rule}" + (f"; did you mean {' or '.join(near)}?" if near else "")
    elif not match:
        refused = "wants 'until YYYY-MM-DD: reason'"
    else:
        try:
            until = date.fromisoformat(match[1])
        except ValueError:
            refused = f"{match[1][:40]!r} is no date; wanted YYYY-MM-DD"
        else:
            if until < today:
                refused = f"expired on {until.isoformat()}"
            elif len(reason) < _LEAST_REASON:
                refused = "gives no reason"
    return Suppression(item, rule, until, reason, line, refused)


# Rule, kind, namespace, name, path: what a finding is known by when lines and values move.
Fingerprint = tuple[str, str, str, str, str]
Baseline = Counter[Fingerprint]


def _fingerprint(finding: Finding) -> Fingerprint:
    item = finding.item
    return finding.rule, item.resource, item.namespace, item.name, show(finding.path)


def suppress(
    findings: Sequence[Finding], suppressions: Sequence[Suppression], baseline: Baseline | None = None
) -> Suppressed:
    """Part the findings; a baseline entry hides as many findings as it was written for, no more."""
    valid = {(id(s.item), s.rule): s for s in suppressions if not s.refused}
    left = Counter(baseline or {})
    standing: list[Finding] = []
    hidden: list[tuple[Finding, Suppression]] = []
    known: list[Finding] = []
    for finding in findings:
        suppression = valid.get((id(finding.item), finding.rule))
        mark = _fingerprint(finding)
        if suppression is not None:
            hidden.append((finding, suppression))
        elif left[mark] > 0:
            left[mark] -= 1
            known.append(finding)
        else:
            standing.append(finding)
    used = {id(suppression) for _, suppression in hidden}
    return Suppressed(
        standing=tuple(standing),
        hidden=tuple(hidden),
        known=tuple(known),
        refused=tuple(s for s in suppressions if s.refused),
        unused=tuple(s for s in valid.values() if id(s) not in used),
    )


_FIELDS: Final = ("rule", "resource", "namespace", "name", "path")


def baseline_of(findings: Iterable[Finding]) -> dict[str, Any]:
    """A baseline that knows these findings, ready to be written as JSON."""
    marks = sorted(_fingerprint(finding) for finding in findings)
    return {"version": 1, "findings": [dict(zip(_FIELDS, mark, strict=True)) for mark in marks]}


def read_baseline(data: Any, file: str) -> Baseline:
    """The baseline in a parsed file.

    Raises:
        InputError: it is none.
    """
    entries = data.get("findings") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or data.get("version") != 1 or not isinstance(entries, list):
        raise InputError(
            [Problem("is no baseline", file=file, wanted="a file that `stoker audit --write-baseline` wrote")]
        )
    marks: Baseline = Counter()
    for index, entry in enumerate(entries):
        values = tuple(entry.get(name) for name in _FIELDS) if isinstance(entry, Mapping) else ()
        if len(values) != len(_FIELDS) or not all(isinstance(value, str) for value in values):
            raise InputError(
                [
                    Problem(
                        "is no entry of a baseline",
                        file=file,
                        path=f"findings[{index}]",
                        wanted=", ".join(_FIELDS),
                    )
                ]
            )
        marks[values] += 1  # type: ignore[index]  # five strings, as checked
    return marks
