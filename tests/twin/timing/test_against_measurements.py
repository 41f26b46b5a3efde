"""The committed calibration against real engines, on configurations that were not used for fitting."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.calibration_logs import read_logs, read_requests
from benchmarks.calibration_rows import errors, predict, read_rows, summary

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.twin.engine import EngineSpec, replay
from stoker.twin.engine.timing import step_cost


def test_configurations_left_out_of_the_fit_are_within_the_bars(shared: Path) -> None:
    rows = [row for row in read_rows(shared / "calibration") if row.held_out]
    tpot, ttft, e2e = summary(errors(rows, [predict(row) for row in rows]))

    assert len(rows) == 86
    assert len({row.configuration for row in rows}) == 16
    assert tpot[0] <= 0.06
    assert tpot[1] <= 0.12
    assert e2e[0] <= 0.06
    assert e2e[1] <= 0.12
    assert ttft[0] <= 0.15
    assert ttft[1] <= 0.30


@pytest.mark.parametrize(
    ("file", "name", "slots", "blocks"),
    [("RTX4090", "RTX-4090", 256, 2588), ("RTXPRO6000", "RTX-PRO-6000", 128, 37_500)],
)
def test_a_real_engine_log_is_replayed_request_by_request(
    shared: Path, file: str, name: str, slots: int, blocks: int
) -> None:
    """300 ShareGPT requests at 10 a second; the 4090 runs out of KV blocks and preempts, which the kernel must follow."""
    load, measured = read_requests(shared / "calibration", file)
    cost = step_cost(model("llama-3.1-8b"), gpu(name), quantization="none", version="0.19.0")
    run = replay(EngineSpec(cost, 1, slots, 2048, 131_072, blocks, lookahead=1), load)
    outside = cost.arrival_s + cost.arrival_token_s * run.input_tokens

    assert float(np.median(np.abs((run.e2e_s - outside) / measured["e2e"] - 1))) <= 0.03
    assert float(np.median(np.abs((run.ttft_s - outside) / measured["ttft"] - 1))) <= 0.05
    assert (run.preemptions > 0) == (name == "RTX-4090")


def test_the_knee_of_an_open_loop_is_where_it_was_measured(shared: Path) -> None:
    """Llama-3-8B on one H100, 128 sequences: what it serves when offered far more than it can, and TTFT before."""
    logs = [log for log in read_logs(shared / "calibration") if log.name == "inference-perf"]
    cost = step_cost(model("llama-3-8b"), gpu("H100"), quantization="none", version="0.11.0")
    *below, above = logs

    assert above.predict(cost)[0] == pytest.approx(above.measured[0], rel=0.05)
    assert [log.predict(cost)[0] for log in below] == pytest.approx(
        [log.measured[0] for log in below], rel=0.12
    )
    assert [log.predict(cost)[1] for log in below] == pytest.approx(
        [log.measured[1] for log in below], rel=0.30
    )


def test_offline_batches_of_2024_are_met_under_the_release_of_their_time(shared: Path) -> None:
    logs = [log for log in read_logs(shared / "calibration") if log.name == "argonne"]
    ratios = [
        log.predict(
            step_cost(
                model(log.model), gpu(log.gpu), tensor=log.tensor, quantization="none", version=log.version
            )
        )[0]
        / log.measured[0]
        for log in logs
    ]

    assert float(np.median(np.abs(np.array(ratios) - 1))) <= 0.06
