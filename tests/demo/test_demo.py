"""The demo: what it brings along is what it says, and the whole of it passes on a real lab."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stoker.demo.stage import packaged, packaged_text
from stoker.demo.story import _incident, _newest
from stoker.platform.load import loads
from stoker.rollout.gates import GATES
from stoker.rollout.phases import plan_phases
from stoker.sizing.resolve import resolve
from stoker.upgrades import compile_platform


def stoker(*arguments: object, timeout: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stoker", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def test_its_platform_has_every_gate_of_the_four_weeks() -> None:
    platform = resolve(loads(packaged_text("platform.yaml")))

    phases = plan_phases(platform.spec.rollout, compile_platform(platform), GATES)

    assert [phase.name for phase in phases] == ["week-1", "week-2", "week-3", "week-4"]
    assert [planned.gate for phase in phases for planned in phase.gates] == list(GATES)


@pytest.mark.parametrize("folder", ["charts.yaml", "vanilla", "tenants"])
def test_everything_it_brings_along_is_named_once(folder: str) -> None:
    names = [
        (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        for obj in packaged(folder)
    ]

    assert len(names) == len(set(names)) > 1


def test_the_cluster_that_it_finds_has_the_mistakes_that_it_tells_of(tmp_path: Path) -> None:
    for number, obj in enumerate(packaged("vanilla")):
        (tmp_path / f"{number:02}.json").write_text(json.dumps(obj), encoding="utf-8")

    done = stoker("audit", tmp_path, "--output", "json", "--fail-on", "never", timeout=120)

    rules = {finding["rule"] for finding in json.loads(done.stdout)["findings"]}
    assert {"model-does-not-fit", "gpu-quota-never-enforced", "limit-range-injects-gpu"} <= rules


def test_of_a_gate_that_was_measured_twice_the_last_verdict_counts() -> None:
    results: list[dict[str, Any]] = [
        {"id": "week-1/a", "verdict": "inconclusive"}, {"id": "week-1/b", "verdict": "passed"},
        {"id": "week-1/a", "verdict": "passed"},
    ]  # fmt: skip

    assert [(one["id"], one["verdict"]) for one in _newest(results)] == [
        ("week-1/a", "passed"),
        ("week-1/b", "passed"),
    ]


def test_a_moment_that_no_gate_saw_is_not_told() -> None:
    page = {"id": "week-4/page-arrives", "measured": {}, "evidence": [
        {"at": "2026-11-28T05:00:00.000Z", "what": "above 90 %", "data": {"at": 100.5}}]}  # fmt: skip

    found = _incident([page], "lab")

    assert found is not None
    assert found["saturated"] == 100.5
    assert not {"paged", "resolved", "fired"} & found.keys()
    assert _incident([], "lab") is None


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x", encoding="utf-8")

    done = stoker("demo", "--out", tmp_path, "--no-open", timeout=60)

    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.slow
def test_every_gate_passes_and_nothing_is_left_running(tmp_path: Path) -> None:
    out = tmp_path / "demo"

    done = stoker("demo", "--out", out, "--no-open", "--speed", 40, timeout=1500)

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    evidence = json.loads((out / "evidence.json").read_text(encoding="utf-8"))
    assert [gate["id"] for gate in evidence["gates"]] == [gate.id for gate in GATES]
    assert {gate["verdict"] for gate in evidence["gates"]} == {"passed"}
    assert evidence["audit_before"]["findings"]
    assert {"paged", "resolved"} <= evidence["incident"].keys()
    assert (out / "report.html").stat().st_size > 50_000
    assert stoker("lab", "status", "--state", out / "lab", timeout=60).returncode == 3
