"""The garbage collector: background, foreground, orphans, owners that never were."""

from typing import Any

import pytest
from tests.lab.controllers.world import Object, World, workload


def _config(name: str, *owners: Object, **more: Any) -> Object:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            **more,
        }
        for owner in owners
    ]
    metadata: Object = {"name": name}
    if references:
        metadata["ownerReferences"] = references
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _names(world: World) -> list[str]:
    return [name for name in world.names("ConfigMap") if name != "kube-root-ca.crt"]


def test_what_is_owned_goes_after_its_owner(world: World) -> None:
    owner = world.create(_config("owner"))
    child = world.create(_config("child", owner))
    world.create(_config("grandchild", child))
    world.delete("ConfigMap", "owner")
    assert [] == _names(world)


def test_an_owner_that_was_never_there_takes_its_child_with_it(world: World) -> None:
    ghost = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ghost", "uid": "no-such"}}
    world.create(_config("child", ghost))
    assert [] == _names(world)


def test_an_owner_with_another_uid_is_another_object(world: World) -> None:
    owner = world.create(_config("owner"))
    owner["metadata"]["uid"] = "another"
    world.create(_config("child", owner))
    assert ["owner"] == _names(world)


def test_one_owner_of_two_is_enough(world: World) -> None:
    first, second = world.create(_config("first")), world.create(_config("second"))
    world.create(_config("child", first, second))
    world.delete("ConfigMap", "first")
    assert ["child", "second"] == _names(world)
    references = world.fetch("ConfigMap", "child")["metadata"]["ownerReferences"]
    assert ["second"] == [one["name"] for one in references]


def test_a_kind_that_nobody_serves_owns_on(world: World) -> None:
    owner = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t", "uid": "u"}}
    world.create(_config("child", owner))
    assert ["child"] == _names(world)


def test_orphans_stay_without_their_owner(world: World) -> None:
    owner = world.create(_config("owner"))
    world.create(_config("child", owner))
    world.delete("ConfigMap", "owner", propagationPolicy="Orphan")
    assert ["child"] == _names(world)
    assert "ownerReferences" not in world.fetch("ConfigMap", "child")["metadata"]


def test_in_the_foreground_the_owner_waits_for_those_that_block_it(world: World) -> None:
    owner = world.create(_config("owner"))
    child = _config("child", owner, blockOwnerDeletion=True)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    world.create(child)
    world.delete("ConfigMap", "owner", propagationPolicy="Foreground")
    assert ["child", "owner"] == _names(world)
    assert ["foregroundDeletion"] == world.fetch("ConfigMap", "owner")["metadata"]["finalizers"]
    assert world.fetch("ConfigMap", "child")["metadata"]["deletionTimestamp"]
    world.change("ConfigMap", "child", lambda obj: obj["metadata"].pop("finalizers"))
    assert [] == _names(world)


def test_in_the_foreground_the_owner_does_not_wait_for_others(world: World) -> None:
    owner = world.create(_config("owner"))
    child = _config("child", owner)
    child["metadata"]["finalizers"] = ["example.com/hold"]
    world.create(child)
    world.delete("ConfigMap", "owner", propagationPolicy="Foreground")
    assert ["child"] == _names(world)


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_a_deployment_goes_with_its_replica_sets_and_pods(world: World, policy: str) -> None:
    world.create(workload("Deployment"))
    world.delete("apps/v1/Deployment", "d", propagationPolicy=policy)
    assert [[], [], []] == [world.all(kind) for kind in ("apps/v1/Deployment", "apps/v1/ReplicaSet", "Pod")]


def test_a_deployment_can_leave_its_replica_set_behind(world: World) -> None:
    world.create(workload("Deployment", replicas=0))
    world.delete("apps/v1/Deployment", "d", propagationPolicy="Orphan")
    (left,) = world.all("apps/v1/ReplicaSet")
    assert "ownerReferences" not in left["metadata"]
    assert world.get("apps/v1/Deployment", "d") is None


def test_a_cluster_wide_object_can_own_one_in_a_namespace(world: World) -> None:
    role = world.user.create(
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    )
    world.create(_config("child", role))
    assert ["child"] == _names(world)
    world.delete("rbac.authorization.k8s.io/v1/ClusterRole", "r", "")
    assert [] == _names(world)


def test_a_custom_resource_owns_as_any_other_does(world: World) -> None:
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    world.user.create(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": names,
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
                ],
            },
        }
    )
    world.settle()
    owner = world.create({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "t"}})
    world.create(_config("child", owner))
    assert ["child"] == _names(world)
    world.delete("example.com/v1/Thing", "t")
    world.wait(1)
    assert [] == _names(world)
