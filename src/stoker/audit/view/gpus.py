"""Which GPU a workload gets, as far as the objects tell, and whether its model fits there."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from stoker.audit.view.serving import Server, stored_format
from stoker.audit.view.workloads import Workload
from stoker.catalog.engines import release
from stoker.catalog.gpus import Gpu, gpu, gpus, node_shapes
from stoker.catalog.models import ModelArchitecture
from stoker.errors import UnknownNameError
from stoker.kube.selectors import node_fits, nodes_terms
from stoker.kube.snapshot import Item
from stoker.sizing.layouts import Layout
from stoker.sizing.report import size_model
from stoker.sizing.weights import resolve_width, weight_bytes

__all__ = ["Fit", "GpuGuess", "fit", "gpu_of_node", "guess_gpu", "stored_weights"]

_PRODUCT_KEYS: Final = ("nvidia.com/gpu.product", "amd.com/gpu.product-name")
_CLOUD_KEYS: Final = (
    "cloud.google.com/gke-accelerator",
    "k8s.amazonaws.com/accelerator",
    "karpenter.k8s.aws/instance-gpu-name",
    "gpu.nvidia.com/class",
)
_TYPE_KEYS: Final = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_SHARED: Final = re.compile(r"-(SHARED|MIG-\S+)$")


@dataclass(frozen=True, slots=True)
class GpuGuess:
    """A GPU type and what told it: ``node affinity``, ``the nodes``, ``the only type named here``."""

    gpu: Gpu
    because: str


def guess_gpu(workload: Workload, nodes: Iterable[Item]) -> GpuGuess | None:
    """The GPU type that the pods get; None where nothing tells, or where several types would do."""
    if not any(name in {"nvidia.com/gpu", "amd.com/gpu"} for name in workload.gpus):
        return None  # a slice or a shared GPU: its memory is another
    named = set(_named(workload))
    if len(named) == 1:
        return GpuGuess(_by_name()[named.pop()], "its node selection")
    if named:
        return None
    on_nodes = {found.name for node in nodes if (found := gpu_of_node(node)) and node_fits(workload.pod, node.name, node.labels)}  # fmt: skip
    if len(on_nodes) == 1:
        return GpuGuess(_by_name()[on_nodes.pop()], "the nodes it may run on")
    return None


def gpu_of_node(node: Item) -> Gpu | None:
    """The GPU type of a node by its labels; None for a node without GPUs or with unknown ones."""
    labels = node.labels
    for key in (*_PRODUCT_KEYS, *_CLOUD_KEYS):
        found = _product(labels.get(key, ""))
        if found is not None:
            return found
    return next((found for key in _TYPE_KEYS if (found := _shape(labels.get(key, "")))), None)


def _named(workload: Workload) -> Iterator[str]:
    """Names of GPU types that nodeSelector and required affinity allow; terms are alternatives and all are given."""
    selector: Mapping[str, str] = workload.pod.get("nodeSelector") or {}
    terms: list[Mapping[str, Any]] = [
        {
            "matchExpressions": [
                {"key": key, "operator": "In", "values": [value]} for key, value in selector.items()
            ]
        },
        *nodes_terms(workload.pod),
    ]
    for term in terms:
        values = {
            str(e.get("key")): e.get("values") or []
            for e in term.get("matchExpressions") or []
            if e.get("operator") == "In"
        }
        for key, wanted in values.items():
            for value in wanted:
                found = _shape(value) if key in _TYPE_KEYS else _product(value)
                if found is None and key not in _TYPE_KEYS:
                    found = _by_hand(key, value, values)
                if found is not None:
                    yield found.name


def _by_hand(key: str, value: str, values: Mapping[str, list[str]]) -> Gpu | None:
    """Labels made by hand: ``accelerator=nvidia-a100`` beside ``gpu-memory=80gb``."""
    if not re.search(r"gpu|accelerator", key.lower()):
        return None
    memory = next((int(match[1]) for items in values.values() for item in items
                   if (match := re.fullmatch(r"(\d+)\s*g(i?b)?", item.lower()))), None)  # fmt: skip
    short = re.sub(r"^(nvidia|amd|tesla)[-_ ]", "", value.lower())
    fitting = [item for item in gpus().values() if item.name.lower().split("-")[0] == short.split("-")[0]]
    if memory is not None:
        fitting = [item for item in fitting if abs(item.memory_gib - memory) / memory < 0.1]
        sxm = [item for item in fitting if "SXM" in item.name]
        fitting = sxm[:1] or fitting
    return fitting[0] if len(fitting) == 1 else None


@cache
def _by_name() -> Mapping[str, Gpu]:
    return gpus()


@cache
def _product(text: str) -> Gpu | None:
    """A product label of GFD, of GKE (``nvidia-h100-80gb``), of Karpenter (``a100``): what names exactly one type."""
    if not text:
        return None
    plain = _SHARED.sub("", text)
    for item in gpus().values():
        if plain in item.product_labels:
            return item
    for candidate in (plain, plain.lower().removeprefix("nvidia-").removeprefix("tesla-")):
        try:
            return gpu(candidate)
        except UnknownNameError:
            continue
    return None


@cache
def _shape(text: str) -> Gpu | None:
    shape = next((item for item in node_shapes() if item.name.lower() == text.lower()), None)
    return gpu(shape.gpu) if shape else None


def stored_weights(architecture: ModelArchitecture, quantization: str = "") -> int:
    """Bytes of a model's weights as they are stored, whatever GPU they are served on.

    Args:
        architecture: the model.
        quantization: as `stored_format` tells it; as published where empty.
    """
    anywhere = gpu("H100-SXM-80GB")  # has 16-bit floats of both kinds: no width is changed for it
    return weight_bytes(
        architecture, resolve_width(architecture, anywhere, quantization=quantization or "auto")
    )


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a server's model fits its GPUs.

    Attributes:
        layout: the layout that the flags ask for; None where sizing does not know it (a TP of 3).
        weights_gib: of the whole model.
        recommended: the smallest useful layout on this GPU, None where nothing fits.
        context: tokens that it was computed for.
    """

    gpu: Gpu
    layout: Layout | None
    weights_gib: float
    recommended: Layout | None
    context: int
    utilization: float
    quantization: str


def fit(server: Server, gpu_type: Gpu) -> Fit | None:
    """Arithmetic of `stoker size` for what the flags say; None where the model is unknown."""
    architecture = server.architecture
    if architecture is None:
        return None
    context = int(
        server.number("--max-model-len", "--context-length", "--max-total-tokens") or architecture.max_context
    )
    utilization = (
        server.number("--gpu-memory-utilization", "--mem-fraction-static") or 0.92
    )  # vLLM 0.33 default
    seqs = server.number("--max-num-seqs")
    stored = stored_format(server)
    kv = server.flag("--kv-cache-dtype")
    engine = release(server.engine, server.version) if server.engine != "custom" else None
    report = size_model(
        architecture,
        gpu_type,
        quantization=stored or "auto",
        kv_dtype="fp8" if kv and kv.value.startswith("fp8") else "auto",
        context_length=max(1, min(context, 10_000_000)),
        gpu_memory_utilization=min(max(utilization, 0.05), 1.0),
        max_num_seqs=int(seqs) if seqs and seqs >= 1 else None,
        engine=engine,
    )
    tensor, pipeline = server.tensor_parallel, server.pipeline_parallel
    layout = next(
        (
            item
            for item in report.layouts
            if (item.tensor_parallel, item.pipeline_parallel) == (tensor, pipeline)
        ),
        None,
    )
    return Fit(gpu_type, layout, report.weights_gib, report.recommended, context, utilization, stored)
