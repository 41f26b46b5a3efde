"""The scheduler on a real store: bindings, messages, preemption, retries."""

from typing import Any

from tests.lab.nodes.lab_world import World, make_world, pod

Object = dict[str, Any]


def node_of(world: World, name: str = "p") -> str:
    return str(world.pod(name)["spec"].get("nodeName", ""))


def test_without_nodes_a_pod_stays_and_its_condition_says_why() -> None:
    world = make_world()
    world.create(pod())
    found = world.pod("p")
    condition = world.condition(found, "PodScheduled")
    assert {
        "type": "PodScheduled",
        "observedGeneration": 1,
        "status": "False",
        "lastProbeTime": None,
        "lastTransitionTime": "2026-01-05T12:00:00Z",
        "reason": "Unschedulable",
        "message": "no nodes available to schedule pods",
    } == condition
    owner = next(one for one in found["metadata"]["managedFields"] if one["manager"] == "kube-scheduler")
    assert "status" == owner["subresource"]
    assert ["no nodes available to schedule pods"] == world.events("FailedScheduling")


def test_a_pod_is_bound_and_gets_the_zone_of_its_node() -> None:
    world = make_world("1x8xH100")
    world.create(pod(gpus=8))
    name = node_of(world)
    assert "h100-sxm-80gb-0" == name
    assert "lab-a" == world.pod("p")["metadata"]["labels"]["topology.kubernetes.io/zone"]
    assert [f"Successfully assigned default/p to {name}"] == world.events("Scheduled")
    assert 1 == world.pod("p")["metadata"]["generation"]


def test_a_pod_that_fits_nowhere_says_what_is_short_and_is_bound_when_room_comes() -> None:
    world = make_world("1x8xH100")
    first = world.create(pod("a", gpus=8))
    world.create(pod("b", gpus=1))
    message = world.condition(world.pod("b"), "PodScheduled")["message"]
    assert (
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: "
        "0/1 nodes are available: 1 No preemption victims found for incoming pod."
    ) == message
    world.delete(first, gracePeriodSeconds=0)
    world.advance(2)
    assert "h100-sxm-80gb-0" == node_of(world, "b")


def test_the_more_important_pod_is_tried_first() -> None:
    world = make_world("1x1xH100")
    blocker = world.create(pod("blocker", gpus=1))
    low = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 10}
    world.create({**low, "metadata": {"name": "some"}, "preemptionPolicy": "Never"})
    world.create(pod("plain", gpus=1))
    world.create(pod("urgent", gpus=1, priorityClassName="some"))
    world.delete(blocker, gracePeriodSeconds=0)
    world.advance(15)
    assert ("", "h100-sxm-80gb-0") == (node_of(world, "plain"), node_of(world, "urgent"))


def test_a_pod_of_higher_priority_preempts_and_says_so() -> None:
    world = make_world("1x8xH100")
    world.create(pod("victim", gpus=8, container={"command": ["sleep", "infinity"]}))
    world.until(lambda: world.pod("victim")["status"]["phase"] == "Running")
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    world.create({**high, "metadata": {"name": "high"}})
    created = world.create(pod("urgent", gpus=8, priorityClassName="high"))
    victim = world.pod("victim")
    assert (
        "True",
        "PreemptionByScheduler",
        "default-scheduler: preempting to accommodate a higher priority pod",
    ) == tuple(world.condition(victim, "DisruptionTarget")[key] for key in ("status", "reason", "message"))
    assert "deletionTimestamp" in victim["metadata"]
    assert "h100-sxm-80gb-0" == world.pod("urgent")["status"]["nominatedNodeName"]
    uid = created["metadata"]["uid"]
    assert [f"Preempted by pod {uid} on node h100-sxm-80gb-0"] == world.events("Preempted")
    world.advance(60)
    assert "h100-sxm-80gb-0" == node_of(world, "urgent")
    assert "nominatedNodeName" not in world.pod("urgent")["status"]


def test_pods_of_other_schedulers_are_left_alone() -> None:
    world = make_world("1x8xH100")
    world.create(pod(schedulerName="somebody"))
    assert "" == node_of(world)
    assert "conditions" not in world.pod("p")["status"]


CONFIGURATION = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: packer
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: nvidia.com/gpu, weight: 5}]}}
"""


def test_a_second_scheduler_serves_its_profile_once_its_pod_runs() -> None:
    world = make_world("2x8xH100", "1xcpu")
    world.create(pod("waits", gpus=1, schedulerName="packer"))
    world.create(pod("fills", gpus=1))
    world.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "config"},
            "data": {"config.yaml": CONFIGURATION},
        }
    )
    assert "" == node_of(world, "waits")
    scheduler = pod(
        "packer",
        container={"command": ["kube-scheduler", "--config=/c/config.yaml"]},
        volumes=[{"name": "config", "configMap": {"name": "config"}}],
    )
    world.create(scheduler)
    world.until(lambda: bool(node_of(world, "waits")))
    assert node_of(world, "fills") == node_of(world, "waits")


def test_a_cordoned_node_takes_no_pods_until_it_is_uncordoned() -> None:
    world = make_world("1x8xH100")
    world.change(world.node("h100-sxm-80gb-0"), lambda node: node["spec"].update(unschedulable=True))
    assert ["node.kubernetes.io/unschedulable"] == [
        one["key"] for one in world.node("h100-sxm-80gb-0")["spec"]["taints"]
    ]
    world.create(pod())
    assert "" == node_of(world)
    world.change(world.node("h100-sxm-80gb-0"), lambda node: node["spec"].pop("unschedulable"))
    world.advance(3)
    assert "h100-sxm-80gb-0" == node_of(world)


def test_a_gated_pod_is_not_tried_until_its_gates_are_gone() -> None:
    world = make_world("1x8xH100")
    created = world.create(pod(schedulingGates=[{"name": "example.com/wait"}]))
    assert [] == world.events("FailedScheduling")
    world.change(created, lambda found: found["spec"].pop("schedulingGates"))
    world.advance(2)
    assert "h100-sxm-80gb-0" == node_of(world)


def test_hundreds_of_pods_fill_the_nodes_and_no_node_is_filled_twice() -> None:
    world = make_world("48x8xA100-80GB")
    for index in range(400):
        world.user.create(pod(f"p{index}", gpus=1))
    world.settle()
    counts: dict[str, int] = {}
    for found in world.pods():
        name = found["spec"].get("nodeName", "")
        counts[name] = counts.get(name, 0) + 1
    assert (48, 16, {8}) == (
        len(counts) - 1,
        counts.pop(""),
        set(counts.values()),
    )
