"""The audit before and after, by upgrade."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from stoker.report.rollout.evidence import Audit
from stoker.report.rollout.quantity import NO_DATA
from stoker.report.rollout.report import AuditRow, Report

__all__ = ["audits"]

_MOST: Final = 40  # findings that are listed; the audit itself has the rest


def audits(report: Report) -> Iterator[str]:
    """Counts with bars; what is left stands below."""
    evidence = report.evidence
    before, after = evidence.audit_before, evidence.audit_after
    if before is None and after is None:
        yield '<p class="no">no data: no audit was made</p>'
        return
    yield f"<p>{escape(_total(before, after))}</p>"
    top = max((_weight(side) for row in report.audits for side in (row.before, row.after)), default=1) or 1
    yield '<ul class="legend"><li><i class="swatch e"></i>errors</li><li><i class="swatch w"></i>warnings</li></ul>'
    yield '<table><thead><tr><th scope="col">Upgrade</th><th scope="col">Before</th><th scope="col">After</th></tr></thead><tbody>'
    for row in report.audits:
        yield _row(row, top)
    yield "</tbody></table>"
    if after is not None and after.findings:
        yield from _left(after)


def _total(before: Audit | None, after: Audit | None) -> str:
    def words(audit: Audit | None) -> str:
        if audit is None:
            return NO_DATA
        count = len(audit.findings)
        points = audit.score.get("all")
        return f"{count} finding{'s' * (count != 1)}" + (
            f", score {points}" if isinstance(points, int) else ""
        )

    return f"Before: {words(before)}. After: {words(after)}."


def _weight(counts: Mapping[str, int] | None) -> int:
    return 0 if counts is None else counts.get("error", 0) + counts.get("warning", 0)


def _row(row: AuditRow, top: int) -> str:
    cells = "".join(
        f"<td>{_count(counts, score, top)}</td>"
        for counts, score in ((row.before, row.score_before), (row.after, row.score_after))
    )
    return f'<tr><th scope="row">{escape(row.upgrade)}</th>{cells}</tr>'


def _count(counts: Mapping[str, int] | None, score: int | None, top: int) -> str:
    if counts is None:
        return f'<span class="no">{NO_DATA}</span>'
    errors, warnings, notes = (counts.get(name, 0) for name in ("error", "warning", "info"))
    bars = "".join(
        f'<i class="{style}" style="width:{100 * count / top:.1f}%"></i>'
        for style, count in (("e", errors), ("w", warnings))
        if count
    )
    words = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
    words += f", {notes} info" if notes else ""
    words += f", score {score}" if score is not None else ""
    return f'<span class="small">{words}</span><div class="count" aria-hidden="true">{bars}</div>'


def _left(after: Audit) -> Iterator[str]:
    yield f'<details><summary class="small">What the audit still finds ({len(after.findings)})</summary><ul class="small">'
    for finding in after.findings[:_MOST]:
        yield f"<li>{escape(finding.severity)}: {escape(finding.message)} <code>{escape(finding.rule)}</code>{escape(_place(finding.object))}</li>"
    if len(after.findings) > _MOST:
        yield f"<li>{len(after.findings) - _MOST} more in evidence.json</li>"
    yield "</ul></details>"


def _place(thing: object) -> str:
    if not isinstance(thing, Mapping):
        return ""
    return " " + "/".join(str(thing[key]) for key in ("kind", "namespace", "name") if thing.get(key))
