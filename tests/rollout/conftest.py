"""A lab that runs, and the platform of an example, for gates and rollouts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.lab.running.conftest import stoker

from stoker.kube.cluster import Cluster, open_cluster


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lab for the framework's own tests: one GPU node, twenty times as fast as the wall."""
    folder = tmp_path_factory.mktemp("rollout")
    stoker(
        "lab",
        "up",
        "--state",
        folder,
        "--nodes",
        "1x8xA100-80GB",
        "--nodes",
        "1xcpu",
        "--speed",
        20,
        "--no-metrics",
    )
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture
def cluster(lab: Path) -> Iterator[Cluster]:
    with open_cluster(kubeconfig=str(lab / "kubeconfig")) as found:
        yield found
