"""BLIS (inference-sim/inference-sim), written in Go."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rivals.process import Cost, measured
from rivals.simulator import SEQUENCES, STEP_TOKENS, Outcome, Request, Rival, per_token, write_rows

# The columns of BLIS's TraceV2 (sim/workload/tracev2.go), in its order, with what a plain text request has in them.
BLIS_COLUMNS = {
    "request_id": "", "client_id": "", "tenant_id": "", "slo_class": "standard", "session_id": "", "round_index": 0,
    "prefix_group": "", "prefix_length": 0, "streaming": "true", "input_tokens": 0, "output_tokens": 0,
    "text_tokens": 0, "image_tokens": 0, "audio_tokens": 0, "video_tokens": 0, "reason_ratio": 0, "model": "",
    "deadline_us": 0, "server_input_tokens": 0, "arrival_time_us": 0, "send_time_us": 0, "first_chunk_time_us": 0,
    "last_chunk_time_us": 0, "num_chunks": 0, "status": "ok", "error_message": "", "finish_reason": "",
}  # fmt: skip


def run(rival: Rival, trace: Sequence[Request], scratch: Path) -> tuple[Cost, Outcome]:
    """`blis replay` with its roofline; its trained model takes about as long. Its start-up, some 10 ms, is not told apart."""
    header, data, results = scratch / "blis.yaml", scratch / "blis.csv", scratch / "blis.json"
    header.write_text(
        "trace_version: 2\ntime_unit: microseconds\nmode: generated\nwarm_up_requests: 0\n", encoding="utf-8"
    )
    write_rows(
        data,
        list(BLIS_COLUMNS),
        (
            list(
                (
                    BLIS_COLUMNS
                    | {
                        "request_id": index,
                        "input_tokens": prompt,
                        "output_tokens": answer,
                        "text_tokens": prompt,
                        "arrival_time_us": round(arrival * 1e6),
                    }
                ).values()
            )
            for index, (arrival, prompt, answer) in enumerate(trace)
        ),
    )
    command = [rival.program, "replay", "--trace-header", header, "--trace-data", data]
    command += [
        "--results-path",
        results,
        "--model",
        "meta-llama/llama-3.1-8b-instruct",
        "--hardware",
        "H100",
    ]
    command += ["--tp", "1", "--latency-model", "roofline", "--max-num-seqs", str(SEQUENCES)]
    cost, _ = measured([*command, "--max-num-batched-tokens", str(STEP_TOKENS)], rival.folder)
    rows = json.loads(results.read_text(encoding="utf-8"))
    ttft, e2e, answers = (
        np.array([row[key] for row in rows], float) for key in ("ttft_us", "e2e_us", "output_tokens")
    )
    return cost, Outcome(ttft / 1e3, per_token(e2e - ttft, answers) / 1e3)
