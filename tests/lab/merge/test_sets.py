"""Sets of fields: algebra, order, names."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stoker.lab.merge.elements import MalformedElement, element_order, key_element, path_text, value_element
from stoker.lab.merge.sets import (
    FieldSet,
    difference,
    has,
    intersection,
    keep_matching,
    ordered,
    parse,
    paths,
    recursive_difference,
    texts,
    union,
)

STEPS = st.sampled_from(["f:a", "f:b", 'k:{"name":"c"}', 'v:"x"'])
PATHS = st.sets(st.lists(STEPS, min_size=1, max_size=3).map(tuple), max_size=6)


def tree(found: set[tuple[str, ...]]) -> FieldSet:
    """The plain way to make a set of paths."""
    made: FieldSet = {}
    for path in found:
        one: FieldSet = {}
        for step in reversed(path):
            one = {step: one}
        made = union(made, one)
    return made


@given(left=PATHS, right=PATHS)
def test_operations_are_those_of_sets_of_paths(
    left: set[tuple[str, ...]], right: set[tuple[str, ...]]
) -> None:
    ours, theirs = tree(left), tree(right)
    assert left == set(paths(ours))
    assert left | right == set(paths(union(ours, theirs)))
    assert left & right == set(paths(intersection(ours, theirs)))
    assert left - right == set(paths(difference(ours, theirs)))
    below = {path for path in left if not any(path[: len(one)] == one for one in right)}
    assert below == set(paths(recursive_difference(ours, theirs)))
    assert ours == parse(ours)
    assert all(has(ours, path) for path in left)


@given(left=PATHS, right=PATHS)
def test_operations_leave_what_they_are_given(
    left: set[tuple[str, ...]], right: set[tuple[str, ...]]
) -> None:
    ours, theirs = tree(left), tree(right)
    (
        union(ours, theirs),
        intersection(ours, theirs),
        difference(ours, theirs),
        recursive_difference(ours, theirs),
    )
    assert (tree(left), tree(right)) == (ours, theirs)


def test_the_order_is_fields_then_keys_then_values_then_places() -> None:
    found: FieldSet = {
        "i:1": {},
        'v:"b"': {},
        "v:2": {},
        'k:{"name":"b"}': {},
        'k:{"name":"a"}': {},
        "f:z": {},
        ".": {},
        "f:B": {},
    }
    expected = [".", "f:B", "f:z", 'k:{"name":"a"}', 'k:{"name":"b"}', "v:2", 'v:"b"', "i:1"]
    assert expected == list(ordered(found))


def test_numbers_come_before_texts_and_count_as_numbers() -> None:
    keys = [key_element([("port", one)]) for one in (9, 80, "http")]
    assert keys == sorted(keys, key=element_order)


def test_steps_are_written_as_the_server_writes_them() -> None:
    assert 'k:{"containerPort":80,"protocol":"TCP"}' == key_element(
        [("containerPort", 80), ("protocol", "TCP")]
    )
    assert 'v:"a\\u003cb\\"é"' == value_element('a<b"é')
    assert "v:true" == value_element(True)
    assert "v:2" == value_element(2.0)


def test_paths_are_printed_as_conflicts_print_them() -> None:
    path = ["f:spec", 'k:{"containerPort":80,"protocol":"TCP"}', 'v:"x"', "i:3", 'k:{"name":"a\\"b"}']
    assert '.spec[containerPort=80,protocol="TCP"][="x"][3][name="a\\"b"]' == path_text(path)


def test_fields_of_a_level_come_before_what_is_below_them() -> None:
    found: FieldSet = {"f:b": {}, "f:a": {".": {}, "f:c": {}}}
    assert [".a", ".b", ".a.c"] == texts(found)


def test_a_clients_steps_are_rewritten() -> None:
    sent: FieldSet = {'k:{"b": 1, "a": "x"}': {"f:c": {}}, "f:d": {".": {}}, "z:new": {"f:e": {}}}
    assert {'k:{"a":"x","b":1}': {"f:c": {}}, "f:d": {}} == parse(sent)


@pytest.mark.parametrize(
    ("sent", "message"),
    [({"f": {}}, "key must be 2 characters long:"), ({"field": {}}, "missing colon: field")],
)
def test_what_is_no_step_is_refused(sent: Any, message: str) -> None:
    with pytest.raises(MalformedElement) as refused:
        parse(sent)
    assert message == str(refused.value)


def test_only_fields_on_the_way_to_a_pattern_are_kept() -> None:
    found = {
        "f:metadata": {"f:labels": {}},
        "f:spec": {
            "f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}, "f:resources": {"f:limits": {}}}}
        },
    }
    patterns = [("f:spec", "f:containers", "*", "f:resources")]
    expected: FieldSet = {
        "f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:resources": {"f:limits": {}}}}}
    }
    assert expected == keep_matching(found, patterns)
