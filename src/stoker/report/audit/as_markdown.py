"""Markdown for a pull request's comment."""

from collections.abc import Iterator

from stoker.audit.finding import Severity
from stoker.kube.paths import show
from stoker.report.audit.outcome import Outcome

__all__ = ["as_markdown"]

_MARK = {Severity.ERROR: "🔴 error", Severity.WARNING: "🟡 warning", Severity.INFO: "🔵 info"}


def as_markdown(outcome: Outcome) -> Iterator[str]:
    """Lines of one document."""
    yield f"# Audit of `{outcome.source}`"
    yield ""
    yield f"{outcome.summary()}. {outcome.today.isoformat()}."
    yield ""
    yield "| upgrade | score | rules | failed |"
    yield "| --- | ---: | ---: | ---: |"
    for name, score in [
        *((area.value, s) for area, s in outcome.score.areas.items()),
        ("**all**", outcome.score.total),
    ]:
        yield f"| {name} | {'–' if score.points is None else score.points} | {score.rules} | {score.failed} |"
    for item, findings in outcome.by_object.items():
        yield ""
        place = f" `{item.source.file}:{item.source.line}`" if item.source.file else ""
        yield f"## {_cell(str(item))}{place}"
        yield ""
        yield "| severity | finding | fix | rule |"
        yield "| --- | --- | --- | --- |"
        for finding in findings:
            where = f"<br>`{show(finding.path)}`" if finding.path else ""
            where = where.replace("|", "\\|")
            yield f"| {_MARK[finding.severity]} | {_cell(finding.message)}{where} | {_cell(finding.fix.text)} | `{finding.rule}` |"
    if outcome.gaps:
        yield ""
        yield "## Not checked"
        yield ""
        for gap in outcome.gaps:
            count = f" ({gap.count})" if gap.count > 1 else ""
            yield f"- {_cell(gap.what)}{count}: {_cell(gap.reason)}"


def _cell(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
    return plain.replace("<", "&lt;").replace("`", "\\`").replace("*", "\\*").replace("_", "\\_")
