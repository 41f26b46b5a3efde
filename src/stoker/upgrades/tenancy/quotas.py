"""ResourceQuotas: only lines that the API server enforces."""

from typing import Final

from stoker.platform.cluster import GpuAllocation
from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.scheduling.claims import device_class
from stoker.upgrades.tenancy.queues import borrowable, lendable

__all__ = ["QUOTA", "compile_quotas", "gpu_lines"]

QUOTA: Final = "stoker-quota"
FOREIGN_QUOTA: Final = "stoker-foreign-priorities"
_DRA_CLASSES: Final = ("gpu.nvidia.com", "mig.nvidia.com")


def compile_quotas(platform: ResolvedPlatform) -> list[Emitted]:
    """A quota for each tenant with a ceiling, and one that keeps GPUs from pods of foreign priority classes."""
    found: list[Emitted] = [_critical(platform)]
    lent = lendable(platform)
    for tenant in platform.tenants.values():
        hard = _hard(platform, tenant, borrowable(platform, tenant, lent))
        if hard:
            found.append(_quota(platform, tenant, hard))
        if platform.spec.tenancy.guard_priorities:
            found.append(_foreign(platform, tenant))
    return found


def _critical(platform: ResolvedPlatform) -> Emitted:
    # Some clusters (GKE) admit system-* classes only into namespaces with a quota for them
    # (kubernetes.io/docs/concepts/policy/resource-quotas, "Limit Priority Class consumption by default").
    classes = ["system-cluster-critical", "system-node-critical"]
    scope = {"scopeName": "PriorityClass", "operator": "In", "values": classes}
    pods = 10 + sum(pool.max_nodes for pool in platform.pools.values())
    return emit(
        platform,
        Upgrade.TENANCY,
        Wave.POLICY,
        "Admits the platform's own critical pods outside kube-system where the cluster limits those classes",
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "critical-pods", "namespace": PLATFORM_NAMESPACE},
            "spec": {"hard": {"pods": str(pods)}, "scopeSelector": {"matchExpressions": [scope]}},
        },
    )


def gpu_lines(platform: ResolvedPlatform, counts: dict[str, int]) -> Object:
    """``hard`` lines for GPU counts by extended resource name.

    Only ``requests.NAME`` is enforced; ``limits.NAME`` is accepted and never counted (kubernetes
    pkg/quota/v1/evaluator/core/pods.go). Under DRA the devices of each class are counted as well
    (pkg/quota/v1/evaluator/core/resource_claims.go).
    """
    lines = {f"requests.{name}": str(count) for name, count in counts.items()}
    if platform.spec.cluster.gpu_allocation is GpuAllocation.DRA and counts:
        devices = dict.fromkeys(_DRA_CLASSES, 0)
        for name, count in counts.items():
            kind = device_class(name)
            if kind is not None:
                devices[kind] += count
        lines |= {
            f"{name}.deviceclass.resource.k8s.io/devices": str(count) for name, count in devices.items()
        }
    return lines


def _hard(platform: ResolvedPlatform, tenant: ResolvedTenant, borrowed: dict[str, int]) -> Object:
    # With Kueue, a quota that stops at the tenant's own share would refuse every GPU that others lend.
    counts = {name: count + borrowed[name] for name, count in tenant.gpu_quota.items()}
    quota = tenant.spec.quota
    hard = gpu_lines(platform, counts)
    if quota.cpu is not None:
        hard["requests.cpu"] = quota.cpu
    if quota.memory is not None:
        hard["requests.memory"] = quota.memory
        hard["limits.memory"] = quota.memory
    if quota.storage is not None:
        hard["requests.storage"] = quota.storage
    if tenant.pods_quota is not None:
        hard["pods"] = str(tenant.pods_quota)
    return hard


def _quota(platform: ResolvedPlatform, tenant: ResolvedTenant, hard: Object) -> Emitted:
    return emit(
        platform,
        Upgrade.TENANCY,
        Wave.POLICY,
        f"Ceiling of {tenant.name}; every GPU resource name is listed, one that is not would be unlimited",
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": QUOTA, "namespace": tenant.namespace},
            "spec": {"hard": hard},
        },
        tenant=tenant,
    )


def _foreign(platform: ResolvedPlatform, tenant: ResolvedTenant) -> Emitted:
    # Exists leaves out pods without a class: they have priority 0 and can push nobody away.
    names = dict.fromkeys(item.resource for pool in platform.pools.values() for item in pool.slices)
    scope = "PriorityClass"
    return emit(
        platform,
        Upgrade.TENANCY,
        Wave.POLICY,
        f"In {tenant.namespace} no GPU goes to a pod of another tenant's priority, even if the admission policy is off",
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": FOREIGN_QUOTA, "namespace": tenant.namespace},
            "spec": {
                "hard": {f"requests.{name}": "0" for name in names},
                "scopeSelector": {
                    "matchExpressions": [
                        {"scopeName": scope, "operator": "Exists"},
                        {"scopeName": scope, "operator": "NotIn", "values": [tenant.priority_class]},
                    ]
                },
            },
        },
        tenant=tenant,
    )
