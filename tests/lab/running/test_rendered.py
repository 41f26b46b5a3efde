"""A platform file's nodes and everything that is rendered from it, on a lab that runs; and what happens when parts break."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.lab.running.conftest import kubectl_of, stoker

EXAMPLE = Path(__file__).parents[3] / "examples" / "deployment.yaml"
_SPEED = 120

Get = Callable[..., Any]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lab with the example's nodes, fast enough for hours of start-up."""
    folder = tmp_path_factory.mktemp("rendered")
    stoker("lab", "up", "--state", folder, "--platform", EXAMPLE, "--speed", _SPEED, "--no-metrics")
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture(scope="module")
def get(lab: Path) -> Get:
    """What kubectl gets, as JSON; ``apply`` and others as text."""
    kubectl = kubectl_of(lab)

    def run(*arguments: object, output: str = "json", check: bool = True) -> Any:
        done = kubectl(*arguments, *(("-o", output) if output else ()), check=check)
        return json.loads(done.stdout) if output == "json" else done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def applied(get: Get, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What kubectl said to everything that is rendered from the example."""
    folder = tmp_path_factory.mktemp("objects")
    stoker("render", EXAMPLE, "--out", folder)
    said: str = get("apply", "--server-side", "-R", "-f", folder, output="")
    return said


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _ready(get: Get, node: str) -> bool:
    conditions = get("get", "node", node)["status"]["conditions"]
    return bool({"Ready": "True"}.items() <= {one["type"]: one["status"] for one in conditions}.items())


def test_its_pools_are_the_gpu_nodes(get: Get) -> None:
    nodes = {one["metadata"]["name"]: one["status"]["allocatable"] for one in get("get", "nodes")["items"]}

    gpus = {
        name: allocatable["nvidia.com/gpu"]
        for name, allocatable in nodes.items()
        if not name.startswith("cpu-")
    }
    assert gpus == {"steady-0": "8", "steady-1": "8", "spot-0": "8"}
    assert {"cpu-0", "cpu-1", "cpu-2"} < set(nodes)


def test_everything_rendered_is_accepted(applied: str) -> None:
    assert applied.count("serverside-applied") == len(applied.splitlines()) > 40


@pytest.mark.usefixtures("applied")
def test_staged_weights_let_the_model_start(get: Get) -> None:
    get(
        "rollout",
        "status",
        "-n",
        "stoker-system",
        "daemonset/weights-staged-steady",
        "--timeout=60s",
        output="",
    )
    get("rollout", "status", "-n", "search", "deployment/mistral-7b", "--timeout=60s", output="")

    pods = get("get", "pods", "-n", "search", "-l", "stoker.dev/model=mistral-7b")["items"]
    for pod in pods:
        waited = pod["status"]["initContainerStatuses"][0]["state"]["terminated"]
        assert ("Completed", 0) == (waited["reason"], waited["exitCode"])


@pytest.mark.usefixtures("applied")
def test_a_model_without_its_secret_says_what_is_missing(get: Get) -> None:
    def reasons() -> str:
        return str(get("get", "events", "-n", "enrichment", output="wide"))

    if not _within(5, lambda: bool(get("get", "pods", "-n", "enrichment")["items"])):
        get("scale", "-n", "enrichment", "deployment/enricher", "--replicas=1", output="")
    assert _within(20, lambda: 'secret "huggingface" not found' in reasons())


def test_a_broken_node_is_not_ready_until_it_is_mended(get: Get, lab: Path) -> None:
    told = json.loads(stoker("lab", "fault", "node", "spot-0", "--state", lab, "--output", "json").stdout)
    assert [{"kind": "node", "target": "spot-0"}] == [
        {key: one[key] for key in ("kind", "target")} for one in told["faults"]
    ]
    assert _within(20, lambda: not _ready(get, "spot-0"))

    assert "nothing is broken" in stoker("lab", "fault", "node", "spot-0", "--off", "--state", lab).stdout
    assert _within(20, lambda: _ready(get, "spot-0"))


def test_a_fault_ends_by_itself(get: Get, lab: Path) -> None:
    # Long enough for a busy machine to ask once meanwhile.
    stoker("lab", "fault", "api-500", "--value", 1, "--for", f"{15 * _SPEED}s", "--state", lab)

    refused = get("get", "--raw", "/api/v1/nodes", output="", check=False)

    assert "InternalError" in refused
    assert _within(60, lambda: "spot-0" in get("get", "--raw", "/api/v1/nodes", output="", check=False))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nosuch",), "kv-cache"),
        (("xid", "nobody/nothing"), '"nobody/nothing" not found'),
        (("node", "nothing"), "nothing"),
        (("node", "spot-0", "--for", "soon"), "--for"),
    ],
)
def test_faults_that_cannot_be_are_refused(lab: Path, arguments: tuple[str, ...], words: str) -> None:
    done = stoker("lab", "fault", *arguments, "--state", lab, check=False)

    assert 2 == done.returncode
    assert words in done.stderr
    assert "nothing is broken" in stoker("lab", "fault", "--state", lab).stdout
