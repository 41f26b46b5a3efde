"""Node affinity, pod affinity, spread and image locality (plugins/{nodeaffinity,interpodaffinity,podtopologyspread,imagelocality})."""

from typing import Any

import pytest
from tests.twin.scheduler.cluster import Cluster, no_help, no_victims, node, pod

ZONE = "topology.kubernetes.io/zone"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def named(*names: str, operator: str = "In") -> dict[str, Any]:
    fields = [{"key": "metadata.name", "operator": operator, "values": list(names)}]
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": fields}]}}}}


def test_nodes_that_the_affinity_does_not_name_are_not_looked_at() -> None:
    # schedule_one.go findNodesThatFitPod: "node(s) didn't satisfy plugin(s) %v".
    cluster = Cluster(node("n1", cpu="1"), node("n2"), node("n3"))
    assert cluster.decide(pod("p", named("n2"), cpu="2")).node == "n2"
    assert cluster.decide(pod("p", named("n1"), cpu="2")).message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        + no_help(3)
    )
    assert cluster.decide(pod("p", named("gone"))).message == (
        "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity]. " + no_help(3)
    )
    assert set(cluster.decide(pod("p", named("n2", operator="NotIn"))).feasible) == {"n1", "n3"}


def test_an_affinity_that_names_two_nodes_at_once_conflicts() -> None:
    # node_affinity.go errReasonConflict; DynamicResources' PostFilter then finds no state.
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in ("n1", "n2")]
    spec = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": fields}]}}}}
    message = Cluster(node("n1"), node("n2")).decide(pod("p", spec)).message
    assert message == "0/2 nodes are available: pod affinity terms conflict. not found"


def test_numbers_in_labels_are_compared_as_numbers() -> None:
    cluster = Cluster(node("n1", labels={"gpu-memory": "40"}), node("n2", labels={"gpu-memory": "9"}))
    for operator, chosen in (("Gt", "n1"), ("Lt", "n2")):
        term = {"matchExpressions": [{"key": "gpu-memory", "operator": operator, "values": ["20"]}]}
        spec = {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}}
        assert cluster.decide(pod("p", spec)).feasible == (chosen,)


def test_a_preference_without_expressions_weighs_nothing() -> None:
    # nodeaffinity.go NewPreferredSchedulingTerms leaves empty terms out; matchFields count.
    entries = [
        {"weight": 100, "preference": {}},
        {
            "weight": 1,
            "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]},
        },
    ]
    found = Cluster(node("n1"), node("n2")).decide(
        pod("p", {"affinity": {"nodeAffinity": {PREFERRED: entries}}})
    )
    assert {name: parts["NodeAffinity"] for name, parts in found.scores.items()} == {"n1": 0, "n2": 200}


def near(key: str, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}, **more}
    return {"affinity": {"podAffinity": {REQUIRED: [term]}}}


def test_the_first_of_a_group_may_go_where_the_label_is_even_if_others_run_where_it_is_not() -> None:
    # filtering.go satisfyPodAffinity: pods on nodes without the topology label are not counted.
    cluster = Cluster(node("plain"), node("n1", labels={ZONE: "a"}))
    cluster.run(pod("a", labels={"app": "x"}), "plain")
    assert cluster.decide(pod("b", near(ZONE, {"app": "x"}), labels={"app": "x"})).node == "n1"


def test_a_pod_that_is_not_of_its_own_group_waits_for_the_group() -> None:
    cluster = Cluster(node("n1"))
    found = cluster.decide(pod("b", near("kubernetes.io/hostname", {"app": "x"}), labels={"app": "y"}))
    assert (
        found.message == f"0/1 nodes are available: 1 node(s) didn't match pod affinity rules. {no_help(1)}"
    )


def test_namespaces_have_their_own_name_as_a_label() -> None:
    cluster = Cluster(node("n1"), node("n2"))
    cluster.state.set_namespaces([{"metadata": {"name": "other"}}, {"metadata": {"name": "ns"}}])
    other = pod("a", labels={"app": "x"})
    other["metadata"]["namespace"] = "other"
    cluster.run(other, "n2")
    chosen = {"matchLabels": {"kubernetes.io/metadata.name": "other"}}
    spec = near("kubernetes.io/hostname", {"app": "x"}, namespaceSelector=chosen)
    assert cluster.decide(pod("b", spec)).node == "n2"


def test_a_preference_for_pods_that_are_not_there_scores_nothing() -> None:
    # scoring.go PreScore: Skip where no term matched anything.
    term = {
        "weight": 5,
        "podAffinityTerm": near("kubernetes.io/hostname", {"app": "x"})["affinity"]["podAffinity"][REQUIRED][
            0
        ],
    }
    found = Cluster(node("n1"), node("n2")).decide(
        pod("b", {"affinity": {"podAffinity": {PREFERRED: [term]}}})
    )
    assert "InterPodAffinity" not in found.scores["n1"]


def spread(key: str = ZONE, when: str = "DoNotSchedule", **more: Any) -> dict[str, Any]:
    constraint = {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": when,
        "labelSelector": {"matchLabels": {"app": "x"}},
        **more,
    }
    return {"topologySpreadConstraints": [constraint]}


def test_fewer_domains_than_asked_for_count_as_an_empty_one() -> None:
    cluster = Cluster(node("n1", labels={ZONE: "a"}), node("n2", labels={ZONE: "b"}))
    for name in ("n1", "n2"):
        cluster.run(pod(name, labels={"app": "x"}), name)
    assert cluster.decide(pod("p", spread(minDomains=2), labels={"app": "x"})).node is not None
    assert cluster.decide(pod("p", spread(minDomains=3), labels={"app": "x"})).message == (
        f"0/2 nodes are available: 2 node(s) didn't match pod topology spread constraints. {no_victims(2)}"
    )


def test_an_empty_selector_counts_no_pod_and_a_missing_one_not_even_the_pod_itself() -> None:
    # common.go countPodsMatchSelector: `if selector.Empty() { return 0 }`.
    cluster = Cluster(node("n1", labels={ZONE: "a"}), node("n2", labels={ZONE: "b"}))
    for number in range(3):
        cluster.run(pod(f"a{number}", labels={"app": "x"}), "n1")
    assert set(cluster.decide(pod("p", spread(labelSelector={}))).feasible) == {"n1", "n2"}
    assert set(cluster.decide(pod("p", spread(labelSelector=None))).feasible) == {"n1", "n2"}


def test_only_pods_of_the_same_revision_are_spread_with_match_label_keys() -> None:
    cluster = Cluster(node("n1", labels={ZONE: "a"}), node("n2", labels={ZONE: "b"}))
    cluster.run(pod("old", labels={"app": "x", "rev": "1"}), "n1")
    spec = spread(matchLabelKeys=["rev"])
    assert set(cluster.decide(pod("p", spec, labels={"app": "x", "rev": "2"})).feasible) == {"n1", "n2"}
    assert cluster.decide(pod("p", spec, labels={"app": "x", "rev": "1"})).feasible == ("n2",)


def test_soft_spread_counts_pods_only_where_every_label_is() -> None:
    # scoring.go PreScore processAllNode: nodes that lack a key of another constraint count for none.
    cluster = Cluster(
        node("n1", labels={ZONE: "a", "rack": "1"}),
        node("n2", labels={ZONE: "b", "rack": "2"}),
        node("n3", labels={ZONE: "a"}, pods="0"),
    )
    cluster.run(pod("a", labels={"app": "x"}), "n3")
    spec = {
        "topologySpreadConstraints": [
            spread(when="ScheduleAnyway")["topologySpreadConstraints"][0],
            spread("rack", when="ScheduleAnyway")["topologySpreadConstraints"][0],
        ]
    }
    scores = cluster.decide(pod("p", spec, labels={"app": "x"})).scores
    assert scores["n1"]["PodTopologySpread"] == scores["n2"]["PodTopologySpread"] == 200


def test_pods_of_a_service_are_spread_without_being_asked() -> None:
    # plugin.go systemDefaultConstraints: hostname with a skew of 3, zone with one of 5.
    cluster = Cluster(node("n1"), node("n2"))
    cluster.run(pod("a", labels={"app": "x"}), "n1")
    item = pod("b", labels={"app": "x"})
    assert "PodTopologySpread" not in cluster.decide(item).scores["n1"]
    cluster.state.set_services([{"metadata": {"namespace": "ns"}, "spec": {"selector": {"app": "x"}}}])
    scores = {name: parts["PodTopologySpread"] for name, parts in cluster.decide(item).scores.items()}
    assert scores["n2"] > scores["n1"]
    assert cluster.decide(item).node == "n2"


@pytest.mark.parametrize(
    ("image", "score"), [("vllm/vllm-openai:v1", 24), ("vllm/vllm-openai", 0), ("registry:5000/a", 100)]
)
def test_a_node_that_has_the_image_is_better_the_larger_it_is(image: str, score: int) -> None:
    # image_locality.go: size times the share of nodes that have it, from 23 MiB to 1000 MiB a container.
    mib = 1024 * 1024
    first = node("n1")
    first["status"]["images"] = [
        {"names": ["vllm/vllm-openai:v1"], "sizeBytes": 521 * mib},
        {"names": ["registry:5000/a:latest"], "sizeBytes": 20000 * mib},
    ]
    cluster = Cluster(first, node("n2"))
    found = cluster.decide(pod("p", {"containers": [{"name": "c", "image": image}]}))
    assert found.scores["n1"]["ImageLocality"] == score
    assert found.scores["n2"]["ImageLocality"] == 0
