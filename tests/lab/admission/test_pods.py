"""What admission makes of a pod: account, tolerations, priority, runtime class, limits."""

from collections.abc import Callable
from typing import Any

import pytest

from stoker.lab.status import ApiError

Object = dict[str, Any]
Pod = Callable[..., Object]
MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def refused(error: pytest.ExceptionInfo[ApiError]) -> tuple[int, str]:
    return error.value.code, error.value.message


# --- namespaces ---------------------------------------------------------------------------------------------------


def test_nothing_is_written_in_a_namespace_that_is_not_there(world: Any, pod: Pod) -> None:
    one = pod()
    one["metadata"]["namespace"] = "gone"
    with pytest.raises(ApiError) as error:
        world.mutate("NamespaceLifecycle", one)
    assert (404, 'namespaces "gone" not found') == refused(error)
    assert {"name": "gone", "kind": "namespaces"} == error.value.details
    world.mutate("NamespaceLifecycle", one, "DELETE")


def test_a_terminating_namespace_takes_updates_but_nothing_new(world: Any, pod: Pod) -> None:
    world.namespace(phase="Terminating")
    with pytest.raises(ApiError) as error:
        world.mutate("NamespaceLifecycle", pod())
    text = 'pods "p" is forbidden: unable to create new content in namespace n because it is being terminated'
    assert (403, text) == refused(error)
    cause = {
        "reason": "NamespaceTerminating",
        "message": "namespace n is being terminated",
        "field": "metadata.namespace",
    }
    assert {"name": "p", "kind": "pods", "causes": [cause]} == error.value.details
    world.mutate("NamespaceLifecycle", pod(), "UPDATE", old=pod())
    with pytest.raises(ApiError):
        world.mutate("NamespaceLifecycle", pod(), "UPDATE", old=pod(), subresource="binding")


# --- accounts -----------------------------------------------------------------------------------------------------


def account(world: Any, name: str = "default", **fields: Any) -> None:
    metadata = {"name": name, "namespace": "n", **fields.pop("metadata", {})}
    world.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, **fields})


def test_every_container_gets_the_token_of_the_default_account(world: Any, pod: Pod) -> None:
    account(world, imagePullSecrets=[{"name": "registry"}])
    one = pod(initContainers=[{"name": "i", "image": "x"}])
    spec = world.mutate("ServiceAccount", one).obj["spec"]
    assert ("default", "default") == (spec["serviceAccountName"], spec["serviceAccount"])
    assert [{"name": "registry"}] == spec["imagePullSecrets"]
    (volume,) = spec["volumes"]
    prefix, _, suffix = volume["name"].rpartition("-")
    assert ("kube-api-access", 5) == (prefix, len(suffix))
    for container in (*spec["containers"], *spec["initContainers"]):
        assert [{"name": volume["name"], "readOnly": True, "mountPath": MOUNT}] == container["volumeMounts"]


def test_a_pod_or_an_account_that_wants_no_token_gets_none(world: Any, pod: Pod) -> None:
    account(world, automountServiceAccountToken=False)
    assert "volumes" not in world.mutate("ServiceAccount", pod()).obj["spec"]
    assert "volumes" in world.mutate("ServiceAccount", pod(automountServiceAccountToken=True)).obj["spec"]
    account(world, "other")
    unwilling = pod(serviceAccountName="other", automountServiceAccountToken=False)
    assert "volumes" not in world.mutate("ServiceAccount", unwilling).obj["spec"]


def test_a_container_with_a_mount_of_its_own_keeps_it(world: Any, pod: Pod) -> None:
    account(world)
    one = pod()
    one["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": MOUNT}]
    spec = world.mutate("ServiceAccount", one).obj["spec"]
    assert [{"name": "v", "mountPath": MOUNT}] == spec["containers"][0]["volumeMounts"]
    assert "volumes" not in spec


def test_a_missing_account_refuses_the_pod(world: Any, pod: Pod) -> None:
    with pytest.raises(ApiError) as error:
        world.mutate("ServiceAccount", pod(serviceAccountName="ghost"))
    text = 'pods "p" is forbidden: error looking up service account n/ghost: serviceaccount "ghost" not found'
    assert (403, text) == refused(error)


def test_the_default_account_is_made_where_the_controller_is_yet_to(world: Any, pod: Pod) -> None:
    world.mutate("ServiceAccount", pod(), is_dry_run=True)
    assert world.cluster.get("serviceaccounts", "n", "default") is None
    world.mutate("ServiceAccount", pod())
    made = world.cluster.get("serviceaccounts", "n", "default")
    assert {"name", "namespace", "uid", "creationTimestamp", "resourceVersion"} == set(made["metadata"])


def test_an_account_may_allow_its_own_secrets_only(world: Any, pod: Pod) -> None:
    marks = {"annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}
    account(world, metadata=marks, secrets=[{"name": "mine"}])
    world.mutate("ServiceAccount", pod(volumes=[{"name": "v", "secret": {"secretName": "mine"}}]))
    with pytest.raises(ApiError) as error:
        world.mutate("ServiceAccount", pod(volumes=[{"name": "v", "secret": {"secretName": "yours"}}]))
    assert refused(error)[1] == (
        'pods "p" is forbidden: volume with secret.secretName="yours" is not allowed because service account default does '
        "not reference that secret"
    )


# --- tolerations, taints, priority ----------------------------------------------------------------------------------


def test_pods_leave_a_dead_node_after_five_minutes_unless_they_say_otherwise(world: Any, pod: Pod) -> None:
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    spec = world.mutate("DefaultTolerationSeconds", pod(tolerations=[own])).obj["spec"]
    added = {
        "key": "node.kubernetes.io/not-ready",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 300,
    }
    assert [own, added] == spec["tolerations"]
    everything = [{"operator": "Exists"}]
    assert (
        everything
        == world.mutate("DefaultTolerationSeconds", pod(tolerations=everything)).obj["spec"]["tolerations"]
    )


def test_a_new_node_is_not_ready(world: Any) -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "a"},
        "spec": {"taints": [{"key": "k", "effect": "NoExecute"}]},
    }
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    mutated = world.mutate("TaintNodesByCondition", node)
    assert [{"key": "k", "effect": "NoExecute"}, taint] == mutated.obj["spec"]["taints"]
    assert mutated.obj == world.mutate("TaintNodesByCondition", mutated.obj).obj
    assert node == world.mutate("TaintNodesByCondition", node, "UPDATE", old=node).obj


def priority_class(name: str, value: int, **more: Any) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
        "preemptionPolicy": "PreemptLowerPriority",
        **more,
    }


def test_priority_comes_from_the_class_or_from_the_default(world: Any, pod: Pod) -> None:
    spec = world.mutate("Priority", pod()).obj["spec"]
    assert (0, "PreemptLowerPriority", None) == (
        spec["priority"], spec["preemptionPolicy"], spec.get("priorityClassName")
    )  # fmt: skip
    world.put(priority_class("low", 5, globalDefault=True, preemptionPolicy="Never"))
    spec = world.mutate("Priority", pod()).obj["spec"]
    assert (5, "Never", "low") == (spec["priority"], spec["preemptionPolicy"], spec["priorityClassName"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"priorityClassName": "ghost"}, "no PriorityClass with name ghost was found"),
        (
            {"priority": 9},
            (
                "the integer value of priority (9) must not be provided in pod spec; priority admission controller computed 0 from "
                "the given PriorityClass name"
            ),
        ),
    ],
)
def test_a_priority_that_no_class_gives_is_refused(world: Any, pod: Pod, fields: Object, words: str) -> None:
    with pytest.raises(ApiError) as error:
        world.mutate("Priority", pod(**fields))
    assert (403, f'pods "p" is forbidden: {words}') == refused(error)


def test_an_update_without_a_priority_keeps_it(world: Any, pod: Pod) -> None:
    old = pod(priority=7, preemptionPolicy="Never")
    spec = world.mutate("Priority", pod(), "UPDATE", old=old).obj["spec"]
    assert (7, "Never") == (spec["priority"], spec["preemptionPolicy"])


def test_there_is_one_default_class_only(world: Any) -> None:
    first = world.put(priority_class("first", 1, globalDefault=True))
    world.validate("Priority", first, "UPDATE", old=first)
    second = priority_class("second", 2, globalDefault=True)
    with pytest.raises(ApiError) as error:
        world.validate("Priority", second)
    text = (
        'priorityclasses.scheduling.k8s.io "second" is forbidden: PriorityClass first is already marked as default. Only one '
        "default can exist"
    )
    assert (403, text) == refused(error)
    with pytest.raises(ApiError):
        world.validate("Priority", second, "UPDATE", old=priority_class("second", 2))


def test_the_systems_own_classes_stay(world: Any) -> None:
    own = world.put(priority_class("system-node-critical", 2_000_001_000))
    with pytest.raises(ApiError) as error:
        world.mutate("Priority", own, "DELETE", old=own)
    text = (
        'priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: this is a system priority class and cannot be '
        "deleted"
    )
    assert (403, text) == refused(error)
    other = world.put(priority_class("mine", 1))
    world.mutate("Priority", other, "DELETE", old=other)


# --- runtime classes, topology ----------------------------------------------------------------------------------------


def runtime_class(world: Any) -> None:
    world.put(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "kata"},
            "handler": "kata",
            "overhead": {"podFixed": {"cpu": "250m"}},
            "scheduling": {
                "nodeSelector": {"kata": "yes"},
                "tolerations": [{"key": "kata", "operator": "Exists", "effect": "NoSchedule"}],
            },
        }
    )


def test_a_runtime_class_adds_overhead_selector_and_tolerations(world: Any, pod: Pod) -> None:
    runtime_class(world)
    narrow = {"key": "kata", "operator": "Equal", "value": "x", "effect": "NoSchedule"}
    spec = world.mutate(
        "RuntimeClass", pod(runtimeClassName="kata", nodeSelector={"a": "b"}, tolerations=[narrow])
    ).obj["spec"]
    assert {"cpu": "250m"} == spec["overhead"]
    assert {"a": "b", "kata": "yes"} == spec["nodeSelector"]
    # The wider toleration stands for the narrower one.
    assert [{"key": "kata", "operator": "Exists", "effect": "NoSchedule"}] == spec["tolerations"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"runtimeClassName": "ghost"}, 'pod rejected: RuntimeClass "ghost" not found'),
        (
            {"runtimeClassName": "kata", "overhead": {"cpu": "1"}},
            "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
        ),
        (
            {"runtimeClassName": "kata", "nodeSelector": {"kata": "no"}},
            "conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] = no",
        ),
    ],
)
def test_a_pod_that_its_runtime_class_does_not_fit_is_refused(
    world: Any, pod: Pod, fields: Object, words: str
) -> None:
    runtime_class(world)
    with pytest.raises(ApiError) as error:
        world.mutate("RuntimeClass", pod(**fields))
    assert (403, f'pods "p" is forbidden: {words}') == refused(error)


def test_overhead_without_a_runtime_class_is_refused(world: Any, pod: Pod) -> None:
    with pytest.raises(ApiError) as error:
        world.validate("RuntimeClass", pod(overhead={"cpu": "1"}))
    assert refused(error)[1].endswith(
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    )


def test_a_pod_that_is_bound_carries_the_zone_of_its_node(world: Any, pod: Pod) -> None:
    labels = {"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r", "other": "x"}
    world.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "labels": labels}})
    bound = world.mutate("PodTopologyLabels", pod(nodeName="a"), "UPDATE", old=pod(), subresource="binding")
    assert {"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r"} == bound.obj[
        "metadata"
    ]["labels"]
    assert "labels" not in world.mutate("PodTopologyLabels", pod(nodeName="ghost")).obj["metadata"]


# --- limits -------------------------------------------------------------------------------------------------------


def limit_range(world: Any, *limits: Object, name: str = "l") -> None:
    world.put(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": name, "namespace": "n"},
            "spec": {"limits": list(limits)},
        }
    )


def test_limits_are_set_and_the_pod_is_told(world: Any, pod: Pod) -> None:
    limit_range(
        world,
        {"type": "Container", "default": {"memory": "8Gi", "cpu": "2"}, "defaultRequest": {"memory": "4Gi"}},
    )
    one = pod(
        resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1"}},
        initContainers=[{"name": "i", "image": "x"}],
    )
    mutated = world.mutate("LimitRanger", one).obj
    (container,), (initial,) = mutated["spec"]["containers"], mutated["spec"]["initContainers"]
    assert {"limits": {"cpu": "1", "memory": "8Gi"}, "requests": {"cpu": "1", "memory": "4Gi"}} == container[
        "resources"
    ]
    assert {"cpu": "2", "memory": "4Gi"} == initial["resources"]["requests"]
    told = (
        "LimitRanger plugin set: memory request for container c; memory limit for container c; cpu, memory request for init "
        "container i; cpu, memory limit for init container i"
    )
    assert {"kubernetes.io/limit-ranger": told} == mutated["metadata"]["annotations"]


def test_a_pod_with_everything_stated_is_told_nothing(world: Any, pod: Pod) -> None:
    limit_range(world, {"type": "Container", "default": {"cpu": "2"}})
    one = pod(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1"}})
    assert one == world.mutate("LimitRanger", one).obj


def test_bounds_are_named_once_each_and_together(world: Any, pod: Pod) -> None:
    limit_range(
        world,
        {"type": "Container", "max": {"memory": "1Gi"}},
        {"type": "Pod", "max": {"memory": "1Gi"}, "min": {"cpu": "1"}},
    )
    with pytest.raises(ApiError) as error:
        world.validate(
            "LimitRanger", pod(resources={"limits": {"memory": "2Gi"}, "requests": {"memory": "2Gi"}})
        )
    text = (
        'pods "p" is forbidden: [maximum memory usage per Container is 1Gi, but limit is 2Gi, minimum cpu usage per Pod is 1.  '
        "No request is specified, maximum memory usage per Pod is 1Gi, but limit is 2Gi]"
    )
    assert (403, text) == refused(error)


def test_updates_of_pods_are_not_measured_but_resizes_are(world: Any, pod: Pod) -> None:
    limit_range(world, {"type": "Container", "max": {"memory": "1Gi"}})
    large = pod(resources={"limits": {"memory": "2Gi"}, "requests": {"memory": "2Gi"}})
    world.validate("LimitRanger", large, "UPDATE", old=large)
    with pytest.raises(ApiError):
        world.validate("LimitRanger", large, "UPDATE", old=large, subresource="resize")


def test_a_changed_limit_range_counts_at_once(world: Any, pod: Pod) -> None:
    one = pod(resources={"limits": {"memory": "2Gi"}, "requests": {"memory": "2Gi"}})
    world.validate("LimitRanger", one)
    limit_range(world, {"type": "Container", "max": {"memory": "1Gi"}})
    with pytest.raises(ApiError):
        world.validate("LimitRanger", one)
    limit_range(world, {"type": "Container", "max": {"memory": "4Gi"}})
    world.validate("LimitRanger", one)


def test_a_generated_name_is_refused_by_its_prefix(world: Any, pod: Pod) -> None:
    one = pod(priorityClassName="ghost")
    del one["metadata"]["name"]
    one["metadata"]["generateName"] = "web-"
    with pytest.raises(ApiError) as error:
        world.mutate("Priority", one)
    assert 'pods "web-" is forbidden: no PriorityClass with name ghost was found' == error.value.message
