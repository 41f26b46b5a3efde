"""Does the batch tier go to zero and come back when there is work, and does the production tier never leave warm?"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from stoker.kube.refs import Ref
from stoker.load import LoadRun, Outcome
from stoker.platform.autoscaling import Wake
from stoker.platform.models import Tier
from stoker.platform.serving import ServingMode
from stoker.rollout.endpoints import find_model
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.monitoring import services
from stoker.rollout.queues import Engines
from stoker.rollout.replicas import Recorder
from stoker.rollout.saturation import lab_switch
from stoker.rollout.scaled_model import keda_is_missing, scaled_object
from stoker.rollout.scaling import judge_warm, judge_zero
from stoker.rollout.traffic import planned, target_of, traffic
from stoker.sizing.resolved import ResolvedModel
from stoker.upgrades.autoscaling.wake import effective_wake

__all__ = ["BATCH_TO_ZERO", "PRODUCTION_WARM"]

_KEDA_COOLDOWN: Final = 300.0  # where a ScaledObject names none
_SLACK: Final = 120.0  # polling, HPA syncs and the pods' end


@dataclass(slots=True)
class _Trigger:
    """What wakes a tier, in this gate's hands.

    Attributes:
        about: in words.
        pull: gives it work; None where nobody here can.
        answered: afterwards, whether the request that woke it was answered; None where there was none.
    """

    about: str
    pull: Callable[[], None] | None
    answered: Callable[[], bool | None] | None = None


def _measure_batch(context: Context) -> Judgement:
    model = _batch_model(context)
    if model.mode is not ServingMode.KNATIVE:
        missing = keda_is_missing(context)
        if missing is not None:
            return missing
    cooldown = float(max(model.scaling.cooldown_seconds, model.startup_seconds))
    zero_within = float(context.settings["zero_within_seconds"])
    zero_within = zero_within or cooldown * 1.25 + model.startup_seconds + _SLACK
    wake_within = float(context.settings["ready_factor"]) * model.startup_seconds + _SLACK
    running: list[float] = []
    with (
        _trigger(context, model) as trigger,
        Recorder(context.cluster, model) as replicas,
        _engines(context, model) as engines,
    ):
        context.note("measured on", model=model.name, wakes_by=trigger.about, cooldown_seconds=cooldown)
        calm = _now(context)

        def at_zero() -> bool | None:
            found = engines.read() if engines is not None else None
            running.append(found[0] + found[1] if found is not None else 0.0)
            last = replicas.last
            return True if last is not None and last.wanted == 0 and last.ready == 0 else None

        woken: float | None = None
        is_zero = context.until(at_zero, within=zero_within * 1.05, every=5.0)
        if is_zero and trigger.pull is not None:
            woken = _now(context)
            trigger.pull()
            context.note("there is work", by=trigger.about)
            context.until(lambda: _is_awake(replicas), within=wake_within, every=1.0)
            if trigger.answered is not None:
                context.until(trigger.answered, within=_SLACK, every=1.0)
        until, looks = _now(context), replicas.looks
        answered = None
        if woken is not None and trigger.answered is not None:
            answered = bool(trigger.answered())
    context.note(
        "replicas",
        replicas=[[round(look.at, 1), look.wanted, look.ready] for look in looks],
        requests_running=running[-200:],
        scaler=scaled_object(context, model),
    )
    return judge_zero(
        looks,
        calm=calm,
        zero_within=zero_within,
        woken=woken,
        wake_within=wake_within,
        answered=answered,
        busy=bool(running) and min(running) > 0,
        until=until,
    )


def _batch_model(context: Context) -> ResolvedModel:
    named = str(context.settings["model"])
    models = context.platform.models
    if named and named not in models:
        raise CannotMeasureError(f"the platform has no model {named!r}", fix=", ".join(models))
    found = [models[named]] if named else [one for one in models.values() if one.min_replicas == 0]
    if not found or found[0].min_replicas > 0:
        raise CannotMeasureError("the platform has no tier at zero", fix="tier: batch, replicas: {min: 0}")
    return found[0]


def _is_awake(replicas: Recorder) -> bool | None:
    last = replicas.last
    return True if last is not None and last.ready > 0 else None


@contextmanager
def _engines(context: Context, model: ResolvedModel) -> Iterator[Engines | None]:
    try:
        with Engines(context, model) as found:
            yield found
    except CannotMeasureError:
        yield None  # an engine without these metrics; then nobody knows whether it is busy


@contextmanager
def _trigger(context: Context, model: ResolvedModel) -> Iterator[_Trigger]:
    wake = Wake.KNATIVE if model.mode is ServingMode.KNATIVE else effective_wake(model)
    if wake is Wake.BROKER and model.scaling.broker is not None:
        yield _broker(context, model)
    elif wake is Wake.CRON:
        windows = ", ".join(f"{one.start} ({one.timezone})" for one in model.scaling.warm_up)
        yield _Trigger(f"its windows alone: {windows}", None)
    else:
        with ExitStack() as stack:
            yield _request(context, model, stack, "knative" if wake is Wake.KNATIVE else "a held request")


def _broker(context: Context, model: ResolvedModel) -> _Trigger:
    """A lab's emulated queue is filled; real brokers are left to their owners."""
    broker = model.scaling.broker
    assert broker is not None  # noqa: S101  # the caller looked
    queue = f"{broker.type}/{broker.queue}"
    about = f"messages in {queue}"
    if not context.cluster.measured_on.startswith("lab"):
        context.note(f"nobody here can put messages into {queue}", fix="put one there while this gate runs")
        return _Trigger(about, None)
    before = _switches(context).get(queue)
    context.probes.undo(
        f"messages in {queue}",
        lambda: lab_switch(context, "backlog", queue, on=before is not None, value=before),
    )
    lab_switch(context, "backlog", queue, on=True, value=0.0)
    messages = float(context.settings["messages"])
    return _Trigger(about, lambda: lab_switch(context, "backlog", queue, on=True, value=messages))


def _switches(context: Context) -> dict[str, float]:
    """The lab's queues and what is in them."""
    try:
        with context.cluster.connect() as client:
            told = client.get("/lab/faults").raise_for_status().json()
    except httpx2.HTTPError as error:
        raise CannotMeasureError(
            f"the lab's switches do not answer: {error}", fix="use the administrator's kubeconfig"
        ) from error
    return {one["target"]: float(one["value"]) for one in told["faults"] if one["kind"] == "backlog"}


def _request(context: Context, model: ResolvedModel, stack: ExitStack, about: str) -> _Trigger:
    """One request by the way of users, which something holds until a replica answers."""
    endpoint = find_model(context.cluster, context.platform, model, services(context), front=True)
    target = target_of(model, endpoint)
    runs: list[LoadRun] = []

    def pull() -> None:
        plan = planned(model.name, burst=1, rate=0.0, seconds=1.0, prompt_tokens=32, output_tokens=16)
        runs.append(stack.enter_context(traffic(context, target, plan)))

    def answered() -> bool | None:
        results = runs[0].so_far().results if runs else ()
        return results[0].outcome is Outcome.OK if results else None

    return _Trigger(f"{about}, by {endpoint.through}", pull, answered)


# --- production -------------------------------------------------------------------------------------------------------


def _measure_warm(context: Context) -> Judgement:
    models = [
        one
        for one in context.platform.models.values()
        if one.spec.tier is Tier.PRODUCTION and one.min_replicas > 0
    ]
    if not models:
        raise CannotMeasureError("the platform has no production tier", fix="tier: production")
    cooldown = max(_cooldown(context, model) for model in models)
    lasts = float(context.settings["observe_seconds"]) or cooldown + _SLACK
    busy: dict[str, list[tuple[float, bool]]] = {model.name: [] for model in models}
    with ExitStack() as stack:
        recorders = {model.name: stack.enter_context(Recorder(context.cluster, model)) for model in models}
        engines = {model.name: stack.enter_context(_engines(context, model)) for model in models}
        _warm_up(context, models, recorders)
        begins = {name: len(one.looks) - 1 for name, one in recorders.items()}
        began = _now(context)
        context.note(
            "observed", models=[model.name for model in models], seconds=lasts, cooldown_seconds=cooldown
        )

        def look() -> bool | None:
            for model in models:
                source = engines[model.name]
                found = source.read() if source is not None else None
                busy[model.name].append((_now(context), found is not None and sum(found) > 0))
            cold = [one for one in models if _ready(recorders[one.name]) < one.min_replicas]
            return True if cold else None  # what has been cold once is not warm any more

        context.until(look, within=lasts, every=5.0)
        until = _now(context)
        looks = {name: one.looks[max(0, begins[name]) :] for name, one in recorders.items()}
        blind = {name: one.blind for name, one in recorders.items()}
    for name, some in looks.items():
        context.note(
            f"replicas of {name}", replicas=[[round(one.at, 1), one.wanted, one.ready] for one in some]
        )
    return judge_warm(
        looks,
        {model.name: model.min_replicas for model in models},
        {name: _longest_idle(some) for name, some in busy.items()},
        blind,
        idle_wanted=cooldown if not context.settings["observe_seconds"] else min(cooldown, 0.9 * lasts),
        began=began,
        until=until,
    )


def _warm_up(context: Context, models: list[ResolvedModel], recorders: dict[str, Recorder]) -> None:
    """A rollout just before may still be loading weights; a tier that is cold after that is cold."""
    patience = 2.0 * max(model.startup_seconds for model in models) + _SLACK
    context.until(
        lambda: all(_ready(recorders[one.name]) >= one.min_replicas for one in models) or None,
        within=patience,
        every=5.0,
    )


def _ready(recorder: Recorder) -> int:
    return recorder.last.ready if recorder.last is not None else 0


def _cooldown(context: Context, model: ResolvedModel) -> float:
    """The longest time after which anything in the cluster would take a replica away for want of work."""
    found: dict[str, Any] = context.cluster.get(
        Ref("keda.sh/v1alpha1", "ScaledObject", model.namespace, model.name)
    ) or {"spec": {}}
    own = float(found["spec"].get("cooldownPeriod") or _KEDA_COOLDOWN)
    return max(own, float(model.scaling.scale_down_seconds) if model.scaling.enabled else 0.0)


def _longest_idle(looks: list[tuple[float, bool]]) -> float:
    longest, begin = 0.0, None
    for at, is_busy in looks:
        if is_busy:
            begin = None
        elif begin is None:
            begin = at
        else:
            longest = max(longest, at - begin)
    return longest


def _now(context: Context) -> float:
    return context.now().timestamp()


BATCH_TO_ZERO: Final = Gate(
    "week-3/batch-to-zero-and-wakes",
    "The batch tier goes to zero without work, and wakes when there is some",
    "no replica after its cooldown, and one ready within {ready_factor} times the start that sizing says after its trigger",
    "waits until the batch tier is idle, then gives its trigger work: a request where something holds it, messages in a lab's "
    "queue; brokers of live clusters are not written to",
    _measure_batch,
    {"model": "", "zero_within_seconds": 0, "ready_factor": 1.5, "messages": 10},
)
PRODUCTION_WARM: Final = Gate(
    "week-3/production-stays-warm",
    "The production tier never leaves warm",
    "the minimum of every production model ready all the time, also when idle for longer than any cooldown",
    "watches; changes nothing",
    _measure_warm,
    {"observe_seconds": 0},
)
