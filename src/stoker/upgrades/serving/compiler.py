"""Every object of upgrade 2."""

from collections.abc import Callable
from typing import Final

from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted
from stoker.upgrades.serving.deployment import compile_deployment
from stoker.upgrades.serving.graphs import compile_graphs
from stoker.upgrades.serving.knative import compile_knative
from stoker.upgrades.serving.kserve import compile_runtimes, compile_standard
from stoker.upgrades.serving.llm import compile_llm, compile_pipeline_presets
from stoker.upgrades.serving.multinode import compile_group
from stoker.upgrades.serving.routing import compile_gateway, compile_route
from stoker.upgrades.serving.steps import compile_detector

__all__ = ["compile_serving"]

_MODES: Final[dict[ServingMode, Callable[[ResolvedPlatform, ResolvedModel], list[Emitted]]]] = {
    ServingMode.STANDARD: compile_standard,
    ServingMode.KNATIVE: compile_knative,
    ServingMode.LLM_INFERENCE_SERVICE: compile_llm,
    ServingMode.DEPLOYMENT: compile_deployment,
}


def compile_serving(platform: ResolvedPlatform) -> list[Emitted]:
    """Runtimes, services of every model in its mode, routes, the gateway, graphs."""
    objects = [*compile_gateway(platform), *compile_runtimes(platform), *compile_pipeline_presets(platform)]
    for model in platform.models.values():
        grouped = model.nodes_per_replica > 1 and model.mode is not ServingMode.LLM_INFERENCE_SERVICE
        compile_model = compile_group if grouped else _MODES[model.mode]
        objects += [
            *compile_detector(platform, model),
            *compile_model(platform, model),
            *compile_route(platform, model),
        ]
    return [*objects, *compile_graphs(platform)]
