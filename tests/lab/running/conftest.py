"""A lab that runs, started and stopped by the command, for the tests with real clients."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.command import STOKER, run, run_process

__all__ = ["STOKER", "Kubectl", "kubectl_of", "stoker"]

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


def stoker(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line; labs by a process of its own, for they are its children."""
    if arguments[0] != "lab":
        return run(*arguments, check=check)
    done = run_process(*arguments)
    assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done


@pytest.fixture(scope="session")
def lab_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lab that is up: two GPU nodes and one without, thirty times as fast as the wall."""
    folder = tmp_path_factory.mktemp("lab")
    stoker(
        "lab", "up", "--state", folder, "--nodes", "2x8xA100-80GB", "--nodes", "1xcpu", "--speed", 30, "--no-metrics"
    )  # fmt: skip
    yield folder
    stoker("lab", "down", "--state", folder)


def kubectl_of(state: Path) -> Kubectl:
    """The real kubectl, pointed at the lab of a folder."""
    path = shutil.which("kubectl")
    if path is None:
        pytest.skip("kubectl is not installed")
    environment = {**os.environ, "KUBECONFIG": str(state / "kubeconfig"), "HOME": str(state)}

    def run(*arguments: object, text: object = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        body = None if text is None else text if isinstance(text, str) else json.dumps(text)
        done = subprocess.run(
            [path, *map(str, arguments)], input=body, capture_output=True, text=True, env=environment, timeout=90,
            check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def kubectl(lab_state: Path) -> Kubectl:
    """The real kubectl, pointed at the lab that all share."""
    return kubectl_of(lab_state)


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name: str = request.node.name.split("[")[0].replace("test_", "").replace("_", "-")[:50].strip("-")
    kubectl("apply", "-f", "-", text={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
