"""KServe LLMInferenceService: Gateway API, InferencePool and a prefix-aware scheduler in front of the engine."""

from typing import Final

from stoker.platform.autoscaling import Wake
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedCanary, ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit
from stoker.upgrades.serving.engine import launch_of
from stoker.upgrades.serving.multinode import leader_pod, worker_pod
from stoker.upgrades.serving.pods import EnginePod, engine_pod, pod_labels
from stoker.upgrades.tenancy.queues import queue_labels

__all__ = ["compile_llm", "compile_pipeline_presets"]

_API: Final = "serving.kserve.io/v1alpha2"
# The preset KServe v0.20.0 merges into a pipeline-parallel group and does not ship (config/llmisvcconfig has only the
# data-parallel one): without an object of that name the service is never reconciled.
_PIPELINE_PRESET: Final = "kserve-config-llm-worker-pipeline-parallel"


def compile_llm(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    """The service, and a second one of the same routing group for the canary."""
    canary = model.canary
    objects = [_service(platform, model, None)]
    return objects + ([_service(platform, model, canary)] if canary else [])


def compile_pipeline_presets(platform: ResolvedPlatform) -> list[Emitted]:
    """The missing preset in each namespace with a multi-node LLMInferenceService; our template is complete without it."""
    tenants = {
        model.namespace: model.tenant
        for model in platform.models.values()
        if model.mode is ServingMode.LLM_INFERENCE_SERVICE and model.nodes_per_replica > 1
    }
    return [
        emit(
            platform,
            Upgrade.SERVING,
            Wave.RUNTIMES,
            "KServe looks this preset up for every pipeline-parallel group and does not bring it",
            {
                "apiVersion": _API,
                "kind": "LLMInferenceServiceConfig",
                "metadata": {"name": _PIPELINE_PRESET, "namespace": namespace},
                "spec": {},
            },
            tenant=tenant,
        )
        for namespace, tenant in tenants.items()
    ]


def _service(platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None) -> Emitted:
    version = canary.name if canary else "stable"
    owned = model.scaling.enabled and canary is None
    spec: Object = {
        "model": _model(model, canary),
        "labels": {**pod_labels(model, version), **queue_labels(platform, model)},
        # Absent where a ScaledObject owns the count; the controller then keeps what it finds (PreserveDeploymentReplicas).
        "replicas": None if owned else canary.replicas if canary else model.min_replicas,
        "parallelism": _parallelism(model),
        "router": _router(platform, model, canary),
        **_pods(platform, model, canary),
    }
    share = f" with {canary.traffic_percent}% of the requests of {model.name}" if canary else ""
    return emit(
        platform,
        Upgrade.SERVING,
        Wave.WORKLOADS,
        f"Serves the {version} version{share or f' of {model.name}'} behind a scheduler that knows each replica's cache",
        {
            "apiVersion": _API,
            "kind": "LLMInferenceService",
            "metadata": {
                "name": f"{model.name}-{canary.name}" if canary else model.name,
                "namespace": model.namespace,
            },
            "spec": spec,
        },
        model=model,
    )


def _model(model: ResolvedModel, canary: ResolvedCanary | None) -> Object:
    adapters = model.spec.lora
    lora = {
        "adapters": [{"name": adapter.name, "uri": adapter.source} for adapter in adapters],
        "maxRank": max((adapter.rank for adapter in adapters), default=1),
        "maxAdapters": len(adapters),
    }
    uri = launch_of(model, canary).delivery.serve_uri
    built: Object = compact({"uri": uri, "name": model.name, "lora": lora if adapters else None})
    return built


def _parallelism(model: ResolvedModel) -> Object | None:
    if model.nodes_per_replica == 1:
        return {"tensor": model.tensor} if model.tensor > 1 else None
    return {"tensor": model.tensor, "pipeline": model.pipeline}


def _router(platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None) -> Object:
    gateway = platform.spec.serving.gateway
    route: Object = {"http": {}}
    if model.canary is not None:
        percent = model.canary.traffic_percent
        route |= {"group": model.name, "weight": percent if canary else 100 - percent}
    return {
        "route": route,
        "gateway": {"refs": [{"name": gateway.name, "namespace": gateway.namespace}]},
        "scheduler": _endpoint_picker(model),
    }


def _endpoint_picker(model: ResolvedModel) -> Object:
    """KServe's default scheduler; for a tier that it wakes from zero, the same plugins with the flow-control queue on.

    The queue holds requests while the pool is empty and reports their number, which nothing else does at zero replicas.
    An inline configuration replaces KServe's default as a whole, so its plugins and weights are repeated (kserve
    pkg/controller/v1alpha2/llmisvc/scheduler.go, schedulerConfigText). The apiVersion is the one that the releases before
    and after llm-d's rename both take: the controller rewrites it (withMigrateLLMDAPIVersion).
    """
    if model.scaling.wake is not Wake.GATEWAY:
        return {}
    weights = {"queue-scorer": 2, "kv-cache-utilization-scorer": 2, "prefix-cache-scorer": 3}
    if model.spec.lora:
        weights["lora-affinity-scorer"] = 4
    picker = "max-score-picker"
    config = {
        "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
        "kind": "EndpointPickerConfig",
        "featureGates": ["flowControl"],
        "plugins": [{"type": name} for name in ("single-profile-handler", *weights, picker)],
        "schedulingProfiles": [
            {
                "name": "default",
                "plugins": [
                    *({"pluginRef": name, "weight": weight} for name, weight in weights.items()),
                    {"pluginRef": picker},
                ],
            }
        ],
    }
    return {"config": {"inline": config}}


def _pods(platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None) -> Object:
    if model.nodes_per_replica == 1:
        return {"template": _main(engine_pod(platform, model, canary))}
    return {
        "template": _main(leader_pod(platform, model, canary)),
        "worker": _main(worker_pod(platform, model, canary)),
    }


def _main(pod: EnginePod) -> Object:
    return pod.pod_spec("main")  # the container that KServe's templates merge into
