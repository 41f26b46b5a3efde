"""The command line as a user runs it: a process with arguments, its two streams and its exit code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
STOKER = Path(sys.executable).parent / "stoker"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def stoker(tmp_path: Path) -> Run:
    """Run `stoker` in an empty folder; text in, text out."""

    def run(
        *arguments: str, stdin: str = "", cwd: Path = tmp_path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [STOKER, *arguments],
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "NO_COLOR": "1", **environment},
        )

    return run


@pytest.fixture
def guide() -> str:
    return str(REPOSITORY / "examples" / "guide.yaml")
