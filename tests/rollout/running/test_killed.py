"""`kill -9` at any request of a rollout or of its rollback: the next one converges, and no probe, no change of a gate is left."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.apply.running.things import Kubectl
from tests.conftest import REPOSITORY
from tests.rollout.running import victim
from tests.rollout.running.things import GATES_OF, left_over, phases_of, roll, standing

from stoker.apply.plan import plan_changes
from stoker.apply.store import Store as ApplyStore
from stoker.cli.rollout_told import take_back
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object
from stoker.rollout.evidence import Verdict
from stoker.rollout.state import Done, PhaseStatus, RolloutState
from stoker.rollout.store import Store

_NEVER = 1_000_000
_REQUESTS = 205  # about as many writing requests as a whole rollout makes, dry runs among them
_BACK = 105  # and a rollback of everything

Point = tuple[int, str]


def run(kubeconfig: Path, command: str, at: int, moment: str) -> int:
    """Exit code of a rollout, or rollback, that kills itself at a request."""
    done = subprocess.run(
        [sys.executable, victim.__file__, str(kubeconfig), command, str(at), moment],
        capture_output=True, text=True, check=False, timeout=1800, cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}", "PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
    )  # fmt: skip
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def points(seed: int, count: int, most: int) -> list[Point]:
    rng = random.Random(seed)  # noqa: S311  # which request, and on which side of it
    return [(rng.randint(1, most), rng.choice(["unsent", "answered"])) for _ in range(count)]


def names_of(found: Iterable[str]) -> list[str]:
    """Objects by name, without those that the cluster makes by itself in every namespace."""
    return sorted(name for name in found if not name.endswith(("/kube-root-ca.crt", "/default")))


def check_record(store: Store, state: RolloutState) -> None:
    """Each gate's last result is kept and passed, and the log tells the steps in the order in which they belong."""
    results = list(store.results(state.id))
    last: dict[str, Any] = {result["id"]: result for result in results}
    assert {gate for gates in GATES_OF.values() for gate in gates} == set(last)
    assert {"passed"} == {result["verdict"] for result in last.values()}
    assert all(result["cleaned"] for result in last.values())
    assert sorted(result["started"] for result in results) == [result["started"] for result in results]

    moments = [entry.at for entry in state.log]
    assert sorted(moments) == moments
    said = [entry.what for entry in state.log]
    assert said.count("began") == 1
    done = said.index("began")
    for phase, gates in GATES_OF.items():  # a phase is applied when all gates of the one before have passed
        applied = said.index(f"{phase}: applied")
        assert applied > done, said
        passed = [
            next(i for i, what in enumerate(said) if what.startswith(f"{gate}: passed")) for gate in gates
        ]
        assert all(place > applied for place in passed), said
        done = max([applied, *passed])
    assert [PhaseStatus.PASSED] * 3 == [phase.status for phase in state.phases]
    assert state.verdict() is Verdict.PASSED


def check_whole(kubectl: Kubectl, cluster: Cluster, before: dict[str, Object]) -> None:
    """Everything is applied and proved, once, and the user's things are as they were."""
    assert [] == left_over(cluster)
    store = Store(cluster)
    state = store.load()
    assert state is not None
    check_record(store, state)

    objects = [item for phase in phases_of() for item in phase.objects]
    assert () == plan_changes(cluster, objects).changed
    entries = ApplyStore(cluster).entries.values()
    assert not [entry for entry in entries if entry.pending or entry.unsure]
    found = standing(kubectl)
    wanted = {f"{item.key[1]} {item.key[2]}/{item.key[3]}" for phase in phases_of() for item in phase.objects}
    ours = {name for name in wanted if "stoker-system" not in name}
    assert names_of(before.keys() | ours) == names_of(found)
    for name in ("ConfigMap theirs/settings", "ConfigMap ai-production/settings", "Deployment theirs/web"):
        assert before[name] == found[name]
    assert "search" == found["Namespace /ai-production"]["metadata"]["labels"]["team"]


def check_back(kubeconfig: Path, kubectl: Kubectl, cluster: Cluster, before: dict[str, Object]) -> None:
    """A rollback of everything leaves the cluster as it was."""
    assert 0 == run(kubeconfig, "rollback", _NEVER, "unsent")
    check_gone(kubectl, cluster, before)


def check_gone(kubectl: Kubectl, cluster: Cluster, before: dict[str, Object]) -> None:
    assert [] == left_over(cluster)
    assert before == standing(kubectl)
    state = Store(cluster).load()
    assert state is not None
    assert not [phase for phase in state.phases if phase.runs or phase.verdicts]


def test_a_rollout_that_was_killed_is_gone_on_with(
    kubeconfig: Path, kubectl: Kubectl, cluster: Cluster
) -> None:
    before = standing(kubectl)

    assert -signal.SIGKILL == run(kubeconfig, "run", 130, "answered")
    roll(cluster)

    check_whole(kubectl, cluster, before)
    _, left = take_back(cluster)
    assert [] == left
    check_gone(kubectl, cluster, before)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "moment"), points(5, 40, _REQUESTS))
def test_forty_points_of_a_rollout(
    kubeconfig: Path, kubectl: Kubectl, cluster: Cluster, at: int, moment: str
) -> None:
    before = standing(kubectl)

    run(kubeconfig, "run", at, moment)
    assert 0 == run(kubeconfig, "run", _NEVER, "unsent")

    check_whole(kubectl, cluster, before)
    check_back(kubeconfig, kubectl, cluster, before)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "moment"), points(6, 10, _BACK))
def test_ten_points_of_a_rollback(
    kubeconfig: Path, kubectl: Kubectl, cluster: Cluster, at: int, moment: str
) -> None:
    before = standing(kubectl)
    assert 0 == run(kubeconfig, "run", _NEVER, "unsent")

    run(kubeconfig, "rollback", at, moment)

    check_back(kubeconfig, kubectl, cluster, before)


@pytest.mark.slow
def test_a_rollout_after_a_rollback_that_was_killed_applies_and_measures_again(
    kubeconfig: Path, kubectl: Kubectl, cluster: Cluster
) -> None:
    before = standing(kubectl)
    roll(cluster)
    assert -signal.SIGKILL == run(kubeconfig, "rollback", 60, "answered")
    state = Store(cluster).load()
    assert state is not None
    assert state.verdict() is Verdict.INCONCLUSIVE  # what is half gone has not passed

    _, end = roll(cluster)

    assert end == Done()
    check_back(kubeconfig, kubectl, cluster, before)
