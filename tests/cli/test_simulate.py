"""`stoker simulate`, `plan --capacity` and `tune` as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
TOP = (
    "requests", "completed", "refused", "ttft_p50_s", "ttft_p95_s", "ttft_p99_s", "tpot_p50_s", "tpot_p95_s", "e2e_p95_s",
    "gpu_allocated", "gpu_utilization", "cost_usd", "idle_cost_usd", "preemptions", "oom_incidents", "cold_starts",
)  # fmt: skip


def stoker(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("stoker"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        # Small runs: without numba there is nothing to load or compile, and the bytes are the same.
        env={**os.environ, "NO_COLOR": "1", "STOKER_INTERPRETED": "1"},
    )


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    rows = [f"{i * 0.4:.1f},{200 + i % 700},{20 + i % 180}" for i in range(600)]
    path = tmp_path / "trace.csv"
    path.write_text("arrival_s,input_tokens,output_tokens\n" + "\n".join(rows))
    return path


def simulate(*arguments: object) -> dict[str, Any]:
    done = stoker("simulate", *arguments, "--output", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_document_has_what_scripts_rely_on_and_repeats_byte_for_byte(trace: Path) -> None:
    arguments = ("simulate", EXAMPLES / "guide.yaml", "--trace", trace, "--seed", 3, "--output", "json")
    one, two = stoker(*arguments), stoker(*arguments)
    assert one.stdout == two.stdout
    found = json.loads(one.stdout)
    for part in (found, *found["models"].values(), *found["tenants"].values()):
        assert set(TOP) <= set(part)
    assert found["requests"] == 600
    assert found["completed"] + found["refused"] + found["failed"] + found["unfinished"] == 600
    assert sum(model["requests"] for model in found["models"].values()) == 600
    source = found["provenance"]
    assert (source["measured_on"], source["seed"], source["trace"]) == ("twin", 3, "trace.csv")
    assert len(source["trace_sha256"]) == 64
    assert set(source["calibration"]) == {"llama3-70b", "llama3-70b-v2", "llama3-8b-batch"}


def test_vanilla_stands_beside_under_the_same_requests(trace: Path) -> None:
    found = simulate(EXAMPLES / "guide.yaml", "--trace", trace, "--baseline", "vanilla")
    assert found["baseline"]["requests"] == found["requests"]
    assert found["baseline"]["provenance"]["upgrades"] == []
    assert len(found["provenance"]["upgrades"]) == 5


def test_a_short_trace_is_stretched_and_says_so(trace: Path) -> None:
    found = simulate(EXAMPLES / "minimal.yaml", "--trace", trace, "--duration", "2h", "--profile", "diurnal")
    assert found["requests"] == pytest.approx(2.5 * 7200, rel=0.01)
    assert found["provenance"]["traffic"].startswith("stretched")


def test_the_run_over_time_is_written(trace: Path, tmp_path: Path) -> None:
    series = tmp_path / "series.csv"
    simulate(EXAMPLES / "minimal.yaml", "--trace", trace, "--series", series)
    lines = series.read_text().splitlines()
    assert lines[0].startswith("time_s,workload,desired,replicas,ready,running,waiting,held,kv_usage")
    assert len(lines) > 5


def test_platforms_are_compared_with_intervals(trace: Path) -> None:
    found = simulate(
        "--compare", EXAMPLES / "minimal.yaml", EXAMPLES / "minimal.yaml", "--trace", trace, "--seeds", 3
    )
    first, second = found["fleets"]
    assert first["figures"]["ttft_p95_s"]["half_interval_95"] is not None
    assert second["figures"]["ttft_p95_s"]["difference_to_first"] == 0.0
    assert found["provenance"]["seeds"] == [0, 1, 2]


def test_one_engine_alone() -> None:
    engine = (
        "--engine-only",
        "--model",
        "llama-3.1-70b",
        "--gpu",
        "H100",
        "--tp",
        4,
        "--quantization",
        "fp8",
    )
    lengths = ("--input-tokens", 512, "--output-tokens", 64)
    closed = simulate(*engine, *lengths, "--concurrency", 4)
    assert closed["requests"] == closed["completed"] == 40
    assert closed["provenance"]["calibration"] == "measured"
    busier = simulate(*engine, *lengths, "--concurrency", 32)
    assert busier["tpot_p50_s"] > closed["tpot_p50_s"]
    alike = simulate(*engine, *lengths, "--concurrency", 1, "--length-range", 1)
    assert alike["e2e_p50_s"] == alike["e2e_p99_s"]
    halved = simulate(*engine, *lengths, "--concurrency", 4, "--kv-cache-dtype", "fp8")
    assert halved["engine"]["kv_tokens"] > 1.9 * closed["engine"]["kv_tokens"]
    opened = simulate(*engine, *lengths, "--rate", 2, "--requests", 100)
    assert opened["requests_per_s"] == pytest.approx(2.0, rel=0.3)


def test_capacity_is_zero_where_all_pods_fit() -> None:
    done = stoker("plan", EXAMPLES / "guide.yaml", "--capacity", "--output", "json")
    assert (done.returncode, json.loads(done.stdout)["fits"]) == (0, True)


ENGINE = ("simulate", "--engine-only", "--model", "llama-3-8b", "--gpu", "A100-SXM-80GB", "--concurrency", 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("simulate",), "no platform file"),
        (("simulate", EXAMPLES / "minimal.yaml"), "no trace"),
        (("simulate", EXAMPLES / "minimal.yaml", "--trace", "none.csv"), "no trace"),
        (("simulate", EXAMPLES / "minimal.yaml", "--trace", EXAMPLES / "minimal.yaml"), "not a trace"),
        (("simulate", "--engine-only", "--model", "llama-3-8b"), "a model and a GPU"),
        (("simulate", "--engine-only", "--model", "llama-3-8b", "--gpu", "H100"), "one kind of load"),
        (
            ("simulate", "--engine-only", "--model", "llama-3-70b", "--gpu", "L4", "--concurrency", "1"),
            "does not fit",
        ),
        (
            ("simulate", "--engine-only", "--model", "lama", "--gpu", "H100", "--concurrency", "1"),
            "unknown model",
        ),
        ((*ENGINE, "--quantization", "fp3"), "is not a choice"),
        ((*ENGINE, "--kv-cache-dtype", "int4"), "is not a choice"),
        ((*ENGINE, "--tp", "3"), "32 attention heads do not divide by TP3"),
        ((*ENGINE, "--gpu", "T4", "--quantization", "nvfp4"), "nvfp4 needs compute capability"),
        (("plan", EXAMPLES / "minimal.yaml"), "nothing to plan"),
        (("tune", EXAMPLES / "minimal.yaml", "--trace", "none.csv", "--slo", "fast"), "no promise"),
    ],
)
def test_bad_input_ends_with_two_and_says_what_was_wanted(arguments: tuple[object, ...], words: str) -> None:
    done = stoker(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_more_bad_options_of_a_simulation(trace: Path) -> None:
    for option, value, words in (
        ("--duration", "soon", "no duration"),
        ("--baseline", "other", "unknown baseline"),
        ("--upgrades", "paint", "no such upgrade"),
        ("--share", "x", "no share"),
        ("--share", "unknown=1", "does not have"),
        ("--profile", "wavy", "no such profile"),
    ):
        done = stoker("simulate", EXAMPLES / "guide.yaml", "--trace", trace, option, value)
        assert done.returncode == 2, option
        assert words in done.stderr, done.stderr


def test_tuning_finds_a_front_and_goes_on_where_it_stopped(trace: Path, tmp_path: Path) -> None:
    study, patch = tmp_path / "study.db", tmp_path / "tuned.yaml"
    common = (
        "tune",
        EXAMPLES / "minimal.yaml",
        "--trace",
        trace,
        "--jobs",
        1,
        "--study",
        study,
        "--output",
        "json",
    )
    first = stoker(*common, "--trials", 3, "--patch", patch)
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    costs = [row["cost_usd"] for row in found["pareto"]]
    kept = [row["slo_attainment"] for row in found["pareto"]]
    assert costs == sorted(costs)
    assert kept == sorted(kept)
    assert stoker("check", patch).returncode == 0
    again = json.loads(stoker(*common, "--trials", 5).stdout)
    assert again["trials"] >= found["trials"]
    same = stoker(*common, "--trials", 5)
    assert json.loads(same.stdout) == again
