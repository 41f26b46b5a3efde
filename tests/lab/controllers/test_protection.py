"""Claims and volumes that are deleted while somebody uses them, and when nobody does any more."""

from tests.lab.controllers.world import Object, World

_SPEC = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def _claim() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "c"},
        "spec": dict(_SPEC),
    }


def _pod() -> Object:
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
    spec = {"containers": [{"name": "c", "image": "x"}], "volumes": [volume]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


def test_a_claim_that_no_pod_uses_goes_when_it_is_deleted(world: World) -> None:
    world.create(_claim())
    world.delete("PersistentVolumeClaim", "c")

    assert world.get("PersistentVolumeClaim", "c") is None


def test_a_claim_in_use_goes_with_its_last_pod(world: World) -> None:
    world.create(_claim())
    world.create(_pod())
    world.run_pod(world.fetch("Pod", "p"), node="n")
    world.settle()
    world.delete("PersistentVolumeClaim", "c")
    assert world.fetch("PersistentVolumeClaim", "c")["metadata"]["deletionTimestamp"]

    world.delete("Pod", "p", gracePeriodSeconds=0)

    assert world.get("PersistentVolumeClaim", "c") is None


def test_a_pod_without_a_node_holds_no_claim(world: World) -> None:
    world.create(_claim())
    world.create(_pod())
    world.delete("PersistentVolumeClaim", "c")

    assert world.get("PersistentVolumeClaim", "c") is None


def test_a_volume_stays_while_it_is_bound(world: World) -> None:
    world.user.create(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "v"},
         "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}}
    )  # fmt: skip
    world.change(
        "PersistentVolume",
        "v",
        lambda obj: obj.update(status={"phase": "Bound"}),
        namespace="",
        part="status",
    )
    world.delete("PersistentVolume", "v", namespace="")
    assert world.fetch("PersistentVolume", "v", "")["metadata"]["deletionTimestamp"]

    world.change(
        "PersistentVolume",
        "v",
        lambda obj: obj.update(status={"phase": "Released"}),
        namespace="",
        part="status",
    )

    assert world.get("PersistentVolume", "v", "") is None
