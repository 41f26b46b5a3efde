"""Scores: arithmetic that the documentation states."""

from datetime import date

from stoker.audit.finding import Area
from stoker.audit.registry import rule_by_id
from stoker.audit.run import audit
from stoker.audit.score import Score, score
from stoker.kube.read import read_text

QUOTAS = ["gpu-quota-never-enforced", "reference-config-missing"]


def scored(bad: int, good: int) -> Score:
    text = "---\n".join(
        f'apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: q{n}}}\nspec: {{hard: {{{name}.nvidia.com/gpu: "1"}}}}\n'
        for n, name in enumerate(["limits"] * bad + ["requests"] * good)
    )
    report = audit(read_text(text.encode()), [rule_by_id(name) for name in QUOTAS], date(2026, 11, 24))
    return score(report.verdicts, report.findings)


def test_all_good_is_a_hundred() -> None:
    assert 100 == scored(0, 3).total.points


def test_an_error_caps_at_fifty_however_small_its_share() -> None:
    result = scored(1, 9)

    assert (90.0, 50) == (result.total.mean, result.total.points)


def test_below_the_cap_the_share_counts() -> None:
    assert 25 == scored(3, 1).total.points


def test_what_nothing_was_judged_of_has_no_score() -> None:
    result = scored(1, 1)

    assert result.areas[Area.SERVING].points is None
    assert 0 == result.areas[Area.SERVING].rules
