"""What each serving mode makes of a model, its canary and its neighbours."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted
from stoker.upgrades.serving import compile_serving

Resolver = Callable[[str], ResolvedPlatform]
PLATFORM = """
name: ai
pools: [{{name: a100, gpu: A100-SXM-80GB, nodes: 8}}]
serving: {{mode: {mode}}}
storage: [{{kind: nfs, name: nas, server: nfs.internal, path: /models}}]
models:
  - name: chat
    source: hf://meta-llama/Meta-Llama-3-70B-Instruct
    parallelism: {{tensor: 4}}
    replicas: {{min: 2, max: 4}}
    {model}
"""
CANARY = "canary: {engineVersion: 0.30.0, trafficPercent: 10}"
Named = Callable[..., dict[str, Any]]


def _serving(resolved: Resolver, mode: str, model: str = "tier: production") -> list[Emitted]:
    return compile_serving(resolved(PLATFORM.format(mode=mode, model=model)))


def _kinds(items: list[Emitted]) -> list[str]:
    return sorted(item.object["kind"] for item in items)


def test_standard_leaves_the_count_to_our_scaled_object(resolved: Resolver, named: Named) -> None:
    service = named(_serving(resolved, "Standard"), "InferenceService")

    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"


def test_standard_without_autoscaling_has_a_fixed_count(resolved: Resolver, named: Named) -> None:
    service = named(_serving(resolved, "Standard", "autoscaling: {enabled: false}"), "InferenceService")

    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "none"


def test_standard_names_its_own_pinned_runtime(resolved: Resolver, named: Named) -> None:
    items = _serving(resolved, "Standard")
    runtime = named(items, "ServingRuntime")
    model = named(items, "InferenceService")["spec"]["predictor"]["model"]

    assert model["runtime"] == runtime["metadata"]["name"]
    assert runtime["spec"]["containers"][0]["image"].startswith("vllm/vllm-openai:v")
    assert model["storageUri"] == "pvc://nas-weights/chat"
    assert model["resources"]["limits"]["cpu"]


def test_standard_canary_obeys_the_webhook_and_keeps_its_fixed_count(
    resolved: Resolver, named: Named
) -> None:
    spec = named(_serving(resolved, "Standard", CANARY), "InferenceService")["spec"]
    canary = spec["canary"][0]["predictor"]

    assert spec["canary"][0]["trafficPercent"] == 10
    assert canary["minReplicas"] <= spec["predictor"]["minReplicas"]
    assert spec["predictor"]["minReplicas"] == 3  # KServe takes the canary's one out of it
    assert canary["annotations"]["serving.kserve.io/autoscalerClass"] == "none"
    assert canary["model"]["runtime"] == "stoker-vllm-0-30-0"
    assert not {"maxReplicas", "scaleTarget", "scaleMetric", "autoScaling", "workerSpec"} & set(canary)


@pytest.mark.parametrize(
    ("mode", "services"),
    [
        pytest.param(
            "Standard",
            ["chat-predictor", "chat-canary-predictor"],
            id="KServe v0.20.0 splits no traffic itself",
        ),
        pytest.param("Deployment", ["chat", "chat-canary"], id="two Services of ours"),
    ],
)
def test_the_route_splits_by_weight(resolved: Resolver, named: Named, mode: str, services: list[str]) -> None:
    rule = named(_serving(resolved, mode, CANARY), "HTTPRoute")["spec"]["rules"][0]

    assert services == [item["name"] for item in rule["backendRefs"]]
    assert [90, 10] == [item["weight"] for item in rule["backendRefs"]]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        pytest.param("Standard", "stoker-chat", id="KServe would take over a route named as its own"),
        pytest.param("Deployment", "chat", id="nobody else makes routes"),
    ],
)
def test_no_controller_takes_the_route_over(resolved: Resolver, named: Named, mode: str, name: str) -> None:
    assert name == named(_serving(resolved, mode, CANARY), "HTTPRoute")["metadata"]["name"]


def test_knative_renders_the_stable_version_and_the_canary_as_a_next_step(
    resolved: Resolver, named: Named
) -> None:
    items = _serving(resolved, "Knative", CANARY)
    stable = named(items, "InferenceService")["spec"]["predictor"]
    step = json.loads(named(items, "ConfigMap")["data"]["inferenceservice.json"])["spec"]["predictor"]

    assert "canaryTrafficPercent" not in stable
    assert step["canaryTrafficPercent"] == 10
    assert stable["model"]["runtime"] != step["model"]["runtime"]
    assert not {"deploymentStrategy", "terminationGracePeriodSeconds"} & set(stable)
    assert ["http1"] == [port["name"] for port in stable["model"]["ports"]]


def test_llm_canary_is_a_second_service_of_the_same_group(resolved: Resolver) -> None:
    services = [
        item.object
        for item in _serving(resolved, "LLMInferenceService", CANARY)
        if item.object["kind"] == "LLMInferenceService"
    ]
    routes = [item["spec"]["router"]["route"] for item in services]

    assert ["chat", "chat-canary"] == [item["metadata"]["name"] for item in services]
    assert [("chat", 90), ("chat", 10)] == [(route["group"], route["weight"]) for route in routes]
    assert "replicas" not in services[0]["spec"]
    assert services[1]["spec"]["replicas"] == 1


def test_llm_lets_kserve_fetch_the_adapters(resolved: Resolver, named: Named) -> None:
    spec = named(
        _serving(resolved, "LLMInferenceService", "lora: [{name: law, source: hf://a/b}]"),
        "LLMInferenceService",
    )["spec"]

    assert spec["model"]["lora"]["adapters"] == [{"name": "law", "uri": "hf://a/b"}]
    assert "--enable-lora" not in spec["template"]["containers"][0]["args"]


def test_a_deployment_with_a_scaled_object_states_no_count(resolved: Resolver, named: Named) -> None:
    scaled = named(_serving(resolved, "Deployment"), "Deployment")
    fixed = named(_serving(resolved, "Deployment", "autoscaling: {enabled: false}"), "Deployment")

    assert "replicas" not in scaled["spec"]
    assert fixed["spec"]["replicas"] == 2


def test_transformer_counts_its_own_replicas(resolved: Resolver, named: Named) -> None:
    service = named(
        _serving(resolved, "Standard", "transformer: {image: 'reg.io/t:1', replicas: 3}"), "InferenceService"
    )

    assert service["spec"]["transformer"]["minReplicas"] == 3
    assert service["spec"]["transformer"]["annotations"] == {"serving.kserve.io/autoscalerClass": "none"}


def test_outlier_detector_gets_every_request_from_the_logger(resolved: Resolver, named: Named) -> None:
    items = _serving(resolved, "Standard", "outlierDetector: {image: 'reg.io/o:1'}")
    logger = named(items, "InferenceService")["spec"]["predictor"]["logger"]

    assert logger["mode"] == "all"
    assert logger["url"].startswith(f"http://{named(items, 'Service')['metadata']['name']}.")


def test_two_compilations_are_equal(resolved: Resolver) -> None:
    assert _serving(resolved, "Standard", CANARY) == _serving(resolved, "Standard", CANARY)
    assert _kinds(_serving(resolved, "Deployment")) == ["Deployment", "Gateway", "HTTPRoute", "Service"]


def test_kserves_templates_cannot_read_a_users_argument(resolved: Resolver, named: Named) -> None:
    service = named(
        _serving(resolved, "Standard", "engine: {name: vllm, args: ['--x={{.Name}}']}"), "InferenceService"
    )

    assert service["spec"]["predictor"]["model"]["args"][-1] == "--x={{`{{`}}.Name}}"
