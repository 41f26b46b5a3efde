"""How a KV cache is filled up on purpose: by a switch in a lab, by real load on a live cluster.

Both leave requests waiting, for that is what makes a full cache an incident. Ending it is registered with the gate's clean-up
before it begins, and the lab's switch also mends itself.
"""

from contextlib import ExitStack
from typing import Final, Protocol

import httpx2

from stoker.rollout.endpoints import Endpoint, Way, find_model
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.rollout.monitoring import services
from stoker.rollout.pods import ModelPod, ready_pods
from stoker.rollout.traffic import planned, sequences_of, target_of, traffic
from stoker.sizing.resolved import ResolvedModel

__all__ = ["LoadSaturation", "Saturation", "SwitchSaturation", "lab_switch", "saturation_of"]

_FULL: Final = 1.3  # times the pool that is asked for: requests must wait, not only fit tightly


class Saturation(Protocol):
    """A KV cache that can be filled and let go again."""

    how: str

    def begin(self) -> None: ...

    def end(self) -> None: ...


def lab_switch(
    context: Context, kind: str, target: str, *, on: bool, value: float | None = None, seconds: float = 0.0
) -> None:
    """Set one of a lab's fault switches (`stoker lab fault`).

    Raises:
        CannotMeasureError: the lab refuses, such as to a user who is no administrator.
    """
    body = {"kind": kind, "target": target, "on": on, "value": value, "seconds": seconds}
    try:
        with context.cluster.connect() as client:
            answer = client.post("/lab/faults", json=body)
    except httpx2.HTTPError as error:
        raise CannotMeasureError(f"the lab's switches do not answer: {error}") from error
    if not on and answer.status_code == httpx2.codes.NOT_FOUND:
        return  # the pod is gone, and the fault with it
    if not answer.is_success:
        raise CannotMeasureError(
            f"the lab refuses to switch {kind} {target}: {answer.status_code} {_words(answer)}",
            fix="use the administrator's kubeconfig: stoker lab kubeconfig",
        )


def _words(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200]


class SwitchSaturation:
    """The lab's switch on one pod, and a few requests straight to that pod, which wait."""

    def __init__(self, context: Context, model: ResolvedModel, level: float, seconds: float) -> None:
        self._context, self._model, self._level, self._seconds = context, model, level, seconds
        self._load = ExitStack()
        self._pod = _newest(context, model)
        self.how = (
            f"the lab's switch on {self._pod.name}: its KV cache is {level:.0%} full, and requests to it wait"
        )

    @property
    def _target(self) -> str:
        return f"{self._pod.namespace}/{self._pod.name}"

    def begin(self) -> None:
        lab_switch(
            self._context, "kv-cache", self._target, on=True, value=self._level, seconds=self._seconds * 1.5
        )
        url = f"http://{self._pod.address}:{self._model.port}"
        endpoint = Endpoint(url, {}, Way.SERVICE, f"pod {self._target}")
        context = max(8, self._model.context_length)
        plan = planned(
            self._model.name,
            burst=4,
            rate=0.2,
            seconds=self._seconds,
            prompt_tokens=context // 2,
            output_tokens=context // 4,
        )
        self._load.enter_context(traffic(self._context, target_of(self._model, endpoint), plan))

    def end(self) -> None:
        try:
            lab_switch(self._context, "kv-cache", self._target, on=False)
        finally:
            self._load.close()


class LoadSaturation:
    """Long prompts and long answers, more of them at once than the pools of all ready replicas hold."""

    def __init__(self, context: Context, model: ResolvedModel, seconds: float) -> None:
        self._context, self._model, self._seconds = context, model, seconds
        self._load = ExitStack()
        if not model.kv_tokens:
            raise CannotMeasureError(
                f"the KV cache of {model.name} has no known size", fix="name another model"
            )
        batch = sequences_of(model)
        if batch * model.context_length < model.kv_tokens:
            raise CannotMeasureError(
                f"no load fills the KV cache of {model.name}: {batch} sequences of {model.context_length} tokens are fewer "
                f"than its {model.kv_tokens}",
                fix="name a model with a larger batch or context",
            )
        self._endpoint = find_model(context.cluster, context.platform, model, services(context))
        self._replicas = max(1, len(ready_pods(context.cluster, model)))
        self._prompt = max(1, model.context_length // 2)
        self._output = max(1, model.context_length // 4)
        self._count = int(_FULL * model.kv_tokens * self._replicas / (self._prompt + self._output)) + 4
        self.how = (
            f"load: {self._count} requests of {self._prompt} prompt and {self._output} output tokens at once to "
            f"{self._replicas} replicas, and as many again as they end"
        )

    def begin(self) -> None:
        plan = planned(
            self._model.name,
            burst=self._count,
            rate=self._count / 30.0,  # a request of this size takes longer than that on any GPU
            seconds=self._seconds,
            prompt_tokens=self._prompt,
            output_tokens=self._output,
        )
        run = traffic(
            self._context, target_of(self._model, self._endpoint), plan, max_in_flight=4 * self._count
        )
        self._load.enter_context(run)

    def end(self) -> None:
        self._load.close()


def saturation_of(context: Context, model: ResolvedModel, *, level: float, seconds: float) -> Saturation:
    """The way that this cluster allows; it ends with the gate, whatever happens.

    Raises:
        CannotMeasureError: no pod of the model is ready.
    """
    is_lab = context.cluster.measured_on.startswith("lab")
    found: Saturation
    if is_lab and not context.settings["by_load"]:
        found = SwitchSaturation(context, model, level, seconds)
    else:
        found = LoadSaturation(context, model, seconds)
    context.probes.undo(f"saturation of {model.name}", found.end)
    return found


def _newest(context: Context, model: ResolvedModel) -> ModelPod:
    pods = ready_pods(context.cluster, model)
    if not pods:
        raise CannotMeasureError(f"no pod of {model.name} is ready", fix="week-2's gates come first")
    return max(pods, key=lambda pod: (pod.started, pod.name))
