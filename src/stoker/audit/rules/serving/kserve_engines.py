"""Engines that platforms still offer and that their makers have stopped developing."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View

_TGI: Final = "https://github.com/huggingface/text-generation-inference README (maintenance mode)"


@rule(
    "engine-in-maintenance",
    Area.SERVING,
    Severity.INFO,
    title="Engine is in maintenance mode",
    why=(
        "Text Generation Inference takes minor fixes only: new models, new GPUs and new quantisations do not arrive, and its makers "
        "recommend vLLM or SGLang."
    ),
    fix="Plan the move to vLLM or SGLang.",
    references=(_TGI,),
    on=lambda view: view.running_servers,
)
def _engine_in_maintenance(server: Server, view: View) -> Iterator[Hit]:
    if server.engine == "tgi":
        path = (*server.container.path, "image") if server.container.image else server.container.path
        yield Hit(server.item, path, f"{server} runs Text Generation Inference", server.container.image)
