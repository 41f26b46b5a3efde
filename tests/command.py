"""`stoker` with arguments, streams and an exit code: in this process, for a start costs more than most commands, or in its own.

What only a process of its own shows (signals, pipes that close, terminals, the same bytes under another hash seed) is tested
with one.
"""

import gc
import io
import os
import subprocess
import sys
from contextlib import ExitStack, chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

from stoker.cli.main import main

__all__ = ["STOKER", "run", "run_process"]

STOKER = Path(sys.executable).with_name("stoker")
# Small simulations: without numba there is nothing to load or compile, and the bytes are the same.
_ENVIRONMENT = {"NO_COLOR": "1", "STOKER_INTERPRETED": "1"}


def run(
    *arguments: object,
    stdin: str = "",
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    check: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command; what it printed, and its exit code. ``check``: any but 0 fails, with what it said."""
    words = ["stoker", *map(str, arguments)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, _ENVIRONMENT | (env or {})))
        stack.enter_context(mock.patch.object(sys, "argv", words))
        stack.enter_context(mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()))))
        if cwd is not None:
            stack.enter_context(chdir(cwd))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            gc.enable()  # a command with a short life may do without
    done = subprocess.CompletedProcess(words, code, *(_text(stream) for stream in (out, err)))
    assert not check or code == 0, f"{words}: {code}\n{done.stdout}{done.stderr}"
    return done


def _text(stream: io.TextIOWrapper) -> str:
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode("utf-8")


def run_process(
    *arguments: object, stdin: str = "", cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    return subprocess.run(
        [STOKER, *map(str, arguments)], cwd=cwd, input=stdin, capture_output=True, text=True, check=False, timeout=120,
        env=os.environ | _ENVIRONMENT | (env or {}),
    )  # fmt: skip
