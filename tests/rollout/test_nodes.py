"""Taints and labels of nodes: only what is lacking is added, only what was added is taken off."""

from pathlib import Path
from typing import Any

from stoker.kube.cluster import Cluster
from stoker.kube.refs import Ref
from stoker.platform.load import loads
from stoker.rollout.nodes import change_nodes, plan_nodes, restore_nodes
from stoker.sizing.resolve import resolve
from stoker.upgrades.scheduling.nodes import NodePlan, node_plan

GUIDE = Path(__file__).parents[2] / "examples" / "guide.yaml"
OURS = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def plans() -> list[NodePlan]:
    return node_plan(resolve(loads(GUIDE.read_text(encoding="utf-8"))))


def taints_of(cluster: Cluster, name: str) -> list[dict[str, str]]:
    node = cluster.get(Ref("v1", "Node", "", name))
    assert node is not None
    return [
        {key: value for key, value in taint.items() if key != "timeAdded"}
        for taint in node["spec"].get("taints") or []
    ]


def labels_of(cluster: Cluster, name: str) -> dict[str, str]:
    node = cluster.get(Ref("v1", "Node", "", name))
    assert node is not None
    labels: dict[str, str] = node["metadata"]["labels"]
    return labels


def test_only_the_pool_s_nodes_lack_something(cluster: Cluster) -> None:
    found = plan_nodes(plans(), cluster.objects("v1", "Node"))

    assert [(change.node, change.pool) for change in found] == [("a100-sxm-80gb-0", "a100")]
    assert [taint["key"] for taint in found[0].taints] == ["nvidia.com/gpu"]
    assert found[0].labels == {"stoker.dev/pool": "a100"}


def test_taints_of_others_stay_when_ours_come_and_go(cluster: Cluster) -> None:
    name = "a100-sxm-80gb-0"
    theirs = {"key": "team", "value": "a", "effect": "PreferNoSchedule"}
    cluster.patch(Ref("v1", "Node", "", name), {"spec": {"taints": [theirs]}})
    before = labels_of(cluster, name)

    change_nodes(cluster, plan_nodes(plans(), cluster.objects("v1", "Node")))

    assert [taint["key"] for taint in taints_of(cluster, name)] == ["team", "nvidia.com/gpu"]
    assert labels_of(cluster, name)["stoker.dev/pool"] == "a100"
    assert plan_nodes(plans(), cluster.objects("v1", "Node")) == []

    assert restore_nodes(cluster) == 1
    assert taints_of(cluster, name) == [theirs]
    assert labels_of(cluster, name) == before
    assert restore_nodes(cluster) == 0
    cluster.patch(Ref("v1", "Node", "", name), {"spec": {"taints": None}})


def test_a_label_with_another_value_is_named_and_left() -> None:
    labels = {**_gfd(), "nvidia.com/device-plugin.config": "x", "stoker.dev/pool": "a100"}
    node: dict[str, Any] = {"metadata": {"name": "n", "labels": labels}, "spec": {"taints": [OURS]}}
    plan = plans()[0]

    wanted = NodePlan(**{**{key: getattr(plan, key) for key in plan.__slots__}, "labels": {
        **plan.labels, "nvidia.com/device-plugin.config": "a100"}})  # fmt: skip
    found = plan_nodes([wanted], [node])

    assert [(change.taints, change.labels, change.other) for change in found] == [
        ((), {}, {"nvidia.com/device-plugin.config": "x"})
    ]


def test_a_node_of_another_pool_with_the_same_gpu_is_not_taken() -> None:
    node: dict[str, Any] = {
        "metadata": {"name": "n", "labels": {**_gfd(), "stoker.dev/pool": "spot"}},
        "spec": {},
    }

    assert plan_nodes(plans(), [node]) == []


def _gfd() -> dict[str, str]:
    term = plans()[0].expressions[0]
    return {term["key"]: term["values"][0]}
