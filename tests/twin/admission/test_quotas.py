"""Quotas: scopes, what counts, and the server's words (pkg/quota/v1/evaluator/core, admission/plugin/resourcequota)."""

import json
from pathlib import Path
from typing import Any

import pytest

from stoker.twin.admission import Tenancy

Object = dict[str, Any]


def quota(name: str = "q", hard: Object | None = None, **spec: Any) -> Object:
    metadata = {"name": name, "namespace": "ns"}
    return {"kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard or {"pods": "0"}, **spec}}


def pod(name: str = "p", spec: Object | None = None, **resources: Object) -> Object:
    containers = [{"name": "c", "resources": resources}]
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": {"containers": containers, **(spec or {})}}


def term(**more: Any) -> Object:
    terms = [{"topologyKey": "kubernetes.io/hostname", **more}]
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


GPU: Object = {"limits": {"nvidia.com/gpu": "1"}}


@pytest.mark.parametrize(
    ("scope", "item", "counted"),
    [
        # qos.go: GPUs alone leave a pod BestEffort, and so does a request of nothing.
        ("BestEffort", pod(**GPU), True),
        ("BestEffort", pod(requests={"cpu": "0"}), True),
        ("NotBestEffort", pod(requests={"memory": "1Gi"}), True),
        ("NotBestEffort", pod(spec={"resources": {"requests": {"cpu": "1"}}}), True),
        ("Terminating", pod(spec={"activeDeadlineSeconds": 0}), True),
        ("NotTerminating", pod(spec={"activeDeadlineSeconds": 60}), False),
        ("CrossNamespacePodAffinity", pod(spec=term(namespaceSelector={})), True),
        ("CrossNamespacePodAffinity", pod(spec=term(namespaces=["other"])), True),
        ("CrossNamespacePodAffinity", pod(spec=term()), False),
        ("PriorityClass", pod(spec={"priorityClassName": "system-node-critical"}), True),
        ("PriorityClass", pod(), False),
    ],
)
def test_a_quota_counts_the_pods_of_its_scope(scope: str, item: Object, *, counted: bool) -> None:
    refused = isinstance(Tenancy([quota(scopes=[scope])]).try_admit(item), str)
    assert refused is counted


@pytest.mark.parametrize(
    ("operator", "values", "name", "counted"),
    [
        ("In", ["high"], "high", True),
        ("In", ["high"], None, False),
        ("NotIn", ["high"], "low", True),
        ("NotIn", ["high"], None, True),
        ("Exists", None, "low", True),
        ("DoesNotExist", None, None, True),
    ],
)
def test_a_quota_chooses_priorities(
    operator: str, values: list[str] | None, name: str | None, *, counted: bool
) -> None:
    entry = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    classes = [{"kind": "PriorityClass", "metadata": {"name": each}, "value": 1} for each in ("high", "low")]
    tenancy = Tenancy([quota(scopeSelector={"matchExpressions": [entry]}), *classes])
    item = pod(spec={"priorityClassName": name} if name else {})
    assert isinstance(tenancy.try_admit(item), str) is counted


def test_amounts_are_written_as_they_were_given_and_added() -> None:
    tenancy = Tenancy([quota(hard={"requests.memory": "2G", "limits.memory": "100Gi"})])
    asked = {"requests": {"memory": "1000M"}, "limits": {"memory": "1.5Gi"}}
    for name in ("a", "b"):
        assert isinstance(tenancy.try_admit(pod(name, **asked)), dict)
    assert tenancy.try_admit(pod("c", **asked)) == (
        'pods "c" is forbidden: exceeded quota: q, requested: requests.memory=1G, used: requests.memory=2G, limited: '
        "requests.memory=2G"
    )
    assert str(tenancy.used["ns", "q"]["limits.memory"]) == "3Gi"


def test_a_pod_that_asks_as_a_whole_needs_not_say_it_by_container() -> None:
    # pods.go Constraints: skipped where pod-level resources are set.
    hard = {"requests.cpu": "4", "limits.cpu": "4"}
    assert Tenancy([quota(hard=hard)]).try_admit(pod()) == (
        'pods "p" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.cpu for: c'
    )
    whole = {"resources": {"requests": {"cpu": "3"}, "limits": {"cpu": "5"}}}
    assert Tenancy([quota(hard=hard)]).try_admit(pod(spec=whole)) == (
        'pods "p" is forbidden: exceeded quota: q, requested: limits.cpu=5, used: limits.cpu=0, limited: limits.cpu=4'
    )


def test_init_containers_sidecars_and_overhead_count() -> None:
    spec = {
        "initContainers": [
            {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
            {"name": "i", "resources": {"requests": {"cpu": "4"}}},
        ],
        "overhead": {"cpu": "500m"},
    }
    tenancy = Tenancy([quota(hard={"requests.cpu": "5"})])
    assert tenancy.try_admit(pod(spec=spec, requests={"cpu": "2"})) == (
        'pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=5500m, used: requests.cpu=0, limited: '
        "requests.cpu=5"
    )


def thing(kind: str, name: str = "x", *, version: str = "v1", **spec: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "ns"}, "spec": spec}


@pytest.mark.parametrize(
    ("item", "hard", "words"),
    [
        (
            thing(
                "PersistentVolumeClaim", storageClassName="fast", resources={"requests": {"storage": "10Gi"}}
            ),
            "fast.storageclass.storage.k8s.io/requests.storage",
            'persistentvolumeclaims "x" is forbidden: exceeded quota: q, requested: {0}=10Gi, used: {0}=0, limited: {0}=1',
        ),
        (
            thing("Service", type="LoadBalancer", ports=[{"port": 1}, {"port": 2}]),
            "services.nodeports",
            'services "x" is forbidden: exceeded quota: q, requested: {0}=2, used: {0}=0, limited: {0}=1',
        ),
        (
            thing(
                "ResourceClaim",
                version="resource.k8s.io/v1",
                devices={"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "count": 2}}]},
            ),
            "gpu.deviceclass.resource.k8s.io/devices",
            (
                'resourceclaims.resource.k8s.io "x" is forbidden: exceeded quota: q, requested: {0}=2, used: {0}=0, limited: '
                "{0}=1"
            ),
        ),
    ],
)
def test_other_objects_count_under_names_of_their_own(item: Object, hard: str, words: str) -> None:
    assert Tenancy([quota(hard={hard: "1"})]).try_create(item) == words.format(hard)


def test_objects_count_until_they_are_deleted() -> None:
    tenancy = Tenancy([quota(hard={"count/deployments.apps": "1"})])
    first = thing("Deployment", "a", version="apps/v1")
    assert tenancy.try_create(first) == ""
    assert tenancy.try_create(thing("Deployment", "b", version="apps/v1")) == (
        'deployments.apps "b" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: '
        "count/deployments.apps=1, limited: count/deployments.apps=1"
    )
    tenancy.delete(first)
    assert tenancy.try_create(thing("Deployment", "b", version="apps/v1")) == ""


RECORDINGS = (
    "quota-object-counts",
    "quota-validation",
    "limitrange-pvc",
    "priorityclass-validation",
    "priorityclass-global-default",
)


@pytest.mark.parametrize("name", RECORDINGS)
def test_objects_are_created_and_refused_as_the_server_did(shared: Path, name: str) -> None:
    recording = json.loads((shared / "oracle" / "api" / f"{name}.json").read_text())
    policies: list[Object] = []
    created: list[Object] = []
    compared = 0
    for step in recording["steps"]:
        body = step["request"].get("body")
        if step["request"]["method"] != "POST" or not isinstance(body, dict) or body["kind"] == "Namespace":
            continue
        namespace = step["request"]["path"].split("/namespaces/")[-1].split("/")[0]
        scoped = "/namespaces/" in step["request"]["path"]
        item = {**body, "metadata": {**body["metadata"], **({"namespace": namespace} if scoped else {})}}
        tenancy = Tenancy(policies)
        if scoped:
            # The controller that publishes the cluster's roots of trust makes a ConfigMap in every namespace.
            tenancy.try_create(
                {
                    **thing("ConfigMap", "kube-root-ca.crt"),
                    "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
                }
            )
        for each in created:
            assert tenancy.try_create(each) == ""
        said = tenancy.try_admit(item)
        refused = step["response"]["status"] >= 300
        assert (said if isinstance(said, str) else "") == (
            step["response"]["body"]["message"] if refused else ""
        )
        compared += 1
        if not refused and body["kind"] in {"ResourceQuota", "LimitRange", "PriorityClass"}:
            policies.append(item)
        elif not refused and body["kind"] != "Pod":
            created.append(item)
    assert compared
