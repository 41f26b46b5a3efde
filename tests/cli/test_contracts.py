"""What scripts rely on: exit codes, streams, keys of the JSON output."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.cli.conftest import REPOSITORY, STOKER, Run

from stoker.cli.main import app

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))
LAYOUT_KEYS = {
    "tensor_parallel", "pipeline_parallel", "fits", "reason", "weights_gib_per_gpu", "kv_tokens", "max_sequences", "gpus",
}  # fmt: skip


def commands(command: Any, path: tuple[str, ...] = ("stoker",)) -> Iterator[tuple[str, str]]:
    """Each command with its help, those in groups too."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), command.help or ""


def test_every_command_explains_itself_with_an_example(stoker: Run) -> None:
    pages = dict(commands(typer.main.get_command(app)))

    assert len(pages) > 30
    assert [] == [name for name, page in pages.items() if name not in page.partition("Examples")[2]]
    shown = stoker("rollout", "run", "--help")
    assert 0 == shown.returncode
    assert "stoker rollout run" in shown.stdout.partition("Examples")[2]


def test_a_command_loads_only_what_it_needs() -> None:
    """Every start of `stoker` pays for what its command line imports, also one that ends in a complaint."""
    code = "import sys, stoker.cli.main; print(*(n for n in sys.modules if n.split('.')[0] in %r or n in %r))"
    heavy = {"pydantic", "asyncio", "lightkube", "httpx2", "numpy", "aiohttp", "yaml"}
    rooms = {
        f"stoker.{room}"
        for room in ("platform", "catalog", "upgrades", "apply", "rollout", "kube", "twin", "lab")
    }
    done = subprocess.run(
        [sys.executable, "-c", code % (heavy, rooms)], capture_output=True, text=True, check=True
    )

    assert "" == done.stdout.strip()


def test_the_guide_renders_and_every_yaml_file_holds_objects_only(
    stoker: Run, guide: str, tmp_path: Path
) -> None:
    result = stoker("render", guide, "--out", "out")
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    for path in (tmp_path / "out").rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            assert {"apiVersion", "kind", "metadata"} <= set(document), path


def test_rendering_twice_gives_the_same_bytes(stoker_process: Run, guide: str, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two")):
        assert stoker_process("render", guide, "--out", name, PYTHONHASHSEED=str(seed)).returncode == 0
    one, two = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("one", "two")
    )
    assert one == two


def test_size_keeps_its_json_contract(stoker: Run) -> None:
    result = stoker("size", "llama-3-70b", "--gpu", "A100-SXM-80GB", "--output", "json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["weights_gib"] == 131.4
    assert report["kv_bytes_per_token"] == 327680
    layouts = {(item["tensor_parallel"], item["pipeline_parallel"]): item for item in report["layouts"]}
    assert all(set(item) >= LAYOUT_KEYS for item in layouts.values())
    assert not layouts[1, 1]["fits"]
    assert layouts[1, 1]["reason"]
    assert layouts[2, 1]["fits"]
    assert layouts[4, 1]["kv_tokens"] == pytest.approx(485_000, rel=0.02)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_checks_and_renders(stoker: Run, example: Path) -> None:
    checked = stoker("check", str(example), "--output", "json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["models"]
    rendered = stoker("render", str(example), "--output", "json")
    assert rendered.returncode == 0, rendered.stderr
    objects = json.loads(rendered.stdout)["objects"]
    assert all(item["reason"] and item["upgrade"] and item["wave"] >= 1 for item in objects)
    assert stoker("advise", str(example)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["frobnicate"], 2, "No such command", id="an unknown command"),
        pytest.param(
            ["size", "llama-3-70b", "--gpu", "A100-SXM-8GB"], 2, "did you mean", id="a GPU spelt wrong"
        ),
        pytest.param(["size", "llama-3-7b", "--gpu", "H100"], 2, "unknown model", id="a model spelt wrong"),
        pytest.param(["size", "llama-3.1-405b", "--gpu", "T4"], 1, "fit", id="a model that fits nowhere"),
        pytest.param(["check", "absent.yaml"], 2, "absent.yaml", id="a file that is not there"),
        pytest.param(["explain", "models.autoscalin"], 2, "autoscaling", id="a field spelt wrong"),
        pytest.param(["init", "--template", "minmal"], 2, "minimal", id="a template spelt wrong"),
        pytest.param(["validate", "absent"], 2, "does not exist", id="a folder that is not there"),
    ],
)
def test_bad_usage_says_what_is_wrong_and_exits_as_documented(
    stoker: Run, arguments: list[str], code: int, words: str
) -> None:
    result = stoker(*arguments)
    assert code == result.returncode, result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_problems_of_a_file_carry_its_lines_and_nothing_is_written(stoker: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "apiVersion: stoker.dev/v1\nkind: Platform\nname: a\npools:\n- {name: p, gpu: A100, nodes: 2}\n"
        "models:\n- name: m\n  source: hf://meta-llama/Meta-Llama-3-8B\n  teir: batch\n  contextLength: many\n"
    )
    result = stoker("render", "bad.yaml", "--out", "out")
    assert result.returncode == 2
    assert "bad.yaml:9:" in result.stderr
    assert "bad.yaml:10:" in result.stderr
    assert "tier" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_model_that_fits_nowhere_is_reported_at_its_line(stoker: Run, tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text(
        "apiVersion: stoker.dev/v1\nkind: Platform\nname: a\npools:\n- {name: p, gpu: T4, nodes: 2}\n"
        "models:\n- name: m\n  source: hf://meta-llama/Meta-Llama-3-70B-Instruct\n"
    )
    result = stoker("check", "big.yaml")
    assert result.returncode == 2
    assert "big.yaml:7:" in result.stderr
    assert "stoker size" in result.stderr


def test_a_platform_file_can_come_from_standard_input(stoker: Run, guide: str) -> None:
    result = stoker("check", "-", "--output", "json", stdin=Path(guide).read_text())
    assert result.returncode == 0
    assert json.loads(result.stdout)["platform"] == "ai-platform"


def test_a_reader_that_goes_away_is_no_error(stoker: Run) -> None:
    page = stoker("schema").stdout
    assert len(page) > 65_536, "more than a pipe holds"
    with subprocess.Popen([STOKER, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None  # noqa: PT018
        assert page[:10].encode() == process.stdout.read(10)
        process.stdout.close()
        complaint = process.stderr.read()

    assert (0, b"") == (process.returncode, complaint)
