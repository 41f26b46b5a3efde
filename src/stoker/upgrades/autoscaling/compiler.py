"""ScaledObjects: one owner for each replica count.

KServe is told to keep out (autoscalerClass external, written by the serving compiler) and no HPA is emitted here: KEDA
makes it. An LLMInferenceService is scaled from outside as well: v0.20.0 has ``scaling.wva`` only, and its controller keeps
the Deployment's or LeaderWorkerSet's count where ``spec.replicas`` is left out (pkg/controller/v1alpha2/llmisvc/workload.go
PreserveDeploymentReplicas, PreserveLWSReplicas), so the object must carry neither ``replicas`` nor ``scaling``.
Knative scales its revisions itself: nothing is emitted for that mode.

``pollingInterval`` is never set and ``cooldownPeriod`` only at zero: KEDA's webhook warns of both elsewhere
(kedacore/keda v2.20.2 apis/keda/v1alpha1/scaledobject_webhook.go verifyScaledObjects). ``initialCooldownPeriod`` counts
from creation and ``cooldownPeriod`` from the last activity, and both cover a load, so a replica that was just started is
not taken away while it loads (pkg/scaling/executor/scale_scaledobjects.go scaleToZeroOrIdle).

The fallback holds at least the minimum, and one replica at zero: an inactive tier with a failing trigger is then left as it
is instead of being taken to zero (RequestScale, same file), so an outage of Prometheus ends no running batch.

scalingModifiers are not used: the combination stands in one PromQL query (see load.py), wake and warm-up triggers are meant
to win by being larger, and a formula over a trigger that fails takes the whole ScaledObject with it.
"""

from typing import Final

from stoker.platform.autoscaling import Wake
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.autoscaling.behavior import hpa_behavior
from stoker.upgrades.autoscaling.brokers import broker_authentication
from stoker.upgrades.autoscaling.load import load_trigger
from stoker.upgrades.autoscaling.wake import (
    broker_triggers,
    cron_triggers,
    effective_wake,
    interceptor_route,
    wake_trigger,
)
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit

__all__ = ["compile_autoscaling"]

_FAILURES: Final = 3  # evaluations (15 s apart) that must fail before the fallback holds


def compile_autoscaling(platform: ResolvedPlatform) -> list[Emitted]:
    """Every object that moves a replica count, for every model that is scaled outside Knative."""
    emitted: list[Emitted] = []
    for model in platform.models.values():
        if model.scaling.enabled and model.mode is not ServingMode.KNATIVE:
            emitted += _model(platform, model)
    return emitted


def _model(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    triggers = _triggers(platform, model)
    if not triggers:  # an engine without metrics, without broker and without windows: nothing to follow
        return []
    wake = effective_wake(model)
    emitted = []
    broker = model.scaling.broker
    authentication = broker_authentication(model, broker) if broker is not None else None
    if authentication is not None:
        reason = "KEDA reads the broker's credentials from the Secret you name, never from the trigger"
        emitted.append(emit(platform, Upgrade.AUTOSCALING, Wave.SCALING, reason, authentication, model=model))
    if wake is Wake.HTTP_ADDON:
        reason = f"holds requests to {model.name} while its first replica loads, and counts them for KEDA"
        route = interceptor_route(platform, model)
        emitted.append(emit(platform, Upgrade.AUTOSCALING, Wave.SCALING, reason, route, model=model))
    scaled = _scaled_object(model, triggers)
    emitted.append(
        emit(platform, Upgrade.AUTOSCALING, Wave.SCALING, _reason(model, wake), scaled, model=model)
    )
    return emitted


def _triggers(platform: ResolvedPlatform, model: ResolvedModel) -> list[Object]:
    found = [
        wake_trigger(platform, model),
        *broker_triggers(model),
        load_trigger(platform, model),
        *cron_triggers(model),
    ]
    return [trigger for trigger in found if trigger is not None]


def _scaled_object(model: ResolvedModel, triggers: list[Object]) -> Object:
    spec: Object = {
        "scaleTargetRef": _target(model),
        "minReplicaCount": model.min_replicas,
        "maxReplicaCount": model.max_replicas,
    }
    if model.min_replicas == 0:
        cooldown = max(model.scaling.cooldown_seconds, model.startup_seconds)
        spec |= {"cooldownPeriod": cooldown, "initialCooldownPeriod": cooldown}
    # A warm-up window needs no outside answer; only scalers that ask somebody can fail.
    if any(trigger["type"] != "cron" for trigger in triggers):
        spec["fallback"] = {
            "failureThreshold": _FAILURES,
            "replicas": max(1, model.min_replicas),
            "behavior": "currentReplicasIfHigher",
        }
    spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": hpa_behavior(model)}}
    spec["triggers"] = triggers
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": model.name, "namespace": model.namespace},
        "spec": spec,
    }


def _target(model: ResolvedModel) -> Object:
    if model.nodes_per_replica > 1:  # whole groups are scaled, through the scale subresource
        return {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "name": model.workload,
        }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": model.workload}


def _reason(model: ResolvedModel, wake: Wake | None) -> str:
    bounds = f"{model.min_replicas} to {model.max_replicas} replicas of {model.name}"
    follows = (
        f"following its {model.scaling.signal.value} at {model.scaling.target_concurrency} requests each"
    )
    return f"{bounds}, {follows}" + (f", woken from zero by {wake.value}" if wake is not None else "")
