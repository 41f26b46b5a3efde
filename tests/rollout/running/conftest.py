"""One lab for the tests of this folder; each test begins with what the user has, and takes everything away after it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apply.running.things import Kubectl, stoker
from tests.rollout.running.things import forget, standing, theirs

from stoker.kube.cluster import Cluster, open_cluster

SPEED = 60


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("rollouts")
    nodes = ("--nodes", "1x8xA100-80GB", "--nodes", "1xcpu")
    stoker("lab", "up", "--state", folder, *nodes, "--speed", SPEED, "--no-metrics")
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture(scope="session")
def kubeconfig(state: Path) -> Path:
    return state / "kubeconfig"


@pytest.fixture(scope="session")
def kubectl(kubeconfig: Path) -> Kubectl:
    return Kubectl(kubeconfig)


@pytest.fixture
def cluster(kubeconfig: Path, kubectl: Kubectl) -> Iterator[Cluster]:
    """The cluster with the user's things in it, and nothing of ours; the user's stay from test to test where they are untouched."""
    if "theirs" not in kubectl("get", "namespaces"):
        theirs(kubectl)
    before = standing(kubectl)
    with open_cluster(kubeconfig=str(kubeconfig)) as found:
        yield found
    if before == standing(kubectl):
        kubectl("delete", "namespace", "stoker-system", "--ignore-not-found", "--wait")
    else:
        forget(kubectl)
