"""Everything that text, JSON and page print, put together once from evidence and, where given, a simulation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from stoker.report.rollout.claims import CLAIMS, Finding, judge
from stoker.report.rollout.evidence import Audit, Evidence, Figure, Gate, Window
from stoker.report.rollout.measuring import Taken
from stoker.report.rollout.roi import Row, rows
from stoker.rollout.evidence import Verdict

__all__ = ["AuditRow", "Report", "build_report", "default_windows", "headline", "with_taken"]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Findings of one upgrade, by severity; None where that audit was not made."""

    upgrade: str
    before: Mapping[str, int] | None
    after: Mapping[str, int] | None
    score_before: int | None
    score_after: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole of it.

    Attributes:
        rows: of the table, in its order.
        claims: the guide's, with what was measured.
        phases: gates by phase, in the order in which they began.
        audits: by upgrade; empty without an audit.
    """

    evidence: Evidence
    rows: tuple[Row, ...]
    claims: tuple[Finding, ...]
    phases: Mapping[str, tuple[Gate, ...]]
    audits: tuple[AuditRow, ...]

    @property
    def verdicts(self) -> Mapping[Verdict, int]:
        return {verdict: sum(gate.verdict is verdict for gate in self.evidence.gates) for verdict in Verdict}

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Phase by phase, in the order in which they began."""
        return tuple(gate for gates in self.phases.values() for gate in gates)

    def row(self, measure: str) -> Row:
        """The row of a measure."""
        return next(row for row in self.rows if row.measure.id == measure)


def build_report(evidence: Evidence, simulated: Iterable[Figure] = ()) -> Report:
    """Put it together; pure, and the same for the same evidence."""
    table = rows(evidence, simulated)
    by_measure = {row.measure.id: row for row in table}
    phases: dict[str, tuple[Gate, ...]] = {}
    for gate in sorted(evidence.gates, key=lambda gate: gate.started):
        phases[gate.group] = (*phases.get(gate.group, ()), gate)
    claims = tuple(
        judge(claim, row.before, row.after, (row.simulated_before, row.simulated_after))
        for claim in CLAIMS
        for row in (by_measure[claim.measure],)
    )
    return Report(evidence, table, claims, phases, _audits(evidence))


def headline(report: Report) -> str:
    """One sentence on the gates."""
    total, counts = len(report.evidence.gates), report.verdicts
    if not total:
        return "No gate was measured"
    if counts[Verdict.PASSED] == total:
        return f"All {total} gates passed" if total > 1 else "The gate passed"
    parts = [f"{counts[Verdict.PASSED]} of {total} gates passed"]
    parts += [
        f"{counts[verdict]} {verdict.value}"
        for verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE)
        if counts[verdict]
    ]
    return ", ".join(parts)


def with_taken(evidence: Evidence, taken: Taken) -> Evidence:
    """The evidence with what a Prometheus says now in place of what it held."""
    return replace(
        evidence,
        figures=taken.figures,
        series=taken.series,
        windows=taken.windows,
        price=taken.price or evidence.price,
    )


def default_windows(evidence: Evidence, now: datetime) -> dict[str, Window]:
    """Windows as the evidence names them; else as long as the rollout took, before its begin and after its end.

    A window after that has not begun yet is left out.
    """
    named = {phase: window for phase, window in evidence.windows.items() if window is not None}
    if named or evidence.rollout is None:
        return named
    begin, end = evidence.rollout
    length = max(end - begin, timedelta(minutes=5))
    found = {"before": Window(begin - length, begin)}
    if now - end >= timedelta(minutes=1):
        found["after"] = Window(end, min(now, end + length))
    return found


def _audits(evidence: Evidence) -> tuple[AuditRow, ...]:
    before, after = evidence.audit_before, evidence.audit_after
    names: dict[str, None] = {}
    for audit in (before, after):
        if audit is not None:
            names.update(dict.fromkeys(name for name in audit.score if name not in {"all", "computation"}))
            names.update(dict.fromkeys(finding.upgrade for finding in audit.findings))
    return tuple(
        AuditRow(name, _counts(before, name), _counts(after, name), _score(before, name), _score(after, name))
        for name in names
    )


def _counts(audit: Audit | None, upgrade: str) -> dict[str, int] | None:
    if audit is None:
        return None
    found = {"error": 0, "warning": 0, "info": 0}
    for finding in audit.findings:
        if finding.upgrade == upgrade:
            found[finding.severity] = found.get(finding.severity, 0) + 1
    return found


def _score(audit: Audit | None, upgrade: str) -> int | None:
    points = None if audit is None else audit.score.get(upgrade)
    return points if isinstance(points, int) else None
