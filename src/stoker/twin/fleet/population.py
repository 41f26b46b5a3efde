"""Who else is on the cluster: training jobs and notebooks of the tenants that have them, and services without GPUs.

Drawn with a seed, so that every fleet of a comparison has the same neighbours. The rates are assumptions, chosen so that
a cluster with such tenants is busy beside its inference, and said in docs/simulate.md: training holds a sixth of the GPUs
where nothing bounds it, notebooks one in twenty-five, and there is one service for every two nodes. Sizes and run times are
`stoker.twin.workload.neighbours`'. What they ask for and what they use differ, of host memory and of a share of a GPU alike:
most use less than they ask for, one in ten uses up to three times as much.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from stoker.platform.cluster import SharingMode
from stoker.platform.tenants import WorkloadClass
from stoker.sizing.resolved import ResolvedPlatform, ResolvedPool, ResolvedTenant
from stoker.twin.fleet.build import Upgrade
from stoker.twin.fleet.spec import Neighbour
from stoker.twin.workload.neighbours import NOTEBOOKS, PHILLY, draw_jobs

__all__ = ["population"]

_GIB: Final = 2**30
_TRAINING_SHARE: Final = 1 / 6
_NOTEBOOK_SHARE: Final = 1 / 25
_SERVICES_PER_NODE: Final = 0.5
_CORES_PER_GPU: Final = 8.0
_BUSY: Final = {"training": 0.9, "notebook": 0.05, "service": 0.0}


def population(
    platform: ResolvedPlatform,
    duration_s: float,
    rng: np.random.Generator,
    upgrades: frozenset[Upgrade],
) -> tuple[Neighbour, ...]:
    """Neighbours of ``duration_s`` seconds, in order of arrival. The draws do not depend on ``upgrades``."""
    found: list[Neighbour] = []
    for tenant in platform.tenants.values():
        if tenant.spec.workload_class is WorkloadClass.TRAINING:
            found += _jobs(platform, tenant, "training", duration_s, rng, upgrades)
        elif tenant.spec.workload_class is WorkloadClass.EXPERIMENTS:
            found += _jobs(platform, tenant, "notebook", duration_s, rng, upgrades)
    found += _services(platform, duration_s, rng, upgrades)
    return tuple(sorted(found, key=lambda each: each.arrival_s))


def _pool(platform: ResolvedPlatform) -> ResolvedPool:
    """The pool with the most GPUs: where neighbours go that name none."""
    return max(platform.pools.values(), key=lambda pool: pool.gpus)


def _pool_of(platform: ResolvedPlatform, tenant: ResolvedTenant) -> ResolvedPool:
    """Where a tenant's jobs go: a pool of shared GPUs that its quota names, the largest of them; else the largest of all."""
    shared = [
        pool
        for pool in platform.pools.values()
        if pool.spec.sharing.mode is not SharingMode.NONE
        and any(tenant.gpu_quota.get(piece.resource) for piece in pool.slices)
    ]
    return max(shared, key=lambda pool: pool.gpus, default=None) or _pool(platform)


def _jobs(
    platform: ResolvedPlatform,
    tenant: ResolvedTenant,
    kind: str,
    duration_s: float,
    rng: np.random.Generator,
    upgrades: frozenset[Upgrade],
) -> Iterator[Neighbour]:
    pool = _pool_of(platform, tenant)
    sharing = pool.spec.sharing.mode
    # The device plugin is told to refuse more than one share, which would be no more than one GPU.
    single = sharing in {SharingMode.TIME_SLICING, SharingMode.MPS}
    # A generator of its own: what pods take of shared GPUs changes no other draw.
    own = rng.spawn(1)[0] if sharing is not SharingMode.NONE else rng
    mix, share = (PHILLY, _TRAINING_SHARE) if kind == "training" else (NOTEBOOKS, _NOTEBOOK_SHARE)
    jobs = draw_jobs(
        mix,
        pool.gpus * share / mix.gpu_s,
        duration_s,
        rng,
        most_gpus=1 if single else pool.slices[0].per_node,
    )
    for number, job in enumerate(jobs, 1):
        cores = job.gpus * _CORES_PER_GPU
        amounts = {
            "cpu": f"{int(cores * 500)}m",
            "memory": str(job.host_memory_bytes),
            pool.slices[0].resource: str(job.gpus),
        }
        pod = _pod(tenant, f"{kind}-{number}", amounts, upgrades, tolerations=pool.tolerations)
        held, used = job.gpus * pool.slices[0].gpu_fraction, job.host_memory_bytes * _use(rng)
        gpu_bytes = pool.slices[0].memory_gib * _GIB * _use(own) if sharing is not SharingMode.NONE else 0.0
        yield Neighbour(kind, job.arrival_s, job.duration_s, pod, held, used, cores, _BUSY[kind], gpu_bytes)


def _use(rng: np.random.Generator) -> float:
    """What a job uses over what it asked for."""
    return float(rng.uniform(1.2, 3.0) if rng.random() < 0.1 else rng.uniform(0.4, 1.0))


def _services(
    platform: ResolvedPlatform, duration_s: float, rng: np.random.Generator, upgrades: frozenset[Upgrade]
) -> Iterator[Neighbour]:
    """Services without GPUs, there from the start. GPU nodes take them only where no taint keeps them off."""
    pool = _pool(platform)
    tenant = next(iter(platform.tenants.values()))
    for number in range(int(pool.spec.nodes * _SERVICES_PER_NODE)):
        cores = float(rng.choice((2, 4, 8, 16)))
        asked = float(rng.uniform(2, 8)) * cores * _GIB
        used = asked * _use(rng)
        if Upgrade.SCHEDULING in upgrades:
            continue  # they stay on the nodes made for them, which this fleet does not model
        amounts = {"cpu": f"{int(cores * 500)}m", "memory": str(int(asked))}
        pod = _pod(tenant, f"service-{number}", amounts, upgrades, tolerations=[])
        yield Neighbour("service", 0.0, 2 * duration_s, pod, 0.0, used, cores, 0.0)


def _pod(
    tenant: ResolvedTenant,
    name: str,
    amounts: dict[str, str],
    upgrades: frozenset[Upgrade],
    *,
    tolerations: list[dict[str, str]],
) -> dict[str, Any]:
    extended = {key: value for key, value in amounts.items() if "/" in key}
    # With limits a job that uses more than it asked for is killed alone; without them its node runs out.
    limits = {**amounts} if Upgrade.TENANCY in upgrades else extended
    spec: dict[str, Any] = {
        "containers": [
            {"name": "main", "image": "neighbour:1", "resources": {"requests": amounts, "limits": limits}}
        ]
    }
    if Upgrade.SCHEDULING in upgrades and tolerations:
        spec["tolerations"] = tolerations
    if Upgrade.TENANCY in upgrades:
        spec["priorityClassName"] = tenant.priority_class
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": tenant.namespace, "name": name, "labels": {"app": name}},
        "spec": spec,
    }
