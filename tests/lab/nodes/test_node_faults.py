"""Nodes that fall silent, device plugins that come and go, volumes."""

from typing import Any

from tests.lab.nodes.lab_world import World, make_world, pod, reopened

from stoker.lab.nodes.eviction import tolerated_s
from stoker.lab.nodes.machines import FAULT
from stoker.lab.nodes.programs import Programs
from stoker.lab.nodes.scripts import plan_of
from stoker.lab.serving.contract import RunContainer

Object = dict[str, Any]


def break_node(world: World, name: str) -> None:
    world.change(world.node(name), lambda node: node["metadata"]["annotations"].update({FAULT: "down"}))


def mend_node(world: World, name: str) -> None:
    world.change(world.node(name), lambda node: node["metadata"]["annotations"].pop(FAULT))


def test_nodes_renew_their_leases_and_are_ready() -> None:
    world = make_world("2xcpu")
    first = world.fetch("coordination.k8s.io/v1/Lease", "cpu-0", "kube-node-lease")["spec"]["renewTime"]
    world.advance(25)
    second = world.fetch("coordination.k8s.io/v1/Lease", "cpu-0", "kube-node-lease")["spec"]["renewTime"]
    assert ("2026-01-05T12:00:00.000000Z", "2026-01-05T12:00:20") == (first, second[:19])
    assert "True" == world.condition(world.node("cpu-0"), "Ready")["status"]
    assert "taints" not in world.node("cpu-0")["spec"]


def test_a_node_that_falls_silent_is_tainted_and_its_pods_leave_after_their_time() -> None:
    world = make_world("3xcpu")
    world.create(pod(nodeName="cpu-1"))
    world.until(lambda: world.pod("p")["status"]["phase"] == "Running")
    break_node(world, "cpu-1")
    world.advance(30)
    assert "True" == world.condition(world.node("cpu-1"), "Ready")["status"]
    world.advance(30)
    node = world.node("cpu-1")
    ready = world.condition(node, "Ready")
    assert ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.") == (
        ready["status"],
        ready["reason"],
        ready["message"],
    )
    assert {
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    } == {(one["key"], one["effect"]) for one in node["spec"]["taints"]}
    assert "False" == world.condition(world.pod("p"), "Ready")["status"]
    assert "deletionTimestamp" not in world.pod("p")["metadata"]
    world.advance(310)
    gone = world.pod("p")
    assert "deletionTimestamp" in gone["metadata"]
    assert "DeletionByTaintManager" == world.condition(gone, "DisruptionTarget")["reason"]
    mend_node(world, "cpu-1")
    world.advance(60)
    assert "taints" not in world.node("cpu-1")["spec"]
    assert world.get("Pod", "p") is None


def test_when_a_node_is_back_in_time_its_containers_start_again() -> None:
    world = make_world("3xcpu")
    world.create(pod(nodeName="cpu-1"))
    world.until(lambda: world.pod("p")["status"]["phase"] == "Running")
    break_node(world, "cpu-1")
    world.advance(100)
    mend_node(world, "cpu-1")
    world.advance(30)
    status = world.pod("p")["status"]["containerStatuses"][0]
    assert (1, 255, "Unknown") == (
        status["restartCount"],
        status["lastState"]["terminated"]["exitCode"],
        status["lastState"]["terminated"]["reason"],
    )
    assert "True" == world.condition(world.pod("p"), "Ready")["status"]


def test_when_all_nodes_are_silent_nobody_is_evicted() -> None:
    world = make_world("2xcpu")
    for name in ("cpu-0", "cpu-1"):
        break_node(world, name)
    world.advance(120)
    effects = {one["effect"] for name in ("cpu-0", "cpu-1") for one in world.node(name)["spec"]["taints"]}
    assert {"NoSchedule"} == effects


def test_a_pod_tolerates_for_the_shortest_of_its_times() -> None:
    taint = {"key": "a", "effect": "NoExecute"}
    other = {"key": "b", "effect": "NoExecute"}
    short = {"key": "a", "operator": "Exists", "tolerationSeconds": 30}
    assert 0.0 == tolerated_s([taint], [])
    assert 30.0 == tolerated_s([taint, other], [short, {"operator": "Exists", "tolerationSeconds": 60}])
    assert tolerated_s([taint], [{"operator": "Exists"}]) is None


def plugin(**spec: Any) -> Object:
    image = {"image": "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"}
    return pod("plugin", container=image, **spec)


def test_gpus_come_with_the_device_plugin_and_go_with_it() -> None:
    world = make_world("1x8xH100", device_plugin=False)
    name = "h100-sxm-80gb-0"
    world.create(pod(gpus=1))
    assert "Insufficient nvidia.com/gpu" in world.condition(world.pod("p"), "PodScheduled")["message"]
    created = world.create(plugin())
    world.until(lambda: world.node(name)["status"]["allocatable"].get("nvidia.com/gpu") == "8")
    world.until(lambda: world.pod("p")["spec"].get("nodeName") == name)
    world.delete(created)
    world.until(lambda: world.node(name)["status"]["allocatable"]["nvidia.com/gpu"] == "0")


def test_a_device_plugin_that_does_not_tolerate_the_taints_leaves_a_node_without_gpus() -> None:
    world = make_world("1x8xH100", device_plugin=False)
    name = "h100-sxm-80gb-0"
    taint = {"key": "dedicated", "value": "inference", "effect": "NoSchedule"}
    world.change(world.node(name), lambda node: node["spec"].update(taints=[taint]))
    world.create(plugin(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}]))
    world.advance(60)
    assert "nvidia.com/gpu" not in world.node(name)["status"]["allocatable"]


# --- volumes -----------------------------------------------------------------------------------------------------------


def claim(name: str = "data", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "10Gi"}},
            **spec,
        },
    }


def storage_class(name: str = "fast", **more: Any) -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "csi.example.com",
        **more,
    }


def test_a_claim_is_bound_to_the_smallest_volume_that_fits() -> None:
    world = make_world("1xcpu")
    for name, size in (("big", "100Gi"), ("small", "20Gi"), ("tiny", "1Gi")):
        spec = {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "manual",
            "hostPath": {"path": "/x"},
        }
        world.create(
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
        )
    world.create(claim(storageClassName="manual"))
    found = world.fetch("PersistentVolumeClaim", "data")
    assert ("small", "Bound", {"storage": "20Gi"}) == (
        found["spec"]["volumeName"],
        found["status"]["phase"],
        found["status"]["capacity"],
    )
    phases = {name: world.fetch("PersistentVolume", name, "")["status"]["phase"] for name in ("big", "small")}
    assert {"big": "Available", "small": "Bound"} == phases


def test_a_storage_class_makes_a_volume_and_takes_it_away_with_the_claim() -> None:
    world = make_world("1xcpu")
    world.create(storage_class())
    created = world.create(claim(storageClassName="fast"))
    found = world.fetch("PersistentVolumeClaim", "data")
    name = f"pvc-{created['metadata']['uid']}"
    assert (name, "Bound") == (found["spec"]["volumeName"], found["status"]["phase"])
    assert [f"Successfully provisioned volume {name}"] == world.events("ProvisioningSucceeded")
    world.change(found, lambda obj: obj["metadata"].pop("finalizers", None))
    if world.get("PersistentVolumeClaim", "data") is not None:
        world.delete(world.fetch("PersistentVolumeClaim", "data"))
    world.advance(1)
    assert world.get("PersistentVolumeClaim", "data") is None


def test_a_claim_that_waits_for_a_pod_is_bound_where_the_pod_is_put() -> None:
    world = make_world("3xcpu")
    world.create(storage_class(volumeBindingMode="WaitForFirstConsumer"))
    world.create(claim(storageClassName="fast"))
    assert "Pending" == world.fetch("PersistentVolumeClaim", "data")["status"]["phase"]
    assert ["waiting for first consumer to be created before binding"] == world.events("WaitForFirstConsumer")
    world.create(pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]))
    world.until(lambda: world.pod("p")["status"]["phase"] == "Running")
    found = world.fetch("PersistentVolumeClaim", "data")
    assert "Bound" == found["status"]["phase"]
    selected = found["metadata"]["annotations"]["volume.kubernetes.io/selected-node"]
    assert world.pod("p")["spec"]["nodeName"] == selected


def test_a_pod_whose_claim_is_missing_is_not_scheduled() -> None:
    world = make_world("1xcpu")
    world.create(pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]))
    assert (
        'persistentvolumeclaim "data" not found'
        in (world.condition(world.pod("p"), "PodScheduled")["message"])
    )


# --- programs ----------------------------------------------------------------------------------------------------------


def run(command: list[str], image: str = "busybox", policy: str = "Always") -> RunContainer:
    container = {"name": "c", "image": image, "command": command}
    spec = {"containers": [container], "restartPolicy": policy}
    return RunContainer(
        id="u/c/0", address="127.64.0.1", container=container, pod={"metadata": {}, "spec": spec}
    )


def test_the_course_of_a_script_is_read_off_its_statements() -> None:
    script = "echo hello; sleep 5 && sleep 1m; false; exit 4"
    plan = plan_of(run(["sh", "-c", script]))
    assert (65.0, 4, ("hello",)) == (plan.run_s, plan.exit_code, plan.lines)
    assert plan_of(run(["sh", "-c", "while true; do sleep 1; done"])).run_s is None
    assert (1, 0.0) == (plan_of(run(["false"])).exit_code, plan_of(run(["false"])).run_s)


def test_a_program_that_is_told_to_stop_ends_when_it_listens_and_is_killed_when_it_does_not() -> None:
    now = [0.0]
    programs = Programs(lambda: now[0])
    programs.start(run(["sleep", "1000"]))
    programs.states("u/c/0")
    programs.stop("u/c/0", 30)
    assert [] == list(programs.states("u/c/0"))
    assert 30.0 == programs.due_s("u/c/0")
    now[0] = 30.0
    assert [("exited", 137)] == [(one.state, one.exit_code) for one in programs.states("u/c/0")]


# --- a lab that is opened again ----------------------------------------------------------------------------------------


def test_after_a_restart_of_the_lab_pods_run_again_at_new_addresses() -> None:
    world = make_world("2xcpu")
    world.create(pod(container={"command": ["sleep", "infinity"]}))
    world.until(lambda: world.pod("p")["status"]["phase"] == "Running")
    before = world.pod("p")["status"]
    again = reopened(world)
    again.until(
        lambda: (
            again.pod("p")["status"]["containerStatuses"][0]["restartCount"] == 1
            and "running" in again.pod("p")["status"]["containerStatuses"][0]["state"]
        )
    )
    after = again.pod("p")["status"]
    assert before["startTime"] == after["startTime"]
    assert before["podIP"] != after["podIP"]
    again.create(pod("q"))
    again.until(lambda: again.pod("q")["status"]["phase"] == "Running")
    assert 2 == len({again.pod(name)["status"]["podIP"] for name in ("p", "q")})
