"""Who has to go, and what is said where nobody has to (framework/preemption, plugins/defaultpreemption)."""

from typing import Any

from tests.twin.scheduler.cluster import Cluster, node, pod

Object = dict[str, Any]


def gpus(
    name: str, count: int, priority: int, *, labels: dict[str, str] | None = None, **spec: Any
) -> Object:
    return pod(name, {"priority": priority, **spec}, labels=labels, gpu=str(count))


def test_a_pod_that_must_not_preempt_says_so() -> None:
    there = Cluster(node("n1"))
    there.run(gpus("a", 8, 0))
    assert there.decide(gpus("b", 1, 10, preemptionPolicy="Never")).message == (
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: not eligible "
        "due to preemptionPolicy=Never."
    )


def test_while_victims_stop_no_more_are_taken_from_the_promised_node() -> None:
    there = Cluster(node("n1"))
    there.run(gpus("a", 8, 0))
    waiting = {**gpus("b", 8, 10), "status": {"nominatedNodeName": "n1"}}
    there.state.nominate(waiting, "n1")
    there.state.terminate("ns", "a")
    assert there.decide(waiting).message == (
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: not eligible "
        "due to a terminating pod on the nominated node."
    )
    # podTerminatingByPreemption: one that stops for another reason does not keep it from preempting.
    there.state.terminate("ns", "a", preempted=False)
    assert there.decide(waiting).victims == (("ns", "a"),)


def test_room_that_was_promised_to_a_more_important_pod_is_taken() -> None:
    there = Cluster(node("n1"))
    there.state.nominate(gpus("first", 8, 10), "n1")
    assert there.decide(gpus("p", 1, 5)).message.startswith(
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    )
    assert there.decide(gpus("p", 1, 20)).node == "n1"


def test_a_more_important_preemptor_takes_the_node_from_those_it_was_promised_to() -> None:
    there = Cluster(node("n1"), node("n2"))
    there.state.nominate(gpus("low", 8, 5), "n1")
    there.state.nominate(gpus("other", 8, 5), "n2")
    there.state.nominate(gpus("high", 8, 10), "n1")
    assert set(there.state.nominated) == {("ns", "other"), ("ns", "high")}


def budget(allowed: int, selector: Object) -> Object:
    return {
        "metadata": {"name": "b", "namespace": "ns"},
        "spec": {"selector": selector},
        "status": {"disruptionsAllowed": allowed},
    }


def test_pods_under_a_spent_budget_are_spared_first_and_taken_last() -> None:
    there = Cluster(node("n1"))
    for name, app in (("kept", "x"), ("a", "y"), ("b", "y")):
        there.run(gpus(name, 2, 0, labels={"app": app}))
    there.state.set_budgets([budget(0, {"matchLabels": {"app": "x"}})])
    assert there.decide(gpus("p", 4, 10)).victims == (("ns", "b"),)
    assert there.decide(gpus("p", 6, 10)).victims == (("ns", "a"), ("ns", "b"))
    assert there.decide(gpus("p", 8, 10)).victims == (("ns", "kept"), ("ns", "a"), ("ns", "b"))


def test_an_empty_selector_is_a_budget_for_nobody() -> None:
    # default_preemption.go filterPodsWithPDBViolation: `if selector.Empty() ... continue`.
    there = Cluster(node("n1"), node("n2"))
    there.run(gpus("a", 8, 0, labels={"app": "x"}), "n1")
    there.run(gpus("b", 8, 1, labels={"app": "x"}), "n2")
    there.state.set_budgets([budget(0, {"matchLabels": {}})])
    assert there.decide(gpus("p", 8, 10)).victims == (("ns", "a"),)


def test_of_equal_candidates_the_one_whose_victims_started_last_is_chosen() -> None:
    # preemption.go pickOneNodeForPreemption, criterion 5.
    there = Cluster(node("n1"), node("n2"))
    there.run(gpus("old", 8, 0), "n2")
    there.run(gpus("young", 8, 0), "n1")
    found = there.decide(gpus("p", 8, 10))
    assert (found.nominated, found.victims) == ("n1", (("ns", "young"),))


def test_without_nodes_there_is_nothing_to_say_of_them() -> None:
    # schedule_one.go ErrNoNodesAvailable, before any plugin is asked.
    volumes = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "gone"}}]}
    assert Cluster().decide(pod("p", volumes)).message == "no nodes available to schedule pods"
