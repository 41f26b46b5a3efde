"""The command line as a user runs it: arguments, two streams and an exit code."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command import STOKER, run, run_process

__all__ = ["REPOSITORY", "STOKER", "Run"]

REPOSITORY = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def stoker(tmp_path: Path) -> Run:
    """Run `stoker` in an empty folder; text in, text out."""

    def start(
        *arguments: str, stdin: str = "", cwd: Path = tmp_path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return run(*arguments, stdin=stdin, cwd=cwd, env=environment)

    return start


@pytest.fixture
def stoker_process(tmp_path: Path) -> Run:
    """The same in a process of its own."""

    def start(
        *arguments: str, stdin: str = "", cwd: Path = tmp_path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return run_process(*arguments, stdin=stdin, cwd=cwd, env=environment)

    return start


@pytest.fixture
def guide() -> str:
    return str(REPOSITORY / "examples" / "guide.yaml")
