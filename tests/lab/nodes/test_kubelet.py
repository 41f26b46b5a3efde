"""Kubelets on a real store: from binding to running, and every way in which that goes wrong."""

from typing import Any

import pytest
from tests.lab.nodes.lab_world import World, make_world, pod

from stoker.lab.nodes import NodeOptions, kubelet_log
from stoker.lab.nodes.memory import MEMORY
from stoker.lab.nodes.scripts import EXIT_CODE, RUN_SECONDS
from stoker.lab.status import ApiError

Object = dict[str, Any]


@pytest.fixture
def world() -> World:
    return make_world("1x8xH100")


def phase(world: World, name: str = "p") -> str:
    return str(world.pod(name)["status"]["phase"])


def container(world: World, name: str = "p", index: int = 0) -> Object:
    found: Object = world.pod(name)["status"]["containerStatuses"][index]
    return found


def is_ready(world: World, name: str = "p") -> bool:
    return bool(world.condition(world.pod(name), "Ready")["status"] == "True")


def test_a_pod_runs_after_its_image_was_pulled_and_says_each_step(world: World) -> None:
    world.create(pod())
    assert "ContainerCreating" == container(world)["state"]["waiting"]["reason"]
    assert "False" == world.condition(world.pod("p"), "PodReadyToStartContainers")["status"]
    world.until(lambda: phase(world) == "Running")
    found = world.pod("p")
    assert "127.64.0.1" == found["status"]["podIP"]
    assert is_ready(world)
    assert [
        "Successfully assigned default/p to h100-sxm-80gb-0",
        'Pulling image "registry/app:1"',
        'Successfully pulled image "registry/app:1" in 2.371s (2.371s including waiting). Image size: 300000000 bytes.',
        "Container created",
        "Container started",
    ] == world.events(name="p")


def test_an_image_that_is_there_is_not_pulled_again(world: World) -> None:
    world.create(pod("a"))
    world.until(lambda: phase(world, "a") == "Running")
    world.create(pod("b"))
    world.until(lambda: phase(world, "b") == "Running")
    assert ['Container image "registry/app:1" already present on machine and can be accessed by the pod'] == (
        world.events("Pulled", "b")
    )
    assert world.pod("a")["status"]["podIP"] != world.pod("b")["status"]["podIP"]


def test_many_nodes_that_pull_an_engine_at_once_take_longer_than_one() -> None:
    image = {"image": "vllm/vllm-openai:v0.11.0", "command": ["sleep", "infinity"]}
    one = make_world("1x8xH100")
    one.create(pod(gpus=8, container=image))
    alone = one.until(lambda: phase(one) == "Running")
    many = make_world("120x8xH100")
    for index in range(120):
        many.user.create(pod(f"p{index}", gpus=8, container=image))
    together = many.until(lambda: phase(many, "p0") == "Running")
    assert 70.0 < alone < 71.0
    # 12.5 GB/s between 120 nodes: 96 s.
    assert 97.0 < together < 98.5


def test_init_containers_run_one_after_another_and_sidecars_stay(world: World) -> None:
    spec: Object = {
        "initContainers": [
            {"name": "first", "image": "busybox", "command": ["sleep", "5"]},
            {"name": "side", "image": "busybox", "command": ["sleep", "infinity"], "restartPolicy": "Always"},
            {"name": "second", "image": "busybox", "command": ["sleep", "5"]},
        ]
    }
    world.create(pod(**spec))
    world.advance(4)
    condition = world.condition(world.pod("p"), "Initialized")
    assert ("ContainersNotInitialized", "containers with incomplete status: [first side second]") == (
        condition["reason"],
        condition["message"],
    )
    assert "PodInitializing" == container(world)["state"]["waiting"]["reason"]
    world.until(lambda: phase(world) == "Running")
    inits = world.pod("p")["status"]["initContainerStatuses"]
    assert [("first", "terminated"), ("side", "running"), ("second", "terminated")] == [
        (one["name"], next(iter(one["state"]))) for one in inits
    ]
    first, second = inits[0]["state"]["terminated"], inits[2]["state"]["terminated"]
    assert first["finishedAt"] <= second["startedAt"]


def test_an_init_container_that_fails_fails_a_pod_that_is_never_restarted(world: World) -> None:
    world.create(
        pod(
            restartPolicy="Never",
            initContainers=[{"name": "i", "image": "busybox", "command": ["sh", "-c", "exit 3"]}],
        )
    )
    world.until(lambda: phase(world) == "Failed")
    status = world.pod("p")["status"]
    assert 3 == status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"]


def test_a_pod_that_ends_well_has_succeeded_and_one_that_does_not_has_failed(world: World) -> None:
    for name, code in (("good", "0"), ("bad", "7")):
        annotations = {RUN_SECONDS: "20", EXIT_CODE: code}
        world.create(pod(name, metadata={"annotations": annotations}, restartPolicy="Never"))
    world.until(lambda: phase(world, "good") == "Running")
    took = world.until(lambda: phase(world, "good") == "Succeeded" and phase(world, "bad") == "Failed")
    assert 19.0 < took <= 20.5
    assert ("Completed", "Error", 7) == (
        container(world, "good")["state"]["terminated"]["reason"],
        container(world, "bad")["state"]["terminated"]["reason"],
        container(world, "bad")["state"]["terminated"]["exitCode"],
    )
    assert "PodCompleted" == world.condition(world.pod("good"), "Ready")["reason"]


def test_a_container_that_keeps_ending_backs_off_longer_every_time(world: World) -> None:
    world.create(pod(container={"image": "busybox", "command": ["sh", "-c", "exit 1"]}))
    world.until(lambda: container(world)["restartCount"] == 1)
    waits = [
        world.until(lambda count=count: container(world)["restartCount"] == count)  # type: ignore[misc]
        for count in range(2, 8)
    ]
    assert [10, 20, 40, 80, 160, 300] == [round(wait) for wait in waits]
    status = container(world)
    uid = world.pod("p")["metadata"]["uid"]
    assert {
        "reason": "CrashLoopBackOff",
        "message": f"back-off 5m0s restarting failed container=c pod=p_default({uid})",
    } == status["state"]["waiting"]
    assert 1 == status["lastState"]["terminated"]["exitCode"]
    assert "Running" == phase(world)
    assert [f"Back-off restarting failed container c in pod p_default({uid})"] == world.events("BackOff")


def test_a_missing_config_map_holds_the_pod_until_it_is_there(world: World) -> None:
    world.create(pod(volumes=[{"name": "v", "configMap": {"name": "settings"}}]))
    world.advance(30)
    assert "ContainerCreating" == container(world)["state"]["waiting"]["reason"]
    assert [
        'MountVolume.SetUp failed for volume "v" : configmap "settings" not found',
    ] == world.events("FailedMount")
    world.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}})
    world.until(lambda: phase(world) == "Running", most=10)


def test_a_variable_from_nowhere_is_a_config_error_until_it_is_there(world: World) -> None:
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "token"}}}
    world.create(pod(container={"env": [variable]}))
    world.advance(10)
    assert {"reason": "CreateContainerConfigError", "message": 'secret "hub" not found'} == (
        container(world)["state"]["waiting"]
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub"}}
    created = world.create(secret)
    world.advance(11)
    assert "couldn't find key token in Secret default/hub" == container(world)["state"]["waiting"]["message"]
    world.change(created, lambda found: found.update(data={"token": "eA=="}))
    world.until(lambda: phase(world) == "Running", most=12)


def serving(probes: Object) -> Object:
    """A container that takes its time until it answers."""
    return {
        "image": "vllm/vllm-openai:v0.11.0",
        "args": ["--model", "meta-llama/Llama-3.1-8B-Instruct"],
        **probes,
    }


HTTP = {"httpGet": {"path": "/health", "port": 8000}}


def test_a_startup_probe_that_gives_up_before_the_weights_are_there_restarts_the_container(
    world: World,
) -> None:
    # 16 GB from the hub at 0.157 GB/s: 102 s.
    probes = {"startupProbe": {**HTTP, "periodSeconds": 10, "failureThreshold": 3}}
    world.create(pod(gpus=1, container=serving(probes), terminationGracePeriodSeconds=5))
    world.until(lambda: container(world).get("restartCount") == 1)
    assert ["Container c failed startup probe, will be restarted"] == world.events("Killing")
    assert (
        'Startup probe failed: Get "http://127.64.0.1:8000/health": dial tcp 127.64.0.1:8000: connect: connection refused'
        in world.events("Unhealthy")
    )
    assert not is_ready(world)


def test_a_startup_probe_that_waits_long_enough_lets_it_become_ready(world: World) -> None:
    probes = {
        "startupProbe": {**HTTP, "periodSeconds": 10, "failureThreshold": 60},
        "readinessProbe": {**HTTP, "periodSeconds": 5},
        "livenessProbe": {**HTTP, "periodSeconds": 10},
    }
    world.create(pod(gpus=1, container=serving(probes)))
    world.until(lambda: phase(world) == "Running")
    took = world.until(lambda: is_ready(world))
    assert 100.0 < took <= 115.0
    assert (0, True) == (container(world)["restartCount"], container(world)["started"])


def test_a_container_without_probes_is_ready_long_before_its_weights_are(world: World) -> None:
    world.create(pod(gpus=1, container=serving({})))
    world.until(lambda: phase(world) == "Running")
    assert is_ready(world)


def test_readiness_gates_hold_a_pod_back(world: World) -> None:
    created = world.create(pod(readinessGates=[{"conditionType": "example.com/gate"}]))
    world.until(lambda: phase(world) == "Running")
    ready = world.condition(world.pod("p"), "Ready")
    assert (
        "ReadinessGatesNotReady",
        'corresponding condition of pod readiness gate "example.com/gate" does not exist.',
    ) == (ready["reason"], ready["message"])
    assert "True" == world.condition(world.pod("p"), "ContainersReady")["status"]

    def pass_gate(found: Object) -> None:
        found["status"]["conditions"].append({"type": "example.com/gate", "status": "True"})

    world.change(created, pass_gate, "status")
    world.advance(1)
    assert is_ready(world)


def test_a_container_that_needs_more_than_its_limit_is_killed_and_restarted(world: World) -> None:
    limits = {"resources": {"limits": {"memory": "1Gi"}}, "command": ["sleep", "infinity"]}
    world.create(pod(container=limits, metadata={"annotations": {MEMORY: "2Gi"}}))
    world.until(lambda: container(world).get("restartCount") == 1)
    ended = container(world)["lastState"]["terminated"]
    assert ("OOMKilled", 137) == (ended["reason"], ended["exitCode"])


def test_a_node_that_runs_out_of_memory_evicts_who_is_above_its_request(world: World) -> None:
    world.create(pod("modest", container={"command": ["sleep", "infinity"]}))
    greedy = {"command": ["sleep", "infinity"], "resources": {"requests": {"memory": "1Gi"}}}
    world.create(pod("greedy", container=greedy, metadata={"annotations": {MEMORY: "2100Gi"}}))
    world.until(lambda: phase(world, "greedy") == "Failed")
    status = world.pod("greedy")["status"]
    assert "Evicted" == status["reason"]
    assert status["message"].startswith(
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 0Ki. "
        "Container c was using 2100Gi, request is 1Gi, has larger consumption of memory. "
    )
    assert "TerminationByKubelet" == world.condition(world.pod("greedy"), "DisruptionTarget")["reason"]
    node = world.node("h100-sxm-80gb-0")
    assert "KubeletHasInsufficientMemory" == world.condition(node, "MemoryPressure")["reason"]
    assert "node.kubernetes.io/memory-pressure" in [one["key"] for one in node["spec"]["taints"]]
    assert "Running" == phase(world, "modest")
    world.advance(310)
    assert "taints" not in world.node("h100-sxm-80gb-0")["spec"]


def test_a_deleted_pod_gets_its_grace_and_a_shell_that_ignores_the_signal_uses_it_up(world: World) -> None:
    created = world.create(
        pod(container={"command": ["sleep", "infinity"]}, terminationGracePeriodSeconds=20)
    )
    world.until(lambda: phase(world) == "Running")
    world.delete(created)
    world.advance(19)
    assert "running" in container(world)["state"]
    world.advance(2)
    assert world.get("Pod", "p") is None
    assert ["Stopping container c"] == world.events("Killing")


def test_a_pre_stop_hook_comes_before_the_signal(world: World) -> None:
    hook = {"lifecycle": {"preStop": {"exec": {"command": ["sleep", "10"]}}}}
    created = world.create(pod(container=hook))
    world.until(lambda: phase(world) == "Running")
    world.delete(created)
    world.advance(9)
    assert "running" in container(world)["state"]
    world.advance(2)
    assert world.get("Pod", "p") is None


def test_a_pod_that_is_out_of_time_fails(world: World) -> None:
    world.create(
        pod(
            container={"command": ["sleep", "1000"]},
            activeDeadlineSeconds=30,
            terminationGracePeriodSeconds=1,
        )
    )
    world.advance(35)
    status = world.pod("p")["status"]
    assert (
        "Failed",
        "DeadlineExceeded",
        "Pod was active on the node longer than the specified deadline",
    ) == (status["phase"], status["reason"], status["message"])


def test_a_pod_that_somebody_bound_to_a_full_node_is_rejected(world: World) -> None:
    world.create(pod("a", gpus=8))
    world.create(pod("b", gpus=1, nodeName="h100-sxm-80gb-0"))
    status = world.pod("b")["status"]
    assert ("Failed", "UnexpectedAdmissionError") == (status["phase"], status["reason"])
    assert (
        "Pod was rejected: Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. "
        "Requested: 1, Available: 0, which is unexpected"
    ) == status["message"]
    requests = {"resources": {"requests": {"cpu": "1000"}}}
    world.create(pod("c", container=requests, nodeName="h100-sxm-80gb-0"))
    assert "OutOfcpu" == world.pod("c")["status"]["reason"]


def test_an_image_that_is_nowhere_is_tried_again_and_again() -> None:
    world = make_world("1xcpu", options=NodeOptions(missing=lambda image: "nope" in image))
    world.create(pod(container={"image": "registry/nope:1"}))
    world.advance(4)
    assert "ImagePullBackOff" == container(world)["state"]["waiting"]["reason"]
    assert "Error: ErrImagePull" in world.events("Failed")
    assert "Pending" == phase(world)


def test_nvidia_smi_sees_the_gpus_that_the_container_has(world: World) -> None:
    world.create(
        pod(gpus=2, container={"image": "nvidia/cuda:13", "command": ["nvidia-smi"]}, restartPolicy="Never")
    )
    world.until(lambda: phase(world) == "Succeeded")
    lines = [text for _, text in kubelet_log(world.cluster, "default", "p", "c")]
    assert ["GPU 0: H100-SXM-80GB", "GPU 1: H100-SXM-80GB"] == lines


def test_the_log_of_a_container_that_waits_is_refused_in_the_kubelets_words(world: World) -> None:
    world.create(pod())
    with pytest.raises(ApiError) as caught:
        kubelet_log(world.cluster, "default", "p", "c")
    assert 'container "c" in pod "p" is waiting to start: ContainerCreating' == caught.value.message
