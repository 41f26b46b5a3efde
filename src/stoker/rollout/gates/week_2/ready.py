"""Every model is ready through what serves it, and answers correctly in the protocols that it speaks."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import httpx2

from stoker.kube.refs import Object, Ref
from stoker.platform.models import EngineName
from stoker.platform.serving import ServingMode
from stoker.rollout.endpoints import Endpoint, find_model
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.gates.week_2 import answers
from stoker.sizing.resolved import ResolvedModel

__all__ = ["GATE", "ModelSeen", "Readiness", "judge", "object_of", "readiness_of", "versions_of"]

_PROMPT: Final = "Reply with a short greeting."
_CANARY: Final = "CanaryPredictorReady"
_SHOWN: Final = 300  # letters of a body in the evidence
# Engines that serve the Open Inference Protocol; vLLM, SGLang and TGI do not (facts: vllm/entrypoints, kserve huggingfaceserver).
_SPEAK_V2: Final = frozenset((EngineName.HUGGINGFACE, EngineName.TRITON))


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the object that serves a model says of itself.

    Attributes:
        what: such as ``InferenceService ai/llama``.
        asleep: it has no replica, and is meant to have none without requests.
    """

    what: str
    ready: bool
    why: str = ""
    asleep: bool = False


@dataclass(frozen=True, slots=True)
class ModelSeen:
    """A model as it was found.

    Attributes:
        checked: what was asked and rightly answered, by protocol.
        problems: what was wrong.
        skipped: what does not apply, with the reason.
        unreachable: why nothing could be asked; empty where something could.
    """

    model: str
    readiness: Readiness
    checked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    unreachable: str = ""
    way: str = ""

    def as_json(self) -> dict[str, Any]:
        return {
            "served_by": self.readiness.what, "ready": self.readiness.ready, "way": self.way, "right": list(self.checked),
            "wrong": list(self.problems), "not_applicable": list(self.skipped),
        }  # fmt: skip


def judge(seen: Sequence[ModelSeen]) -> Judgement:
    """Every model that is not asleep is ready and answers rightly."""
    figures = {"models": {one.model: one.as_json() for one in seen}}
    awake = [one for one in seen if not one.readiness.asleep]
    failed = [
        f"{one.readiness.what} is not ready: {one.readiness.why}" for one in awake if not one.readiness.ready
    ]
    failed += [f"{one.model}: {'; '.join(one.problems)}" for one in awake if one.problems]
    if failed:
        return Judgement.failed("; ".join(failed), **figures)
    unclear = [f"{one.model}: {one.unreachable}" for one in awake if one.unreachable]
    if unclear:
        return Judgement.inconclusive("; ".join(unclear), **figures)
    if not awake:
        return Judgement.inconclusive("no model has a replica: they wake on requests (week 3)", **figures)
    told = "; ".join(f"{one.model}: {', '.join(one.checked)}" for one in awake)
    return Judgement.passed(f"ready, and right answers: {told}", **figures)


# --- ready ------------------------------------------------------------------------------------------------------------


def object_of(model: ResolvedModel) -> Ref:
    """What a controller keeps ready for a model."""
    if model.mode is ServingMode.LLM_INFERENCE_SERVICE:
        return Ref("serving.kserve.io/v1alpha2", "LLMInferenceService", model.namespace, model.name)
    if model.nodes_per_replica > 1:
        return Ref("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", model.namespace, model.workload)
    if model.mode is ServingMode.DEPLOYMENT:
        return Ref("apps/v1", "Deployment", model.namespace, model.workload)
    return Ref("serving.kserve.io/v1beta1", "InferenceService", model.namespace, model.name)


def versions_of(model: ResolvedModel) -> list[Ref]:
    """As `object_of`, of every version that gets requests: a canary is an object of its own where KServe has no such field."""
    stable = object_of(model)
    canary = model.canary
    if canary is None or stable.kind == "InferenceService":
        return [stable]
    name = f"{model.name}-{canary.name}" if stable.kind == "LLMInferenceService" else canary.workload
    return [stable, replace(stable, name=name)]


def readiness_of(ref: Ref, found: Object | None) -> Readiness:
    """Ready as its conditions say: ``Ready``, or ``Available`` of a Deployment and of a group of pods.

    A canary that an InferenceService has in Standard mode is no part of its ``Ready`` (kserve v0.20.0 CanaryPredictorReady).
    """
    if found is None:
        return Readiness(str(ref), ready=False, why="it is not in the cluster")
    status = found.get("status") or {}
    conditions: dict[str, Object] = {one["type"]: one for one in status.get("conditions") or ()}
    wanted = "Available" if ref.kind in {"Deployment", "LeaderWorkerSet"} else "Ready"
    condition = conditions.get(wanted, {})
    if condition.get("status") == "True" and conditions.get(_CANARY, {}).get("status") == "False":
        wanted, condition = _CANARY, conditions[_CANARY]
    generation, observed = found["metadata"].get("generation"), status.get("observedGeneration")
    if ref.kind == "Deployment" and observed is not None and generation is not None and observed < generation:
        return Readiness(str(ref), ready=False, why="its controller has not seen the newest version")
    if condition.get("status") == "True":
        return Readiness(str(ref), ready=True)
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    why = [
        condition.get("reason") or f"no condition {wanted}",
        condition.get("message") or "",
        failure.get("message") or "",
    ]
    return Readiness(str(ref), ready=False, why=": ".join(one for one in why if one))


def _readiness(context: Context, model: ResolvedModel) -> Readiness:
    """Of the first version that is not ready, or of the stable one."""
    refs = versions_of(model)

    def states() -> list[Readiness]:
        return [readiness_of(ref, context.cluster.get(ref)) for ref in refs]

    if model.min_replicas == 0 and not _has_pods(context, model):
        return Readiness(str(refs[0]), ready=True, asleep=True)
    last = states()

    def look() -> bool | None:
        nonlocal last
        last = states()
        return all(one.ready for one in last) or None

    context.until(look, within=float(context.settings["within_seconds"]), every=5)
    for one in last:
        context.note(f"{one.what} is {'ready' if one.ready else f'not ready: {one.why}'}")
    return next((one for one in last if not one.ready), last[0])


def _has_pods(context: Context, model: ResolvedModel) -> bool:
    selector = ",".join(f"{key}={value}" for key, value in model.pod_labels.items())
    return bool(context.cluster.objects("v1", "Pod", model.namespace, labels=selector))


# --- right answers ----------------------------------------------------------------------------------------------------


@dataclass
class _Asking:
    """Asks one model and keeps what was right, wrong, or not to be asked."""

    context: Context
    model: ResolvedModel
    client: httpx2.Client
    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def ask(
        self, what: str, method: str, path: str, check: Callable[[Any], list[str]], body: Object | None = None
    ) -> Any:
        """Send a request whose answer is JSON, or nothing; returns the answer's."""
        response = self.client.request(method, path, json=body)
        try:
            answer = response.json() if response.content else None
        except ValueError:
            answer = None
        problems = (
            check(answer)
            if response.is_success
            else [f"HTTP {response.status_code}: {response.text[:_SHOWN]}"]
        )
        self._keep(what, problems, path, response.status_code, response.text[:_SHOWN])
        return answer

    def stream(self, what: str, path: str, check: Callable[[list[str]], list[str]], body: Object) -> None:
        with self.client.stream("POST", path, json=body) as response:
            lines = [line for line in response.iter_lines() if line]
        problems = (
            check(lines)
            if response.is_success
            else [f"HTTP {response.status_code}: {' '.join(lines)[:_SHOWN]}"]
        )
        self._keep(
            what,
            problems,
            path,
            response.status_code,
            f"{len(lines)} events, {' '.join(lines[-2:])[:_SHOWN]}",
        )

    def _keep(self, what: str, problems: list[str], path: str, status: int, seen: str) -> None:
        self.statuses.add(status)
        if problems:
            self.wrong.append(f"{what}: {', '.join(problems)}")
        else:
            self.right.append(what)
        told = "as it should be" if not problems else ", ".join(problems)
        self.context.note(f"{self.model.name}: {what}: {told}", path=path, status=status, body=seen)


def _openai(asking: _Asking) -> None:
    model, name = asking.model, asking.model.name
    prefix = model.release.openai_prefix
    if model.spec.protocol != "openai":
        asking.skipped.append(f"OpenAI: its clients speak {model.spec.protocol}")
        return
    if not prefix:
        asking.skipped.append(f"OpenAI: {model.release.engine} has no such API")
        return
    asking.ask("models", "GET", f"{prefix}/models", lambda body: answers.models_problems(body, name))
    if model.architecture is not None and model.architecture.task == "embed":
        body = {"model": name, "input": _PROMPT}
        asking.ask(
            "embedding",
            "POST",
            f"{prefix}/embeddings",
            lambda body: answers.embedding_problems(body, name),
            body,
        )
        return
    most = int(asking.context.settings["max_tokens"])
    messages = [{"role": "user", "content": _PROMPT}]
    chat = {"model": name, "messages": messages, "max_tokens": most}
    asking.ask(
        "chat",
        "POST",
        f"{prefix}/chat/completions",
        lambda body: answers.chat_problems(body, name, most),
        chat,
    )
    asking.stream(
        "stream",
        f"{prefix}/chat/completions",
        lambda lines: answers.stream_problems(lines, name, most),
        {**chat, "stream": True, "stream_options": {"include_usage": True}},
    )
    asking.ask(
        "completion",
        "POST",
        f"{prefix}/completions",
        lambda body: answers.completion_problems(body, name, most),
        {"model": name, "prompt": _PROMPT, "max_tokens": most},
    )


def _v2(asking: _Asking) -> None:
    """Readiness and metadata of every engine that has the protocol; an inference only where clients speak it."""
    model, name = asking.model, asking.model.name
    engine = EngineName(model.release.engine)
    if engine not in _SPEAK_V2 and model.spec.protocol != "v2":
        asking.skipped.append(f"V2: {engine.value} does not serve the Open Inference Protocol")
        return
    asking.ask("V2 ready", "GET", "/v2/health/ready", lambda _: [])
    asking.ask("V2 model ready", "GET", f"/v2/models/{name}/ready", lambda _: [])
    if model.spec.protocol != "v2":
        asking.skipped.append("V2 inference: its clients speak OpenAI")
        return
    metadata = asking.ask(
        "V2 metadata", "GET", f"/v2/models/{name}", lambda body: answers.v2_metadata_problems(body, name)
    )
    inputs = metadata.get("inputs") if isinstance(metadata, dict) else None
    if isinstance(inputs, list) and len(inputs) > 1:
        asking.skipped.append("V2 inference: the model has several inputs, whose values nobody gave")
        return
    one = inputs[0] if isinstance(inputs, list) and inputs else {"name": "input-0", "datatype": "BYTES"}
    if one.get("datatype") != "BYTES":
        asking.skipped.append(
            f"V2 inference: its input is {one.get('datatype')}, for which there is no value that makes sense"
        )
        return
    body = {
        "inputs": [{"name": one.get("name", "input-0"), "shape": [1], "datatype": "BYTES", "data": [_PROMPT]}]
    }
    asking.ask(
        "V2 infer",
        "POST",
        f"/v2/models/{name}/infer",
        lambda body: answers.v2_infer_problems(body, name),
        body,
    )


def _v1(asking: _Asking) -> None:
    name = asking.model.name
    if asking.model.spec.protocol == "v1":
        asking.ask("V1 model", "GET", f"/v1/models/{name}", lambda body: answers.v1_problems(body, name))


def _look(context: Context, model: ResolvedModel) -> ModelSeen:
    readiness = _readiness(context, model)
    if readiness.asleep or not readiness.ready:
        return ModelSeen(model.name, readiness)
    try:
        endpoint: Endpoint = find_model(context.cluster, context.platform, model, context.services)
    except CannotMeasureError as error:
        return ModelSeen(model.name, readiness, unreachable=error.message)
    context.note(f"{model.name} is reached by {endpoint.through}", **endpoint.as_json())
    seconds = float(context.settings["request_seconds"])
    with endpoint.client(httpx2.Timeout(seconds, connect=5.0)) as client:
        asking = _Asking(context, model, client)
        try:
            for protocol in (_openai, _v1, _v2):
                protocol(asking)
        except (httpx2.TransportError, json.JSONDecodeError) as error:
            asking.wrong.append(f"no answer: {type(error).__name__}: {error}")
    if asking.statuses and asking.statuses <= {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
        return ModelSeen(
            model.name,
            readiness,
            way=endpoint.way.value,
            unreachable="it wants credentials, which are not here",
        )
    return ModelSeen(
        model.name,
        readiness,
        tuple(asking.right),
        tuple(asking.wrong),
        tuple(asking.skipped),
        way=endpoint.way.value,
    )


def measure(context: Context) -> Judgement:
    if not context.platform.models:
        raise CannotMeasureError("the platform has no model", fix="models[] names them")
    return judge([_look(context, model) for model in context.platform.models.values()])


GATE: Final = Gate(
    "week-2/model-ready",
    "Every model is ready and answers as its protocol says",
    "ready within {within_seconds} s; models, chat, stream and completion (or V1, V2) have the right form, name, end and counts",
    "sends each model a handful of requests of at most {max_tokens} tokens",
    measure,
    # The wall's seconds for one answer: a model that was just loaded compiles at its first.
    {"within_seconds": 600, "request_seconds": 120, "max_tokens": 16},
)
