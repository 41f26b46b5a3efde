"""Applies, and kills itself with SIGKILL at a given request: before the server has it, or when it has answered."""

import os
import signal
import sys
import threading
from pathlib import Path

import httpx2
from tests.apply.running.things import REPLACE, TAKES, wanted

from stoker.apply.asked import Allowed, parse_takes
from stoker.apply.back import uninstall
from stoker.apply.plan import plan_changes
from stoker.apply.run import apply_plan
from stoker.apply.store import Store
from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.connect import read_config


class Deadly(httpx2.BaseTransport):
    """Counts the requests that write, and ends the process at one of them. Nothing is cleaned up: it is SIGKILL."""

    def __init__(self, inner: httpx2.BaseTransport, at: int, *, answered: bool) -> None:
        self.inner, self.at, self.answered = inner, at, answered
        self.count = 0
        self.lock = threading.Lock()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with self.lock:
            self.count += request.method != "GET"
            hit = self.count == self.at and request.method != "GET"
        if hit and not self.answered:
            os.kill(os.getpid(), signal.SIGKILL)
        response = self.inner.handle_request(request)
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return response

    def close(self) -> None:
        self.inner.close()


def transport(kubeconfig: Path) -> httpx2.BaseTransport:
    """As the client's own: the lab's authority trusted."""
    from lightkube.config.client_adapter import verify_cluster

    config = read_config(None, str(kubeconfig))
    assert config.user is not None
    return httpx2.HTTPTransport(verify=verify_cluster(config.cluster, config.user, config.abs_file))


def carry_out(cluster: Cluster, command: str) -> None:
    if command == "uninstall":
        uninstall(cluster)
        return
    plan = plan_changes(
        cluster, wanted(), name="test", allowed=Allowed(parse_takes(TAKES), REPLACE), entries=Store(cluster).entries.values()
    )  # fmt: skip
    done = apply_plan(cluster, plan, timeout=6000)
    assert done.is_complete, done


if __name__ == "__main__":
    _, where, what, number, moment = sys.argv
    deadly = Deadly(transport(Path(where)), int(number), answered=moment == "answered")
    with open_cluster(kubeconfig=where, transport=deadly) as opened:
        carry_out(opened, what)
    sys.stdout.write(f"{deadly.count}\n")
