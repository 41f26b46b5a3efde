"""LimitRanges: what a container gets that names no CPU or memory. Never a GPU."""

from typing import Final

from stoker.platform.base import bytes_of
from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit

__all__ = ["compile_limit_ranges"]

LIMIT_RANGE: Final = "stoker-defaults"


def compile_limit_ranges(platform: ResolvedPlatform) -> list[Emitted]:
    """One a tenant.

    GPUs are not named: a maximum alone would be copied into the default (kubernetes pkg/apis/core/v1/defaults.go) and
    give every container a GPU.
    """
    return [
        emit(
            platform,
            Upgrade.TENANCY,
            Wave.POLICY,
            f"Containers in {tenant.namespace} that name no CPU or memory get a small request; GPUs are never given unasked",
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {"name": LIMIT_RANGE, "namespace": tenant.namespace},
                "spec": {"limits": [_container(tenant)]},
            },
            tenant=tenant,
        )
        for tenant in platform.tenants.values()
    ]


def _container(tenant: ResolvedTenant) -> Object:
    rails = tenant.spec.guardrails
    limit, most = _memory_limit(tenant), rails.max_memory_per_container
    memory = rails.default_memory
    if most is not None and bytes_of(memory) > bytes_of(most):
        memory = most
    item: Object = {"type": "Container", "defaultRequest": {"cpu": rails.default_cpu, "memory": memory}}
    if limit is not None:
        item["default"] = {"memory": limit}
    if most is not None:
        item["max"] = {"memory": most}
    return item


def _memory_limit(tenant: ResolvedTenant) -> str | None:
    """The default limit, where there must be one.

    A quota on memory refuses containers without a limit, a maximum does too. Anywhere else a default limit only breaks
    pods that request more than it and name no limit ("must be less than or equal to memory limit").
    """
    rails = tenant.spec.guardrails
    most = rails.max_memory_per_container
    if tenant.spec.quota.memory is not None:
        return (
            most
            if most is not None and bytes_of(most) < bytes_of(rails.default_memory)
            else rails.default_memory
        )
    return most
