"""Roles and bindings against what their writers hold."""

from dataclasses import replace
from typing import Any

import pytest

from stoker.lab.api.call import User
from stoker.lab.status import ApiError

Object = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
ANN = User("ann", ("team", "system:authenticated"))


def role(name: str, rules: list[Object], kind: str = "ClusterRole", **more: Any) -> Object:
    metadata = {"name": name, **({"namespace": "n"} if kind == "Role" else {})}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "rules": rules, **more}


def rule(verbs: list[str], resources: list[str], group: str = "", **more: Any) -> Object:
    return {"verbs": verbs, "apiGroups": [group], "resources": resources, **more}


def binding(
    role_name: str, kind: str = "RoleBinding", ref_kind: str = "ClusterRole", user: str = "bob"
) -> Object:
    metadata = {"name": "b", **({"namespace": "n"} if kind == "RoleBinding" else {})}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": GROUP, "kind": ref_kind, "name": role_name},
        "subjects": [{"kind": "User", "apiGroup": GROUP, "name": user}],
    }


def hold(world: Any, *rules: Object) -> None:
    """Give ann rules everywhere."""
    world.put(role("held", list(rules)))
    found = binding("held", "ClusterRoleBinding", user="ann")
    found["metadata"]["name"] = "held"
    world.put(found)
    world.user = ANN


def refusal(world: Any, obj: Object, operation: str = "CREATE", **more: Any) -> str:
    with pytest.raises(ApiError) as error:
        world.mutate("RoleEscalation", obj, operation, **more)
    text: str = error.value.message
    return text


def test_a_role_grants_what_its_writer_holds_and_no_more(world: Any) -> None:
    hold(
        world,
        rule(["get", "list"], ["pods", "*/scale"]),
        {"verbs": ["get"], "nonResourceURLs": ["/metrics*"]},
    )
    world.mutate("RoleEscalation", role("r", [rule(["get"], ["pods", "deployments/scale"])]))
    world.mutate("RoleEscalation", role("r", [rule(["list"], ["pods"], resourceNames=["a"])], "Role"))
    world.mutate("RoleEscalation", role("r", [{"verbs": ["get"], "nonResourceURLs": ["/metrics/x"]}]))
    wanted = [
        rule(["get", "watch", "delete"], ["pods", "nodes"]),
        rule(["get"], ["secrets"], "g", resourceNames=["x"]),
        {"verbs": ["get"], "nonResourceURLs": ["/logs"]},
    ]
    expected = (
        'clusterroles.rbac.authorization.k8s.io "r" is forbidden: user "ann" (groups=["team" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["nodes"], Verbs:["get" "watch" "delete"]}\n'
        '{APIGroups:[""], Resources:["pods"], Verbs:["watch" "delete"]}\n'
        '{APIGroups:["g"], Resources:["secrets"], ResourceNames:["x"], Verbs:["get"]}\n'
        '{NonResourceURLs:["/logs"], Verbs:["get"]}'
    )
    assert expected == refusal(world, role("r", wanted))


def test_stars_are_held_by_stars_only(world: Any) -> None:
    hold(world, rule(["get", "list", "watch", "create"], ["pods", "nodes"]))
    assert 'Verbs:["*"]' in refusal(world, role("r", [rule(["*"], ["pods"])]))
    assert 'Resources:["*"]' in refusal(world, role("r", [rule(["get"], ["*"])]))


def test_a_rule_for_names_does_not_cover_all_names(world: Any) -> None:
    hold(world, rule(["get"], ["secrets"], resourceNames=["a"]))
    world.mutate("RoleEscalation", role("r", [rule(["get"], ["secrets"], resourceNames=["a"])]))
    assert 'Resources:["secrets"]' in refusal(world, role("r", [rule(["get"], ["secrets"])]))


def test_who_may_escalate_and_who_is_master_is_not_asked(world: Any) -> None:
    top = role("top", [rule(["*"], ["*"], "*")])
    world.mutate("RoleEscalation", top)
    hold(world, rule(["escalate"], ["clusterroles"], GROUP))
    world.mutate("RoleEscalation", top)
    world.user = replace(ANN, name="zoe")
    assert "attempting to grant" in refusal(world, top)


def test_aggregation_takes_everything(world: Any) -> None:
    gathering = role("r", [], aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]})
    hold(world, rule(["get"], ["pods"]))
    assert refusal(world, gathering) == (
        'clusterroles.rbac.authorization.k8s.io "r" is forbidden: must have cluster-admin privileges to use the aggregationRule'
    )


def test_the_collector_may_take_finalizers_from_any_role(world: Any) -> None:
    hold(world, rule(["get"], ["pods"]))
    old = role("r", [rule(["*"], ["*"])])
    old["metadata"]["finalizers"] = ["x"]
    new = role("r", [rule(["*"], ["*"])])
    world.mutate("RoleEscalation", new, "UPDATE", old=old)
    new["metadata"]["labels"] = {"a": "b"}
    assert "attempting to grant" in refusal(world, new, "UPDATE", old=old)


def test_a_binding_needs_the_rules_of_its_role_or_leave_to_bind(world: Any) -> None:
    world.put(role("strong", [rule(["delete"], ["nodes"])]))
    hold(world, rule(["get"], ["pods"]))
    text = refusal(world, binding("strong"))
    assert text.startswith(
        'rolebindings.rbac.authorization.k8s.io "b" is forbidden: user "ann" (groups=["team" '
    )
    assert text.endswith('not currently held:\n{APIGroups:[""], Resources:["nodes"], Verbs:["delete"]}')
    assert text.startswith("rolebindings")
    assert "clusterrolebindings" in refusal(world, binding("strong", "ClusterRoleBinding"))
    hold(world, rule(["bind"], ["clusterroles"], GROUP, resourceNames=["strong"]))
    world.mutate("RoleEscalation", binding("strong"))


def test_a_role_in_the_namespace_counts_in_the_namespace(world: Any) -> None:
    world.put(role("local", [rule(["get"], ["pods"])], "Role"))
    local = binding("local", ref_kind="Role", user="ann")
    world.put(local)
    world.user = ANN
    world.mutate("RoleEscalation", role("r", [rule(["get"], ["pods"])], "Role"))
    assert "attempting to grant" in refusal(world, role("r", [rule(["get"], ["pods"])]))


def test_a_role_that_is_not_there_cannot_be_bound(world: Any) -> None:
    hold(world, rule(["get"], ["pods"]))
    assert 'clusterroles.rbac.authorization.k8s.io "ghost" not found' == refusal(world, binding("ghost"))
    assert 'roles.rbac.authorization.k8s.io "ghost" not found' == refusal(
        world, binding("ghost", ref_kind="Role")
    )
