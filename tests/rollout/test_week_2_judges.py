"""Verdicts of week 2, from what was seen alone."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.rollout.proof import platform
from tests.schemas.validate import validate_object

from stoker.kube.refs import Object, Ref
from stoker.rollout.evidence import Verdict
from stoker.rollout.gate import CannotMeasureError
from stoker.rollout.gates.nodes import GpuNode
from stoker.rollout.gates.week_2 import answers
from stoker.rollout.gates.week_2.counting import Look, counted, sum_of
from stoker.rollout.gates.week_2.judges import Stage, judge_answers, judge_shift, judge_split
from stoker.rollout.gates.week_2.pair import choose_model, pair_of
from stoker.rollout.gates.week_2.prober import Asked
from stoker.rollout.gates.week_2.ready import ModelSeen, Readiness, readiness_of, versions_of
from stoker.rollout.gates.week_2.ready import judge as judge_ready
from stoker.rollout.gates.week_2.traffic import weights_of

PASSED, FAILED, UNCLEAR = Verdict.PASSED, Verdict.FAILED, Verdict.INCONCLUSIVE
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
CHAT: Object = {
    "id": "chatcmpl-1", "object": "chat.completion", "model": "m", "usage": USAGE,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}  # fmt: skip
TEXT: Object = {
    "id": "cmpl-1", "object": "text_completion", "model": "m", "usage": USAGE,
    "choices": [{"index": 0, "text": "hi", "finish_reason": "length"}],
}  # fmt: skip


def chat(**changes: Any) -> Object:
    return {**CHAT, **changes}


def choice(**changes: Any) -> list[Object]:
    return [{**CHAT["choices"][0], **changes}]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(CHAT, "", id="right"),
        pytest.param(chat(choices=choice(message={"role": "assistant", "content": None, "reasoning": "hm"})), "", id="thinks"),
        pytest.param(None, "no object", id="nothing"),
        pytest.param({"error": "x"}, "object is None", id="an error with 200"),
        pytest.param(chat(model="other"), "model is 'other' instead of 'm'", id="another model"),
        pytest.param(chat(object="text_completion"), "object is 'text_completion'", id="another kind"),
        pytest.param(chat(id=""), "no id", id="no id"),
        pytest.param(chat(choices=[]), "no choice", id="no choice"),
        pytest.param(chat(choices=choice(message={"role": "user", "content": "hi"})), "assistant", id="role"),
        pytest.param(chat(choices=choice(message={"role": "assistant", "content": ""})), "empty", id="empty"),
        pytest.param(chat(choices=choice(finish_reason=None)), "finish_reason is None", id="no end"),
        pytest.param(chat(usage=None), "no prompt and no completion tokens", id="no usage"),
        pytest.param(chat(usage={**USAGE, "completion_tokens": 0}), "no completion", id="nothing counted"),
        pytest.param(chat(usage={**USAGE, "total_tokens": 9}), "total_tokens is 9 instead of 13", id="sum"),
        pytest.param(
            chat(usage={"prompt_tokens": 9, "completion_tokens": 40, "total_tokens": 49}), "40 tokens were made", id="too many"
        ),
    ],
)  # fmt: skip
def test_a_chat_completion_has_its_form(body: Any, words: str) -> None:
    found = answers.chat_problems(body, "m", 16)

    assert bool(found) == bool(words)
    assert words in "; ".join(found)


def test_a_completion_has_its_form() -> None:
    assert answers.completion_problems(TEXT, "m", 16) == []
    assert answers.completion_problems(
        {**TEXT, "choices": [{"text": "", "finish_reason": "stop"}]}, "m", 16
    ) == ["a choice has no text"]


def chunk(**changes: Any) -> str:
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [], **changes}
    return f"data: {json.dumps(body)}"


FIRST = chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
WORD = chunk(choices=[{"index": 0, "delta": {"content": "hi"}, "finish_reason": None}])
END = chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
LAST = chunk(usage=USAGE)
DONE = "data: [DONE]"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param([FIRST, WORD, END, LAST, DONE], "", id="right"),
        pytest.param([], "no stream", id="nothing"),
        pytest.param([json.dumps(CHAT)], "no stream", id="not streamed"),
        pytest.param([FIRST, WORD, END, LAST], "does not end with [DONE]", id="cut"),
        pytest.param([FIRST, END, LAST, DONE], "no text", id="no word"),
        pytest.param([FIRST, WORD, LAST, DONE], "finish_reason is []", id="no end"),
        pytest.param([FIRST, WORD, END, END, LAST, DONE], "finish_reason is ['stop', 'stop']", id="two ends"),
        pytest.param([FIRST, WORD, END, DONE], "no chunk has the usage", id="no usage"),
        pytest.param(["data: {", DONE], "no JSON", id="no JSON"),
        pytest.param([FIRST, WORD, END, chunk(model="x"), LAST, DONE], "model is 'x'", id="another model"),
    ],
)
def test_a_stream_has_its_form(lines: list[str], words: str) -> None:
    found = answers.stream_problems(lines, "m", 16)

    assert bool(found) == bool(words)
    assert words in "; ".join(found)


def test_the_other_protocols_have_their_form() -> None:
    assert answers.models_problems({"object": "list", "data": [{"id": "m"}]}, "m") == []
    assert "not among" in answers.models_problems({"object": "list", "data": [{"id": "x"}]}, "m")[0]
    assert "no list" in answers.models_problems([], "m")[0]
    vector = {"data": [{"embedding": [0.1, -2]}], "model": "m", "usage": {"prompt_tokens": 3}}
    assert answers.embedding_problems(vector, "m") == []
    assert answers.embedding_problems({**vector, "data": [{"embedding": [0, 0]}]}, "m") != []
    assert answers.v1_problems({"name": "m", "ready": True}, "m") == []
    assert answers.v1_problems({"name": "m", "ready": False}, "m") == ["ready is False"]
    assert answers.v2_metadata_problems({"name": "m", "inputs": [], "outputs": []}, "m") == []
    assert answers.v2_metadata_problems({"name": "x"}, "m") != []
    output = {"name": "output-0", "shape": [1], "datatype": "BYTES", "data": ["hi"]}
    assert answers.v2_infer_problems({"model_name": "m", "outputs": [output]}, "m") == []
    assert (
        "empty" in answers.v2_infer_problems({"model_name": "m", "outputs": [{**output, "data": []}]}, "m")[0]
    )
    assert answers.v2_infer_problems({"model_name": "m", "outputs": []}, "m") == ["there is no output"]


# --- ready ------------------------------------------------------------------------------------------------------------

READY = Readiness("InferenceService ns/m", ready=True)


@pytest.mark.parametrize(
    ("seen", "verdict", "words"),
    [
        pytest.param(ModelSeen("m", READY, ("chat",)), PASSED, "m: chat", id="right"),
        pytest.param(
            ModelSeen("m", Readiness("x", ready=False, why="Failed")),
            FAILED,
            "x is not ready: Failed",
            id="not",
        ),
        pytest.param(ModelSeen("m", READY, ("models",), ("chat: bad",)), FAILED, "m: chat: bad", id="wrong"),
        pytest.param(ModelSeen("m", READY, unreachable="no way"), UNCLEAR, "m: no way", id="not reached"),
        pytest.param(
            ModelSeen("m", replace(READY, asleep=True)), UNCLEAR, "no model has a replica", id="asleep"
        ),
    ],
)
def test_models_are_ready_and_answer(seen: ModelSeen, verdict: Verdict, words: str) -> None:
    judgement = judge_ready([seen])

    assert judgement.verdict is verdict
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("kind", "status", "ready", "why"),
    [
        ("InferenceService", {"conditions": [{"type": "Ready", "status": "True"}]}, True, ""),
        (
            "InferenceService",
            {
                "conditions": [{"type": "Ready", "status": "False", "reason": "PredictorNotReady"}],
                "modelStatus": {"lastFailureInfo": {"message": "no runtime"}},
            },
            False,
            "PredictorNotReady: no runtime",
        ),
        (
            "InferenceService",
            {
                "conditions": [
                    {"type": "Ready", "status": "True"},
                    {"type": "CanaryPredictorReady", "status": "False", "reason": "CanariesNotReady"},
                ]
            },
            False,
            "CanariesNotReady",
        ),
        ("Deployment", {"conditions": [{"type": "Available", "status": "True"}], "observedGeneration": 2}, True, ""),
        ("Deployment", {"conditions": [{"type": "Available", "status": "True"}], "observedGeneration": 1}, False, "newest"),
        ("LLMInferenceService", {}, False, "no condition Ready"),
    ],
)  # fmt: skip
def test_ready_is_what_the_conditions_say(kind: str, status: Object, *, ready: bool, why: str) -> None:
    found = readiness_of(Ref("x/v1", kind, "ns", "m"), {"metadata": {"generation": 2}, "status": status})

    assert found.ready is ready
    assert why in found.why
    assert not readiness_of(Ref("x/v1", kind, "ns", "m"), None).ready


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("Standard", ["InferenceService ai-production/llama"]),
        ("Knative", ["InferenceService ai-production/llama"]),
        (
            "LLMInferenceService",
            [f"LLMInferenceService ai-production/{name}" for name in ("llama", "llama-v2")],
        ),
        ("Deployment", [f"Deployment ai-production/{name}" for name in ("llama", "llama-v2")]),
    ],
)
def test_every_version_that_gets_requests_must_be_ready(mode: str, names: list[str]) -> None:
    assert names == [str(ref) for ref in versions_of(platform(mode).models["llama"])]


# --- a canary ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "verdict", "words"),
    [
        pytest.param(
            Stage("split", 10, 355, 0, (36, 36)), PASSED, "by the canary, 99.9% interval", id="ten percent"
        ),
        pytest.param(Stage("split", 10, 355, 0, (178, 178)), FAILED, "10% is not in it", id="half"),
        pytest.param(Stage("split", 10, 355, 0, (0, 0)), FAILED, "not in it", id="none"),
        pytest.param(Stage("split", 10, 355, 0, (355, 355)), FAILED, "not in it", id="all"),
        pytest.param(Stage("split", 10, 20, 0, (2, 2)), UNCLEAR, "wider than 6.0%", id="too few"),
        pytest.param(Stage("split", 10, 355, 0, (10, 60), 50), UNCLEAR, "50 requests of others", id="others"),
        pytest.param(Stage("split", 10, 0, 355), UNCLEAR, "no request was answered", id="no answers"),
        pytest.param(Stage("split", 10, why="no counters"), UNCLEAR, "no counters", id="not counted"),
    ],
)
def test_a_share_is_judged_by_its_interval(stage: Stage, verdict: Verdict, words: str) -> None:
    judgement = judge_split(stage, confidence=0.999, half_width=0.06)

    assert judgement.verdict is verdict
    assert words in judgement.reason


@pytest.mark.parametrize(
    ("stage", "to_canary", "verdict"),
    [
        pytest.param(Stage("promote", 100, 50, 0, (50, 50), settled=3.0), True, PASSED, id="all"),
        pytest.param(Stage("back", 0, 50, 0, (0, 0), settled=3.0), False, PASSED, id="none"),
        pytest.param(Stage("promote", 100, 50, 0, (49, 49), settled=3.0), True, FAILED, id="one went astray"),
        pytest.param(Stage("back", 0, 50, 0, (1, 1), settled=3.0), False, FAILED, id="one came back"),
        pytest.param(Stage("promote", 100, 10, 0, (1, 1), settled=None), True, FAILED, id="never"),
        pytest.param(Stage("promote", 100, 50, 0, (50, 50), settled=500.0), True, FAILED, id="too late"),
        pytest.param(Stage("promote", 100, 50, 0, (45, 50), 5, settled=3.0), True, UNCLEAR, id="others"),
        pytest.param(Stage("promote", 100, settled=None, why="gone"), True, UNCLEAR, id="not counted"),
        pytest.param(None, True, UNCLEAR, id="not tried"),
    ],
)
def test_a_shift_is_judged_by_all_requests(stage: Stage | None, *, to_canary: bool, verdict: Verdict) -> None:
    assert verdict is judge_shift(stage, to_canary=to_canary, within=120).verdict


STAGES, DOORS = ("split", "promote"), ("front", "stable", "canary")


def asked(**failed: int) -> list[Asked]:
    return [
        Asked(door, stage, 10, failed.get(door, 0) if stage == "split" else 0)
        for door in DOORS
        for stage in STAGES
    ]


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        pytest.param(asked(), PASSED, "60 requests to front, stable, canary, none failed", id="all"),
        pytest.param(
            asked(canary=1), FAILED, "1 of 60 requests failed, first canary during split: HTTP 500", id="one"
        ),
        pytest.param(asked()[:4], UNCLEAR, "never asked: canary", id="a door was not asked"),
        pytest.param(
            [one for one in asked() if one.stage == "split"], UNCLEAR, "never asked: promote", id="stage"
        ),
        pytest.param([], UNCLEAR, "never asked", id="nothing"),
    ],
)
def test_no_request_may_fail(found: list[Asked], verdict: Verdict, words: str) -> None:
    failures = [{"door": "canary", "stage": "split", "why": "HTTP 500"}]
    judgement = judge_answers(found, STAGES, failures, DOORS)

    assert judgement.verdict is verdict
    assert words in judgement.reason


def look(direct: int = 0, **pods: tuple[str, float]) -> Look:
    return Look(pods, {"stable": direct})


def test_who_answered_is_told_by_the_counters() -> None:
    before = look(3, a=("stable", 10.0), b=("canary", 5.0))
    after = look(5, a=("stable", 21.0), b=("canary", 6.0))
    count = counted(before, after, 10)

    assert (count.finished, count.others) == ({"stable": 9, "canary": 1}, 0)
    assert count.bounds("canary") == (1, 1)


def test_requests_of_others_blur_the_count() -> None:
    count = counted(
        look(a=("stable", 0.0), b=("canary", 0.0)), look(a=("stable", 8.0), b=("canary", 4.0)), 10
    )

    assert count.others == 2
    assert count.bounds("canary") == (2, 4)
    assert count.bounds("stable") == (6, 8)


def test_pods_that_come_count_from_zero_and_those_that_go_or_begin_anew_are_told() -> None:
    before = look(a=("stable", 7.0))

    assert counted(before, look(a=("stable", 7.0), b=("canary", 3.0)), 3).finished == {
        "stable": 0,
        "canary": 3,
    }
    assert counted(before, look(b=("canary", 3.0)), 3).finished == {"stable": 0, "canary": 3}
    with pytest.raises(CannotMeasureError, match="a went while"):
        counted(before, look(b=("canary", 2.0)), 3)
    with pytest.raises(CannotMeasureError, match="a began anew"):
        counted(before, look(a=("stable", 1.0)), 1)


def test_counters_are_summed_over_their_series() -> None:
    page = (
        "# TYPE vllm:request_success_total counter\n"
        'vllm:request_success_total{engine="0",finished_reason="stop"} 3.0\n'
        'vllm:request_success_total{engine="0",finished_reason="length"} 4\n'
        "vllm:request_success_created 9\n"
    )

    assert sum_of(page, "vllm:request_success_total") == 7
    assert sum_of(page, "vllm:request_success") is None
    assert sum_of("", "x") is None


# --- the pair ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Standard", "Knative", "LLMInferenceService", "Deployment"])
def test_a_pair_is_made_of_the_compilers_objects_under_a_name_of_its_own(mode: str) -> None:
    proof = platform(mode)
    pair = pair_of(proof, proof.models["llama"], "run-1", 10)
    objects = [*pair.objects, *([pair.step] if pair.step else [])]

    assert pair.model.name.startswith("gate-")
    for obj in objects:
        assert pair.model.name in obj["metadata"]["name"]
        assert obj["metadata"]["namespace"] == "ai-production"
    text = json.dumps(objects)
    assert '"serviceAccountName": "llama-engine"' in text
    assert f'--served-model-name={pair.model.name}"' in text or mode == "LLMInferenceService"
    assert pair_of(proof, proof.models["llama"], "run-2", 10).model.name != pair.model.name
    share = {"Standard": '"weight": 10', "Knative": '"canaryTrafficPercent": 10'}.get(mode, '"weight": 10')
    assert share in text


@pytest.mark.parametrize("mode", ["Standard", "Knative", "LLMInferenceService", "Deployment"])
def test_the_pair_s_objects_are_valid(mode: str) -> None:
    proof = platform(mode)
    pair = pair_of(proof, proof.models["llama"], "run-1", 10)

    for obj in [*pair.objects, *([pair.step] if pair.step else [])]:
        assert validate_object(obj, "1.36") == []


def room(gpus: int) -> GpuNode:
    offers = {"nvidia.com/gpu": gpus, "cpu": 96_000, "memory": 2**40, "pods": 110}
    return GpuNode("n", "a100", offers, offers, True, True, (), ())


@pytest.mark.parametrize(
    ("gpus", "left", "why"),
    [
        (8, 5, ""),
        (8, None, ""),
        (1, 5, "has room for 1 of two replicas"),
        (8, 1, "the quota of ai-production leaves 1 nvidia.com/gpu, two replicas take 2"),
    ],
)
def test_a_pair_is_made_where_two_replicas_find_room_and_quota(gpus: int, left: int | None, why: str) -> None:
    proof = platform()
    model, reasons = choose_model(proof, [room(gpus)], {("ai-production", "nvidia.com/gpu"): left})

    assert (model is None) == bool(why)
    assert why in "; ".join(reasons)


def test_weights_change_and_the_rest_of_a_route_stays() -> None:
    rules = [
        {
            "matches": [{"path": {"value": "/"}}],
            "backendRefs": [{"name": "a", "weight": 90}, {"name": "b"}, {"name": "c"}],
        }
    ]
    found = weights_of({"spec": {"rules": rules}}, {"a": 0, "b": 100})

    assert [one["weight"] for one in found[0]["backendRefs"]] == [0, 100, 1]
    assert found[0]["matches"] == rules[0]["matches"]
    assert rules[0]["backendRefs"][0] == {"name": "a", "weight": 90}  # type: ignore[index]
