"""Alerts over tenants and GPUs: kube-state-metrics, KEDA and the DCGM exporter."""

from typing import Final

from stoker.sizing.resolved import ResolvedPlatform, ResolvedPool, ResolvedTenant
from stoker.upgrades.observability.rules import Alert, Recording

__all__ = ["KUBE_STATE_METRICS", "MAY_BE_ABSENT", "gpu_alerts", "gpu_recordings", "tenant_alerts"]

# Series used here (kube-state-metrics docs/metrics/{workload,policy}, v2.17).
KUBE_STATE_METRICS: Final = (
    "kube_pod_container_status_restarts_total",
    "kube_pod_container_status_last_terminated_reason",
    "kube_pod_container_resource_requests",
    "kube_pod_status_unschedulable",
    "kube_pod_status_phase",
    "kube_pod_status_ready",
    "kube_pod_start_time",
    "kube_resourcequota",
    "kube_node_status_allocatable",
)
# Series that a cluster which is well need not have, and why.
MAY_BE_ABSENT: Final = {
    "kube_pod_status_unschedulable": "only a pod that finds no node has it",
    "kube_pod_container_status_last_terminated_reason": "only a container that has ended before has it",
}
# XIDs after which a GPU or its job is lost (NVIDIA "XID Errors" guide; project facts, section 5): double-bit ECC 48,
# row remapping 63 and 64, NVLink 74, off the bus 79, contained and uncontained memory errors 94 and 95.
_FATAL_XIDS: Final = (48, 63, 64, 74, 79, 94, 95)
_HOT_CELSIUS: Final = 88  # a rule of thumb: data-centre GPUs slow down at about 90


def tenant_alerts(tenant: ResolvedTenant) -> list[Alert]:
    """Pods that crash, are killed or find no GPU, and a quota that is nearly used up."""
    labels = {"namespace": tenant.namespace, "tenant": tenant.name}
    own = f'namespace="{tenant.namespace}"'
    restarts = f"increase(kube_pod_container_status_restarts_total{{{own}}}[15m])"
    ended = "kube_pod_container_status_last_terminated_reason"
    join = "on (namespace, pod, container)"
    found = [
        Alert(
            "LLMContainerCrashLooping",
            f'{restarts} > 2 and {join} {ended}{{{own},reason="Error"}} == 1',
            "5m",
            "critical",
            f"A container in {tenant.namespace} crashes again and again",
            "{{ $labels.container }} of {{ $labels.pod }} ended {{ $value | humanize }} times in 15 minutes with an error. GPU "
            "memory that runs out looks like this (a CUDA error in the log), not like OOMKilled.",
            labels,
        ),
        Alert(
            "LLMHostOutOfMemory",
            f'{restarts} > 0 and {join} {ended}{{{own},reason="OOMKilled"}} == 1',
            "0m",
            "critical",
            f"The kernel killed a container in {tenant.namespace} for its host memory",
            "{{ $labels.container }} of {{ $labels.pod }} exceeded its memory limit. This is host memory, not the GPU's: raise "
            "the limit, and count /dev/shm in it.",
            labels,
        ),
        Alert(
            "GPUPodUnschedulable",
            f"sum by (namespace) (kube_pod_status_unschedulable{{{own}}}) > 0",
            "10m",
            "warning",
            f"Pods of {tenant.namespace} find no node",
            "{{ $value }} pods wait. `kubectl describe` tells whether GPUs are short, fragmented, or tainted.",
            labels,
        ),
    ]
    for resource, ceiling in tenant.gpu_quota.items():
        if not ceiling:
            continue
        name = f'{own},resource="requests.{resource}"'
        found.append(
            Alert(
                "GPUQuotaNearlyUsed",
                f'sum by (namespace, resourcequota, resource) (kube_resourcequota{{{name},type="used"}}) / '
                f'sum by (namespace, resourcequota, resource) (kube_resourcequota{{{name},type="hard"}} > 0) > 0.95',
                "30m",
                "info",
                f"{tenant.name} holds nearly all its {resource}",
                "{{ $value | humanizePercentage }} of the quota is charged, Pending pods included: the next scale-out or rollout "
                "may be refused.",
                {**labels, "resource": resource},
            )
        )
    return found


def gpu_recordings(platform: ResolvedPlatform) -> list[Recording]:
    """GPUs allocated, busy and idle, and what the idle ones cost."""
    resources = sorted({item.resource for pool in platform.pools.values() for item in pool.slices})
    names = "|".join(resource.replace("/", "_").replace(".", "_").replace("-", "_") for resource in resources)
    asked = (
        f'sum by (namespace) (kube_pod_container_resource_requests{{resource=~"{names}"}} '
        '* on (namespace, pod) group_left () (kube_pod_status_phase{phase="Running"} == 1))'
    )
    found = [Recording("stoker:gpus_allocated:sum", asked)]
    if platform.spec.observability.dcgm:
        active = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
        found += [
            Recording("stoker:gpus_present:count", f"count({active})"),
            Recording("stoker:gpus_busy:sum", f"sum({active})"),
            Recording("stoker:gpus_idle:count", f"count(avg_over_time({active}[1h]) < 0.05) or vector(0)"),
        ]
        price = _price(list(platform.pools.values()))
        if price is not None:
            found.append(
                Recording("stoker:gpus_idle_usd_per_hour:sum", f"stoker:gpus_idle:count * {price:g}")
            )
    return found


def gpu_alerts(platform: ResolvedPlatform) -> list[Alert]:
    """Failing, hot, idle and unseen GPUs."""
    if not platform.spec.observability.dcgm:
        return []
    xid = "DCGM_FI_DEV_XID_ERRORS"
    # The label's first letter is small since dcgm-exporter 4.8.3; the one that is not there is empty.
    where = "GPU {{ $labels.gpu }} of {{ $labels.Hostname }}{{ $labels.hostname }}"
    price = _price(list(platform.pools.values()))
    cost = f" At ${price:g} an hour each they cost money for nothing." if price is not None else ""
    return [
        Alert(
            "GPUXidFatal",
            " or ".join(f"{xid} == {code}" for code in _FATAL_XIDS),
            "0m",
            "critical",
            "A GPU reported a fatal error",
            f"XID {{{{ $value }}}} on {where}: the job on it is lost. Drain the node and reset or replace the GPU.",
        ),
        Alert(
            "GPURowRemapFailure",
            "DCGM_FI_DEV_ROW_REMAP_FAILURE == 1",
            "0m",
            "critical",
            "A GPU cannot remap faulty memory any more",
            f"{where} must be replaced.",
        ),
        Alert(
            "GPUUncorrectableMemory",
            "increase(DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS[1h]) > 0",
            "0m",
            "warning",
            "A GPU remapped memory after an uncorrectable error",
            f"{where}: the remapping takes effect after a reset. Drain the node at the next occasion.",
        ),
        Alert(
            "GPUHot",
            f"DCGM_FI_DEV_GPU_TEMP > {_HOT_CELSIUS}",
            "10m",
            "warning",
            "A GPU is hot",
            f"{where} is at {{{{ $value }}}} °C and will slow down: look at the cooling.",
        ),
        Alert(
            "GPUsIdle",
            "count(avg_over_time(DCGM_FI_PROF_GR_ENGINE_ACTIVE[1h]) < 0.05) / count(DCGM_FI_PROF_GR_ENGINE_ACTIVE) > 0.5",
            "2h",
            "info",
            "More than half of the GPUs stand idle",
            f"{{{{ $value | humanizePercentage }}}} of the GPUs ran nothing for an hour.{cost}",
        ),
        Alert(
            "GPUExporterAbsent",
            "absent(DCGM_FI_DEV_GPU_TEMP)",
            "15m",
            "warning",
            "No GPU metrics",
            "The DCGM exporter is not scraped: does it tolerate the GPU nodes' taint?",
        ),
    ]


def _price(pools: list[ResolvedPool]) -> float | None:
    """Mean price of a GPU-hour over the fleet; None where a pool has none."""
    total = sum(pool.gpus for pool in pools)
    prices = [(pool.usd_per_gpu_hour, pool.gpus) for pool in pools]
    if not total or any(price is None for price, _ in prices):
        return None
    return round(sum((price or 0) * count for price, count in prices) / total, 2)
