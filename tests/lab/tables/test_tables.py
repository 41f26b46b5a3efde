"""Tables against what a real server recorded, and the words of a row that no recording holds."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from stoker.lab.resources import BUILTIN, Resource
from stoker.lab.status import ApiError
from stoker.lab.tables import check_include_object, custom_columns, human_duration, list_metadata, table
from stoker.lab.tables.columns import column_definitions

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
RESOURCES = {(one.group, one.version, one.plural): one for one in BUILTIN}


def ago(**parts: float) -> str:
    return (NOW - timedelta(**parts)).strftime("%Y-%m-%dT%H:%M:%SZ")


def resource(group: str, plural: str, version: str = "v1") -> Resource:
    return RESOURCES[group, version, plural]


def row(group: str, plural: str, obj: dict[str, Any], version: str = "v1") -> list[Any]:
    found: list[Any] = table(resource(group, plural, version), [obj], now=NOW)["rows"][0]["cells"]
    return found


def pod(status: dict[str, Any], spec: dict[str, Any] | None = None, **metadata: Any) -> list[Any]:
    spec = {"containers": [{"name": "a"}, {"name": "b"}]} | (spec or {})
    meta = {"name": "p", "creationTimestamp": ago(minutes=5)} | metadata
    return row("", "pods", {"metadata": meta, "spec": spec, "status": status})


def recorded(shared: Path, name: str) -> list[dict[str, Any]]:
    document = json.loads((shared / "oracle" / "api" / f"{name}.json").read_bytes())
    found: list[dict[str, Any]] = document["steps"]
    return found


@pytest.mark.parametrize("name", ["table-cluster", "table-workloads", "table-includeobject"])
def test_the_columns_are_those_that_the_real_server_told(shared: Path, name: str) -> None:
    compared = 0
    for step in recorded(shared, name):
        full = step["response"].get("full", {})
        if full.get("kind") != "Table":
            continue
        _, root, *rest = step["request"]["path"].split("/")
        group, version = ("", rest[0]) if root == "api" else (rest[0], rest[1])
        parts = [part for part in rest if (group, version, part) in RESOURCES]
        kind = resource(group, parts[-1], version).kind
        assert full["columnDefinitions"] == column_definitions(group, kind)
        compared += 1
    assert compared >= 3


def test_a_watch_tells_the_columns_once(shared: Path) -> None:
    [event, *_] = recorded(shared, "watch-table")[2]["response"]["events"]
    [line] = event["object"]["rows"]
    submitted = {
        "metadata": line["object"]["metadata"] | {"creationTimestamp": ago()},
        "spec": {"containers": [{"name": "c"}]},
        "status": {"phase": "Pending"},
    }
    first = table(resource("", "pods"), [submitted], now=NOW, list_metadata=event["object"]["metadata"])
    later = table(resource("", "pods"), [submitted], now=NOW, has_headers=False)
    assert event["object"]["columnDefinitions"] == first["columnDefinitions"]
    assert event["object"]["metadata"] == first["metadata"]
    assert line["cells"] == first["rows"][0]["cells"]
    assert later["columnDefinitions"] is None


def test_the_quota_of_the_recording_prints_as_it_did(shared: Path) -> None:
    [step] = [
        one
        for one in recorded(shared, "table-workloads")
        if one["request"]["path"].endswith("resourcequotas")
    ][1:]
    [line] = step["response"]["full"]["rows"]
    hard = {"pods": "20", "requests.nvidia.com/gpu": "8", "limits.memory": "640Gi"}
    status = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    obj = {"metadata": {"name": "q", "creationTimestamp": ago()}, "status": status}
    assert line["cells"] == row("", "resourcequotas", obj)


class Loader(yaml.CSafeLoader):
    """YAML 1.1 with a bare equals sign as text: KEDA's alert relabelling has enum values like that."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))


def test_custom_columns_are_those_that_the_real_server_told(shared: Path) -> None:
    asked: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    files = sorted((shared / "crds").rglob("*.yaml"))
    for path in (one for one in files if "-v0" not in str(one) and "-v2" not in str(one)):
        for crd in yaml.load_all(path.read_text(), Loader):
            if isinstance(crd, dict) and crd.get("kind") == "CustomResourceDefinition":
                for version in crd["spec"]["versions"]:
                    key = (crd["spec"]["group"], version["name"], crd["spec"]["names"]["plural"])
                    asked[key] = version.get("additionalPrinterColumns", [])
    compared = 0
    for step in recorded(shared, "table-custom"):
        group, version, plural = step["request"]["path"].split("/")[2:5]
        if (group, version, plural) not in asked:
            continue
        known = Resource(group, version, "Any", plural, "any", namespaced=True)
        columns = custom_columns(asked[group, version, plural])
        expected = step["response"]["full"]
        assert expected == table(known, [], now=NOW, list_metadata=expected["metadata"], columns=columns)
        compared += 1
    assert compared >= 6


def test_the_object_beside_a_row_is_what_was_asked_for() -> None:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "1"}}
    maps = resource("", "configmaps")
    beside = {
        kind: table(maps, [obj], now=NOW, include_object=kind)["rows"][0]["object"]
        for kind in ("None", "Object")
    }
    assert {"None": None, "Object": obj} == beside
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}
    assert partial == table(maps, [obj], now=NOW)["rows"][0]["object"]


def test_another_include_object_is_refused_in_the_servers_words(shared: Path) -> None:
    [step] = [one for one in recorded(shared, "table-includeobject") if one["response"]["status"] == 400]
    with pytest.raises(ApiError) as refused:
        check_include_object(step["request"]["query"]["includeObject"])
    assert step["response"]["full"] == refused.value.document()


def test_a_list_without_objects_has_null_rows_where_the_kind_has_no_printer() -> None:
    assert table(resource("", "limitranges"), [], now=NOW)["rows"] is None
    assert table(resource("", "pods"), [], now=NOW)["rows"] == []


def test_the_metadata_of_a_list_keeps_what_paging_needs() -> None:
    listed = {"resourceVersion": "9", "continue": "t", "remainingItemCount": 3, "selfLink": "/x"}
    assert {"resourceVersion": "9", "continue": "t", "remainingItemCount": 3} == list_metadata(
        {"metadata": listed}
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"seconds": -3}, "<invalid>"),
        ({"seconds": -1.5}, "0s"),
        ({"seconds": 119}, "119s"),
        ({"seconds": 120}, "2m"),
        ({"minutes": 9, "seconds": 59}, "9m59s"),
        ({"minutes": 10, "seconds": 1}, "10m"),
        ({"minutes": 179}, "179m"),
        ({"hours": 3}, "3h"),
        ({"hours": 7, "minutes": 59}, "7h59m"),
        ({"hours": 47}, "47h"),
        ({"hours": 48}, "2d"),
        ({"hours": 191}, "7d23h"),
        ({"days": 729}, "729d"),
        ({"days": 730}, "2y"),
        ({"days": 800}, "2y70d"),
        ({"days": 365 * 9}, "9y"),
    ],
)
def test_a_duration_has_two_or_three_figures(parts: dict[str, float], expected: str) -> None:
    assert expected == human_duration(timedelta(**parts))


def container(name: str = "a", *, ready: bool = False, restarts: int = 0, **state: Any) -> dict[str, Any]:
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state}


RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-11-24T11:00:00Z"}}
SIDECAR = {"initContainers": [{"name": "s", "restartPolicy": "Always"}, {"name": "i"}]}


@pytest.mark.parametrize(
    ("status", "spec", "expected"),
    [
        ({"phase": "Pending"}, {}, ["0/2", "Pending", "0"]),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
            {},
            ["0/2", "SchedulingGated", "0"],
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [container(ready=True, **RUNNING), container("b", **RUNNING)],
            },
            {},
            ["1/2", "Running", "0"],
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    container(restarts=3, waiting={"reason": "CrashLoopBackOff"})
                    | {"lastState": {"terminated": {"exitCode": 1, "finishedAt": ago(minutes=5)}}}
                ],
            },
            {},
            ["0/2", "CrashLoopBackOff", "3 (5m ago)"],
        ),
        ({"phase": "Failed", "reason": "Evicted"}, {}, ["0/2", "Evicted", "0"]),
        (
            {
                "phase": "Failed",
                "containerStatuses": [container(terminated={"exitCode": 137, "reason": "OOMKilled"})],
            },
            {},
            ["0/2", "OOMKilled", "0"],
        ),
        (
            {"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 3})]},
            {},
            ["0/2", "ExitCode:3", "0"],
        ),
        (
            {"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 3, "signal": 9})]},
            {},
            ["0/2", "Signal:9", "0"],
        ),
        (
            {
                "phase": "Succeeded",
                "containerStatuses": [container(terminated={"exitCode": 0, "reason": "Completed"})],
            },
            {},
            ["0/2", "Completed", "0"],
        ),
        (
            {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [
                    container(terminated={"exitCode": 0, "reason": "Completed"}),
                    container("b", ready=True, **RUNNING),
                ],
            },
            {},
            ["1/2", "Running", "0"],
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    container(terminated={"exitCode": 0, "reason": "Completed"}),
                    container("b", ready=True, **RUNNING),
                ],
            },
            {},
            ["1/2", "NotReady", "0"],
        ),
        (
            {"phase": "Pending", "initContainerStatuses": [container("i", **RUNNING)]},
            {"initContainers": [{"name": "i"}, {"name": "j"}]},
            ["0/2", "Init:0/2", "0"],
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [container("i", restarts=2, waiting={"reason": "CrashLoopBackOff"})],
            },
            {"initContainers": [{"name": "i"}]},
            ["0/2", "Init:CrashLoopBackOff", "2"],
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [container("i", terminated={"exitCode": 2, "reason": "Error"})],
            },
            {"initContainers": [{"name": "i"}]},
            ["0/2", "Init:Error", "0"],
        ),
        (
            {
                "phase": "Pending",
                "initContainerStatuses": [
                    container("s", ready=True, **RUNNING) | {"started": True},
                    container("i", waiting={"reason": "PodInitializing"}),
                ],
            },
            SIDECAR,
            ["1/3", "Init:1/2", "0"],
        ),
        (
            {
                "phase": "Running",
                "initContainerStatuses": [
                    container("s", ready=True, restarts=1, **RUNNING) | {"started": True},
                    container("i", restarts=7, terminated={"exitCode": 0}),
                ],
                "containerStatuses": [
                    container(ready=True, **RUNNING),
                    container("b", ready=True, **RUNNING),
                ],
            },
            SIDECAR,
            ["3/3", "Running", "1"],
        ),
    ],
)
def test_a_pod_says_in_a_word_how_it_is(
    status: dict[str, Any], spec: dict[str, Any], expected: list[str]
) -> None:
    assert expected == pod(status, spec)[1:4]


def test_a_pod_that_is_being_deleted_says_so_unless_it_has_ended() -> None:
    deleted: dict[str, Any] = {"deletionTimestamp": ago()}
    words = [pod({"phase": phase}, **deleted)[2] for phase in ("Running", "Succeeded")]
    assert ["Terminating", "Succeeded"] == words
    assert "Unknown" == pod({"phase": "Running", "reason": "NodeLost"}, **deleted)[2]


def test_a_wide_pod_has_address_node_and_gates() -> None:
    spec = {"nodeName": "n1", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    status = {"podIPs": [{"ip": "10.0.0.7"}], "conditions": [{"type": "b", "status": "True"}]}
    assert ["5m", "10.0.0.7", "n1", "<none>", "1/2"] == pod(status, spec)[4:]


def test_a_finished_pods_row_says_that_it_is_completed() -> None:
    obj = {"metadata": {"name": "p"}, "status": {"phase": "Succeeded"}}
    [found] = table(resource("", "pods"), [obj], now=NOW)["rows"]
    assert ["Completed", "Succeeded"] == [found["conditions"][0][key] for key in ("type", "reason")]
