"""What the engine container carries in every serving mode: resources, probes, shared memory, security, drain."""

import math
from typing import Any, Final

from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import DeliveryKind, ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Object
from stoker.upgrades.scheduling.claims import CLAIM, uses_dra

__all__ = [
    "PRE_STOP_SECONDS",
    "container_resources",
    "container_security",
    "lifecycle",
    "probes",
    "quantity",
    "shared_memory",
]

# A deleted pod leaves the EndpointSlice at once, but proxies and gateways hear of it a moment later; until then they
# still send requests. The pause keeps the engine serving that long before it sees SIGTERM.
PRE_STOP_SECONDS: Final = 10

_STARTUP_PERIOD: Final = 10
_STARTUP_BUDGET: Final = 2.0  # the estimate is for quiet storage; ten replicas loading at once are slower
_STARTUP_LEAST: Final = 300
# Logs, compile caches of torch and Triton; weights come on top where the pod itself downloads them.
_SCRATCH_BYTES: Final = 8 * 2**30
_SHM_VOLUME: Final = "shm"


def quantity(size: int) -> str:
    """Bytes as a Kubernetes quantity, rounded up to whole Mi; Gi where that is exact."""
    mebibytes = math.ceil(size / 2**20)
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"


def cores(millicores: int) -> str:
    """Millicores as a Kubernetes CPU quantity."""
    return str(millicores // 1000) if millicores % 1000 == 0 else f"{millicores}m"


def container_resources(platform: ResolvedPlatform, model: ResolvedModel) -> Object:
    """Value of the engine container's ``resources``.

    Requests equal limits for CPU and memory, so that the pod is of QoS class Guaranteed: it is the last to be killed
    under node pressure (kubernetes pkg/kubelet/eviction/helpers.go) and the static CPU manager can place its cores
    beside its GPUs. Limits are always written: KServe fills absent ones with 1 CPU and 2Gi. Ephemeral storage is
    requested where the pod downloads its weights, and never limited: a limit evicts the pod in mid-download.
    """
    shared: dict[str, Any] = {"cpu": cores(model.millicores), "memory": quantity(model.memory_bytes)}
    requests, limits = dict(shared), dict(shared)
    if _fills_disk(model):
        requests["ephemeral-storage"] = quantity(int(model.weights_gib * 2**30) + _SCRATCH_BYTES)
    if uses_dra(platform, model):
        return {"requests": requests, "limits": limits, "claims": [{"name": CLAIM}]}
    requests[model.slice.resource] = limits[model.slice.resource] = str(model.gpus_per_pod)
    return {"requests": requests, "limits": limits}


def _fills_disk(model: ResolvedModel) -> bool:
    delivery = model.delivery
    if delivery.kind is DeliveryKind.OBJECT_STORE and model.mode is ServingMode.DEPLOYMENT:
        # vLLM streams from a bucket straight into GPU memory there (docs.vllm.ai, Run:ai model streamer).
        return not (model.release.engine == "vllm" and delivery.source.startswith(("s3://", "gs://")))
    return delivery.kind in (DeliveryKind.HUB, DeliveryKind.OBJECT_STORE)


def probes(model: ResolvedModel) -> Object:
    """``startupProbe``, ``readinessProbe`` and ``livenessProbe`` of the engine container.

    The start-up budget is at least twice the estimated load time, so that a slow disk does not become a crash loop.
    Liveness gives a busy engine two minutes: vLLM's /health answers 503 only when its engine has died
    (vllm/entrypoints/serve/instrumentator/health.py), but a long prompt can hold up the API server.
    """
    ready = {"httpGet": {"path": model.release.readiness_path, "port": model.port}}
    alive = {"httpGet": {"path": model.release.health_path, "port": model.port}}
    budget = max(_STARTUP_LEAST, math.ceil(model.startup_seconds * _STARTUP_BUDGET))
    return {
        "startupProbe": {
            **ready,
            "periodSeconds": _STARTUP_PERIOD,
            "timeoutSeconds": 5,
            "failureThreshold": math.ceil(budget / _STARTUP_PERIOD),
        },
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**alive, "periodSeconds": 15, "timeoutSeconds": 10, "failureThreshold": 8},
    }


def lifecycle(model: ResolvedModel) -> Object:
    """Value of the container's ``lifecycle``; empty in Knative mode, whose API has no such field.

    The sleep action needs no shell in the image (PodLifecycleSleepAction, on by default since 1.30).
    """
    if model.mode is ServingMode.KNATIVE:
        return {}
    return {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}}


def shared_memory(model: ResolvedModel) -> tuple[Object, Object]:
    """Pod volume and container mount of ``/dev/shm``; the runtime's default of 64 MiB is too small for NCCL.

    The volume's pages count against the container's memory limit, which the sizing has allowed for.
    """
    volume = {"name": _SHM_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": quantity(model.shm_bytes)}}
    return volume, {"name": _SHM_VOLUME, "mountPath": "/dev/shm"}  # noqa: S108  # the path NCCL and torch use


def container_security() -> Object:
    """The container's ``securityContext``: no way to gain rights, no capabilities; engines need neither."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
