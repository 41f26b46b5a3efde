"""Shares of traffic on a lab that runs: HTTPRoutes by weight, and KServe's canaries, counted by who answered."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from kubernetes import client, utils
from tests.lab.running.python_client import api_of, namespace_of, until

_REQUESTS = 2000  # of each count
_AT_ONCE = 40


@pytest.fixture(scope="module")
def api(lab_state: Path) -> Iterator[client.ApiClient]:
    with api_of(lab_state) as found:
        yield found


def _gateway(name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "gatewayClassName": "envoy",
            "listeners": [
                {
                    "name": "http",
                    "port": 80,
                    "protocol": "HTTP",
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
            ],
        },
    }


def _version(name: str, replicas: int) -> list[dict[str, Any]]:
    """A Deployment of servers that say which pod they are, and their Service."""
    container = {
        "name": "c",
        "image": "python:3.12",
        "command": ["python", "-m", "http.server", "8080"],
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "10m"}},
    }
    labels = {"app": name}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    ]


def _asked(url: str, host: str, method: str = "GET", **request: Any) -> list[httpx2.Response]:
    """The answers to all requests."""

    async def all_of_them() -> list[httpx2.Response]:
        async with httpx2.AsyncClient(
            base_url=url, timeout=60, trust_env=False, headers={"host": host}
        ) as web:
            door = asyncio.Semaphore(_AT_ONCE)

            async def one() -> httpx2.Response:
                async with door:
                    return await web.request(method, request.get("path", "/"), json=request.get("json"))

            return await asyncio.gather(*(one() for _ in range(_REQUESTS)))

    return asyncio.run(all_of_them())


def _is_share(count: int, share: float) -> bool:
    """Whether a count is what a binomial of the share would give, within four and a half standard deviations (1 in 150,000)."""
    deviation = math.sqrt(_REQUESTS * share * (1 - share))
    return abs(count - _REQUESTS * share) <= 4.5 * deviation


def _status(url: str, host: str) -> int:
    """Of one request; 0 while nobody listens."""
    try:
        return httpx2.get(url, headers={"host": host}, trust_env=False).status_code
    except httpx2.ConnectError:
        return 0


def _address(api: client.ApiClient, namespace: str, name: str) -> str:
    def found() -> str:
        gateway = client.CustomObjectsApi(api).get_namespaced_custom_object(
            "gateway.networking.k8s.io", "v1", namespace, "gateways", name
        )
        addresses = (gateway.get("status") or {}).get("addresses") or [{}]
        return str(addresses[0].get("value", ""))

    return f"http://{until(found)}"


@pytest.fixture(scope="module")
def shares(api: client.ApiClient) -> tuple[str, str]:
    """The address of a gateway and the namespace of two versions, one with three pods and one with one."""
    space = namespace_of(api, "weights")
    for one in [*_version("stable", 3), *_version("canary", 1), *_version("off", 1)]:
        utils.create_from_dict(api, one, namespace=space)
    custom = client.CustomObjectsApi(api)
    custom.create_namespaced_custom_object(
        "gateway.networking.k8s.io", "v1", space, "gateways", _gateway("web", space)
    )
    for host, weights in (
        ("split.example.com", {"stable": 90, "canary": 10, "off": 0}),
        ("broken.example.com", {"stable": 60, "missing": 40}),
        ("nobody.example.com", {"missing": 1}),
    ):
        backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
        route = {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": host.partition(".")[0]},
            "spec": {
                "parentRefs": [{"name": "web"}],
                "hostnames": [host],
                "rules": [{"backendRefs": backends}],
            },
        }
        custom.create_namespaced_custom_object("gateway.networking.k8s.io", "v1", space, "httproutes", route)
    apps = client.AppsV1Api(api)
    for name, replicas in (("stable", 3), ("canary", 1), ("off", 1)):
        assert until(
            lambda name=name, replicas=replicas: (  # type: ignore[misc]
                apps.read_namespaced_deployment(name, space).status.ready_replicas == replicas
            ),
            60,
        )
    url = _address(api, space, "web")
    assert until(lambda: _status(url, "split.example.com") == 200), _status(url, "split.example.com")
    return url, space


def test_a_routes_weights_are_shares_whatever_the_number_of_pods(shares: tuple[str, str]) -> None:
    url, _ = shares

    answers = _asked(url, "split.example.com")

    assert {200} == {one.status_code for one in answers}
    pods = Counter(one.text.split()[0] for one in answers)
    versions = Counter(dict.fromkeys(("stable", "canary", "off"), 0))
    for pod, count in pods.items():
        versions[pod.partition("-")[0]] += count
    assert _is_share(versions["canary"], 0.1), versions
    assert 0 == versions["off"]
    assert _REQUESTS == versions["stable"] + versions["canary"]
    # Within a version pods take turns.
    stable = [count for pod, count in pods.items() if pod.startswith("stable")]
    assert 3 == len(stable)
    assert max(stable) - min(stable) <= 1


def test_a_missing_backend_answers_500_for_its_share(shares: tuple[str, str]) -> None:
    url, _ = shares

    counts = Counter(one.status_code for one in _asked(url, "broken.example.com"))

    assert {200, 500} == set(counts)
    assert _is_share(counts[500], 0.4), counts
    assert 500 == _status(url, "nobody.example.com")
    assert 404 == _status(url, "other.example.com")


def test_a_version_without_ready_pods_answers_503_for_its_share(
    api: client.ApiClient, shares: tuple[str, str]
) -> None:
    url, space = shares
    apps = client.AppsV1Api(api)
    apps.patch_namespaced_deployment_scale("canary", space, {"spec": {"replicas": 0}})
    discovery = client.DiscoveryV1Api(api)
    selector = "kubernetes.io/service-name=canary"
    assert until(
        lambda: (
            not any(
                one.endpoints
                for one in discovery.list_namespaced_endpoint_slice(space, label_selector=selector).items
            )
        )
    )
    assert until(lambda: any(_status(url, "split.example.com") == 503 for _ in range(50)))

    counts = Counter(one.status_code for one in _asked(url, "split.example.com"))

    assert {200, 503} == set(counts)
    assert _is_share(counts[503], 0.1), counts
    apps.patch_namespaced_deployment_scale("canary", space, {"spec": {"replicas": 1}})


def _isvc(model: str, percent: int | None = None, least: int = 1) -> dict[str, Any]:
    predictor: dict[str, Any] = {"minReplicas": least, "maxReplicas": 1, "containers": [{
        "name": "kserve-container",
        "image": "vllm/vllm-openai:v0.11.0",
        "args": ["--model=meta-llama/Llama-3.2-1B", f"--served-model-name={model}", "--port=8080"],
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {"limits": {"nvidia.com/gpu": "1", "memory": "16Gi"}, "requests": {"memory": "16Gi"}},
    }]}  # fmt: skip
    if percent is not None:
        predictor["canaryTrafficPercent"] = percent
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "llm", "annotations": {"serving.kserve.io/deploymentMode": "Knative"}},
        "spec": {"predictor": predictor},
    }


@pytest.mark.slow
def test_kserves_canary_gets_its_percent_in_knative_mode(api: client.ApiClient) -> None:
    space = namespace_of(api, "canary")
    custom = client.CustomObjectsApi(api)
    place = ("serving.kserve.io", "v1beta1", space, "inferenceservices")

    def traffic() -> list[tuple[str, int]]:
        """Revisions and their percents, as soon as the service is ready with what is asked for."""
        status = custom.get_namespaced_custom_object(*place, "llm").get("status") or {}
        ready = any(
            one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ()
        )
        entries = ((status.get("components") or {}).get("predictor") or {}).get("traffic") or ()
        return (
            [(one["revisionName"], one["percent"]) for one in entries if one.get("percent")] if ready else []
        )

    custom.create_namespaced_custom_object(*place, _isvc("old"))
    assert until(traffic, 120), custom.get_namespaced_custom_object(*place, "llm")
    custom.patch_namespaced_custom_object(*place, "llm", _isvc("new", 10))
    assert until(lambda: len(traffic()) == 2, 120), custom.get_namespaced_custom_object(*place, "llm")
    assert [("llm-predictor-00001", 90), ("llm-predictor-00002", 10)] == sorted(traffic())
    ingress = client.CoreV1Api(api).read_namespaced_service("kourier", "kourier-system").spec.cluster_ip
    host = f"llm-predictor.{space}.svc.cluster.local"

    answers = _asked(f"http://{ingress}", host, path="/v1/models")

    assert {200} == {one.status_code for one in answers}
    served = Counter(one.json()["data"][0]["id"] for one in answers)
    assert _is_share(served["new"], 0.1), served
    assert _REQUESTS == served["old"] + served["new"]


@pytest.mark.slow
def test_a_revision_at_work_stays_and_an_idle_one_goes_to_zero(api: client.ApiClient) -> None:
    space = namespace_of(api, "sleeper")
    custom, apps = client.CustomObjectsApi(api), client.AppsV1Api(api)
    custom.create_namespaced_custom_object(
        "serving.kserve.io", "v1beta1", space, "inferenceservices", _isvc("llm", least=0)
    )

    def replicas() -> int:
        found = apps.list_namespaced_deployment(space).items
        return int(found[0].spec.replicas) if found else -1

    assert until(lambda: replicas() == 0, 120)
    ingress = client.CoreV1Api(api).read_namespaced_service("kourier", "kourier-system").spec.cluster_ip
    asked = {"model": "llm", "prompt": "x", "max_tokens": 30_000, "ignore_eos": True}
    seen: list[int] = []

    async def work() -> httpx2.Response:
        """One request of several minutes, far beyond the window in which an idle revision would go."""
        headers = {"host": f"llm-predictor.{space}.svc.cluster.local"}
        async with httpx2.AsyncClient(timeout=120, trust_env=False, headers=headers) as web:
            asking = asyncio.create_task(web.post(f"http://{ingress}/v1/completions", json=asked))
            while not asking.done():
                seen.append(await asyncio.to_thread(replicas))
                await asyncio.sleep(0.2)
            return await asking

    answer = asyncio.run(work())

    assert 200 == answer.status_code, answer.text
    assert 30_000 == answer.json()["usage"]["completion_tokens"]
    awake = seen[seen.index(1) :]
    assert {1} == set(awake), seen
    assert until(lambda: replicas() == 0, 60)
