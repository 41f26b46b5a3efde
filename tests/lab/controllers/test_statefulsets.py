"""StatefulSets: order, numbers, claims, revisions."""

from typing import Any

from tests.lab.controllers.world import Object, World, image, workload

KIND = "apps/v1/StatefulSet"


def _set(replicas: int = 3, **spec: Any) -> Object:
    return workload("StatefulSet", "s", replicas, serviceName="s", **spec)


def _images(world: World) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in world.all("Pod")}


def test_pods_come_one_after_the_other(world: World) -> None:
    world.create(_set())
    assert ["s-0"] == world.names("Pod")
    world.run_pod(world.fetch("Pod", "s-0"))
    world.settle()
    assert ["s-0", "s-1"] == world.names("Pod")
    world.run_pods()
    assert ["s-0", "s-1", "s-2"] == world.names("Pod")


def test_pods_know_who_they_are(world: World) -> None:
    world.create(_set(1))
    pod = world.fetch("Pod", "s-0")
    revision = world.fetch(KIND, "s")["status"]["updateRevision"]
    assert {
        "app": "s",
        "apps.kubernetes.io/pod-index": "0",
        "controller-revision-hash": revision,
        "statefulset.kubernetes.io/pod-name": "s-0",
    } == pod["metadata"]["labels"]
    assert ("s-0", "s") == (pod["spec"]["hostname"], pod["spec"]["subdomain"])
    assert "generateName" not in pod["metadata"]


def test_a_parallel_set_creates_all_pods_at_once(world: World) -> None:
    world.create(_set(podManagementPolicy="Parallel"))
    assert ["s-0", "s-1", "s-2"] == world.names("Pod")


def test_every_pod_has_claims_that_outlive_it(world: World) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    world.create(_set(2, volumeClaimTemplates=[claim]))
    world.run_pods()
    assert ["data-s-0", "data-s-1"] == world.names("PersistentVolumeClaim")
    volumes = {one["name"]: one for one in world.fetch("Pod", "s-1")["spec"]["volumes"]}
    assert {"claimName": "data-s-1"} == volumes["data"]["persistentVolumeClaim"]
    world.change(KIND, "s", lambda obj: obj["spec"].update(replicas=0))
    assert [] == world.all("Pod")
    assert ["data-s-0", "data-s-1"] == world.names("PersistentVolumeClaim")


def test_claims_of_pods_that_are_scaled_away_go_where_the_policy_says_so(world: World) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    policy = {"whenScaled": "Delete", "whenDeleted": "Retain"}
    world.create(_set(2, volumeClaimTemplates=[claim], persistentVolumeClaimRetentionPolicy=policy))
    world.run_pods()
    world.change(KIND, "s", lambda obj: obj["spec"].update(replicas=1))
    assert ["s-0"] == world.names("Pod")
    left = [
        one["metadata"]["name"]
        for one in world.all("PersistentVolumeClaim")
        if not one["metadata"].get("deletionTimestamp")
    ]
    assert ["data-s-0"] == left


def test_scaling_down_takes_the_highest_number_first(world: World) -> None:
    world.create(_set())
    world.run_pods(node="n1")
    world.change(KIND, "s", lambda obj: obj["spec"].update(replicas=1))
    going = [pod["metadata"]["name"] for pod in world.all("Pod") if pod["metadata"].get("deletionTimestamp")]
    assert ["s-2"] == going
    world.user.delete(world.fetch("Pod", "s-2"), gracePeriodSeconds=0)
    world.settle()
    going = [pod["metadata"]["name"] for pod in world.all("Pod") if pod["metadata"].get("deletionTimestamp")]
    assert ["s-1"] == going


def test_a_rolling_update_goes_from_the_highest_number_down(world: World) -> None:
    world.create(_set())
    world.run_pods()
    world.change(KIND, "s", image("registry/c:2"))
    assert {"s-0": "registry/c:1", "s-1": "registry/c:1", "s-2": "registry/c:2"} == _images(world)
    world.run_pods()
    assert {"registry/c:2"} == set(_images(world).values())
    status = world.fetch(KIND, "s")["status"]
    assert status["currentRevision"] == status["updateRevision"]
    assert [1, 2] == sorted(one["revision"] for one in world.all("apps/v1/ControllerRevision"))


def test_a_partition_keeps_low_numbers_as_they_are(world: World) -> None:
    world.create(_set())
    world.run_pods()

    def change(obj: Object) -> None:
        obj["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
        image("registry/c:2")(obj)

    world.change(KIND, "s", change)
    world.run_pods()
    assert {"s-0": "registry/c:1", "s-1": "registry/c:1", "s-2": "registry/c:2"} == _images(world)
    status = world.fetch(KIND, "s")["status"]
    assert (2, 1) == (status["currentReplicas"], status["updatedReplicas"])


def test_a_pod_below_the_partition_comes_back_as_it_was(world: World) -> None:
    world.create(_set(2, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}))
    world.run_pods()
    world.change(KIND, "s", image("registry/c:2"))
    world.delete("Pod", "s-0")
    world.run_pods()
    assert {"s-0": "registry/c:1", "s-1": "registry/c:1"} == _images(world)


def test_numbers_can_start_elsewhere(world: World) -> None:
    world.create(_set(2, ordinals={"start": 5}))
    world.run_pods()
    assert ["s-5", "s-6"] == world.names("Pod")


def test_on_delete_waits_for_somebody_to_delete_pods(world: World) -> None:
    world.create(_set(1, updateStrategy={"type": "OnDelete"}))
    world.run_pods()
    world.change(KIND, "s", image("registry/c:2"))
    assert {"s-0": "registry/c:1"} == _images(world)
    world.delete("Pod", "s-0")
    assert {"s-0": "registry/c:2"} == _images(world)


def test_a_failed_pod_is_replaced(world: World) -> None:
    world.create(_set(1))
    before = world.fetch("Pod", "s-0")
    world.run_pod(before, phase="Failed", ready=False)
    world.settle()
    assert before["metadata"]["uid"] != world.fetch("Pod", "s-0")["metadata"]["uid"]


def test_events_say_what_was_done(world: World) -> None:
    world.create(_set(1))
    assert ["Create Pod s-0 in StatefulSet s successful"] == world.events("SuccessfulCreate")
