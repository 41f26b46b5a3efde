"""Patches of one file, together: all that fit, whatever one of them does."""

from datetime import date

import pytest

from stoker.audit.finding import Area, Finding, Fix, Op, Severity, replace
from stoker.audit.score import score
from stoker.audit.suppress import suppress
from stoker.cli.audit_fix import Fixed, fixed_files
from stoker.kube.read import read_text
from stoker.report.audit.outcome import Outcome

TEXT = """apiVersion: v1
kind: Pod
metadata: {name: x}
spec:
  # where
  nodeName: a
  restartPolicy: Always  # for ever
  priorityClassName: low
"""


def fixed(*ops: Op) -> list[Fixed]:
    """The file with a finding for each step."""
    snapshot = read_text(TEXT.encode(), "f.yaml")
    findings = [
        Finding(f"rule-{number}", Area.SERVING, Severity.ERROR, snapshot.items[0], op.path, "", "", Fix("", (op,)), ())
        for number, op in enumerate(ops)
    ]  # fmt: skip
    outcome = Outcome("x", snapshot, (), 0, suppress(findings, ()), score((), ()), (), date(2026, 11, 24))
    return fixed_files(outcome, {"f.yaml": TEXT.encode()})


def test_all_patches_of_a_file_are_made() -> None:
    after = TEXT.replace("nodeName: a", "nodeName: b").replace("Name: low", "Name: high")

    assert [Fixed("f.yaml", TEXT, after, 2)] == fixed(
        replace(("spec", "nodeName"), "b"), replace(("spec", "priorityClassName"), "high")
    )


def test_a_patch_that_does_not_fit_costs_the_others_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Who it was is told, so that somebody mends it by hand."""
    after = TEXT.replace("nodeName: a", "nodeName: b").replace("Always  #", "Never  #")

    assert [Fixed("f.yaml", TEXT, after, 2)] == fixed(
        replace(("spec", "nodeName"), "b"),
        replace(("spec", "volumes", 3, "name"), "gone"),
        replace(("spec", "restartPolicy"), "Never"),
    )
    assert "f.yaml: rule-1: " in capsys.readouterr().err


def test_a_file_that_no_patch_fits_is_left_alone() -> None:
    assert [] == fixed(replace(("spec", "volumes", 3, "name"), "gone"))
