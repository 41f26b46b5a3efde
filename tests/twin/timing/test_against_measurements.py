"""The committed calibration against real engines, on configurations that were not used for fitting."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.twin.engine import EngineSpec, Load, replay
from stoker.twin.engine.timing import step_cost

_spec = importlib.util.spec_from_file_location("measurements", Path(__file__).with_name("measurements.py"))
assert _spec is not None
assert _spec.loader is not None
measurements = importlib.util.module_from_spec(_spec)
sys.modules["measurements"] = measurements
_spec.loader.exec_module(measurements)


def test_median_errors_on_configurations_left_out_of_the_fit_are_within_the_bars(shared: Path) -> None:
    rows = [row for row in measurements.read_rows(shared / "calibration") if row.held_out]
    assert len(rows) > 100
    ttft, tpot, e2e = np.median(measurements.errors(rows), axis=0)
    assert tpot <= 0.06
    assert e2e <= 0.06
    assert ttft <= 0.15


@pytest.mark.parametrize(
    ("name", "slots", "kv_tokens", "bars"),
    [("RTX-4090", 256, 41_408, (0.02, 0.04)), ("RTX-PRO-6000", 128, None, (0.05, 0.05))],
)
def test_a_real_engine_log_is_replayed_request_by_request(
    shared: Path, name: str, slots: int, kv_tokens: int | None, bars: tuple[float, float]
) -> None:
    """300 ShareGPT requests at 10 a second; the 4090 runs out of KV blocks and preempts, which the kernel must follow."""
    file = f"{name.replace('-', '')}_Llama-3.1-8B.requests.jsonl"
    lines = (shared / "calibration" / "llmservingsim" / file).read_text().splitlines()
    log = sorted((json.loads(line) for line in lines), key=lambda row: row["queued_ts"])
    start = log[0]["queued_ts"]
    column = {key: np.array([row[key] for row in log]) for key in log[0] if key != "request_id"}
    cost = step_cost(model("llama-3.1-8b"), gpu(name), quantization="none")
    spec = EngineSpec(cost, 1, slots, 2048, 131_072, (kv_tokens or 600_000) // 16, lookahead=1)
    run = replay(
        spec,
        Load(
            column["queued_ts"] - start,
            column["input_toks"].astype(np.int32),
            column["output_toks"].astype(np.int32),
        ),
    )
    e2e = column["last_token_ts"] - column["queued_ts"]
    ttft = column["first_token_ts"] - column["queued_ts"]
    own_ttft = run.ttft_s - cost.arrival_s - cost.arrival_token_s * run.input_tokens
    assert float(np.median(np.abs(run.e2e_s / e2e - 1))) <= bars[0]
    assert float(np.median(np.abs(own_ttft / ttft - 1))) <= bars[1]
    assert (run.preemptions > 0) == (kv_tokens is not None)


def test_the_knee_of_an_open_loop_is_where_it_was_measured(shared: Path) -> None:
    """Llama-3-8B on one H100, no chunked prefill, 128 sequences: what it serves when offered more than it can."""
    file = shared / "calibration" / "inference-perf" / "vllm__stage_6_lifecycle_metrics.json"
    measured: dict[str, Any] = json.loads(file.read_text())
    cost = step_cost(model("llama-3-8b"), gpu("H100"), quantization="none")
    spec = EngineSpec(cost, 1, 128, 8192, 8192, 25_000, chunked_prefill=False, lookahead=0)
    rng = np.random.default_rng(0)
    count, rate = measured["load_summary"]["count"], measured["load_summary"]["requested_rate"]
    arrival = np.cumsum(rng.exponential(1, count))
    run = replay(
        spec,
        Load(
            arrival * count / rate / arrival[-1],
            np.full(count, 204, np.int32),
            np.maximum(1, np.rint(rng.normal(62, 7, count))).astype(np.int32),
        ),
    )
    served = run.completed / run.duration_s
    assert served == pytest.approx(measured["successes"]["throughput"]["requests_per_sec"], rel=0.05)


def test_a_gpu_that_was_never_measured_says_so() -> None:
    assert step_cost(model("llama-3-8b"), gpu("L4")).provenance == "extrapolated"
    assert step_cost(model("phi-4"), gpu("H100")).provenance == "interpolated"
    assert (
        step_cost(model("llama-3.1-70b"), gpu("H100"), tensor=4, quantization="fp8").provenance == "measured"
    )


@pytest.mark.parametrize("tensor", [1, 2, 4, 8])
def test_step_times_grow_with_tokens_and_shrink_with_ranks(tensor: int) -> None:
    cost = step_cost(model("llama-3-70b"), gpu("A100"), tensor=tensor)
    assert list(cost.knot_seconds) == sorted(cost.knot_seconds)
    if tensor > 1:
        assert (
            cost.knot_seconds[0]
            < step_cost(model("llama-3-70b"), gpu("A100"), tensor=tensor // 2).knot_seconds[0]
        )
