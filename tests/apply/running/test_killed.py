"""`kill -9` at any request of a run: the next run converges, nothing of the user's is lost, nothing is there twice."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.apply.running import victim
from tests.apply.running.things import REPLACE, TAKES, Kubectl, state_of, wanted
from tests.conftest import REPOSITORY

from stoker.apply.asked import Allowed, parse_takes
from stoker.apply.plan import plan_changes
from stoker.apply.store import Store
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object

_NEVER = 1_000_000
_REQUESTS = 95  # about as many writing requests as a whole run makes, dry runs among them


def run(kubeconfig: Path, command: str, at: int, moment: str) -> int:
    """Exit code of a run that kills itself at a request."""
    done = subprocess.run(
        [sys.executable, victim.__file__, str(kubeconfig), command, str(at), moment],
        capture_output=True, text=True, check=False, timeout=1800, cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}", "PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
    )  # fmt: skip
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def points(seed: int, count: int) -> list[tuple[int, str]]:
    rng = random.Random(seed)  # noqa: S311  # which request, and on which side of it
    return [(rng.randint(1, _REQUESTS), rng.choice(["unsent", "answered"])) for _ in range(count)]


def without_record(state: dict[str, Object]) -> dict[str, Object]:
    return {name: obj for name, obj in state.items() if "stoker-system" not in name}


def check(
    kubeconfig: Path, kubectl: Kubectl, cluster: Cluster, before: dict[str, Object], at: int, moment: str
) -> None:
    run(kubeconfig, "apply", at, moment)
    assert 0 == run(kubeconfig, "apply", _NEVER, "unsent")

    plan = plan_changes(
        cluster, wanted(), name="test", allowed=Allowed(parse_takes(TAKES), REPLACE), entries=Store(cluster).entries.values()
    )  # fmt: skip
    assert () == plan.changed
    entries = Store(cluster).entries
    assert not [entry for entry in entries.values() if entry.pending or entry.unsure]
    assert {"low", "red"} & set(kubectl.json("get", "cm", "settings", "-n", "theirs")["data"].values()) == {
        "red"
    }

    assert 0 == run(kubeconfig, "uninstall", _NEVER, "unsent")
    kubectl("wait", "--for=delete", "namespace/stoker-system", "--timeout=300s")
    assert before == state_of(kubectl)


@pytest.mark.parametrize(("at", "moment"), points(1, 1))
def test_a_run_that_was_killed_is_gone_on_with(
    kubeconfig: Path, kubectl: Kubectl, cluster: Cluster, at: int, moment: str
) -> None:
    check(kubeconfig, kubectl, cluster, state_of(kubectl), at, moment)


@pytest.mark.parametrize(("at", "moment"), points(2, 1))
def test_an_uninstall_that_was_killed_is_gone_on_with(
    kubeconfig: Path, kubectl: Kubectl, cluster: Cluster, at: int, moment: str
) -> None:
    before = state_of(kubectl)
    assert 0 == run(kubeconfig, "apply", _NEVER, "unsent")
    run(kubeconfig, "uninstall", at % 45 + 1, moment)

    assert 0 == run(kubeconfig, "uninstall", _NEVER, "unsent")

    kubectl("wait", "--for=delete", "namespace/stoker-system", "--timeout=300s")
    assert before == state_of(kubectl)
    assert cluster.context


@pytest.mark.slow
@pytest.mark.parametrize(("at", "moment"), points(3, 50))
def test_fifty_points(kubeconfig: Path, kubectl: Kubectl, cluster: Cluster, at: int, moment: str) -> None:
    check(kubeconfig, kubectl, cluster, state_of(kubectl), at, moment)
