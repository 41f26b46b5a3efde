"""Tenants with names, priorities and quotas filled in."""

from collections.abc import Iterable
from typing import Final

from stoker.platform.document import Platform
from stoker.platform.tenants import Tenant, WorkloadClass
from stoker.sizing.resolved import ResolvedModel, ResolvedPool, ResolvedTenant

__all__ = ["DEFAULT_TENANT", "gpu_quota", "owner", "resolve_tenants"]

DEFAULT_TENANT: Final = Tenant(name="inference", workload_class=WorkloadClass.PRODUCTION)

# Gaps leave room for classes in between; a user-defined class may go up to 1e9 (kubernetes pkg/apis/scheduling/types.go).
_PRIORITY: Final = {
    WorkloadClass.PRODUCTION: 1_000_000,
    WorkloadClass.STAGING: 500_000,
    WorkloadClass.BATCH: 100_000,
    WorkloadClass.TRAINING: 50_000,
    WorkloadClass.EXPERIMENTS: 10_000,
}
_PREEMPTS: Final = frozenset((WorkloadClass.PRODUCTION, WorkloadClass.STAGING))
_PODS: Final = 50


def resolve_tenants(platform: Platform) -> dict[str, ResolvedTenant]:
    """Every tenant, before its quota is known (`gpu_quota` needs the placed models)."""
    return {tenant.name: _resolve(tenant) for tenant in platform.tenants or (DEFAULT_TENANT,)}


def owner(platform: Platform, tenant: str | None) -> str:
    """The tenant a model belongs to when it names none: the only one, or the first production one."""
    tenants = platform.tenants or (DEFAULT_TENANT,)
    if tenant is not None:
        return tenant
    production = [item for item in tenants if item.workload_class is WorkloadClass.PRODUCTION]
    return (production or list(tenants))[0].name


def _resolve(tenant: Tenant) -> ResolvedTenant:
    kind = tenant.workload_class
    production = kind is WorkloadClass.PRODUCTION
    cap = tenant.guardrails.max_gpus_per_pod
    return ResolvedTenant(
        spec=tenant,
        namespace=tenant.resolved_namespace,
        priority_class=f"stoker-{tenant.name}",
        priority=tenant.priority if tenant.priority is not None else _PRIORITY[kind],
        preempts=tenant.preempts if tenant.preempts is not None else kind in _PREEMPTS,
        gpu_quota={},
        pods_quota=tenant.quota.pods if tenant.quota.pods is not None or production else _PODS,
        max_gpus_per_pod=1 if cap is None and kind is WorkloadClass.EXPERIMENTS else cap,
    )


def gpu_quota(
    tenant: ResolvedTenant, models: Iterable[ResolvedModel], pools: dict[str, ResolvedPool]
) -> dict[str, int]:
    """Ceilings by extended resource name.

    A plain number counts whole GPUs (the first resource of the first pool where no pool offers whole ones). A mapping
    counts by pool; pools that offer the same resource add up, since a quota cannot tell them apart. Without either, the
    quota is what the tenant's models take at their peak. Resources that the cluster offers and the tenant has no share
    of get 0: a name that a quota does not list is unlimited.
    """
    offered = list(dict.fromkeys(item.resource for pool in pools.values() for item in pool.slices))
    wanted = tenant.spec.quota.gpus
    totals: dict[str, int] = {}
    if wanted is None:
        for model in models:
            totals[model.slice.resource] = totals.get(model.slice.resource, 0) + model.peak_gpus
        if not totals:
            return {}
    elif isinstance(wanted, int):
        whole = [item.resource for pool in pools.values() for item in pool.slices if item.gpu_fraction == 1]
        totals[(whole or offered)[0]] = wanted
    else:
        for name, count in wanted.items():
            for item in pools[name].slices:
                totals[item.resource] = totals.get(item.resource, 0) + count
    return {resource: totals.get(resource, 0) for resource in offered}
