"""Suppressions need a rule, an expiry and a reason; a baseline hides what it knew and no more."""

from datetime import date

import pytest

from stoker.audit.registry import rule_by_id, rules
from stoker.audit.run import Report, audit
from stoker.audit.suppress import Suppressed, baseline_of, read_baseline, suppress, suppressions_of
from stoker.errors import InputError
from stoker.kube.read import read_text

TODAY = date(2026, 11, 24)
RULE = "gpu-quota-never-enforced"
QUOTA = """apiVersion: v1
kind: ResourceQuota
metadata: {{name: q{annotations}}}
spec:
  hard:
    {comment}
    limits.nvidia.com/gpu: "8"
"""


def audited(text: str) -> Report:
    return audit(read_text(text.encode()), [rule_by_id(RULE)], TODAY)


def parted(text: str) -> Suppressed:
    report = audited(text)
    known = {rule.id for rule in rules()}
    return suppress(report.findings, suppressions_of(report.snapshot, known, TODAY))


def by_annotation(text: str) -> str:
    return QUOTA.format(
        annotations=f', annotations: {{audit.stoker.dev/{RULE}: "{text}"}}', comment="# nothing"
    )


def by_comment(text: str) -> str:
    return QUOTA.format(annotations="", comment=f"# stoker:ignore {RULE} {text}")


@pytest.mark.parametrize("form", [by_annotation, by_comment])
def test_an_expiry_and_a_reason_hide_a_finding(form: "type[str]") -> None:
    result = parted(form("until 2027-01-31: mirror is being built"))

    assert () == result.standing
    assert ["mirror is being built"] == [suppression.reason for _, suppression in result.hidden]


@pytest.mark.parametrize("form", [by_annotation, by_comment])
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "wants 'until YYYY-MM-DD: reason'"),
        ("because", "wants 'until YYYY-MM-DD: reason'"),
        ("until 2027-01-31:", "gives no reason"),
        ("until 2027-01-31: tbd", "gives no reason"),
        ("until soon: mirror is being built", "is no date"),
        ("until 2027-13-01: mirror is being built", "is no date"),
        ("until 2026-11-23: mirror is being built", "expired on 2026-11-23"),
    ],
)
def test_anything_less_is_refused_and_the_finding_stands(form: "type[str]", text: str, why: str) -> None:
    result = parted(form(text))

    assert 1 == len(result.standing)
    assert why in result.refused[0].refused


def test_the_last_day_still_counts() -> None:
    assert () == parted(by_comment("until 2026-11-24: mirror is being built")).standing


def test_a_rule_that_does_not_exist_is_told_with_the_nearest() -> None:
    text = QUOTA.format(
        annotations="", comment="# stoker:ignore gpu-quota-never-enforcd until 2027-01-31: long enough"
    )

    assert f"did you mean {RULE}" in parted(text).refused[0].refused


def test_a_suppression_that_hides_nothing_is_told() -> None:
    """The fault is mended: the comment can go."""
    text = by_comment("until 2027-01-31: mirror is being built").replace("limits.", "requests.")

    assert [RULE] == [entry.rule for entry in parted(text).unused]


def test_a_word_in_a_string_is_no_suppression() -> None:
    text = QUOTA.format(
        annotations="", comment=f'pods: "stoker:ignore {RULE} until 2027-01-31: mirror is being built"'
    )

    assert 1 == len(parted(text).standing)


def test_a_baseline_hides_as_many_as_it_knew() -> None:
    """A second quota with the same fault is a new finding."""
    one = QUOTA.format(annotations="", comment="# nothing")
    known = read_baseline(baseline_of(audited(one).findings), "baseline.json")
    moved = "# a line above\n\n" + one

    again = suppress(audited(moved).findings, [], known)
    more = suppress(audited(one + "---\n" + one.replace("name: q", "name: r")).findings, [], known)

    assert (0, 1) == (len(again.standing), len(again.known))
    assert ["r"] == [finding.item.name for finding in more.standing]


@pytest.mark.parametrize(
    "data", [None, [], {}, {"version": 2, "findings": []}, {"version": 1}, {"version": 1, "findings": [3]},
             {"version": 1, "findings": [{"rule": "x"}]}, {"version": 1, "findings": [{"rule": 1, "resource": "", "namespace": "", "name": "", "path": ""}]}],
)  # fmt: skip
def test_what_is_no_baseline_is_refused(data: object) -> None:
    with pytest.raises(InputError, match="baseline"):
        read_baseline(data, "b.json")
