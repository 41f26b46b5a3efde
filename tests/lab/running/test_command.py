"""`stoker lab`: what it says, what it leaves behind, what it brings back."""

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from tests.lab.running.conftest import stoker

from stoker.lab.asking import ask


def _up(folder: Path, *more: object) -> dict[str, object]:
    arguments = ("lab", "up", "--state", folder, "--nodes", "1x1xL4", "--no-metrics", "--output", "json")
    found: dict[str, object] = json.loads(stoker(*arguments, *more).stdout)
    return found


def _processes(folder: Path) -> list[str]:
    """Command lines of processes that belong to a lab's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in text and "stoker.lab" in text:
            found.append(text)
    return found


def test_what_was_stored_is_there_again_and_nothing_is_left_running(tmp_path: Path) -> None:
    first = _up(tmp_path)
    assert {"running": True}.items() <= json.loads(
        stoker("lab", "status", "--state", tmp_path, "--output", "json").stdout
    ).items()
    before = ask(tmp_path / "kubeconfig", "/api/v1/nodes")
    stoker("lab", "down", "--state", tmp_path)
    assert [] == _processes(tmp_path)

    second = _up(tmp_path)
    after = ask(tmp_path / "kubeconfig", "/api/v1/nodes")
    stoker("lab", "down", "--state", tmp_path)

    assert first["kubeconfig"] == second["kubeconfig"] == str(tmp_path / "kubeconfig")
    assert [item["metadata"]["uid"] for item in before["items"]] == [
        item["metadata"]["uid"] for item in after["items"]
    ]
    assert [] == _processes(tmp_path)


def test_a_killed_lab_leaves_no_process_and_starts_again(tmp_path: Path) -> None:
    _up(tmp_path)
    pid = json.loads(stoker("lab", "status", "--state", tmp_path, "--output", "json").stdout)["pid"]

    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _processes(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert [] == _processes(tmp_path)
    assert 3 == stoker("lab", "status", "--state", tmp_path, check=False).returncode
    _up(tmp_path)
    stoker("lab", "down", "--state", tmp_path)


def test_only_the_owner_can_read_the_folder(tmp_path: Path) -> None:
    _up(tmp_path / "lab")
    stoker("lab", "down", "--state", tmp_path / "lab")

    assert 0o700 == (tmp_path / "lab").stat().st_mode & 0o777
    for name in ("kubeconfig", "admin.token", "server.key"):
        assert 0o600 == (tmp_path / "lab" / name).stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("up", "--nodes", "8xA100"), "NxGxTYPE"),
        (("up", "--nodes", "2x8xA1000"), "A1000"),
        (("kubeconfig",), "stoker lab up"),
        (("status",), "no lab runs"),
    ],
)
def test_mistakes_get_an_error_with_a_fix_and_start_nothing(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = stoker("lab", *arguments, "--state", tmp_path, check=False)

    assert done.returncode in {2, 3}
    assert words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert [] == _processes(tmp_path)


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = stoker("lab", "up", "--state", tmp_path, "--port", port, check=False)

    assert 2 == done.returncode
    assert f"port {port} of 127.0.0.1 cannot be had" in done.stderr


def test_a_second_lab_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    _up(tmp_path)

    done = stoker("lab", "up", "--state", tmp_path, check=False)
    stoker("lab", "down", "--state", tmp_path)

    assert 2 == done.returncode
    assert "runs on" in done.stderr
