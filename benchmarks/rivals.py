"""Stoker's twin beside other simulators of LLM serving: the same trace, an 8-billion-parameter Llama on one GPU, one run.

    .venv/bin/python benchmarks/rivals.py azure2023_conv.csv \
        --blis BINARY:CHECKOUT --vidur PYTHON:CHECKOUT --llmservingsim PYTHON:CHECKOUT

Rivals are whatever is installed already; each is optional, none is fetched or built here. All engines hold 256 sequences
and 2,048 tokens a step. A rival is compared with Stoker on the same first requests of the trace, on the GPU that it knows
best: BLIS an H100, Vidur an A100, LLMServingSim an RTX PRO 6000. docs/speed.md says what else differs.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rivals import blis, llmservingsim, vidur
from rivals.process import Cost, measured
from rivals.simulator import CONTEXT, SEQUENCES, STEP_TOKENS, Outcome, Request, Rival, Run

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.twin.engine import Load, replay
from stoker.twin.engine.setup import engine_spec
from stoker.twin.workload import Traffic, read_trace

STOKER_RUNS = 5


def requests(traffic: Traffic) -> list[Request]:
    """The traffic as rivals are handed it, from a first arrival at zero."""
    arrival = traffic.arrival_s - traffic.arrival_s[0]
    return list(
        zip(arrival.tolist(), traffic.input_tokens.tolist(), traffic.output_tokens.tolist(), strict=True)
    )


def stoker_process(trace: Path, count: int, gpu_name: str) -> None:
    """What the child process of `run_stoker` does: replay several times, print seconds and outcome as JSON."""
    traffic = read_trace(trace).traffic
    spec = engine_spec(
        model("llama-3.1-8b"),
        gpu(gpu_name),
        max_num_seqs=SEQUENCES,
        max_num_batched_tokens=STEP_TOKENS,
        max_model_len=CONTEXT,
    )
    load = Load(traffic.arrival_s[:count], traffic.input_tokens[:count], traffic.output_tokens[:count])
    run = replay(spec, load)  # start-up: numba loads the compiled kernel
    seconds = []
    for _ in range(STOKER_RUNS):
        start = time.perf_counter()
        run = replay(spec, load)
        seconds.append(time.perf_counter() - start)
    print(
        json.dumps(
            {
                "seconds": statistics.median(seconds),
                "ttft_ms": (run.ttft_s * 1e3).tolist(),
                "tpot_ms": [None if np.isnan(value) else value for value in (run.tpot_s * 1e3).tolist()],
            }
        )
    )


def run_stoker(trace: Path, count: int, gpu_name: str, **environment: str) -> tuple[Cost, Outcome]:
    """Stoker in a process of its own; without start-up: the median of several replays after a first one."""
    command = [
        sys.executable,
        Path(__file__).resolve(),
        trace.resolve(),
        "--stoker-only",
        str(count),
        gpu_name,
    ]
    cost, text = measured(command, Path.cwd(), environment=environment)
    found = json.loads(text.splitlines()[-1])
    outcome = Outcome(np.array(found["ttft_ms"], float), np.array(found["tpot_ms"], float))
    return Cost(cost.whole_s, cost.cpu_s, found["seconds"], cost.memory_mib), outcome


def compare(trace: Path, rivals: Sequence[tuple[Rival, int]]) -> None:
    """Run everything one after another and print a row for each as it ends."""
    traffic = read_trace(trace).traffic
    print(
        "seconds, CPU seconds and MiB of whole processes; µs a request, with start-up and without; times Stoker\n"
        "(without start-up, same requests, same GPU); what the clients saw: TTFT p50 and p99, mean TPOT, ms\n"
    )
    print(
        f"{'':<30}{'requests':>8} {'s':>8} {'CPU s':>8} {'MiB':>6} {'µs/req':>11} {'steady':>11} {'ratio':>8}"
        f" {'TTFT p50':>9} {'p99':>9} {'TPOT':>9}"
    )
    for rival, wanted in rivals:
        count = min(wanted, len(traffic)) or len(traffic)
        ours = run_stoker(trace, count, rival.gpu)
        show(f"Stoker {rival.gpu}", count, ours, ours[0])
        interpreted = run_stoker(trace, count, rival.gpu, STOKER_INTERPRETED="1")
        show("  the same without numba", count, interpreted, ours[0])
        with tempfile.TemporaryDirectory() as scratch:
            theirs = rival.run(rival, requests(traffic)[:count], Path(scratch))
        if len(theirs[1].ttft_ms) != count:
            raise RuntimeError(f"{rival.name} answered {len(theirs[1].ttft_ms)} of {count} requests")
        show(rival.name, count, theirs, ours[0])


def show(name: str, count: int, run: tuple[Cost, Outcome], ours: Cost) -> None:
    cost, outcome = run
    print(
        f"{name:<30}{count:>8,} {cost.whole_s:>8.2f} {cost.cpu_s:>8.2f} {cost.memory_mib:>6.0f}"
        f" {cost.whole_s / count * 1e6:>11,.1f} {cost.steady_s / count * 1e6:>11,.1f}"
        f" {cost.steady_s / ours.steady_s:>8,.0f} {outcome}",
        flush=True,
    )


def rival_of(name: str, gpu_name: str, place: str, run: Run) -> Rival:
    """A rival from ``PROGRAM:CHECKOUT``; links are kept, since a virtual environment's Python is one."""
    program, _, folder = place.partition(":")
    if not Path(program).is_file() or not Path(folder).is_dir():
        sys.exit(f"{name}: {place!r} is not PROGRAM:CHECKOUT")
    return Rival(name, gpu_name, Path(program).absolute(), Path(folder).resolve(), run)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "trace", type=Path, help="Azure's conversation trace of 2023, or any that Stoker reads"
    )
    parser.add_argument("--blis", metavar="BINARY:CHECKOUT")
    parser.add_argument("--vidur", metavar="PYTHON:CHECKOUT")
    parser.add_argument("--llmservingsim", metavar="PYTHON:CHECKOUT")
    parser.add_argument(
        "--requests", type=int, default=0, help="of the trace, for BLIS and Vidur; 0: all of it"
    )
    parser.add_argument("--slow-requests", type=int, default=10, help="for LLMServingSim: seconds each")
    parser.add_argument("--stoker-only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stoker_only:
        stoker_process(options.trace, int(options.stoker_only[0]), options.stoker_only[1])
        return
    known = (
        ("BLIS", "H100-SXM", options.blis, blis.run, options.requests),
        ("Vidur", "A100-SXM-80GB", options.vidur, vidur.run, options.requests),
        ("LLMServingSim", "RTX-PRO-6000", options.llmservingsim, llmservingsim.run, options.slow_requests),
    )
    found = [
        (rival_of(name, gpu_name, place, run), count) for name, gpu_name, place, run, count in known if place
    ]
    if not found:
        parser.error("name at least one rival: --blis, --vidur, --llmservingsim")
    compare(options.trace, found)


if __name__ == "__main__":
    main()
