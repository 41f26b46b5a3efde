"""DaemonSets: which nodes, which tolerations, how they roll."""

from typing import Any

from tests.lab.controllers.world import Object, World, image, workload

KIND = "apps/v1/DaemonSet"


def _node(world: World, name: str, *, taints: list[Object] | None = None, **labels: str) -> None:
    spec: Object = {"taints": taints} if taints else {}
    world.user.create(
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}
    )
    world.settle()


def _untaint(world: World) -> None:
    """Play the node lifecycle controller: every node is ready."""
    for node in world.all("Node", ""):
        if node["spec"].pop("taints", None):
            world.user.update(node)
    world.settle()


def _daemon(**spec: Any) -> Object:
    return workload("DaemonSet", "d", None, **spec)


def _nodes(world: World) -> list[str]:
    found = []
    for pod in world.all("Pod"):
        terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
        found += terms["nodeSelectorTerms"][0]["matchFields"][0]["values"]
    return sorted(found)


def test_every_node_gets_a_pod_and_so_does_one_that_comes_later(world: World) -> None:
    _node(world, "a")
    _untaint(world)
    world.create(_daemon())
    assert ["a"] == _nodes(world)
    _node(world, "b")
    _untaint(world)
    assert ["a", "b"] == _nodes(world)


def test_a_daemon_tolerates_what_is_wrong_with_its_node(world: World) -> None:
    _node(world, "a")
    _untaint(world)
    world.create(_daemon())
    (pod,) = world.all("Pod")
    assert [
        ("node.kubernetes.io/not-ready", "NoExecute"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
        ("node.kubernetes.io/disk-pressure", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
        ("node.kubernetes.io/pid-pressure", "NoSchedule"),
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
    ] == [(one["key"], one["effect"]) for one in pod["spec"]["tolerations"]]


def test_a_taint_keeps_daemons_away_and_a_toleration_brings_them(world: World) -> None:
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    _node(world, "a")
    _node(world, "b")
    _untaint(world)
    world.change("Node", "b", lambda node: node["spec"].update(taints=[taint]), "")
    world.create(_daemon())
    assert ["a"] == _nodes(world)

    def tolerate(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["tolerations"] = [{"key": "gpu", "operator": "Exists"}]

    world.change(KIND, "d", tolerate)
    assert ["a", "b"] == _nodes(world)


def test_labels_decide_and_a_node_that_loses_its_label_loses_its_daemon(world: World) -> None:
    _node(world, "a", pool="gpu")
    _node(world, "b")
    _untaint(world)
    daemon = _daemon()
    daemon["spec"]["template"]["spec"]["nodeSelector"] = {"pool": "gpu"}
    world.create(daemon)
    assert ["a"] == _nodes(world)
    world.change("Node", "a", lambda node: node["metadata"]["labels"].pop("pool"), "")
    assert [] == _nodes(world)


def test_status_counts_nodes(world: World) -> None:
    for name in "abc":
        _node(world, name)
    _untaint(world)
    world.create(_daemon())
    world.run_pod(world.all("Pod")[0])
    world.settle()
    assert {
        "currentNumberScheduled": 3,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 3,
        "numberReady": 1,
        "observedGeneration": 1,
        "updatedNumberScheduled": 3,
        "numberAvailable": 1,
        "numberUnavailable": 2,
    } == world.fetch(KIND, "d")["status"]


def test_a_rolling_update_replaces_one_daemon_at_a_time(world: World) -> None:
    for name in "abc":
        _node(world, name)
    _untaint(world)
    world.create(_daemon())
    world.run_pods()
    world.change(KIND, "d", image("registry/c:2"))
    images = [pod["spec"]["containers"][0]["image"] for pod in world.all("Pod")]
    assert ["registry/c:1", "registry/c:1", "registry/c:2"] == sorted(images)
    world.run_pods()
    images = [pod["spec"]["containers"][0]["image"] for pod in world.all("Pod")]
    assert ["registry/c:2"] * 3 == images
    assert [1, 2] == sorted(one["revision"] for one in world.all("apps/v1/ControllerRevision"))


def test_with_surge_the_new_daemon_comes_before_the_old_one_goes(world: World) -> None:
    _node(world, "a")
    _untaint(world)
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    world.create(_daemon(updateStrategy=rolling))
    world.run_pods()
    world.change(KIND, "d", image("registry/c:2"))
    assert 2 == len(world.all("Pod"))
    world.run_pods()
    (pod,) = world.all("Pod")
    assert "registry/c:2" == pod["spec"]["containers"][0]["image"]


def test_a_failed_daemon_is_replaced_after_a_pause_that_grows(world: World) -> None:
    _node(world, "a")
    _untaint(world)
    world.create(_daemon())
    for pause in (0, 1.5):
        (pod,) = world.all("Pod")
        world.run_pod(pod, phase="Failed", ready=False)
        world.settle()
        if pause:
            assert pod["metadata"]["name"] in world.names("Pod")
            world.wait(pause)
        assert pod["metadata"]["name"] not in world.names("Pod")
        assert 1 == len(world.all("Pod"))
