"""LLMInferenceServices: the workload, the pool and the ways to it."""

from typing import Any

import pytest
from tests.lab.platform.world import Platform, make_platform

from stoker.lab.platform import listeners

Object = dict[str, Any]

LLM = "serving.kserve.io/v1alpha2/LLMInferenceService"
GATEWAY = "gateway.networking.k8s.io/v1"


@pytest.fixture
def platform() -> Platform:
    made = make_platform("kserve", "gateway", "lws")
    for kind, metadata, spec in (
        ("GatewayClass", {"name": "envoy"}, {"controllerName": "x.io/y"}),
        (
            "Gateway",
            {"name": "web", "namespace": "default"},
            {"gatewayClassName": "envoy", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        ),
    ):
        made.local.create({"apiVersion": GATEWAY, "kind": kind, "metadata": metadata, "spec": spec})
    made.settle()
    return made


def llm(name: str = "llm", **spec: Any) -> Object:
    pod = {"containers": [{"name": "main", "image": "r/a:1", "ports": [{"containerPort": 8000}]}]}
    route = spec.pop("route", {"http": {}})
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": name},
        "spec": {
            "model": {"uri": "hf://meta/llama", "name": "llama"},
            "replicas": 1,
            "template": pod,
            "router": {
                "route": route,
                "gateway": {"refs": [{"name": "web", "namespace": "default"}]},
                "scheduler": {},
            },
            **spec,
        },
    }


def test_a_service_of_one_node_is_ready_with_its_pods_and_its_route(platform: Platform) -> None:
    platform.create(llm())
    platform.run_pods()
    assert platform.fetch("apps/v1/Deployment", "llm-kserve")["spec"]["replicas"] == 1
    assert platform.conditions(LLM, "llm")["Ready"] == ("True", "")
    rules = [
        rule
        for one in listeners(platform.local)
        if one.kind == "http"
        for rule in one.rules
        if rule.path == "/default/llm/v1/chat/completions"
    ]
    assert [(one.rewrite_path, [two.port for two in one.backends]) for one in rules] == [
        ("/v1/chat/completions", [8000])
    ]


def test_an_engine_without_a_command_serves_the_model_by_both_its_names(platform: Platform) -> None:
    bare = {"containers": [{"name": "main", "image": "r/vllm:1", "args": ["--max-model-len=8192"]}]}
    platform.create(llm(template=bare, parallelism={"tensor": 2}))
    container = platform.fetch("apps/v1/Deployment", "llm-kserve")["spec"]["template"]["spec"]["containers"][
        0
    ]

    names = ["--served-model-name", "llama", "publishers/default/models/llama"]
    assert [*names, "--tensor-parallel-size", "2", "--max-model-len=8192"] == container["args"]
    own = {"containers": [{"name": "main", "image": "r/vllm:1", "command": ["vllm"], "args": ["serve", "x"]}]}
    platform.create({**llm(template=own), "metadata": {"name": "own", "namespace": "default"}})
    container = platform.fetch("apps/v1/Deployment", "own-kserve")["spec"]["template"]["spec"]["containers"][
        0
    ]
    assert ["serve", "x"] == container["args"]


def test_workers_make_it_a_group_of_pods(platform: Platform) -> None:
    worker = {"containers": [{"name": "main", "image": "r/a:1"}]}
    platform.create(llm(worker=worker, parallelism={"tensor": 8, "pipeline": 2}))
    group = platform.fetch("leaderworkerset.x-k8s.io/v1/LeaderWorkerSet", "llm-kserve-mn")
    assert group["spec"]["leaderWorkerTemplate"]["size"] == 2
    assert platform.names("v1/Pod") == ["llm-kserve-mn-0", "llm-kserve-mn-0-1"]


def test_a_count_that_another_owns_is_left_to_it(platform: Platform) -> None:
    made = llm()
    made["spec"].pop("replicas")
    platform.create(made)
    platform.change("apps/v1/Deployment", "llm-kserve", lambda obj: obj["spec"].update(replicas=4))
    assert platform.fetch("apps/v1/Deployment", "llm-kserve")["spec"]["replicas"] == 4


def test_members_of_a_group_share_the_requests_for_their_model_by_weight(platform: Platform) -> None:
    platform.create(llm(route={"http": {}, "group": "g", "weight": 90}))
    platform.create(llm("next", route={"http": {}, "group": "g", "weight": 10}))
    rules = platform.fetch(f"{GATEWAY}/HTTPRoute", "llm-kserve-route")["spec"]["rules"]
    by_path = {
        rule["matches"][0].get("path", {}).get("value"): [
            (one["name"], one["weight"]) for one in rule["backendRefs"]
        ]
        for rule in rules
    }
    assert by_path["/publishers/default/models/llama/v1/completions"] == [
        ("llm-inference-pool", 90),
        ("next-inference-pool", 10),
    ]
    assert by_path["/default/llm/v1/completions"] == [("llm-inference-pool", 1)]
