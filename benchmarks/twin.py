"""Speed of the twin: the guide's fleet for a month, and the cost of a request as traffic grows."""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from stoker.catalog.gpus import gpu
from stoker.catalog.models import model
from stoker.platform.load import load_document
from stoker.sizing.resolve import resolve
from stoker.twin.engine import Load, replay
from stoker.twin.engine.setup import engine_spec
from stoker.twin.scenario import Scenario, run_scenario, traffic_of
from stoker.twin.workload import Trace, Traffic, read_profile
from stoker.upgrades import compile_platform

EXAMPLES = Path(__file__).parents[1] / "examples"
_MONTH_S = 30 * 86_400.0
# Rate and lengths of Azure's conversation trace of 2023, drawn instead of read: the benchmark needs no file.
_RATE = 8.0


def _hour() -> Trace:
    rng = np.random.default_rng(0)
    count = int(_RATE * 3600)
    prompt = np.clip(rng.lognormal(6.6, 0.95, count), 5, 14_000).astype(np.int32)
    answer = np.clip(rng.lognormal(4.8, 1.0, count), 2, 1500).astype(np.int32)
    zeros = np.zeros(count, np.int16)
    arrival = np.sort(rng.uniform(0, 3600, count))
    traffic = Traffic(arrival, prompt, answer, zeros, zeros, ("",), ("",), None, None, 0, 3600.0)
    return Trace(traffic, "drawn", "", "own", count, {}, (), ())


def month() -> None:
    """Simulate the guide's fleet for 30 days in this process and print what it took."""
    platform = resolve(load_document(EXAMPLES / "guide.yaml").platform)
    objects = [item.object for item in compile_platform(platform)]
    scenario = Scenario(_hour(), _MONTH_S, read_profile("weekly"), 1.0, {})
    begin = time.perf_counter()
    traffic, _, _ = traffic_of(scenario, platform, 1)
    reference = time.perf_counter() - begin
    del traffic
    begin = time.perf_counter()
    outcome = run_scenario(platform, objects, scenario, seed=1)
    seconds = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    requests = outcome.result.total.requests
    print(
        f"twin, the guide's fleet for 30 days: {requests / 1e6:.1f} million requests in {seconds:.0f} s (bar: 20 million in "
        f"120 s), {memory:.1f} GiB at most (bar: 4)"
    )
    print(
        f"  reference, numpy drawing the same requests: {reference:.1f} s; twin / reference = {seconds / reference:.1f}"
    )


def bench_twin_month() -> None:
    """A month in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-c", "import twin; twin.month()"]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)


def bench_twin_growth() -> None:
    """Seconds per request from ten thousand to ten million; a flat cost keeps the ratio near 1."""
    spec = engine_spec(model("llama-3-8b"), gpu("H100"), quantization="none", max_model_len=16_384)
    base = 0.0
    for count in (10_000, 100_000, 1_000_000, 10_000_000):
        rng = np.random.default_rng(0)
        load = Load(
            np.cumsum(rng.exponential(1 / 40, count)),
            np.clip(rng.lognormal(6.6, 0.95, count), 5, 14_000).astype(np.int32),
            np.clip(rng.lognormal(4.8, 1.0, count), 2, 1500).astype(np.int32),
        )
        if not base:
            replay(spec, load, replicas=4)  # loads or compiles the kernel
        begin = time.perf_counter()
        replay(spec, load, replicas=4)
        cost = (time.perf_counter() - begin) / count
        base = base or cost
        print(f"twin growth {count:>10,} requests: {cost * 1e6:.2f} us each, {cost / base:.2f} of the first")
