"""Children of a lab live and die with it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stoker.errors import StokerError
from stoker.lab.monitoring.processes import PROMETHEUS, Child, LogFile, find_binary

LAB = """
import asyncio, sys
from pathlib import Path
from stoker.lab.monitoring.processes import Child, LogFile

async def main():
    child = Child("sleeper", lambda: ["sleep", "600"], LogFile(Path(sys.argv[1])))
    child.start()
    while child.pid is None:
        await asyncio.sleep(0.01)
    print(child.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_lab_that_is_killed_leaves_no_child(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LAB, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as lab:
        assert lab.stdout is not None
        pid = int(lab.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        os.kill(lab.pid, signal.SIGKILL)
        lab.wait()
    for _ in range(200):
        if not is_alive(pid):
            break
        time.sleep(0.02)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_missing_program_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StokerError, match="prometheus is not installed; the lab runs without it") as found:
        find_binary(PROMETHEUS)
    assert "apt-get install prometheus (Debian, Ubuntu)" == found.value.fix


async def stubborn(log: LogFile) -> tuple[float, Child, int]:
    command = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]
    child = Child("stubborn", lambda: command, log)
    child.start()
    while not log.tail():  # noqa: ASYNC110 - the file of another process rings no bell
        await asyncio.sleep(0.01)
    pid = child.pid
    assert pid is not None
    began = time.monotonic()
    await child.stop(grace_s=0.3)
    return time.monotonic() - began, child, pid


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    _, child, pid = asyncio.run(stubborn(LogFile(tmp_path / "log")))
    assert "stopped" == child.state
    assert not is_alive(pid)


async def failing(log: LogFile) -> Child:
    child = Child("failing", lambda: ["sh", "-c", "echo failed; exit 3"], log)
    child.start()
    while child.restarts < 1:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await child.stop()
    return child


def test_a_child_that_fails_is_tried_again_after_a_pause_and_the_log_says_why(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    asyncio.run(failing(log))
    assert ["failed", "failing ended with 3"] == log.tail(99)[:2]


def test_a_log_has_no_secrets_and_does_not_grow_for_ever(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", largest=100)
    log.secrets = {"s3cr3t-value", "ab"}
    for _ in range(20):
        log.write(b"level=warn url=https://x/s3cr3t-value ab\n")
    assert "level=warn url=https://x/<secret> ab" == log.tail(1)[0]
    assert log.path.stat().st_size < 200
    assert log.path.with_suffix(".1").exists()
    assert 0o600 == log.path.stat().st_mode & 0o777
