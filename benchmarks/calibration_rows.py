"""Closed-loop measurements of real vLLM engines, and the same runs on the twin.

The rows are ai-dynamo/aiconfigurator's `silicon_sample.csv` (Apache-2.0). Their load generator is that of InferenceX
(SemiAnalysisAI/InferenceX, utils/bench_serving/benchmark_serving.py and benchmarks/benchmark_lib.sh): prompts and answers
of uniformly 0.8 to 1.0 times the nominal length, ten requests a client, all clients starting at once, and means over all
requests. The rows of another source with other labels (Qwen3-32B) fit the same generator, and no other that was tried.
"""

import csv
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stoker.catalog.gpus import Gpu, gpu
from stoker.catalog.models import ModelArchitecture, model
from stoker.sizing.kv import sequence_bytes_per_gpu
from stoker.sizing.weights import resolve_width, weight_bytes
from stoker.twin.engine import EngineSpec, closed_loop
from stoker.twin.engine.timing import StepCost, step_cost

__all__ = ["Row", "engine_arguments", "errors", "predict", "read_rows", "summary"]

_FORMATS = {"fp8": "fp8", "nvfp4": "nvfp4", "int4_wo": "gptq", "": "none"}
_FOLDS = 5
_SHORTEST = 0.8  # random-range-ratio
_REQUESTS_A_CLIENT = 10
_OVERHEAD_GIB = 3.8  # beside weights and cache: read off the queues of rows whose cache was full


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. Times in seconds, lengths nominal; ``recipe`` is how the engine was started."""

    model: str
    gpu: str
    quantization: str
    tensor: int
    data: int
    expert_parallel: bool
    version: str
    measured_on: str
    input_tokens: int
    output_tokens: int
    concurrency: int
    ttft_s: float
    tpot_s: float

    @property
    def configuration(self) -> str:
        """What is held out as one: model, GPU, format, parallelism, lengths; not the number of clients."""
        layout = f"tp{self.tensor}/dp{self.data}"
        return (
            f"{self.model}/{self.gpu}/{self.quantization}/{layout}/{self.input_tokens}/{self.output_tokens}"
        )

    @property
    def fold(self) -> int:
        return zlib.crc32(self.configuration.encode()) % _FOLDS

    @property
    def held_out(self) -> bool:
        """Whether the committed figures were fitted without this row."""
        return self.fold == 0


@dataclass(frozen=True, slots=True)
class _Recipe:
    """What the server was started with, where it differs from vLLM's defaults."""

    tokens: int
    sequences: int = 1024
    kv_dtype: str = "auto"
    memory: float = 0.9
    lookahead: int = 1


def read_rows(folder: Path) -> list[Row]:
    """Rows of aggregated serving, each once.

    Left out, because their harness or their kernels are not those of the others: disaggregated serving; Qwen3-235B and
    Llama-3.1-8B (mean TTFT below what the first burst of all clients alone would cost, labels of parallelism that do not
    multiply to the GPUs);
    MiniMax-M2.5 in FP8 under vLLM 0.17, whose recipe switches FlashInfer's and DeepGEMM's experts off; Qwen3-32B on one
    GPU and gpt-oss at 512 clients on H100 (the server's batch bound was another number); rounded copies of other rows.
    """
    rows: dict[tuple[object, ...], Row] = {}
    with (folder / "aic_silicon_sample.csv").open(encoding="utf-8") as file:
        for raw in csv.DictReader(file):
            row = _row(raw)
            if row is not None:
                rows.setdefault(
                    (row.configuration, row.concurrency, row.measured_on, round(row.tpot_s, 6)), row
                )
    return list(rows.values())


def _row(raw: dict[str, str]) -> Row | None:
    source = raw["silicon_data_source"]
    if raw["mode"] != "agg" or "kimi-k2.5-gap-analysis" in source:
        return None
    name, tensor, version = model(raw["model_path"]).name, int(raw["tp_size"]), raw["backend_version"]
    measured_on = source.partition("measured=")[2][:10]
    clients = int(source.partition("silicon_concurrency=")[2].partition(";")[0] or raw["batch_size"])
    left_out = (
        name in {"qwen3-235b-a22b", "llama-3.1-8b"}
        or (name == "qwen3-32b" and tensor == 1)
        or (name == "gpt-oss-120b" and raw["system"] == "h100_sxm" and clients >= 512)
        or (name == "minimax-m2.5" and raw["precision"] == "fp8" and version == "0.17.0")
    )
    if left_out:
        return None
    # Only the NVFP4 recipes of MiniMax start data-parallel ranks (DP_ATTENTION in benchmarks/single_node/minimaxm2.5_fp4_*.sh);
    # elsewhere the label stands on plain tensor parallelism with experts kept whole.
    ranks = int(raw["attention_dp_size"] or 1)
    data = ranks if name == "minimax-m2.5" and raw["precision"] == "fp4" else 1
    if not version:
        version = "0.11.0"
    elif version.startswith("nightly"):
        version = "0.19.0"
    return Row(
        model=name,
        gpu=gpu(raw["system"]).name,
        quantization="mxfp4" if name == "gpt-oss-120b" else _FORMATS[raw["gemm_quant_mode"]],
        tensor=1 if data > 1 else tensor,
        data=data,
        expert_parallel=int(raw["moe_ep_size"] or 1) > 1,
        version=version,
        measured_on=measured_on,
        input_tokens=int(raw["isl"]),
        output_tokens=int(raw["osl"]),
        concurrency=clients,
        ttft_s=float(raw["silicon_ttft_ms"]) / 1e3,
        tpot_s=float(raw["silicon_tpot_ms"]) / 1e3,
    )


def _recipe(row: Row) -> _Recipe:
    """The server's flags: benchmarks/single_node/*.sh of InferenceX at the date of the measurement."""
    blackwell = row.gpu.startswith("B")
    # get_batch_defaults of vllm/engine/arg_utils.py
    common = _Recipe(16384 if blackwell else 8192)
    match row.model:
        case "llama-3.1-70b":
            # H100's KV cache was in 16 bits: its queue at 64 clients and 8192 tokens shows it.
            kv_dtype = "auto" if row.gpu.startswith("H100") else "fp8"
            return _Recipe(8192, 512 if blackwell else row.concurrency, kv_dtype)
        case "gpt-oss-120b":
            kv_dtype = "fp8" if blackwell and row.measured_on >= "2026" else "auto"
            return _Recipe(8192, 512 if blackwell else row.concurrency, kv_dtype)
        case "kimi-k2.5" if row.quantization == "gptq":
            return replace(common, sequences=row.concurrency, memory=0.95)
        case "kimi-k2.5":
            # The NVFP4 checkpoint asks for an FP8 cache itself (kv_cache_quant_algo of its hf_quant_config.json).
            return replace(common, sequences=row.concurrency, kv_dtype="fp8")
        case "minimax-m2.5" if row.gpu.startswith("H100"):
            return replace(common, sequences=256)
        case "minimax-m2.5" if row.gpu.startswith("H200"):
            return replace(common, memory=0.95)
        case "minimax-m2.5":
            return _Recipe(2 * row.input_tokens, kv_dtype="fp8")
        case _:
            # Synchronous scheduling before vLLM 0.14. The share of memory is what the queue at 128 clients shows.
            return replace(common, memory=0.8, lookahead=0)


def _kv_tokens(row: Row, architecture: ModelArchitecture, kind: Gpu, recipe: _Recipe) -> int:
    width = resolve_width(architecture, kind, precision="auto", quantization=row.quantization)
    bytes_each = 1.0 if recipe.kv_dtype == "fp8" else 2.0
    each = sequence_bytes_per_gpu(architecture, 10_000, bytes_each, tensor=row.tensor, pipeline=1) / 10_000
    room = (kind.memory_gib * recipe.memory - _OVERHEAD_GIB) * 2**30
    room -= weight_bytes(architecture, width) / (row.tensor * row.data)
    room -= recipe.tokens * architecture.hidden_size * 12  # activations of the largest step
    return max(20_000, int(room / each) * row.data)


def lengths(row: Row, count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Prompt and answer tokens of ``count`` requests."""
    rng = np.random.default_rng(1)
    prompt, answer = (
        rng.integers(int(nominal * _SHORTEST), nominal + 1, count).astype(np.int32)
        for nominal in (row.input_tokens, row.output_tokens)
    )
    return prompt, answer


def engine_arguments(row: Row) -> dict[str, Any]:
    """Arguments of `step_cost` for the row's engine, after model and GPU and without the release."""
    return {
        "tensor": row.tensor,
        "data": row.data,
        "expert_parallel": row.expert_parallel,
        "quantization": row.quantization,
        "kv_dtype": _recipe(row).kv_dtype,
    }


def predict(row: Row, cost: StepCost | None = None) -> tuple[float, float]:
    """Mean TPOT and TTFT of the row's run on the twin, in seconds."""
    recipe = _recipe(row)
    sequences = recipe.sequences * row.data
    if cost is None:
        cost = step_cost(model(row.model), gpu(row.gpu), version=row.version, **engine_arguments(row))
    spec = EngineSpec(
        cost=cost,
        gpus=row.tensor * row.data,
        max_num_seqs=sequences,
        max_num_batched_tokens=max(recipe.tokens * row.data, sequences),
        max_model_len=131_072,
        blocks=_kv_tokens(row, model(row.model), gpu(row.gpu), recipe) // 16,
        reserve_full_prompt=False,
        lookahead=recipe.lookahead,
    )
    count = _REQUESTS_A_CLIENT * row.concurrency
    prompt, answer = lengths(row, count)
    run = closed_loop(
        spec, concurrency=row.concurrency, requests=count, input_tokens=prompt, output_tokens=answer
    )
    return float(run.tpot_s.mean()), float(run.ttft_s.mean())


def errors(rows: Sequence[Row], predicted: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Relative errors, signed: a row each, columns TPOT, TTFT, E2E (TTFT + TPOT * (mean answer - 1))."""
    found = []
    for row, (tpot, ttft) in zip(rows, predicted, strict=True):
        following = row.output_tokens * (1 + _SHORTEST) / 2 - 1
        measured = row.ttft_s + row.tpot_s * following
        found.append((tpot / row.tpot_s - 1, ttft / row.ttft_s - 1, (ttft + tpot * following) / measured - 1))
    return np.array(found)


def summary(found: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Median and 90th percentile of the absolute errors of TPOT, TTFT and E2E."""
    quantiles = np.quantile(np.abs(found), [0.5, 0.9], axis=0)
    return tuple((float(quantiles[0, column]), float(quantiles[1, column])) for column in range(3))
