"""What a container's command line starts: the engine, its limits, or the error that the real one would end with."""

import re
from dataclasses import dataclass, replace
from typing import Final

from stoker.audit.view.serving import Server, find_model, servers_of, stored_format
from stoker.audit.view.workloads import workloads_of
from stoker.catalog.engines import FlagState, default_version, flag_status, release
from stoker.catalog.flags import is_option, known_flags
from stoker.catalog.gpus import Gpu, gpu
from stoker.catalog.models import ModelArchitecture, models
from stoker.errors import StokerError
from stoker.kube.snapshot import Item, Snapshot, Source
from stoker.lab.serving.contract import RunContainer
from stoker.lab.serving.devices import environment_of
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.weights import resolve_width, weight_bytes
from stoker.twin.engine.setup import engine_spec
from stoker.twin.engine.spec import EngineSpec
from stoker.twin.fleet.adapters import load_seconds

__all__ = ["Failure", "Launch", "launch_of", "server_of"]

_GIB: Final = 2**30
_MULTIPLES: Final = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
_SIZE: Final = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*[bB](?![a-z])")
# Names of a model that stands on a volume: what KServe's storage initializer is told, and what charts put into labels.
_LABELS: Final = ("serving.kserve.io/inferenceservice", "app.kubernetes.io/name", "model", "app")
_ADAPTER_RANK: Final = 16  # --max-lora-rank's default
_KSERVE: Final = "/mnt/models"
# Engines that are no vLLM inside run with its timing, and have none of its metrics.
_VLLM_INSIDE: Final = frozenset(("vllm", "huggingface"))
_PORTS: Final = {"vllm": 8000, "huggingface": 8080, "sglang": 30000, "tgi": 80, "triton": 8000}


@dataclass(frozen=True, slots=True)
class Failure:
    """How a start ends that cannot succeed.

    Attributes:
        stage: ``arguments``, ``config``, ``device``, ``weights`` or ``cache``: how far it gets.
        code: exit code.
        error: class of the exception, empty where the parser speaks.
        message: its words.
    """

    stage: str
    code: int
    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Launch:
    """An engine as a command line describes it.

    Attributes:
        engine: catalogue name; ``version`` of vLLM; ``metrics`` says whether it has vLLM's.
        port: of the API. ``names``: served names, the first is in the metrics. ``root``: the model as it was named.
        architecture, gpu: what timing is computed with.
        spec: None where it cannot run.
        failure: None where it can.
        adapters: names and paths of LoRA modules.
        has_prefix_cache, utilization, cache_dtype: of the KV cache. ``weights_gib``: on each GPU.
        api_key: that requests must bring; empty for none.
        drain_s: seconds that requests may go on after SIGTERM.
        is_headless: a follower of another pod: no API.
        notes: what differs from what was asked.
    """

    engine: str
    version: str
    metrics: bool
    port: int
    names: tuple[str, ...]
    root: str
    architecture: ModelArchitecture
    gpu: Gpu | None
    spec: EngineSpec | None = None
    failure: Failure | None = None
    adapters: tuple[tuple[str, str], ...] = ()
    has_prefix_cache: bool = True
    utilization: float = 0.9
    cache_dtype: str = "auto"
    weights_gib: float = 0.0
    api_key: str = ""
    drain_s: float = 0.0
    is_headless: bool = False
    notes: tuple[str, ...] = ()


def server_of(run: RunContainer) -> Server | None:
    """The inference server that a container runs; None where it runs something else."""
    environment = [{"name": name, "value": value} for name, value in environment_of(run.container).items()]
    container = {**run.container, "env": environment}
    metadata = {
        key: value for key, value in (run.pod.get("metadata") or {}).items() if key != "ownerReferences"
    }
    spec = {**(run.pod.get("spec") or {}), "containers": [container], "initContainers": []}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    name, namespace = str(metadata.get("name") or "pod"), str(metadata.get("namespace") or "default")
    snapshot = Snapshot((Item("", "v1", "Pod", namespace, name, pod, Source()),))
    return next(servers_of(tuple(workloads_of(snapshot)), snapshot), None)


def launch_of(run: RunContainer, server: Server) -> Launch:
    """What starts, or what the start fails of."""
    notes: list[str] = []
    metrics = server.engine in _VLLM_INSIDE
    version = (server.release if server.engine == "vllm" else None) or default_version("vllm")
    if server.engine == "vllm" and server.release is None:
        notes.append(f"no release of vLLM is known for {run.container.get('image')}: taken as {version}")
    if not metrics:
        notes.append(
            f"{server.engine} is emulated with vLLM's timing and OpenAI API, without metrics of its own"
        )
    root = _root(run, server)
    architecture = server.architecture or _architecture(run, server, root, notes)
    values = server.flag("--served-model-name", "--model-name")
    names = (values.values if values else ()) or (root,)
    base = Launch(
        engine=server.engine,
        version=version,
        metrics=metrics,
        port=int(server.number("--port", "--http-port", "--http_port") or _PORTS.get(server.engine, 8000)),
        names=names,
        root=root,
        architecture=architecture,
        gpu=None,
        adapters=_adapters(server),
        has_prefix_cache=_switch(server, "--enable-prefix-caching", default=True),
        utilization=server.number("--gpu-memory-utilization", "--mem-fraction-static")
        or float(release("vllm", version).defaults["gpu_memory_utilization"]),
        cache_dtype=(flag.value if (flag := server.flag("--kv-cache-dtype")) else "auto"),
        api_key=(flag.value if (flag := server.flag("--api-key")) else environment_of(run.container).get("VLLM_API_KEY", "")),
        drain_s=server.number("--shutdown-timeout") or 0.0,
        is_headless=server.flag("--headless") is not None,
    )  # fmt: skip
    failure = _arguments(server, version) or _config(run, server, architecture)
    if failure is None:
        base = replace(base, gpu=_device(run))
        base, failure = _fitted(base, server)
    return replace(base, failure=failure, notes=tuple(notes))


# --- what is asked for ---


def _switch(server: Server, name: str, *, default: bool) -> bool:
    for flag in reversed(server.command.flags):
        if flag.name == name:
            return flag.value.lower() not in {"false", "0"}
        if flag.name == f"--no-{name.removeprefix('--')}":
            return False
    return default


def _tokens(server: Server, *names: str) -> int | None:
    """A number of tokens as vLLM reads it (vllm/engine/arg_utils.py, human_readable_int): 32k is 32,000 and 32K is 32,768."""
    flag = server.flag(*names)
    text = flag.value.replace("_", "") if flag else ""
    scale = _MULTIPLES.get(text[-1:], 1)
    try:
        found = float(text[:-1] if scale > 1 else text) * scale
    except ValueError:
        return None
    return int(found) if found > 0 else None


def _adapters(server: Server) -> tuple[tuple[str, str], ...]:
    flag = server.flag("--lora-modules")
    if flag is None or server.flag("--enable-lora") is None:
        return ()
    return tuple(
        (name, path) for name, equals, path in (value.partition("=") for value in flag.values) if equals
    )


def _root(run: RunContainer, server: Server) -> str:
    return server.model or environment_of(run.container).get("MODEL_NAME", "") or _KSERVE


def _architecture(run: RunContainer, server: Server, root: str, notes: list[str]) -> ModelArchitecture:
    """The catalogue's model for what a path on a volume may hold; the one nearest in size where nothing tells."""
    candidates = [*_hints(run), *(value for flag in (server.flag("--served-model-name", "--model-name"),) if flag for value in flag.values)]  # fmt: skip
    for candidate in (*candidates, root):
        found = find_model(candidate)
        if found is not None:
            if candidate != root:
                notes.append(f"{root} is taken for {found.name}, after {candidate}")
            return found
    return _nearest([*candidates, root], notes)


def _hints(run: RunContainer) -> list[str]:
    metadata, spec = run.pod.get("metadata") or {}, run.pod.get("spec") or {}
    labels = metadata.get("labels") or {}
    found = [
        str(word)
        for init in spec.get("initContainers") or []
        for word in (init.get("args") or [])
        if "/" in str(word)
    ]
    for volume in spec.get("volumes") or []:
        found += [str((volume.get(kind) or {}).get(field) or "")
                  for kind, field in (("image", "reference"), ("persistentVolumeClaim", "claimName"))]  # fmt: skip
    return [hint for hint in (*found, *(str(labels.get(label) or "") for label in _LABELS)) if hint]


def _nearest(names: list[str], notes: list[str]) -> ModelArchitecture:
    size = next((float(match[1]) for name in names for match in _SIZE.finditer(name)), 8.0)
    able = [each for each in models().values() if each.task == "generate"]
    found = min(able, key=lambda each: abs(each.parameters / 1e9 - size))
    notes.append(
        f"the architecture of {names[-1]} is in no catalogue: it is timed and sized as {found.name}, which is nearest to {size:g} B parameters"
    )
    return found


# --- why it cannot be ---


def _arguments(server: Server, version: str) -> Failure | None:
    """What argparse refuses: exit code 2."""
    if server.engine != "vllm":
        return None
    known = known_flags("vllm", version)
    unknown = [
        flag.words[0].text
        for flag in server.command.flags
        if (known is not None and not is_option(flag.name, known))
        or flag_status("vllm", version, flag.name).state in {FlagState.REMOVED, FlagState.FUTURE}
    ]
    if unknown:
        return Failure("arguments", 2, "", f"vllm serve: error: unrecognized arguments: {' '.join(unknown)}")
    for name, kind in (("--port", "int"), ("--gpu-memory-utilization", "float"), ("--max-num-seqs", "int"),
                       ("--tensor-parallel-size", "int"), ("--pipeline-parallel-size", "int")):  # fmt: skip
        flag = server.flag(name)
        if flag is not None and flag.number() is None:
            words = f"expected one argument" if not flag.values else f"invalid {kind} value: '{flag.value}'"  # noqa: F541
            return Failure("arguments", 2, "", f"vllm serve: error: argument {name}: {words}")
    return None


def _config(run: RunContainer, server: Server, architecture: ModelArchitecture) -> Failure | None:
    """What vLLM's configuration refuses before it looks at a GPU's memory."""
    if run.gpus < 1 or not run.gpu:
        return Failure(
            "config", 1, "RuntimeError",
            "Failed to infer device type, please set the environment variable `VLLM_LOGGING_LEVEL=DEBUG` to turn on verbose logging to help debug the issue.",
        )  # fmt: skip
    share = server.number("--gpu-memory-utilization")
    if share is not None and not 0 < share <= 1:
        return Failure("config", 1, "ValueError", f"GPU memory utilization must be in (0, 1]. Got {share:g}.")
    tensor, pipeline = server.tensor_parallel, server.pipeline_parallel
    if architecture.attention_heads % tensor:
        return Failure(
            "config", 1, "ValueError",
            f"Total number of attention heads ({architecture.attention_heads}) must be divisible by tensor parallel size ({tensor}).",
        )  # fmt: skip
    length = _tokens(server, "--max-model-len", "--context-length")
    allowed = environment_of(run.container).get("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "") in {"1", "true"}
    if length is not None and length > architecture.max_context and not allowed and server.architecture:
        return Failure(
            "config", 1, "ValueError",
            f"User-specified max_model_len ({length}) is greater than the derived max_model_len "
            f"(max_position_embeddings={architecture.max_context} or model_max_length=None in model's config.json). To allow "
            "overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.",
        )  # fmt: skip
    nodes = int(server.number("--nnodes") or 1)
    local = int(server.number("--data-parallel-size-local", "-dpl") or server.data_parallel)
    backend = server.flag("--distributed-executor-backend")
    world = tensor * pipeline
    if backend and backend.value == "ray":
        return None
    if world > run.gpus * nodes or tensor * pipeline * local > run.gpus * nodes:
        return Failure(
            "config", 1, "ValueError",
            f"World size ({world * local}) is larger than the number of available GPUs ({run.gpus}) in this node. If this is "
            "intentional and you are using:\n- ray, set '--distributed-executor-backend ray'.\n"
            "- multiprocessing, set '--nnodes' appropriately.",
        )  # fmt: skip
    return None


def _device(run: RunContainer) -> Gpu:
    """The GPU that the container has: whole, or a MIG slice with its part of memory, bandwidth and multiprocessors."""
    found = gpu(run.gpu)
    resources = run.container.get("resources") or {}
    for name in {**(resources.get("requests") or {}), **(resources.get("limits") or {})}:
        _, mig, profile = str(name).partition("nvidia.com/mig-")
        slice_ = (
            next((each for each in found.mig if each.name.replace("+", ".") == profile), None)
            if mig
            else None
        )
        if slice_ is not None:
            most = max(each.compute_slices for each in found.mig)
            return replace(
                found,
                memory_gib=slice_.memory_gib,
                bandwidth_gb_s=found.bandwidth_gb_s * min(1.0, slice_.memory_gib / found.memory_gib),
                tflops={kind: value * slice_.compute_slices / most for kind, value in found.tflops.items()},
            )
    return found


def _fitted(launch: Launch, server: Server) -> tuple[Launch, Failure | None]:
    """The engine's spec, or what its memory lacks."""
    architecture, device = launch.architecture, launch.gpu
    assert device is not None  # noqa: S101 - the caller gave it
    ranks = server.tensor_parallel * server.pipeline_parallel * server.data_parallel
    stored = stored_format(server)
    quantization = stored if stored and stored != architecture.dtype else "auto"
    width = resolve_width(architecture, device, precision="auto", quantization=quantization)
    weights = weight_bytes(architecture, width) / ranks / _GIB
    launch = replace(launch, weights_gib=weights)
    if width.refusal:
        return launch, Failure("config", 1, "ValueError", width.refusal)
    if weights > device.memory_gib - 0.5:
        total = device.memory_gib
        return launch, Failure(
            "weights", 1, "torch.OutOfMemoryError",
            f"CUDA out of memory. Tried to allocate {max(0.02, weights / architecture.layers):.2f} GiB. GPU 0 has a total capacity "
            f"of {total:.2f} GiB of which {0.1:.2f} GiB is free. Including non-PyTorch memory, this process has "
            f"{total - 0.1:.2f} GiB memory in use.",
        )  # fmt: skip
    length = _tokens(server, "--max-model-len", "--context-length")
    kv_dtype = "fp8" if launch.cache_dtype.startswith("fp8") else "auto"
    given = _tokens(server, "--max-num-batched-tokens")
    try:
        spec = engine_spec(
            architecture, device, tensor=server.tensor_parallel, pipeline=server.pipeline_parallel, data=server.data_parallel,
            expert_parallel=server.flag("--enable-expert-parallel", "-ep") is not None, quantization=quantization,
            kv_dtype=kv_dtype, version=launch.version, max_model_len=length, max_num_batched_tokens=given,
            max_num_seqs=int(server.number("--max-num-seqs", "--max-running-requests") or 0) or None,
            gpu_memory_utilization=launch.utilization,
        )  # fmt: skip
    except StokerError as error:
        if "leave no room" in str(error):
            return launch, _no_cache()
        return launch, Failure("config", 1, "ValueError", str(error))
    override = server.number("--num-gpu-blocks-override")
    if override:
        spec = replace(spec, blocks=max(1, int(override)))
    asked = (
        min(length or architecture.max_context, architecture.max_context) if not _fits_itself(server) else 0
    )
    if asked > spec.blocks * spec.block_tokens:
        return launch, _too_long(launch, server, spec, asked)
    slots = int(server.number("--max-loras") or 1) if server.flag("--enable-lora") else 0
    rank = int(server.number("--max-lora-rank") or _ADAPTER_RANK)
    spec = replace(
        spec,
        chunked_prefill=_switch(server, "--enable-chunked-prefill", default=True),
        max_loras=slots,
        lora_load_s=load_seconds(architecture, rank) if slots else 0.0,
    )
    return replace(launch, spec=spec), None


def _fits_itself(server: Server) -> bool:
    flag = server.flag("--max-model-len")
    return flag is not None and flag.value.lower() in {"auto", "-1"}


def _no_cache() -> Failure:
    return Failure(
        "cache", 1, "ValueError",
        "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
    )  # fmt: skip


def _too_long(launch: Launch, server: Server, spec: EngineSpec, asked: int) -> Failure:
    width = 1.0 if launch.cache_dtype.startswith("fp8") else 2.0
    needed = sequence_bytes_per_gpu(
        launch.architecture, asked, width, tensor=server.tensor_parallel, pipeline=server.pipeline_parallel
    )
    most = spec.blocks * spec.block_tokens
    return Failure(
        "cache", 1, "ValueError",
        f"To serve at least one request with the models's max seq len ({asked}), ({needed / _GIB:.2f} GiB KV cache is needed, which "
        f"is larger than the available KV cache memory ({needed / _GIB * most / asked:.2f} GiB). Based on the available memory, the "
        f"estimated maximum model length is {most}. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when "
        "initializing the engine.",
    )  # fmt: skip
