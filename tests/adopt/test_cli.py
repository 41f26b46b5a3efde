"""`stoker init --from`: files, exit codes, notes."""

import json
from pathlib import Path

from tests.adopt.test_adopt import DEPLOYMENT, TOO_LARGE
from tests.cli.conftest import Run


def test_a_stream_becomes_a_file_that_passes_its_check(stoker: Run) -> None:
    result = stoker("init", "--from", "-", stdin=DEPLOYMENT)

    assert (0, "") == (result.returncode, result.stdout)
    assert 0 == stoker("check", "platform.yaml").returncode


def test_a_folder_becomes_a_file_and_the_notes_name_lines(stoker: Run, tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "big.yaml").write_text(TOO_LARGE)

    result = stoker("init", "--from", "manifests", "--out", "new.yaml")

    assert 0 == result.returncode, result.stderr
    assert "manifests/big.yaml:12: Deployment ai-production/big" in result.stderr


def test_the_notes_can_be_json(stoker: Run) -> None:
    result = stoker("init", "--from", "-", "--output", "json", stdin=TOO_LARGE)

    told = json.loads(result.stdout)
    assert {"object", "path", "file", "line", "message"} == set(told["notes"][0])
    assert {"path", "value", "because"} == set(told["assumptions"][0])


def test_a_file_that_exists_stays_as_it_is(stoker: Run, tmp_path: Path) -> None:
    (tmp_path / "platform.yaml").write_text("mine\n")

    assert 4 == stoker("init", "--from", "-", stdin=DEPLOYMENT).returncode
    assert "mine\n" == (tmp_path / "platform.yaml").read_text()
    assert 0 == stoker("init", "--from", "-", "--force", stdin=DEPLOYMENT).returncode


def test_nothing_to_adopt_is_bad_input_and_writes_nothing(stoker: Run, tmp_path: Path) -> None:
    result = stoker("init", "--from", "-", stdin="\x00\x01 [{{")

    assert (2, False) == (result.returncode, (tmp_path / "platform.yaml").exists())
    assert "no inference server here can be adopted" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_source_that_is_not_there_is_bad_input(stoker: Run) -> None:
    assert 2 == stoker("init", "--from", "nowhere").returncode


def test_a_source_and_a_context_are_one_too_many(stoker: Run) -> None:
    assert 2 == stoker("init", "--from", "-", "--context", "prod", stdin=DEPLOYMENT).returncode


def test_the_file_and_json_do_not_share_a_stream(stoker: Run) -> None:
    assert 2 == stoker("init", "--from", "-", "--out", "-", "--output", "json", stdin=DEPLOYMENT).returncode
