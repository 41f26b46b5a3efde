"""Quotas hold, defaults never hand out GPUs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stoker.platform.base import bytes_of
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.tenancy import compile_tenancy

Resolver = Callable[[str], ResolvedPlatform]
Named = Callable[..., dict[str, Any]]


@pytest.fixture
def two_pools(base: str) -> str:
    return base.replace("nodes: 4}", "nodes: 4}\n  - {name: t4, gpu: T4, nodes: 1, sharing: {mode: mps}}")


def test_every_gpu_resource_of_the_cluster_has_a_ceiling(
    resolved: Resolver, two_pools: str, named: Named
) -> None:
    hard = named(compile_tenancy(resolved(two_pools)), "ResourceQuota", "stoker-quota", "lab")["spec"]["hard"]
    assert hard["requests.nvidia.com/gpu"] == "2"
    assert hard["requests.nvidia.com/gpu.shared"] == "0"


def test_no_line_is_written_that_the_server_ignores(resolved: Resolver, two_pools: str, shared: Path) -> None:
    # The recording shows that only names with the prefix `requests.` reach status.used.
    recorded = json.loads((shared / "oracle/api/quota-limits-gpu-ignored.json").read_text())
    assert "limits.nvidia.com/gpu" in json.dumps(recorded)
    lines = [
        line
        for item in compile_tenancy(resolved(two_pools))
        if item.object["kind"] == "ResourceQuota"
        for line in item.object["spec"]["hard"]
        if "/" in line
    ]
    assert lines
    assert all(line.startswith("requests.") for line in lines)


def test_a_foreign_priority_gets_no_gpu(resolved: Resolver, base: str, named: Named) -> None:
    spec = named(compile_tenancy(resolved(base)), "ResourceQuota", "stoker-foreign-priorities", "lab")["spec"]
    assert spec["hard"] == {"requests.nvidia.com/gpu": "0"}
    operators = {item["operator"]: item.get("values") for item in spec["scopeSelector"]["matchExpressions"]}
    assert operators == {"Exists": None, "NotIn": ["stoker-lab"]}


def test_dra_devices_are_counted_too(resolved: Resolver, base: str, named: Named) -> None:
    platform = resolved(base + "cluster: {version: '1.35', gpuAllocation: dra}\n")
    hard = named(compile_tenancy(platform), "ResourceQuota", "stoker-quota", "lab")["spec"]["hard"]
    assert hard["gpu.nvidia.com.deviceclass.resource.k8s.io/devices"] == "2"
    assert hard["mig.nvidia.com.deviceclass.resource.k8s.io/devices"] == "0"


def test_lent_gpus_fit_under_the_borrowers_ceiling(resolved: Resolver, base: str, named: Named) -> None:
    platform = resolved(base + "tenancy: {kueue: {enabled: true, lend: 50}}\n")
    hard = named(compile_tenancy(platform), "ResourceQuota", "stoker-quota", "lab")["spec"]["hard"]
    lent = platform.tenants["prod"].gpu_quota["nvidia.com/gpu"] // 2
    assert hard["requests.nvidia.com/gpu"] == str(2 + lent)


@pytest.mark.parametrize(
    "extra",
    [
        "",
        "quota: {memory: 64Gi}",
        "guardrails: {maxMemoryPerContainer: 32Gi}",
        "guardrails: {maxMemoryPerContainer: 1Gi}",
    ],
)
def test_defaults_name_no_gpu_and_leave_nothing_for_the_server_to_copy(
    resolved: Resolver, base: str, named: Named, extra: str
) -> None:
    # The server copies a maximum without a default into the default (oracle/api/limitrange-only-max.json).
    text = base.replace("quota: {gpus: 2}}", f"{extra}}}" if extra else "quota: {gpus: 2}}")
    (item,) = named(compile_tenancy(resolved(text)), "LimitRange", namespace="lab")["spec"]["limits"]
    assert "gpu" not in json.dumps(item)
    assert set(item.get("max", {})) <= set(item.get("default", {}))
    for name, most in item.get("max", {}).items():
        assert bytes_of(item["default"][name]) <= bytes_of(most)
        assert bytes_of(item["defaultRequest"][name]) <= bytes_of(item["default"][name])


def test_a_quota_on_memory_comes_with_the_defaults_that_it_needs(
    resolved: Resolver, base: str, named: Named
) -> None:
    objects = compile_tenancy(resolved(base.replace("gpus: 2", "gpus: 2, memory: 64Gi")))
    hard = named(objects, "ResourceQuota", "stoker-quota", "lab")["spec"]["hard"]
    (item,) = named(objects, "LimitRange", namespace="lab")["spec"]["limits"]
    assert {"requests.memory", "limits.memory"} <= set(hard)
    assert "memory" in item["default"]
    assert "memory" in item["defaultRequest"]


def test_pods_that_request_more_than_the_default_pass_where_no_limit_is_needed(
    resolved: Resolver, base: str, named: Named
) -> None:
    (item,) = named(compile_tenancy(resolved(base)), "LimitRange", namespace="prod")["spec"]["limits"]
    assert "default" not in item
