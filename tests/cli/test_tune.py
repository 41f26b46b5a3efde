"""`stoker tune` as a user runs it: interrupted, on one core or several, with bad input."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.command import STOKER, run

from stoker.cli.tune_search import open_study, search
from stoker.cli.tune_work import changed_text
from stoker.twin.tuning import Knob, as_it_is

EXAMPLES = Path(__file__).parents[2] / "examples"
ENVIRONMENT = {**os.environ, "NO_COLOR": "1", "STOKER_INTERPRETED": "1"}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    rows = [f"{i * 0.8:.1f},{200 + i % 700},{20 + i % 60}" for i in range(60)]
    path = tmp_path / "trace.csv"
    path.write_text("arrival_s,input_tokens,output_tokens\n" + "\n".join(rows))
    return path


def tune(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run("tune", *arguments)


def found(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def answered(study: Path) -> int:
    """Candidates with an answer in the study, as another process sees it."""
    if not study.exists():
        return 0
    try:
        with closing(sqlite3.connect(study)) as database:
            return int(database.execute("select count(*) from study_user_attributes").fetchone()[0])
    except sqlite3.OperationalError:  # not written yet
        return 0


def test_a_search_that_was_killed_ends_as_one_that_was_not(trace: Path, tmp_path: Path) -> None:
    common = (EXAMPLES / "minimal.yaml", "--trace", trace, "--trials", 18, "--output", "json", "--study")
    whole = found(tune(*common, tmp_path / "whole.db", "--jobs", 1))
    study = tmp_path / "killed.db"
    for number, wanted in ((signal.SIGKILL, 3), (signal.SIGINT, 9)):
        process = subprocess.Popen(
            [STOKER, "tune", *map(str, (*common, study, "--jobs", 2))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            start_new_session=True,
        )
        while answered(study) < wanted and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None, "it should have been at work still"
        os.kill(process.pid, number)
        said = process.communicate()
        assert said[0] == ""
        assert "Traceback" not in said[1]
        if number == signal.SIGINT:
            assert process.returncode == 130
            assert "goes on from here" in said[1]
    assert found(tune(*common, study, "--jobs", 2)) == whole


def test_the_patch_is_the_users_file_with_its_comments(trace: Path, tmp_path: Path) -> None:
    patch = tmp_path / "tuned.yaml"
    own = tmp_path / "platform.yaml"
    own.write_text((EXAMPLES / "minimal.yaml").read_text() + "    replicas: 2  # one would be an outage\n")
    document = found(
        tune(
            own, "--trace", trace, "--trials", 4, "--patch", patch, "--output", "json", "--slo", "e2e_p95<60m"
        )
    )
    assert document["promises_kept"] in {True, False}
    assert document["provenance"]["calibration"]
    assert document["provenance"]["version"]
    assert patch.read_text().startswith("# One model on one kind of GPU node.")
    assert run("check", patch).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--slo", "ttft_p95<1.2.3s"), "no promise"),
        (("--patch", "missing/tuned.yaml"), "cannot be written"),
        (("--study", "missing/study.db"), "the search cannot be kept here"),
        (("--study", "."), "the search cannot be kept here"),
    ],
)
def test_bad_input_is_refused_before_anything_is_simulated(
    arguments: tuple[str, ...], words: str, trace: Path, tmp_path: Path
) -> None:
    own = tmp_path / "platform.yaml"
    own.write_text((EXAMPLES / "minimal.yaml").read_text())
    before = sorted(path.name for path in tmp_path.iterdir())
    done = tune(own, "--trace", trace, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_file_that_is_no_study_is_left_alone(trace: Path, tmp_path: Path) -> None:
    study = tmp_path / "notes.txt"
    study.write_text("my notes " * 200)
    done = tune(EXAMPLES / "minimal.yaml", "--trace", trace, "--study", study)
    assert done.returncode == 2
    assert "not a database" in done.stderr
    assert study.read_text() == "my notes " * 200


SPACE = (
    Knob("models.a.replicas.max", (1, 2, 3, 4), 2),
    Knob("models.a.maxNumSeqs", (None, 32, 64), None),
    Knob("pools.gpu.nodes", (1, 2, 3, 4, 5, 6, 7, 8), 8),
)


def cost(asked: dict[str, Any]) -> dict[str, Any]:
    nodes, most = asked.get("pools.gpu.nodes", 8), asked.get("models.a.replicas.max", 2)
    figures = {"goodput": 1.0, "ttft_p95_s": 1.0, "tpot_p95_s": 0.1, "gpu_utilization": 0.5}
    return {"cost": float(nodes), "attainment": most / 4, "figures": figures, "calibration": {}}


def test_the_search_begins_with_the_platform_as_it_is_and_breeds_from_it(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.db", "question")
    asked: list[Any] = []

    def run(candidates: Any) -> list[dict[str, Any]]:
        asked.extend(candidates)
        return [cost(each) for each in candidates]

    found = search(study, space=SPACE, trials=30, seed=1, run=run, tell=lambda _: None)
    assert study.trials[0].params == as_it_is(SPACE)
    assert asked[0] == {}
    # What the sampler crosses is what all candidates have in common: without it every one would be drawn at random.
    common = optuna.search_space.IntersectionSearchSpace().calculate(study)
    assert set(common) == {knob.name for knob in SPACE}
    assert len(found) == 30
    assert len({json.dumps(each, sort_keys=True) for each in asked}) == len(asked), (
        "nothing is simulated twice"
    )


TEXT = """# ours
name: demo
pools:
  - {name: gpu, gpu: L40S, nodes: 2}  # two are bought
models:
  - name: a
    replicas: 2      # the least
    parallelism: auto
    maxNumSeqs: 64   # measured
"""


def test_a_candidate_changes_its_own_lines_only() -> None:
    data = {
        "name": "demo",
        "pools": [{"name": "gpu", "gpu": "L40S", "nodes": 2}],
        "models": [{"name": "a", "replicas": 2, "parallelism": "auto", "maxNumSeqs": 64}],
    }
    made = changed_text(
        TEXT,
        data,
        {
            "models.a.replicas.min": 1,
            "models.a.replicas.max": 3,
            "models.a.parallelism.tensor": 2,
            "models.a.maxNumSeqs": None,
            "pools.gpu.nodes": 1,
        },
    )
    assert "# ours" in made
    assert "# two are bought" in made
    assert "maxNumSeqs" not in made
    import yaml

    assert yaml.safe_load(made) == {
        "name": "demo",
        "pools": [{"name": "gpu", "gpu": "L40S", "nodes": 1}],
        "models": [{"name": "a", "replicas": {"min": 1, "max": 3}, "parallelism": {"tensor": 2}}],
    }
    assert changed_text(TEXT, data, {}) == TEXT
