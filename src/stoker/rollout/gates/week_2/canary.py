"""One canary from beginning to end, measured once for four gates: its share, promotion, roll-back, and answers all the while."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from stoker.rollout.evidence import Judgement, Observation
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.gates.week_2.begin import answer_seconds, begin
from stoker.rollout.gates.week_2.judges import Measured, judge_answers, judge_shift, judge_split
from stoker.rollout.gates.week_2.prober import Prober, Sender
from stoker.rollout.gates.week_2.stages import Stages

__all__ = ["BOTH", "PROMOTE", "ROLL_BACK", "SPLIT"]

_MEMORY: Final = "week-2/canary"
# At 0.999 a cluster that splits rightly fails once in a thousand times.
_SETTINGS: Final[Mapping[str, Any]] = {
    "percent": 10, "confidence": 0.999, "half_width": 0.05, "requests_after": 50, "concurrency": 8, "canary": "probe",
    "request_seconds": 60,
}  # fmt: skip


@dataclass(frozen=True)
class _Memory:
    """What was measured, its observations, and the gates that have had it."""

    measured: Measured
    evidence: tuple[Observation, ...]
    served: frozenset[str]


def _measured(context: Context, gate: str) -> Measured:
    """What is measured for this gate: with the gates before it, if this one has not had that yet; else anew."""
    found: _Memory | None = context.memory.get(_MEMORY)
    if found is not None and gate not in found.served:
        context.memory[_MEMORY] = replace(found, served=found.served | {gate})
        context.evidence.extend(found.evidence)
        context.note(f"measured on {found.measured.by}, together with {', '.join(sorted(found.served))}")
        return found.measured
    context.memory.pop(_MEMORY, None)
    measured = _run(context)
    context.memory[_MEMORY] = _Memory(measured, tuple(context.evidence), frozenset((gate,)))
    return measured


def _run(context: Context) -> Measured:
    settings = {**_SETTINGS, **{key: context.settings[key] for key in _SETTINGS if key in context.settings}}
    traffic, percent = begin(context, settings)
    model = traffic.model
    seconds = answer_seconds(context, model, float(settings["request_seconds"]))
    sender = Sender(model.name, model.release.openai_prefix, seconds)
    stages = Stages(context, settings, traffic, sender, Prober(context, sender, every=1.0))
    doors = stages.answering(percent)
    for door, endpoint in doors.items():
        context.note(f"door {door}: {endpoint.through}", **endpoint.as_json())
    measured = Measured(
        f"{'a pair of ' if traffic.owned else ''}{model.name} ({model.mode.value})", traffic.versions()
    )
    with stages.prober as prober:
        try:
            measured = replace(measured, split=stages.split(doors, percent))
            measured = replace(measured, promote=stages.shift("promote", 100))
            measured = replace(measured, back=stages.shift("roll back", 0))
        except CannotMeasureError as error:
            measured = replace(measured, why=error.message)
    return replace(measured, asked=prober.result(), failures=tuple(prober.failures))


# --- gates ------------------------------------------------------------------------------------------------------------


def _judge_split(context: Context) -> Judgement:
    measured = _measured(context, SPLIT.id)
    if measured.split is None:
        return Judgement.inconclusive(measured.why)
    settings = {**_SETTINGS, **context.settings}
    return judge_split(
        measured.split, confidence=float(settings["confidence"]), half_width=float(settings["half_width"])
    )


def _judge_promote(context: Context) -> Judgement:
    measured = _measured(context, PROMOTE.id)
    within = float(context.settings["within_seconds"])
    return judge_shift(measured.promote, to_canary=True, within=within, why=measured.why)


def _judge_back(context: Context) -> Judgement:
    measured = _measured(context, ROLL_BACK.id)
    within = float(context.settings["within_seconds"])
    return judge_shift(measured.back, to_canary=False, within=within, why=measured.why)


def _judge_both(context: Context) -> Judgement:
    measured = _measured(context, BOTH.id)
    if measured.why and not any(one.failures for one in measured.asked):
        return Judgement.inconclusive(measured.why)
    doors = ("front", *measured.versions)
    return judge_answers(measured.asked, ("split", "promote", "roll back"), measured.failures, doors)


_PROCEDURE: Final = (
    "runs the smallest model twice under a name of its own, within quota and free GPUs, shifts its traffic to the one, to the "
    "other and back, and removes both; with canary: platform, a declared canary's traffic is shifted instead and put back"
)
SPLIT: Final = Gate(
    "week-2/canary-split",
    "A canary gets the share of the requests that it was given",
    "{percent} % lies in the exact {confidence} interval of the measured share, at most {half_width} to either side",
    _PROCEDURE,
    _judge_split,
    _SETTINGS,
)
PROMOTE: Final = Gate(
    "week-2/promote",
    "A canary that is promoted gets all requests",
    "within {within_seconds} s every request is answered by the new version",
    "as week-2/canary-split, with which it is measured",
    _judge_promote,
    {"within_seconds": 120},
)
ROLL_BACK: Final = Gate(
    "week-2/roll-back",
    "A canary that is rolled back gets no requests",
    "within {within_seconds} s every request is answered by the old version again",
    "as week-2/canary-split, with which it is measured",
    _judge_back,
    {"within_seconds": 120},
)
BOTH: Final = Gate(
    "week-2/both-answer",
    "Both versions answer all the while",
    "no request fails at the gateway or at either version, before, during and after promotion and roll-back",
    "as week-2/canary-split, with which it is measured",
    _judge_both,
)
