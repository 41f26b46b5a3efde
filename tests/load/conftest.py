"""A server with known delays, and small builders of results."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REPOSITORY

from stoker.load import LoadPlan, LoadResult, Outcome, Planned, Result

Sent = Callable[..., Result]


@contextmanager
def serving(*files: Path) -> Iterator[str]:
    """The host and port of `tests.load.server`, in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", ""))),
    }
    command = [sys.executable, "-m", "tests.load.server", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()  # it would wait for the requests that hang


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server with known delays."""
    with serving() as address:
        yield f"http://{address}"


def sent(
    at: float = 0.0,
    *,
    lag: float = 0.0,
    first: float | None = None,
    took: float = 1.0,
    tokens: int | None = None,
    outcome: Outcome = Outcome.OK,
    **more: Any,
) -> Result:
    """A request planned at ``at``, sent ``lag`` later, with first text and end so long after the sending."""
    begin = at + lag
    return Result(
        Planned(0, at, 10, 10, more.pop("model", "m"), more.pop("tenant", "")),
        outcome,
        end_s=begin + took,
        sent_s=begin,
        first_s=None if first is None else begin + first,
        output_tokens=tokens,
        status=more.pop("status", 200 if outcome is Outcome.OK else 0),
        **more,
    )


def run_of(*results: Result, duration: float = 10.0, **more: Any) -> LoadResult:
    """A run that had these results."""
    plan = LoadPlan(tuple(result.planned for result in results), duration, "a list")
    given: dict[str, Any] = {
        "target": "http://x",
        "elapsed_s": duration,
        "max_in_flight": 100,
        "peak_in_flight": 1,
    }
    return LoadResult(plan, results, **{**given, **more})
