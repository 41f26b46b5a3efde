"""Speed, as ratios against a named reference measured in the same run.

    make bench            every benchmark
    make bench ARGS=help  only one: compile, growth, help, audit, audit-growth,
                          twin-month, twin-growth, lab-up, lab-writes,
                          lab-watch, lab-growth, load or apply

Figures are medians of whole runs on this machine; a ratio survives a machine's mood, a second does not.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml
from dump import write_dump

from apply import bench_apply as measure_apply
from lab import bench_lab_growth, bench_lab_up, bench_lab_watch, bench_lab_writes
from load import bench_load
from stoker.platform.load import loads
from stoker.render.formats import Destination, render_files
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform
from twin import bench_twin_growth, bench_twin_month

BIN = Path(sys.executable).parent


def platform_text(models: int, tenants: int) -> str:
    """A platform of ``models`` models over ``tenants`` tenants on a fleet large enough to hold them."""
    document = {
        "apiVersion": "stoker.dev/v1",
        "kind": "Platform",
        "name": "bench",
        "pools": [{"name": "a100", "gpu": "A100-SXM-80GB", "nodes": max(1, models * 3)}],
        "tenants": [
            {"name": f"team-{index}", "class": "production" if index % 2 == 0 else "batch"}
            for index in range(tenants)
        ],
        "storage": [{"name": "models", "kind": "nfs", "server": "nfs.internal", "path": "/models"}],
        "models": [
            {
                "name": f"model-{index}",
                "source": "hf://meta-llama/Meta-Llama-3-70B-Instruct",
                "tenant": f"team-{index % tenants}",
                "replicas": {"min": 1, "max": 3},
            }
            for index in range(models)
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def median_seconds(run: Callable[[], object], repeats: int = 5) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def bench_compile() -> None:
    """200 models x 20 tenants from text to objects and to files; reference: PyYAML's C dumper writing the same objects."""
    text = platform_text(200, 20)
    resolved = resolve(loads(text))
    objects = compile_platform(resolved)
    whole = median_seconds(lambda: compile_platform(resolve(loads(text))))
    render = median_seconds(lambda: render_files(resolved, "plain", Destination()), repeats=3)
    reference = median_seconds(
        lambda: yaml.dump_all([item.object for item in objects], Dumper=yaml.CSafeDumper, sort_keys=False),
        repeats=3,
    )
    print(f"compile 200 models x 20 tenants: {whole:.2f} s for {len(objects)} objects (bar: 2 s)")
    print(
        f"  render to text: {render:.2f} s; reference, PyYAML C dump of the same objects: {reference:.2f} s"
    )
    print(f"  compile / reference = {whole / reference:.2f}")


def bench_growth() -> None:
    """Compile time at 1x, 4x and 16x; linear growth keeps the ratio per model near 1."""
    base = 0.0
    for factor in (1, 4, 16):
        text = platform_text(25 * factor, 5)
        seconds = median_seconds(lambda text=text: compile_platform(resolve(loads(text))), repeats=3)
        base = base or seconds
        print(
            f"growth {factor:>2}x: {seconds:.3f} s, per model {seconds / base / factor:.2f} of the 1x figure"
        )


def bench_help() -> None:
    """`stoker --help` as a whole process; reference: `python -c pass`."""
    run = median_seconds(
        lambda: subprocess.run([BIN / "stoker", "--help"], check=True, capture_output=True), 9
    )
    reference = median_seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True), 9)
    print(
        f"stoker --help: {run:.3f} s (bar: 0.25 s); python -c pass: {reference:.3f} s; ratio {run / reference:.1f}"
    )


def _audit(dump: Path) -> tuple[float, float]:
    """Seconds and peak MiB of `stoker audit` as a whole process; exit 1 says that it found something."""
    script = "import resource,subprocess,sys,time;t=time.perf_counter();r=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL)\n"
    script += "print(time.perf_counter()-t,resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024);sys.exit(r.returncode not in (0,1))"
    command = [sys.executable, "-c", script, BIN / "stoker", "audit", dump, "--output", "json"]
    seconds, mebibytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds), float(mebibytes)


def bench_audit() -> None:
    """A dump of 1,000 nodes and 20,000 pods; reference: json.load of the same file in the same Python."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / "dump.json"
        write_dump(dump, nodes=1000, pods=20_000)
        size = dump.stat().st_size / 1e6
        runs = [_audit(dump) for _ in range(3)]
        seconds, memory = statistics.median(run[0] for run in runs), max(run[1] for run in runs)
        command = [
            sys.executable,
            "-c",
            "import json,sys; json.load(open(sys.argv[1], encoding='utf-8'))",
            dump,
        ]
        reference = median_seconds(lambda: subprocess.run(command, check=True), repeats=2)
    print(
        f"audit of 1,000 nodes, 20,000 pods, {size:.0f} MB: {seconds:.2f} s (bar: 8 s), {memory:.0f} MiB at most (bar: 1024)"
    )
    print(
        f"  reference, json.load of the same file: {reference:.2f} s; audit / reference = {seconds / reference:.2f}"
    )


def bench_audit_growth() -> None:
    """Audit time at 1x, 4x and 16x; linear growth keeps the ratio per pod near or below 1."""
    base = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for factor in (1, 4, 16):
            dump = Path(folder) / f"{factor}.json"
            write_dump(dump, nodes=62 * factor, pods=1250 * factor)
            seconds = statistics.median(_audit(dump)[0] for _ in range(3))
            base = base or seconds
            print(
                f"audit growth {factor:>2}x: {seconds:.2f} s, per pod {seconds / base / factor:.2f} of the 1x figure"
            )


def bench_apply() -> None:
    """A platform of a thousand objects; see `apply.py`."""
    measure_apply(platform_text(60, 40))


BENCHMARKS = {
    "compile": bench_compile,
    "growth": bench_growth,
    "help": bench_help,
    "audit": bench_audit,
    "audit-growth": bench_audit_growth,
    "twin-month": bench_twin_month,
    "twin-growth": bench_twin_growth,
    "apply": bench_apply,
    "lab-up": bench_lab_up,
    "lab-writes": bench_lab_writes,
    "lab-watch": bench_lab_watch,
    "lab-growth": bench_lab_growth,
    "load": bench_load,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
