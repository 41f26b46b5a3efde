"""Shares of the datasheet that single kernels reach: for GPUs of which no whole engine was measured.

Tables of ai-dynamo/aiconfigurator (Apache-2.0): vLLM's kernels in 16 bits at shapes of Llama 3. Kernels alone and engines
differ by what overlaps, so only the ratio of one GPU's shares to another's is used.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from stoker.catalog.gpus import Gpu

__all__ = ["kernel_shares"]

_LEAST = 4096  # sides of a matrix: smaller ones measure the launch
_LONG = 2048  # tokens of a prompt, likewise
_READ = 1e8  # cached bytes of a batch of decodes, likewise
_HEAD = 128


def kernel_shares(folder: Path, system: str, kind: Gpu) -> Mapping[str, float]:
    """Median shares of bandwidth and peak, by the figure of `Figures` that they speak of.

    Args:
        folder: of the calibration data.
        system: prefix of the tables' names, e.g. ``l40s``.
        kind: the same GPU in the catalogue.
    """
    bandwidth, peak = kind.bandwidth_gb_s * 1e9, kind.tflops["bf16"] * 1e12
    few, many = [], []
    for row in _table(folder, system, "gemm"):
        m, n, k, seconds = (float(row[key]) for key in ("m", "n", "k", "latency"))
        if row["gemm_dtype"] != "bfloat16" or min(n, k) < _LEAST:
            continue
        if m <= 16:
            few.append(2 * n * k / (bandwidth * seconds / 1e3))
        elif m >= _LEAST:
            many.append(2 * m * n * k / (peak * seconds / 1e3))
    prompts = []
    for row in _attention(folder, system, "context_attention"):
        batch, tokens, heads, seconds = (
            float(row[key]) for key in ("batch_size", "isl", "num_heads", "latency")
        )
        if row["step"] == "0" and tokens >= _LONG:
            prompts.append(2 * _HEAD * heads * tokens**2 * batch / (peak * seconds / 1e3))
    decodes = []
    for row in _attention(folder, system, "generation_attention"):
        batch, heads, seconds = (float(row[key]) for key in ("batch_size", "num_key_value_heads", "latency"))
        read = batch * (float(row["isl"]) + float(row["step"])) * heads * 2 * _HEAD * 2
        if read >= _READ:
            decodes.append(read / (bandwidth * seconds / 1e3))
    return {
        "bandwidth": median(few),
        "arithmetic": median(many),
        "attention": median(prompts),
        "kv_bandwidth": median(decodes),
    }


def _table(folder: Path, system: str, name: str) -> Iterator[dict[str, str]]:
    with (folder / "aic_llama3" / f"{system}_{name}.csv").open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _attention(folder: Path, system: str, name: str) -> Iterator[dict[str, str]]:
    for row in _table(folder, system, name):
        if row["kv_cache_dtype"] == "bfloat16" and row["head_dim"] == str(_HEAD):
            yield row
