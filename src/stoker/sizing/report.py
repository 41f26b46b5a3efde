"""Interim sizing report."""

import math
from dataclasses import dataclass

from stoker.catalog.gpus import Gpu
from stoker.catalog.models import ModelArchitecture
from stoker.sizing.kv import kv_bytes_per_token
from stoker.sizing.layouts import Layout

__all__ = ["SizeReport", "size_model"]

_OVERHEAD_GIB = 3.0


@dataclass(frozen=True, slots=True)
class SizeReport:
    weights_gib: float
    kv_bytes_per_token: float
    layouts: tuple[Layout, ...]
    dtype: str
    quantization: str


def size_model(
    architecture: ModelArchitecture,
    gpu: Gpu,
    *,
    gpus_per_node: int,
    memory_gib: float | None = None,
    precision: str = "auto",
    quantization: str = "auto",
    kv_dtype: str = "auto",
    context_length: int = 8192,
    gpu_memory_utilization: float = 0.92,
) -> SizeReport:
    usable = memory_gib or gpu.memory_gib
    width = {"fp8": 1, "int8": 1, "awq": 0.55, "gptq": 0.55, "mxfp4": 0.55}.get(quantization, 2)
    weights = architecture.parameters * width / 2**30
    kv = kv_bytes_per_token(architecture, 1 if kv_dtype == "fp8" else 2)
    layouts = []
    for pp in (1, 2, 4):
        for tp in (1, 2, 4, 8):
            if tp > gpus_per_node or (pp > 1 and tp < gpus_per_node):
                continue
            per = weights / tp / pp
            room = gpu_memory_utilization * usable - per - _OVERHEAD_GIB
            ok = room > 0 and architecture.attention_heads % tp == 0
            tokens = int(room * 2**30 * tp * pp / kv) if ok else 0
            layouts.append(
                Layout(
                    tp,
                    pp,
                    ok,
                    "" if ok else "weights do not fit",
                    per,
                    tokens,
                    tokens // context_length,
                    tp * pp,
                    math.ceil(tp * pp / gpus_per_node),
                )
            )
    return SizeReport(
        weights,
        kv,
        tuple(layouts),
        "bf16" if "bf16" in gpu.tflops else "fp16",
        "none" if quantization == "auto" else quantization,
    )
