"""The load generator against engines of a lab that runs: what it counts is what they count."""

import json
import re
import time
import urllib.request
from collections.abc import Callable

import pytest
from tests.lab.running.conftest import Kubectl, stoker

from stoker.load import Api, Clock, LoadRun, Target, poisson_plan, run_sync, summarise

_SPEED = 30.0  # of `lab_state`
_COUNT = re.compile(r"^vllm:request_success_total\{[^}]*\} (\S+)$", re.MULTILINE)


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@pytest.fixture(scope="module")
def engines(kubectl: Kubectl) -> tuple[str, list[str]]:
    """A Service before two engines: its URL, and those of the pods.

    Thirty times as fast, a machine that is busy for seconds looks like nodes that are gone for minutes: the pods tolerate that.
    """
    labels = {"app": "llm"}
    container = {
        "name": "vllm",
        "image": "vllm/vllm-openai:v0.19.0",
        "args": [
            "--model",
            "meta-llama/Llama-3.1-8B-Instruct",
            "--served-model-name",
            "llama",
            "--max-model-len",
            "8192",
        ],
        "ports": [{"containerPort": 8000}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
        "readinessProbe": {
            "httpGet": {"path": "/health", "port": 8000},
            "timeoutSeconds": 60,
            "failureThreshold": 10,
        },
    }
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "llm"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "tolerations": [{"operator": "Exists", "effect": "NoExecute"}]}}},
    }  # fmt: skip
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "llm"},
               "spec": {"selector": labels, "publishNotReadyAddresses": True, "ports": [{"port": 80, "targetPort": 8000}]}}  # fmt: skip
    namespace = "engines-under-load"
    kubectl("create", "namespace", namespace)
    for item in (deployment, service):
        kubectl("-n", namespace, "apply", "-f", "-", text=item)

    def get(what: str, path: str) -> str:
        return kubectl("-n", namespace, "get", *what.split(), "-o", f"jsonpath={path}").stdout

    assert _within(120, lambda: get("deployment llm", "{.status.readyReplicas}") == "2")
    pods = get("pods", "{.items[*].status.podIP}").split()
    return f"http://{get('service llm', '{.spec.clusterIP}')}", [f"http://{pod}:8000" for pod in pods]


def _answered(pod: str) -> int:
    with urllib.request.urlopen(f"{pod}/metrics", timeout=30) as page:  # noqa: S310 - a pod of the lab
        return round(sum(float(count) for count in _COUNT.findall(page.read().decode())))


def test_engines_of_a_lab_answer_every_protocol_and_count_the_same_requests(
    engines: tuple[str, list[str]],
) -> None:
    url, pods = engines
    plan = poisson_plan(4.0, 60.0, model="llama", prompt_tokens=100, output_tokens=20)
    for api in Api:
        summary = summarise(run_sync(plan, Target(url, api), clock=Clock(_SPEED)))
        assert summary.total.outcomes == {"ok": 240}
        assert summary.answered_by == {"llama": 240}
        if api is not Api.INFER:
            assert summary.total.tpot.count == 240
            assert summary.output_tokens == 240 * 20
            assert summary.prompt_tokens is not None
            # A chat's template adds a few tokens to each.
            assert 240 * 100 <= summary.prompt_tokens <= 240 * 115
    counts = [_answered(pod) for pod in pods]
    assert sum(counts) == 3 * 240
    # A connection for each request: the Service spreads them.
    assert min(counts) > 3 * 240 / 3


def test_the_generator_sees_the_engine_s_own_latency(engines: tuple[str, list[str]]) -> None:
    url, pods = engines
    plan = poisson_plan(2.0, 120.0, model="llama", prompt_tokens=2000, output_tokens=50)
    with LoadRun(plan, Target(url), clock=Clock(_SPEED)) as load:
        assert _within(120, lambda: load.summary_so_far().total.ok > 20)
        summary = summarise(load.wait(300))
    assert summary.total.ok == 240
    told = [_first_token_mean(pod) for pod in pods]
    assert summary.total.ttft_from_send.mean is not None
    # The engine counts from when it has read the request: the client sees that and what lies between them.
    assert summary.total.ttft_from_send.mean > min(told)


def _first_token_mean(pod: str) -> float:
    with urllib.request.urlopen(f"{pod}/metrics", timeout=30) as page:  # noqa: S310 - a pod of the lab
        text = page.read().decode()
    seconds, count = (
        float(
            re.findall(rf"^vllm:time_to_first_token_seconds_{part}\{{[^}}]*\}} (\S+)$", text, re.MULTILINE)[0]
        )
        for part in ("sum", "count")
    )
    return seconds / count


def test_the_command_reports_the_lab_s_time_and_judges_promises(engines: tuple[str, list[str]]) -> None:
    url, _ = engines
    arguments = (
        "load",
        url,
        "--model",
        "llama",
        "--rate",
        "1..5",
        "--for",
        "1m",
        "--speed",
        int(_SPEED),
        "--output",
        "json",
    )
    # So wide that no busy machine misses it; where the generator itself is late, a narrow one is inconclusive.
    kept = stoker(*arguments, "--slo", "e2e_p99<600m", "--slo", "errors<1%")
    document = json.loads(kept.stdout)
    assert document["ok"] == document["planned"] == 180
    assert document["provenance"]["speed"] == _SPEED
    assert [one["verdict"] for one in document["slo"]] == ["kept", "kept"]
    missed = stoker(*arguments, "--slo", "tpot_p50<0.1ms", check=False)
    assert missed.returncode == 1
    unknown = stoker(
        "load", url, "--model", "nobody", "--rate", "5", "--for", "30s", "--speed", int(_SPEED), check=False
    )
    assert unknown.returncode == 1
    assert "http 404" in unknown.stdout
    assert "The model `nobody` does not exist" in unknown.stdout
