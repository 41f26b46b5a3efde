"""JUnit XML: a test suite an upgrade, a test case a rule, a failure a finding."""

import xml.etree.ElementTree as ET
from collections import defaultdict

from stoker.audit.finding import Area, Finding, Severity
from stoker.audit.rule import Rule
from stoker.kube.paths import show
from stoker.report.audit.outcome import Outcome

__all__ = ["as_junit"]


def as_junit(outcome: Outcome, fail_on: Severity | None) -> str:
    """Findings at or above ``fail_on`` are failures, milder ones are told in ``system-out``; None: none is a failure."""
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in outcome.findings:
        by_rule[finding.rule].append(finding)
    root = ET.Element("testsuites", name=f"stoker audit {outcome.source}")
    total = failed = 0
    for area in Area:
        rules = [rule for rule in outcome.rules if rule.area is area]
        if not rules:
            continue
        suite = ET.SubElement(root, "testsuite", name=area.value)
        failures = 0
        for rule in rules:
            failures += _case(suite, rule, by_rule[rule.id], fail_on)
        suite.set("tests", str(len(rules)))
        suite.set("failures", str(failures))
        suite.set("errors", "0")
        total, failed = total + len(rules), failed + failures
    root.set("tests", str(total))
    root.set("failures", str(failed))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, rule: Rule, findings: list[Finding], fail_on: Severity | None) -> bool:
    case = ET.SubElement(suite, "testcase", classname=f"stoker.{rule.area.value}", name=rule.id)
    grave = [f for f in findings if fail_on is not None and f.severity.rank >= fail_on.rank]
    mild = [f for f in findings if f not in grave]
    if grave:
        failure = ET.SubElement(
            case, "failure", message=_clean(f"{len(grave)} × {rule.title}"), type=rule.severity.value
        )
        failure.text = _clean("\n".join(_line(finding) for finding in grave))
    if mild:
        ET.SubElement(case, "system-out").text = _clean("\n".join(_line(finding) for finding in mild))
    return bool(grave)


def _line(finding: Finding) -> str:
    source = finding.item.source
    place = f"{source.file}:{finding.line}: " if source.file else ""
    return f"{place}{finding.item}: {show(finding.path)}: {finding.message}. Fix: {finding.fix.text}"


def _clean(text: str) -> str:
    """Without the control characters that XML 1.0 has no place for."""
    return "".join(char for char in text if char in "\t\n\r" or (ord(char) >= 0x20 and not 0xD800 <= ord(char) <= 0xDFFF and ord(char) not in {0xFFFE, 0xFFFF}))  # fmt: skip
