"""ReplicaSets: as many pods as asked for, and which go first."""

from datetime import UTC, datetime
from typing import Any

from tests.lab.controllers.world import World, workload

from stoker.lab.controllers.replicasets import pods_to_delete

Object = dict[str, Any]
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def _pod(name: str, **more: Any) -> Object:
    ready = more.pop("ready", True)
    conditions = [
        {
            "type": "Ready",
            "status": "True" if ready else "False",
            "lastTransitionTime": more.pop("since", "2026-01-05T11:00:00Z"),
        }
    ]
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": "2026-01-05T11:00:00Z", "annotations": more.pop("annotations", {})},
        "spec": {"nodeName": more.pop("node", "n1"), "containers": []},
        "status": {"phase": more.pop("phase", "Running"), "conditions": conditions, **more},
    }  # fmt: skip


def _first(*pods: Object, related: tuple[Object, ...] = ()) -> str:
    return str(pods_to_delete(pods, related or pods, 1, NOW)[0]["metadata"]["name"])


def test_pods_are_created_with_names_owner_and_labels(world: World) -> None:
    world.create(workload("ReplicaSet", "r", 3))
    pods = world.all("Pod")
    assert 3 == len(pods)
    pod = pods[0]
    assert "r-" == pod["metadata"]["generateName"]
    assert {"app": "r"} == pod["metadata"]["labels"]
    owner = pod["metadata"]["ownerReferences"][0]
    assert ("ReplicaSet", "r", True, True) == (
        owner["kind"],
        owner["name"],
        owner["controller"],
        owner["blockOwnerDeletion"],
    )
    assert 3 == len(world.events("SuccessfulCreate"))


def test_status_counts_pods_as_they_become_ready(world: World) -> None:
    world.create(workload("ReplicaSet", "r", 2))
    world.run_pod(world.all("Pod")[0])
    world.settle()
    status = world.fetch("apps/v1/ReplicaSet", "r")["status"]
    assert {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "terminatingReplicas": 0,
        "observedGeneration": 1,
    } == status


def test_a_pod_is_available_when_it_was_ready_for_long_enough(world: World) -> None:
    world.create(workload("ReplicaSet", "r", 1, minReadySeconds=30))
    world.run_pods()
    assert 0 == world.fetch("apps/v1/ReplicaSet", "r")["status"].get("availableReplicas", 0)
    world.wait(31)
    assert 1 == world.fetch("apps/v1/ReplicaSet", "r")["status"]["availableReplicas"]


def test_a_deleted_pod_is_replaced(world: World) -> None:
    world.create(workload("ReplicaSet", "r", 2))
    gone = world.all("Pod")[0]["metadata"]["name"]
    world.delete("Pod", gone)
    assert 2 == len(world.all("Pod"))
    assert gone not in world.names("Pod")


def test_an_orphan_that_matches_is_adopted_and_counts(world: World) -> None:
    orphan = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "orphan", "labels": {"app": "r"}},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }  # fmt: skip
    world.create(orphan)
    world.create(workload("ReplicaSet", "r", 2))
    assert 2 == len(world.all("Pod"))
    assert "r" == world.fetch("Pod", "orphan")["metadata"]["ownerReferences"][0]["name"]


def test_a_pod_that_loses_its_label_is_released_and_replaced(world: World) -> None:
    world.create(workload("ReplicaSet", "r", 1))
    name = world.names("Pod")[0]
    world.change("Pod", name, lambda pod: pod["metadata"].update(labels={"app": "other"}))
    assert 2 == len(world.all("Pod"))
    assert "ownerReferences" not in world.fetch("Pod", name)["metadata"]


def test_what_the_api_refuses_becomes_a_condition_in_its_words(world: World) -> None:
    world.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q"},
            "spec": {"hard": {"pods": "1"}},
        }
    )
    world.create(workload("ReplicaSet", "r", 2))
    (condition,) = world.fetch("apps/v1/ReplicaSet", "r")["status"]["conditions"]
    assert ("ReplicaFailure", "True", "FailedCreate") == (
        condition["type"],
        condition["status"],
        condition["reason"],
    )
    assert (
        "is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
        in condition["message"]
    )
    assert any(text.startswith("Error creating: pods ") for text in world.events("FailedCreate"))


def test_an_unassigned_pod_goes_before_an_assigned_one() -> None:
    assert "b" == _first(_pod("a"), _pod("b", node=""))


def test_a_pending_pod_goes_before_a_running_one() -> None:
    assert "b" == _first(_pod("a"), _pod("b", phase="Pending"))


def test_a_pod_that_is_not_ready_goes_first() -> None:
    assert "b" == _first(_pod("a"), _pod("b", ready=False))


def test_the_cheaper_pod_goes_first() -> None:
    cost = {"controller.kubernetes.io/pod-deletion-cost": "-5"}
    assert "b" == _first(_pod("a"), _pod("b", annotations=cost))


def test_the_more_crowded_node_loses_a_pod_first() -> None:
    pods = _pod("a", node="n1"), _pod("b", node="n2")
    assert "b" == _first(*pods, related=(*pods, _pod("c", node="n2")))


def test_the_pod_that_is_ready_for_a_shorter_time_goes_first() -> None:
    assert "b" == _first(_pod("a"), _pod("b", since="2026-01-05T11:59:00Z"))


def test_the_pod_that_restarted_more_often_goes_first() -> None:
    restarted = [{"name": "c", "restartCount": 3}]
    assert "b" == _first(_pod("a"), _pod("b", containerStatuses=restarted))
