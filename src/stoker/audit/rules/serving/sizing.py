"""Whether the model fits its GPUs: arithmetic of `stoker size` on what the flags and resources say."""

from collections.abc import Iterator
from typing import Final

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.view.gpus import Fit, fit
from stoker.audit.view.serving import Server, stored_format
from stoker.audit.view.view import View
from stoker.catalog.gpus import Gpu, gpu, gpus
from stoker.sizing.report import HOURS_PER_MONTH

_CACHE: Final = "vllm 0.33.0 vllm/v1/core/kv_cache_planning.py:50-85"
_ARITHMETIC: Final = (
    "arithmetic: parameters × bytes, KV cache 2 × layers × KV heads × head dimension × bytes (docs/sizing.md)"
)
_USEFUL: Final = 8
_USUAL: Final = "A100-SXM-80GB"


def _sized(view: View) -> Iterator[Server]:
    """Servers of a known model on whole GPUs of one pod."""
    for server in view.running_servers:
        whole = set(server.container.gpus) <= {"nvidia.com/gpu", "amd.com/gpu"} and server.container.gpus
        if (
            server.architecture is not None
            and whole
            and server.engine in {"vllm", "sglang", "huggingface"}
            and not _offloads(server)
        ):
            yield server


def _offloads(server: Server) -> bool:
    """Weights that do not all lie on these GPUs: offload, groups of pods, GGUF, adapters of a quantising loader."""
    group = (
        server.workload.item.kind in {"LeaderWorkerSet", "RayCluster", "RayService"}
        or server.workload.pods_per_replica > 1
    )
    return (
        group
        or server.flag("--cpu-offload-gb", "--load-format", "--quantization-param-path") is not None
        or "gguf" in server.model.lower()
        or bool(server.workload.pod.get("workerSpec"))
    )


def _nodes_of(server: Server) -> bool:
    """Pipeline or tensor ranks that lie beyond the pod."""
    ranks = server.tensor_parallel * server.pipeline_parallel
    return ranks > max(1, server.gpus_per_pod)


def _gpu(server: Server, view: View) -> tuple[Gpu, str]:
    guess = view.gpu(server.workload)
    return (guess.gpu, guess.because) if guess else (gpu(_USUAL), "")


def _better(found: Fit) -> str:
    layout = found.recommended
    if layout is None:
        return ""
    pipeline = f" × PP{layout.pipeline_parallel}" if layout.pipeline_parallel > 1 else ""
    return f"; TP{layout.tensor_parallel}{pipeline} on {layout.gpus} GPUs fits"


def _anywhere(server: Server) -> list[Gpu]:
    """GPU types on which the flags' layout would start."""
    vendor = "amd" if "amd.com/gpu" in server.container.gpus else "nvidia"
    fitting: list[Gpu] = []
    for item in gpus().values():
        if item.vendor == vendor:
            result = fit(server, item)
            if result is not None and result.layout is not None and result.layout.fits:
                fitting.append(item)
    return fitting


@rule(
    "model-does-not-fit",
    Area.SERVING,
    Severity.ERROR,
    title="Model does not fit the GPUs it is given",
    why="The server runs out of GPU memory while it loads and restarts for ever: CrashLoopBackOff, holding the GPUs it cannot use.",
    fix="Give it more GPUs with a matching --tensor-parallel-size, or a quantised model.",
    references=(_ARITHMETIC, _CACHE),
    on=_sized,
)
def _model_does_not_fit(server: Server, view: View) -> Iterator[Hit]:
    item, because = _gpu(server, view)
    found = fit(server, item)
    if (
        found is None
        or found.layout is None
        or found.layout.fits
        or _nodes_of(server)
        or server.architecture is None
    ):
        return
    if not _certain(found, item):
        return
    if not because:
        if _anywhere(server):
            return  # a larger GPU than the usual one would do, and nothing says which this is
        because = "the largest GPU known would not do either"
    path = server.model_path or server.container.path
    yield Hit(
        server.workload.item, path,
        f"{server.architecture.name} on TP{server.tensor_parallel} × {item.name} ({because}): {found.layout.reason}{_better(found)}",
        server.model,
    )  # fmt: skip


def _certain(found: Fit, item: Gpu) -> bool:
    """Beyond what the estimate of the overhead can be wrong by: weights alone, or a cache half too small for one sequence."""
    layout = found.layout
    if layout is None:
        return False
    if "exceed" in layout.reason:
        return layout.weights_gib_per_gpu + 1.0 > found.utilization * item.memory_gib
    return "less than one sequence" in layout.reason and layout.kv_tokens * 1.6 < found.context


@rule(
    "model-leaves-no-room-for-batching",
    Area.SERVING,
    Severity.WARNING,
    title="KV cache holds too few sequences to batch",
    why="The server starts and then serves a handful of requests at a time: the GPU is bought and a tenth of its throughput is used.",
    fix="Spread it over more GPUs, shorten --max-model-len, or quantise weights or KV cache.",
    references=(_ARITHMETIC,),
    on=lambda view: (
        s
        for s in _sized(view)
        if s.caches
        and view.gpu(s.workload) is not None
        and s.flag("--max-model-len", "--context-length") is not None
    ),
)
def _model_leaves_no_room_for_batching(server: Server, view: View) -> Iterator[Hit]:
    found = view.fit(server)
    if found is None or found.layout is None or not found.layout.fits or _nodes_of(server):
        return
    if found.layout.max_sequences < _USEFUL and found.context <= 32_768:  # few long contexts are a choice
        yield Hit(
            server.workload.item, server.model_path or server.container.path,
            f"{found.layout.max_sequences} sequences of {found.context} tokens fit beside {found.weights_gib:.0f} GiB of weights{_better(found)}",
            server.model,
        )  # fmt: skip


@rule(
    "model-context-beyond-model",
    Area.SERVING,
    Severity.ERROR,
    title="--max-model-len is longer than the model's own context",
    why="vLLM refuses to start with it unless it is told to allow it, and then answers turn to noise beyond what the model was trained on.",
    fix="Use the model's context length or less, or configure rope scaling.",
    references=("vllm 0.33.0 vllm/config/model.py (VLLM_ALLOW_LONG_MAX_MODEL_LEN)",),
    on=lambda view: (
        s
        for s in view.servers
        if s.architecture is not None and s.engine == "vllm" and s.flag("--max-model-len") is not None
    ),
)
def _model_context_beyond_model(server: Server, view: View) -> Iterator[Hit]:
    length, flag = server.number("--max-model-len"), server.flag("--max-model-len")
    if (
        server.architecture is None
        or length is None
        or flag is None
        or server.flag("--rope-scaling", "--hf-overrides") is not None
    ):
        return
    allowed = any(
        e.get("name") == "VLLM_ALLOW_LONG_MAX_MODEL_LEN" for e in server.container.spec.get("env") or []
    )
    # A later variant of the same shape has a longer context than the catalogue's entry.
    variant = server.architecture.name.replace("-", "") in server.model.lower().replace("-", "").replace(
        ".", ""
    )
    if length > server.architecture.max_context and not allowed and variant and not _later_variant(server):
        yield Hit(
            server.workload.item,
            flag.words[-1].path,
            f"{length:.0f} tokens, and {server.architecture.name} has {server.architecture.max_context}",
            flag.value,
        )


def _later_variant(server: Server) -> bool:
    return any(
        mark in server.model.lower()
        for mark in ("3.1", "3.2", "3.3", "128k", "1m", "yarn", "long", "gradient")
    )


@rule(
    "parallelism-beyond-gpus",
    Area.SERVING,
    Severity.ERROR,
    title="Parallelism asks for more GPUs than the pod has",
    why="The engine waits for ranks that do not exist, or exits with an error about placement: the server never becomes ready.",
    fix="Give the container TP × PP × DP GPUs, or lower the parallelism.",
    references=("vllm 0.33.0 vllm/config/parallel.py (world_size)",),
    on=lambda view: (
        s
        for s in view.running_servers
        if s.container.gpus and s.engine in {"vllm", "sglang", "tgi"} and _plain(s)
    ),
)
def _parallelism_beyond_gpus(server: Server, view: View) -> Iterator[Hit]:
    ranks = server.tensor_parallel * server.pipeline_parallel * server.data_parallel
    given = server.gpus_per_pod
    flag = server.flag("--tensor-parallel-size", "-tp", "--tp", "--tp-size", "--num-shard") or server.flag(
        "--pipeline-parallel-size", "-pp"
    )
    if ranks > given and flag is not None:
        yield Hit(
            server.workload.item,
            flag.words[-1].path,
            f"{ranks} ranks (TP × PP × DP) and {given} GPUs in the pod",
            flag.value,
        )


def _plain(server: Server) -> bool:
    """One pod serves alone: no Ray, no group of nodes, no ranks elsewhere."""
    if server.workload.item.kind in {
        "LeaderWorkerSet",
        "RayCluster",
        "RayService",
        "LLMInferenceService",
        "StatefulSet",
    }:
        return False
    if (
        server.workload.pod.get("workerSpec")
        or server.flag(
            "--nnodes",
            "--data-parallel-size-local",
            "--data-parallel-hybrid-lb",
            "--headless",
            "--dist-init-addr",
            "--node-rank",
        )
        is not None
    ):
        return False
    backend = server.flag("--distributed-executor-backend")
    return not (backend and backend.value == "ray") and server.flag("--enable-dp-attention") is None


@rule(
    "gpus-left-idle",
    Area.SERVING,
    Severity.WARNING,
    title="Pod holds GPUs that the engine does not use",
    why="A GPU beyond TP × PP × DP is allocated, paid for and never computes; no dashboard by allocation shows it.",
    fix="Raise --tensor-parallel-size to the number of GPUs, or ask for fewer.",
    references=("vllm 0.33.0 vllm/config/parallel.py (tensor_parallel_size defaults to 1)",),
    on=lambda view: (
        s
        for s in view.running_servers
        if s.engine == "vllm" and s.gpus_per_pod > 1 and _plain(s) and s.container.path[-1] != "model"
    ),
)
def _gpus_left_idle(server: Server, view: View) -> Iterator[Hit]:
    if (
        any("$" in word.text for word in server.command.words if "parallel" in word.text)
        or not server.command.words
    ):
        return
    if any(flag.value.startswith("$") for flag in server.command.flags if "parallel" in flag.name):
        return
    ranks = server.tensor_parallel * server.pipeline_parallel * server.data_parallel
    idle = server.gpus_per_pod - ranks
    if idle > 0:
        guess = view.gpu(server.workload)
        price = guess.gpu.prices[0].usd_per_gpu_hour if guess and guess.gpu.prices else None
        cost = f", ${idle * price * HOURS_PER_MONTH:,.0f} a month and replica at list price" if price else ""
        yield Hit(
            server.workload.item,
            (*server.container.path, "resources"),
            f"{server.gpus_per_pod} GPUs, {ranks} used{cost}",
            server.gpus_per_pod,
        )


@rule(
    "tensor-parallel-indivisible",
    Area.SERVING,
    Severity.ERROR,
    title="Tensor parallelism does not divide the model's attention heads",
    why="vLLM refuses to start: the heads cannot be split evenly over the ranks.",
    fix="Use a divisor of the number of attention heads: 1, 2, 4 or 8 for nearly every model.",
    references=("vllm 0.33.0 vllm/config/model.py (verify_with_parallel_config)",),
    on=lambda view: (s for s in view.servers if s.architecture is not None and s.tensor_parallel > 1),
)
def _tensor_parallel_indivisible(server: Server, view: View) -> Iterator[Hit]:
    architecture, flag = (
        server.architecture,
        server.flag("--tensor-parallel-size", "-tp", "--tp", "--tp-size", "--num-shard"),
    )
    if (
        architecture is not None
        and flag is not None
        and architecture.attention_heads % server.tensor_parallel
    ):
        yield Hit(
            server.workload.item,
            flag.words[-1].path,
            f"{architecture.attention_heads} attention heads do not divide by {server.tensor_parallel}",
            flag.value,
        )


@rule(
    "gpu-memory-utilization-extreme",
    Area.SERVING,
    Severity.WARNING,
    title="Share of GPU memory that leaves too little, or too much, unused",
    why="Above 0.97 a long prompt's activations meet a full GPU: a CUDA out-of-memory error at the worst moment. Below 0.5 half the KV cache is never bought back.",
    fix="Stay between 0.85 and 0.95 on a GPU of its own.",
    references=("vllm 0.33.0 vllm/config/cache.py:215 (default 0.92)",),
    on=lambda view: (
        s
        for s in view.running_servers
        if s.engine == "vllm" and s.flag("--gpu-memory-utilization") is not None
    ),
)
def _gpu_memory_utilization_extreme(server: Server, view: View) -> Iterator[Hit]:
    flag, share = server.flag("--gpu-memory-utilization"), server.number("--gpu-memory-utilization")
    if flag is None or share is None:
        return
    alone = sum(bool(c.gpus) for c in server.workload.containers if not c.init) == 1 and all(
        n in {"nvidia.com/gpu", "amd.com/gpu"} for n in server.container.gpus
    )
    if share > 1 or share <= 0:
        yield Hit(
            server.workload.item, flag.words[-1].path, f"{share:g} is no share between 0 and 1", flag.value
        )
    elif share > 0.97:
        yield Hit(
            server.workload.item,
            flag.words[-1].path,
            f"{share:g} leaves {(1 - share) * 100:.0f} % for everything that vLLM does not count",
            flag.value,
        )
    elif (
        share < 0.5 and alone and server.container.gpus and server.caches and server.architecture is not None
    ):
        yield Hit(
            server.workload.item,
            flag.words[-1].path,
            f"{share:g} leaves {(1 - share) * 100:.0f} % of a GPU of its own unused",
            flag.value,
        )


@rule(
    "gpu-shared-without-share",
    Area.SERVING,
    Severity.ERROR,
    title="Engine takes the whole memory of a GPU that it shares",
    why="Time-slicing does not split memory: the first server takes 92 % of it, the second dies with a CUDA out-of-memory error, at every restart of either.",
    fix="Set --gpu-memory-utilization below one over the number of sharers, or use MIG.",
    references=(
        "NVIDIA k8s-device-plugin README.md:362-378 (no memory isolation)",
        "vllm 0.33.0 vllm/config/cache.py:215",
    ),
    on=lambda view: (
        s
        for s in view.running_servers
        if s.engine in {"vllm", "sglang"} and any(name.endswith(".shared") for name in s.container.gpus)
    ),
)
def _gpu_shared_without_share(server: Server, view: View) -> Iterator[Hit]:
    share = server.number("--gpu-memory-utilization", "--mem-fraction-static")
    if share is None or share > 0.5:
        resource = next(name for name in server.container.gpus if name.endswith(".shared"))
        path = (*server.container.path, "resources", "limits", resource)
        yield Hit(
            server.workload.item,
            path,
            f"{resource} is time-sliced, and the engine takes {share or 0.92:g} of its memory",
            share,
        )


@rule(
    "quantisation-without-hardware",
    Area.SERVING,
    Severity.ERROR,
    title="Precision or quantisation that the GPU cannot compute",
    why="The engine exits at start with an unsupported data type, or falls back to a slow path that nobody asked for.",
    fix="Use a format of the GPU's generation: FP16 before Ampere, AWQ or GPTQ before Ada.",
    references=("vllm docs/features/quantization (supported hardware)",),
    on=lambda view: (s for s in _sized(view) if view.gpu(s.workload) is not None),
)
def _quantisation_without_hardware(server: Server, view: View) -> Iterator[Hit]:
    guess, dtype = view.gpu(server.workload), server.flag("--dtype")
    if guess is None:
        return
    if dtype is not None and dtype.value in {"bfloat16", "bf16"} and "bf16" not in guess.gpu.tflops:
        yield Hit(server.workload.item, dtype.words[-1].path, f"{guess.gpu.name} has no BF16", dtype.value)
    found = view.fit(server)
    if (
        found is not None
        and found.layout is not None
        and not found.layout.fits
        and "needs compute capability" in found.layout.reason
    ):
        yield Hit(
            server.workload.item,
            server.model_path or server.container.path,
            f"{stored_format(server)}: {found.layout.reason}",
            server.model,
        )
