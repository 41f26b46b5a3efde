"""Quotas: what is counted, what is refused, what their status says."""

from collections.abc import Callable
from typing import Any

import pytest

from stoker.lab.admission import recalculate, refresh
from stoker.lab.status import ApiError

Object = dict[str, Any]
Pod = Callable[..., Object]


def quota(hard: Object, name: str = "q", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"hard": hard, **spec},
        "status": {},
    }


def gpu(count: int, **more: Any) -> Object:
    amounts = {"nvidia.com/gpu": str(count), **more}
    return {"limits": amounts, "requests": amounts}


def config_map(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n"}}


def service(name: str = "s", kind: str = "ClusterIP", ports: int = 1, **spec: Any) -> Object:
    listed = [{"port": 80 + index, "protocol": "TCP"} for index in range(ports)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "n"},
        "spec": {"type": kind, "ports": listed, **spec},
    }


def claim(name: str, size: str, storage_class: str | None = None) -> Object:
    spec: Object = {"resources": {"requests": {"storage": size}}}
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "n"},
        "spec": spec,
    }


def message(world: Any, obj: Object, operation: str = "CREATE", **more: Any) -> str:
    with pytest.raises(ApiError) as error:
        world.validate("ResourceQuota", obj, operation, **more)
    assert 403 == error.value.code
    text: str = error.value.message
    return text


def test_a_new_quota_counts_at_once_what_is_there(world: Any, pod: Pod) -> None:
    world.put(pod("a", resources=gpu(1)))
    world.put(pod("b", resources=gpu(2)) | {"status": {"phase": "Succeeded"}})
    world.admit(
        quota({"requests.nvidia.com/gpu": "4", "pods": "5", "count/pods": "9", "limits.nvidia.com/gpu": "1"})
    )
    status = world.quota_status()
    assert {"count/pods": "2", "pods": "1", "requests.nvidia.com/gpu": "1"} == status["used"]
    assert "1" == status["hard"]["limits.nvidia.com/gpu"]


def test_a_stored_write_raises_the_status_and_a_dry_run_does_not(world: Any, pod: Pod) -> None:
    world.admit(quota({"requests.nvidia.com/gpu": "2", "requests.memory": "8Gi"}))
    world.admit(pod("a", resources=gpu(1, memory="1Gi")), is_dry_run=True)
    assert {"requests.memory": "0", "requests.nvidia.com/gpu": "0"} == world.quota_status()["used"]
    world.admit(pod("a", resources=gpu(1, memory="1536Mi")))
    assert {"requests.memory": "1536Mi", "requests.nvidia.com/gpu": "1"} == world.quota_status()["used"]
    text = message(world, pod("b", resources=gpu(2, memory="1Gi")))
    assert text == (
        'pods "b" is forbidden: exceeded quota: q, requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=1, '
        "limited: requests.nvidia.com/gpu=2"
    )


def test_the_status_belongs_to_who_wrote_it(world: Any, pod: Pod) -> None:
    one = quota({"requests.nvidia.com/gpu": "2"})
    # Ownership is tracked of objects that were made by somebody.
    maker = {"manager": "oracle", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    fields: Object = {"f:spec": {"f:hard": {".": {}, "f:requests.nvidia.com/gpu": {}}}}
    one["metadata"]["managedFields"] = [{**maker, "time": "2026-11-24T11:00:00Z", "fieldsV1": fields}]
    world.admit(one)
    world.admit(pod("a", resources=gpu(1)))
    managed = world.cluster.get("resourcequotas", "n", "q")["metadata"]["managedFields"]
    found = {one["manager"]: one["fieldsV1"] for one in managed}
    assert {"f:status": {"f:used": {"f:requests.nvidia.com/gpu": {}}}} == found["kube-apiserver"]
    assert {"f:status": {"f:hard": {".": {}, "f:requests.nvidia.com/gpu": {}}, "f:used": {}}} == found[
        "kube-controller-manager"
    ]


def test_limits_on_compute_make_containers_state_theirs(world: Any, pod: Pod) -> None:
    world.admit(quota({"requests.memory": "64Gi", "limits.memory": "128Gi", "requests.cpu": "8"}))
    text = message(world, pod(resources=gpu(1)))
    assert text == (
        'pods "p" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c; requests.memory for: c'
    )


def test_nobody_writes_past_a_quota_that_is_not_counted_yet(world: Any, pod: Pod) -> None:
    one = quota({"pods": "3", "cpu": "1"})
    world.put(
        one | {"status": {"hard": {"pods": "3", "requests.nvidia.com/gpu": "1"}, "used": {"pods": "0"}}}
    )
    text = message(world, pod())
    assert (
        'pods "p" is forbidden: status unknown for quota: q, resources: pods,requests.nvidia.com/gpu' == text
    )


def test_a_quota_of_scopes_counts_what_is_in_them(world: Any, pod: Pod) -> None:
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["exp"]}]}
    world.admit(quota({"pods": "1"}, scopeSelector=selector))
    world.admit(quota({"pods": "0"}, "best", scopes=["BestEffort"]))
    busy = {"requests": {"cpu": "1"}}
    world.put(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "exp"},
            "value": 1,
            "preemptionPolicy": "PreemptLowerPriority",
        }
    )
    world.admit(pod("a", resources=busy))
    assert {"pods": "0"} == world.quota_status()["used"]
    world.admit(pod("b", resources=busy, priorityClassName="exp"))
    assert {"pods": "1"} == world.quota_status()["used"]
    assert "exceeded quota: q, requested: pods=1" in message(
        world, pod("c", resources=busy, priorityClassName="exp")
    )
    assert "exceeded quota: best, requested: pods=1" in message(world, pod("d"))


def test_a_pod_that_enters_a_scope_by_an_update_counts_whole(world: Any, pod: Pod) -> None:
    world.admit(quota({"pods": "1"}, scopes=["Terminating"]))
    old, new = pod("a"), pod("a", activeDeadlineSeconds=5)
    world.put(old)
    world.admit(new, "UPDATE", old=old)
    assert {"pods": "1"} == world.quota_status()["used"]
    world.validate("ResourceQuota", pod("b"), "UPDATE", old=pod("b"))
    assert "exceeded quota" in message(world, pod("b", activeDeadlineSeconds=5), "UPDATE", old=pod("b"))


def test_services_count_ports_and_balancers_and_what_an_update_adds(world: Any) -> None:
    world.admit(quota({"services": "5", "services.nodeports": "3", "services.loadbalancers": "1"}))
    plain = world.admit(service()).obj
    balanced = world.admit(service(kind="LoadBalancer", ports=2), "UPDATE", old=plain).obj
    assert {
        "services": "1",
        "services.loadbalancers": "1",
        "services.nodeports": "2",
    } == world.quota_status()["used"]
    wider = service(kind="LoadBalancer", ports=4)
    text = message(world, wider, "UPDATE", old=balanced)
    assert text.endswith(
        "exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=2, limited: services.nodeports=3"
    )
    world.validate(
        "ResourceQuota",
        service(kind="LoadBalancer", ports=9, allocateLoadBalancerNodePorts=False),
        "UPDATE",
        old=balanced,
    )


def test_claims_count_by_storage_class_too(world: Any) -> None:
    by_class = "fast.storageclass.storage.k8s.io"
    world.admit(
        quota(
            {
                "requests.storage": "10Gi",
                f"{by_class}/requests.storage": "2Gi",
                f"{by_class}/persistentvolumeclaims": "5",
            }
        )
    )
    world.admit(claim("a", "4Gi", "slow"))
    world.admit(claim("b", "1Gi", "fast"))
    assert {
        f"{by_class}/persistentvolumeclaims": "1", f"{by_class}/requests.storage": "1Gi", "requests.storage": "5Gi"
    } == world.quota_status()["used"]  # fmt: skip
    assert f"requested: {by_class}/requests.storage=2Gi" in message(world, claim("c", "2Gi", "fast"))
    grown = message(world, claim("b", "3Gi", "fast"), "UPDATE", old=claim("b", "1Gi", "fast"))
    assert f"requested: {by_class}/requests.storage=2Gi, used: {by_class}/requests.storage=1Gi" in grown


def test_objects_of_any_kind_are_counted_by_name(world: Any) -> None:
    world.admit(quota({"count/leases.coordination.k8s.io": "1", "configmaps": "1", "count/configmaps": "1"}))
    world.admit(config_map("a"))
    assert {
        "configmaps": "1",
        "count/configmaps": "1",
        "count/leases.coordination.k8s.io": "0",
    } == world.quota_status()["used"]
    assert message(world, config_map("b")) == (
        'configmaps "b" is forbidden: exceeded quota: q, requested: configmaps=1,count/configmaps=1, used: '
        "configmaps=1,count/configmaps=1, limited: configmaps=1,count/configmaps=1"
    )
    world.validate("ResourceQuota", config_map("a"), "UPDATE", old=config_map("a"))


def test_custom_resources_are_counted_by_plural_and_group(world: Any) -> None:
    world.cluster.served.define(
        {
            "metadata": {"name": "mice.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"kind": "Mouse", "plural": "mice"},
                "versions": [{"name": "v1", "served": True, "storage": True}],
            },
        }
    )
    world.admit(quota({"count/mice.example.com": "1"}))

    def mouse(name: str) -> Object:
        return {"apiVersion": "example.com/v1", "kind": "Mouse", "metadata": {"name": name, "namespace": "n"}}

    world.admit(mouse("a"))
    assert message(world, mouse("b")) == (
        'mice.example.com "b" is forbidden: exceeded quota: q, requested: count/mice.example.com=1, used: '
        "count/mice.example.com=1, limited: count/mice.example.com=1"
    )


def test_devices_are_counted_by_class_and_by_the_extended_resource(world: Any) -> None:
    world.put(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "DeviceClass",
            "metadata": {"name": "gpu"},
            "spec": {"extendedResourceName": "nvidia.com/gpu"},
        }
    )
    world.admit(quota({"gpu.deviceclass.resource.k8s.io/devices": "3", "requests.nvidia.com/gpu": "9"}))
    request = {"name": "r", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 2}}
    world.admit(
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceClaim",
            "metadata": {"name": "c", "namespace": "n"},
            "spec": {"devices": {"requests": [request]}},
        }
    )
    assert {
        "gpu.deviceclass.resource.k8s.io/devices": "2", "requests.nvidia.com/gpu": "2"
    } == world.quota_status()["used"]  # fmt: skip


def test_other_limits_are_counted_anew_and_the_same_ones_are_not(world: Any, pod: Pod) -> None:
    before = world.admit(quota({"pods": "1"})).obj
    world.put(pod("a"))
    review = world.review(before, "UPDATE", old=before)
    world.plugins["ResourceQuota"].validate(review)
    assert [] == review.on_success
    stored = world.cluster.get("resourcequotas", "n", "q")
    stored["spec"]["hard"] = {"pods": "2", "secrets": "1"}
    world.admit(stored, "UPDATE", old=before)
    assert {
        "hard": {"pods": "2", "secrets": "1"},
        "used": {"pods": "1", "secrets": "0"},
    } == world.quota_status()


def test_what_is_gone_is_given_back_by_the_controller(world: Any, pod: Pod) -> None:
    world.admit(quota({"pods": "3"}))
    world.admit(pod("a"))
    world.admit(pod("b"))
    assert not refresh(world.cluster, "n", "q")
    deleted = pod("a")
    deleted["metadata"] |= {"deletionTimestamp": "2026-11-24T11:00:00Z", "deletionGracePeriodSeconds": 30}
    world.put(deleted)
    assert refresh(world.cluster, "n", "q")
    assert {"pods": "1"} == world.quota_status()["used"]
    assert not refresh(world.cluster, "n", "ghost")


def test_a_count_that_nobody_can_make_keeps_its_value(world: Any) -> None:
    one = quota({"count/ghosts.example.com": "3"}) | {"status": {"used": {"count/ghosts.example.com": "2"}}}
    assert {
        "hard": {"count/ghosts.example.com": "3"},
        "used": {"count/ghosts.example.com": "2"},
    } == recalculate(world.cluster, one)
