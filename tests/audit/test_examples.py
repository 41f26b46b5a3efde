"""Every rule fires on its bad example, is silent on its good one, and its patch makes the finding go away."""

import random
from datetime import date

import pytest
import yaml
from tests.audit.mutations import ODD, changed, changes, documents, places, stream

from stoker.audit.example import example
from stoker.audit.finding import Finding
from stoker.audit.patch import patched
from stoker.audit.registry import rules
from stoker.audit.rule import Rule
from stoker.audit.run import audit
from stoker.kube.edit import Change, edit_text
from stoker.kube.patch import apply_ops
from stoker.kube.snapshot import Snapshot

TODAY = date(2026, 11, 24)
RULES = [pytest.param(rule, id=rule.id) for rule in rules()]


def fired(rule: Rule, snapshot: Snapshot) -> tuple[Finding, ...]:
    return audit(snapshot, [rule], TODAY).findings


@pytest.mark.parametrize("rule", RULES)
def test_the_bad_example_is_found(rule: Rule) -> None:
    """A rule that cannot fire is a defect."""
    shown = example(rule)

    assert fired(rule, shown.snapshot(shown.bad))


@pytest.mark.parametrize("rule", RULES)
def test_the_good_example_is_judged_and_passes(rule: Rule) -> None:
    """The rule looked at something in the good example and had nothing to say."""
    shown = example(rule)
    report = audit(shown.snapshot(shown.good), [rule], TODAY)

    assert () == report.findings
    assert report.verdicts[0].subjects > 0


@pytest.mark.parametrize("rule", RULES)
def test_one_step_back_from_good_to_bad_is_found(rule: Rule) -> None:
    """The examples differ by what the rule is about: one of the differences alone makes it fire."""
    shown = example(rule)
    good, bad = documents(shown.good), documents(shown.bad)
    steps = list(changes(good, bad))

    assert steps
    single = [step for step in steps if fired(rule, shown.snapshot(stream(changed(good, *step))))]
    assert single or (shown.together and len(steps) > 1), steps


@pytest.mark.parametrize("rule", RULES)
def test_a_patch_removes_the_finding_and_brings_no_other(rule: Rule) -> None:
    """Applying every patch of the bad example leaves nothing that the rule says and nothing new of any rule."""
    shown = example(rule)
    before = shown.snapshot(shown.bad)
    found = [finding for finding in fired(rule, before) if finding.fix.automatic]
    if not found:
        return
    after = patched(before, found)
    known = {_what(finding) for finding in audit(before, rules(), TODAY).findings}
    left = audit(after, rules(), TODAY).findings

    assert [] == [str(finding.message) for finding in left if finding.rule == rule.id]
    assert set() == {_what(finding) for finding in left if finding.severity.rank > 0} - known


def _what(finding: Finding) -> tuple[str, str]:
    return finding.rule, str(finding.item)


@pytest.mark.parametrize("rule", RULES)
def test_odd_values_anywhere_raise_nothing(rule: Rule) -> None:
    """A wrong type in any field of the examples is survived by every rule."""
    shown = example(rule)
    chooser = random.Random(rule.id)  # noqa: S311  # the same odd values at every run
    for text in (shown.bad, shown.good):
        root = documents(text)
        for path in places(root):
            if len(path) < 2:  # a whole document gone is another example
                continue
            value = chooser.choice(ODD)
            audit(shown.snapshot(stream(changed(root, path, value))), [rule], TODAY)


def test_every_rule_is_complete() -> None:
    """Facts beside each rule: a sentence why, a fix, a source."""
    for rule in rules():
        assert rule.id == rule.id.lower()
        assert rule.title
        assert not rule.title.endswith(".")
        assert len(rule.why) > 40, rule.id
        assert rule.fix.endswith("."), rule.id
        assert rule.references, rule.id


@pytest.mark.parametrize("rule", RULES)
def test_a_patch_in_the_text_is_the_patch_of_the_object(rule: Rule) -> None:
    """`--fix --write` changes the file to what the patch says, whatever the style of the example."""
    shown = example(rule)
    for finding in fired(rule, shown.snapshot(shown.bad)):
        if not finding.fix.ops or finding.item.malformed:
            continue
        text = edit_text(shown.bad, [Change(finding.item.source, finding.fix.ops)])
        position = [
            number for number, document in enumerate(yaml.safe_load_all(shown.bad)) if document is not None
        ]
        after = [document for document in yaml.safe_load_all(text) if document is not None]
        index = position.index(finding.item.source.document)

        assert apply_ops(documents(shown.bad)[index], finding.fix.ops) == after[index]
