"""Namespaces: what they begin with and how they end."""

import pytest
from tests.lab.controllers.world import World


def test_a_new_namespace_has_a_service_account_and_the_certificate(world: World) -> None:
    world.user.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})
    world.settle()
    assert ["default"] == world.names("ServiceAccount", "a")
    config = world.fetch("ConfigMap", "kube-root-ca.crt", "a")
    assert ["ca.crt"] == list(config["data"])
    assert ["kubernetes.io/description"] == list(config["metadata"]["annotations"])
    assert ["kube-controller-manager"] == [one["manager"] for one in config["metadata"]["managedFields"]]


def test_a_deleted_namespace_takes_its_content_with_it_after_five_seconds(world: World) -> None:
    world.user.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})
    world.user.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "a"}})
    world.settle()
    world.delete("Namespace", "a", "")
    assert "c" in world.names("ConfigMap", "a")
    world.wait(5)
    assert [] == world.all("ConfigMap", "a")
    assert world.get("Namespace", "a", "") is None


def test_a_finalizer_holds_a_namespace_and_its_conditions_say_so(world: World) -> None:
    world.user.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}})
    held = {"name": "c", "namespace": "a", "finalizers": ["example.com/hold"]}
    world.user.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
    world.settle()
    world.delete("Namespace", "a", "")
    world.wait(5)
    conditions = {one["type"]: one for one in world.fetch("Namespace", "a", "")["status"]["conditions"]}
    assert {
        "NamespaceDeletionDiscoveryFailure": "False",
        "NamespaceDeletionGroupVersionParsingFailure": "False",
        "NamespaceDeletionContentFailure": "False",
        "NamespaceContentRemaining": "True",
        "NamespaceFinalizersRemaining": "True",
    } == {kind: one["status"] for kind, one in conditions.items()}
    assert (
        "Some resources are remaining: configmaps. has 1 resource instances"
        == conditions["NamespaceContentRemaining"]["message"]
    )
    assert (
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        == conditions["NamespaceFinalizersRemaining"]["message"]
    )
    world.change("ConfigMap", "c", lambda obj: obj["metadata"].pop("finalizers"), "a")
    assert world.get("Namespace", "a", "") is None


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public", "kube-node-lease"])
def test_the_first_namespaces_are_prepared_too(world: World, name: str) -> None:
    assert ["default"] == world.names("ServiceAccount", name)


@pytest.mark.parametrize(("kind", "name"), [("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")])
def test_what_every_namespace_has_comes_back_when_it_is_deleted(world: World, kind: str, name: str) -> None:
    before = world.fetch(kind, name)["metadata"]["uid"]
    world.delete(kind, name)
    assert before != world.fetch(kind, name)["metadata"]["uid"]
