"""Deployments: rollouts, scaling, history, what they say."""

import pytest
from tests.lab.controllers.world import Object, World, image, workload

from stoker.lab.controllers.deployment_rules import proportions

KIND = "apps/v1/Deployment"


def _sets(world: World) -> list[Object]:
    found = world.all("apps/v1/ReplicaSet")
    return sorted(
        found, key=lambda one: int(one["metadata"]["annotations"]["deployment.kubernetes.io/revision"])
    )


def _sizes(world: World) -> list[int]:
    return [one["spec"]["replicas"] for one in _sets(world)]


def _conditions(world: World) -> dict[str, tuple[str, str]]:
    conditions = world.fetch(KIND, "d")["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"]) for one in conditions}


def test_a_new_deployment_has_one_replica_set_with_hash_and_annotations(world: World) -> None:
    world.create(workload("Deployment", replicas=4))
    (one,) = _sets(world)
    digest = one["metadata"]["labels"]["pod-template-hash"]
    assert f"d-{digest}" == one["metadata"]["name"]
    assert {
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "4",
        "deployment.kubernetes.io/max-replicas": "5",
    } == one["metadata"]["annotations"]
    assert digest == one["spec"]["selector"]["matchLabels"]["pod-template-hash"]
    assert digest == one["spec"]["template"]["metadata"]["labels"]["pod-template-hash"]
    assert "1" == world.fetch(KIND, "d")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    assert [f"Scaled up replica set d-{digest} from 0 to 4"] == world.events("ScalingReplicaSet")


def test_conditions_follow_the_rollout(world: World) -> None:
    world.create(workload("Deployment"))
    assert {
        "Available": ("False", "MinimumReplicasUnavailable"),
        "Progressing": ("True", "ReplicaSetUpdated"),
    } == _conditions(world)
    world.run_pods()
    assert {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    } == _conditions(world)
    status = world.fetch(KIND, "d")["status"]
    assert (2, 2, 2, 2, 0) == tuple(
        status.get(name, 0)
        for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    )  # fmt: skip
    assert 0 == status["terminatingReplicas"]


def test_a_deployment_without_replicas_is_complete_at_once(world: World) -> None:
    world.create(workload("Deployment", replicas=0))
    status = world.fetch(KIND, "d")["status"]
    assert ["observedGeneration", "terminatingReplicas", "conditions"] == list(status)
    name = _sets(world)[0]["metadata"]["name"]
    assert f'ReplicaSet "{name}" has successfully progressed.' == status["conditions"][1]["message"]


def test_a_rolling_update_keeps_to_surge_and_unavailability(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
    world.create(workload("Deployment", replicas=4, strategy=rolling))
    world.run_pods()
    world.change(KIND, "d", image("registry/c:2"))
    assert [3, 2] == _sizes(world)
    seen = set()
    for _ in range(20):
        pending = [pod for pod in world.all("Pod") if pod["status"]["phase"] == "Pending"]
        if not pending:
            break
        world.run_pod(pending[0])
        world.settle()
        available = sum(one["status"].get("availableReplicas", 0) for one in _sets(world))
        seen.add((available >= 3, sum(_sizes(world)) <= 5))
    assert {(True, True)} == seen
    assert [0, 4] == _sizes(world)
    assert ("True", "NewReplicaSetAvailable") == _conditions(world)["Progressing"]


def test_recreate_waits_until_all_old_pods_are_gone(world: World) -> None:
    world.create(workload("Deployment", strategy={"type": "Recreate"}))
    world.run_pods(node="n1")
    world.change(KIND, "d", image("registry/c:2"))
    assert [0] == _sizes(world)
    for pod in world.all("Pod"):
        assert pod["metadata"]["deletionTimestamp"]
        world.user.delete(pod, gracePeriodSeconds=0)
    world.settle()
    assert [0, 2] == _sizes(world)


def test_going_back_takes_the_old_replica_set_under_a_new_revision(world: World) -> None:
    world.create(workload("Deployment"))
    world.run_pods()
    first = _sets(world)[0]["metadata"]["name"]
    world.change(KIND, "d", image("registry/c:2"))
    world.run_pods()
    world.change(KIND, "d", image("registry/c:1"))
    world.run_pods()
    newest = _sets(world)[-1]
    assert first == newest["metadata"]["name"]
    annotations = newest["metadata"]["annotations"]
    assert ("3", "1") == (
        annotations["deployment.kubernetes.io/revision"],
        annotations["deployment.kubernetes.io/revision-history"],
    )
    assert "3" == world.fetch(KIND, "d")["metadata"]["annotations"]["deployment.kubernetes.io/revision"]


def test_history_is_kept_up_to_its_limit(world: World) -> None:
    world.create(workload("Deployment", replicas=1, revisionHistoryLimit=1))
    world.run_pods()
    for version in (2, 3, 4):
        world.change(KIND, "d", image(f"registry/c:{version}"))
        world.run_pods()
    assert ["3", "4"] == [
        one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for one in _sets(world)
    ]


def test_a_paused_deployment_scales_but_does_not_roll(world: World) -> None:
    world.create(workload("Deployment"))
    world.run_pods()
    world.change(KIND, "d", lambda obj: obj["spec"].update(paused=True))
    assert ("Unknown", "DeploymentPaused") == _conditions(world)["Progressing"]

    def change(obj: Object) -> None:
        obj["spec"]["replicas"] = 3
        image("registry/c:2")(obj)

    world.change(KIND, "d", change)
    assert [3] == _sizes(world)
    world.change(KIND, "d", lambda obj: obj["spec"].pop("paused"))
    world.run_pods()
    assert [0, 3] == _sizes(world)


def test_a_rollout_that_makes_no_progress_times_out(world: World) -> None:
    world.create(workload("Deployment", progressDeadlineSeconds=60))
    world.wait(59)
    assert ("True", "ReplicaSetUpdated") == _conditions(world)["Progressing"]
    world.wait(3)
    assert ("False", "ProgressDeadlineExceeded") == _conditions(world)["Progressing"]
    name = _sets(world)[0]["metadata"]["name"]
    messages = [one["message"] for one in world.fetch(KIND, "d")["status"]["conditions"]]
    assert f'ReplicaSet "{name}" has timed out progressing.' in messages


def test_failures_of_pods_reach_the_deployment(world: World) -> None:
    world.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q"},
            "spec": {"hard": {"pods": "1"}},
        }
    )
    world.create(workload("Deployment"))
    assert ("True", "FailedCreate") == _conditions(world)["ReplicaFailure"]
    world.delete("ResourceQuota", "q")
    world.wait(60)
    assert "ReplicaFailure" not in _conditions(world)


def test_scaling_down_tells_who_was_scaled(world: World) -> None:
    world.create(workload("Deployment", replicas=3))
    world.run_pods()
    world.change(KIND, "d", lambda obj: obj["spec"].update(replicas=1))
    assert [1] == _sizes(world)
    assert 1 == len(world.all("Pod"))
    name = _sets(world)[0]["metadata"]["name"]
    assert f"Scaled down replica set {name} from 3 to 1" in world.events("ScalingReplicaSet")


def test_another_template_under_the_same_name_makes_a_collision(world: World) -> None:
    world.create(workload("Deployment"))
    name = _sets(world)[0]["metadata"]["name"]
    world.delete(KIND, "d")
    taken = workload("ReplicaSet", name, 0)
    world.create(taken)
    world.create(workload("Deployment"))
    world.wait(1)
    assert 1 == world.fetch(KIND, "d")["status"]["collisionCount"]
    assert 2 == len(world.all("apps/v1/ReplicaSet"))


@pytest.mark.parametrize(
    ("replicas", "sizes", "expected"),
    [
        # Upstream's TestScale: proportions, and the rest to the largest.
        (12, (5, 3, 2), {"a": 6, "b": 4, "c": 2}),
        (5, (5, 3, 2), {"a": 2, "b": 2, "c": 1}),
        (0, (5, 3, 2), {"a": 0, "b": 0, "c": 0}),
    ],
)
def test_a_rollout_is_scaled_in_proportion(
    replicas: int, sizes: tuple[int, ...], expected: dict[str, int]
) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    deployment = {"spec": {"replicas": replicas, "strategy": rolling}, "status": {"replicas": 10}}
    sets = [
        {
            "metadata": {
                "name": name,
                "creationTimestamp": f"2026-01-0{9 - day}T00:00:00Z",
                "annotations": {"deployment.kubernetes.io/max-replicas": "10"},
            },
            "spec": {"replicas": size},
        }
        for day, (name, size) in enumerate(zip("abc", sizes, strict=True))
    ]
    assert expected == {one["metadata"]["name"]: size for one, size in proportions(deployment, sets)}
