"""What each serving mode can carry."""

from collections.abc import Iterator
from typing import Final

from stoker.platform.check.finding import KSERVE_COMPONENT_MODES, Finding, mode_of
from stoker.platform.check.placement import must_span_nodes, node_sizes
from stoker.platform.document import Platform
from stoker.platform.models import EngineName, Model
from stoker.platform.positions import Path, shown
from stoker.platform.serving import ServingMode

__all__ = ["canaries", "graphs", "modes"]

_LORA: Final = frozenset((EngineName.VLLM, EngineName.SGLANG))
# LLMInferenceService fills its pod template with vLLM's flags, and its endpoint picker reads vLLM's metrics and those of
# servers that speak OpenAI at the root (kserve v0.20.0 config/llmisvcconfig). KServe's own server (huggingface) serves
# below /openai and exists in KServe's InferenceService only.
_ENGINES_REFUSED: Final = {
    ServingMode.LLM_INFERENCE_SERVICE: frozenset((EngineName.TRITON, EngineName.HUGGINGFACE, EngineName.TGI)),
    ServingMode.DEPLOYMENT: frozenset((EngineName.HUGGINGFACE,)),
}


def modes(platform: Platform) -> Iterator[Finding]:
    """Engines and companions of each model against its mode."""
    sizes = node_sizes(platform)
    for index, model in enumerate(platform.models):
        at: Path = ("models", index)
        mode = mode_of(platform, model)
        yield from _engine(at, model, mode)
        yield from _companions(at, model, mode)
        if mode is ServingMode.KNATIVE and must_span_nodes(model, sizes):
            yield Finding(
                (*at, "serving") if model.serving else (*at, "parallelism"),
                "a replica over several nodes is not possible in Knative mode (a Knative revision is one pod per replica)",
                found="Knative",
                wanted="Standard, LLMInferenceService or Deployment",
                fix="add `serving: LLMInferenceService` to the model",
            )


def _engine(at: Path, model: Model, mode: ServingMode) -> Iterator[Finding]:
    engine = model.engine
    if engine.name in _ENGINES_REFUSED.get(mode, frozenset()):
        yield Finding(
            (*at, "engine"),
            f"engine {engine.name.value} does not run in mode {mode.value}",
            found=engine.name.value,
            wanted="vllm, sglang or custom, or serving: Standard",
            fix="add `serving: Standard` to the model",
        )
    if engine.name is EngineName.CUSTOM:
        for key, value in (("image", engine.image), ("port", engine.port)):
            if value is None:
                yield Finding(
                    (*at, "engine"),
                    f"a custom engine without {key}",
                    wanted="image and port",
                    fix=f"add `{key}`: nothing else can know it",
                )
    elif engine.port is not None:
        yield Finding(
            (*at, "engine", "port"),
            f"the port of {engine.name.value} is set by its mode",
            found=str(engine.port),
            wanted="port with engine custom only",
            fix="delete it",
        )
    if model.lora and engine.name not in _LORA:
        yield Finding(
            (*at, "lora"),
            f"{engine.name.value} is not known to serve LoRA adapters",
            found=engine.name.value,
            wanted="engine vllm or sglang",
        )


def _companions(at: Path, model: Model, mode: ServingMode) -> Iterator[Finding]:
    if mode in KSERVE_COMPONENT_MODES:
        return
    for key, value in (
        ("transformer", model.transformer),
        ("explainer", model.explainer),
        ("outlierDetector", model.outlier_detector),
    ):
        if value is not None:
            yield Finding(
                (*at, key),
                f"{key} is a part of KServe's InferenceService, which mode {mode.value} does not make",
                found=mode.value,
                wanted="serving: Standard or Knative",
                fix="add `serving: Standard` to the model",
            )


def canaries(platform: Platform) -> Iterator[Finding]:
    """KServe refuses `spec.canary` beside a workerSpec (kserve v0.20.0 inference_service_validation.go)."""
    sizes = node_sizes(platform)
    for index, model in enumerate(platform.models):
        if model.canary is None or mode_of(platform, model) is not ServingMode.STANDARD:
            continue
        if must_span_nodes(model, sizes):
            yield Finding(
                ("models", index, "canary"),
                "KServe allows no canary of a model whose replicas span nodes in Standard mode",
                wanted="one node per replica, or another mode",
                fix="add `serving: LLMInferenceService` to the model, which splits traffic by route weights",
            )


def graphs(platform: Platform) -> Iterator[Finding]:
    """Graphs are KServe's own, over InferenceServices; steps need exactly what their router reads."""
    by_name = {model.name: model for model in platform.models}
    for index, graph in enumerate(platform.graphs):
        for number, step in enumerate(graph.steps):
            at: Path = ("graphs", index, "steps", number)
            if (step.model is None) == (step.url is None):
                yield Finding(at, "a step is either a model or a url", wanted="exactly one of model and url")
            model = by_name.get(step.model or "")
            if model is not None and mode_of(platform, model) not in KSERVE_COMPONENT_MODES:
                yield Finding(
                    (*at, "model"),
                    f"model {model.name} is served in mode {mode_of(platform, model).value}, and a graph routes to InferenceServices",
                    found=shown(model.name),
                    wanted="a model in mode Standard or Knative",
                )
            if graph.type == "Splitter" and step.weight is None:
                yield Finding(
                    at,
                    "a step of a Splitter without weight",
                    wanted="a weight in percent",
                    fix="add `weight`",
                )
            if graph.type == "Switch" and not step.condition:
                yield Finding(
                    at,
                    "a step of a Switch without condition",
                    wanted="a GJSON condition",
                    fix="add `condition`",
                )
        weights = [step.weight for step in graph.steps if step.weight is not None]
        if graph.type == "Splitter" and len(weights) == len(graph.steps) and sum(weights) != 100:
            yield Finding(
                ("graphs", index, "steps"),
                "the weights of a Splitter do not add up",
                found=str(sum(weights)),
                wanted="100",
            )
