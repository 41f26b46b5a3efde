"""`stoker report` as a user runs it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.command import run, run_process
from tests.report.rollout.conftest import SMALL
from tests.report.rollout.history import AFTER, BEFORE
from tests.report.rollout.test_page import HOSTILE, poisoned
from tests.report.rollout.test_roi import TWIN

from stoker.report.rollout.evidence import Window

EXAMPLES = Path(__file__).parents[3] / "examples"


def stoker(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run(*arguments, cwd=cwd)


def report(*arguments: object, cwd: Path) -> dict[str, Any]:
    done = stoker("report", *arguments, "--output", "json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def values(found: dict[str, Any], measure: str) -> tuple[float | None, float | None]:
    row = next(row for row in found["roi"] if row["measure"] == measure)
    return row["before"]["value"], row["after"]["value"]


def dots(window: Window) -> str:
    return f"{window.start.isoformat()}..{window.end.isoformat()}"


def test_a_folder_of_evidence_becomes_text_json_and_a_page(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_bytes(SMALL.read_bytes())
    text = stoker("report", tmp_path, "--html", tmp_path / "report.html", cwd=tmp_path)

    assert (0, True) == (
        text.returncode,
        text.stdout.startswith("1 of 3 gates passed, 1 failed, 1 inconclusive"),
    )
    assert "no engine was scraped" in text.stdout
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (0.2, 0.7) == values(report(tmp_path, cwd=tmp_path), "gpu_busy")


def test_a_prometheus_is_asked_in_the_windows_that_are_named(prometheus: str, tmp_path: Path) -> None:
    found = report("--prometheus", prometheus, "--before", dots(BEFORE), "--after", dots(AFTER), cwd=tmp_path)

    assert pytest.approx((0.2, 0.6)) == values(found, "gpu_busy")
    assert pytest.approx((16 * 0.8 * 2.79 * 730, 16 * 0.4 * 2.79 * 730)) == values(found, "idle_usd_month")
    assert "A100-SXM-80GB" in found["price"]["source"]
    assert (1800, 1800) == (found["windows"]["before"]["seconds"], found["windows"]["after"]["seconds"])


def test_a_prometheus_replaces_the_evidences_figures_and_a_price_the_list(
    prometheus: str, tmp_path: Path
) -> None:
    options = (
        "--prometheus",
        prometheus,
        "--before",
        dots(BEFORE),
        "--after",
        dots(AFTER),
        "--usd-per-gpu-hour",
        1,
    )
    found = report(SMALL, *options, cwd=tmp_path)

    assert pytest.approx((16 * 0.8 * 730, 16 * 0.4 * 730)) == values(found, "idle_usd_month")
    assert 3 == len(found["gates"]["results"])


def test_what_a_real_simulation_prints_is_read(tmp_path: Path) -> None:
    rows = [f"{i * 0.5:.1f},{200 + i % 700},{20 + i % 100}" for i in range(200)]
    trace = tmp_path / "trace.csv"
    trace.write_text("arrival_s,input_tokens,output_tokens\n" + "\n".join(rows))
    done = stoker(
        "simulate",
        EXAMPLES / "guide.yaml",
        "--trace",
        trace,
        "--baseline",
        "vanilla",
        "--output",
        "json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "twin.json").write_text(done.stdout)
    found = report(SMALL, "--twin", tmp_path / "twin.json", cwd=tmp_path)
    p95 = next(row for row in found["roi"] if row["measure"] == "ttft_p95")
    simulated = json.loads(done.stdout)

    assert simulated["baseline"]["ttft_p95_s"] == p95["simulated"]["before"]["value"]
    assert simulated["ttft_p95_s"] == p95["simulated"]["after"]["value"]
    assert None is p95["before"]["value"], "a simulated value takes no measured one's place"


def test_the_same_evidence_prints_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "twin.json").write_text(json.dumps(TWIN))
    one, two = (
        each("report", SMALL, "--twin", "twin.json", "--output", "json", cwd=tmp_path)
        for each in (run, run_process)
    )

    assert one.stdout == two.stdout


def test_a_name_moves_nobodys_cursor(tmp_path: Path) -> None:
    (tmp_path / "evidence.json").write_text(
        json.dumps(poisoned(json.loads(SMALL.read_text(encoding="utf-8"))))
    )
    done = stoker("report", tmp_path, cwd=tmp_path)

    assert 0 == done.returncode, done.stderr
    assert "\u001b" in HOSTILE
    assert not {"\u001b", "\u0007"} & set(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), "nothing to report on", id="nothing"),
        pytest.param(("absent",), "cannot be read", id="an absent file"),
        pytest.param((SMALL, "--before", "2h..1h"), "needs --prometheus", id="a window without a Prometheus"),
        pytest.param((SMALL, "--twin", SMALL), "no fleet in it", id="evidence for a simulation"),
        pytest.param((SMALL, "--twin", "absent"), "cannot be read", id="an absent simulation"),
        pytest.param(
            (SMALL, "--html", "absent/report.html"), "cannot be written", id="a page in an absent folder"
        ),
        pytest.param(
            (SMALL, "--usd-per-gpu-hour", "nan"), "--usd-per-gpu-hour", id="a price that is no number"
        ),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    arguments: tuple[object, ...], words: str, tmp_path: Path
) -> None:
    done = stoker("report", *arguments, cwd=tmp_path)

    assert (2, True, False) == (done.returncode, words in done.stderr, "Traceback" in done.stderr), (
        done.stderr
    )


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("2h", "is no window"), ("1h..2h", "ends before it begins"), ("x..now", "no duration"),
        ("2026-11-27T10:00..now", "has no zone"),
    ],
)  # fmt: skip
def test_a_window_that_is_none_is_refused(before: str, words: str, prometheus: str, tmp_path: Path) -> None:
    done = stoker("report", "--prometheus", prometheus, "--before", before, cwd=tmp_path)

    assert (2, True) == (done.returncode, words in done.stderr), done.stderr


def test_an_absent_prometheus_is_unreachable(tmp_path: Path) -> None:
    done = stoker("report", SMALL, "--prometheus", "http://127.0.0.1:1", cwd=tmp_path)

    assert (3, True) == (done.returncode, "does not answer" in done.stderr)
