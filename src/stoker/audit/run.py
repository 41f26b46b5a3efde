"""Run rules over a snapshot. Same snapshot and date: same report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from stoker.audit.finding import Finding, Fix, Hit
from stoker.audit.rule import Rule
from stoker.audit.view.view import View
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item, Snapshot
from stoker.kube.units import units

__all__ = ["Lines", "Report", "Verdict", "audit", "own_line"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule saw: subjects judged, and subjects that it found something wrong with."""

    rule: Rule
    subjects: int
    failed: int


@dataclass(frozen=True)
class Report:
    """The outcome of an audit: findings by severity, then by object; verdicts of every rule that was run.

    ``view`` is the whole source as rules see it, for whoever asks further.
    """

    snapshot: Snapshot
    view: View
    findings: tuple[Finding, ...]
    verdicts: tuple[Verdict, ...]


Lines = Callable[[Item, Path], int]


def own_line(item: Item, _: Path) -> int:
    """The object's first line, whichever field is asked for."""
    return item.source.line


def audit(snapshot: Snapshot, rules: Sequence[Rule], today: date, lines: Lines = own_line) -> Report:
    """Every finding of the rules, sorted; a rule that says the same twice at one place counts once.

    Args:
        snapshot: what was read.
        rules: the rules to run.
        today: date that expiries are compared with.
        lines: finds the line of a field in an object's file (`kube.positions`); the object's first line where absent.
    """
    views = [View(unit, today) for unit in units(snapshot)]
    findings: dict[tuple[object, ...], Finding] = {}
    verdicts: list[Verdict] = []
    for rule in rules:
        subjects = failed = 0
        for view in views:
            for subject in rule.on(view):
                subjects += 1
                hits = list(rule.check(subject, view))
                failed += bool(hits)
                for hit in hits:
                    finding = _finding(rule, hit, lines)
                    key = (rule.id, id(hit.item), hit.path, hit.message)
                    findings.setdefault(key, finding)
        verdicts.append(Verdict(rule, subjects, failed))
    ordered = sorted(findings.values(), key=_order)
    whole = views[0] if len(views) == 1 else View(snapshot, today)
    return Report(snapshot, whole, tuple(ordered), tuple(verdicts))


def _finding(rule: Rule, hit: Hit, lines: Lines) -> Finding:
    return Finding(
        rule=rule.id,
        area=rule.area,
        severity=rule.severity,
        item=hit.item,
        path=hit.path,
        message=hit.message,
        why=rule.why,
        fix=hit.fix or Fix(rule.fix),
        references=rule.references,
        value=hit.value,
        line=lines(hit.item, hit.path),
    )


def _order(finding: Finding) -> tuple[object, ...]:
    item = finding.item
    path = tuple(str(step).rjust(4, "0") if isinstance(step, int) else step for step in finding.path)
    return (
        -finding.severity.rank,
        item.source.file,
        item.source.line,
        item.kind,
        item.namespace,
        item.name,
        finding.rule,
        path,
    )
