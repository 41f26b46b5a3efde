"""The measured rows of real engines, and what the twin says of each; shared by the tests and `benchmarks/calibration.py`."""

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.twin.engine import closed_loop
from stoker.twin.engine.setup import engine_spec

_FORMATS = {"fp8": "fp8", "nvfp4": "nvfp4", "int4_wo": "gptq", "": "none"}
# One configuration in five, by a hash of its name, was left out of the fit.
_SALT, _HELD_OUT = "b", 2


@dataclass(frozen=True)
class Row:
    """One measurement: a closed loop against a real vLLM. Times in seconds."""

    model: str
    gpu: str
    quantization: str
    tensor: int
    data: int
    expert_parallel: bool
    input_tokens: int
    output_tokens: int
    concurrency: int
    ttft_s: float
    tpot_s: float
    warm: bool  # the first wave was left out of the measurement

    @property
    def configuration(self) -> str:
        quantization = "auto" if self.model == "gpt-oss-120b" else self.quantization
        return (
            f"{self.model}/{self.gpu}/{quantization}/{self.tensor}/{self.data}/"
            f"{self.input_tokens}/{self.output_tokens}"
        )

    @property
    def held_out(self) -> bool:
        return zlib.crc32((_SALT + self.configuration).encode()) % 10 < _HELD_OUT


def read_rows(folder: Path) -> list[Row]:
    """Rows of aggregated serving, each once.

    Left out: disaggregated ones, Qwen3-235B (the labels of its source are not tensor parallelism as vLLM counts it), and
    gpt-oss rows of 512 clients that a bound on the batch held back.
    """
    rows: dict[tuple[object, ...], Row] = {}
    with (folder / "aic_silicon_sample.csv").open() as file:
        for raw in csv.DictReader(file):
            name = model(raw["model_path"]).name
            data = int(raw["attention_dp_size"] or 1)
            clients = int(raw["batch_size"] or 0)
            if raw["mode"] != "agg" or name.startswith("qwen3-235b"):
                continue
            if name == "gpt-oss-120b" and clients >= 512 and raw["backend_version"] in {"0.11.2", ""}:
                continue
            row = Row(
                model=name,
                gpu=gpu(raw["system"]).name,
                quantization="auto" if name == "gpt-oss-120b" else _FORMATS[raw["gemm_quant_mode"]],
                tensor=1 if data > 1 else int(raw["tp_size"]),
                data=data,
                expert_parallel=int(raw["moe_ep_size"] or 1) > 1,
                input_tokens=int(raw["isl"]),
                output_tokens=int(raw["osl"]),
                concurrency=clients,
                ttft_s=float(raw["silicon_ttft_ms"]) / 1e3,
                tpot_s=float(raw["silicon_tpot_ms"]) / 1e3,
                warm="2026" not in raw["silicon_data_source"],
            )
            rows.setdefault(
                (row.configuration, clients, raw["backend_version"][:4], round(row.tpot_s, 6)), row
            )
    return list(rows.values())


def predict(row: Row) -> tuple[float, float, float]:
    """Mean TTFT, TPOT and E2E that the twin's clients measure, in seconds."""
    spec = engine_spec(
        model(row.model),
        gpu(row.gpu),
        tensor=row.tensor,
        data=row.data,
        expert_parallel=row.expert_parallel,
        quantization=row.quantization,
        max_num_seqs=1024,
    )
    rng = np.random.default_rng(1)
    count = max(10 * row.concurrency, 40)
    prompt, answer = (
        np.maximum(1, np.rint(length * rng.uniform(0.9, 1.1, count))).astype(np.int32)
        for length in (row.input_tokens, row.output_tokens)
    )
    run = closed_loop(
        spec, concurrency=row.concurrency, requests=count, input_tokens=prompt, output_tokens=answer
    )
    first = row.concurrency if row.warm else 0
    return (
        float(run.ttft_s[first:].mean()),
        float(np.nanmean(run.tpot_s[first:])),
        float(run.e2e_s[first:].mean()),
    )


def errors(rows: list[Row]) -> np.ndarray:
    """Absolute relative errors: a row each, columns TTFT, TPOT, E2E (measured as TTFT + TPOT * (answer - 1))."""
    found = []
    for row in rows:
        ttft, tpot, e2e = predict(row)
        measured = row.ttft_s + row.tpot_s * (row.output_tokens - 1)
        found.append([abs(ttft / row.ttft_s - 1), abs(tpot / row.tpot_s - 1), abs(e2e / measured - 1)])
    return np.array(found)
