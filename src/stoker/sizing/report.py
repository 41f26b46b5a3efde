"""The sizing of one model on one GPU type: everything `stoker size` prints, and what placement decides by."""

from dataclasses import dataclass
from typing import Any, Final

from stoker.catalog.engines import EngineRelease, release
from stoker.catalog.gpus import Gpu
from stoker.catalog.models import ModelArchitecture
from stoker.sizing.host import Host, host_demand
from stoker.sizing.kv import kv_bytes_per_token
from stoker.sizing.layouts import Layout, choose_layout, layouts
from stoker.sizing.memory import Batch, batch_defaults
from stoker.sizing.startup import LOAD_BANDWIDTH, load_seconds
from stoker.sizing.throughput import Speed
from stoker.sizing.weights import Width, resolve_width, weight_bytes

__all__ = ["HOURS_PER_MONTH", "SizeReport", "size_model", "speed_of"]

HOURS_PER_MONTH: Final = 730
_GIB: Final = 2**30
_BASIS: Final = (
    "weights, KV cache and layouts are arithmetic from the catalogue; throughput and load times are estimates; nothing here "
    "was measured"
)


@dataclass(frozen=True, slots=True)
class SizeReport:
    """Sizing of a model on a GPU type.

    Attributes:
        weights: bytes of all weights.
        kv_bytes: bytes of one cached value.
        layouts: every candidate, those that do not fit included.
        recommended: the smallest useful layout, None where nothing fits.
        batch: bounds of one engine step that the layouts allow for.
        usd_per_gpu_hour: price and where it is from; None where unknown.
    """

    architecture: ModelArchitecture
    gpu: Gpu
    width: Width
    weights: int
    kv_bytes: float
    context_length: int
    gpu_memory_utilization: float
    gpus_per_node: int
    layouts: tuple[Layout, ...]
    recommended: Layout | None
    batch: Batch
    usd_per_gpu_hour: float | None
    price_source: str

    @property
    def weights_gib(self) -> float:
        return self.weights / _GIB

    @property
    def host(self) -> Host | None:
        """Requests of one pod of the recommended layout on a host with nothing else to bound them."""
        layout = self.recommended
        if layout is None:
            return None
        pods = layout.nodes
        return host_demand(
            self.weights,
            gpus_per_pod=layout.gpus // pods,
            pods=pods,
            share=1.0,
            node_millicores=1_000_000,
            node_bytes=1 << 50,
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract of `stoker size`."""
        layout, host = self.recommended, self.host
        return {
            "model": self.architecture.name,
            "gpu": self.gpu.name,
            "precision": self.width.dtype,
            "quantization": self.width.quantization,
            "parameters": self.architecture.parameters,
            "weights_gib": round(self.weights_gib, 1),
            "kv_bytes_per_token": kv_bytes_per_token(self.architecture, self.kv_bytes),
            "context_length": self.context_length,
            "gpu_memory_utilization": self.gpu_memory_utilization,
            "layouts": [_layout(item) for item in self.layouts],
            "recommended": _layout(layout) if layout else None,
            "host_memory_gib": host.memory_bytes / _GIB if host else None,
            "cpu": host.millicores / 1000 if host else None,
            "shm_gib": host.shm_bytes / _GIB if host else None,
            "load_seconds": {kind.value: round(load_seconds(self.weights, kind)) for kind in LOAD_BANDWIDTH},
            "throughput": self._throughput(),
            "usd_per_month": round(self.usd_per_gpu_hour * layout.gpus * HOURS_PER_MONTH, 2)
            if layout and self.usd_per_gpu_hour is not None
            else None,
            "price_source": self.price_source,
            "basis": _BASIS,
            "notes": [*self.width.notes, *self.architecture.notes],
        }

    def _throughput(self) -> dict[str, Any] | None:
        layout = self.recommended
        if layout is None:
            return None
        speed = speed_of(self, layout)
        prefill = speed.prefill_tokens_per_second()
        result: dict[str, Any] = {"prefill_tokens_per_s": [round(prefill.low), round(prefill.high)]}
        if speed.caches:
            batch = max(1, min(self.batch.max_num_seqs, layout.max_sequences))
            decode = speed.decode_tokens_per_second(batch, self.context_length // 2)
            one = speed.tpot(1, self.context_length // 2)
            result |= {
                "batch": batch,
                "decode_tokens_per_s": [round(decode.low), round(decode.high)],
                "tpot_ms_at_batch_1": [round(one.low * 1000, 1), round(one.high * 1000, 1)],
            }
        return result


def _layout(layout: Layout) -> dict[str, Any]:
    return {
        "tensor_parallel": layout.tensor_parallel,
        "pipeline_parallel": layout.pipeline_parallel,
        "fits": layout.fits,
        "reason": layout.reason,
        "weights_gib_per_gpu": layout.weights_gib_per_gpu,
        "kv_tokens": layout.kv_tokens,
        "max_sequences": layout.max_sequences,
        "gpus": layout.gpus,
        "nodes": layout.nodes,
    }


def speed_of(report: SizeReport, layout: Layout) -> Speed:
    """Speed of one layout of the report."""
    return Speed(
        architecture=report.architecture,
        gpu=report.gpu,
        width=report.width,
        weights=report.weights,
        kv_bytes=report.kv_bytes,
        tensor=layout.tensor_parallel,
        pipeline=layout.pipeline_parallel,
    )


def size_model(
    architecture: ModelArchitecture,
    gpu: Gpu,
    *,
    gpus_per_node: int | None = None,
    memory_gib: float | None = None,
    precision: str = "auto",
    quantization: str = "auto",
    kv_dtype: str = "auto",
    context_length: int = 8192,
    gpu_memory_utilization: float = 0.92,
    max_num_seqs: int | None = None,
    engine: EngineRelease | None = None,
    usd_per_gpu_hour: float | None = None,
) -> SizeReport:
    """Size a model on a GPU type.

    Args:
        architecture: the model.
        gpu: the GPU type.
        gpus_per_node: GPUs that one pod can have; the type's usual server where None.
        memory_gib: memory of one slice where the GPU is shared; the whole GPU where None.
        precision: as in the platform file; ``auto`` serves as published.
        quantization: as in the platform file; ``auto`` serves as published.
        kv_dtype: as in the platform file; ``auto`` is 16 bits.
        context_length: longest prompt and answer together, tokens.
        gpu_memory_utilization: share of the memory that the engine takes.
        max_num_seqs: batch bound; the engine's default where None.
        engine: release whose defaults count; the pinned vLLM where None.
        usd_per_gpu_hour: price; the catalogue's lowest list price where None.
    """
    usable = gpu.memory_gib if memory_gib is None else memory_gib
    width = resolve_width(architecture, gpu, precision=precision, quantization=quantization)
    weights = weight_bytes(architecture, width)
    batch = batch_defaults(gpu, usable, (engine or release("vllm")).defaults)
    if max_num_seqs is not None:
        batch = Batch(max_num_seqs, batch.max_num_batched_tokens)
    kv_bytes = 1.0 if kv_dtype == "fp8" else 2.0
    per_node = gpus_per_node or gpu.gpus_per_node
    candidates = layouts(
        architecture,
        gpu,
        memory_gib=usable,
        gpus_per_node=per_node,
        weights=weights,
        width=width,
        kv_bytes=kv_bytes,
        batch=batch,
        context_length=context_length,
        gpu_memory_utilization=gpu_memory_utilization,
    )
    price, source = _price(gpu, usd_per_gpu_hour)
    return SizeReport(
        architecture=architecture,
        gpu=gpu,
        width=width,
        weights=weights,
        kv_bytes=kv_bytes,
        context_length=context_length,
        gpu_memory_utilization=gpu_memory_utilization,
        gpus_per_node=per_node,
        layouts=candidates,
        recommended=choose_layout(candidates),
        batch=batch,
        usd_per_gpu_hour=price,
        price_source=source,
    )


def _price(gpu: Gpu, given: float | None) -> tuple[float | None, str]:
    if given is not None:
        return given, "given"
    if not gpu.prices:
        return None, "no list price known"
    lowest = min(gpu.prices, key=lambda price: price.usd_per_gpu_hour)
    return (
        lowest.usd_per_gpu_hour,
        f"{lowest.provider} {lowest.terms} ({lowest.source.url}, {lowest.source.date})",
    )
