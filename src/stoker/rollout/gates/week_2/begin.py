"""The canary that is measured: a pair made for the gate, or the one that the platform declares."""

from collections.abc import Callable, Mapping
from typing import Any

from stoker.kube.refs import Object, ref_of
from stoker.platform.serving import ServingMode
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.rollout.gates.nodes import read_gpu_nodes
from stoker.rollout.gates.quotas import quota_left
from stoker.rollout.gates.week_2.counting import pods_of
from stoker.rollout.gates.week_2.pair import Pair, choose_model, pair_of, unfit
from stoker.rollout.gates.week_2.ready import object_of, readiness_of
from stoker.rollout.gates.week_2.traffic import Traffic
from stoker.sizing.resolved import ResolvedModel

__all__ = ["answer_seconds", "begin"]


def begin(context: Context, settings: Mapping[str, Any]) -> tuple[Traffic, int]:
    """The canary to measure, and the share that it is meant to have."""
    where = settings["canary"]
    if where == "platform":
        return _declared(context)
    if where != "probe":
        raise CannotMeasureError(f"canary: {where!r} is neither probe nor platform", fix="set one of them")
    model = _choose(context)
    percent = int(settings["percent"])
    pair = pair_of(context.platform, model, context.probes.run, percent)
    context.note(f"making two versions of {model.name} as {pair.model.name}", mode=model.mode.value)
    for obj in pair.objects:
        context.probes.create(obj)
    traffic = Traffic(context, pair.model, owned=True)
    if pair.step is not None:
        _second_step(context, pair, pair.step)
    _until_ready(context, traffic)
    return traffic, percent


def _declared(context: Context) -> tuple[Traffic, int]:
    for model in context.platform.models.values():
        if model.canary is not None and not unfit(model) and model.mode is not ServingMode.KNATIVE:
            traffic = Traffic(context, model, owned=False)
            _until_ready(context, traffic)
            return traffic, model.canary.traffic_percent
    raise CannotMeasureError(
        "no model of the platform has a canary whose traffic can be shifted and put back",
        fix="use canary: probe",
    )


def _choose(context: Context) -> ResolvedModel:
    platform = context.platform
    left = {
        (model.namespace, model.slice.resource): quota_left(
            context.cluster, model.namespace, model.slice.resource
        )
        for model in platform.models.values()
    }
    model, why = choose_model(platform, read_gpu_nodes(context.cluster, platform), left)
    if model is None:
        raise CannotMeasureError(
            f"no model can be run twice beside what runs: {'; '.join(why) or 'there is none'}",
            fix="free two replicas of the smallest model, or measure a declared canary with canary: platform",
        )
    return model


def _second_step(context: Context, pair: Pair, step: Object) -> None:
    """Knative makes a canary of a revision that is ready, and of no other."""
    ref = object_of(pair.model)
    _wait(
        context, pair.model, f"{ref} is not ready", lambda: readiness_of(ref, context.cluster.get(ref)).ready
    )
    context.cluster.patch(ref_of(step), {"spec": step["spec"]})


def _until_ready(context: Context, traffic: Traffic) -> None:
    model = traffic.model
    ref = object_of(model)

    def ready() -> bool:
        pods = pods_of(context, model)
        whole = readiness_of(ref, context.cluster.get(ref)).ready
        return whole and all(pods.get(version) for version in traffic.versions())

    _wait(context, model, f"{model.name} has not a ready pod of each version", ready)


def _wait(context: Context, model: ResolvedModel, why: str, holds: Callable[[], bool]) -> None:
    within = max(600.0, 4.0 * model.startup_seconds)
    if context.until(lambda: holds() or None, within=within, every=5) is None:
        state = readiness_of(object_of(model), context.cluster.get(object_of(model)))
        pods = {version: len(each) for version, each in pods_of(context, model).items()}
        raise CannotMeasureError(
            f"{why} after {within:.0f} s: {state.why or 'it is ready'}, ready pods: {pods or 'none'}",
            fix="`kubectl describe` its pods",
        )


def answer_seconds(context: Context, model: ResolvedModel, request_seconds: float) -> float:
    """The wall's seconds for an answer; Knative holds requests while a revision starts again."""
    cold = 2.5 * model.startup_seconds / context.clock.speed if model.mode is ServingMode.KNATIVE else 0.0
    return request_seconds + cold
