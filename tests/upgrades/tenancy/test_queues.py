"""Kueue: what is lent, and to whom it belongs."""

from collections.abc import Callable
from typing import Any

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.tenancy import compile_tenancy, queue_labels

Resolver = Callable[[str], ResolvedPlatform]
Named = Callable[..., dict[str, Any]]
_ON = "tenancy: {kueue: {enabled: true, lend: 50}}\n"


def _gpus(queue: dict[str, Any], field: str) -> int:
    (group,) = queue["spec"]["resourceGroups"]
    return sum(
        int(resource[field])
        for flavor in group["flavors"]
        for resource in flavor["resources"]
        if "/" in resource["name"]
    )


def test_nothing_is_queued_unless_asked_for(resolved: Resolver, base: str) -> None:
    platform = resolved(base)
    assert not [item for item in compile_tenancy(platform) if "kueue" in item.object["apiVersion"]]
    assert queue_labels(platform, platform.models["chat"]) == {}


def test_each_tenant_owns_its_quota_and_lends_its_share(resolved: Resolver, base: str, named: Named) -> None:
    platform = resolved(base + _ON)
    objects = compile_tenancy(platform)
    for name, tenant in platform.tenants.items():
        queue = named(objects, "ClusterQueue", f"stoker-{name}")
        quota = sum(tenant.gpu_quota.values())
        assert (_gpus(queue, "nominalQuota"), _gpus(queue, "lendingLimit")) == (quota, quota // 2)


def test_an_owner_takes_back_what_it_lent(resolved: Resolver, base: str, named: Named) -> None:
    queue = named(compile_tenancy(resolved(base + _ON)), "ClusterQueue", "stoker-prod")
    assert queue["spec"]["cohortName"] == "gpus"
    assert queue["spec"]["preemption"]["reclaimWithinCohort"] == "Any"


def test_a_quota_by_pool_stays_with_its_pool(resolved: Resolver, base: str, named: Named) -> None:
    text = base.replace("nodes: 4}", "nodes: 4}\n  - {name: h100, gpu: H100-SXM-80GB, nodes: 2}")
    platform = resolved(text.replace("gpus: 2", "gpus: {h100: 8}") + _ON)
    (group,) = named(compile_tenancy(platform), "ClusterQueue", "stoker-lab")["spec"]["resourceGroups"]
    by_flavor = {
        flavor["name"]: resource["nominalQuota"]
        for flavor in group["flavors"]
        for resource in flavor["resources"]
        if resource["name"] == "nvidia.com/gpu"
    }
    assert by_flavor == {"stoker-cpu": "0", "a100": "0", "h100": "8"}


def test_pods_without_gpus_are_tied_to_no_gpu_node(resolved: Resolver, base: str, named: Named) -> None:
    objects = compile_tenancy(resolved(base + _ON))
    (group,) = named(objects, "ClusterQueue", "stoker-lab")["spec"]["resourceGroups"]
    assert group["flavors"][0]["name"] == "stoker-cpu"
    assert named(objects, "ResourceFlavor", "stoker-cpu")["spec"] == {}


def test_served_models_are_charged_to_their_tenants_queue(
    resolved: Resolver, base: str, named: Named
) -> None:
    platform = resolved(base + _ON)
    (name,) = queue_labels(platform, platform.models["chat"]).values()
    queue = named(compile_tenancy(platform), "LocalQueue", name, "prod")
    assert queue["spec"]["clusterQueue"] == "stoker-prod"
