"""Rows of the kinds besides pods, and JSONPath columns."""

from datetime import UTC, datetime, timedelta
from timeit import timeit
from typing import Any

import pytest

from stoker.lab.resources import BUILTIN, Resource
from stoker.lab.tables import custom_columns, table
from stoker.lab.tables.columns import column_definitions
from stoker.lab.tables.jsonpath import JsonPathError, compile_path

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
RESOURCES = {(one.api_version, one.kind): one for one in BUILTIN}
TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "i:1"}, {"name": "d", "image": "j:2"}]}}


def ago(**parts: float) -> str:
    return (NOW - timedelta(**parts)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cells(api_version: str, kind: str, **body: Any) -> list[Any]:
    metadata = {"name": "x", "creationTimestamp": ago(hours=3)} | body.pop("metadata", {})
    obj = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
    found: list[Any] = table(RESOURCES[api_version, kind], [obj], now=NOW)["rows"][0]["cells"]
    return found


def test_every_stored_kind_prints_a_row_of_an_empty_object_as_wide_as_its_columns() -> None:
    uneven = {}
    for one in BUILTIN:
        if one.is_stored:
            [row] = table(one, [{"metadata": {"name": "x"}}], now=NOW)["rows"]
            if len(row["cells"]) != len(column_definitions(one.group, one.kind)):
                uneven[one.qualified] = row["cells"]
    # Upstream's IPAddress has a cell more than columns.
    assert not uneven or set(uneven) == {"ipaddresses.networking.k8s.io"}


def test_a_deployment_counts_what_is_ready() -> None:
    spec = {
        "replicas": 3,
        "template": TEMPLATE,
        "selector": {
            "matchLabels": {"b": "1"},
            "matchExpressions": [
                {"key": "a", "operator": "In", "values": ["y", "x"]},
                {"key": "c", "operator": "DoesNotExist"},
            ],
        },
    }
    status = {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}
    expected = ["x", "2/3", 3, 1, "3h", "c,d", "i:1,j:2", "a in (x,y),b=1,!c"]
    assert expected == cells("apps/v1", "Deployment", spec=spec, status=status)


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        (
            {"completions": 3, "parallelism": 2},
            {"startTime": ago(minutes=5), "succeeded": 1},
            ["Running", "1/3", "5m"],
        ),
        (
            {"completions": 1},
            {
                "startTime": ago(minutes=5),
                "completionTime": ago(minutes=4),
                "succeeded": 1,
                "conditions": [
                    {"type": "SuccessCriteriaMet", "status": "True"},
                    {"type": "Complete", "status": "True"},
                ],
            },
            ["Complete", "1/1", "60s"],
        ),
        ({"parallelism": 4}, {"succeeded": 2}, ["Running", "2/1 of 4", ""]),
        (
            {"parallelism": 1},
            {"conditions": [{"type": "Suspended", "status": "True"}]},
            ["Suspended", "0/1", ""],
        ),
    ],
)
def test_a_job_tells_its_state_and_how_long_it_took(
    spec: dict[str, Any], status: dict[str, Any], expected: list[str]
) -> None:
    assert expected == cells("batch/v1", "Job", spec=spec, status=status)[1:4]


def test_a_cron_job_tells_when_it_last_ran() -> None:
    spec = {"schedule": "@daily", "suspend": False, "jobTemplate": {"spec": {"template": TEMPLATE}}}
    status = {"active": [{}], "lastScheduleTime": ago(minutes=7)}
    expected = ["@daily", "<none>", "False", 1, "7m", "3h", "c,d", "i:1,j:2", "<none>"]
    assert expected == cells("batch/v1", "CronJob", spec=spec, status=status)[1:]


def metric(kind: str, field: str, target: dict[str, Any], name: str = "cpu") -> dict[str, Any]:
    return {"type": kind, field: {"name": name, "target": target}}


def test_an_autoscaler_tells_the_first_two_targets() -> None:
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "maxReplicas": 9,
        "metrics": [
            metric("Resource", "resource", {"averageUtilization": 80}),
            metric("External", "external", {"averageValue": "5"}),
            metric("Pods", "pods", {"averageValue": "7"}),
        ],
    }
    current = [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 42}}}]
    status = {"currentReplicas": 2, "currentMetrics": current}
    expected = ["Deployment/d", "cpu: 42%/80%, <unknown>/5 (avg) + 1 more...", "<unset>", 9, 2, "3h"]
    assert expected == cells("autoscaling/v2", "HorizontalPodAutoscaler", spec=spec, status=status)[1:]


def test_an_autoscaler_of_the_first_version_prints_as_the_second_does() -> None:
    spec = {"scaleTargetRef": {}, "maxReplicas": 2, "minReplicas": 1, "targetCPUUtilizationPercentage": 80}
    found = cells("autoscaling/v1", "HorizontalPodAutoscaler", spec=spec)
    assert ["/", "cpu: <unknown>/80%", "1", 2, 0, "3h"] == found[1:]


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        (
            {"type": "ClusterIP", "clusterIPs": ["10.0.0.1"], "ports": [{"port": 80, "protocol": "TCP"}]},
            {},
            ["ClusterIP", "10.0.0.1", "<none>", "80/TCP"],
        ),
        (
            {
                "type": "NodePort",
                "clusterIPs": ["None"],
                "externalIPs": ["1.2.3.4"],
                "ports": [
                    {"port": 80, "nodePort": 30080, "protocol": "TCP"},
                    {"port": 53, "protocol": "UDP"},
                ],
            },
            {},
            ["NodePort", "None", "1.2.3.4", "80:30080/TCP,53/UDP"],
        ),
        ({"type": "LoadBalancer"}, {}, ["LoadBalancer", "<none>", "<pending>", "<none>"]),
        (
            {"type": "LoadBalancer", "externalIPs": ["9.9.9.9"]},
            {"loadBalancer": {"ingress": [{"hostname": "b.example"}, {"ip": "1.1.1.1"}]}},
            ["LoadBalancer", "<none>", "1.1.1.1,b.example,9.9.9.9", "<none>"],
        ),
        (
            {"type": "ExternalName", "externalName": "a.example"},
            {},
            ["ExternalName", "<none>", "a.example", "<none>"],
        ),
    ],
)
def test_a_service_tells_where_it_is_reached(
    spec: dict[str, Any], status: dict[str, Any], expected: list[str]
) -> None:
    assert expected == cells("v1", "Service", spec=spec, status=status)[1:5]


def test_a_node_tells_roles_versions_and_addresses() -> None:
    found = cells(
        "v1",
        "Node",
        metadata={
            "labels": {"node-role.kubernetes.io/gpu": "", "kubernetes.io/role": "master", "other": "1"}
        },
        spec={"unschedulable": True},
        status={
            "conditions": [{"type": "Ready", "status": "Unknown"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "nodeInfo": {"kubeletVersion": "v1.36.2", "kernelVersion": "6.1", "architecture": "amd64"},
        },
    )
    expected = ["NotReady,SchedulingDisabled", "gpu,master", "3h", "v1.36.2", "10.0.0.1", "<none>"]
    assert [*expected, "<unknown>", "6.1 (amd64)", "<unknown>"] == found[1:]


def test_an_event_of_the_new_group_reads_as_one_of_the_old() -> None:
    about = {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{c}"}
    old = cells(
        "v1",
        "Event",
        involvedObject=about,
        message=" m\n",
        type="Normal",
        reason="R",
        count=4,
        firstTimestamp=ago(minutes=9),
        lastTimestamp=ago(seconds=5),
        source={"component": "kubelet", "host": "n1"},
    )
    new = cells(
        "events.k8s.io/v1",
        "Event",
        regarding=about,
        note=" m\n",
        type="Normal",
        reason="R",
        eventTime=ago(minutes=9),
        series={"count": 4, "lastObservedTime": ago(seconds=5)},
        reportingController="kubelet",
        reportingInstance="n1",
    )
    expected = ["5s", "Normal", "R", "pod/p", "spec.containers{c}", "kubelet, n1", "m", "9m", 4, "x"]
    assert expected == old
    assert expected == new


def test_a_claim_tells_its_size_once_it_is_bound() -> None:
    spec = {"storageClassName": "fast", "volumeMode": "Filesystem"}
    status = {
        "phase": "Bound",
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
    }
    pending = cells("v1", "PersistentVolumeClaim", spec=spec, status={"phase": "Pending"})
    bound = cells("v1", "PersistentVolumeClaim", spec=spec | {"volumeName": "v"}, status=status)
    assert ["Pending", "", "", "", "fast", "<unset>", "3h", "Filesystem"] == pending[1:]
    assert ["Bound", "v", "5Gi", "RWO,RWX", "fast", "<unset>", "3h", "Filesystem"] == bound[1:]


def test_endpoints_are_cut_after_three() -> None:
    addresses = [{"ip": f"10.0.0.{last}"} for last in range(1, 6)]
    found = cells("v1", "Endpoints", subsets=[{"addresses": addresses, "ports": [{"port": 80}]}])
    assert "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..." == found[1]
    slice_ = cells(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        addressType="IPv4",
        endpoints=[{"addresses": [one["ip"]]} for one in addresses],
    )
    assert ["IPv4", "<unset>", "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more..."] == slice_[1:4]


def test_a_binding_tells_whom_it_binds() -> None:
    subjects = [
        {"kind": "User", "name": "u"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "n"},
        {"kind": "Group", "name": "g"},
        {"kind": "Group", "name": "h"},
    ]
    found = cells(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        roleRef={"kind": "ClusterRole", "name": "admin"},
        subjects=subjects,
    )
    assert ["ClusterRole/admin", "3h", "u", "g, h", "n/s"] == found[1:]


def test_a_default_class_is_marked() -> None:
    marked = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    found = cells("storage.k8s.io/v1", "StorageClass", metadata=marked, provisioner="p")
    assert ["x (default)", "p", "Delete", "Immediate", False, "3h"] == found


CUSTOM = {
    "metadata": {"name": "c", "creationTimestamp": ago(days=3), "labels": {"a.b/c": "v"}},
    "spec": {
        "n": 3,
        "f": 2.5,
        "b": True,
        "list": [{"t": "x", "v": 1}, {"t": "y", "v": 2}],
        "o": {"k": "<&>"},
    },
    "status": {"conditions": [{"type": "Ready", "status": "False"}], "none": None, "when": "tomorrow"},
}


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        (".spec.n", "integer", 3),
        (".spec.n", "string", "3"),
        (".spec.f", "integer", 2),
        (".spec.f", "number", 2.5),
        (".spec.b", "boolean", True),
        (".spec.b", "string", "true"),
        (".spec.b", "integer", None),
        (".spec.missing", "string", None),
        (".spec.list[1].t", "string", "y"),
        (".spec.list[-1].v", "integer", 2),
        (".spec.list[7].v", "integer", None),
        (".spec.list[*].t", "string", "x"),
        (".spec.list[0:2].v", "integer", 1),
        ('.spec.list[?(@.t=="y")].v', "integer", 2),
        (".spec.list[?(@.v>1)].t", "string", "y"),
        (".status.conditions[?(@.type=='Ready')].status", "string", "False"),
        (".status.conditions[?(@.type=='Other')].status", "string", None),
        (".metadata.labels.a\\.b/c", "string", "v"),
        (".metadata.labels['a\\.b/c']", "string", "v"),
        (".spec.o", "string", '{"k":"\\u003c\\u0026\\u003e"}'),
        (".status.none", "string", "<no value>"),
        (".metadata.creationTimestamp", "date", "3d"),
        (".status.when", "date", "<invalid>"),
        ("..type", "string", "Ready"),
        ("spec.n", "integer", None),
    ],
)
def test_a_custom_column_reads_its_path(path: str, kind: str, expected: object) -> None:
    known = Resource("example.com", "v1", "C", "cs", "c", namespaced=True)
    columns = custom_columns([{"name": "Col", "type": kind, "jsonPath": path}])
    found = table(known, [CUSTOM], now=NOW, columns=columns)["rows"][0]["cells"]
    assert expected == (found[1] if len(found) > 1 else None)


def test_a_custom_resource_without_columns_has_an_age() -> None:
    known = Resource("example.com", "v1", "C", "cs", "c", namespaced=True)
    assert ["c", "3d"] == table(known, [CUSTOM], now=NOW)["rows"][0]["cells"]


@pytest.mark.parametrize("path", [".a[", ".a[?(@.b==1", ".a[x]", ".a[?(@.b=~1)]", ".a[0:1:0]"])
def test_a_path_that_cannot_be_read_is_refused(path: str) -> None:
    with pytest.raises(JsonPathError):
        compile_path(path)


def test_a_pods_row_is_cheap_enough_for_every_watch_event() -> None:
    status = {
        "phase": "Running",
        "containerStatuses": [{"name": "a", "ready": True, "state": {"running": {}}}],
    }
    pod = {
        "metadata": {"name": "p", "creationTimestamp": ago()},
        "spec": {"containers": [{"name": "a"}]},
        "status": status,
    }
    pods = RESOURCES["v1", "Pod"]
    times = 200
    # Far above what it takes (0.01 ms): this is to catch work that grows with the number of kinds or columns.
    assert timeit(lambda: table(pods, [pod], now=NOW), number=times) / times < 0.003
