"""A kopf operator as a process of its own against a lab: it sees what happens, also what happened while one of them was down."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client
from tests.conftest import REPOSITORY
from tests.lab.running.conftest import stoker
from tests.lab.running.python_client import api_of, until

_PLACE = ("test.stoker.dev", "v1", "default", "boxes")
_DEFINITION = {
    "metadata": {"name": "boxes.test.stoker.dev"},
    "spec": {
        "group": "test.stoker.dev",
        "scope": "Namespaced",
        "names": {"plural": "boxes", "singular": "box", "kind": "Box", "listKind": "BoxList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@dataclass
class Operator:
    """`kopf run` and what its handlers wrote."""

    state: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    read: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> None:
        before = len(self.lines("started"))
        environment = {
            **os.environ, "KUBECONFIG": str(self.state / "kubeconfig"), "HOME": str(self.state), "BOXES_LOG": str(self.log),
            "PYTHONPATH": str(REPOSITORY),
        }  # fmt: skip
        with (self.log.parent / "kopf.log").open("ab") as output:
            self.process = subprocess.Popen(
                [Path(sys.executable).parent / "kopf", "run", "--standalone", "-n", "default", "-m", "tests.lab.running.operator_of_boxes"],
                env=environment, cwd=REPOSITORY, stdout=output, stderr=output,
            )  # fmt: skip
        assert until(lambda: len(self.lines("started")) > before), self.said()

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process = None

    def lines(self, word: str) -> list[dict[str, Any]]:
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        return [one for one in map(json.loads, text.splitlines()) if one.pop("word") == word]

    def said(self) -> str:
        return (self.log.parent / "kopf.log").read_text(encoding="utf-8")[-4000:]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass
class Bench:
    """A lab, its operator, and a user who makes boxes."""

    state: Path
    operator: Operator
    port: int

    def up(self) -> None:
        stoker("lab", "up", "--state", self.state, "--nodes", "1xcpu", "--no-metrics", "--port", self.port)

    def down(self) -> None:
        stoker("lab", "down", "--state", self.state)

    @property
    def boxes(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(api_of(self.state))

    def create(self, name: str, size: int) -> None:
        body = {
            "apiVersion": "test.stoker.dev/v1",
            "kind": "Box",
            "metadata": {"name": name},
            "spec": {"size": size},
        }
        self.boxes.create_namespaced_custom_object(*_PLACE, body)

    def resize(self, name: str, size: int) -> None:
        self.boxes.patch_namespaced_custom_object(*_PLACE, name, {"spec": {"size": size}})

    def get(self, name: str) -> Any:
        return self.boxes.get_namespaced_custom_object(*_PLACE, name)

    def has(self, word: str, **line: Any) -> bool:
        return bool(until(lambda: line in self.operator.lines(word), 60))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    state = tmp_path / "lab"
    made = Bench(state, Operator(state, tmp_path / "boxes.jsonl"), _free_port())
    made.up()
    try:
        client.ApiextensionsV1Api(api_of(state)).create_custom_resource_definition(_DEFINITION)
        made.operator.start()
        yield made
    finally:
        made.operator.stop()
        made.down()


def test_an_operator_sees_everything_over_restarts_of_its_own_and_of_the_lab(bench: Bench) -> None:
    operator = bench.operator
    bench.create("a", 1)
    assert bench.has("created", name="a", size=1), operator.said()
    assert until(lambda: bench.get("a").get("status", {}).get("size") == 1)
    assert ["kopf.zalando.org/KopfFinalizerMarker"] == bench.get("a")["metadata"]["finalizers"]
    bench.resize("a", 2)
    assert bench.has("updated", name="a", old=1, new=2), operator.said()
    assert until(lambda: bench.get("a")["status"]["size"] == 2)

    operator.stop()
    bench.resize("a", 3)
    bench.create("b", 7)
    bench.boxes.delete_namespaced_custom_object(*_PLACE, "a")
    held = bench.get("a")["metadata"]
    operator.start()

    assert held["deletionTimestamp"], "its finalizer holds it while nobody works"
    assert bench.has("deleted", name="a"), operator.said()
    assert bench.has("created", name="b", size=7), operator.said()
    assert until(
        lambda: (
            ["b"]
            == [
                one["metadata"]["name"] for one in bench.boxes.list_namespaced_custom_object(*_PLACE)["items"]
            ]
        )
    )

    operator.stop()
    operator.start()
    assert bench.has("resumed", name="b"), operator.said()

    bench.down()
    bench.up()
    bench.create("c", 5)
    bench.resize("b", 8)
    assert bench.has("created", name="c", size=5), operator.said()
    assert bench.has("updated", name="b", old=7, new=8), operator.said()
    assert operator.process is not None
    assert operator.process.poll() is None
    bench.boxes.delete_namespaced_custom_object(*_PLACE, "b")
    assert bench.has("deleted", name="b"), operator.said()
    assert [{"name": "b", "size": 7}, {"name": "c", "size": 5}] == [
        one for one in operator.lines("created") if one["name"] != "a"
    ], "nothing is handled twice"
