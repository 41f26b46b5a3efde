"""The gates of week 1 on a lab: passed where all is well, failed with the matching fault, inconclusive where nothing is seen."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.lab.running.conftest import kubectl_of, stoker
from tests.rollout.proof import apply, lab_up, measure, platform, probes_left, run

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object, Ref
from stoker.kube.transport import Tries
from stoker.rollout.evidence import GateResult, Verdict
from stoker.rollout.probes import sweep
from stoker.upgrades.objects import Upgrade

_PROOF = platform()
_TRAINING_QUOTA = Ref("v1", "ResourceQuota", "ai-training", "stoker-quota")
_CAP = Ref(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "", "stoker-gpus-ai-experiments"
)
_GATES = (
    "gpus-visible",
    "untolerated",
    "tolerated",
    "spread",
    "quota-refuses",
    "limits-refuse",
    "preemption",
)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lab with what week 1 applies."""
    folder = tmp_path_factory.mktemp("week-1")
    with lab_up(folder) as cluster:
        apply(cluster, _PROOF, Upgrade.SCHEDULING, Upgrade.TENANCY)
    yield folder
    stoker("lab", "down", "--state", folder)


@pytest.fixture
def lab(state: Path) -> Iterator[Cluster]:
    with open_cluster(kubeconfig=str(state / "kubeconfig")) as cluster:
        yield cluster


def week_1(cluster: Cluster, gate: str, **settings: object) -> GateResult:
    return measure(cluster, _PROOF, f"week-1/{gate}", **settings)  # type: ignore[arg-type]


def _bare(obj: Object) -> Object:
    kept = {key: obj["metadata"][key] for key in ("name", "namespace", "labels") if key in obj["metadata"]}
    return {
        **{key: value for key, value in obj.items() if key not in {"status", "metadata"}},
        "metadata": kept,
    }


@contextmanager
def without(cluster: Cluster, ref: Ref, instead: Object | None = None) -> Iterator[None]:
    """The cluster without an object, or with another in its place."""
    found = cluster.get(ref)
    assert found is not None
    cluster.delete(ref)
    if instead is not None:
        cluster.create(_bare(found) | instead)
    try:
        yield
    finally:
        cluster.delete(ref)
        cluster.create(_bare(found))


@contextmanager
def nodes_with(cluster: Cluster, patch: Callable[[Object], Object], names: str = "") -> Iterator[None]:
    """Nodes (whose names begin so) with another specification."""
    before = [one for one in cluster.objects("v1", "Node") if one["metadata"]["name"].startswith(names)]
    for node in before:
        cluster.patch(Ref("v1", "Node", "", node["metadata"]["name"]), {"spec": patch(node["spec"])})
    try:
        yield
    finally:
        for node in before:
            old = {"taints": node["spec"].get("taints"), "unschedulable": node["spec"].get("unschedulable")}
            cluster.patch(Ref("v1", "Node", "", node["metadata"]["name"]), {"spec": old})


@pytest.mark.parametrize("gate", _GATES)
def test_a_good_cluster_passes(lab: Cluster, gate: str) -> None:
    result = week_1(lab, gate)

    assert result.verdict is Verdict.PASSED, result.judgement.reason
    assert result.source == "lab at 60 times the wall's speed"
    assert result.evidence


def test_spread_is_tried_with_pods_that_stand_for_the_model(lab: Cluster) -> None:
    assert "llama (probe pods): 2 on 2 nodes" in week_1(lab, "spread").judgement.reason


# --- each fault fails its gate ----------------------------------------------------------------------------------------


def test_nodes_without_the_taint_let_everybody_in(lab: Cluster) -> None:
    with nodes_with(lab, lambda _: {"taints": None}):
        result = week_1(lab, "untolerated")

    assert result.verdict is Verdict.FAILED
    assert "a pod without tolerations was placed on a100: a100-0" in result.judgement.reason


def test_one_node_without_the_taint_is_named(lab: Cluster) -> None:
    with nodes_with(lab, lambda _: {"taints": [{"key": "other", "effect": "NoSchedule"}]}, "a100-2"):
        result = week_1(lab, "untolerated")

    assert result.verdict is Verdict.FAILED
    assert "a100-2" in result.judgement.reason


def test_a_taint_that_nobody_tolerates_keeps_everybody_out(lab: Cluster) -> None:
    """The guide's ``dedicated=inference``, beside the one that the platform knows."""
    more = {"key": "dedicated", "value": "inference", "effect": "NoSchedule"}
    with nodes_with(lab, lambda spec: {"taints": [*spec.get("taints", []), more]}):
        result = week_1(lab, "tolerated")

    assert result.verdict is Verdict.FAILED
    assert "a taint that its pool does not name" in result.judgement.reason


def test_replicas_on_one_node_are_not_spread(lab: Cluster) -> None:
    labels = _PROOF.models["llama"].pod_labels
    names = ("llama-a", "llama-b")
    for name in names:
        spec = {
            "nodeName": "a100-1",
            "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}],
        }
        metadata = {"name": name, "namespace": "ai-production", "labels": labels}
        lab.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        result = week_1(lab, "spread")
    finally:
        for name in names:
            lab.delete(Ref("v1", "Pod", "ai-production", name), grace=0)

    assert result.verdict is Verdict.FAILED
    assert "llama (its pods): 2 on a100-1, though a100-0, a100-2 had room" in result.judgement.reason


def test_without_a_quota_nothing_is_refused(lab: Cluster) -> None:
    with without(lab, _TRAINING_QUOTA):
        result = week_1(lab, "quota-refuses")

    assert result.verdict is Verdict.FAILED
    assert "ai-training got 17 nvidia.com/gpu in one pod" in result.judgement.reason


def test_a_quota_that_is_accepted_and_never_counted_refuses_nothing(lab: Cluster) -> None:
    """The guide's ``limits.nvidia.com/gpu``."""
    with without(lab, _TRAINING_QUOTA, {"spec": {"hard": {"limits.nvidia.com/gpu": "16"}}}):
        result = week_1(lab, "quota-refuses")

    assert result.verdict is Verdict.FAILED
    assert "ai-training got 17" in result.judgement.reason


def test_a_quota_that_is_used_up_by_others_is_exceeded_all_the_same(lab: Cluster) -> None:
    with without(lab, _TRAINING_QUOTA, {"spec": {"hard": {"requests.nvidia.com/gpu": "0"}}}):
        assert week_1(lab, "quota-refuses").verdict is Verdict.PASSED


def test_without_the_policy_only_the_quota_refuses_a_large_pod(lab: Cluster) -> None:
    with without(lab, _CAP):
        result = week_1(lab, "limits-refuse")

    assert result.verdict is Verdict.FAILED
    assert "neither LimitRange nor policy refused, only the quota" in result.judgement.reason


def test_a_limit_range_stops_one_container_but_not_eight(lab: Cluster) -> None:
    """The guide's LimitRange in place of the policy."""
    limits = [{"type": "Container", "max": {"nvidia.com/gpu": "1"}, "default": {"nvidia.com/gpu": "0"}}]
    metadata = {"name": "gpus", "namespace": "ai-experiments"}
    ref = Ref("v1", "LimitRange", "ai-experiments", "gpus")
    with without(lab, _CAP):
        lab.create(
            {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata, "spec": {"limits": limits}}
        )
        try:
            result = week_1(lab, "limits-refuse")
        finally:
            lab.delete(ref)

    assert result.verdict is Verdict.FAILED
    by = [one["by"] for one in result.judgement.measured["asked"]]
    assert by == ["LimitRange", "ResourceQuota"]


@pytest.mark.parametrize(
    ("tenant", "instead", "words"),
    [
        pytest.param("ai-training", None, "no PriorityClass stoker-ai-training", id="absent"),
        pytest.param("ai-training", {"value": 1_000_000}, "does not stand above", id="equal"),
        pytest.param(
            "ai-production",
            {"preemptionPolicy": "Never"},
            "did not get a training pod's GPU",
            id="never preempts",
        ),
    ],
)
def test_priorities_that_do_not_rank_fail(
    lab: Cluster, tenant: str, instead: Object | None, words: str
) -> None:
    with without(lab, Ref("scheduling.k8s.io/v1", "PriorityClass", "", f"stoker-{tenant}"), instead):
        result = week_1(lab, "preemption")

    assert result.verdict is Verdict.FAILED
    assert words in result.judgement.reason


# --- and where nothing can be measured, that is said ------------------------------------------------------------------


def test_cordoned_nodes_show_nothing(lab: Cluster) -> None:
    with nodes_with(lab, lambda _: {"unschedulable": True}):
        results = [week_1(lab, gate) for gate in ("untolerated", "tolerated", "spread", "preemption")]

    assert [one.verdict for one in results] == [Verdict.INCONCLUSIVE] * 4
    assert "not Ready, or cordoned" in results[3].judgement.reason


def test_a_full_cluster_leaves_no_stage_and_nobody_s_pod_is_touched(lab: Cluster) -> None:
    ref = [Ref("v1", "Pod", "default", f"user-{number}") for number in range(3)]
    for number, one in enumerate(ref):
        resources = {"limits": {"nvidia.com/gpu": "8"}}
        spec = {
            "nodeName": f"a100-{number}",
            "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10", "resources": resources}],
        }
        metadata = {"name": one.name, "namespace": "default"}
        lab.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        result = week_1(lab, "preemption")
        alive = [lab.get(one) for one in ref]
    finally:
        for one in ref:
            lab.delete(one, grace=0)

    assert result.verdict is Verdict.INCONCLUSIVE
    assert "no nvidia.com/gpu is free" in result.judgement.reason
    assert all(one and not one["metadata"].get("deletionTimestamp") for one in alive)


def test_without_rights_nothing_is_passed(lab: Cluster, state: Path, tmp_path: Path) -> None:
    kubectl = kubectl_of(state)
    kubectl("create", "serviceaccount", "nobody", check=False)
    token = kubectl("create", "token", "nobody").stdout.strip()
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json").stdout)
    config["users"] = [{"name": one["name"], "user": {"token": token}} for one in config["users"]]
    file = tmp_path / "nobody"
    file.write_text(json.dumps(config), encoding="utf-8")

    with open_cluster(kubeconfig=str(file)) as cluster:
        for gate in _GATES:
            found = run(cluster, _PROOF, f"week-1/{gate}")
            assert found.verdict is Verdict.INCONCLUSIVE
            assert "cannot" in found.judgement.reason
    assert probes_left(lab) == []


def test_an_api_that_does_not_answer_leaves_every_gate_open(lab: Cluster, state: Path) -> None:
    with open_cluster(kubeconfig=str(state / "kubeconfig"), tries=Tries(within=0.5)) as cluster:
        assert cluster.clock.speed == 60
        stoker("lab", "fault", "api-500", "--value", 1, "--for", "20m", "--state", state)
        try:
            results = [run(cluster, _PROOF, f"week-1/{gate}") for gate in _GATES]
        finally:
            stoker("lab", "fault", "api-500", "--off", "--state", state)

    assert {one.verdict for one in results} == {Verdict.INCONCLUSIVE}
    assert probes_left(lab) == []


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lab whose nodes have GPUs and no device plugin."""
    folder = tmp_path_factory.mktemp("bare")
    lab_up(folder, "--no-device-plugin").close()
    yield folder
    stoker("lab", "down", "--state", folder)


def test_without_a_device_plugin_nodes_show_nothing(bare: Path) -> None:
    with open_cluster(kubeconfig=str(bare / "kubeconfig")) as cluster:
        result = week_1(cluster, "gpus-visible")

    assert result.verdict is Verdict.FAILED
    assert "a100-1 shows no GPU resource (no device-plugin pod on the node)" in result.judgement.reason
    assert result.judgement.measured["nodes_with_their_gpus"] == 0


def test_without_a_gpu_node_there_is_nothing_to_measure(tmp_path: Path) -> None:
    with lab_up(tmp_path, "--nodes", "1xcpu") as cluster:
        try:
            apply(cluster, _PROOF, Upgrade.SCHEDULING, Upgrade.TENANCY)
            results = {gate: week_1(cluster, gate) for gate in _GATES}
        finally:
            stoker("lab", "down", "--state", tmp_path)

    verdicts = {gate: one.verdict for gate, one in results.items()}
    # Admission needs no node.
    assert {gate for gate, verdict in verdicts.items() if verdict is Verdict.PASSED} == {
        "quota-refuses",
        "limits-refuse",
    }
    assert {verdict for gate, verdict in verdicts.items() if "refuse" not in gate} == {Verdict.INCONCLUSIVE}


# --- and nothing is left ----------------------------------------------------------------------------------------------


_RUN_AND_STOP = """
    import os, random, signal, sys
    from stoker.kube.cluster import open_cluster
    from stoker.rollout.gate import Context, run_gate
    from stoker.rollout.gates import GATES
    from stoker.rollout.probes import Probes
    from tests.rollout.proof import platform

    def tell(line):
        if "ai-production/" in line or "event" in line:
            print("now", flush=True)
            os.kill(os.getpid(), int(sys.argv[2]))

    with open_cluster(kubeconfig=sys.argv[1]) as cluster:
        gate = next(one for one in GATES if one.id == "week-1/preemption")
        run_gate(gate, Context(cluster, platform(), gate.settings, random.Random(0), Probes(cluster, "stopped"), tell=tell))
"""


def _run_and_stop(state: Path, number: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(_RUN_AND_STOP), str(state / "kubeconfig"), str(number)]
    environment: dict[str, Any] = dict(os.environ)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_an_interrupted_gate_removes_its_pods_before_it_ends(lab: Cluster, state: Path) -> None:
    done = _run_and_stop(state, signal.SIGINT)

    assert "now" in done.stdout, done.stderr
    assert "KeyboardInterrupt" in done.stderr
    assert probes_left(lab) == []


def test_what_a_killed_gate_leaves_is_swept(lab: Cluster, state: Path) -> None:
    done = _run_and_stop(state, signal.SIGKILL)

    assert done.returncode == -signal.SIGKILL
    assert len(probes_left(lab)) >= 2
    swept = sweep(lab)
    assert len(swept) >= 2
    assert probes_left(lab) == []
