"""How an engine is started: image, command, arguments and environment, for every engine and release."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stoker.catalog.engines import EngineRelease, FlagState, ModelArgument, flag_status
from stoker.platform.models import EngineName
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import Delivery, DeliveryKind, ResolvedCanary, ResolvedModel
from stoker.upgrades.objects import Object
from stoker.upgrades.serving.arguments import Option, joined, option
from stoker.upgrades.serving.environment import engine_environment, merged_environment, user_environment

__all__ = [
    "LORA_MOUNT",
    "EngineCommand",
    "Launch",
    "engine_command",
    "kserve_starts",
    "launch_of",
    "streams_weights",
    "with_options",
]

LORA_MOUNT: Final = "/mnt/adapters"

# Ranks that vLLM's LoRA kernels are built for (vllm/config/lora.py, MaxLoRARanks of 0.33.0).
_VLLM_LORA_RANKS: Final = (8, 16, 32, 64, 128, 256, 320, 512)
_VLLM_DTYPES: Final = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """How the engine container is started.

    Attributes:
        image: pinned image.
        command: entry point; empty to keep the image's own (or, for a LLMInferenceService, KServe's).
        args: arguments; the user's come last and replace ours of the same name.
        env: variables without duplicates, Secrets by reference only.
    """

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Launch:
    """What one version of a model is started from: the model's own or its canary's."""

    model: ResolvedModel
    release: EngineRelease
    delivery: Delivery
    image: str
    user_args: tuple[str, ...]

    def accepts(self, flag: str) -> bool:
        """Whether the release takes the flag, as far as is known; one it lacks makes the engine exit at start."""
        return self._state(flag) not in (FlagState.FUTURE, FlagState.REMOVED)

    def has(self, flag: str) -> bool:
        """Whether the catalogue says that the release takes the flag."""
        return self._state(flag) in (FlagState.KNOWN, FlagState.DEPRECATED)

    def _state(self, flag: str) -> FlagState:
        return flag_status(self.release.engine, self.release.version, flag).state


def launch_of(model: ResolvedModel, canary: ResolvedCanary | None = None) -> Launch:
    """The version to start: the canary's where one is given."""
    if canary is None:
        return Launch(model, model.release, model.delivery, model.image, model.spec.engine.args)
    image = model.image if canary.release == model.release else canary.release.image_ref
    return Launch(model, canary.release, canary.delivery, image, canary.args)


def engine_command(model: ResolvedModel, *, canary: ResolvedCanary | None = None) -> EngineCommand:
    """Image, command, arguments and environment of the engine container.

    The model is positional for vLLM (``--model`` is deprecated: vllm/utils/argparse_utils.py of 0.33.0). Defaults of
    the release are not repeated, flags that the release lacks are left out.
    """
    launch = launch_of(model, canary)
    if kserve_starts(model):
        return _kserve_owned(launch, _vllm(launch)[2])
    command, head, ours = _ENGINES[EngineName(launch.release.engine)](launch)
    return EngineCommand(
        image=launch.image,
        command=command,
        args=(*head, *joined(ours, launch.user_args)),
        env=_environment(launch),
    )


def kserve_starts(model: ResolvedModel) -> bool:
    """Whether KServe's own script starts the engine: vLLM on one node in a LLMInferenceService."""
    return (
        model.mode is ServingMode.LLM_INFERENCE_SERVICE
        and model.release.engine == EngineName.VLLM
        and model.nodes_per_replica == 1
    )


def _kserve_owned(launch: Launch, ours: list[Option]) -> EngineCommand:
    """Arguments that KServe's own start script appends to its ``vllm serve`` line.

    Model path, names, port, tensor parallelism and adapters are KServe's there (kserve v0.20.0
    config/llmisvcconfig/config-llm-template.yaml). The script passes the arguments through ``eval``, so each is quoted
    for a shell: JSON values survive and nothing is executed.
    """
    theirs = {"--served-model-name", "--port", "--tensor-parallel-size", *_LORA_FLAGS}
    kept = [tokens for tokens in ours if tokens[0].split("=", 1)[0] not in theirs]
    args = tuple(shlex.quote(argument) for argument in joined(kept, launch.user_args))
    return EngineCommand(image=launch.image, command=(), args=args, env=_environment(launch))


def _environment(launch: Launch) -> tuple[Object, ...]:
    model = launch.model
    ours = engine_environment(model, launch.delivery)
    extra: list[Object] = []
    if model.spec.lora and launch.release.engine == EngineName.TGI:
        adapters = ",".join(f"{item.name}={LORA_MOUNT}/{item.name}" for item in model.spec.lora)
        extra = [{"name": "LORA_ADAPTERS", "value": adapters}]
    return tuple(merged_environment(ours, extra, user_environment(model.spec.engine.env)))


_Parts = tuple[tuple[str, ...], tuple[str, ...], list[Option]]
_LORA_FLAGS: Final = frozenset(("--enable-lora", "--max-loras", "--max-lora-rank", "--lora-modules"))


def _weights_argument(launch: Launch) -> str:
    """Where the engine finds the model: the mount, or the address it downloads from by itself."""
    delivery = launch.delivery
    if launch.model.mode is ServingMode.DEPLOYMENT:
        if delivery.kind is DeliveryKind.HUB and delivery.source.startswith("hf://"):
            return _hub_repository(delivery.source)[0]
        if streams_weights(launch):
            return delivery.source
    return delivery.mount_path


def _hub_repository(uri: str) -> tuple[str, str]:
    """Repository and revision of ``hf://OWNER/NAME[:REVISION]`` (KServe's spelling); ``@`` is accepted too."""
    path = uri.removeprefix("hf://").replace("@", ":", 1)
    repository, _, revision = path.partition(":")
    return repository, revision


def streams_weights(launch: Launch) -> bool:
    """Whether vLLM streams the weights from the bucket (docs.vllm.ai models/extensions/runai_model_streamer)."""
    return (
        launch.model.mode is ServingMode.DEPLOYMENT
        and launch.delivery.kind is DeliveryKind.OBJECT_STORE
        and launch.release.engine == EngineName.VLLM
        and launch.delivery.source.startswith(("s3://", "gs://"))
    )


def _dtype(launch: Launch) -> str | None:
    """The dtype to force: asked for, or bf16 weights on a GPU without bf16; else the published one stands."""
    model = launch.model
    if model.spec.precision != "auto":
        return _VLLM_DTYPES[model.spec.precision]
    published = model.architecture.dtype if model.architecture else model.dtype
    return "float16" if model.dtype == "fp16" and published == "bf16" else None


def _parallel(launch: Launch, tensor: str, pipeline: str, data: str) -> list[Option]:
    model = launch.model
    sizes = ((tensor, model.tensor), (pipeline, model.pipeline), (data, model.data))
    return [option(flag, size) for flag, size in sizes if size > 1]


def _vllm_options(launch: Launch) -> list[Option]:
    """Engine arguments that vLLM and KServe's huggingface server share."""
    model = launch.model
    ours = _parallel(launch, "--tensor-parallel-size", "--pipeline-parallel-size", "--data-parallel-size")
    if model.data > 1 and model.architecture is not None and model.architecture.moe is not None:
        ours.append(option("--enable-expert-parallel"))
    ours.append(option("--max-model-len", model.context_length))
    if model.device_utilization != launch.release.defaults.get("gpu_memory_utilization"):
        ours.append(option("--gpu-memory-utilization", model.device_utilization))
    if model.max_num_seqs is not None:
        ours.append(option("--max-num-seqs", model.max_num_seqs))
    # Only fp8 is quantised at load; every other scheme is read from the checkpoint's own config.
    if model.spec.quantization == "fp8":
        ours.append(option("--quantization", "fp8"))
    dtype = _dtype(launch)
    if dtype is not None:
        ours.append(option("--dtype", dtype))
    if model.spec.kv_cache_dtype != "auto":
        ours.append(option("--kv-cache-dtype", model.spec.kv_cache_dtype))
    if model.spec.lora:
        ours += _vllm_lora(launch)
    return [tokens for tokens in ours if launch.accepts(tokens[0])]


def _vllm_lora(launch: Launch) -> list[Option]:
    adapters = launch.model.spec.lora
    rank = max(adapter.rank for adapter in adapters)
    modules = (f"{adapter.name}={LORA_MOUNT}/{adapter.name}" for adapter in adapters)
    return [
        option("--enable-lora"),
        option("--max-loras", len(adapters)),
        option("--max-lora-rank", next(size for size in _VLLM_LORA_RANKS if size >= rank)),
        ("--lora-modules", *modules),
    ]


def _vllm(launch: Launch) -> _Parts:
    model = launch.model
    ours = [option("--served-model-name", model.name), option("--port", model.port)]
    if model.mode is ServingMode.DEPLOYMENT and launch.delivery.source.startswith("hf://"):
        revision = _hub_repository(launch.delivery.source)[1]
        if launch.delivery.kind is DeliveryKind.HUB and revision:
            ours.append(option("--revision", revision))
    if streams_weights(launch):
        ours.append(option("--load-format", "runai_streamer"))
    ours += _vllm_options(launch)
    if launch.has("--shutdown-timeout"):
        ours.append(option("--shutdown-timeout", model.drain_seconds))
    weights = _weights_argument(launch)
    if launch.release.model_argument is ModelArgument.POSITIONAL:
        return ("vllm", "serve"), (weights,), ours
    return (), (), [option(launch.release.model_flag, weights), *ours]


def _huggingface(launch: Launch) -> _Parts:
    # kserve v0.20.0 python/huggingfaceserver/huggingfaceserver/__main__.py: underscores in its own flags, vLLM's as is.
    ours = [
        option("--model_name", launch.model.name),
        option("--model_dir", launch.delivery.mount_path),
        option("--http_port", launch.model.port),
        option("--backend", "vllm"),
    ]
    if launch.model.mode is ServingMode.DEPLOYMENT and launch.delivery.kind is DeliveryKind.HUB:
        repository, revision = _hub_repository(launch.delivery.source)
        ours[1] = option("--model_id", repository)
        ours += [option("--model_revision", revision)] if revision else []
    return (), (), ours + _vllm_options(launch)


def _sglang(launch: Launch) -> _Parts:
    # sglang docs, advanced_features/server_arguments (0.5).
    model = launch.model
    ours = [
        option("--model-path", _weights_argument(launch)),
        option("--served-model-name", model.name),
        option("--host", "0.0.0.0"),  # noqa: S104  # the default is loopback, which no probe reaches
        option("--port", model.port),
        option("--enable-metrics"),
        *_parallel(launch, "--tp-size", "--pp-size", "--dp-size"),
        option("--context-length", model.context_length),
    ]
    if (
        model.spec.gpu_memory_utilization is not None
        or model.device_utilization != model.gpu_memory_utilization
    ):
        ours.append(option("--mem-fraction-static", model.device_utilization))
    if model.max_num_seqs is not None:
        ours.append(option("--max-running-requests", model.max_num_seqs))
    if model.spec.quantization == "fp8":
        ours.append(option("--quantization", "fp8"))
    dtype = _dtype(launch)
    if dtype is not None:
        ours.append(option("--dtype", dtype))
    if model.spec.kv_cache_dtype != "auto":
        ours.append(option("--kv-cache-dtype", "fp8_e4m3"))
    if model.spec.lora:
        paths = (f"{adapter.name}={LORA_MOUNT}/{adapter.name}" for adapter in model.spec.lora)
        ours += [("--lora-paths", *paths), option("--max-loras-per-batch", len(model.spec.lora))]
    return ("python3", "-m", "sglang.launch_server"), (), ours


def _tgi(launch: Launch) -> _Parts:
    # text-generation-inference docs, reference/launcher (3.3).
    model = launch.model
    ours = [
        option("--model-id", _weights_argument(launch)),
        option("--hostname", "0.0.0.0"),  # noqa: S104  # inside the pod
        option("--port", model.port),
        option("--max-total-tokens", model.context_length),
        option("--max-input-tokens", model.context_length - 1),
    ]
    if model.tensor > 1:
        ours.append(option("--num-shard", model.tensor))
    if model.max_num_seqs is not None:
        ours.append(option("--max-concurrent-requests", model.max_num_seqs))
    if model.spec.quantization == "fp8":
        ours.append(option("--quantize", "fp8"))
    dtype = _dtype(launch)
    if dtype is not None:
        ours.append(option("--dtype", dtype))
    if model.spec.kv_cache_dtype != "auto":
        ours.append(option("--kv-cache-dtype", "fp8_e4m3fn"))
    return (), (), ours


def _triton(launch: Launch) -> _Parts:
    # triton-inference-server/core and server docs, user_guide/faq and protocol (25.x): --exit-timeout-secs is the drain.
    model = launch.model
    ours = [
        option("--model-repository", launch.delivery.mount_path),
        option("--http-port", model.port),
        option("--metrics-port", 8002),
        option("--exit-timeout-secs", model.drain_seconds),
    ]
    return ("tritonserver",), (), ours


def _custom(_launch: Launch) -> _Parts:
    return (), (), []


_ENGINES: Final[dict[EngineName, Callable[[Launch], _Parts]]] = {
    EngineName.VLLM: _vllm,
    EngineName.SGLANG: _sglang,
    EngineName.TGI: _tgi,
    EngineName.TRITON: _triton,
    EngineName.HUGGINGFACE: _huggingface,
    EngineName.CUSTOM: _custom,
}


def with_options(command: EngineCommand, launch: Launch, extra: list[Option]) -> EngineCommand:
    """The command with further options of ours, before the user's arguments, which still replace them."""
    cut = len(command.args) - len(launch.user_args)
    return replace(command, args=(*command.args[:cut], *joined(extra, command.args[cut:])))
