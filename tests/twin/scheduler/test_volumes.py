"""Volumes (plugins/{volumerestrictions,nodevolumelimits,volumebinding,volumezone}): words and decisions."""

from typing import Any

import pytest
from tests.twin.scheduler.cluster import Cluster, no_help, no_victims, node, pod

ZONE = "topology.kubernetes.io/zone"
Object = dict[str, Any]


def claim(name: str, **spec: Any) -> Object:
    found = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}, **spec}
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": found}


def volume(
    name: str, where: str | None = None, *, labels: dict[str, str] | None = None, **spec: Any
) -> Object:
    found = {"capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], **spec}
    if where:
        terms = [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [where]}]}
        ]
        found["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": found}


def storage_class(
    name: str, *, waits: bool = True, provisioner: str = "kubernetes.io/no-provisioner", **more: Any
) -> Object:
    mode = "WaitForFirstConsumer" if waits else "Immediate"
    return {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode, **more}


def using(name: str, *claims: str) -> Object:
    return pod(
        name, {"volumes": [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims]}
    )


def cluster(claims: list[Object], volumes: list[Object], classes: list[Object], *nodes: Object) -> Cluster:
    found = Cluster(*(nodes or (node("n1"), node("n2"))))
    found.state.set_volumes(claims, volumes, classes)
    return found


def test_a_claim_that_waited_stays_with_the_volume_that_its_first_pod_got() -> None:
    # binder.go AssumePodVolumes, then checkBoundClaims: ErrReasonNodeConflict.
    there = cluster(
        [claim("c", storageClassName="local")],
        [volume("v", "n2", storageClassName="local")],
        [storage_class("local")],
    )
    assert there.run(using("a", "c")) == "n2"
    there.state.nodes["n2"].unschedulable = True
    assert there.decide(using("b", "c")).message == (
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) were "
        f"unschedulable. {no_help(2)}"
    )


def test_two_claims_do_not_get_the_same_volume() -> None:
    claims = [claim(name, storageClassName="local") for name in ("c", "d")]
    there = cluster(claims, [volume("v", "n2", storageClassName="local")], [storage_class("local")])
    there.run(using("a", "c"))
    assert there.decide(using("b", "d")).message == (
        f"0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind. {no_help(2)}"
    )


def test_a_claim_that_waits_for_nobody_is_bound_by_the_controller() -> None:
    there = cluster(
        [claim("c", storageClassName="")],
        [volume("big", "n1", capacity={"storage": "90Gi"}), volume("small", "n2")],
        [],
    )
    assert there.state.bindings == {("ns", "c"): "small"}
    assert there.decide(using("a", "c")).node == "n2"


@pytest.mark.parametrize(
    ("spec", "other"),
    [
        ({"volumeMode": "Block"}, {}),
        ({"selector": {"matchLabels": {"tier": "fast"}}}, {}),
        ({"accessModes": ["ReadWriteMany"]}, {}),
        ({}, {"claimRef": {"name": "other", "namespace": "ns"}}),
        ({"volumeName": "gone"}, {}),
    ],
)
def test_a_claim_without_a_volume_keeps_its_pod_waiting(spec: Object, other: Object) -> None:
    there = cluster([claim("c", storageClassName="", **spec)], [volume("v", **other)], [])
    message = there.decide(using("a", "c")).message
    assert message == "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"


def test_a_lost_claim_and_a_deleted_one_are_named() -> None:
    # volume_binding.go podHasPVCs.
    lost = {**claim("lost", volumeName="v"), "status": {"phase": "Lost"}}
    going = claim("going", storageClassName="local")
    going["metadata"]["deletionTimestamp"] = "2026-11-27T00:00:00Z"
    there = cluster([lost, going], [], [storage_class("local")])
    assert there.decide(using("a", "lost")).message == (
        '0/2 nodes are available: persistentvolumeclaim "lost" bound to non-existent persistentvolume "v". not found'
    )
    assert there.decide(using("a", "going")).message == (
        '0/2 nodes are available: persistentvolumeclaim "going" is being deleted. not found'
    )


def test_a_pods_own_volume_waits_for_its_claim() -> None:
    own = {"volumes": [{"name": "cache", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]}
    assert Cluster(node("n1")).decide(pod("a", own)).message == (
        "0/1 nodes are available: waiting for ephemeral volume controller to create the persistentvolumeclaim "
        '"a-cache". not found'
    )


def test_a_claim_for_one_pod_is_in_use_until_that_pod_goes() -> None:
    # volume_restrictions.go ErrReasonReadWriteOncePodConflict; preemption can end it.
    words = (
        "0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode "
        "already in-use by another pod."
    )
    modes = ["ReadWriteOncePod"]
    there = cluster(
        [claim("c", storageClassName="", accessModes=modes)], [volume("v", accessModes=modes)], []
    )
    where = there.run(using("a", "c"))
    assert there.decide(using("b", "c")).message == f"{words} {no_victims(2)}"
    important = using("b", "c")
    important["spec"]["priority"] = 10
    found = there.decide(important)
    assert (found.message, found.nominated, found.victims) == (words, where, (("ns", "a"),))


def test_a_volume_labelled_with_a_zone_stays_in_it() -> None:
    # volume_zone.go ErrReasonConflict; nodes without any zone label are let through.
    there = cluster(
        [claim("c", storageClassName="")],
        [volume("v", labels={ZONE: "b__c"})],
        [],
        node("n1", labels={ZONE: "a"}),
        node("n2", labels={ZONE: "b"}),
        node("n3"),
    )
    assert set(there.decide(using("p", "c")).feasible) == {"n2", "n3"}
    for name in ("n2", "n3"):
        there.state.remove_node(name)
    assert there.decide(using("p", "c")).message == (
        f"0/1 nodes are available: 1 node(s) had no available volume zone. {no_help(1)}"
    )


def test_a_node_attaches_only_as_many_volumes_as_its_driver_can() -> None:
    # nodevolumelimits ErrReasonMaxVolumeCountExceeded; one volume counts once, however many pods use it.
    volumes = [
        volume(name, csi={"driver": "d", "volumeHandle": name}, claimRef={"name": name, "namespace": "ns"})
        for name in "abc"
    ]
    there = cluster([claim(name, storageClassName="") for name in "abc"], volumes, [], node("n1"))
    drivers = [{"name": "d", "nodeID": "n1", "allocatable": {"count": 2}}]
    there.state.set_storage([{"metadata": {"name": "n1"}, "spec": {"drivers": drivers}}])
    there.run(using("p", "a"))
    there.run(using("q", "a", "b"))
    assert there.decide(using("r", "b")).node == "n1"
    assert there.decide(using("r", "c")).message == (
        f"0/1 nodes are available: 1 node(s) exceed max volume count. {no_victims(1)}"
    )


def test_volumes_are_made_only_where_the_class_allows_and_the_driver_has_room() -> None:
    topologies = [{"matchLabelExpressions": [{"key": ZONE, "values": ["a", "b"]}]}]
    classes = [storage_class("csi", provisioner="d", allowedTopologies=topologies)]
    there = cluster(
        [claim("c", storageClassName="csi")], [], classes, *(node(f"n-{z}", labels={ZONE: z}) for z in "abc")
    )
    assert set(there.decide(using("p", "c")).feasible) == {"n-a", "n-b"}
    capacity = {"storageClassName": "csi", "capacity": "50Gi", "nodeTopology": {"matchLabels": {ZONE: "b"}}}
    there.state.set_storage([], [{"metadata": {"name": "d"}, "spec": {"storageCapacity": True}}], [capacity])
    found = there.decide(using("p", "c"))
    assert found.feasible == ("n-b",)
    assert found.reasons["n-a"] == ("node(s) did not have enough free storage",)
    assert found.reasons["n-c"] == ("node(s) didn't find available persistent volumes to bind",)
    assert there.run(using("p", "c")) == "n-b"
    assert there.decide(using("q", "c")).feasible == ("n-b",)
