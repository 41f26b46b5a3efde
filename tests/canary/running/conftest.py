"""A lab with a model and its canary in one serving mode, and the command against it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import REPOSITORY
from tests.lab.running.conftest import STOKER, kubectl_of, stoker

if TYPE_CHECKING:
    from tests.canary.running.things import Scene
    from tests.canary.running.victim import Victims

SPEED = 30
# A lab this fast makes milliseconds of its host's seconds of its own: latencies are compared coarsely.
COARSE = (
    "--margin",
    "ttft=2",
    "--margin",
    "tpot=1",
    "--margin",
    "errors=0.1",
    "--least",
    "20s",
    "--every",
    "45s",
)
ENDS = 400.0

_PLATFORM = """
name: shop
pools:
  - {{name: gpu, gpu: L40S, nodes: 8}}
tenants:
  - {{name: prod, class: production, quota: {{gpus: {{gpu: 8}}}}}}
serving: {{mode: {mode}}}
storage:
  - {{name: hub, kind: hub}}
models:
  - name: llama
    source: hf://Qwen/Qwen2.5-7B-Instruct
    tenant: prod
    storage: hub
    contextLength: 4096
    replicas: 2
    canary: {{name: v2, args: ["--enable-prefix-caching"]}}
"""


def within(seconds: float, holds: Callable[[], Any]) -> Any:
    """What ``holds`` says once that is true; the last it said where the time is up."""
    deadline = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


@dataclass
class Shop:
    """The cluster, the platform file and what was rendered from it."""

    folder: Path
    platform: Path
    rendered: Path
    kubeconfig: Path | None = None

    def get(self, *arguments: object) -> Any:
        return json.loads(kubectl_of(self.folder)(*arguments, "-n", "prod", "-o", "json").stdout)

    def pods(self, version: str) -> list[str]:
        """Ready pods of a version."""
        found = self.get("get", "pods", "-l", f"stoker.dev/version={version}")["items"]
        return [
            str(one["metadata"]["name"])
            for one in found
            if not one["metadata"].get("deletionTimestamp")
            and {"type": "Ready", "status": "True"}.items()
            <= next((c for c in one["status"].get("conditions", ()) if c["type"] == "Ready"), {}).items()
        ]

    def apply(self) -> None:
        """The cluster as the platform file says."""
        kubectl_of(self.folder)(
            "apply",
            "--server-side",
            "--field-manager",
            "stoker",
            "--force-conflicts",
            "-R",
            "-f",
            self.rendered,
        )

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig or self.folder / "kubeconfig"),
            "COLUMNS": "200",
        }

    def start(self, *options: object) -> "subprocess.Popen[str]":
        """`stoker canary start`, left running."""
        command = ["canary", "start", "llama", "-f", str(self.platform), *COARSE, *map(str, options)]
        return subprocess.Popen(
            [str(STOKER), *command],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: object, expect: int | None = None) -> str:
        """`stoker canary …` to its end."""
        done = subprocess.run(
            [str(STOKER), "canary", *map(str, arguments)], env=self.environment(), capture_output=True, text=True,
            timeout=ENDS, check=False,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert expect is None or expect == done.returncode, said
        return said

    def canary(self, *options: object, expect: int) -> str:
        """`stoker canary start` to its end."""
        return self.run("start", "llama", "-f", self.platform, *COARSE, *options, expect=expect)

    def patiently(self, *arguments: object, expect: int) -> str:
        """As `run`, again where a busy machine made the cluster unreachable: the next run goes on."""
        said = ""
        for _ in range(5):
            said = self.run(*arguments)
            if "lost its lease" not in said and "does not answer" not in said:
                break
        assert {0: ": promoted", 1: ": aborted", 5: ": inconclusive"}[expect] in said, said
        return said

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "llama", "--output", "json", expect=0))
        return found

    def fault(self, kind: str, *options: object, version: str = "v2") -> None:
        for pod in self.pods(version):
            stoker("lab", "fault", kind, f"prod/{pod}", *options, "--state", self.folder)

    def weights(self) -> tuple[int, ...]:
        """Of the route: stable, canary."""
        routes = self.get("get", "httproute")["items"]
        found = next(one for one in routes if one["spec"].get("hostnames") == ["llama.models.example.com"])
        return tuple(one["weight"] for one in found["spec"]["rules"][0]["backendRefs"])


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and words of a run."""
    said, _ = process.communicate(timeout=ENDS)
    return process.returncode, said


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """In the serving mode of the module's ``MODE``, with the lab's options of its ``LAB`` at its ``SPEED``."""
    folder = tmp_path_factory.mktemp("canary")
    platform, rendered = folder / "platform.yaml", folder / "rendered"
    platform.write_text(_PLATFORM.format(mode=request.module.MODE), encoding="utf-8")
    options = getattr(request.module, "LAB", ("--no-metrics",))
    speed = getattr(request.module, "SPEED", SPEED)
    stoker("lab", "up", "--state", folder, "--platform", platform, "--speed", speed, *options)
    try:
        stoker("render", platform, "--out", rendered)
        found = Shop(folder, platform, rendered)
        prepare = getattr(request.module, "prepare", None)
        if prepare is not None:
            prepare(found)
        found.apply()
        assert within(120, lambda: len(found.pods("stable")) == 2)
        yield found
    finally:
        stoker("lab", "down", "--state", folder)


@pytest.fixture(scope="module")
def forks() -> Iterator["Victims"]:
    """Runs commands that are killed, or whose network fails."""
    from tests.canary.running.victim import victims

    with victims(REPOSITORY) as found:
        yield found


@pytest.fixture
def scene(shop: Shop, forks: "Victims") -> Iterator["Scene"]:
    """The cluster as the platform file says, and a way to look at all of it."""
    from tests.canary.running.things import scene_of

    with scene_of(shop, forks) as found:
        yield found
