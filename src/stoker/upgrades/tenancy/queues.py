"""Kueue: each tenant's GPUs are its own, and lent to the others while idle."""

from typing import Final

from stoker.sizing.pools import POOL_LABEL
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform, ResolvedPool, ResolvedTenant
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit

__all__ = ["LOCAL_QUEUE", "borrowable", "compile_queues", "lendable", "nominal_quota", "queue_labels"]

_API: Final = (
    "kueue.x-k8s.io/v1beta2"  # storage version of Kueue 0.19; v1beta1 answers with a deprecation warning
)
# Kueue puts workloads that name no queue into the LocalQueue of this name (LocalQueueDefaulting).
LOCAL_QUEUE: Final = "default"
_CPU_FLAVOR: Final = "stoker-cpu"
# Kueue admits no workload that requests a resource its queue does not cover. CPU, memory and scratch are covered and left
# unbounded: ResourceQuota and the GPUs bound them.
_UNBOUNDED: Final = {"cpu": "100000", "memory": "1Pi", "ephemeral-storage": "1Pi"}
_MAX_TOLERATIONS: Final = 8  # maxItems of ResourceFlavor.spec.tolerations


def queue_labels(platform: ResolvedPlatform, model: ResolvedModel) -> dict[str, str]:
    """Labels by which a model's workload is charged to its tenant's queue; empty without Kueue.

    GPUs of pods that Kueue does not see would be lent out a second time.
    """
    if not platform.spec.tenancy.kueue.enabled or not model.tenant.gpu_quota:
        return {}
    return {"kueue.x-k8s.io/queue-name": LOCAL_QUEUE}


def lendable(platform: ResolvedPlatform) -> dict[str, int]:
    """GPUs by resource name that tenants lend to each other; empty without Kueue."""
    kueue = platform.spec.tenancy.kueue
    totals: dict[str, int] = {}
    if kueue.enabled:
        for tenant in platform.tenants.values():
            for name, count in tenant.gpu_quota.items():
                totals[name] = totals.get(name, 0) + count * kueue.lend // 100
    return totals


def borrowable(platform: ResolvedPlatform, tenant: ResolvedTenant, lent: dict[str, int]) -> dict[str, int]:
    """GPUs by resource name that ``tenant`` can borrow: what all lend (``lent``) less its own part."""
    share = platform.spec.tenancy.kueue.lend
    return {name: max(0, lent.get(name, 0) - own * share // 100) for name, own in tenant.gpu_quota.items()}


def compile_queues(platform: ResolvedPlatform) -> list[Emitted]:
    """Flavors, and a ClusterQueue, LocalQueue and WorkloadPriorityClass for each tenant with a GPU quota."""
    if not platform.spec.tenancy.kueue.enabled:
        return []
    tenants = [tenant for tenant in platform.tenants.values() if tenant.gpu_quota]
    return [
        _flavor(platform, _CPU_FLAVOR, {}, "Quota of pods without GPUs; it ties them to no node"),
        *(_pool_flavor(platform, pool) for pool in platform.pools.values()),
        *(item for tenant in tenants for item in _queues(platform, tenant)),
    ]


def _pool_flavor(platform: ResolvedPlatform, pool: ResolvedPool) -> Emitted:
    # Node labels are exact values: GFD's product name where it has one spelling and no other pool shares it.
    terms = pool.node_selector_terms
    exact = all(len(term["values"]) == 1 for term in terms)
    labels = {term["key"]: term["values"][0] for term in terms} if exact else {POOL_LABEL: pool.name}
    hard = [item for item in pool.tolerations if item["effect"] != "PreferNoSchedule"]
    spec = {"nodeLabels": labels, "tolerations": hard[:_MAX_TOLERATIONS]}
    return _flavor(
        platform, pool.name, spec, f"GPUs of pool {pool.name}, with the tolerations its nodes ask for"
    )


def _flavor(platform: ResolvedPlatform, name: str, spec: Object, reason: str) -> Emitted:
    obj = {"apiVersion": _API, "kind": "ResourceFlavor", "metadata": {"name": name}, "spec": spec}
    return emit(platform, Upgrade.TENANCY, Wave.POLICY, reason, obj)


def _queues(platform: ResolvedPlatform, tenant: ResolvedTenant) -> list[Emitted]:
    kueue = platform.spec.tenancy.kueue
    name = f"stoker-{tenant.name}"
    cluster = {
        "apiVersion": _API,
        "kind": "ClusterQueue",
        "metadata": {"name": name},
        "spec": {
            "cohortName": kueue.cohort,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.namespace}},
            "queueingStrategy": "BestEffortFIFO",
            "preemption": {"reclaimWithinCohort": "Any", "withinClusterQueue": "LowerPriority"},
            "resourceGroups": [_resource_group(platform, tenant)],
        },
    }
    local = {
        "apiVersion": _API,
        "kind": "LocalQueue",
        "metadata": {"name": LOCAL_QUEUE, "namespace": tenant.namespace},
        "spec": {"clusterQueue": name},
    }
    priority = {
        "apiVersion": _API,
        "kind": "WorkloadPriorityClass",
        "metadata": {"name": tenant.priority_class},
        "value": tenant.priority,
        "description": f"Order of {tenant.name}'s workloads in the queue, the same as of its pods",
    }
    reasons = (
        (
            f"{tenant.name} owns its quota, lends up to {kueue.lend} % of it and takes it back when needed",
            cluster,
        ),
        (f"Workloads of {tenant.namespace} queue here without naming a queue", local),
        (f"Workloads of {tenant.name} queue in the order in which their pods would preempt", priority),
    )
    return [
        emit(platform, Upgrade.TENANCY, Wave.POLICY, reason, obj, tenant=tenant) for reason, obj in reasons
    ]


def _resource_group(platform: ResolvedPlatform, tenant: ResolvedTenant) -> Object:
    # One group: a resource may be in one group only, and a pod's CPU must come from the flavor of its GPUs.
    names = list(dict.fromkeys(item.resource for pool in platform.pools.values() for item in pool.slices))
    nominal = nominal_quota(platform, tenant)
    lend = platform.spec.tenancy.kueue.lend
    flavors = [_flavor_quota(_CPU_FLAVOR, dict.fromkeys(names, 0), lend)]
    for pool in platform.pools.values():
        counts = {name: nominal.get((pool.name, name), 0) for name in names}
        flavors.append(_flavor_quota(pool.name, counts, lend))
    return {"coveredResources": [*_UNBOUNDED, *names], "flavors": flavors}


def _flavor_quota(name: str, counts: dict[str, int], lend: int) -> Object:
    unbounded = [{"name": key, "nominalQuota": value} for key, value in _UNBOUNDED.items()]
    gpus = [
        {"name": key, "nominalQuota": str(count), "lendingLimit": str(count * lend // 100)}
        for key, count in counts.items()
    ]
    return {"name": name, "resources": [*unbounded, *gpus]}


def nominal_quota(platform: ResolvedPlatform, tenant: ResolvedTenant) -> dict[tuple[str, str], int]:
    """The tenant's GPUs by pool and resource name.

    By pool as the user wrote it; else where its models stand at their peak, the rest filling pools in the file's order.
    """
    wanted = tenant.spec.quota.gpus
    if isinstance(wanted, dict):
        return {
            (name, item.resource): count
            for name, count in wanted.items()
            for item in platform.pools[name].slices
        }
    left = dict(tenant.gpu_quota)
    found: dict[tuple[str, str], int] = {}

    def take(pool: str, resource: str, count: int) -> None:
        taken = min(count, left.get(resource, 0))
        found[pool, resource] = found.get((pool, resource), 0) + taken
        left[resource] = left.get(resource, 0) - taken

    for model in platform.models_of(tenant.name):
        take(model.pool.name, model.slice.resource, model.peak_gpus)
    for pool in platform.pools.values():
        for item in pool.slices:
            room = pool.max_nodes * item.per_node - found.get((pool.name, item.resource), 0)
            take(pool.name, item.resource, max(0, room))
    for pool in platform.pools.values():  # a quota larger than the cluster is still the user's word
        for item in pool.slices:
            take(pool.name, item.resource, left.get(item.resource, 0))
    return found
