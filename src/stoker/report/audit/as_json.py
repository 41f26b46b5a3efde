"""The JSON contract of `stoker audit`."""

from typing import Any

from stoker.audit.finding import Finding, Fix
from stoker.audit.gaps import Gap
from stoker.audit.score import CAP, WEIGHT, AreaScore
from stoker.audit.suppress import Suppression
from stoker.kube.paths import pointer, show
from stoker.kube.snapshot import Item
from stoker.report.audit.outcome import Outcome

__all__ = ["as_json", "finding_json", "patch_json"]


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Plain data, keys in a fixed order."""
    parted = outcome.parted
    return {
        "source": outcome.source,
        "origin": outcome.snapshot.origin.value,
        "date": outcome.today.isoformat(),
        "objects": len(outcome.snapshot.items),
        "rules": len(outcome.rules),
        "counts": {severity.value: number for severity, number in outcome.counts.items()},
        "findings": [finding_json(finding) for finding in outcome.findings],
        "score": {
            "all": outcome.score.total.points,
            **{area.value: score.points for area, score in outcome.score.areas.items()},
            "computation": {
                "weights": {severity.value: weight for severity, weight in WEIGHT.items()},
                "caps": {severity.value: cap for severity, cap in CAP.items()},
                "all": _score(outcome.score.total),
                **{area.value: _score(score) for area, score in outcome.score.areas.items()},
            },
        },
        "not_checked": [_gap(gap) for gap in outcome.gaps],
        "suppressed": [
            {**finding_json(finding), "until": _date(suppression), "reason": suppression.reason}
            for finding, suppression in parted.hidden
        ],
        "baseline": [finding_json(finding) for finding in parted.known],
        "suppressions_refused": [_suppression(item) for item in parted.refused],
        "suppressions_unused": [_suppression(item) for item in parted.unused],
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """One finding as the contract names its fields."""
    return {
        "rule": finding.rule,
        "upgrade": finding.area.value,
        "severity": finding.severity.value,
        "object": _object(finding.item),
        "path": show(finding.path),
        "line": finding.line,
        "value": finding.value,
        "message": finding.message,
        "why": finding.why,
        "fix": _fix(finding.fix),
        "references": list(finding.references),
    }


def _object(item: Item) -> dict[str, Any]:
    return {
        "apiVersion": item.api_version,
        "kind": item.kind,
        "namespace": item.namespace,
        "name": item.name,
        "source": {"file": item.source.file, "line": item.source.line},
    }


def patch_json(fix: Fix) -> list[dict[str, Any]]:
    """A patch as RFC 6902 has it."""
    return [
        {"op": op.op, "path": pointer(op.path), **({} if op.op == "remove" else {"value": op.value})}
        for op in fix.ops
    ]


def _fix(fix: Fix) -> dict[str, Any]:
    return {"text": fix.text, "patch": patch_json(fix) or None, "objects": [dict(obj) for obj in fix.objects]}


def _score(score: AreaScore) -> dict[str, Any]:
    return {
        "score": score.points,
        "rules": score.rules,
        "failed": score.failed,
        "mean": score.mean,
        "cap": score.cap,
        "findings": {severity.value: number for severity, number in score.findings.items()},
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {"kind": gap.kind, "what": gap.what, "reason": gap.reason, "line": gap.line, "count": gap.count}


def _date(suppression: Suppression) -> str | None:
    return suppression.until.isoformat() if suppression.until else None


def _suppression(item: Suppression) -> dict[str, Any]:
    return {
        "rule": item.rule,
        "object": _object(item.item),
        "line": item.line,
        "until": _date(item),
        "reason": item.reason,
        "refused": item.refused,
    }
