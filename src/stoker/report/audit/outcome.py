"""An audit with everything that reports print: findings parted, scores, gaps."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from stoker.audit.finding import Finding, Severity
from stoker.audit.gaps import Gap
from stoker.audit.rule import Rule
from stoker.audit.score import Score
from stoker.audit.suppress import Suppressed
from stoker.kube.snapshot import Item, Snapshot

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What one `stoker audit` found.

    Attributes:
        source: what was audited, as the user named it.
        snapshot: what was read.
        rules: the rules that were run.
        judged: how many of them had something to judge.
        parted: findings that stand, are suppressed, are in the baseline.
        score, gaps: as computed.
        today: date of the audit.
    """

    source: str
    snapshot: Snapshot
    rules: tuple[Rule, ...]
    judged: int
    parted: Suppressed
    score: Score
    gaps: tuple[Gap, ...]
    today: date

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings that stand."""
        return self.parted.standing

    @property
    def counts(self) -> Mapping[Severity, int]:
        """Standing findings by severity, gravest first."""
        return {
            severity: sum(finding.severity is severity for finding in self.findings)
            for severity in sorted(Severity, key=lambda item: -item.rank)
        }

    @property
    def by_object(self) -> Mapping[Item, list[Finding]]:
        """Standing findings by object, the object with the gravest and the most first."""
        groups: dict[Item, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            groups[finding.item].append(finding)

        def order(pair: tuple[Item, list[Finding]]) -> tuple[object, ...]:
            item, found = pair
            counts = [
                -sum(f.severity is s for f in found)
                for s in (Severity.ERROR, Severity.WARNING, Severity.INFO)
            ]
            return (*counts, item.source.file, item.source.line, item.resource, item.namespace, item.name)

        return dict(sorted(groups.items(), key=order))

    def worst(self) -> int:
        """Rank of the gravest standing finding, -1 without any."""
        return max((finding.severity.rank for finding in self.findings), default=-1)

    def summary(self) -> str:
        """One line: how much was looked at and what was found."""
        counts = ", ".join(
            f"{number} {_plural(severity, number)}" for severity, number in self.counts.items()
        )
        objects = len(self.snapshot.items)
        return f"{objects} object{'s' * (objects != 1)}, {self.judged} of {len(self.rules)} rules had something to judge: {counts}"


def _plural(severity: Severity, number: int) -> str:
    if severity is Severity.INFO:
        return "info"
    return f"{severity.value}{'s' * (number != 1)}"
