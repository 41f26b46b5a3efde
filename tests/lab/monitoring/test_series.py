"""Series of kube-state-metrics, the API server's own, and metrics.k8s.io."""

import asyncio
import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.lab.monitoring.world import make_lab, needs_promtool, pod, run_pod
from tests.lab.oracle.replay import send

from stoker.lab.monitoring.exposition import ApiMetrics
from stoker.lab.monitoring.hpa_source import ResourceMetrics
from stoker.lab.monitoring.resources import (
    ContainerUsage,
    estimated_usage,
    node_metrics_list,
    pod_metrics_list,
)
from stoker.lab.monitoring.state_metrics import FAMILIES, StateMetrics

Object = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def state_of(**shelves: list[Object]) -> str:
    def scan(shelf: str) -> Any:
        for index, one in enumerate(shelves.get(shelf.partition(".")[0], [])):
            metadata = one["metadata"]
            yield (metadata.get("namespace", ""), metadata["name"]), index, lambda one=one: one

    return StateMetrics(scan).text()


def lines(text: str, name: str) -> list[str]:
    return [line.removeprefix(name) for line in text.splitlines() if line.startswith(name + "{")]


def busy_pod() -> Object:
    one = pod("p")
    one["metadata"]["uid"] = "u"
    one["spec"]["nodeName"] = "n"
    one["spec"]["containers"][0]["resources"] = {
        "requests": {"nvidia.com/gpu": "2", "cpu": "1500m", "memory": "1Gi"}
    }
    one["status"] = {
        "phase": "Running",
        "podIP": "127.0.0.5",
        "startTime": "2026-01-02T03:04:05Z",
        "conditions": [{"type": "Ready", "status": "False"}, {"type": "PodScheduled", "status": "False"}],
        "containerStatuses": [
            {
                "name": "engine",
                "restartCount": 4,
                "state": {"running": {}},
                "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
            }
        ],
    }
    return one


def test_series_of_a_pod_are_those_of_kube_state_metrics() -> None:
    text = state_of(pods=[busy_pod()])
    own = 'namespace="team-a",pod="p",uid="u"'
    assert [f'{{{own},container="engine"}} 4'] == lines(text, "kube_pod_container_status_restarts_total")
    assert [f'{{{own},container="engine",reason="OOMKilled"}} 1'] == lines(
        text, "kube_pod_container_status_last_terminated_reason"
    )
    assert [
        f'{{{own},container="engine",node="n",resource="nvidia_com_gpu",unit="integer"}} 2',
        f'{{{own},container="engine",node="n",resource="cpu",unit="core"}} 1.5',
        f'{{{own},container="engine",node="n",resource="memory",unit="byte"}} 1073741824',
    ] == lines(text, "kube_pod_container_resource_requests")
    assert [f"{{{own}}} {int(NOW.timestamp())}"] == lines(text, "kube_pod_start_time")
    assert [f"{{{own}}} 1"] == lines(text, "kube_pod_status_unschedulable")
    assert [f'{{{own},phase="{name}"}} {int(name == "Running")}' for name in
            ("Pending", "Succeeded", "Failed", "Unknown", "Running")] == lines(text, "kube_pod_status_phase")  # fmt: skip
    assert [
        f'{{{own},condition="{name}"}} {int(name == "false")}' for name in ("true", "false", "unknown")
    ] == lines(text, "kube_pod_status_ready")


def test_series_of_quotas_and_nodes() -> None:
    quota = {"metadata": {"name": "q", "namespace": "a"}, "status": {"hard": {"requests.nvidia.com/gpu": "8"}, "used": {"requests.nvidia.com/gpu": "3"}}}  # fmt: skip
    node = {
        "metadata": {"name": "n"},
        "spec": {"unschedulable": True},
        "status": {"allocatable": {"nvidia.com/gpu": "8"}},
    }
    text = state_of(resourcequotas=[quota], nodes=[node])
    own = 'namespace="a",resourcequota="q",resource="requests.nvidia.com/gpu"'
    assert [f'{{{own},type="hard"}} 8', f'{{{own},type="used"}} 3'] == lines(text, "kube_resourcequota")
    assert ['{node="n",resource="nvidia_com_gpu",unit="integer"} 8'] == lines(
        text, "kube_node_status_allocatable"
    )
    assert ['{node="n"} 1'] == lines(text, "kube_node_spec_unschedulable")


def test_what_has_not_changed_is_not_computed_again() -> None:
    asked: list[str] = []
    revisions = {"a": 1, "b": 1}

    def load(name: str) -> Object:
        asked.append(name)
        return pod(name)

    def scan(shelf: str) -> Any:
        if shelf == "pods":
            for name, revision in revisions.items():
                yield ("team-a", name), revision, lambda name=name: load(name)

    state = StateMetrics(scan)
    first = state.text()
    revisions["b"] = 2
    assert first == state.text()
    assert ["a", "b", "b"] == asked
    del revisions["a"]
    assert 'pod="a"' not in state.text()


@needs_promtool
def test_promtool_reads_the_text(tmp_path: Path) -> None:
    del tmp_path
    text = state_of(pods=[busy_pod()])
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    errors = [
        line for line in done.stderr.splitlines() if "error while linting" in line or "parse" in line.lower()
    ]
    assert [] == errors


def test_every_kube_series_that_stoker_compiles_is_served(stoker_objects: Callable[[], list[Object]]) -> None:
    text = str(
        [one for one in stoker_objects() if one["kind"] in {"PrometheusRule", "ConfigMap", "ScaledObject"}]
    )
    used = set(re.findall(r"\bkube_[a-z_]+", text))
    assert used
    assert set() == used - {family.name for family in FAMILIES} - {"kube_state_metrics"}


async def count_requests() -> str:
    lab, user = make_lab()
    run_pod(user, pod("p"))
    metrics = ApiMetrics()
    application = metrics.wrap(lab.application)
    headers = {"Authorization": "Bearer admin"}
    counted: Any = application
    for path in ("/api/v1/namespaces/team-a/pods/p", "/api/v1/namespaces/team-a/pods", "/api/v1/pods", "/apis/apps/v1/namespaces/team-a/deployments/none"):  # fmt: skip
        await send(counted, "GET", path, headers=headers)
    await send(counted, "GET", "/api/v1/pods", headers=headers, query="watch=1", seconds=0.05)
    return metrics.text()


def test_the_api_server_counts_its_requests_as_upstream_does() -> None:
    text = asyncio.run(count_requests())
    head = 'component="apiserver",dry_run="",group='
    expected = [
        f'{{code="200",{head}"",resource="pods",scope="resource",subresource="",verb="GET",version="v1"}} 1',
        f'{{code="200",{head}"",resource="pods",scope="namespace",subresource="",verb="LIST",version="v1"}} 1',
        f'{{code="200",{head}"",resource="pods",scope="cluster",subresource="",verb="LIST",version="v1"}} 1',
        f'{{code="404",{head}"apps",resource="deployments",scope="resource",subresource="",verb="GET",version="v1"}} 1',
        f'{{code="200",{head}"",resource="pods",scope="cluster",subresource="",verb="WATCH",version="v1"}} 1',
    ]
    assert expected == lines(text, "apiserver_request_total")
    assert 4 == len(lines(text, "apiserver_request_duration_seconds_count"))


# --- metrics.k8s.io ------------------------------------------------------------------------------------------------------


def usage_of(found: Object) -> dict[str, ContainerUsage] | None:
    return {"engine": ContainerUsage(1.5, 2 * 1024**3)} if found["metadata"]["name"] == "p" else None


def test_pod_metrics_have_the_documents_of_metrics_server() -> None:
    found = pod_metrics_list([busy_pod(), pod("idle")], usage_of, NOW)
    assert {
        "kind": "PodMetricsList",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {},
        "items": [
            {
                "metadata": {
                    "name": "p",
                    "namespace": "team-a",
                    "creationTimestamp": "2026-01-02T03:04:05Z",
                    "labels": {"app": "p"},
                },
                "timestamp": "2026-01-02T03:04:05Z",
                "window": "15s",
                "containers": [{"name": "engine", "usage": {"cpu": "1500m", "memory": "2Gi"}}],
            }
        ],
    } == found


def test_a_node_uses_what_its_pods_use_and_something_itself() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    nodes: list[Object] = [
        {"metadata": {"name": "n"}, "status": ready},
        {"metadata": {"name": "lost"}, "status": {}},
    ]
    (one,) = node_metrics_list(nodes, [busy_pod()], usage_of, NOW)["items"]
    assert {"cpu": "1650m", "memory": "2948Mi"} == one["usage"]


def test_an_estimate_is_a_share_of_the_requests_and_nothing_for_a_pod_that_does_not_run() -> None:
    found = (estimated_usage(busy_pod()) or {})["engine"]
    assert [0.75, 0.9 * 1024**3] == pytest.approx([found.cores, found.memory])
    assert estimated_usage(pod("p")) is None


def test_the_hpa_hears_of_running_pods_only() -> None:
    lab, user = make_lab()
    del lab
    run_pod(user, pod("p"))
    user.create(pod("q"))
    found = ResourceMetrics(user, usage_of).resource("team-a", ["p", "q", "none"], "cpu", "")
    assert {"p": 1.5} == {name: usage.value for name, usage in found.items()}
