"""Quotas that are counted again, and pods that nobody will finish."""

from typing import Any

from tests.lab.controllers.world import Object, World, workload

from stoker.lab.controllers.podgc import surplus


def _quota(**hard: str) -> Object:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}}


def _used(world: World) -> Object:
    found: Object = world.fetch("ResourceQuota", "q")["status"]["used"]
    return found


def _pod(name: str, **more: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **more},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }


def test_what_is_deleted_is_free_again(world: World) -> None:
    world.create(_quota(pods="3"))
    world.create(workload("ReplicaSet", "r", 2))
    assert {"pods": "2"} == _used(world)
    world.change("apps/v1/ReplicaSet", "r", lambda obj: obj["spec"].update(replicas=0))
    assert {"pods": "0"} == _used(world)


def test_a_pod_that_is_over_takes_nothing(world: World) -> None:
    world.create(_quota(pods="3"))
    world.create(_pod("p"))
    world.run_pod(world.fetch("Pod", "p"), phase="Succeeded", ready=False)
    world.settle()
    assert {"pods": "0"} == _used(world)


def test_a_quota_counts_what_was_there_before_it(world: World) -> None:
    world.create(_pod("p"))
    world.create(_quota(pods="3"))
    status = world.fetch("ResourceQuota", "q")["status"]
    assert ({"pods": "3"}, {"pods": "1"}) == (status["hard"], status["used"])


def test_pods_of_a_node_that_is_gone_are_given_up_after_a_while(world: World) -> None:
    world.user.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    world.create(_pod("p", finalizers=["example.com/hold"]))
    world.run_pod(world.fetch("Pod", "p"), node="n1")
    world.delete("Node", "n1", "")
    assert "deletionTimestamp" not in world.fetch("Pod", "p")["metadata"]
    world.wait(41)
    pod = world.fetch("Pod", "p")
    assert pod["metadata"]["deletionTimestamp"]
    assert "Failed" == pod["status"]["phase"]
    condition = next(one for one in pod["status"]["conditions"] if one["type"] == "DisruptionTarget")
    assert ("DeletionByPodGC", "PodGC: node no longer exists") == (condition["reason"], condition["message"])


def test_the_oldest_finished_pods_go_when_there_are_too_many() -> None:
    def pod(name: str, at: str, **status: str) -> Object:
        return {"metadata": {"name": name, "creationTimestamp": at}, "spec": {}, "status": status}

    pods = [
        pod("new", "2026-01-03T00:00:00Z", phase="Succeeded"),
        pod("old", "2026-01-01T00:00:00Z", phase="Failed"),
        pod("evicted", "2026-01-02T00:00:00Z", phase="Failed", reason="Evicted"),
        pod("running", "2026-01-01T00:00:00Z", phase="Running"),
    ]
    assert ["evicted", "old"] == [one["metadata"]["name"] for one in surplus(pods, 1)]
