"""`stoker rollout` from end to end: what it does, what it exits with, and that a rollout goes on from where it stands."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.apply.running.things import Kubectl
from tests.apply.running.things import stoker as run_stoker
from tests.lab.running.conftest import STOKER
from tests.rollout.running.things import GATES_OF, PLATFORM, left_over, standing, written

from stoker.kube.cluster import Cluster
from stoker.kube.lease import Holder, hold
from stoker.rollout.store import LEASE, Store

_PAUSED = "it is paused; `stoker rollout resume` goes on"


class Command:
    """`stoker rollout` at one lab."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return run_stoker("rollout", *arguments, "--kubeconfig", self.kubeconfig, check=False)

    def status(self) -> tuple[int, Any]:
        done = self("status", "--output", "json")
        return done.returncode, json.loads(done.stdout)

    def phases(self) -> dict[str, str]:
        return {one["name"]: one["status"] for one in self.status()[1]["rollout"]["phases"]}


@pytest.fixture
def rollout(kubeconfig: Path) -> Command:
    return Command(kubeconfig)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path)


def versions(kubectl: Kubectl) -> dict[str, str]:
    """Of everything that a rollout applies."""
    kinds = "namespaces,resourcequotas,limitranges,deployments,networkpolicies,validatingadmissionpolicies,httproutes"
    return {
        obj["metadata"]["uid"]: str(obj["metadata"].get("generation", ""))
        + str(obj["metadata"]["managedFields"])
        for obj in kubectl.json("get", kinds, "-A")["items"]
        if "status" not in str(obj["metadata"].get("managedFields", [{}])[-1].get("subresource"))
    }


def test_plan_says_what_each_phase_applies_and_proves_without_a_cluster(file: Path) -> None:
    done = run_stoker("rollout", "plan", file, "--output", "json", check=False)

    assert 0 == done.returncode, done.stderr
    phases = json.loads(done.stdout)["phases"]
    assert GATES_OF == {phase["name"]: [gate["id"] for gate in phase["gates"]] for phase in phases}
    assert "ResourceQuota ai-experiments stoker-quota" in phases[1]["objects"]
    assert "Deployment ai-production llama" in phases[2]["objects"]


def test_what_cannot_be_done_is_refused_before_anything_is(
    rollout: Command, file: Path, cluster: Cluster
) -> None:
    for arguments in (("status",), ("rollback", "--yes")):
        done = rollout(*arguments)
        assert 2 == done.returncode
        assert "no rollout has begun on this cluster" in done.stderr
    done = rollout("run", file, "--through", "nowhere")
    assert 2 == done.returncode
    assert "foundation, tenants, rest" in done.stderr
    assert Store(cluster).load() is None


@pytest.mark.slow
def test_a_rollout_goes_phase_by_phase_and_back(
    rollout: Command, file: Path, kubectl: Kubectl, cluster: Cluster
) -> None:
    before = standing(kubectl)
    first = rollout("run", file, "--set-nodes", "--through", "foundation")
    assert 0 == first.returncode, first.stderr
    assert "✓ week-1/untolerated passed" in first.stderr
    assert {"foundation": "passed", "tenants": "pending", "rest": "pending"} == rollout.phases()
    assert 5 == rollout.status()[0]  # gates of the others are not measured yet

    assert 0 == rollout("pause").returncode
    paused = rollout("run", file)
    assert 5 == paused.returncode
    assert _PAUSED in paused.stdout
    assert "pending" == rollout.phases()["tenants"]
    assert 0 == rollout("run", file, "--through", "foundation").returncode  # as far as that all has passed
    assert "`stoker rollout run` goes on now" in rollout("resume").stdout
    assert "nothing was paused" in rollout("resume").stdout
    assert 2 == rollout("gate", file, "week-1/nothing").returncode

    whole = rollout("run", file, "--output", "json")
    assert 0 == whole.returncode, whole.stderr
    code, status = rollout.status()
    assert 0 == code
    assert json.loads(whole.stdout) == status
    assert [gate for gates in GATES_OF.values() for gate in gates] == [one["id"] for one in status["gates"]]
    assert {"passed"} == {one["verdict"] for one in status["gates"]}
    assert all(
        one["evidence"] and one["source"] == "lab at 60 times the wall's speed" for one in status["gates"]
    )
    assert "lab at 60 times the wall's speed" == status["measured_on"]
    assert all("@" in entry["who"] for entry in status["rollout"]["log"])
    text = rollout("status").stdout
    assert all(entry["what"] in text for entry in status["rollout"]["log"])

    stood = versions(kubectl)
    again = rollout("run", file)
    assert 0 == again.returncode, again.stderr
    assert "" == again.stderr.strip()
    assert stood == versions(kubectl)
    assert status == rollout.status()[1]

    measured = rollout("gate", file, "week-1/limits-*", "--output", "json")
    assert 0 == measured.returncode, measured.stderr
    assert ["week-1/limits-refuse"] == [one["id"] for one in json.loads(measured.stdout)]
    assert 4 == len(rollout.status()[1]["gates"])

    part = rollout("rollback", "--back-to", "foundation", "--yes")
    assert 0 == part.returncode, part.stderr
    assert {"foundation": "passed", "tenants": "rolled-back", "rest": "rolled-back"} == rollout.phases()
    assert 5 == rollout.status()[0]
    assert "stoker-quota" not in kubectl("get", "resourcequota", "-A")
    assert 0 == rollout("rollback", "--yes").returncode
    assert before == standing(kubectl)
    assert [] == left_over(cluster)


@pytest.mark.slow
def test_a_cluster_without_its_taint_fails_the_gate_and_stops_there(
    rollout: Command, file: Path, kubectl: Kubectl, cluster: Cluster
) -> None:
    assert (
        1 == rollout("run", file, "--through", "foundation").returncode
    )  # nodes lack what they need, and nobody sets it
    node = kubectl.json("get", "nodes", "-l", "nvidia.com/gpu.present=true")["items"][0]["metadata"]["name"]
    try:
        done = rollout("run", file, "--set-nodes", "--through", "foundation")
        assert 0 == done.returncode, done.stderr
        kubectl("taint", "node", node, "nvidia.com/gpu-")

        failed = rollout("gate", file, "week-1/untolerated")

        assert 1 == failed.returncode, failed.stderr
        assert {"foundation": "failed", "tenants": "pending", "rest": "pending"} == rollout.phases()
        assert 1 == rollout.status()[0]
        stopped = rollout("run", file)
        assert 1 == stopped.returncode
        assert "stopped: week-1/untolerated is failed" in stopped.stdout
        assert "pending" == rollout.phases()["tenants"]
        assert [] == left_over(cluster)
    finally:
        rollout("rollback", "--yes")


@pytest.mark.slow
def test_a_platform_that_has_changed_begins_again_and_is_rolled_back_whole(
    rollout: Command, file: Path, tmp_path: Path, kubectl: Kubectl, cluster: Cluster
) -> None:
    before = standing(kubectl)
    assert 0 == rollout("run", file, "--set-nodes", "--through", "tenants").returncode
    text = PLATFORM.replace("gpus: {a100: 2}", "gpus: {a100: 3}").replace("name: foundation", "name: ground")
    other = written(tmp_path, text, "other.yaml")

    # A gate by another file is told, and not written into this rollout's record.
    told = rollout("gate", other, "week-1/quota-refuses")
    assert "the rollout is of another file" in told.stderr
    assert 3 == len(rollout.status()[1]["gates"])

    changed = rollout("run", other, "--set-nodes", "--through", "tenants")
    assert 0 == changed.returncode, changed.stderr
    _, status = rollout.status()
    assert "the platform has changed: every phase is applied and measured again" in str(
        status["rollout"]["log"]
    )
    assert 6 == len(status["gates"])
    quota = kubectl.json("get", "resourcequota", "stoker-quota", "-n", "ai-experiments")
    assert "3" == quota["spec"]["hard"]["requests.nvidia.com/gpu"]

    # The second run of the first phase came after the first of the second: only the second phase goes.
    assert 0 == rollout("rollback", "--back-to", "ground", "--yes").returncode
    assert "kube-root-ca" in kubectl("get", "configmap", "-n", "ai-experiments")
    assert 0 == rollout("rollback", "--yes").returncode
    assert before == standing(kubectl)

    renamed = written(tmp_path, PLATFORM.replace("name: small", "name: large"), "renamed.yaml")
    assert 0 == rollout("run", file, "--set-nodes", "--through", "foundation").returncode
    refused = rollout("run", renamed, "--set-nodes")
    assert 4 == refused.returncode
    assert "this cluster has the rollout of another platform: small" in refused.stderr
    assert 0 == rollout("rollback", "--yes").returncode
    assert cluster.context


@pytest.fixture
def elsewhere(cluster: Cluster) -> Iterator[Holder]:
    """A run that goes on on another machine."""
    Store(cluster).prepare()
    other = Holder("ada", "laptop", 1, "cafe")
    with hold(cluster, "stoker-system", LEASE, what="a rollout", holder=other, duration=3.0):
        yield other


@pytest.mark.slow
def test_never_two_at_once(
    rollout: Command, file: Path, kubectl: Kubectl, cluster: Cluster, kubeconfig: Path
) -> None:
    assert 0 == rollout("run", file, "--set-nodes", "--through", "foundation").returncode
    command = [str(STOKER), "rollout", "run", str(file), "--kubeconfig", str(kubeconfig)]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ends = [process.communicate(timeout=900) for process in both]

    codes = [process.returncode for process in both]
    refused = [err for code, (_, err) in zip(codes, ends, strict=True) if code == 4]
    assert sorted(codes) in ([0, 0], [0, 4]), ends
    assert all("a rollout is running: " in err for err in refused)
    assert "passed" == rollout.phases()["rest"]
    log = [entry["what"] for entry in rollout.status()[1]["rollout"]["log"]]
    assert 1 == log.count("tenants: applied")
    assert 0 == rollout("rollback", "--yes").returncode
    assert [] == left_over(cluster)
    assert kubectl("get", "namespaces")


def test_whoever_comes_second_is_told_who_holds_it_and_changes_nothing(
    rollout: Command, file: Path, kubectl: Kubectl, elsewhere: Holder
) -> None:
    before = standing(kubectl)
    for arguments in (("run", file, "--set-nodes"), ("gate", file)):
        done = rollout(*arguments)
        assert 4 == done.returncode, done.stderr
        assert f"a rollout is running: {elsewhere} holds Lease stoker-system/stoker-rollout" in done.stderr
    assert before == standing(kubectl)
    assert "no rollout has begun on this cluster" in rollout("status").stderr
