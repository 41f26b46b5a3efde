"""A gate is cleaned up in all cases, and what could not be measured is never passed."""

import random
from pathlib import Path

import pytest

from stoker.errors import UnreachableError
from stoker.kube.api_errors import AlreadyExistsError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref
from stoker.platform.load import loads
from stoker.rollout.evidence import Judgement, Verdict
from stoker.rollout.gate import CannotMeasureError, Context, Gate, run_gate
from stoker.rollout.probes import PROBE_LABEL, Probes, sweep
from stoker.sizing.resolve import resolve

EXAMPLE = Path(__file__).parents[2] / "examples" / "minimal.yaml"


def pod(name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]},
    }


def context(cluster: Cluster, **settings: object) -> Context:
    platform = resolve(loads(EXAMPLE.read_text(encoding="utf-8")))
    return Context(cluster, platform, settings, random.Random(0), Probes(cluster, "run-1"))  # noqa: S311  # seeded on purpose


def exists(cluster: Cluster, name: str) -> bool:
    found = cluster.get(Ref("v1", "Pod", "default", name))
    return found is not None and not found["metadata"].get("deletionTimestamp")


def gate(measure: object) -> Gate:
    return Gate("week-1/example", "An example", "{pods} pods", "makes a pod", measure, {"pods": 1})  # type: ignore[arg-type]


def test_a_gate_leaves_its_figures_its_observations_and_no_pod(cluster: Cluster) -> None:
    def measure(context: Context) -> Judgement:
        made = context.probes.create(pod("probe"))
        context.note("made a pod", uid=made["metadata"]["uid"])
        assert exists(context.cluster, "probe")
        return Judgement.passed("one pod", pods=1)

    result = run_gate(gate(measure), context(cluster, pods=1)).as_json()

    assert (result["phase"], result["verdict"], result["threshold"]) == ("week-1", "passed", "1 pods")
    assert result["measured"] == {"pods": 1}
    assert [seen["what"] for seen in result["evidence"]] == ["made a pod"]
    assert result["source"] == "lab at 20 times the wall's speed"
    assert result["cleaned"]
    assert not exists(cluster, "probe")


@pytest.mark.parametrize("error", [KeyboardInterrupt, AssertionError])
def test_a_gate_that_is_interrupted_or_breaks_is_cleaned_up_as_well(
    cluster: Cluster, error: type[BaseException]
) -> None:
    undone: list[str] = []

    def measure(context: Context) -> Judgement:
        context.probes.create(pod("broken"))
        context.probes.undo("first", lambda: undone.append("first"))
        context.probes.undo("second", lambda: undone.append("second"))
        raise error

    with pytest.raises(error):
        run_gate(gate(measure), context(cluster, pods=1))

    assert not exists(cluster, "broken")
    assert undone == ["second", "first"]


def test_what_cannot_be_measured_is_inconclusive_with_the_reason(cluster: Cluster) -> None:
    def measure(_: Context) -> Judgement:
        raise CannotMeasureError("no GPU node", fix="add one")

    result = run_gate(gate(measure), context(cluster, pods=1))

    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.judgement.reason == "no GPU node (add one)"


def test_what_a_killed_run_left_is_swept_and_nothing_else(cluster: Cluster) -> None:
    cluster.create(pod("of-the-user"))
    left = Probes(cluster, "killed")
    left.create(pod("left"))

    found = sweep(cluster)

    assert [ref.name for ref in found] == ["left"]
    assert not exists(cluster, "left")
    assert exists(cluster, "of-the-user")
    cluster.delete(Ref("v1", "Pod", "default", "of-the-user"))


def test_a_probe_pod_ends_by_itself_where_no_run_ever_comes(cluster: Cluster) -> None:
    probes = Probes(cluster, "alone")
    made = probes.create(pod("alone"))

    assert made["spec"]["activeDeadlineSeconds"] == 3600
    assert made["metadata"]["labels"] == {PROBE_LABEL: "alone"}
    assert probes.clean()


class Forgetful:
    """A cluster whose answer to a create is lost on the way."""

    def __init__(self, cluster: Cluster, error: BaseException) -> None:
        self._cluster, self._error = cluster, error

    def create(self, obj: Object) -> Object:
        self._cluster.create(obj)
        raise self._error

    def __getattr__(self, name: str) -> object:
        return getattr(self._cluster, name)


@pytest.mark.parametrize("error", [UnreachableError("no answer"), KeyboardInterrupt()])
def test_what_was_made_without_an_answer_is_removed_as_well(cluster: Cluster, error: BaseException) -> None:
    probes = Probes(Forgetful(cluster, error), "lost")  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        probes.create(pod("lost"))
    assert exists(cluster, "lost")

    assert probes.clean()
    assert not exists(cluster, "lost")


def test_an_object_of_the_user_that_has_the_name_is_left_alone(cluster: Cluster) -> None:
    cluster.create(pod("theirs"))
    probes = Probes(cluster, "late")
    with pytest.raises(AlreadyExistsError):
        probes.create(pod("theirs"))

    assert probes.clean()
    assert exists(cluster, "theirs")
    cluster.delete(Ref("v1", "Pod", "default", "theirs"))


def test_an_interruption_waits_until_everything_is_put_back(cluster: Cluster) -> None:
    probes = Probes(cluster, "interrupted")
    probes.create(pod("interrupted"))
    tried: list[str] = []

    def put_back() -> None:
        tried.append("again")
        if len(tried) == 1:
            raise KeyboardInterrupt

    probes.undo("a change", put_back)
    with pytest.raises(KeyboardInterrupt):
        probes.clean()

    assert tried == ["again", "again"]
    assert not exists(cluster, "interrupted")
    assert probes.left() == []


def test_only_kinds_that_are_swept_can_be_made(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="Role of rbac"):
        Probes(cluster, "odd").create(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "x", "namespace": "default"},
            }
        )


def test_waiting_counts_the_cluster_s_seconds(cluster: Cluster) -> None:
    here = context(cluster)
    began = here.now()

    assert here.until(lambda: None, within=10) is None
    assert 10 <= (here.now() - began).total_seconds() < 60
    assert here.until(lambda: "there", within=10) == "there"
