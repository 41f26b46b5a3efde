"""Models: what is served, by which engine, on how many GPUs, how fast it must be."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from stoker.platform.autoscaling import ModelAutoscaling
from stoker.platform.base import (
    Duration,
    Label,
    Name,
    Percent,
    Quantity,
    SecretKey,
    Section,
    ServiceName,
    about,
)
from stoker.platform.serving import ServingMode

__all__ = [
    "Canary",
    "Engine",
    "EngineName",
    "EnvVar",
    "LoraAdapter",
    "Model",
    "Parallelism",
    "PipelineStep",
    "Replicas",
    "Slo",
    "Tier",
    "Traffic",
]

ModelUri = Annotated[
    str,
    StringConstraints(
        pattern=r"^(hf|s3|gs|oci|pvc|modelscope|https)://[A-Za-z0-9][A-Za-z0-9._/:@+-]*$", max_length=512
    ),
]
ImageRef = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9][a-z0-9._/:-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$",
        max_length=512,
    ),
]
Argument = Annotated[str, Field(max_length=4096)]


class EngineName(StrEnum):
    VLLM = "vllm"
    SGLANG = "sglang"
    TGI = "tgi"
    TRITON = "triton"
    HUGGINGFACE = "huggingface"
    CUSTOM = "custom"


class Tier(StrEnum):
    PRODUCTION = "production"
    BATCH = "batch"


class EnvVar(Section):
    """An environment variable: a plain value, or a key of a Secret."""

    name: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=128), about("Variable.")
    ]
    value: Annotated[
        str | None,
        Field(max_length=4096),
        about("Plain value; never a secret.", why="None: `secret` holds it."),
    ] = None
    secret: Annotated[
        SecretKey | None, about("Key of a Secret that holds the value.", why="None: `value` is plain.")
    ] = None


class Engine(Section):
    """The inference server."""

    name: Annotated[
        EngineName,
        about(
            "vllm, sglang, tgi, triton, huggingface (KServe's server with a vLLM backend) or custom.",
            why="vLLM: continuous batching, paged KV cache, the widest model and GPU support, metrics KEDA can use.",
        ),
    ] = EngineName.VLLM
    version: Annotated[
        str | None,
        StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}(\.\d{1,4})?([.+-][A-Za-z0-9.]+)?$"),
        about(
            "Release of the engine, decides image, flags and metric names.",
            why="The catalogue's pinned release.",
        ),
    ] = None
    image: Annotated[
        ImageRef | None,
        about(
            "Image in place of the engine's own, pinned by tag or digest.",
            why="The engine's published image.",
        ),
    ] = None
    args: Annotated[
        tuple[Argument, ...],
        Field(max_length=64),
        about("Further arguments, after those Stoker computes."),
    ] = ()
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), about("Further environment variables.")] = ()
    port: Annotated[
        int | None,
        Field(ge=1024, le=65535),
        about("HTTP port of a custom engine.", why="The engine's own default."),
    ] = None


class Parallelism(Section):
    """How one replica is split over GPUs."""

    tensor: Annotated[
        int, Field(ge=1, le=64), about("Tensor parallelism: each layer is split.", why="One GPU.")
    ] = 1
    pipeline: Annotated[
        int,
        Field(ge=1, le=64),
        about("Pipeline parallelism: layers are divided over groups.", why="One stage."),
    ] = 1
    data: Annotated[
        int,
        Field(ge=1, le=64),
        about("Engine copies within one replica, for MoE with expert parallelism.", why="One."),
    ] = 1


class Replicas(Section):
    """Bounds of the replica count."""

    min: Annotated[int, Field(ge=0, le=1000), about("Least replicas.")]
    max: Annotated[int, Field(ge=1, le=1000), about("Most replicas.")]


class Slo(Section):
    """What users are promised. Alerts, targets and advice follow from it."""

    ttft_p95: Annotated[
        Duration,
        about("95th percentile of the time to first token.", why="Past two seconds people think it hangs."),
    ] = "2s"
    tpot_p95: Annotated[
        Duration,
        about(
            "95th percentile of the time per output token.",
            why="Ten tokens a second is faster than people read.",
        ),
    ] = "100ms"
    availability: Annotated[
        float,
        Field(ge=90, lt=100, allow_inf_nan=False),
        about("Share of requests that must succeed, in percent.", why="99.9: 43 minutes of errors a month."),
    ] = 99.9


class Traffic(Section):
    """The load to size for, per model."""

    requests_per_second: Annotated[
        float | None,
        Field(gt=0, le=1_000_000, allow_inf_nan=False),
        about("Peak request rate over all replicas.", why="Unknown: replicas are taken as given."),
    ] = None
    input_tokens: Annotated[
        int,
        Field(ge=1, le=10_000_000),
        about("Mean prompt length.", why="1155: mean of Azure's 2023 conversation trace."),
    ] = 1155
    output_tokens: Annotated[
        int,
        Field(ge=1, le=10_000_000),
        about("Mean answer length.", why="211: mean of Azure's 2023 conversation trace."),
    ] = 211


class Canary(Section):
    """A second version beside the first, with a share of the traffic. Its GPUs count against quota and capacity."""

    name: Annotated[Name, about("Name of the version.", why="`canary`.")] = "canary"
    source: Annotated[
        ModelUri | None, about("Weights of the new version.", why="The model's own: a new engine is tried.")
    ] = None
    traffic_percent: Annotated[
        Percent, about("Share of requests.", why="5: enough to measure, little to lose.")
    ] = 5
    replicas: Annotated[int, Field(ge=1, le=100), about("Replicas of the new version.", why="One.")] = 1
    engine_version: Annotated[
        str | None,
        StringConstraints(pattern=r"^\d{1,4}\.\d{1,4}(\.\d{1,4})?([.+-][A-Za-z0-9.]+)?$"),
        about("Engine release of the new version.", why="The model's own."),
    ] = None
    args: Annotated[
        tuple[Argument, ...] | None,
        Field(max_length=64),
        about("Arguments of the new version.", why="The model's own."),
    ] = None


class LoraAdapter(Section):
    """A LoRA adapter served beside its base model under a name of its own."""

    name: Annotated[Name, about("Name that requests use as `model`.")]
    source: Annotated[ModelUri, about("Adapter weights.")]
    rank: Annotated[int, Field(ge=1, le=512), about("Rank of the adapter.", why="16, the common one.")] = 16


class PipelineStep(Section):
    """A container of the user's before or beside the model (KServe transformer, explainer, outlier detector)."""

    image: Annotated[ImageRef, about("Image, pinned by tag or digest.")]
    args: Annotated[tuple[Argument, ...], Field(max_length=64), about("Arguments.")] = ()
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64), about("Environment variables.")] = ()
    cpu: Annotated[
        Quantity,
        about("CPU request and limit.", why="One core tokenises about a thousand requests a second."),
    ] = "1"
    memory: Annotated[Quantity, about("Memory request and limit.", why="Python with a tokenizer.")] = "2Gi"
    replicas: Annotated[
        int, Field(ge=1, le=100), about("Replicas.", why="Two: no single point of failure.")
    ] = 2
    port: Annotated[int, Field(ge=1024, le=65535), about("HTTP port.", why="KServe's own.")] = 8080


def _engine_from_name(value: object) -> object:
    if isinstance(value, dict):
        # What a validator returns is Python to pydantic, no longer JSON, and a strict Python tuple takes no list.
        return {key: tuple(item) if isinstance(item, list) else item for key, item in value.items()}
    return {"name": value} if isinstance(value, str) else value


def _replicas_from_count(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"min": value, "max": value}
    return value


class Model(Section):
    """One model that users call."""

    name: Annotated[ServiceName, about("Name of the model; requests use it as `model`, objects carry it.")]
    source: Annotated[
        ModelUri,
        about(
            "Where the weights come from: hf://, s3://, gs://, https://, oci://, modelscope:// or pvc://CLAIM/PATH.",
            example="hf://meta-llama/Meta-Llama-3-70B-Instruct",
        ),
    ]
    architecture: Annotated[
        str | None,
        Field(min_length=1, max_length=255),
        about(
            "Catalogue id (`stoker catalog models`) or a folder with the model's config.json.",
            why="Found from the source or the name.",
        ),
    ] = None
    tenant: Annotated[
        Name | None, about("Tenant that owns it.", why="The only tenant, or the first production one.")
    ] = None
    tier: Annotated[
        Tier,
        about(
            "production (always warm) or batch (may scale to zero).",
            why="Users wait in front of most models.",
        ),
    ] = Tier.PRODUCTION
    engine: Annotated[
        Engine,
        BeforeValidator(_engine_from_name, json_schema_input_type=EngineName | Engine),
        about("Inference server, as a name or with version, image, args and env."),
    ] = Engine()
    pool: Annotated[
        Name | None, about("Node pool.", why="The cheapest pool in which a useful layout fits.")
    ] = None
    precision: Annotated[
        Literal["auto", "bf16", "fp16", "fp32"],
        about(
            "Width of unquantised weights and activations.",
            why="As published; fp16 where the GPU has no bf16.",
        ),
    ] = "auto"
    quantization: Annotated[
        Literal["auto", "none", "fp8", "int8", "awq", "gptq", "mxfp4", "nvfp4"],
        about("Weight quantisation.", why="As published: quality is the model owner's call."),
    ] = "auto"
    kv_cache_dtype: Annotated[
        Literal["auto", "fp8"],
        about("Width of the KV cache.", why="As the activations; fp8 doubles the sequences at a small loss."),
    ] = "auto"
    context_length: Annotated[
        int | None,
        Field(ge=16, le=10_000_000),
        about(
            "Longest prompt plus answer, in tokens.",
            why="8192, or the model's own maximum where that is less.",
        ),
    ] = None
    parallelism: Annotated[
        Literal["auto"] | Parallelism,
        about(
            "Layout of one replica.", why="auto: the smallest layout that holds eight full-length sequences."
        ),
    ] = "auto"
    max_num_seqs: Annotated[
        int | None,
        Field(ge=1, le=8192),
        about(
            "Most sequences in one batch.", why="The engine's default for the GPU, or what the KV pool holds."
        ),
    ] = None
    gpu_memory_utilization: Annotated[
        float | None,
        Field(ge=0.1, le=0.98, allow_inf_nan=False),
        about(
            "Share of GPU memory the engine may take; of the pod's own share where GPUs are divided.",
            why="The engine release's own default.",
        ),
    ] = None
    replicas: Annotated[
        Replicas | None,
        BeforeValidator(
            _replicas_from_count,
            json_schema_input_type=Annotated[int, Field(ge=1, le=1000)] | Replicas | None,
        ),
        about(
            "Replicas, as one number or with min and max.",
            why="production 2 to 4: one replica is not available during a drain; batch 0 to 2.",
        ),
    ] = None
    slo: Annotated[Slo, about("What users are promised.")] = Slo()
    traffic: Annotated[Traffic, about("Load to size for.")] = Traffic()
    storage: Annotated[
        Name | None,
        about(
            "Entry of `storage` that delivers the weights.", why="The only entry; none for pvc:// sources."
        ),
    ] = None
    serving: Annotated[
        ServingMode | None, about("How this model is deployed.", why="The platform's serving.mode.")
    ] = None
    protocol: Annotated[
        Literal["openai", "v1", "v2"],
        about(
            "Protocol that clients speak: OpenAI, KServe V1 or V2 (Open Inference). They are three different APIs.",
            why="OpenAI for language models.",
        ),
    ] = "openai"
    canary: Annotated[Canary | None, about("A second version with a share of the traffic.", why="None.")] = (
        None
    )
    lora: Annotated[tuple[LoraAdapter, ...], Field(max_length=256), about("LoRA adapters.")] = ()
    transformer: Annotated[
        PipelineStep | None, about("Pre- and post-processing in front of the model.", why="None.")
    ] = None
    explainer: Annotated[PipelineStep | None, about("Explainer beside the model.", why="None.")] = None
    outlier_detector: Annotated[
        PipelineStep | None, about("Service that receives every request from KServe's logger.", why="None.")
    ] = None
    autoscaling: Annotated[ModelAutoscaling, about("Exceptions to the platform's autoscaling.")] = (
        ModelAutoscaling()
    )
    drain: Annotated[
        Duration,
        about(
            "Time that running streams get to finish before a pod stops.",
            why="Longer than the answer of nearly all requests.",
        ),
    ] = "120s"
    service_account: Annotated[
        Label | None,
        about("ServiceAccount of the pods, e.g. for a cloud identity.", why="One per model without rights."),
    ] = None
