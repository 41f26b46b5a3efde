"""Does a queue that stands bring replicas, and do they go again without a request being lost?"""

from typing import Final

from stoker.errors import StokerError, UnreachableError
from stoker.load import LoadPlan, Target
from stoker.rollout.endpoints import find_model
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.monitoring import prometheus, services
from stoker.rollout.queues import Engines
from stoker.rollout.replicas import Look, Recorder
from stoker.rollout.scaled_model import Subject, keda_is_missing, scaled_model, scaled_object
from stoker.rollout.scaling import judge_scale_down, judge_scale_up
from stoker.rollout.traffic import answering, lost, planned, sequences_of, target_of, traffic
from stoker.sizing.resolved import ResolvedModel

__all__ = ["SCALE_DOWN", "SCALE_UP"]

_PROMPT: Final = 32  # tokens: short ones fill the batch before the cache
_FASTEST: Final = 0.01  # seconds per output token at a full batch that no GPU beats by much
_STEP_DOWN: Final = 300.0  # the compiled policy: one replica in five minutes
_SCRAPED: Final = 300.0  # seconds in which a new target is known to Prometheus
_QUIET: Final = 3600.0  # seconds in which an earlier load may scale in


def _measure_up(context: Context) -> Judgement:
    start, goal = int(context.settings["from"]), int(context.settings["to"])
    missing = keda_is_missing(context)
    if missing is not None:
        return missing
    subject = scaled_model(context, start=start, goal=goal)
    model = subject.model
    target = _target(context, model)
    within = float(context.settings["within_seconds"])
    ready_within = float(context.settings["ready_factor"]) * model.startup_seconds
    queue: list[tuple[float, float]] = []
    with Recorder(context.cluster, model) as replicas, Engines(context, model) as engines:
        _settle(context, replicas, start)
        _await_scrape(context, model, start)
        before = len(replicas.looks) - 1
        plan, most = _overload(model, seconds=within * 2 + ready_within + 600.0)

        def look() -> bool | None:
            _sample(context, engines, queue)
            last = replicas.last
            return True if last is not None and last.wanted >= goal and last.ready >= goal else None

        with traffic(context, target, plan, max_in_flight=most):
            began = _now(context)
            if (
                context.until(lambda: look() or _stands(queue, context) or None, within=600.0, every=1.0)
                is not None
            ):
                context.until(lambda: look() or _wanted(replicas, goal), within=within * 1.5, every=1.0)
                if _wanted(replicas, goal):
                    context.until(look, within=ready_within + 30.0, every=1.0)
            until = _now(context)
        looks = replicas.looks[before:]
    _evidence(context, subject, looks, queue, engines.source)
    context.note("load began", at=began)
    return judge_scale_up(
        queue,
        looks,
        start=start,
        goal=goal,
        within=within,
        depth=float(context.settings["queue"]),
        ready_within=ready_within,
        until=until,
    )


def _measure_down(context: Context) -> Judgement:
    missing = keda_is_missing(context)
    if missing is not None:
        return missing
    subject = scaled_model(context, start=int(context.settings["from"]), goal=int(context.settings["to"]))
    model = subject.model
    target, least, goal = _target(context, model), model.min_replicas, int(context.settings["to"])
    queue: list[tuple[float, float]] = []
    with Recorder(context.cluster, model) as replicas, Engines(context, model) as engines:
        plan, most = _overload(model, seconds=3.0 * model.startup_seconds + 1200.0)
        if not _more_than(replicas, least):
            with traffic(context, target, plan, max_in_flight=most):
                patience = 2.0 * model.startup_seconds + 900.0
                context.until(lambda: _ready(replicas, min(goal, least + 1)), within=patience, every=2.0)
                _sample(context, engines, queue)
        if not _more_than(replicas, least):
            raise CannotMeasureError(
                f"{model.name} did not go above {least} replicas, so none can go",
                fix="week-3/scale-up comes first",
            )
        calm = _now(context)
        window = float(model.scaling.scale_down_seconds)
        top = max(look.wanted for look in replicas.looks)
        within = (
            float(context.settings["within_seconds"]) or window + 1.5 * _STEP_DOWN * (top - least) + 300.0
        )
        trickle = planned(
            model.name, burst=1, rate=0.2, seconds=1.5 * within, prompt_tokens=_PROMPT, output_tokens=600
        )
        with traffic(context, target, trickle, grace_seconds=120.0) as run:
            context.until(lambda: _back(replicas, least), within=within * 1.1, every=2.0)
            until = _now(context)
        result = run.wait()
        looks = replicas.looks
    _evidence(context, subject, looks, queue, engines.source)
    answered = [one for one in result.results if one.sent_s is not None]
    return judge_scale_down(
        looks,
        least=least,
        window=window,
        within=within,
        calm=calm,
        lost=lost(result),
        sent=len(answered),
        until=until,
    )


# --- parts ------------------------------------------------------------------------------------------------------------


def _target(context: Context, model: ResolvedModel) -> Target:
    endpoint = find_model(context.cluster, context.platform, model, services(context))
    answering(model, endpoint)
    return target_of(model, endpoint)


def _overload(model: ResolvedModel, *, seconds: float) -> tuple[LoadPlan, int]:
    """A load under which one replica is full and requests wait, and how many are under way at most.

    Its rate is more than one replica can finish; the bound on requests under way keeps the queue at some dozens, which four
    replicas then take, instead of letting it grow for minutes.
    """
    batch = sequences_of(model)
    room = int(0.8 * model.kv_tokens / batch) - _PROMPT if model.kv_tokens else 256
    output = max(16, min(room, model.context_length - 2 * _PROMPT))
    most = batch + max(12, batch // 4)  # what waits
    plan = planned(
        model.name,
        burst=most,
        rate=batch / (output * _FASTEST),
        seconds=seconds,
        prompt_tokens=_PROMPT,
        output_tokens=output,
    )
    return plan, most


def _settle(context: Context, replicas: Recorder, start: int) -> None:
    """Until the model has the replicas that it is to begin with, as after an earlier load."""

    def is_settled() -> bool | None:
        last = replicas.last
        return True if last is not None and last.wanted == start and last.ready == start else None

    if context.until(is_settled, within=_QUIET, every=5.0) is None:
        last = replicas.last
        said = "no replicas" if last is None else f"{last.ready} of {last.wanted} replicas ready"
        raise CannotMeasureError(
            f"it has {said} and was to begin with {start}", fix="wait until no load is on it"
        )


def _await_scrape(context: Context, model: ResolvedModel, count: int) -> None:
    """Until Prometheus scrapes what is there: a pod that is new to it is no load to any scaler. Without it things go on as they are."""

    def is_scraped() -> bool | None:
        found = source.value(f'count(up{{namespace="{model.namespace}",model="{model.name}"}} == 1)')
        return True if found is not None and found >= count else None

    try:
        with prometheus(context) as source:
            is_there = context.until(is_scraped, within=_SCRAPED, every=5.0)
    except StokerError as error:
        context.note("Prometheus is not seen", why=error.message)
        return
    context.note("scraped by Prometheus", replicas=count if is_there else "not all")


def _sample(context: Context, engines: Engines, queue: list[tuple[float, float]]) -> None:
    try:
        found = engines.read()
    except UnreachableError:
        return
    if found is not None:
        queue.append((_now(context), found[0]))


def _stands(queue: list[tuple[float, float]], context: Context) -> bool:
    return bool(queue) and queue[-1][1] > float(context.settings["queue"])


def _wanted(replicas: Recorder, goal: int) -> bool | None:
    return True if any(look.wanted >= goal for look in replicas.looks) else None


def _ready(replicas: Recorder, count: int) -> bool | None:
    return True if replicas.last is not None and replicas.last.ready >= count else None


def _more_than(replicas: Recorder, least: int) -> bool:
    return replicas.last is not None and replicas.last.ready > least


def _back(replicas: Recorder, least: int) -> bool | None:
    last = replicas.last
    return True if last is not None and last.wanted <= least and last.ready <= least else None


def _now(context: Context) -> float:
    return context.now().timestamp()


def _evidence(
    context: Context, subject: Subject, looks: tuple[Look, ...], queue: list[tuple[float, float]], source: str
) -> None:
    context.note(
        "replicas and queue",
        replicas=[[round(look.at, 1), look.wanted, look.ready] for look in looks],
        queue=[[round(at, 1), value] for at, value in queue[:: max(1, len(queue) // 500)]],
        queue_from=source,
        scaler=scaled_object(context, subject.model),
    )


SCALE_UP: Final = Gate(
    "week-3/scale-up",
    "A queue that stands takes the replicas up",
    "{to} replicas wanted from {from} within {within_seconds} s of a queue above {queue}, and ready within {ready_factor} "
    "times the start that sizing says",
    "overloads a model of the platform that may go from {from} to {to}, else one that is made for the gate and removed",
    _measure_up,
    {"from": 1, "to": 4, "within_seconds": 120, "queue": 3, "ready_factor": 1.5, "model": "", "probe": False},
)
SCALE_DOWN: Final = Gate(
    "week-3/scale-down",
    "Replicas go when the load has gone, and no request is lost",
    "not before the window is over, back at the minimum in time, never below it, no request lost",
    "overloads a model until it has more than its minimum, then sends a few requests while its replicas go",
    _measure_down,
    {"from": 1, "to": 4, "within_seconds": 0, "model": "", "probe": False},
)
