"""LeaderWorkerSets: groups of pods that live and die together."""

from typing import Any

import pytest
from tests.lab.platform.world import Platform, make_platform

Object = dict[str, Any]

LWS = "leaderworkerset.x-k8s.io/v1/LeaderWorkerSet"


@pytest.fixture
def platform() -> Platform:
    return make_platform("lws")


def group(replicas: int = 1, size: int = 2) -> Object:
    pod = {
        "metadata": {"labels": {"app": "llm"}},
        "spec": {"containers": [{"name": "main", "image": "r/a:1"}]},
    }
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": {"name": "llm"},
        "spec": {
            "replicas": replicas,
            "leaderWorkerTemplate": {"size": size, "leaderTemplate": pod, "workerTemplate": pod},
        },
    }


def test_each_replica_is_a_leader_and_its_workers(platform: Platform) -> None:
    platform.create(group(replicas=2, size=3))
    assert platform.names("v1/Pod") == ["llm-0", "llm-0-1", "llm-0-2", "llm-1", "llm-1-1", "llm-1-2"]
    platform.run_pods()
    status = platform.status(LWS, "llm")
    assert (status["replicas"], status["readyReplicas"]) == (2, 2)
    assert platform.conditions(LWS, "llm")["Available"] == ("True", "AllGroupsReady")


def test_a_pod_knows_its_leader_its_group_and_its_rank(platform: Platform) -> None:
    platform.create(group(size=2))
    worker = platform.fetch("v1/Pod", "llm-0-1")
    env = {one["name"]: one["value"] for one in worker["spec"]["containers"][0]["env"]}
    assert env == {
        "LWS_LEADER_ADDRESS": "llm-0.llm.default",
        "LWS_GROUP_SIZE": "2",
        "LWS_WORKER_INDEX": "1",
    }
    assert worker["metadata"]["labels"]["leaderworkerset.sigs.k8s.io/group-index"] == "0"


def test_a_restarted_container_takes_its_whole_group_down(platform: Platform) -> None:
    platform.create(group())
    platform.run_pods()
    leader = platform.fetch("v1/Pod", "llm-0")["metadata"]["uid"]
    worker = platform.fetch("v1/Pod", "llm-0-1")
    worker["status"]["containerStatuses"] = [
        {"name": "main", "restartCount": 1, "ready": True, "image": "r/a:1", "imageID": "x"}
    ]
    platform.user.update_status(worker)
    platform.settle()
    old = platform.get("v1/Pod", "llm-0")
    assert old is None or old["metadata"]["uid"] != leader or old["metadata"].get("deletionTimestamp")


def test_replicas_follow_the_scale(platform: Platform) -> None:
    platform.create(group())
    platform.change(LWS, "llm", lambda obj: obj["spec"].update(replicas=2))
    assert platform.names("v1/Pod") == ["llm-0", "llm-0-1", "llm-1", "llm-1-1"]
