"""`stoker simulate`, `plan --capacity` and `tune` as a user runs them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.command import run, run_process

EXAMPLES = Path(__file__).parents[2] / "examples"
NO_CLUSTER = {"KUBECONFIG": "/no/cluster/config"}
TOP = (
    "requests", "completed", "refused", "ttft_p50_s", "ttft_p95_s", "ttft_p99_s", "tpot_p50_s", "tpot_p95_s", "e2e_p95_s",
    "gpu_allocated", "gpu_utilization", "cost_usd", "idle_cost_usd", "preemptions", "oom_incidents", "cold_starts",
)  # fmt: skip


def stoker(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return run(*arguments, cwd=cwd, env=NO_CLUSTER)


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
    one, two = stoker(*arguments), run_process(*arguments)
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
        (("plan", EXAMPLES / "minimal.yaml"), "no cluster"),
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


def test_nothing_is_simulated_for_a_series_that_cannot_be_written(trace: Path, tmp_path: Path) -> None:
    for series, words in (
        (tmp_path / "missing" / "series.csv", "no folder"),
        (tmp_path / "series.txt", "unknown ending"),
        (tmp_path, "unknown ending"),
    ):
        done = stoker("simulate", EXAMPLES / "minimal.yaml", "--trace", trace, "--series", series)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["trace.csv"]


MINIMAL = ("simulate", EXAMPLES / "minimal.yaml", "--trace", "trace.csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*MINIMAL, "--model", "llama-3-8b"), "--model: goes with --engine-only"),
        ((*MINIMAL, "--seeds", 3), "--seeds: goes with --compare"),
        ((*MINIMAL, "--compare", "--series", "x.csv"), "--series: is of one platform's run"),
        ((*MINIMAL, "--compare", "--baseline", "vanilla"), "--baseline: is of one platform's run"),
        ((*MINIMAL, "--ladder", "--upgrades", "none"), "--upgrades: and --ladder"),
        ((*MINIMAL, "--upgrades", ""), "--upgrades: no such upgrade"),
        ((*MINIMAL, "--baseline", "other"), "--baseline: unknown baseline"),
        ((*MINIMAL, "--rate-scale", "inf"), "--rate-scale"),
        ((*MINIMAL, "--duration", "1000000d"), "--duration: no duration"),
        (
            (*MINIMAL, "--duration", "366d", "--rate-scale", 1000),
            "more requests than this machine's memory holds",
        ),
        ((*MINIMAL, "--drain", "5m"), "--drain: is after the end of the run"),
        ((*MINIMAL, "--rollout", "1m", "--rollout", "5m"), "--rollout: is after the end of the run"),
        (("simulate", EXAMPLES / "minimal.yaml", "--trace", "a" * 5000), "File name too long"),
        ((*ENGINE, "--trace", "trace.csv"), "--trace: is of a platform's run"),
        ((*ENGINE, "--output-tokens", 3_000_000_000), "--output-tokens"),
        ((*ENGINE, "--requests", 10**12), "--requests"),
        ((*ENGINE, "--max-num-batched-tokens", 10**11), "--max-num-batched-tokens"),
        ((*ENGINE, "--engine-version", "banana"), "--engine-version: is no release"),
    ],
)
def test_what_cannot_be_or_would_be_ignored_is_refused(
    arguments: tuple[object, ...], words: str, trace: Path
) -> None:
    done = stoker(*arguments, cwd=trace.parent)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_what_becomes_of_the_traces_models_is_said(trace: Path) -> None:
    header, *rows = trace.read_text().splitlines()

    def named(*models: str) -> str:
        lines = [f"{row},{models[number % len(models)]}" for number, row in enumerate(rows)]
        trace.write_text("\n".join([f"{header},model", *lines]))
        done = stoker("simulate", EXAMPLES / "minimal.yaml", "--trace", trace)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "for llama3-8b instead of gpt-4, o3)" in named("gpt-4", "o3")
    assert "300 requests refused: no model of the platform is gpt-4" in named("llama3-8b", "gpt-4")
    refused = stoker("simulate", EXAMPLES / "minimal.yaml", "--trace", trace, "--share", "llama3-8b=1")
    assert refused.returncode == 2
    assert "--share: the trace names models of the platform itself" in refused.stderr


def test_what_was_odd_about_a_trace_is_said_and_kept(trace: Path) -> None:
    text = trace.read_text()
    last = text.splitlines()[-1]
    trace.write_text(f"{text}\n{last}\n{last}\n0.1,5,5\n240,-5,7\n90000,5,7\n")
    arguments = (
        "simulate",
        EXAMPLES / "minimal.yaml",
        "--trace",
        trace,
        "--profile",
        "weekly",
        "--output",
        "json",
    )
    done = stoker(*arguments)
    for words in (
        "trace.csv: 1 x unordered: sorted",
        "trace.csv: 1 x no prompt: left out",
        "trace.csv: 2 rows repeat the one before them: kept",
        "trace.csv: nothing between 240 s and 90000 s",
        "--profile weekly shapes a stretched trace",
    ):
        assert words in done.stderr
    source = json.loads(done.stdout)["provenance"]
    assert source["trace_repeated"] == 2
    assert source["trace_holes"] == [[239.6, 90000.0]]


def test_a_comparison_is_of_pairs_and_says_what_it_stands_on(trace: Path, tmp_path: Path) -> None:
    smaller = tmp_path / "smaller.yaml"
    text = (EXAMPLES / "guide.yaml").read_text()
    smaller.write_text(text.replace("replicas: {min: 2, max: 4}", "replicas: {min: 1, max: 4}"))
    files = (EXAMPLES / "guide.yaml", smaller)
    found = simulate("--compare", *files, "--trace", trace, "--seeds", 3, "--seed", 4)
    single = [
        [simulate(file, "--trace", trace, "--seed", seed)["ttft_p95_s"] for seed in (4, 5, 6)]
        for file in files
    ]
    differences = [second - first for first, second in zip(*single, strict=True)]
    mean = sum(differences) / 3
    deviation = (sum((one - mean) ** 2 for one in differences) / 2) ** 0.5
    figures = found["fleets"][1]["figures"]["ttft_p95_s"]
    # Single runs are printed with six digits: half a thousandth of a second each.
    assert figures["difference_to_first"] == pytest.approx(mean, abs=1e-3)
    assert figures["difference_half_interval_95"] == pytest.approx(4.303 * deviation / 3**0.5, abs=5e-3)
    source = found["provenance"]
    assert source["seeds"] == [4, 5, 6]
    assert source["version"]
    assert source["calibration"][str(smaller)]["llama3-8b-batch"] == "measured"


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
