"""From a resolved platform and its compiled objects to a fleet; with all upgrades, with some, or with none.

Without an upgrade the fleet has what a cluster made for microservices has in its place:

- scheduling: no taints, tolerations, affinities or spreading; the default scheduler; no CPU or memory held for the GPU pods
  beyond what a web service asks for.
- serving: weights fetched from the hub at every start; requests spread at random by a ClusterIP Service; SIGTERM aborts
  what runs (vLLM's --shutdown-timeout is 0 by default). On a shared GPU the engine takes its default share of the whole
  device (0.92), as if it were alone.
- autoscaling: an HPA on 80 % CPU, which is what KServe makes of a Standard InferenceService that says nothing.
- tenancy: no quota, no priority classes, no memory limits.
- observability changes what people see, not what runs: the twin shows no difference.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final

import yaml

from stoker.platform.autoscaling import Wake
from stoker.platform.base import seconds_of
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import DeliveryKind, ResolvedModel, ResolvedPlatform, ResolvedPool
from stoker.sizing.startup import ENGINE_SECONDS, LOAD_BANDWIDTH
from stoker.twin.engine import Policy
from stoker.twin.fleet.engines import engine_of
from stoker.twin.fleet.shares import engine_memory, gpu_sharing
from stoker.twin.fleet.spec import FleetSpec, Neighbour, NodeGroup, Object, Sources, StartUp, WorkloadSpec
from stoker.twin.fleet.templates import engine_arguments, engine_pod, node_template
from stoker.twin.scheduler import DEFAULT_PROFILES, Profile, parse_profiles

__all__ = ["ALL_UPGRADES", "Upgrade", "build_fleet"]


class Upgrade(StrEnum):
    """The five upgrades."""

    SCHEDULING = "scheduling"
    SERVING = "serving"
    AUTOSCALING = "autoscaling"
    TENANCY = "tenancy"
    OBSERVABILITY = "observability"


ALL_UPGRADES: Final = frozenset(Upgrade)

_POLICY_KINDS = frozenset(
    ("Namespace", "ResourceQuota", "LimitRange", "PriorityClass", "PodDisruptionBudget")
)
_GIB: Final = 2**30
# Size of vllm/vllm-openai on a node, and what one pull took: 69 s unstreamed (llm-d guides, "cold start").
_IMAGE_BYTES: Final = 10e9
_IMAGE_EACH: Final = 10e9 / 69
# What all readers share. Assumptions, said in docs/simulate.md: a registry and a bucket behind 100 Gbit/s, an NFS server
# with 20 Gbit/s, an internet egress of 10 Gbit/s; a node's NVMe serves the pods of that node.
_TOTALS: Final = {
    "registry": 12.5e9,
    "object-store": 12.5e9,
    "pvc": 2.5e9,
    "hub": 1.25e9,
    "local": 6e9,
}
_LOCAL = frozenset((DeliveryKind.NVME, DeliveryKind.LOCAL_CACHE, DeliveryKind.OCI))
_HTTP_ADDON_TIMEOUT_S: Final = 600.0
_VANILLA_MEMORY: Final = 16 * _GIB  # what the request of a web service with a large heap looks like
_VANILLA_MILLICORES: Final = 4000


def build_fleet(
    platform: ResolvedPlatform,
    objects: Sequence[Object],
    *,
    upgrades: frozenset[Upgrade] = ALL_UPGRADES,
    neighbours: Iterable[Neighbour] = (),
    label: str = "",
) -> FleetSpec:
    """The fleet that serves ``platform`` with the given upgrades.

    Args:
        platform: resolved.
        objects: everything compiled from it.
        upgrades: those in place.
        neighbours: pods beside the inference.
        label: what tables call it; ``platform`` or ``vanilla`` where empty.
    """
    tenancy = Upgrade.TENANCY in upgrades
    return FleetSpec(
        label=label or ("platform" if upgrades == ALL_UPGRADES else "vanilla" if not upgrades else "partial"),
        groups=tuple(
            _group(pool, tainted=Upgrade.SCHEDULING in upgrades) for pool in platform.pools.values()
        ),
        workloads=tuple(
            spec for model in platform.models.values() for spec in _workloads(objects, model, upgrades)
        ),
        neighbours=tuple(neighbours),
        policies=tuple(
            item
            for item in objects
            if item["kind"] in _POLICY_KINDS and (tenancy or item["kind"] == "Namespace")
        ),
        sources=Sources(
            each={
                "registry": _IMAGE_EACH,
                "local": LOAD_BANDWIDTH[DeliveryKind.NVME],
                "pvc": LOAD_BANDWIDTH[DeliveryKind.PVC],
                "object-store": LOAD_BANDWIDTH[DeliveryKind.OBJECT_STORE],
                "hub": LOAD_BANDWIDTH[DeliveryKind.HUB],
            },
            total=_TOTALS,
        ),
        profiles=_profiles(objects) if Upgrade.SCHEDULING in upgrades else DEFAULT_PROFILES,
        scrape_interval_s=float(seconds_of(platform.spec.observability.scrape_interval)),
    )


def _profiles(objects: Sequence[Object]) -> dict[str, Profile]:
    """Profiles of the default scheduler and of those that the objects configure."""
    found = dict(DEFAULT_PROFILES)
    for item in objects:
        if item["kind"] == "ConfigMap":
            for text in (item.get("data") or {}).values():
                if "KubeSchedulerConfiguration" in text:
                    found |= parse_profiles(yaml.safe_load(text))
    return found


def _group(pool: ResolvedPool, *, tainted: bool) -> NodeGroup:
    return NodeGroup(
        name=pool.name,
        template=node_template(pool, tainted=tainted),
        nodes=pool.spec.nodes,
        max_nodes=pool.max_nodes,
        gpus=pool.gpus_per_node,
        cores=pool.millicores / 1000,
        memory_bytes=float(pool.memory_bytes),
        usd_per_gpu_hour=pool.usd_per_gpu_hour or 0.0,
        spot=pool.spec.spot,
        sharing=gpu_sharing(pool),
    )


def _workloads(
    objects: Sequence[Object], model: ResolvedModel, upgrades: frozenset[Upgrade]
) -> Iterable[WorkloadSpec]:
    canary = model.canary if Upgrade.SERVING in upgrades else None
    share = float(canary.traffic_percent) if canary is not None else 0.0
    yield _workload(objects, model, upgrades, "stable", 100.0 - share, model.min_replicas, model.max_replicas)
    if canary is not None:
        yield _workload(
            objects, model, upgrades, canary.name, share, canary.replicas, canary.replicas, fixed=True
        )


def _workload(
    objects: Sequence[Object],
    model: ResolvedModel,
    upgrades: frozenset[Upgrade],
    version: str,
    weight: float,
    least: int,
    most: int,
    *,
    fixed: bool = False,
) -> WorkloadSpec:
    serving, scaling = Upgrade.SERVING in upgrades, Upgrade.AUTOSCALING in upgrades
    pod = engine_pod(objects, model, version)
    _undo(pod, upgrades)
    arguments = engine_arguments(objects, model) if serving else ()
    knative = model.mode is ServingMode.KNATIVE and scaling and not fixed
    scaled = None if fixed or not scaling else _scaled_object(objects, model)
    # An HPA cannot go to zero (HPAScaleToZero is off), so without KEDA a batch tier keeps one replica.
    least = least if scaled is not None or knative else max(1, least)
    broker = model.scaling.broker is not None and scaled is not None
    return WorkloadSpec(
        model=model.name,
        tenant=model.tenant.name,
        version=version,
        weight=weight,
        pod=pod,
        pods_per_replica=model.nodes_per_replica,
        gpus_per_pod=model.gpus_per_pod * model.slice.gpu_fraction,
        engine=engine_of(model, arguments),
        start_up=_start_up(model, staged=serving),
        min_replicas=least,
        max_replicas=max(least, most),
        scaled_object=scaled,
        hpa=None if fixed or scaling or least == most else _cpu_hpa(model, least, most),
        knative=_knative(model) if knative else None,
        policy=_policy(model) if serving else Policy.RANDOM,
        hold_timeout_s=float("inf")
        if broker
        else _HTTP_ADDON_TIMEOUT_S
        if _holds(model, scaled, knative)
        else None,
        in_flight_limit=model.scaling.target_concurrency if broker else None,
        drain_s=float(model.drain_seconds) if serving else 0.0,
        host_memory_bytes=float(model.memory_bytes),
        cpu_idle=1.0 + model.gpus_per_pod,
        cpu_per_request=0.01,
        ttft_slo_s=float(seconds_of(model.spec.slo.ttft_p95)),
        tpot_slo_s=float(seconds_of(model.spec.slo.tpot_p95)),
        adapters=tuple(adapter.name for adapter in model.spec.lora),
        # Vanilla has a Deployment's defaults, 25 % each: up and down rounded, of few replicas one and none.
        max_surge=model.max_surge if serving else 1,
        max_unavailable=model.max_unavailable if serving else 0,
        gpu_memory_bytes=engine_memory(model, arguments),
    )


def _undo(pod: dict[str, Any], upgrades: frozenset[Upgrade]) -> None:
    """Take out of a pod what the upgrades that are missing put there."""
    spec = pod["spec"]
    container = spec["containers"][0]
    if Upgrade.SCHEDULING not in upgrades:
        for name in ("affinity", "nodeSelector", "tolerations", "topologySpreadConstraints", "schedulerName"):
            spec.pop(name, None)
        resources = container["resources"]
        gpus = {name: value for name, value in resources["limits"].items() if "/" in name}
        modest = {"cpu": f"{_VANILLA_MILLICORES}m", "memory": str(_VANILLA_MEMORY)}
        container["resources"] = {"requests": {**modest, **gpus}, "limits": gpus}
    if Upgrade.TENANCY not in upgrades:
        spec.pop("priorityClassName", None)


def _start_up(model: ResolvedModel, *, staged: bool) -> StartUp:
    weights = model.weights_gib * _GIB
    kind = model.delivery.kind if staged else DeliveryKind.HUB
    source = (
        "local" if kind in _LOCAL else "object-store" if kind is DeliveryKind.OBJECT_STORE else kind.value
    )
    # Members of a multi-node replica each read their own share.
    return StartUp(_IMAGE_BYTES, weights / model.nodes_per_replica, source, float(ENGINE_SECONDS))


def _scaled_object(objects: Sequence[Object], model: ResolvedModel) -> Object | None:
    for item in objects:
        metadata = item["metadata"]
        if item["kind"] == "ScaledObject" and (metadata["namespace"], metadata["name"]) == (
            model.namespace,
            model.name,
        ):
            return _with_http_target(item, model)
    return None


def _with_http_target(scaled: Object, model: ResolvedModel) -> Object:
    """The HTTP add-on's scaler takes its target from the InterceptorRoute; here it is put beside the trigger."""
    target = str(model.scaling.target_concurrency)
    triggers = [
        {**trigger, "metadata": {**trigger["metadata"], "threshold": target}}
        if trigger["type"] == "external-push"
        else trigger
        for trigger in scaled["spec"]["triggers"]
    ]
    return {**scaled, "spec": {**scaled["spec"], "triggers": triggers}}


def _cpu_hpa(model: ResolvedModel, least: int, most: int) -> Object:
    """The HPA that KServe makes in Standard mode where nobody says otherwise (pkg/controller/…/reconcilers/hpa)."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": model.workload, "namespace": model.namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": model.workload},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }


def _knative(model: ResolvedModel) -> Object:
    return {
        "autoscaling.knative.dev/metric": "concurrency",
        "autoscaling.knative.dev/target": str(model.scaling.target_concurrency),
        "autoscaling.knative.dev/min-scale": str(model.min_replicas),
        "autoscaling.knative.dev/max-scale": str(model.max_replicas),
    }


def _policy(model: ResolvedModel) -> Policy:
    """LLMInferenceService routes through the endpoint picker; a KServe or Gateway route through Envoy."""
    return Policy.PREFIX_AWARE if model.mode is ServingMode.LLM_INFERENCE_SERVICE else Policy.TWO_CHOICES


def _holds(model: ResolvedModel, scaled: Object | None, knative: bool) -> bool:  # noqa: FBT001
    return knative or (
        scaled is not None and model.min_replicas == 0 and model.scaling.wake is Wake.HTTP_ADDON
    )
