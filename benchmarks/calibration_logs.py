"""The other sources: offline batches, an open-loop sweep, request logs. Each a small set of figures and how to get them."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.twin.engine import EngineSpec, Load, closed_loop, replay
from stoker.twin.engine.timing import StepCost

__all__ = ["Log", "read_logs", "read_requests"]

_AMPLE = 10**6  # KV blocks of engines that never ran out
_PROMPT, _ANSWER = 204, 62  # mean tokens of the sweep's requests


@dataclass(frozen=True, slots=True)
class Log:
    """Figures measured on one engine in 16 bits, and ``predict``: the same figures from the cost of its steps.

    ``tolerance`` is how far each may be off, relative, before it weighs against the fit.
    """

    name: str
    model: str
    gpu: str
    tensor: int
    version: str
    measured: tuple[float, ...]
    tolerance: tuple[float, ...]
    predict: Callable[[StepCost], tuple[float, ...]]


def read_logs(folder: Path) -> list[Log]:
    """Every log in the folder of calibration data."""
    return [*_offline(folder), *_sweep(folder), *_requests(folder)]


def _offline(folder: Path) -> Iterator[Log]:
    """Argonne LLM-Inference-Bench (BSD-3): batches of equal prompts and answers, vLLM of 2024; latency of the batch."""
    with (folder / "vllm_llama3_a100_h100.csv").open(encoding="utf-8") as file:
        for raw in csv.DictReader(file):
            batch, tokens = int(raw["Batch Size"]), int(raw["Input Output Length"])

            def latency(cost: StepCost, batch: int = batch, tokens: int = tokens) -> tuple[float, ...]:
                spec = EngineSpec(cost, 1, 256, max(256, tokens), 131_072, _AMPLE)
                run = closed_loop(
                    spec, concurrency=batch, requests=batch, input_tokens=tokens, output_tokens=tokens
                )
                return (run.duration_s,)

            yield Log(
                name="argonne",
                model="llama-3-70b" if "70B" in raw["Model"] else "llama-3-8b",
                gpu=gpu("A100" if "A100" in raw["Hardware"] else "H100").name,
                tensor=int(raw["Num of Hardware"]),
                version="0.4.0",
                measured=(float(raw["Latency"]),),
                tolerance=(0.06,),
                predict=latency,
            )


def _sweep(folder: Path) -> Iterator[Log]:
    """kubernetes-sigs/inference-perf demos (Apache-2.0): Llama-3-8B on an H100, vLLM 0.11 without chunked prefill.

    Four rates below the knee (TPOT and TTFT), and what is served far above it.
    """
    for stage in (0, 1, 2, 3, 6):
        path = folder / "inference-perf" / f"vllm__stage_{stage}_lifecycle_metrics.json"
        found = json.loads(path.read_text(encoding="utf-8"))
        successes = found["successes"]
        ttft = successes["latency"]["time_to_first_token"]["mean"]
        e2e = successes["latency"]["request_latency"]["mean"]
        count, rate = successes["count"], found["load_summary"]["achieved_rate"]

        def below(cost: StepCost, count: int = count, rate: float = rate) -> tuple[float, ...]:
            load = Load(
                np.arange(count) / rate, np.full(count, _PROMPT, np.int32), np.full(count, _ANSWER, np.int32)
            )
            run = replay(_sweep_engine(cost), load)
            return float(run.tpot_s.mean()), float(run.ttft_s.mean())

        def above(cost: StepCost) -> tuple[float, ...]:
            answers = np.random.default_rng(0).integers(56, 69, 6000).astype(np.int32)
            run = closed_loop(
                _sweep_engine(cost),
                concurrency=435,
                requests=6000,
                input_tokens=_PROMPT,
                output_tokens=answers,
            )
            return (run.completed / run.duration_s,)

        full = stage == 6
        yield Log(
            name="inference-perf",
            model="llama-3-8b",
            gpu="H100-SXM-80GB",
            tensor=1,
            version="0.11.0",
            measured=(successes["throughput"]["requests_per_sec"],)
            if full
            else ((e2e - ttft) / (_ANSWER - 1), ttft),
            tolerance=(0.01,) if full else (0.04, 0.12),
            predict=above if full else below,
        )


def _sweep_engine(cost: StepCost) -> EngineSpec:
    return EngineSpec(cost, 1, 128, 8192, 8192, _AMPLE, chunked_prefill=False)


def read_requests(folder: Path, name: str) -> tuple[Load, dict[str, np.ndarray]]:
    """A log of casys-kaist/LLMServingSim (MIT): what arrived, and TTFT, TPOT and E2E of each request, in seconds."""
    file = folder / "llmservingsim" / f"{name}_Llama-3.1-8B.requests.jsonl"
    log = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    log.sort(key=lambda row: float(row["queued_ts"]))
    column = {key: np.array([row[key] for row in log]) for key in log[0] if key != "request_id"}
    queued, first, last = column["queued_ts"], column["first_token_ts"], column["last_token_ts"]
    answers = column["output_toks"].astype(np.int32)
    load = Load(queued - queued[0], column["input_toks"].astype(np.int32), answers)
    tpot = (last - first) / np.maximum(answers - 1, 1)
    return load, {"ttft": first - queued, "tpot": tpot, "e2e": last - queued}


def _requests(folder: Path) -> Iterator[Log]:
    """300 ShareGPT requests at ten a second against vLLM 0.19: means of TPOT, TTFT and E2E behind the HTTP server."""
    for file, kind, sequences, blocks in (
        ("RTX4090", "RTX-4090", 256, 2588),
        ("RTXPRO6000", "RTX-PRO-6000", 128, 37_500),
    ):
        load, seen = read_requests(folder, file)

        def means(
            cost: StepCost, load: Load = load, sequences: int = sequences, blocks: int = blocks
        ) -> tuple[float, ...]:
            run = replay(EngineSpec(cost, 1, sequences, 2048, 131_072, blocks, lookahead=1), load)
            outside = cost.arrival_s + cost.arrival_token_s * run.input_tokens
            return (
                float(np.nanmean(run.tpot_s)),
                float((run.ttft_s - outside).mean()),
                float((run.e2e_s - outside).mean()),
            )

        yield Log(
            name="llmservingsim",
            model=model("llama-3.1-8b").name,
            gpu=gpu(kind).name,
            tensor=1,
            version="0.19.0",
            measured=tuple(float(seen[key].mean()) for key in ("tpot", "ttft", "e2e")),
            tolerance=(0.02, 0.05, 0.02),
            predict=means,
        )
