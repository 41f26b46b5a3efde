"""One model resolved: architecture, engine, place, layout, weights, bounds and targets, in that order."""

from collections.abc import Mapping
from pathlib import Path

from stoker.catalog.engines import EngineRelease, Metric, release
from stoker.catalog.hf_config import load_model_folder
from stoker.catalog.models import ModelArchitecture, models
from stoker.catalog.models import model as known_model
from stoker.errors import InputError, Problem, UnknownNameError, nearest
from stoker.platform.autoscaling import Wake
from stoker.platform.base import seconds_of
from stoker.platform.document import Platform
from stoker.platform.models import EngineName, Model, Parallelism
from stoker.platform.serving import ServingMode
from stoker.sizing.delivery import resolve_delivery
from stoker.sizing.demand import measure
from stoker.sizing.host import host_demand
from stoker.sizing.names import Names, names_for
from stoker.sizing.placement import Placement, place, place_unknown
from stoker.sizing.resolved import (
    GpuSlice,
    ResolvedCanary,
    ResolvedModel,
    ResolvedPool,
    ResolvedTenant,
)
from stoker.sizing.scaling import replica_bounds, resolve_scaling
from stoker.sizing.startup import startup
from stoker.sizing.tenants import owner

__all__ = ["find_architecture", "resolve_model"]

# Series that autoscaling can follow; an engine with none of them is scaled by a broker, windows or HTTP load, or not.
_LOAD_ROLES = (Metric.REQUESTS_RUNNING, Metric.REQUESTS_WAITING, Metric.KV_CACHE_USAGE)
_CONTEXT = 8192  # see the `why` of models.contextLength
_UTILIZATION = 0.9  # where an engine release names no default of its own


def find_architecture(model: Model, path: str) -> ModelArchitecture | Problem | None:
    """The architecture that the user names, or that the source or the name tells; None for a custom engine's model."""
    if model.architecture is not None:
        if model.architecture.startswith((".", "/")) or Path(model.architecture).is_dir():
            try:
                return load_model_folder(Path(model.architecture))
            except InputError as error:
                return error.problems[0]
        try:
            return known_model(model.architecture)
        except UnknownNameError as error:
            return Problem(
                error.message,
                path=f"{path}.architecture",
                found=model.architecture,
                wanted="a catalogue id (`stoker catalog models`) or a folder with config.json",
                fix=error.fix,
            )
    candidates = (model.source.partition("://")[2], model.source.rstrip("/").rpartition("/")[2], model.name)
    for candidate in candidates:
        try:
            return known_model(candidate)
        except UnknownNameError:
            continue
    if model.engine.name in {EngineName.CUSTOM, EngineName.TRITON}:
        return None
    likely = nearest(candidates[1], models()) or nearest(model.name, models())
    return Problem(
        f"the catalogue does not know the architecture behind {model.source}",
        path=f"{path}.source",
        found=model.source,
        wanted="architecture: a catalogue id (`stoker catalog models`) or a folder with the model's config.json",
        fix=f"add `architecture: {likely[0]}` if that is its base" if likely else "add `architecture:`",
    )


def resolve_model(
    platform: Platform,
    model: Model,
    path: str,
    pools: Mapping[str, ResolvedPool],
    tenants: Mapping[str, ResolvedTenant],
) -> ResolvedModel | Problem:
    """Resolve one model on its own; what it takes from others (surge, quota) is decided afterwards."""
    architecture = find_architecture(model, path)
    if isinstance(architecture, Problem):
        return architecture
    engine = release(model.engine.name.value, model.engine.version)
    utilization = (
        model.gpu_memory_utilization or engine.defaults.get("gpu_memory_utilization") or _UTILIZATION
    )
    context = model.context_length or min(_CONTEXT, architecture.max_context if architecture else _CONTEXT)
    if architecture is None:
        placement: Placement | Problem = place_unknown(model, pools, path=path)
    else:
        placement = place(
            model,
            architecture,
            pools,
            engine=engine,
            gpu_memory_utilization=utilization,
            context_length=context,
            path=path,
        )
    if isinstance(placement, Problem):
        return placement
    resolved = _assemble(
        platform,
        model,
        engine,
        placement,
        architecture=architecture,
        tenant=tenants[owner(platform, model.tenant)],
        utilization=utilization,
        context=context,
    )
    return _contradiction(resolved, path) or resolved


def _contradiction(model: ResolvedModel, path: str) -> Problem | None:
    """What only the resolved model shows to be impossible."""
    if model.canary is not None and model.scaling.wake is Wake.HTTP_ADDON:
        return Problem(
            f"requests for {model.name} pass KEDA's interceptor, which knows one version: the canary would get none",
            path=f"{path}.canary",
            wanted="a canary on a tier that is warm, or that a broker wakes",
            fix="set replicas.min to 1, name a broker, or drop the canary",
        )
    return None


def engine_port(model: Model, engine: EngineRelease, mode: ServingMode) -> int:
    """The HTTP port of the engine container.

    8080 under KServe's Services (kserve v0.20.0 pkg/constants: InferenceServiceDefaultHttpPort), 8000 in an
    LLMInferenceService (its templates), else the engine's own, or 8080 where that needs root.
    """
    if model.engine.port is not None:
        return model.engine.port
    if mode in {ServingMode.STANDARD, ServingMode.KNATIVE}:
        return 8080
    if mode is ServingMode.LLM_INFERENCE_SERVICE:
        return 8000
    return engine.port if engine.port >= 1024 else 8080


def _fitting(pool: ResolvedPool, item: GpuSlice, gpus_per_pod: int, nodes: int) -> int:
    """Replicas that the empty pool would hold; a pod never spans nodes."""
    return max(1, item.per_node // gpus_per_pod * pool.spec.nodes // nodes)


def _canary(
    platform: Platform, model: Model, engine: EngineRelease, mode: ServingMode, names: Names
) -> ResolvedCanary | None:
    canary = model.canary
    if canary is None:
        return None
    version = f"{model.name}-{canary.name}"
    source = canary.source or model.source
    return ResolvedCanary(
        name=canary.name,
        # Without weights of its own the canary tries an engine on the same files; copying them again helps nobody.
        delivery=resolve_delivery(
            platform, model, source, mode=mode, version=version if canary.source else model.name
        ),
        release=release(model.engine.name.value, canary.engine_version) if canary.engine_version else engine,
        traffic_percent=canary.traffic_percent,
        replicas=canary.replicas,
        args=model.engine.args if canary.args is None else canary.args,
        workload=names.canary_workload,
        service=names.canary_service,
    )


def _assemble(
    platform: Platform,
    model: Model,
    engine: EngineRelease,
    placement: Placement,
    *,
    architecture: ModelArchitecture | None,
    tenant: ResolvedTenant,
    utilization: float,
    context: int,
) -> ResolvedModel:
    mode = model.serving or platform.serving.mode
    layout, pool, item = placement.layout, placement.pool, placement.slice
    data = model.parallelism.data if isinstance(model.parallelism, Parallelism) else 1
    gpus_per_pod = -(-layout.gpus * data // layout.nodes)
    names = names_for(
        model.name, mode, canary=model.canary.name if model.canary else "", multi_node=layout.nodes > 1
    )
    delivery = resolve_delivery(platform, model, model.source, mode=mode, version=model.name)
    start = startup(placement.weights, delivery.kind)
    demand = measure(model, placement)
    host = host_demand(
        placement.weights,
        gpus_per_pod=gpus_per_pod,
        pods=layout.nodes,
        share=gpus_per_pod / item.per_node,
        node_millicores=pool.millicores,
        node_bytes=pool.memory_bytes,
    )
    autoscaled = (
        model.autoscaling.enabled if model.autoscaling.enabled is not None else platform.autoscaling.enabled
    )
    bounds = replica_bounds(
        model,
        autoscaled=autoscaled,
        fitting=_fitting(pool, item, gpus_per_pod, layout.nodes),
        needed=demand.replicas,
    )
    return ResolvedModel(
        spec=model,
        tenant=tenant,
        pool=pool,
        slice=item,
        mode=mode,
        release=engine,
        architecture=architecture,
        delivery=delivery,
        context_length=context,
        tensor=layout.tensor_parallel,
        pipeline=layout.pipeline_parallel,
        data=data,
        nodes_per_replica=layout.nodes,
        gpus_per_pod=gpus_per_pod,
        dtype=placement.dtype,
        quantization=placement.quantization,
        gpu_memory_utilization=utilization,
        max_sequences=layout.max_sequences,
        max_num_seqs=model.max_num_seqs,
        kv_tokens=layout.kv_tokens,
        weights_gib=placement.weights_gib,
        startup_seconds=start.seconds,
        startup_basis=start.basis,
        millicores=host.millicores,
        memory_bytes=host.memory_bytes,
        shm_bytes=host.shm_bytes,
        min_replicas=bounds[0],
        max_replicas=bounds[1],
        max_surge=0,
        max_unavailable=1,
        drain_seconds=int(seconds_of(model.drain)),
        scaling=resolve_scaling(
            platform.autoscaling,
            model.autoscaling,
            mode=mode,
            bounds=bounds,
            concurrency=demand.concurrency,
            queue=demand.queue,
            startup_seconds=start.seconds,
            measurable=any(role in engine.metrics for role in _LOAD_ROLES),
        ),
        canary=_canary(platform, model, engine, mode, names),
        workload=names.workload,
        service=names.service,
        service_port=names.service_port,
        port=engine_port(model, engine, mode),
        pod_labels=names.pod_labels,
        scheduler_name=None,
        image=model.engine.image or engine.image_ref,
    )
