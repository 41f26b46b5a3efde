"""Paths into objects as managedFields name them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.apply.objects import bodies, config, owned, tree

from stoker.apply.fields import ABSENT, Manager, extract, leaves, owners, show, value_at, with_value


@given(bodies)
def test_what_a_manager_owns_in_whole_is_the_object(body: dict[str, Any]) -> None:
    assert config(body) == extract(config(body), tree(body))


@given(bodies, st.data())
def test_a_value_that_was_set_is_found_and_nothing_else_has_changed(
    body: dict[str, Any], data: st.DataObject
) -> None:
    paths = [path for path in leaves(tree(body)) if path[-1] != "f:name"]  # another name is another item
    path = data.draw(st.sampled_from(paths or [("f:spec", "f:zz")]))

    changed = with_value(body, path, "new")

    assert "new" == value_at(changed, path)
    assert all(value_at(body, other) == value_at(changed, other) for other in paths if other != path)


@given(bodies, st.data())
def test_a_value_that_was_set_and_taken_away_again_leaves_no_trace(
    body: dict[str, Any], data: st.DataObject
) -> None:
    place = ("f:spec", "f:zz")

    assert {**body, "spec": body.get("spec", {})} == with_value(with_value(body, place, 1), place, ABSENT)
    path = data.draw(st.sampled_from(list(leaves(tree(body)))))
    assert ABSENT is value_at(with_value(body, path, ABSENT), path) or path[-1] == "f:name"


def test_an_owner_of_nothing_has_nothing_but_the_name() -> None:
    assert config({}) == extract(config({"spec": {"a": 1}}), {})


def test_paths_are_printed_as_the_server_prints_them() -> None:
    path = ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "f:name")

    assert '.spec.ports[port=80,protocol="TCP"].name' == show(path)
    assert '.metadata.finalizers[="x"]' == show(("f:metadata", "f:finalizers", 'v:"x"'))


def test_the_owner_of_an_atomic_value_owns_what_is_in_it() -> None:
    obj = owned(config({"spec": {"a": {"b": 1}}}))
    obj["metadata"]["managedFields"] = [
        {"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": {"f:a": {}}}},
        {"manager": "o", "operation": "Apply", "fieldsV1": {"f:spec": {"f:c": {}}}},
    ]

    assert [Manager("m", "Update")] == owners(obj, ("f:spec", "f:a", "f:b"))
