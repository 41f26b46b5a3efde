"""The model that a scaling gate is measured on: one of the platform's own that has the bounds, else one made for the gate.

The one that is made has the weights, the engine and the GPUs of the platform's smallest warm model and is compiled by the same
compilers, with the bounds that the gate wants and a small batch, which a small load fills; it goes when the gate ends.
"""

from dataclasses import dataclass
from typing import Final

from stoker.errors import StokerError
from stoker.kube.refs import Ref
from stoker.platform.autoscaling import ModelAutoscaling
from stoker.platform.models import Model, Replicas, Tier
from stoker.platform.serving import ServingMode
from stoker.platform.tenants import WorkloadClass
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.rollout.pods import ready_pods
from stoker.sizing.resolve import resolve
from stoker.sizing.resolved import DeliveryKind, ResolvedModel
from stoker.upgrades import compile_platform
from stoker.upgrades.scheduling.identity import service_account_name

__all__ = ["Subject", "keda_is_missing", "scaled_model"]

_PROBE: Final = "gate-scaling"
_SEQUENCES: Final = 16  # in a batch: a small load fills it, and the scaler's target follows from it
# What the model needs to be loaded, to be scraped and to be scaled; its tenant, weights and accounts are there.
_KINDS: Final = ("Deployment", "Service", "PodMonitor", "ScaledObject")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        is_probe: made for the gate.
        about: in words, for the evidence.
    """

    model: ResolvedModel
    is_probe: bool
    about: str


def keda_is_missing(context: Context) -> Judgement | None:
    """A verdict where nothing can scale at all; None where KEDA's kinds are served."""
    if context.cluster.serves("keda.sh/v1alpha1", "ScaledObject"):
        return None
    return Judgement.failed("the cluster serves no ScaledObject: KEDA is not installed")


def scaled_model(context: Context, *, start: int, goal: int) -> Subject:
    """A model that may go from ``start`` to ``goal`` replicas; one is made and waited for where the platform has none.

    Raises:
        CannotMeasureError: none can be made, such as for lack of quota.
    """
    named = str(context.settings["model"])
    models = context.platform.models
    if named and named not in models:
        raise CannotMeasureError(f"the platform has no model {named!r}", fix=", ".join(models))
    own = [
        model
        for model in ([models[named]] if named else _staging_first(context))
        if model.min_replicas == start and model.max_replicas >= goal and model.scaling.enabled
        and model.mode is not ServingMode.KNATIVE
    ]  # fmt: skip
    if own and not context.settings["probe"]:
        about = f"{own[0].name}, a model of the platform with {own[0].min_replicas} to {own[0].max_replicas} replicas"
        context.note("measured on", model=own[0].name, about=about)
        return Subject(own[0], is_probe=False, about=about)
    if named and not own:
        bounds = f"{models[named].min_replicas} to {models[named].max_replicas}"
        raise CannotMeasureError(
            f"{named} has {bounds} replicas, not {start} to {goal}", fix="set from and to"
        )
    return _probe(context, start, goal)


def _staging_first(context: Context) -> list[ResolvedModel]:
    models = list(context.platform.models.values())
    return sorted(models, key=lambda one: one.tenant.spec.workload_class is not WorkloadClass.STAGING)


def _probe(context: Context, start: int, goal: int) -> Subject:
    source = _source(context)
    spec = _spec(source, start, goal)
    wanted = context.platform.spec.model_copy(update={"models": (*context.platform.spec.models, spec)})
    try:
        platform = resolve(wanted)
    except StokerError as error:
        raise CannotMeasureError(f"no model for this gate: {error.message}", fix=error.fix) from error
    model = platform.models[spec.name]
    _check_quota(context, model, goal)
    compiled = [one for one in compile_platform(platform) if one.group == f"models/{model.name}"]
    about = (
        f"{model.name}, made for this gate with the weights of {source.name} and {start} to {goal} replicas"
    )
    context.note("measured on", model=model.name, about=about)
    for item in sorted(compiled, key=lambda one: one.wave):
        if item.object["kind"] in _KINDS:
            context.probes.create(item.object)
    patience = 3.0 * model.startup_seconds + 120.0
    if (
        context.until(
            lambda: ready_pods(context.cluster, model)[start - 1 :] or None, within=patience, every=5.0
        )
        is None
    ):
        raise CannotMeasureError(
            f"{model.name} is not ready after {patience:.0f} s", fix="look at its pods' events"
        )
    return Subject(model, is_probe=True, about=about)


def _source(context: Context) -> ResolvedModel:
    """The smallest model whose weights are where a second Deployment finds them; a warm one is known to start."""
    able = [
        model
        for model in _staging_first(context)
        if model.release.metrics
        and model.nodes_per_replica == 1
        and model.delivery.kind is not DeliveryKind.LOCAL_CACHE
    ]
    if not able:
        raise CannotMeasureError("no model of the platform can be made once more for this gate")
    return min(able, key=lambda one: (one.min_replicas == 0, one.gpus_per_replica))


def _spec(source: ResolvedModel, start: int, goal: int) -> Model:
    delivery = source.delivery
    return source.spec.model_copy(
        update={
            "name": _PROBE,
            # A copy of its own would have to be made first: it reads the one that is there.
            "source": delivery.serve_uri if delivery.copy else source.spec.source,
            "architecture": source.spec.architecture
            or (source.architecture.name if source.architecture else None),
            "tenant": source.tenant.name,
            "pool": source.pool.name,
            "tier": Tier.PRODUCTION,
            "replicas": Replicas(min=start, max=goal),
            "serving": ServingMode.DEPLOYMENT,
            "canary": None,
            "lora": (),
            "transformer": None,
            "explainer": None,
            "outlier_detector": None,
            "autoscaling": ModelAutoscaling(),
            "max_num_seqs": _SEQUENCES,
            "service_account": service_account_name(source),
        }
    )


def _check_quota(context: Context, model: ResolvedModel, goal: int) -> None:
    """Pods that a quota refuses would look like a scaler that does not scale."""
    key = f"requests.{model.slice.resource}"
    for quota in context.cluster.objects("v1", "ResourceQuota", model.namespace):
        status = quota.get("status") or {}
        hard, used = (status.get("hard") or {}).get(key), (status.get("used") or {}).get(key)
        if hard is None or (quota.get("spec") or {}).get("scopeSelector"):
            continue
        left, needs = int(hard) - int(used or 0), goal * model.gpus_per_replica
        if left < needs:
            raise CannotMeasureError(
                f"the quota of {model.namespace} leaves {left} GPUs, and {goal} replicas for this gate take {needs}",
                fix="raise the quota for the test, or name a model with these bounds",
            )


def scaled_object(context: Context, model: ResolvedModel) -> dict[str, object]:
    """What KEDA and the HPA say of the model's scaling, for the evidence."""
    found = context.cluster.get(Ref("keda.sh/v1alpha1", "ScaledObject", model.namespace, model.name))
    if found is None:
        return {"ScaledObject": None}
    spec, status = found["spec"], found.get("status") or {}
    hpa = context.cluster.get(
        Ref(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            model.namespace,
            status.get("hpaName") or f"keda-hpa-{model.name}",
        )
    )
    seen = (hpa or {}).get("status") or {}
    return {
        "bounds": [spec.get("minReplicaCount"), spec.get("maxReplicaCount")],
        "conditions": {
            one["type"]: one.get("message") or one["status"] for one in status.get("conditions") or ()
        },
        "hpa_desired": seen.get("desiredReplicas"),
        "hpa_conditions": {one["type"]: one.get("message", "") for one in seen.get("conditions") or ()},
    }
