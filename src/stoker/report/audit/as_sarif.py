"""SARIF 2.1.0 (OASIS), as GitHub code scanning and IDEs read it."""

from typing import Any, Final

from stoker.audit.finding import Finding, Severity
from stoker.audit.rule import Rule
from stoker.kube.paths import show
from stoker.report.audit.outcome import Outcome

__all__ = ["as_sarif"]

_LEVEL: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_sarif(outcome: Outcome, version: str) -> dict[str, Any]:
    """One run. Suppressed findings are results with a suppression, as the format has it; gaps are notifications."""
    hidden = [(finding, suppression.reason) for finding, suppression in outcome.parted.hidden]
    index = {rule.id: number for number, rule in enumerate(outcome.rules)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "stoker",
                        "version": version,
                        "rules": [_rule(rule) for rule in outcome.rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": f"not checked: {gap.what}: {gap.reason}"}}
                            for gap in outcome.gaps
                        ],
                    }
                ],
                "results": [
                    *(_result(finding, index) for finding in outcome.findings),
                    *(
                        {
                            **_result(finding, index),
                            "suppressions": [
                                {"kind": "inSource", "status": "accepted", "justification": reason}
                            ],
                        }
                        for finding, reason in hidden
                    ),
                ],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    help_text = f"{rule.why}\n\nFix: {rule.fix}\n\nSources: {'; '.join(rule.references)}"
    return {
        "id": rule.id,
        "name": "".join(part.title() for part in rule.id.split("-")),
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": help_text},
        "defaultConfiguration": {"level": _LEVEL[rule.severity]},
        "properties": {"tags": [rule.area.value, "kubernetes", "llm"]},
    }


def _result(finding: Finding, index: dict[str, int]) -> dict[str, Any]:
    item = finding.item
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index[finding.rule],
        "level": _LEVEL[finding.severity],
        "message": {"text": f"{finding.message}. {finding.fix.text.rstrip('.')}."},
        "partialFingerprints": {
            "stoker/v1": ":".join(
                (finding.rule, item.resource, item.namespace, item.name, show(finding.path))
            )
        },
    }
    logical = [{"fullyQualifiedName": f"{item}/{show(finding.path)}", "kind": "resource"}]
    if item.source.file and not item.source.file.startswith("/api"):
        result["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": item.source.file.replace("\\", "/").replace(" ", "%20")},
                    "region": {"startLine": max(1, finding.line)},
                },
                "logicalLocations": logical,
            }
        ]
    else:
        result["locations"] = [{"logicalLocations": logical}]
    return result
