"""What an audit could not look at is told, in every report."""

import json
from collections.abc import Callable
from datetime import date

import pytest

from stoker.audit.gaps import Gap, gaps
from stoker.audit.score import score
from stoker.audit.suppress import suppress
from stoker.audit.view.view import View
from stoker.kube.positions import Positions
from stoker.kube.read import read_text
from stoker.report.audit.as_html import as_html
from stoker.report.audit.as_json import as_json
from stoker.report.audit.as_markdown import as_markdown
from stoker.report.audit.as_sarif import as_sarif
from stoker.report.audit.as_text import as_text
from stoker.report.audit.outcome import Outcome

TODAY = date(2026, 11, 24)
FILE = "deploy/server.yaml"
SOURCE = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: llama, namespace: llm}
spec:
  replicas: three
  template:
    spec:
      containers:
      - name: vllm
        env:
        - {name: HF_TOKEN, value: 31415926535}
        args: [null, --port=8000]
---
apiVersion: v1
kind: Secret
metadata: {name: token, annotations: {key: 2718281828}}
"""


def malformed(source: bytes) -> list[Gap]:
    view = View(read_text(source, FILE), TODAY)
    return [gap for gap in gaps(view, (), Positions({FILE: source}).line) if gap.kind == "malformed"]


def test_a_field_of_another_type_is_told_with_file_object_field_value_and_type() -> None:
    first = malformed(SOURCE)[0]

    expected = Gap(
        "malformed",
        "Deployment llm/llama in deploy/server.yaml",
        "spec.replicas is a string ('three') where a whole number is wanted: the field is left out",
        5,
    )
    assert expected == first


def test_every_malformed_field_is_told() -> None:
    container = "spec.template.spec.containers[0]"
    expected = [
        "spec.replicas",
        f"{container}.env[0].value",
        f"{container}.args[0]",
        "metadata.annotations.key",
    ]

    assert expected == [gap.reason.partition(" is ")[0] for gap in malformed(SOURCE)]


def test_what_may_be_a_credential_is_told_by_its_type_alone() -> None:
    """A number as the value of a variable is malformed, and may be a password; of a Secret everything may."""
    told = str(malformed(SOURCE))

    assert "31415926535" not in told
    assert "2718281828" not in told
    assert "a number where a string is wanted" in told


def test_a_source_full_of_malformed_fields_is_told_by_the_first_and_the_number_of_the_others() -> None:
    source = b"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {nodeName: 3}\n---\n" * 130

    *first, last = malformed(source)

    assert 100 == len(first)
    assert ("more fields", 30) == (last.what, last.count)


def test_a_well_formed_source_has_no_such_gap() -> None:
    assert [] == malformed(b"apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {nodeName: a}\n")


FORMATS: dict[str, Callable[[Outcome], str]] = {
    "text": lambda outcome: "\n".join(line.plain for line in as_text(outcome, explain=False)),
    "json": lambda outcome: json.dumps(as_json(outcome)),
    "sarif": lambda outcome: json.dumps(as_sarif(outcome, "1.0")),
    "markdown": lambda outcome: "\n".join(as_markdown(outcome)),
    "html": as_html,
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_report_with_gaps_tells_file_object_field_and_both_types(form: str) -> None:
    snapshot = read_text(SOURCE, FILE)
    parted = suppress((), ())
    found = gaps(View(snapshot, TODAY), ())
    text = FORMATS[form](Outcome("x", snapshot, (), 0, parted, score((), ()), found, TODAY))

    assert "Deployment llm/llama in deploy/server.yaml" in text
    for part in ("spec.replicas is a string (", "three", "where a whole number is wanted"):
        assert part in text
