"""A small lab that runs, for the tests of the door to a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.running.conftest import stoker

from stoker.kube.cluster import Cluster, open_cluster


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("door")
    stoker("lab", "up", "--state", folder, "--nodes", "1xcpu", "--speed", 20, "--no-metrics")
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture(scope="session")
def cluster(state: Path) -> Iterator[Cluster]:
    with open_cluster(kubeconfig=str(state / "kubeconfig")) as found:
        found.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "door"}})
        yield found
