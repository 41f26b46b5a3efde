"""The gates of week 2 on labs: good in each serving mode; failed with the matching fault; inconclusive where nothing is seen."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.lab.running.conftest import stoker
from tests.rollout.proof import apply, lab_up, measure, platform, probes_left, run

from stoker.kube.cluster import Cluster, open_cluster
from stoker.kube.refs import Object, Ref
from stoker.kube.transport import Tries
from stoker.rollout.evidence import GateResult, Verdict
from stoker.rollout.gates.week_2.ready import readiness_of, versions_of
from stoker.rollout.probes import sweep
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades import compile_platform
from stoker.upgrades.objects import Upgrade

pytestmark = pytest.mark.slow

_WEEK_2 = (Upgrade.SCHEDULING, Upgrade.TENANCY, Upgrade.STORAGE, Upgrade.SERVING)  # what stands by then
_CANARY = ("canary-split", "promote", "roll-back", "both-answer")
# Probes of kubelets have deadlines of the lab's seconds: on a busy machine a fast lab's engines would be killed by them.
_SPEED = 10


def _ready(cluster: Cluster, proof: ResolvedPlatform) -> None:
    for ref in versions_of(proof.models["llama"]):
        for _ in range(400):
            found = readiness_of(ref, cluster.get(ref))
            if found.ready:
                break
            cluster.clock.sleep(5)
        assert found.ready, found.why


@contextmanager
def _lab(folder: Path, proof: ResolvedPlatform) -> Iterator[Cluster]:
    try:
        with lab_up(folder, speed=_SPEED) as cluster:
            apply(cluster, proof, *_WEEK_2)
            _ready(cluster, proof)
            yield cluster
    finally:
        stoker("lab", "down", "--state", folder)


def all_of(cluster: Cluster, proof: ResolvedPlatform, **settings: object) -> dict[str, GateResult]:
    """The four gates over one canary, measured once."""
    memory: dict[str, Any] = {}
    own = {"canary-split": settings}
    return {
        gate: measure(cluster, proof, f"week-2/{gate}", None, memory=memory, **own.get(gate, {}))
        for gate in _CANARY
    }


@pytest.mark.parametrize("mode", ["Standard", "Knative", "LLMInferenceService", "Deployment"])
def test_a_good_cluster_passes_in_every_mode(mode: str, tmp_path: Path) -> None:
    proof = platform(mode)
    with _lab(tmp_path, proof) as cluster:
        ready = measure(cluster, proof, "week-2/model-ready")
        results = all_of(cluster, proof)

    assert ready.verdict is Verdict.PASSED, ready.judgement.reason
    seen = ready.judgement.measured["models"]["llama"]
    assert seen["right"] == ["models", "chat", "stream", "completion"]
    assert seen["not_applicable"] == ["V2: vllm does not serve the Open Inference Protocol"]
    reasons = [one.judgement.reason for one in results.values()]
    assert [one.verdict for one in results.values()] == [Verdict.PASSED] * 4, reasons
    split = results["canary-split"].judgement.measured
    assert split["requests_of_others"] == 0
    assert split["interval"][0] <= 0.1 <= split["interval"][1]
    assert results["promote"].judgement.measured["by_canary"] == 50
    assert results["roll-back"].judgement.measured["by_canary"] == 0
    # Measured once: the others say with which.
    assert any("together with week-2/canary-split" in one.what for one in results["promote"].evidence)


# --- faults -----------------------------------------------------------------------------------------------------------

_PLAIN = platform("Deployment")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a lab that serves without KServe: no controller mends what the tests break."""
    folder = tmp_path_factory.mktemp("week-2")
    with _lab(folder, _PLAIN):
        yield folder


@pytest.fixture
def lab(state: Path) -> Iterator[Cluster]:
    with open_cluster(kubeconfig=str(state / "kubeconfig")) as cluster:
        yield cluster


@contextmanager
def changed(cluster: Cluster, ref: Ref, patch: Object) -> Iterator[None]:
    """An object with another specification; the whole of the parts that change is put back."""
    found = cluster.get(ref)
    assert found is not None
    cluster.patch(ref, {"spec": patch})
    try:
        yield
    finally:
        cluster.patch(
            ref, {"spec": {key: _back(found["spec"].get(key), value) for key, value in patch.items()}}
        )


def _back(old: Any, new: Any) -> Any:
    """A merge patch takes nothing out that it does not name."""
    return {**dict.fromkeys(new), **old} if isinstance(old, dict) and isinstance(new, dict) else old


def _route(stable: int, canary: int) -> list[Object]:
    backends = [
        {"name": "llama", "port": 80, "weight": stable},
        {"name": "llama-v2", "port": 80, "weight": canary},
    ]
    return [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": backends}]


_ROUTE = Ref("gateway.networking.k8s.io/v1", "HTTPRoute", "ai-production", "llama")


def service(name: str) -> Ref:
    return Ref("v1", "Service", "ai-production", name)


def test_wrong_weights_are_measured(lab: Cluster) -> None:
    with changed(lab, _ROUTE, {"rules": _route(50, 50)}):
        results = all_of(lab, _PLAIN, canary="platform")
        after = lab.get(_ROUTE)

    assert results["canary-split"].verdict is Verdict.FAILED
    assert "10% is not in it" in results["canary-split"].judgement.reason
    assert 0.35 < results["canary-split"].judgement.measured["share"] < 0.65
    assert [results[gate].verdict for gate in _CANARY[1:]] == [Verdict.PASSED] * 3
    # The user's route is as it was found.
    assert after is not None
    assert [one["weight"] for one in after["spec"]["rules"][0]["backendRefs"]] == [50, 50]


def test_a_route_that_takes_the_traffic_away_fails_split_and_promotion(lab: Cluster) -> None:
    """Another route of the same host that is older wins: weights of ours mean nothing (Gateway API, conflict resolution)."""
    ours = lab.get(_ROUTE)
    assert ours is not None
    bare = {"apiVersion": ours["apiVersion"], "kind": "HTTPRoute", "spec": ours["spec"]}
    theirs = Ref(_ROUTE.api_version, "HTTPRoute", "ai-production", "older")
    lab.delete(_ROUTE)
    lab.create(
        {
            **bare,
            "metadata": {"name": "older", "namespace": "ai-production"},
            "spec": {**ours["spec"], "rules": _route(100, 0)},
        }
    )
    lab.clock.sleep(30)  # creation times have whole seconds
    lab.create({**bare, "metadata": {"name": "llama", "namespace": "ai-production"}})
    try:
        results = all_of(lab, _PLAIN, canary="platform")
    finally:
        lab.delete(theirs)

    verdicts = {gate: one.verdict for gate, one in results.items()}
    assert verdicts["canary-split"] is Verdict.FAILED
    assert verdicts["promote"] is Verdict.FAILED
    assert "not all requests came to the canary" in results["promote"].judgement.reason


def test_a_version_that_does_not_answer_fails(lab: Cluster) -> None:
    nowhere = [{"name": "http", "port": 80, "targetPort": 9, "protocol": "TCP"}]
    with changed(lab, service("llama-v2"), {"ports": nowhere}):
        results = all_of(lab, _PLAIN, canary="platform", requests_after=10)

    assert results["both-answer"].verdict is Verdict.FAILED
    assert "requests failed, first" in results["both-answer"].judgement.reason
    failed = results["both-answer"].judgement.measured["failed"]
    assert failed["front"] > 0
    assert failed["stable"] == 0
    # Nobody but the stable version answers, whatever it is given.
    assert results["promote"].verdict is not Verdict.PASSED


def test_something_that_is_no_model_is_not_taken_for_one(lab: Cluster) -> None:
    labels = {"app": "impostor"}
    pod = Ref("v1", "Pod", "ai-production", "impostor")
    container = {"name": "c", "image": "python:3.12", "command": ["python", "-m", "http.server", "8080"]}
    lab.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": labels},
            "spec": {
                "containers": [{**container, "ports": [{"containerPort": 8080}]}],
                "tolerations": [{"operator": "Exists"}],
            },
        }
    )
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    selector = lab.get(service("llama"))["spec"]["selector"]  # type: ignore[index]
    theirs = {**dict.fromkeys(selector), **labels}
    try:
        with (
            changed(lab, service("llama"), {"selector": theirs, "ports": ports}),
            changed(lab, _ROUTE, {"rules": _route(100, 0)}),
        ):
            for _ in range(100):
                if ((lab.get(pod) or {}).get("status") or {}).get("phase") == "Running":
                    break
                lab.clock.sleep(5)
            lab.clock.sleep(30)
            result = measure(lab, _PLAIN, "week-2/model-ready", within_seconds=10)
    finally:
        lab.delete(pod, grace=0)

    assert result.verdict is Verdict.FAILED
    assert "the answer is no list of models" in result.judgement.reason or "HTTP" in result.judgement.reason


def test_a_model_that_is_not_there_is_not_ready(lab: Cluster) -> None:
    elsewhere = platform("Standard")  # KServe was never asked for it here

    result = measure(lab, elsewhere, "week-2/model-ready", within_seconds=5)

    assert result.verdict is Verdict.FAILED
    assert (
        "InferenceService ai-production/llama is not ready: it is not in the cluster"
        in result.judgement.reason
    )


# --- nothing seen -----------------------------------------------------------------------------------------------------


def test_a_model_that_nobody_reaches_from_here_is_neither_right_nor_wrong(lab: Cluster) -> None:
    gateway = Ref("gateway.networking.k8s.io/v1", "Gateway", "kserve", "kserve-ingress-gateway")
    made, found = lab.get(gateway), lab.get(service("llama"))
    assert made is not None
    assert found is not None
    lab.delete(gateway)
    lab.delete(service("llama"))
    try:
        result = measure(lab, _PLAIN, "week-2/model-ready", within_seconds=10)
    finally:
        for one in (made, found):
            kept = {key: one["metadata"][key] for key in ("name", "namespace")}
            spec = {
                key: value for key, value in one["spec"].items() if key not in {"clusterIP", "clusterIPs"}
            }
            lab.create({"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": kept, "spec": spec})

    assert result.verdict is Verdict.INCONCLUSIVE
    assert "no way to llama from here" in result.judgement.reason


def test_without_quota_for_two_replicas_there_is_no_pair(lab: Cluster) -> None:
    quota = Ref("v1", "ResourceQuota", "ai-production", "stoker-quota")
    with changed(lab, quota, {"hard": {"requests.nvidia.com/gpu": "3"}}):
        result = measure(lab, _PLAIN, "week-2/canary-split")

    assert result.verdict is Verdict.INCONCLUSIVE
    assert "the quota of ai-production leaves" in result.judgement.reason


def test_an_api_that_does_not_answer_leaves_every_gate_open(lab: Cluster, state: Path) -> None:
    with open_cluster(kubeconfig=str(state / "kubeconfig"), tries=Tries(within=0.5)) as cluster:
        assert cluster.clock.speed == _SPEED
        stoker("lab", "fault", "api-500", "--value", 1, "--for", "20m", "--state", state)
        try:
            results = [run(cluster, _PLAIN, f"week-2/{gate}") for gate in ("model-ready", *_CANARY)]
        finally:
            stoker("lab", "fault", "api-500", "--off", "--state", state)

    assert {one.verdict for one in results} == {Verdict.INCONCLUSIVE}
    assert probes_left(lab) == []


# --- nothing left -----------------------------------------------------------------------------------------------------

_RUN_AND_STOP = """
    import os, random, sys
    from stoker.kube.cluster import open_cluster
    from stoker.rollout.gate import Context, run_gate
    from stoker.rollout.gates import GATES
    from stoker.rollout.probes import Probes
    from tests.rollout.proof import platform

    def tell(line):
        if line.startswith("gave 100"):
            print("now", flush=True)
            os.kill(os.getpid(), int(sys.argv[2]))

    with open_cluster(kubeconfig=sys.argv[1]) as cluster:
        gate = next(one for one in GATES if one.id == "week-2/canary-split")
        proof = platform("Deployment")
        settings = {**gate.settings, "canary": sys.argv[3]}
        probes = Probes(cluster, "stopped")
        print(run_gate(gate, Context(cluster, proof, settings, random.Random(0), probes, tell=tell)).judgement.reason)
"""


def _run_and_stop(state: Path, number: int, on: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(_RUN_AND_STOP),
        str(state / "kubeconfig"),
        str(number),
        on,
    ]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=dict(os.environ)
    )


def _weights(cluster: Cluster) -> list[int]:
    route = cluster.get(_ROUTE)
    assert route is not None
    return [one["weight"] for one in route["spec"]["rules"][0]["backendRefs"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_users_traffic_is_put_back_when_a_gate_ends_before_its_time(
    lab: Cluster, state: Path, number: int
) -> None:
    done = _run_and_stop(state, number, "platform")

    assert "now" in done.stdout, done.stdout + done.stderr
    if number == signal.SIGKILL:
        assert _weights(lab) == [0, 100]
        assert [str(one) for one in sweep(lab)] == ["HTTPRoute ai-production/llama"]
    assert _weights(lab) == [90, 10]
    # Nothing is left that a later apply would be in conflict with.
    compiled = next(one.object for one in compile_platform(_PLAIN) if one.object["kind"] == "HTTPRoute")
    assert "stoker.dev/gate" not in str(lab.get(_ROUTE))
    lab.apply({**compiled, "spec": {**compiled["spec"], "rules": _route(80, 20)}})
    assert _weights(lab) == [80, 20]
    lab.apply(compiled)


def test_a_pair_that_a_killed_gate_left_is_swept(lab: Cluster, state: Path) -> None:
    done = _run_and_stop(state, signal.SIGKILL, "probe")

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(probes_left(lab)) >= 5
    sweep(lab)
    assert probes_left(lab) == []
