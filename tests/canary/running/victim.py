"""`stoker canary …` as a user runs it, that kills itself with SIGKILL at a given request to the API server.

``victim.py KIND NUMBER MOMENT RECORD canary start …``: at the NUMBER-th request of a KIND (``write``, or ``any``), before the
server has it (``unsent``) or when it has answered (``answered``). RECORD gets the number of requests of both kinds of a run
that ended by itself.
"""

import functools
import os
import signal
import sys
import threading
from pathlib import Path

import httpx2
from tests.apply.running.victim import transport

import stoker.kube.cluster


class Deadly(httpx2.BaseTransport):
    """Counts requests, and ends the process at one of them. Nothing is cleaned up: it is SIGKILL."""

    def __init__(self, inner: httpx2.BaseTransport, kind: str, at: int, *, answered: bool) -> None:
        self.inner, self.kind, self.at, self.answered = inner, kind, at, answered
        self.counts = {"write": 0, "any": 0}
        self.lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with self.lock:
            self.counts["any"] += 1
            self.counts["write"] += request.method != "GET"
            is_counted = self.kind == "any" or request.method != "GET"
            hit = is_counted and self.counts[self.kind] == self.at
        if hit and not self.answered:
            os.kill(os.getpid(), signal.SIGKILL)
        response = self.inner.handle_request(request)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    def close(self) -> None:
        self.inner.close()


def main(kind: str, number: str, moment: str, record: str, arguments: list[str]) -> None:
    deadly = Deadly(transport(Path(os.environ["KUBECONFIG"])), kind, int(number), answered=moment == "answered")
    stoker.kube.cluster.open_cluster = functools.partial(stoker.kube.cluster.open_cluster, transport=deadly)
    from stoker.cli.main import main as run

    sys.argv = ["stoker", *arguments]
    try:
        run()
    finally:
        Path(record).write_text(f"{deadly.counts['write']} {deadly.counts['any']}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:5], sys.argv[5:])
