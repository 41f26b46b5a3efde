"""What differs, and what surely does not."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.apply.objects import bodies, config, owned, tree

from stoker.apply.compare import HIDDEN, differences, offline_differences, stands, without_secrets
from stoker.apply.fields import ABSENT, leaves, with_value


@given(bodies)
def test_an_object_that_we_applied_as_it_is_wanted_stands(body: dict[str, Any]) -> None:
    live = owned(config({**body, "status": {"ready": True}}), stoker=("Apply", body))

    assert stands(config(body), live, "stoker")
    assert () == offline_differences(config(body), live, "stoker")
    assert () == differences(live, live)


@given(bodies, st.data())
def test_any_other_value_or_owner_has_to_be_asked_about(body: dict[str, Any], data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(leaves(tree(body)))))
    wanted = config(with_value(body, path, "other"))
    live = owned(config(body), stoker=("Apply", body))

    assert not stands(wanted, live, "stoker")
    assert not stands(config(with_value(body, ("f:spec", "f:more"), 1)), live, "stoker")
    assert not stands(config(body), owned(config(body), stoker=("Update", body)), "stoker")
    assert not stands(config(body), owned(config(body), somebody=("Apply", body)), "stoker")
    assert differences(live, wanted)


@given(bodies)
def test_a_field_that_is_no_longer_wanted_has_to_be_asked_about(body: dict[str, Any]) -> None:
    more = with_value(body, ("f:spec", "f:more"), 1)
    live = owned(config(more), stoker=("Apply", more))

    assert not stands(config(body), live, "stoker")
    removed = offline_differences(config(body), live, "stoker")
    assert [(".spec.more", 1, ABSENT)] == [
        (c.field, c.before, c.after) for c in removed
    ] or "spec" not in body


def test_a_field_that_others_own_as_well_is_not_removed() -> None:
    body = {"spec": {"a": 1, "b": 2}}
    live = owned(config(body), stoker=("Apply", body), other=("Update", {"spec": {"b": 2}}))

    assert () == offline_differences(config({"spec": {"a": 1}}), live, "stoker")


def test_items_of_lists_are_told_apart_by_name_and_their_order_is_a_change() -> None:
    one = config({"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}})
    other = config({"spec": {"containers": [{"name": "a", "image": "y"}, {"name": "b"}]}})
    turned = config({"spec": {"containers": [{"name": "b"}, {"name": "a", "image": "x"}]}})

    assert ['.spec.containers[name="a"].image'] == [c.field for c in differences(one, other)]
    assert [".spec.containers"] == [c.field for c in differences(one, turned)]


def test_the_order_of_an_applied_list_is_not_taken_for_the_same() -> None:
    body = {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}
    turned = {"spec": {"containers": [{"name": "b"}, {"name": "a"}]}}
    live = owned(config(body), stoker=("Apply", body))

    assert not stands(config(turned), live, "stoker")


def test_equal_quantities_are_no_difference_offline() -> None:
    live = config({"spec": {"limits": {"cpu": "1", "memory": "1Gi"}}})

    assert () == offline_differences(
        config({"spec": {"limits": {"cpu": "1000m", "memory": "1024Mi"}}}), live, "stoker"
    )


def test_what_the_server_counts_is_no_difference() -> None:
    one, other = config({"spec": {}}), config({"spec": {}, "status": {"a": 1}})
    other["metadata"] |= {"resourceVersion": "2", "generation": 3, "managedFields": []}

    assert () == differences(one, other)


def test_values_of_secrets_are_hidden_everywhere() -> None:
    annotation = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": "hunter2"}'}
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "annotations": annotation},
        "data": {"a": "hunter2"}, "stringData": {"b": "hunter2"},
    }  # fmt: skip
    other = {**secret, "data": {"a": "hunter3", "c": "hunter4"}, "metadata": {"name": "s"}}

    assert "hunter" not in str(without_secrets(secret))
    assert {"a"} == set(without_secrets(secret)["data"])
    found = differences(secret, other)
    assert "hunter" not in str(found)
    assert (".data.a", HIDDEN, HIDDEN) in [(c.field, c.before, c.after) for c in found]
    assert "hunter" not in str(differences(None, other)), "a new Secret shows no value either"
