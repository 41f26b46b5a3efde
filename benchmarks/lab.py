"""Speed of the lab's API server, as a client on the same machine sees it; reference: SQLite storing the same texts alone."""

import base64
import http.client
import json
import os
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
_WATCHERS = 50


class Client:
    """One connection to a lab."""

    def __init__(self, kubeconfig: Path) -> None:
        found = json.loads(kubeconfig.read_text())
        cluster = found["clusters"][0]["cluster"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        host, port = cluster["server"].removeprefix("https://").split(":")
        self._connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=60)
        self._headers = {
            "Authorization": f"Bearer {found['users'][0]['user']['token']}",
            "Content-Type": "application/json",
            "User-Agent": "bench/1",
        }

    def send(self, method: str, path: str, body: Any = None) -> bytes:
        text = None if body is None else json.dumps(body)
        self._connection.request(method, path, text, self._headers)
        answer = self._connection.getresponse()
        found = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {found[:300]!r}")
        return found

    def open(self, path: str) -> http.client.HTTPResponse:
        self._connection.request("GET", path, None, self._headers)
        return self._connection.getresponse()


def _stoker(*arguments: object) -> dict[str, Any]:
    command = [str(BIN / "stoker"), "lab", *map(str, arguments), "--output", "json"]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


@contextmanager
def running(*nodes: str) -> Iterator[tuple[Path, float, int]]:
    """A lab: its kubeconfig, how long it took to be ready, and its process."""
    with tempfile.TemporaryDirectory() as folder:
        shapes = [part for node in nodes for part in ("--nodes", node)]
        begin = time.perf_counter()
        _stoker("up", "--state", folder, "--no-metrics", *shapes)
        seconds = time.perf_counter() - begin
        try:
            yield Path(folder) / "kubeconfig", seconds, _stoker("status", "--state", folder)["pid"]
        finally:
            _stoker("down", "--state", folder)


def _memory_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _count(client: Client, path: str) -> int:
    found = json.loads(client.send("GET", f"{path}?limit=1"))
    return len(found["items"]) + int(found["metadata"].get("remainingItemCount") or 0)


def _config_map(name: str, value: int = 0) -> dict[str, Any]:
    data = {"value": str(value), "text": "x" * 600}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _pod(name: str) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container]},
    }


def bench_lab_up() -> None:
    """From the command to ready; reference: `python -c pass`."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    reference = time.perf_counter() - begin
    for count, bar in ((48, 2), (500, 5)):
        found = []
        for _ in range(3):
            with running(f"{count}x8xA100-80GB") as (_, seconds, _pid):
                found.append(seconds)
        seconds = statistics.median(found)
        print(f"lab up, {count} nodes: {seconds:.2f} s (bar: {bar} s); python -c pass: {reference:.2f} s")


def _parallel(count: int, work: Callable[[int], None], threads: int = 8) -> float:
    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(count)))
    return time.perf_counter() - begin


def bench_lab_writes() -> None:
    """Creates and updates a second; reference: SQLite committing texts of the same size, one by one, in this process."""
    with running("2x8xA100-80GB") as (kubeconfig, _, _pid):
        local = threading.local()

        def client() -> Client:
            if not hasattr(local, "client"):
                local.client = Client(kubeconfig)
            found: Client = local.client
            return found

        path = "/api/v1/namespaces/default/configmaps"
        creates = _parallel(
            4000, lambda number: client().send("POST", path, _config_map(f"c{number}")) and None
        )
        updates = _parallel(
            4000,
            lambda number: client().send("PUT", f"{path}/c{number}", _config_map(f"c{number}", 1)) and None,
        )
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder) / "x.db", isolation_level=None)
        database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE t (k TEXT PRIMARY KEY, v)"
        )
        text = json.dumps(_config_map("c")).encode() * 2
        begin = time.perf_counter()
        for number in range(4000):
            database.execute("INSERT INTO t VALUES (?, ?)", (str(number), text))
        reference = time.perf_counter() - begin
    print(f"lab writes: {4000 / creates:,.0f} creates/s, {4000 / updates:,.0f} updates/s (bar: 500)")
    print(
        f"  reference, SQLite alone: {4000 / reference:,.0f}/s; lab / reference = {reference / creates:.3f}"
    )


def bench_lab_watch() -> None:
    """Events to fifty watchers while objects change; nobody may miss one."""
    with running("2x8xA100-80GB") as (kubeconfig, _, _pid):
        path = "/api/v1/namespaces/default/configmaps"
        writer = Client(kubeconfig)
        writer.send("POST", path, _config_map("w"))
        seen = [0] * _WATCHERS
        total = 3000
        ready = threading.Barrier(_WATCHERS + 1)

        def watch(number: int) -> None:
            answer = Client(kubeconfig).open(f"{path}?watch=1&fieldSelector=metadata.name%3Dw")
            answer.readline()
            ready.wait()
            while seen[number] < total:
                if not answer.readline():
                    return
                seen[number] += 1

        threads = [threading.Thread(target=watch, args=(number,)) for number in range(_WATCHERS)]
        for thread in threads:
            thread.start()
        ready.wait()
        begin = time.perf_counter()
        for number in range(total):
            writer.send("PUT", f"{path}/w", _config_map("w", number + 1))
        for thread in threads:
            thread.join(60)
        seconds = time.perf_counter() - begin
    print(
        f"lab watch: {total / seconds:,.0f} changes/s to {_WATCHERS} watchers, {min(seen)} to {max(seen)} of {total} events each; "
        f"{sum(seen) / seconds:,.0f} events/s in all (bar: 1,000 watch events/s)"
    )


def bench_lab_growth() -> None:
    """Memory and `kubectl get pods -A` as objects grow to ten thousand; reference: kubectl version --client."""
    begin = time.perf_counter()
    subprocess.run(["kubectl", "version", "--client"], check=True, capture_output=True)
    reference = time.perf_counter() - begin
    with running("48x8xA100-80GB") as (kubeconfig, _, pid):
        local = threading.local()

        def create(number: int) -> None:
            if not hasattr(local, "client"):
                local.client = Client(kubeconfig)
            local.client.send("POST", "/api/v1/namespaces/default/pods", _pod(f"p{number}"))

        done = 0
        for count in (100, 1000, 2000, 10_000):
            _parallel(count - done, lambda number, done=done: create(done + number))
            done = count
            begin = time.perf_counter()
            subprocess.run(
                ["kubectl", "get", "pods", "-A"], check=True, capture_output=True,
                env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            )  # fmt: skip
            seconds = time.perf_counter() - begin
            client = Client(kubeconfig)
            events = _count(client, "/api/v1/events")
            print(
                f"lab of {count:>6,} pods and {events:,} events: {_memory_mib(pid):,.0f} MiB (bar: 500 at 10,000 objects), kubectl get pods -A {seconds:.2f} s "
                f"(bar: 1 s at 1,000); kubectl alone {reference:.2f} s"
            )
