"""GitHub Actions annotations: workflow commands on standard output."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Severity
from stoker.report.audit.outcome import Outcome

__all__ = ["as_github"]

_COMMAND: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def as_github(outcome: Outcome) -> Iterator[str]:
    """One line a finding, escaped as actions/toolkit packages/core/src/command.ts does it."""
    for finding in outcome.findings:
        source = finding.item.source
        properties = [f"title={_property(finding.rule)}"]
        if source.file:
            properties = [f"file={_property(source.file)}", f"line={max(1, finding.line)}", *properties]
        text = f"{finding.item}: {finding.message}. {finding.fix.text}"
        yield f"::{_COMMAND[finding.severity]} {','.join(properties)}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
