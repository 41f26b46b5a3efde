"""Server-side apply and the ownership of ordinary writes, where no recording says it."""

import json
from copy import deepcopy
from typing import Any

import pytest

from stoker.lab.merge.apply import apply, keep_timestamps, track_update
from stoker.lab.merge.options import manager_name, patch_option_causes
from stoker.lab.schema.builtin import definition
from stoker.lab.schema.node import Node
from stoker.lab.status import ApiError, invalid

DEPLOYMENT = definition("io.k8s.api.apps.v1.Deployment")
POD = definition("io.k8s.api.core.v1.Pod")
CONFIG = definition("io.k8s.api.core.v1.ConfigMap")
NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-02T00:00:00Z"
Object = dict[str, Any]


def config(**data: Any) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data}


def pod(*containers: Object, **spec: Any) -> Object:
    metadata = {"name": "p", "namespace": "n"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": list(containers), **spec},
    }


def stored(found: Object) -> Object:
    return {**found, "metadata": {**found["metadata"], "uid": "u", "resourceVersion": "1"}}


def applied(live: Object | None, new: Object, manager: str, schema: Node = CONFIG, **more: Any) -> Object:
    return stored(
        apply(live, new, schema, manager, new["apiVersion"], **{"force": False, "now": NOW, **more})
    )


def updated(live: Object, new: Object, manager: str, schema: Node = CONFIG, **more: Any) -> Object:
    entries = track_update(live, new, schema, manager, new["apiVersion"], **{"now": NOW, **more})
    metadata = {key: one for key, one in new["metadata"].items() if key != "managedFields"}
    return {**new, "metadata": metadata | ({"managedFields": entries} if entries else {})}


def created(new: Object, manager: str, schema: Node = CONFIG) -> Object:
    entries = track_update(None, new, schema, manager, new["apiVersion"], now=NOW)
    return stored({**new, "metadata": {**new["metadata"], "managedFields": entries}})


def owners(found: Object) -> list[tuple[str, str, Any]]:
    return [
        (one["manager"], one["operation"], one["fieldsV1"])
        for one in found["metadata"].get("managedFields", [])
    ]


def test_a_field_left_out_goes_unless_somebody_else_owns_it() -> None:
    first = applied(None, config(a="1", b="2"), "m1")
    both = applied(first, config(a="1"), "m2")
    found = applied(both, config(), "m1")
    assert {"a": "1"} == found["data"]


def test_a_field_left_out_stays_while_an_updater_owns_it() -> None:
    first = applied(None, config(a="1", b="2"), "m")
    changed = updated(first, {**first, "data": {"a": "9", "b": "2"}}, "edit")
    found = applied(changed, config(b="2"), "m")
    assert {"a": "9", "b": "2"} == found["data"]


def test_a_container_left_out_goes_with_its_defaults() -> None:
    first = applied(None, pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"}), "m", POD)
    live = deepcopy(first)
    for one in live["spec"]["containers"]:
        one["imagePullPolicy"] = "Always"
    found = applied(live, pod({"name": "b", "image": "2"}), "m", POD)
    assert [{"name": "b", "image": "2", "imagePullPolicy": "Always"}] == found["spec"]["containers"]


def test_an_apply_that_changes_nothing_keeps_its_time() -> None:
    first = applied(None, config(a="1"), "m")
    again = applied(first, config(a="1"), "m", now=LATER)
    assert first["metadata"]["managedFields"] == again["metadata"]["managedFields"]


def test_a_new_applier_that_changes_nothing_has_no_time() -> None:
    first = applied(None, config(a="1"), "m1")
    found = applied(first, config(a="1"), "m2")
    assert [None, NOW] == [one.get("time") for one in found["metadata"]["managedFields"]]


def test_a_forced_apply_takes_the_field() -> None:
    first = applied(None, config(a="1"), "m1")
    found = applied(first, config(a="2"), "m2", force=True)
    assert [("m2", "Apply", {"f:data": {"f:a": {}}})] == owners(found)


def test_several_conflicts_are_grouped_by_manager() -> None:
    live = created(config(a="1", b="2"), "edit")
    live = applied(live, config(c="3"), "m1")
    with pytest.raises(ApiError) as refused:
        applied(live, config(a="9", b="9", c="9"), "m2")
    expected = (
        'Apply failed with 3 conflicts: conflicts with "edit" using v1:\n- .data.a\n- .data.b\n'
        'conflicts with "m1":\n- .data.c'
    )
    assert expected == refused.value.message
    assert (409, "Conflict") == (refused.value.code, refused.value.reason)
    assert refused.value.details is not None
    assert [".data.a", ".data.b", ".data.c"] == [one["field"] for one in refused.value.details["causes"]]


def test_what_was_there_before_the_first_apply_has_an_owner() -> None:
    live = stored(config(a="1"))
    found = applied(live, config(b="2"), "m")
    expected: Any = [
        ("m", "Apply", {"f:data": {"f:b": {}}}),
        ("before-first-apply", "Update", {"f:data": {".": {}, "f:a": {}}}),
    ]
    assert expected == owners(found)


def test_kubectl_takes_over_what_client_side_apply_wrote() -> None:
    live = config(a="1", b="2")
    live["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps(config(a="1", b="1"))
    }
    live = created(live, "kubectl-client-side-apply")
    found = applied(live, config(a="9"), "kubectl")
    assert {"a": "9", "b": "2"} == found["data"]
    annotation = found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    expected = '{"apiVersion":"v1","data":{"a":"9"},"kind":"ConfigMap","metadata":{"name":"x"}}\n'
    assert expected == annotation
    with pytest.raises(ApiError, match=r"1 conflict.*\.data\.b"):
        applied(live, config(a="9", b="9"), "kubectl")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"nope": 1}, ".spec.nope: field not declared in schema"),
        ({"replicas": "x"}, ".spec.replicas: expected numeric (int or float), got string"),
        ({"paused": "x"}, ".spec.paused: expected boolean, got &{x}"),
        ({"template": []}, ".spec.template: expected map, got &{[]}"),
        (
            {"template": {"spec": {"containers": {"a": 1}}}},
            ".spec.template.spec.containers: expected list, got &{map[a:1]}",
        ),
        (
            {"template": {"spec": {"schedulerName": 1}}},
            ".spec.template.spec.schedulerName: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}},
            '.spec.template.spec.containers: duplicate entries for key [name="a"]',
        ),
        (
            {
                "template": {
                    "spec": {
                        "containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 1}]}]
                    }
                }
            },
            (
                '.spec.template.spec.containers[name="a"].ports: '
                'duplicate entries for key [containerPort=1,protocol="TCP"]'
            ),
        ),
        (
            {"template": {"spec": {"containers": [None]}}},
            ".spec.template.spec.containers: element 0: associative list with keys may not have a null element",
        ),
        (
            {"replicas": "x", "paused": 1},
            (
                "errors:\n  .spec.replicas: expected numeric (int or float), got string\n"
                "  .spec.paused: expected boolean, got &{1}"
            ),
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_in_the_servers_words(
    spec: Object, problem: str
) -> None:
    new = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n"},
        "spec": spec,
    }
    with pytest.raises(ApiError) as refused:
        applied(None, new, "m", DEPLOYMENT)
    expected = f"failed to create typed patch object (n/d; apps/v1, Kind=Deployment): {problem}"
    assert (500, "", expected) == (refused.value.code, refused.value.reason, refused.value.message)


def test_a_configuration_of_another_kind_or_with_owners_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        apply(stored(config()), {**config(), "kind": "Secret"}, CONFIG, "m", "v1", force=False, now=NOW)
    assert (400, "invalid object type: /v1, Kind=Secret") == (refused.value.code, refused.value.message)
    owned = {**config(), "metadata": {"name": "x", "managedFields": []}}
    with pytest.raises(ApiError) as refused:
        applied(None, owned, "m")
    assert (400, "metadata.managedFields must be nil") == (refused.value.code, refused.value.message)


def test_an_apply_without_a_manager_is_refused() -> None:
    causes = patch_option_causes(is_apply=True, force=None, field_manager="", dry_run=(), field_validation="")
    found = invalid("meta.k8s.io", "PatchOptions", "", causes)
    expected = (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
    )
    assert (422, expected) == (found.code, found.message)


def test_a_client_goes_by_the_beginning_of_its_agent() -> None:
    assert ("kubectl", "m") == (
        manager_name("", "kubectl/v1.32.4 (linux)"),
        manager_name("m", "kubectl/v1.32.4"),
    )


def test_an_apply_of_status_owns_only_status() -> None:
    live = created(pod({"name": "a", "image": "1"}), "m", POD)
    new = {**pod({"name": "a", "image": "2"}), "status": {"phase": "Running"}}
    new["metadata"] = {"name": "p", "labels": {"a": "1"}}
    found = applied(live, new, "s", POD, subresource="status")
    assert ("s", "Apply", {"f:metadata": {"f:labels": {"f:a": {}}}, "f:status": {"f:phase": {}}}) == owners(
        found
    )[0]
    assert "status" == found["metadata"]["managedFields"][0]["subresource"]


@pytest.mark.parametrize(
    ("live", "new", "expected"),
    [
        ("abc", "cx", "abcx"),
        ("abc", "xb", "axbc"),
        ("abcd", "db", "acdb"),
        ("", "ba", "ba"),
        ("ab", "", "ab"),
        ("abcde", "ed", "abced"),
    ],
)
def test_applied_elements_keep_their_order_among_the_others(live: str, new: str, expected: str) -> None:
    before = created(pod(*({"name": one, "image": "1"} for one in live)), "edit", POD)
    found = applied(before, pod(*({"name": one} for one in new)), "m", POD)
    assert expected == "".join(one["name"] for one in found["spec"]["containers"])


def test_an_update_moves_what_changed_and_forgets_what_is_gone() -> None:
    live = created(config(a="1", b="2", c="3"), "one")
    found = updated(live, {**live, "data": {"a": "9", "c": "3"}}, "two", now=LATER)
    expected: Any = [
        ("one", "Update", {"f:data": {".": {}, "f:c": {}}}),
        ("two", "Update", {"f:data": {"f:a": {}}}),
    ]
    assert expected == owners(found)


def test_an_update_that_changes_nothing_leaves_ownership_alone() -> None:
    live = created(config(a="1"), "one")
    found = updated(live, deepcopy(live), "two", now=LATER)
    assert live["metadata"]["managedFields"] == found["metadata"]["managedFields"]


@pytest.mark.parametrize("sent", [[], [{}]])
def test_a_client_can_have_ownership_forgotten(sent: list[Any]) -> None:
    live = created(config(a="1"), "one")
    new = {**live, "metadata": {**live["metadata"], "managedFields": sent}}
    assert [] == owners(updated(live, new, "two"))


def test_entries_that_cannot_be_read_are_ignored() -> None:
    live = created(config(a="1"), "one")
    new = {
        **live,
        "metadata": {**live["metadata"], "managedFields": [{"manager": "x", "operation": "Steal"}]},
    }
    assert owners(live) == owners(updated(live, new, "two"))


def test_entries_that_a_client_sends_are_kept() -> None:
    live = created(config(a="1"), "one")
    entry = {
        "manager": "x",
        "operation": "Update",
        "apiVersion": "v1",
        "fieldsType": "FieldsV1",
        "time": "2026-01-01T01:00:00+01:00",
        "fieldsV1": {"f:data": {"f:a": {".": {}}}},
    }
    new = {**live, "metadata": {**live["metadata"], "managedFields": [entry]}}
    found = updated(live, new, "two")
    assert [("x", "Update", {"f:data": {"f:a": {}}})] == owners(found)
    assert NOW == found["metadata"]["managedFields"][0]["time"]


def test_the_eleventh_updater_makes_the_oldest_ancient() -> None:
    live = created(config(), "m00")
    live["data"] = {}
    for at in range(12):
        data = {**live["data"], f"k{at}": "1"}
        live = updated(live, {**live, "data": data}, f"m{at:02}", now=f"2026-01-01T00:00:{at:02}Z")
    names = [one["manager"] for one in live["metadata"]["managedFields"]]
    assert ["ancient-changes", *(f"m{at:02}" for at in range(3, 12))] == names
    ancient = live["metadata"]["managedFields"][0]
    assert {"f:k0": {}, "f:k1": {}, "f:k2": {}} == {
        k: v for k, v in ancient["fieldsV1"]["f:data"].items() if k != "."
    }
    assert "2026-01-01T00:00:02Z" == ancient["time"]


def test_elements_that_share_a_key_are_owned_together() -> None:
    twins = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    live = created(pod({"name": "c", "image": "1", "env": twins}), "m", POD)
    [(_, _, fields)] = owners(live)
    env = fields["f:spec"]["f:containers"]['k:{"name":"c"}']["f:env"]
    assert {".": {}, 'k:{"name":"A"}': {}} == env


def test_an_object_without_names_in_a_list_is_no_longer_tracked() -> None:
    schema = Node(
        {
            "type": "object",
            "properties": {
                "spec": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["id"],
                    "items": {
                        "type": "object",
                        "properties": {"id": {"type": "string"}, "v": {"type": "string"}},
                    },
                }
            },
        },
        lambda _: {},
    )
    new = {"apiVersion": "e.io/v1", "kind": "E", "metadata": {"name": "e"}, "spec": [{"v": "1"}]}
    assert [] == track_update(None, new, schema, "m", "e.io/v1", now=NOW)


def test_unknown_fields_of_a_custom_resource_are_divided_but_their_lists_are_not() -> None:
    spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = Node({"type": "object", "properties": {"spec": spec}}, lambda _: {})
    new = {
        "apiVersion": "e.io/v1",
        "kind": "E",
        "metadata": {"name": "e"},
        "spec": {"a": {"b": 1, "c": [{"d": 1}]}},
    }
    expected: Any = {"f:spec": {".": {}, "f:a": {".": {}, "f:b": {}, "f:c": {}}}}
    [entry] = track_update(None, new, schema, "m", "e.io/v1", now=NOW)
    assert expected == entry["fieldsV1"]


def test_a_list_that_became_atomic_is_owned_as_a_whole() -> None:
    items = {"type": "object", "properties": {"id": {"type": "string"}, "v": {"type": "string"}}}
    divided = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["id"],
        "items": items,
    }
    first = Node({"type": "object", "properties": {"spec": divided}}, lambda _: {})
    second = Node({"type": "object", "properties": {"spec": {"type": "array", "items": items}}}, lambda _: {})
    new = {"apiVersion": "e.io/v1", "kind": "E", "metadata": {"name": "e"}, "spec": [{"id": "a", "v": "1"}]}
    live = applied(None, new, "m", first)
    found = updated(live, {**live, "metadata": {**live["metadata"], "labels": {"x": "1"}}}, "two", second)
    assert ("m", "Apply", {"f:spec": {}}) == owners(found)[0]


def test_times_alone_are_put_back() -> None:
    old = created(config(a="1"), "m")
    new = deepcopy(old)
    new["metadata"]["managedFields"][0]["time"] = LATER
    keep_timestamps(new, old)
    assert old == new
    new["metadata"]["managedFields"][0]["time"] = LATER
    new["data"]["a"] = "2"
    keep_timestamps(new, old)
    assert LATER == new["metadata"]["managedFields"][0]["time"]
