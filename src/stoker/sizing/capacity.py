"""What models take from one another: room for rollouts, quotas, GPUs of a pool."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from stoker.errors import Problem
from stoker.platform.cluster import GpuAllocation, Scheduler
from stoker.platform.document import Platform
from stoker.platform.tenants import WorkloadClass
from stoker.sizing.resolved import (
    Note,
    ResolvedModel,
    ResolvedPlatform,
    ResolvedPool,
    ResolvedTenant,
    Severity,
)
from stoker.sizing.tenants import gpu_quota

__all__ = ["bin_packing", "capacity_notes", "capacity_problems", "with_rollout"]


def with_rollout(
    models: Iterable[ResolvedModel], tenants: Mapping[str, ResolvedTenant], pools: Mapping[str, ResolvedPool]
) -> list[ResolvedModel]:
    """Give each model a rolling update that the free GPUs allow.

    A surge pod needs GPUs that nobody holds at the peak, in the pool and within the tenant's quota; where there are none
    one replica goes before its successor comes (maxSurge 0, maxUnavailable 1), else the rollout would wait for ever.
    """
    models = list(models)
    free = {
        (pool.name, item.resource): item.per_node * pool.spec.nodes
        for pool in pools.values()
        for item in pool.slices
    }
    for model in models:
        free[model.pool.name, model.slice.resource] -= model.peak_gpus
    room = _quota_room(models, tenants, pools)
    result: list[ResolvedModel] = []
    for model in models:
        pool_key = (model.pool.name, model.slice.resource)
        quota_key = (model.tenant.name, model.slice.resource)
        need = model.gpus_per_replica
        if free[pool_key] >= need and room.get(quota_key, need) >= need:
            free[pool_key] -= need
            if quota_key in room:
                room[quota_key] -= need
            result.append(replace(model, max_surge=1, max_unavailable=0))
        else:
            result.append(replace(model, max_surge=0, max_unavailable=1))
    return result


def _quota_room(
    models: Iterable[ResolvedModel], tenants: Mapping[str, ResolvedTenant], pools: Mapping[str, ResolvedPool]
) -> dict[tuple[str, str], int]:
    """GPUs left under each explicit quota once every model stands at its peak; no entry where none was asked for."""
    room = {
        (name, resource): ceiling
        for name, tenant in tenants.items()
        if tenant.spec.quota.gpus is not None
        for resource, ceiling in gpu_quota(tenant, (), dict(pools)).items()
    }
    for model in models:
        key = (model.tenant.name, model.slice.resource)
        if key in room:
            room[key] -= model.peak_gpus
    return room


def bin_packing(
    platform: Platform, models: Iterable[ResolvedModel], pools: Mapping[str, ResolvedPool]
) -> bool:
    """Whether GPU pods get the bin-packing scheduler; ``auto`` decides by whether fragmentation can happen at all."""
    choice = platform.cluster.scheduler
    if choice is not Scheduler.AUTO:
        return choice is Scheduler.BIN_PACKING
    if platform.cluster.gpu_allocation is GpuAllocation.DRA:
        return False  # NodeResourcesFit scores no ResourceClaims
    asked: dict[str, set[int]] = {}
    for model in models:
        asked.setdefault(model.pool.name, set()).add(model.gpus_per_pod)
    # Pods of tenants without models (training, notebooks) ask for one GPU at least; beside them any larger pod can
    # find no node with enough free GPUs.
    others = any(
        not any(model.tenant.name == tenant.name for model in models)
        for tenant in platform.tenants
        if tenant.workload_class is not WorkloadClass.PRODUCTION
    )
    return any(
        pools[name].gpus_per_node > 1 and (len(sizes) > 1 or (others and max(sizes) > 1))
        for name, sizes in asked.items()
    )


def capacity_problems(platform: ResolvedPlatform) -> list[Problem]:
    """Contradictions no cluster could carry out: minimum replicas beyond a pool's GPUs or a tenant's own quota."""
    problems: list[Problem] = []
    for index, pool in enumerate(platform.pools.values()):
        for item in pool.slices:
            least = sum(
                _least(model)
                for model in platform.models.values()
                if model.pool.name == pool.name and model.slice.resource == item.resource
            )
            have = item.per_node * pool.max_nodes
            if least > have:
                problems.append(
                    Problem(
                        f"the minimum replicas and canaries of the models in pool {pool.name} need {least} "
                        f"{item.resource}, the pool has {have}",
                        path=f"pools[{index}].nodes",
                        found=str(pool.spec.nodes),
                        wanted=f"at least {-(-least // item.per_node)} nodes",
                        fix="add nodes, lower replicas.min, or place a model elsewhere",
                    )
                )
    for index, tenant in enumerate(platform.tenants.values()):
        if tenant.spec.quota.gpus is None:
            continue
        for resource, ceiling in tenant.gpu_quota.items():
            least = sum(
                _least(model) for model in platform.models_of(tenant.name) if model.slice.resource == resource
            )
            if least > ceiling:
                problems.append(
                    Problem(
                        f"the minimum replicas and canaries of {tenant.name} need {least} {resource}, its quota is {ceiling}",
                        path=f"tenants[{index}].quota.gpus",
                        found=str(ceiling),
                        wanted=f"at least {least}",
                        fix="raise the quota or lower replicas.min",
                    )
                )
    return problems


def capacity_notes(platform: ResolvedPlatform) -> list[Note]:
    """What works but not at its peak: quotas below peak demand, demand or quotas beyond the pools."""
    notes: list[Note] = []
    for index, tenant in enumerate(platform.tenants.values()):
        models = platform.models_of(tenant.name)
        for resource, ceiling in tenant.gpu_quota.items():
            peak = sum(model.peak_gpus for model in models if model.slice.resource == resource)
            if peak > ceiling:
                notes.append(
                    Note(
                        Severity.WARNING,
                        f"tenants[{index}].quota.gpus",
                        f"{tenant.name} may hold {ceiling} {resource}, its models need {peak} at their peak (maximum "
                        "replicas, surge and canary): they will not all reach maxReplicas at once",
                        f"raise the quota to {peak} if they must",
                    )
                )
        if not tenant.gpu_quota:
            notes.append(
                Note(
                    Severity.WARNING,
                    f"tenants[{index}].quota.gpus",
                    f"{tenant.name} has neither models nor a GPU quota: it may take every free GPU",
                    "set quota.gpus",
                )
            )
    for index, pool in enumerate(platform.pools.values()):
        for item in pool.slices:
            have = item.per_node * pool.max_nodes
            peak = sum(
                model.peak_gpus
                for model in platform.models.values()
                if model.pool.name == pool.name and model.slice.resource == item.resource
            )
            if peak > have:
                notes.append(
                    Note(
                        Severity.WARNING,
                        f"pools[{index}].nodes",
                        f"models in pool {pool.name} need {peak} {item.resource} at their peak, the pool has {have}",
                        "add nodes or lower replicas.max",
                    )
                )
    return notes


def _least(model: ResolvedModel) -> int:
    canary = model.canary.replicas if model.canary else 0
    return (model.min_replicas + canary) * model.gpus_per_replica
