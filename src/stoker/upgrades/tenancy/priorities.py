"""PriorityClasses: who yields to whom when GPUs are short."""

from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import Emitted, Upgrade, Wave, emit

__all__ = ["compile_priorities"]


def compile_priorities(platform: ResolvedPlatform) -> list[Emitted]:
    """One class a tenant; none is the cluster's default, so that pods which name no class stay at 0."""
    return [_priority(platform, tenant) for tenant in platform.tenants.values()]


def _priority(platform: ResolvedPlatform, tenant: ResolvedTenant) -> Emitted:
    takes = (
        "may preempt pods of lower priority" if tenant.preempts else "waits for free GPUs and preempts nobody"
    )
    return emit(
        platform,
        Upgrade.TENANCY,
        Wave.POLICY,
        f"Pods of {tenant.name} stand at {tenant.priority} in the scheduler's queue",
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": tenant.priority_class},
            "value": tenant.priority,
            "preemptionPolicy": "PreemptLowerPriority" if tenant.preempts else "Never",
            "description": f"{tenant.spec.workload_class} pods of namespace {tenant.namespace}; {takes}. A higher class, "
            "a drain or node pressure can still evict them.",
        },
        tenant=tenant,
    )
