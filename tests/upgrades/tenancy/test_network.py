"""Nothing is open but what serving needs."""

from collections.abc import Callable
from typing import Any

import pytest

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.tenancy import compile_tenancy

Resolver = Callable[[str], ResolvedPlatform]
Named = Callable[..., dict[str, Any]]


def _sources(policy: dict[str, Any]) -> set[str]:
    return {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in policy["spec"]["ingress"]
        for peer in rule["from"]
    }


def test_every_tenant_is_closed_by_default(resolved: Resolver, base: str, named: Named) -> None:
    objects = compile_tenancy(resolved(base))
    for tenant in ("prod", "lab"):
        spec = named(objects, "NetworkPolicy", "stoker-default-deny", tenant)["spec"]
        assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_requests_come_from_the_gateways_proxies(resolved: Resolver, base: str, named: Named) -> None:
    policy = named(compile_tenancy(resolved(base)), "NetworkPolicy", "stoker-callers", "prod")
    assert _sources(policy) == {"kserve", "envoy-gateway-system"}


@pytest.mark.parametrize(
    ("section", "namespace"),
    [
        ("serving: {mode: Knative}\n", "knative-serving"),
        ("autoscaling: {wake: http-addon}\n", "keda"),
    ],
)
def test_what_wakes_a_model_may_reach_it(
    resolved: Resolver, base: str, named: Named, section: str, namespace: str
) -> None:
    text = base.replace("tenant: prod", "tenant: prod\n    tier: batch") + section
    assert namespace in _sources(
        named(compile_tenancy(resolved(text)), "NetworkPolicy", "stoker-callers", "prod")
    )


def test_prometheus_reaches_the_engine_port_only(resolved: Resolver, base: str, named: Named) -> None:
    platform = resolved(base)
    policy = named(compile_tenancy(platform), "NetworkPolicy", "stoker-prometheus", "prod")
    (rule,) = policy["spec"]["ingress"]
    assert _sources(policy) == {"monitoring"}
    assert [item["port"] for item in rule["ports"]] == [platform.models["chat"].port]


def test_only_pods_that_download_weights_leave_the_cluster(
    resolved: Resolver, base: str, named: Named
) -> None:
    platform = resolved(base + "serving: {mode: Deployment}\n")
    objects = compile_tenancy(platform)
    policy = named(objects, "NetworkPolicy", "stoker-downloads-chat", "prod")
    assert policy["spec"]["podSelector"]["matchLabels"] == platform.models["chat"].pod_labels
    assert [item["port"] for item in policy["spec"]["egress"][0]["ports"]] == [443]


def test_mounted_weights_open_no_way_out(resolved: Resolver, base: str) -> None:
    text = base.replace(
        "hf://meta-llama/Meta-Llama-3-70B-Instruct", "pvc://weights/llama\n    architecture: llama-3-70b"
    )
    names = [item.object["metadata"]["name"] for item in compile_tenancy(resolved(text))]
    assert not [name for name in names if name.startswith(("stoker-downloads", "stoker-internet"))]


def test_policies_can_be_left_to_someone_else(resolved: Resolver, base: str) -> None:
    platform = resolved(base + "tenancy: {networkPolicies: false}\n")
    assert "NetworkPolicy" not in {item.object["kind"] for item in compile_tenancy(platform)}
