"""`stoker init`: the file it writes works as it is."""

from pathlib import Path

import pytest
from tests.cli.conftest import REPOSITORY, Run


@pytest.mark.parametrize("template", ["minimal", "production", "guide"])
def test_each_template_gives_a_file_that_renders(stoker: Run, template: str) -> None:
    assert stoker("init", "--template", template).returncode == 0
    result = stoker("render", "platform.yaml", "--out", "out")
    assert result.returncode == 0, result.stderr


def test_the_smallest_file_is_under_twenty_lines(stoker: Run) -> None:
    result = stoker("init", "--out", "-")
    lines = [
        line for line in result.stdout.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(lines) < 20


def test_a_file_that_exists_is_not_overwritten(stoker: Run, tmp_path: Path) -> None:
    (tmp_path / "platform.yaml").write_text("mine\n")
    result = stoker("init")
    assert result.returncode == 4
    assert (tmp_path / "platform.yaml").read_text() == "mine\n"
    assert stoker("init", "--force").returncode == 0


def test_answers_can_be_given_as_options(stoker: Run) -> None:
    result = stoker("init", "--out", "-", "--set", "nodes=7")
    assert "nodes: 7" in result.stdout
    assert stoker("init", "--out", "-", "--set", "colour=red").returncode == 2


def test_questions_are_asked_again_until_the_answer_can_be_used(stoker: Run) -> None:
    answers = "My Platform\nacme\n" + "\n" * 20
    result = stoker("init", "--interactive", "--out", "-", stdin=answers)
    assert result.returncode == 0, result.stderr
    assert "name: acme" in result.stdout


def test_a_file_and_a_stream_are_adopted_alike(stoker: Run) -> None:
    source = REPOSITORY / "examples" / "broken" / "server.yaml"
    file = stoker("init", "--from", str(source), "--out", "-")
    stream = stoker("init", "--from", "-", "--out", "-", stdin=source.read_text(encoding="utf-8"))

    assert (0, 0) == (file.returncode, stream.returncode)
    assert file.stdout == stream.stdout != ""


def test_a_source_and_a_cluster_cannot_both_be_adopted(stoker: Run) -> None:
    run = stoker("init", "--from", ".", "--context", "c")

    assert run.returncode == 2
    assert "--context: reads a live cluster, and a source is named too" in run.stderr
