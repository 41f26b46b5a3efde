"""PodDisruptionBudgets: what may be evicted now."""

from typing import Any

from tests.lab.controllers.world import Object, World, workload

KIND = "policy/v1/PodDisruptionBudget"


def _budget(**spec: Any) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, **spec},
    }


def _counts(world: World) -> tuple[int, ...]:
    status = world.fetch(KIND, "b")["status"]
    names = ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")
    return tuple(status[name] for name in names)


def _condition(world: World) -> tuple[str, str]:
    (condition,) = world.fetch(KIND, "b")["status"]["conditions"]
    return condition["status"], condition["reason"]


def test_a_budget_without_pods_allows_nothing(world: World) -> None:
    world.create(_budget(minAvailable=1))
    assert (0, 0, 1, 0) == _counts(world)
    assert ("False", "InsufficientPods") == _condition(world)
    assert ["No matching pods found"] == world.events("NoPods")


def test_healthy_pods_above_the_minimum_may_go(world: World) -> None:
    world.create(_budget(minAvailable=2))
    world.create(workload("Deployment", replicas=3))
    assert (3, 0, 2, 0) == _counts(world)
    world.run_pods()
    assert (3, 3, 2, 1) == _counts(world)
    assert ("True", "SufficientPods") == _condition(world)
    assert 1 == world.fetch(KIND, "b")["status"]["observedGeneration"]


def test_what_may_be_missing_is_counted_from_what_the_deployment_asks_for(world: World) -> None:
    world.create(_budget(maxUnavailable="50%"))
    world.create(workload("Deployment", replicas=3))
    world.run_pods()
    assert (3, 3, 1, 2) == _counts(world)
    world.change("apps/v1/Deployment", "d", lambda obj: obj["spec"].update(replicas=5))
    assert 5 == _counts(world)[0]


def test_an_eviction_that_was_granted_counts_until_the_pod_goes_or_two_minutes_pass(world: World) -> None:
    world.create(_budget(minAvailable=1))
    world.create(workload("Deployment", replicas=2))
    world.run_pods()
    name = world.names("Pod")[0]

    def evict(obj: Object) -> None:
        obj["status"].update(disruptedPods={name: world.cluster.now()}, disruptionsAllowed=0)

    world.change(KIND, "b", evict, part="status")
    assert (2, 1, 1, 0) == _counts(world)
    world.wait(121)
    assert (2, 2, 1, 1) == _counts(world)
    assert "disruptedPods" not in world.fetch(KIND, "b")["status"]
    assert 1 == len(world.events("NotDeleted"))


def test_pods_that_nobody_manages_are_pointed_out(world: World) -> None:
    world.create(_budget(maxUnavailable=1))
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"app": "d"}},
        "spec": {"containers": [{"name": "c", "image": "x"}]},
    }  # fmt: skip
    world.create(pod)
    (text,) = world.events("UnmanagedPods")
    assert (
        "&LabelSelector{MatchLabels:map[string]string{app: d,},MatchExpressions:[]LabelSelectorRequirement{},}"
        in text
    )


def test_where_nobody_knows_the_scale_nothing_is_allowed(world: World) -> None:
    world.create(_budget(maxUnavailable=1))
    job = {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"template": {"metadata": {"labels": {"app": "d"}}, "spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}},
    }  # fmt: skip
    world.create(job)
    assert ("False", "SyncFailed") == _condition(world)
    message = world.fetch(KIND, "b")["status"]["conditions"][0]["message"]
    assert "jobs.batch does not implement the scale subresource" == message
