"""Reports: each format is what its readers parse, whatever the names in it."""

import json
import re
import xml.etree.ElementTree as ET
from datetime import date
from html.parser import HTMLParser

import pytest

from stoker.audit.finding import Severity
from stoker.audit.gaps import gaps
from stoker.audit.registry import rules
from stoker.audit.run import audit
from stoker.audit.score import score
from stoker.audit.suppress import suppress, suppressions_of
from stoker.audit.view.view import View
from stoker.kube.read import read_text
from stoker.report.audit.as_github import as_github
from stoker.report.audit.as_html import as_html
from stoker.report.audit.as_json import as_json
from stoker.report.audit.as_junit import as_junit
from stoker.report.audit.as_markdown import as_markdown
from stoker.report.audit.as_sarif import as_sarif
from stoker.report.audit.as_text import as_text
from stoker.report.audit.outcome import Outcome

TODAY = date(2026, 11, 24)
ODD = "a|b<script>\"&'`*_[x](y)\\n::error::\\u0007%"
SOURCE = f"""apiVersion: v1
kind: ResourceQuota
metadata: {{name: "{ODD.replace('"', "")}", namespace: team}}
spec: {{hard: {{limits.nvidia.com/gpu: "8"}}}}
---
apiVersion: v1
kind: ResourceQuota
metadata:
  name: quiet
  annotations: {{audit.stoker.dev/gpu-quota-never-enforced: "until 2027-01-31: being migrated"}}
spec: {{hard: {{limits.nvidia.com/gpu: "8"}}}}
---
: broken [
---
apiVersion: example.com/v1
kind: Unknown
metadata: {{name: u}}
"""


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    snapshot = read_text(SOURCE.encode(), "a folder/file.yaml")
    report = audit(snapshot, rules(), TODAY)
    parted = suppress(report.findings, suppressions_of(snapshot, {rule.id for rule in rules()}, TODAY))
    return Outcome(
        "a folder",
        snapshot,
        rules(),
        sum(verdict.subjects > 0 for verdict in report.verdicts),
        parted,
        score(report.verdicts, parted.standing),
        gaps(View(snapshot, TODAY), rules()),
        TODAY,
    )


def test_the_json_contract_holds(outcome: Outcome) -> None:
    """Keys that scripts rely on, and values that JSON can carry."""
    data = json.loads(json.dumps(as_json(outcome), allow_nan=False))

    assert {"findings", "score", "not_checked"} <= data.keys()
    finding = data["findings"][0]
    assert {
        "rule", "upgrade", "severity", "object", "path", "line", "value", "message", "why", "fix", "references",
    } == finding.keys()  # fmt: skip
    assert {"apiVersion", "kind", "namespace", "name", "source"} == finding["object"].keys()
    assert {"file": "a folder/file.yaml", "line": 1} == finding["object"]["source"]
    assert {"op": "remove", "path": "/spec/hard/limits.nvidia.com~1gpu"} in finding["fix"]["patch"]
    assert ["being migrated"] == [entry["reason"] for entry in data["suppressed"]]


def test_gaps_tell_the_broken_document_the_unknown_kind_and_what_needs_a_cluster(outcome: Outcome) -> None:
    data = as_json(outcome)["not_checked"]

    assert {"unread", "kind"} <= {entry["kind"] for entry in data}
    assert "Unknown.example.com" in [entry["what"] for entry in data]


def test_sarif_has_a_rule_for_each_result_and_a_place(outcome: Outcome) -> None:
    log = as_sarif(outcome, "1.0")
    (run,) = log["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]

    assert "2.1.0" == log["version"]
    assert len(outcome.findings) + 1 == len(run["results"])
    for result in run["results"]:
        assert result["ruleId"] == ids[result["ruleIndex"]]
        place = result["locations"][0]["physicalLocation"]
        assert "a%20folder/file.yaml" == place["artifactLocation"]["uri"]
        assert place["region"]["startLine"] >= 1
    assert ["inSource"] == [s["kind"] for result in run["results"] for s in result.get("suppressions", [])]


def test_junit_counts_rules_and_fails_at_the_bar(outcome: Outcome) -> None:
    """Control characters in names do not break the XML."""
    root = ET.fromstring(as_junit(outcome, Severity.ERROR))  # noqa: S314  # our own output
    silent = ET.fromstring(as_junit(outcome, None))  # noqa: S314

    assert str(len(rules())) == root.get("tests")
    assert len(root.findall(".//failure")) == int(root.get("failures", "0")) > 0
    assert "0" == silent.get("failures")


def test_github_annotations_are_one_line_each(outcome: Outcome) -> None:
    """A name with `::` or a line break cannot begin a command of its own."""
    lines = list(as_github(outcome))

    assert len(outcome.findings) == len(lines)
    for line in lines:
        assert re.match(r"::(error|warning|notice) file=a folder/file\.yaml,line=\d+,title=[\w-]+::", line)
        assert "\n" not in line


def test_markdown_tables_keep_their_columns(outcome: Outcome) -> None:
    rows = [line for line in as_markdown(outcome) if line.startswith("| 🔴")]

    assert rows
    assert {5} == {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert not any("<script>" in row for row in as_markdown(outcome))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name in {"src", "href"} for name, _ in attrs), "the page asks for nothing"
        if tag not in {"meta", "input", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()


def test_the_page_is_balanced_asks_for_nothing_and_escapes(outcome: Outcome) -> None:
    page = _Page()
    page.feed(as_html(outcome))

    assert [] == page.open
    assert 1 == page.tags.count("script")
    assert page.tags.count("fieldset") == 1


def test_the_text_groups_by_object_and_ends_with_the_count(outcome: Outcome) -> None:
    lines = [line.plain for line in as_text(outcome, explain=True)]

    assert lines[-1] == outcome.summary()
    assert any(line.startswith("ResourceQuota team/") for line in lines)
    assert any("why" in line for line in lines)
    assert any("hidden: 1 suppressed" in line for line in lines)


def test_the_same_input_gives_the_same_bytes(outcome: Outcome) -> None:
    assert as_html(outcome) == as_html(outcome)
    assert json.dumps(as_json(outcome)) == json.dumps(as_json(outcome))
