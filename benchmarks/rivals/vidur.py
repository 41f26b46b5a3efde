"""Vidur (microsoft/vidur), written in Python."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rivals.process import Cost, measured
from rivals.simulator import (
    CONTEXT,
    SEQUENCES,
    STEP_TOKENS,
    Outcome,
    Request,
    Rival,
    per_token,
    read_rows,
    write_rows,
)

FOREST = {
    "prediction_max_prefill_chunk_size": STEP_TOKENS,
    "prediction_max_batch_size": SEQUENCES,
    "prediction_max_tokens_per_request": CONTEXT,
    "num_estimators": 250,
    "max_depth": 16,
    "min_samples_split": 2,
    "k_fold_cv_splits": 2,
}


def run(rival: Rival, trace: Sequence[Request], scratch: Path) -> tuple[Cost, Outcome]:
    """`vidur.main` replaying the trace, without the plots and traces that it can write besides.

    Its random forests are one candidate each instead of the best of 27, which only start-up notices; they are cached in
    its folder.
    """
    file = scratch / "vidur.csv"
    write_rows(file, ["arrived_at", "num_prefill_tokens", "num_decode_tokens"], trace)
    forest = "--random_forrest_execution_time_predictor_config_"
    options = {
        "--replica_config_device": "a100",
        "--replica_config_network_device": "a100_dgx",
        "--replica_config_model_name": "meta-llama/Meta-Llama-3-8B",
        "--request_generator_config_type": "trace_replay",
        "--trace_request_generator_config_trace_file": file,
        "--trace_request_generator_config_max_tokens": CONTEXT,
        "--replica_scheduler_config_type": "sarathi",
        "--sarathi_scheduler_config_batch_size_cap": SEQUENCES,
        "--sarathi_scheduler_config_chunk_size": STEP_TOKENS,
        **{forest + name: value for name, value in FOREST.items()},
        "--metrics_config_output_dir": scratch / "vidur",
    }
    off = ("store_plots", "enable_chrome_trace", "store_batch_metrics", "store_utilization_metrics")
    command = [
        rival.program,
        "-u",
        "-m",
        "vidur.main",
        *(str(part) for pair in options.items() for part in pair),
    ]
    command += [f"--no-metrics_config_{name}" for name in off]
    cost, _ = measured(
        command,
        rival.folder,
        marks=("Starting simulation", "Simulation ended"),
        environment={"WANDB_MODE": "disabled"},
    )
    rows = read_rows(next((scratch / "vidur").glob("*/request_metrics.csv")))
    ttft, e2e, answers = (
        np.array([row[key] for row in rows], float)
        for key in ("prefill_e2e_time", "request_e2e_time", "request_num_decode_tokens")
    )
    return cost, Outcome(ttft * 1e3, per_token(e2e - ttft, answers) * 1e3)
