"""LLMServingSim 2.0 (casys-kaist/LLMServingSim): Python in front of ASTRA-sim, which is C++."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rivals.process import Cost, measured
from rivals.simulator import SEQUENCES, STEP_TOKENS, Outcome, Request, Rival, read_rows


def run(rival: Rival, trace: Sequence[Request], scratch: Path) -> tuple[Cost, Outcome]:
    """`serving` on its own single-instance example, prefix caching off: the requests share nothing."""
    file, results = scratch / "llmservingsim.jsonl", scratch / "llmservingsim.csv"
    file.write_text(
        "".join(
            json.dumps(
                {"input_toks": prompt, "output_toks": answer, "arrival_time_ns": 1 + round(arrival * 1e9)}
            )
            + "\n"
            for arrival, prompt, answer in trace
        ),
        encoding="utf-8",
    )
    # It puts ../ before every path that it is given.
    places = [os.path.relpath(path, rival.folder) for path in (file, results)]
    command = [rival.program, "-u", "-m", "serving", "--dataset", places[0], "--output", places[1]]
    command += ["--cluster-config", "configs/cluster/single_node_single_instance.json", "--dtype", "bfloat16"]
    command += ["--max-num-seqs", str(SEQUENCES), "--max-num-batched-tokens", str(STEP_TOKENS)]
    command += ["--no-enable-prefix-caching", "--log-interval", "100000"]
    path = (
        f"{rival.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"  # it starts `python` by that name
    )
    cost, _ = measured(
        command, rival.folder, marks=("Starting simulation", "Exiting simulation"), environment={"PATH": path}
    )
    rows = read_rows(results)
    ttft, tpot = (np.array([row[key] for row in rows], float) / 1e6 for key in ("TTFT", "TPOT"))
    return cost, Outcome(ttft, tpot)
