"""Inference servers among the workloads: which engine, which version, which model, which flags."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from stoker.audit.view.command import Command, Flag, Word, parse_flags, words_of
from stoker.audit.view.images import MOVING, Image, parse_image
from stoker.audit.view.workloads import Container, Workload
from stoker.catalog.engines import default_version
from stoker.catalog.models import ModelArchitecture, model
from stoker.errors import UnknownNameError
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item, Snapshot

__all__ = ["Server", "find_model", "servers_of"]

# What images and commands of each engine look like. The first that fits wins.
_IMAGES: Final[Mapping[str, re.Pattern[str]]] = {
    "huggingface": re.compile(r"kserve/huggingfaceserver"),
    "sglang": re.compile(r"(^|/)(lmsysorg/sglang|sglang)$"),
    "tgi": re.compile(r"text-generation-inference|hf-text-generation"),
    "triton": re.compile(r"nvidia/tritonserver"),
    "vllm": re.compile(r"(^|/)vllm[\w.-]*/?vllm-openai|vllm-openai|(^|/)llm-d[\w-]*-?cuda$|(^|/)vllm(-cuda|-gpu|-tpu|-rocm)?$|rocm/vllm"),
}  # fmt: skip
_COMMANDS: Final[Mapping[str, re.Pattern[str]]] = {
    "vllm": re.compile(r"(^|\s|/)vllm\s+serve\b|vllm\.entrypoints\.(openai\.)?api_server"),
    "sglang": re.compile(r"sglang\.launch_server|sglang\s+serve\b"),
    "tgi": re.compile(r"text-generation-launcher"),
    "triton": re.compile(r"(^|\s|/)tritonserver\b"),
}
_NOT_SERVERS: Final = re.compile(
    r"router|gateway|exporter|operator|controller|sidecar|loader|downloader|benchmark|sim\b|simulator|cpu"
)
_OFFICIAL: Final = re.compile(
    r"^(docker\.io/|public\.ecr\.aws/deep-learning-containers/)?(vllm/vllm-openai|lmsysorg/sglang|kserve/huggingfaceserver)$"
    r"|huggingface/text-generation-inference$|nvcr\.io/nvidia/tritonserver$"
)
# KServe's runtimes by what they run (kserve v0.20.0 config/runtimes).
_RUNTIMES: Final[Mapping[str, str]] = {
    "kserve-vllmserver": "vllm",
    "kserve-huggingfaceserver": "huggingface",
    "kserve-huggingfaceserver-multinode": "huggingface",
    "kserve-tritonserver": "triton",
}
_FORMATS: Final[Mapping[str, str]] = {"vllm": "vllm", "huggingface": "huggingface"}
_SWITCHES: Final = frozenset((
    "--enable-prefix-caching", "--no-enable-prefix-caching", "--enable-chunked-prefill", "--no-enable-chunked-prefill",
    "--trust-remote-code", "--enforce-eager", "--enable-lora", "--enable-auto-tool-choice", "--enable-expert-parallel",
    "--disable-log-requests", "--disable-log-stats", "--async-scheduling", "--enable-sleep-mode", "--headless",
))  # fmt: skip
_MODEL_FLAGS: Final = ("--model", "--model-path", "--model-id", "--model_id", "--model_dir")


@dataclass(frozen=True, slots=True)
class Server:
    """One inference server of a workload.

    Attributes:
        workload: what makes its pods.
        container: the container that runs it.
        engine: catalogue name: ``vllm``, ``sglang``, ``tgi``, ``triton``, ``huggingface``.
        version: of the engine where the image tells it; None for ``latest``, forks and own builds.
        image: the image; empty parts where a runtime brings it.
        official: the image is the engine's own, so its tag is the engine's version.
        command: the parsed command line; a KServe model's args without its runtime's.
        model: what it loads as written: a hub name, a path, a storage URI; empty where unknown.
        model_path: field that names it, None where nothing does.
        architecture: the catalogue's model for it, None where unknown.
    """

    workload: Workload
    container: Container
    engine: str
    version: str | None
    image: Image
    official: bool
    command: Command
    model: str
    model_path: Path | None
    architecture: ModelArchitecture | None

    @property
    def item(self) -> Item:
        """The workload's object."""
        return self.workload.item

    def flag(self, *names: str) -> Flag | None:
        return self.command.flag(*names)

    def number(self, *names: str) -> float | None:
        """The number that a flag is given; None where the flag is absent or no number."""
        flag = self.flag(*names)
        return flag.number() if flag else None

    @property
    def tensor_parallel(self) -> int:
        return int(self.number("--tensor-parallel-size", "-tp", "--tp", "--tp-size", "--num-shard") or 1)

    @property
    def pipeline_parallel(self) -> int:
        return int(self.number("--pipeline-parallel-size", "-pp", "--pp-size") or 1)

    @property
    def data_parallel(self) -> int:
        return int(self.number("--data-parallel-size", "-dp", "--dp-size") or 1)

    @property
    def quantization(self) -> str:
        flag = self.flag("--quantization", "-q", "--quantize")
        return flag.value if flag else ""

    @property
    def release(self) -> str | None:
        """The engine's release; the newest known for a moving tag of its own image, None for an own build."""
        if self.version is not None:
            return self.version
        moving = (self.image.tag in MOVING or not self.image.tag) and not self.image.digest
        return default_version(self.engine) if self.official and moving else None

    @property
    def gpus_per_pod(self) -> int:
        """GPUs that the container itself is given."""
        return sum(self.container.gpus.values())

    @property
    def caches(self) -> bool:
        """It generates text: an embedding model or a classifier keeps no KV cache."""
        return self.engine != "triton" and (self.architecture is None or self.architecture.task == "generate")

    def __str__(self) -> str:
        return str(self.workload)


def servers_of(workloads: tuple[Workload, ...], snapshot: Snapshot) -> Iterator[Server]:
    """Every inference server, at most one for a container."""
    for workload in workloads:
        for container in workload.containers:
            if container.init:
                continue
            found = _server(workload, container, snapshot)
            if found is not None:
                yield found


def _server(workload: Workload, container: Container, snapshot: Snapshot) -> Server | None:
    words = words_of(container)
    image = parse_image(container.image)
    engine = _engine(image, words, workload, container, snapshot)
    if engine is None:
        return None
    official = bool(_OFFICIAL.search(image.repository))
    command = parse_flags(_own(words, engine), _SWITCHES)
    name, path = _model(command, container, workload, engine)
    return Server(
        workload=workload,
        container=container,
        engine=engine,
        version=image.version if official else None,
        image=image,
        official=official,
        command=command,
        model=name,
        model_path=path,
        architecture=find_model(name),
    )


def _engine(
    image: Image, words: tuple[Word, ...], workload: Workload, container: Container, snapshot: Snapshot
) -> str | None:
    line = " ".join(word.text for word in words)
    for engine, pattern in _COMMANDS.items():
        if pattern.search(line):
            return engine
    if any(word.scripted for word in words):
        return None  # a script that starts no engine known here
    if image.repository:
        if _NOT_SERVERS.search(image.name) or image.tag.endswith("-sdk"):
            return None
        # An image alone is no server where its command is another program's.
        own = container.spec.get("command")
        if own and not own[0].endswith(("python", "python3", "vllm", "bash", "sh", "/entrypoint.sh")):
            return None
        if own and _has_other_program(words):
            return None
        return next((engine for engine, pattern in _IMAGES.items() if pattern.search(image.repository)), None)
    if container.path[-1:] == ("model",):
        return _kserve_engine(workload, container, snapshot)
    if workload.item.kind == "LLMInferenceService" and container.name == "main":
        return "vllm"
    return None


def _has_other_program(words: tuple[Word, ...]) -> bool:
    return bool(words) and words[0].text in {"python", "python3", "bash", "sh", "/bin/bash", "/bin/sh"}


def _kserve_engine(workload: Workload, container: Container, snapshot: Snapshot) -> str | None:
    runtime = str(container.spec.get("runtime") or "")
    if runtime in _RUNTIMES:
        return _RUNTIMES[runtime]
    made = snapshot.get("ServingRuntime.serving.kserve.io", workload.namespace, runtime) or snapshot.get(
        "ClusterServingRuntime.serving.kserve.io", "", runtime
    )
    if made is not None:
        for spec in made.spec.get("containers") or []:
            image = parse_image(str(spec.get("image") or ""))
            found = next(
                (engine for engine, pattern in _IMAGES.items() if pattern.search(image.repository)), None
            )
            if found:
                return found
    if "vllm" in runtime.lower():
        return "vllm"
    form = str((container.spec.get("modelFormat") or {}).get("name") or "")
    return _FORMATS.get(form.lower()) if not runtime else None


def _own(words: tuple[Word, ...], engine: str) -> tuple[Word, ...]:
    """The engine's own words: in a script, from its program on."""
    for index, word in enumerate(words):
        text = word.text
        if (
            engine == "vllm"
            and text.endswith("vllm")
            and words[index + 1 : index + 2]
            and words[index + 1].text == "serve"
        ):
            return words[index + 2 :]
        if re.search(
            r"api_server$|launch_server$|text-generation-launcher$|tritonserver$|api_server\.py$", text
        ):
            return words[index + 1 :]
    return words[1:] if words and words[0].text == "serve" else words


def _model(
    command: Command, container: Container, workload: Workload, engine: str
) -> tuple[str, Path | None]:
    flag = command.flag(*_MODEL_FLAGS)
    if flag and flag.value:
        return flag.value, flag.words[-1].path
    if engine == "vllm" and command.free and container.path[-1:] != ("model",):
        first = command.free[0]
        if re.search(r"[/-]", first.text) and not first.text.startswith("$"):
            return first.text, first.path
    if container.path[-1:] == ("model",) and container.spec.get("storageUri"):
        return str(container.spec["storageUri"]), (*container.path, "storageUri")
    if workload.item.kind == "LLMInferenceService":
        uri = workload.item.section("spec", "model").get("uri")
        return (str(uri), ("spec", "model", "uri")) if uri else ("", None)
    for index, entry in enumerate(container.spec.get("env") or []):
        if entry.get("name") in {"MODEL_ID", "MODEL_NAME", "HF_MODEL_ID", "MODEL"} and isinstance(
            entry.get("value"), str
        ):
            return entry["value"], (*container.path, "env", index, "value")
    return "", None


_SPLIT: Final = re.compile(r"^[a-z0-9+]+://")


def find_model(name: str) -> ModelArchitecture | None:
    """The catalogue's model for a hub name, a path or a storage URI; None where nothing fits.

    ``pvc://store/llama3-70b-instruct`` and ``/models/llama-3-70b-instruct`` name Llama-3-70B by their last part; a
    quantised variant (``…-AWQ``, ``…-FP8``) is the same architecture with other weights.
    """
    if not name or "$" in name:
        return None
    last = _SPLIT.sub("", name).rstrip("/").rpartition("/")[2].partition("@")[0].partition(":")[0]
    for candidate in (_SPLIT.sub("", name), last, _plain(last)):
        try:
            return model(candidate)
        except UnknownNameError:
            continue
    return None


_VARIANT: Final = re.compile(
    r"[-_.](awq|gptq|fp8|fp16|bf16|int4|int8|w4a16|w8a8|w8a16|gguf|nvfp4|mxfp4|bnb|4bit|8bit|quantized|dynamic|hf|v\d+)(?=[-_.]|$)",
    re.IGNORECASE,
)


def _plain(name: str) -> str:
    return _VARIANT.sub("", _VARIANT.sub("", name))


def stored_format(server: Server) -> str:
    """Quantisation that the flag or the model's name tells: ``awq``, ``fp8`` …; empty where neither does."""
    flag = server.quantization.lower().replace("_marlin", "")
    if flag in {"awq", "gptq", "fp8", "int8", "nvfp4", "mxfp4"}:
        return flag
    if flag.startswith("bitsandbytes"):
        return "nf4"
    name = server.model.lower()
    for mark, format_name in (("awq", "awq"), ("gptq", "gptq"), ("w4a16", "gptq"), ("int4", "gptq"), ("4bit", "nf4"), ("bnb", "nf4"),
                              ("nvfp4", "nvfp4"), ("mxfp4", "mxfp4"), ("fp8", "fp8"), ("w8a8", "int8"), ("int8", "int8")):  # fmt: skip
        if mark in name:
            return format_name
    return ""
