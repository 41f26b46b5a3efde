"""The engine of a server: name, release, image, arguments, environment; and how one replica is split over GPUs."""

import re
from dataclasses import replace
from typing import Any, Final

from stoker.adopt.flags import arguments, environment
from stoker.adopt.ledger import Ledger
from stoker.adopt.names import managed
from stoker.audit.view.command import Command, parse_flags, words_of
from stoker.audit.view.images import Image, parse_image
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Container
from stoker.catalog.engines import default_version, release
from stoker.kube.snapshot import Item

__all__ = ["custom_engine", "engine_of", "layout_of", "with_runtime"]

_VERSION: Final = re.compile(r"^\d{1,4}\.\d{1,4}(\.\d{1,4})?$")
_IMAGE: Final = re.compile(
    r"^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$"
)
_WHOLE_POD: Final = frozenset(("tgi", "triton"))  # one server takes every GPU of its pod


def with_runtime(view: View, server: Server, ledger: Ledger) -> Server:
    """A KServe model with the image and the flags of its runtime, which come before its own."""
    runtime = _runtime(view, server)
    if runtime is None:
        return server
    ledger.use(runtime)
    specs = runtime.spec.get("containers") or []
    index = next((i for i, spec in enumerate(specs) if spec.get("name") == "kserve-container"), 0)
    if index >= len(specs):
        return server
    container = Container(("spec", "containers", index), specs[index])
    theirs = parse_flags(
        [word for word in words_of(container) if word.text.startswith("-") or word.path[-2:-1] == ("args",)]
    )
    flags = (*theirs.flags, *server.command.flags)
    image = server.image if server.image.repository else parse_image(container.image)
    return replace(server, image=image, command=Command(server.command.words, flags, server.command.free))


def _runtime(view: View, server: Server) -> Item | None:
    name = server.container.spec.get("runtime")
    if not isinstance(name, str) or server.container.path[-1:] != ("model",):
        return None
    found = view.snapshot.get("ServingRuntime.serving.kserve.io", server.workload.namespace, name)
    return found or view.snapshot.get("ClusterServingRuntime.serving.kserve.io", "", name)


def _official(image: Image, engine: str) -> bool:
    return image.repository.removeprefix("docker.io/") == release(engine).image.removeprefix("docker.io/")


def engine_of(server: Server, path: str, ledger: Ledger) -> dict[str, Any]:
    """The engine's part of a model."""
    found: dict[str, Any] = {"name": server.engine}
    version = _version(server)
    if version:
        found["version"] = version
    else:
        what = (
            f"the tag is {server.image.tag or 'missing'}"
            if server.image.repository
            else "the manifest names no image"
        )
        ledger.assume(
            f"{path}.engine.version",
            default_version(server.engine),
            f"{what}: the catalogue's pinned release is taken",
        )
        if server.image.repository and _official(server.image, server.engine):
            ledger.note(
                server.item, (*server.container.path, "image"), f"{what}: which release runs today is unknown"
            )
    image = _own_image(server, ledger)
    if image:
        found["image"] = image
    args = arguments(server, version, ledger)
    if args:
        found["args"] = args
    env = environment(server.item, server.container.spec, server.container.path, ledger)
    if env:
        found["env"] = env
    return found


def _version(server: Server) -> str | None:
    own = server.container.spec.get("runtimeVersion")
    text = own if isinstance(own, str) and not server.container.image else server.image.version
    text = (text or "").removeprefix("v")
    text = re.split(r"[-+]", text)[0]
    return text if _VERSION.match(text) else None


def _own_image(server: Server, ledger: Ledger) -> str | None:
    """An image that is not the engine's published one."""
    image = server.image
    if not image.repository or _official(image, server.engine):
        return None
    text = server.container.image or f"{image.repository}:{image.tag}"
    if image.tag in {"", "latest"} and not image.digest:
        ledger.note(
            server.item, (*server.container.path, "image"),
            f"{image.repository[:80]} is not pinned by a tag or digest: the engine's published image is taken",
        )  # fmt: skip
        return None
    return text if _IMAGE.match(text) and len(text) <= 512 else None


def layout_of(server: Server, ledger: Ledger) -> dict[str, int]:
    """Tensor, pipeline and data parallelism of one replica."""
    workload = server.workload
    own = workload.item.section("spec", "parallelism") if workload.item.kind == "LLMInferenceService" else {}
    group = workload.item.section("spec", "predictor", "workerSpec")
    tensor = _count(own.get("tensor")) or _count(group.get("tensorParallelSize")) or server.tensor_parallel
    pipeline = (
        _count(own.get("pipeline")) or _count(group.get("pipelineParallelSize")) or server.pipeline_parallel
    )
    data = _count(own.get("data")) or server.data_parallel
    gpus = max(server.gpus_per_pod, workload.gpu_count)
    pods = workload.pods_per_replica
    if tensor * pipeline * data == 1 and gpus * pods > 1:
        if server.engine in _WHOLE_POD or pods > 1 or group:
            tensor, pipeline = gpus, max(pods, 1)
        elif not managed(server.item):
            ledger.note(
                server.item, (*server.container.path, "resources"),
                f"it asks for {gpus} GPUs and its flags split the model over one: the flags are carried over",
            )  # fmt: skip
    return {
        "tensor": max(1, min(tensor, 64)),
        "pipeline": max(1, min(pipeline, 64)),
        "data": max(1, min(data, 64)),
    }


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64 else 0


def custom_engine(server: Server, engine: dict[str, Any]) -> dict[str, Any] | None:
    """A server whose model nobody can size, by its image and arguments as they are; None where those do not stand alone."""
    if server.engine not in {"vllm", "tgi"}:
        return None
    image = engine.get("image") or release(server.engine, engine.get("version")).image_ref
    model = [server.model] if server.engine == "vllm" else ["--model-id", server.model]
    if "$" in server.model or not _IMAGE.match(image):
        return None
    port = server.number("--port")
    fallback = 8000 if server.engine == "vllm" else 8080
    number = int(port) if port and 1024 <= port <= 65535 else fallback
    args = [*model, f"--port={number}", *engine.get("args", [])]
    if server.tensor_parallel > 1:
        args.append(
            f"{'--tensor-parallel-size' if server.engine == 'vllm' else '--num-shard'}={server.tensor_parallel}"
        )
    context = server.flag("--max-model-len", "--max-total-tokens")
    if context and context.number():
        args.append(f"{context.name}={context.value}")
    rest = {"env": engine["env"]} if "env" in engine else {}
    return {"name": "custom", "image": image, "args": args[:64], **rest, "port": number}
