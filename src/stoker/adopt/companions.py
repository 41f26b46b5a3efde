"""What stands beside a model: LoRA adapters, transformers, explainers, outlier detectors."""

import re
from typing import Any, Final

from stoker.adopt.flags import environment
from stoker.adopt.ledger import Ledger
from stoker.adopt.names import name_of, quantity
from stoker.audit.view.images import parse_image
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload

__all__ = ["adapters", "steps"]

_URI: Final = re.compile(r"^(hf|s3|gs|oci|pvc|modelscope|https)://[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,500}$")
_HUB: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")
_IMAGE: Final = re.compile(
    r"^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$"
)


def adapters(server: Server, ledger: Ledger) -> list[dict[str, Any]]:
    """Adapters by flag (``name=path``) or by an LLMInferenceService's model.lora."""
    rank = server.number("--max-lora-rank")
    more = {"rank": int(rank)} if rank and 1 <= rank <= 512 else {}
    found: dict[str, dict[str, Any]] = {}
    flag = server.flag("--lora-modules", "--lora-paths")
    declared = server.item.section("spec", "model", "lora").get("adapters")
    pairs = [pair for value in (flag.values if flag else ()) for pair in [value.partition("=")[::2]]]
    path = flag.path if flag else ("spec", "model", "lora")
    if isinstance(declared, list) and server.item.kind == "LLMInferenceService":
        pairs += [
            (str(e.get("name") or ""), str(e.get("uri") or "")) for e in declared if isinstance(e, dict)
        ]
    for name, source in pairs:
        text = f"hf://{source}" if _HUB.match(source) else source
        if _URI.match(text) and name == name_of(name, "") and name not in found:
            found[name] = {"name": name, "source": text, **more}
        elif name or source:
            ledger.note(
                server.item,
                path,
                f"adapter {name[:60] or source[:60]} is not carried over: want a name in lower case and a hub name or storage URI",
            )
    return list(found.values())[:256]


def steps(view: View, server: Server, ledger: Ledger) -> dict[str, Any]:
    """The InferenceService's transformer and explainer, and the service that its logger tells of every request."""
    found: dict[str, Any] = {}
    for workload in view.workloads:
        if workload.item is server.item and workload.part in {"transformer", "explainer"}:
            step = _step(workload, ledger)
            if step:
                found[workload.part] = step
    logger = server.item.section("spec", "predictor", "logger")
    url = logger.get("url")
    if isinstance(url, str):
        host = re.sub(r"^https?://", "", url).partition("/")[0].partition(":")[0].partition(".")[0]
        step = next((made for w in view.workloads if w.item.kind == "Deployment" and w.namespace == server.item.namespace and w.item.name == host
                     and (made := _step(w, ledger))), None)  # fmt: skip
        if step:
            found["outlierDetector"] = step
        else:
            ledger.note(
                server.item,
                ("spec", "predictor", "logger"),
                "the logger's sink is no Deployment that was read: it is not carried over",
            )
    return found


def _step(workload: Workload, ledger: Ledger) -> dict[str, Any] | None:
    container = next((item for item in workload.containers if not item.init), None)
    ledger.use(workload.item)
    if container is None:
        return None
    image = parse_image(container.image)
    pinned = bool(image.digest) or image.tag not in {"", "latest"}
    if not pinned or not _IMAGE.match(container.image) or container.spec.get("command"):
        ledger.note(
            workload.item,
            (*container.path, "image"),
            f"the {workload.part or 'step'} is not carried over: want an image that is pinned, and no command of its own",
        )
        return None
    step: dict[str, Any] = {"image": container.image}
    args = [str(text) for text in container.spec.get("args") or []]
    own = [
        text
        for text in args
        if not re.match(r"^--(model_name|predictor_host|http_port|predictor_protocol)\b", text)
    ]
    if own:
        step["args"] = own[:64]
    env = environment(workload.item, container.spec, container.path, ledger)
    if env:
        step["env"] = env
    for key in ("cpu", "memory"):
        amount = quantity(container.limits.get(key) or container.requests.get(key) or "")
        if amount:
            step[key] = amount
    step["replicas"] = max(1, min(workload.minimum, 100))
    port = next((p.get("containerPort") for p in container.spec.get("ports") or []), None)
    if isinstance(port, int) and 1024 <= port <= 65535:
        step["port"] = port
    return step
