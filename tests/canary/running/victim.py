"""`stoker canary …` as a user runs it, in a process that kills itself with SIGKILL at a given request to the API server.

Reads a `Wish` a line from standard input and answers each with an exit code, as a shell gives it but for −9. Every command
runs in a fork of this process, which has read all modules already: fifty kills would otherwise mostly wait for imports.
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import msgspec
from tests.apply.running.victim import transport

import stoker.canary.run
import stoker.canary.scoring
import stoker.cli.canary_run
import stoker.cli.canary_show
import stoker.cli.platform_file
import stoker.kube.cluster
import stoker.kube.lease
from stoker.cli.main import main
from stoker.kube.transport import Tries


@dataclass(frozen=True)
class Wish:
    """A command and where it ends.

    Attributes:
        arguments: after `stoker`.
        kubeconfig: of the cluster.
        out: file for what is printed.
        kind: of requests that are counted: ``write`` or ``any``.
        at: which of them; 0 is none.
        moment: killed before the server has it (``unsent``), when it has answered (``answered``); or the network is gone
            from there on (``gone``); or the answer of every ``at``-th one is lost (``cut``).
    """

    arguments: tuple[str, ...]
    kubeconfig: str
    out: str
    kind: str = "any"
    at: int = 0
    moment: str = "unsent"


class Deadly(httpx2.BaseTransport):
    """Counts requests, and does what is wished at one of them. Nothing is cleaned up: it is SIGKILL."""

    def __init__(self, inner: httpx2.BaseTransport, wish: Wish) -> None:
        self.inner, self.wish, self.count = inner, wish, 0
        self.lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        wish = self.wish
        is_counted = wish.kind == "any" or request.method != "GET"
        with self.lock:
            self.count += is_counted
            is_past, hit = 0 < wish.at <= self.count, is_counted and self.count == wish.at
            is_turn = is_counted and wish.at > 0 and self.count % wish.at == 0
        if wish.moment == "gone" and is_past:
            raise httpx2.ConnectError("no route to host")
        if wish.moment == "unsent" and hit:
            os.kill(os.getpid(), signal.SIGKILL)
        response = self.inner.handle_request(request)
        if wish.moment == "answered" and hit:
            os.kill(os.getpid(), signal.SIGKILL)
        if wish.moment == "cut" and is_turn:
            response.read()
            response.close()
            raise httpx2.ReadError("the connection was cut")
        return response

    def close(self) -> None:
        self.inner.close()


def carry_out(wish: Wish) -> int:
    """In the fork: the command with its own way to the server."""
    out = os.open(wish.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ["KUBECONFIG"] = wish.kubeconfig
    os.environ["COLUMNS"] = "200"
    way = Deadly(transport(Path(wish.kubeconfig)), wish)
    patient = Tries(within=1.0) if wish.moment == "gone" else None
    stoker.kube.cluster.open_cluster = functools.partial(
        stoker.kube.cluster.open_cluster, transport=way, tries=patient
    )
    sys.argv = ["stoker", *wish.arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 99  # a traceback, which no user may see
            try:
                code = carry_out(msgspec.json.decode(line, type=Wish))
            finally:
                sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


class Victims:
    """The process from outside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def run(self, wish: Wish) -> tuple[int, str]:
        """Exit code and words."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(wish).decode() + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        return code, Path(wish.out).read_text(encoding="utf-8")


@contextlib.contextmanager
def victims(repository: Path) -> Iterator[Victims]:
    command, paths = [sys.executable, __file__], f"{repository}/src:{repository}"
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=repository,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:  # closing its input ends it
        yield Victims(process)


if __name__ == "__main__":
    serve()
