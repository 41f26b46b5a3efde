"""Two versions of one model, made for the gate: what users' canaries are made of, under a name and an address of their own.

The compilers of upgrade 2 make the objects, so what is proved is what users get. Both versions are the same model: the gate is
about who answers, not about what. Pure.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from stoker.catalog.engines import Metric
from stoker.kube.refs import Object
from stoker.platform.serving import ServingMode
from stoker.rollout.gates.nodes import GpuNode
from stoker.sizing.names import names_for
from stoker.sizing.resolved import ResolvedCanary, ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted
from stoker.upgrades.scheduling.claims import claim_template_name
from stoker.upgrades.scheduling.identity import service_account_name
from stoker.upgrades.serving.deployment import compile_deployment
from stoker.upgrades.serving.knative import compile_knative
from stoker.upgrades.serving.kserve import compile_standard
from stoker.upgrades.serving.llm import compile_llm
from stoker.upgrades.serving.routing import compile_route

__all__ = ["CANARY", "Pair", "choose_model", "pair_of", "unfit"]

CANARY: Final = "canary"
_COMPILERS: Final = {
    ServingMode.STANDARD: compile_standard,
    ServingMode.KNATIVE: compile_knative,
    ServingMode.LLM_INFERENCE_SERVICE: compile_llm,
    ServingMode.DEPLOYMENT: compile_deployment,
}
_TAGS: Final = {
    "serving.kserve.io/enable-tag-routing": "true"
}  # a host name for each revision of a Knative Service


@dataclass(frozen=True, slots=True)
class Pair:
    """Both versions.

    Attributes:
        model: as the platform would have it, with a canary.
        objects: to create, in this order.
        step: Knative's second step, the InferenceService with the canary's specification; None in other modes.
    """

    model: ResolvedModel
    objects: tuple[Object, ...]
    step: Object | None = None


def unfit(model: ResolvedModel) -> str:
    """Why a pair cannot be made of a model, or not counted; empty where it can."""
    if model.nodes_per_replica > 1:
        return "a replica takes several nodes"
    if model.spec.protocol != "openai" or not model.release.openai_prefix:
        return "it does not speak the OpenAI protocol"
    if model.architecture is not None and model.architecture.task != "generate":
        return "it completes no text"
    if Metric.REQUEST_SUCCESS not in model.release.metrics:
        return f"{model.release.engine} does not count its requests"
    return ""


def choose_model(
    platform: ResolvedPlatform, nodes: Sequence[GpuNode], left: Mapping[tuple[str, str], int | None]
) -> tuple[ResolvedModel | None, list[str]]:
    """The smallest model of which two replicas find room and quota now; why others do not.

    ``left`` is what quotas leave, by namespace and resource; None where there is none.
    """
    why: list[str] = []
    for model in sorted(
        platform.models.values(), key=lambda one: (one.gpus_per_replica, one.weights_gib, one.name)
    ):
        problem = unfit(model) or _crowded(model, nodes, left.get((model.namespace, model.slice.resource)))
        if not problem:
            return model, why
        why.append(f"{model.name}: {problem}")
    return None, why


def _crowded(model: ResolvedModel, nodes: Sequence[GpuNode], left: int | None) -> str:
    needed = 2 * model.gpus_per_pod
    if left is not None and left < needed:
        return (
            f"the quota of {model.namespace} leaves {left} {model.slice.resource}, two replicas take {needed}"
        )
    amounts = {
        "cpu": model.millicores,
        "memory": model.memory_bytes,
        model.slice.resource: model.gpus_per_pod,
    }
    room = sum(
        min([node.free(name) // amount for name, amount in amounts.items() if amount] + [node.free("pods")])
        for node in nodes
        if node.pool == model.pool.name and node.has_room(amounts)
    )
    return "" if room >= 2 else f"pool {model.pool.name} has room for {room} of two replicas"


def pair_of(platform: ResolvedPlatform, model: ResolvedModel, run: str, percent: int) -> Pair:
    """A stable version and a canary with a share of ``percent``, of one replica each."""
    name = f"gate-{hashlib.sha256(run.encode()).hexdigest()[:8]}"
    names = names_for(name, model.mode, canary=CANARY)
    canary = ResolvedCanary(
        name=CANARY,
        delivery=model.delivery,
        release=model.release,
        traffic_percent=percent,
        replicas=1,
        args=model.spec.engine.args,
        workload=names.canary_workload,
        service=names.canary_service,
    )
    plain = {"name": name, "lora": (), "transformer": None, "explainer": None, "outlier_detector": None}
    twin = replace(
        model,
        spec=model.spec.model_copy(update={**plain, "service_account": service_account_name(model)}),
        canary=canary,
        workload=names.workload,
        service=names.service,
        pod_labels=names.pod_labels,
        min_replicas=1,
        max_replicas=1,
        scaling=replace(model.scaling, enabled=False, wake=None, broker=None, warm_up=()),
    )
    emitted: list[Emitted] = [*_COMPILERS[model.mode](platform, twin), *compile_route(platform, twin)]
    objects = [_refer(one.object, claim_template_name(twin), claim_template_name(model)) for one in emitted]
    if model.mode is not ServingMode.KNATIVE:
        return Pair(twin, tuple(objects))
    service, config_map = objects
    step: Object = json.loads(config_map["data"]["inferenceservice.json"])
    return Pair(twin, (_tagged(service),), _tagged(step))


def _refer(value: Any, old: str, new: str) -> Any:
    """References to the pair's own ResourceClaimTemplate, which nobody makes, become the model's."""
    if isinstance(value, dict):
        return {
            key: new if key == "resourceClaimTemplateName" and one == old else _refer(one, old, new)
            for key, one in value.items()
        }
    return [_refer(one, old, new) for one in value] if isinstance(value, list) else value


def _tagged(service: Object) -> Object:
    metadata = service["metadata"]
    return {**service, "metadata": {**metadata, "annotations": {**metadata["annotations"], **_TAGS}}}
