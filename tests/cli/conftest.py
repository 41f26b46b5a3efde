"""The command line as a user runs it: arguments, two streams and an exit code."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command import STOKER, run, run_process

__all__ = ["REPOSITORY", "STOKER", "Run"]

REPOSITORY = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


def _in(folder: Path, runner: Run) -> Run:
    def start(
        *arguments: str, stdin: str = "", cwd: Path = folder, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return runner(*arguments, stdin=stdin, cwd=cwd, env=environment)

    return start


@pytest.fixture
def stoker(tmp_path: Path) -> Run:
    """Run `stoker` in an empty folder; text in, text out."""
    return _in(tmp_path, run)


@pytest.fixture
def stoker_process(tmp_path: Path) -> Run:
    """The same in a process of its own."""
    return _in(tmp_path, run_process)


@pytest.fixture
def guide() -> str:
    return str(REPOSITORY / "examples" / "guide.yaml")
