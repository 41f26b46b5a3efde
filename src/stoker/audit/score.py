"""A score from 0 to 100 for each upgrade and in all, from what the rules judged.

A rule counts once, however many objects it judged: its share is the part of its subjects that passed. The score of an upgrade
is the mean share of its rules, errors weighing 5, warnings 2, informations 0. A rule without subjects says nothing and does
not count. No average hides a breaker: with an error the score is at most 50, with a warning at most 90. What nothing was
judged of has no score.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from stoker.audit.finding import Area, Finding, Severity
from stoker.audit.run import Verdict

__all__ = ["AreaScore", "Score", "score"]

WEIGHT: Final[Mapping[Severity, int]] = {Severity.ERROR: 5, Severity.WARNING: 2, Severity.INFO: 0}
CAP: Final[Mapping[Severity, int]] = {Severity.ERROR: 50, Severity.WARNING: 90}


@dataclass(frozen=True, slots=True)
class AreaScore:
    """One score with what it was computed from; ``points`` is None where no rule had anything to judge."""

    points: int | None
    rules: int
    failed: int
    mean: float
    cap: int
    findings: Mapping[Severity, int]


@dataclass(frozen=True, slots=True)
class Score:
    total: AreaScore
    areas: Mapping[Area, AreaScore]


def score(verdicts: Iterable[Verdict], findings: Iterable[Finding]) -> Score:
    """Scores of the verdicts; ``findings`` that were suppressed are not among those given, so they do not cap."""
    judged = [verdict for verdict in verdicts if verdict.subjects]
    kept = list(findings)
    return Score(
        total=_area(judged, kept),
        areas={
            area: _area(
                [verdict for verdict in judged if verdict.rule.area is area],
                [finding for finding in kept if finding.area is area],
            )
            for area in Area
        },
    )


def _area(verdicts: list[Verdict], findings: list[Finding]) -> AreaScore:
    standing = {finding.rule for finding in findings}
    weights = sum(WEIGHT[verdict.rule.severity] for verdict in verdicts)
    # A rule whose findings are all suppressed has passed as far as the team is concerned.
    shares = [
        WEIGHT[verdict.rule.severity]
        * (1 - verdict.failed / verdict.subjects if verdict.rule.id in standing else 1.0)
        for verdict in verdicts
    ]
    mean = 100 * sum(shares) / weights if weights else 100.0
    counts = {severity: sum(finding.severity is severity for finding in findings) for severity in Severity}
    cap = min((CAP[severity] for severity in CAP if counts[severity]), default=100)
    return AreaScore(
        points=min(int(mean), cap) if verdicts else None,
        rules=len(verdicts),
        failed=len({verdict.rule.id for verdict in verdicts} & standing),
        mean=round(mean, 1),
        cap=cap,
        findings=counts,
    )
