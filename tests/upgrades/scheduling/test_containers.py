"""What the engine container asks for, and when it counts as started, ready and dead."""

from collections.abc import Callable
from typing import Any

import pytest

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.scheduling import (
    compile_scheduling,
    container_resources,
    pod_placement,
    probes,
    shared_memory,
)
from stoker.upgrades.scheduling.containers import quantity

Resolver = Callable[[str], ResolvedPlatform]
Named = Callable[..., dict[str, Any]]


def test_engine_pods_are_guaranteed(resolved: Resolver, base: str) -> None:
    platform = resolved(base)
    resources = container_resources(platform, platform.models["chat"])
    assert resources["limits"] == {key: resources["requests"][key] for key in resources["limits"]}
    assert set(resources["limits"]) == {"cpu", "memory", "nvidia.com/gpu"}


def test_gpus_asked_for_are_those_of_the_layout(resolved: Resolver, base: str) -> None:
    platform = resolved(base.replace("tenant: prod", "tenant: prod\n    parallelism: {tensor: 4}"))
    assert container_resources(platform, platform.models["chat"])["limits"]["nvidia.com/gpu"] == "4"


def test_pods_that_download_reserve_the_disk_but_are_never_evicted_for_it(
    resolved: Resolver, base: str
) -> None:
    platform = resolved(base + "serving: {mode: Deployment}\n")
    resources = container_resources(platform, platform.models["chat"])
    weights = platform.models["chat"].weights_gib
    assert int(resources["requests"]["ephemeral-storage"].removesuffix("Mi")) > weights * 1024
    assert "ephemeral-storage" not in resources["limits"]


def test_the_startup_budget_is_twice_the_estimated_load(resolved: Resolver, base: str) -> None:
    model = resolved(base).models["chat"]
    probe = probes(model)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 2 * model.startup_seconds


def test_a_busy_engine_is_not_killed_within_a_minute(resolved: Resolver, base: str) -> None:
    probe = probes(resolved(base).models["chat"])["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > 60


def test_shared_memory_is_bounded_and_mounted_where_nccl_looks(resolved: Resolver, base: str) -> None:
    volume, mount = shared_memory(resolved(base).models["chat"])
    assert volume["name"] == mount["name"]
    assert volume["emptyDir"]["medium"] == "Memory"
    assert volume["emptyDir"]["sizeLimit"]
    assert mount["mountPath"] == "/dev/shm"  # noqa: S108  # the path itself is under test


@pytest.mark.parametrize(
    ("size", "text"), [(2**30, "1Gi"), (2**30 + 1, "1025Mi"), (300 * 2**30, "300Gi"), (1, "1Mi")]
)
def test_quantities_are_rounded_up_to_whole_mebibytes(size: int, text: str) -> None:
    assert quantity(size) == text


def test_dra_claims_take_the_place_of_the_extended_resource(
    resolved: Resolver, base: str, named: Named
) -> None:
    platform = resolved(base + "cluster: {version: '1.35', gpuAllocation: dra}\n")
    model = platform.models["chat"]
    resources = container_resources(platform, model)
    (claim,) = pod_placement(platform, model)["resourceClaims"]
    assert resources["claims"] == [{"name": claim["name"]}]
    assert "nvidia.com/gpu" not in resources["limits"]
    template = named(
        compile_scheduling(platform), "ResourceClaimTemplate", claim["resourceClaimTemplateName"]
    )
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["count"] == model.gpus_per_pod
    assert request["exactly"]["deviceClassName"] == "gpu.nvidia.com"
