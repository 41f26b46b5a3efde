"""Load over the OpenAI API, a real Prometheus that scrapes the engines, KEDA's triggers on it, and replicas that follow.

Everything that acts here was rendered by Stoker from `scale.yaml`: Deployments, routes, monitors, ScaledObjects.
"""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from kubernetes import client
from tests.lab.running.conftest import Kubectl, kubectl_of, stoker
from tests.lab.running.python_client import api_of, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]

_PLATFORM = Path(__file__).parent / "scale.yaml"
_SPEED = 60
_CLIENTS = 240
_EVERYTHING: dict[str, Any] = {"matchLabels": {"release": "kube-prometheus-stack"}}
_INSTALLED = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "keda"}},
    {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "Prometheus",
        "metadata": {"name": "k8s", "namespace": "monitoring"},
        "spec": {
            "scrapeInterval": "15s",
            "podMonitorSelector": _EVERYTHING,
            "podMonitorNamespaceSelector": {},
            "ruleSelector": _EVERYTHING,
            "ruleNamespaceSelector": {},
        },
    },
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gpu-operator"}},
    {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "nvidia-dcgm-exporter", "namespace": "gpu-operator"},
        "spec": {
            "selector": {"matchLabels": {"app": "nvidia-dcgm-exporter"}},
            "template": {
                "metadata": {"labels": {"app": "nvidia-dcgm-exporter"}},
                "spec": {
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [
                        {
                            "name": "nvidia-dcgm-exporter",
                            "image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2-4.7.0-ubuntu22.04",
                            "ports": [{"name": "metrics", "containerPort": 9400}],
                        }
                    ],
                },
            },
        },
    },
    {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "dcgm", "namespace": "gpu-operator", "labels": _EVERYTHING["matchLabels"]},
        "spec": {
            "selector": {"matchLabels": {"app": "nvidia-dcgm-exporter"}},
            "podMetricsEndpoints": [{"port": "metrics", "interval": "15s"}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "keda-add-ons-http-interceptor-proxy", "namespace": "keda"},
        "spec": {"ports": [{"name": "proxy", "port": 8080}]},
    },
)


@dataclass
class Bench:
    """A lab with everything that was rendered."""

    state: Path
    kubectl: Kubectl
    api: client.ApiClient = field(init=False)

    def __post_init__(self) -> None:
        self.api = api_of(self.state)

    def ready(self, namespace: str, name: str) -> int:
        found = client.AppsV1Api(self.api).read_namespaced_deployment(name, namespace)
        return int(found.status.ready_replicas or 0)

    def wanted(self, namespace: str, name: str) -> int:
        return int(client.AppsV1Api(self.api).read_namespaced_deployment(name, namespace).spec.replicas)

    def events(self, namespace: str, reason: str) -> list[str]:
        found = client.CoreV1Api(self.api).list_namespaced_event(namespace, field_selector=f"reason={reason}")
        return [one.message for one in found.items]

    def asked(self, query: str) -> list[dict[str, Any]]:
        """What Prometheus answers, through the operator's Service and the API server's proxy."""
        place = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1/query"
        answer = json.loads(self.kubectl("get", "--raw", f"{place}?query={quote(query)}").stdout)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, query: str) -> float | None:
        """Of the one element; None where there is no data."""
        found = self.asked(query)
        return float(found[0]["value"][1]) if found else None

    def threshold(self, namespace: str, name: str) -> float:
        found = client.CustomObjectsApi(self.api).get_namespaced_custom_object(
            "keda.sh", "v1alpha1", namespace, "scaledobjects", name
        )
        return float(found["spec"]["triggers"][0]["metadata"]["threshold"])

    @property
    def gateway(self) -> str:
        found = client.CustomObjectsApi(self.api).get_namespaced_custom_object(
            "gateway.networking.k8s.io", "v1", "kserve", "gateways", "kserve-ingress-gateway"
        )
        return f"http://{found['status']['addresses'][0]['value']}"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    state, objects = tmp_path_factory.mktemp("scale"), tmp_path_factory.mktemp("objects")
    stoker("lab", "up", "--state", state, "--platform", _PLATFORM, "--speed", _SPEED)
    try:
        kubectl = kubectl_of(state)
        stoker("render", _PLATFORM, "--out", objects)
        for one in _INSTALLED:
            kubectl("apply", "-f", "-", text=one)
        kubectl("apply", "--server-side", "-R", "-f", objects)
        for namespace in ("chat", "night"):
            kubectl(
                "-n", namespace, "create", "secret", "generic", "huggingface", "--from-literal=token=none"
            )
        yield Bench(state, kubectl)
    finally:
        stoker("lab", "down", "--state", state)


def _body(model: str, tokens: int) -> dict[str, Any]:
    return {"model": model, "prompt": "x" * 400, "max_tokens": tokens, "ignore_eos": True}


async def _load(url: str, stop: Callable[[], bool]) -> dict[int, int]:
    """So many clients that ask again as soon as they are answered; answers by status."""
    counts: dict[int, int] = {}
    over = asyncio.Event()

    async def one(web: httpx2.AsyncClient) -> None:
        while not over.is_set():
            answer = await web.post("/v1/completions", json=_body("llama", 4000))
            counts[answer.status_code] = counts.get(answer.status_code, 0) + 1

    limits = httpx2.Limits(max_connections=None)
    headers = {"host": "llama.models.example.com"}
    async with httpx2.AsyncClient(
        base_url=url, headers=headers, timeout=300, limits=limits, trust_env=False
    ) as web:
        clients = [asyncio.create_task(one(web)) for _ in range(_CLIENTS)]
        await asyncio.to_thread(until, stop, 120)
        over.set()
        await asyncio.gather(*clients)
    return counts


def test_load_takes_the_warm_tier_from_one_to_all_and_its_end_brings_it_back(bench: Bench) -> None:
    assert until(lambda: bench.ready("chat", "llama") == 1, 120)
    # The monitor's first scrape: KEDA has something to read from then on.
    assert until(lambda: bench.value('sum(vllm:num_requests_running{model_name="llama"})') == 0, 60)

    counts = asyncio.run(_load(bench.gateway, lambda: bench.ready("chat", "llama") == 4))

    assert 4 == bench.ready("chat", "llama"), bench.asked("vllm:num_requests_waiting")
    assert {200} == set(counts), counts
    waited = bench.value('max_over_time(sum(vllm:num_requests_waiting{namespace="chat"})[1h:15s])')
    assert waited is not None
    assert waited > 3
    told = bench.value('max_over_time(keda_scaler_metrics_value{scaledObject="llama"}[1h])')
    target = bench.threshold("chat", "llama")
    assert told is not None
    assert told > 3 * target, "what KEDA read is what asks for four"
    # The exporter's own pod labels stand aside for those of the target.
    busy = bench.value('max(max_over_time(DCGM_FI_DEV_GPU_UTIL{exported_namespace="chat"}[1h]))')
    assert busy is not None
    assert busy > 50
    # Every answer was counted by the replica that gave it, on the page that Prometheus reads.
    finished = until(
        lambda: bench.value('sum(vllm:request_success_total{model_name="llama"})') == counts[200] or None, 30
    )
    assert finished, (counts, bench.asked("vllm:request_success_total"))

    assert until(lambda: bench.wanted("chat", "llama") == 1, 120)
    assert until(lambda: len(bench.asked('vllm:num_requests_running{model_name="llama"}')) == 1, 60)


def test_the_batch_tier_sleeps_and_is_woken_by_a_request_that_waits(bench: Bench) -> None:
    assert until(lambda: bench.wanted("night", "batch") == 0, 120)
    assert until(lambda: bench.ready("night", "batch") == 0, 60)
    assert any("from 1 to 0" in one for one in bench.events("night", "KEDAScaleTargetDeactivated"))
    # At zero the engine's metrics are not there; that is no zero.
    assert until(lambda: not bench.asked('vllm:num_requests_running{model_name="batch"}'), 60)

    headers = {"host": "batch.models.example.com"}
    answer = httpx2.post(
        f"{bench.gateway}/v1/completions",
        json=_body("batch", 16),
        headers=headers,
        timeout=120,
        trust_env=False,
    )

    assert 200 == answer.status_code, answer.text
    assert 16 == answer.json()["usage"]["completion_tokens"]
    woken = bench.events("night", "KEDAScaleTargetActivated")
    assert any("from 0 to 1" in one and "http_batch_concurrency" in one for one in woken), woken
    assert until(lambda: bench.wanted("night", "batch") == 0, 120)
