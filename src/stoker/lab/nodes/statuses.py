"""A pod's status as its kubelet writes it. Pure.

Source: kubernetes pkg/kubelet/kubelet_pods.go (getPhase, generateAPIPodStatus), pkg/kubelet/status/generate.go.
"""

from collections.abc import Sequence
from typing import Any

from stoker.lab.nodes.client import set_condition
from stoker.lab.nodes.containers import Container

__all__ = ["phase_of", "pod_status", "should_restart"]

Object = dict[str, Any]


def should_restart(pod: Object, container: Container) -> bool:
    """Whether a container that has ended is started again (podutil.ContainerShouldRestart)."""
    if container.role == "sidecar":
        return True
    policy = pod["spec"].get("restartPolicy") or "Always"
    if container.role == "init" and policy == "Always":
        policy = "OnFailure"
    return policy == "Always" or (policy == "OnFailure" and container.exit_code != 0)


def phase_of(
    pod: Object, containers: Sequence[Container], *, is_terminal: bool, was_initialized: bool
) -> str:
    """The phase; ``is_terminal``: its containers will not be started again whatever the policy says."""
    inits = [one for one in containers if one.role == "init"]
    mains = [one for one in containers if one.role == "main"]
    sidecars = [one for one in containers if one.role == "sidecar"]
    for one in inits:
        ended = one.state == "terminated" or one.last is not None
        if ended and one.state != "running" and _code(one) != 0 and not should_restart(pod, one):
            return "Failed"
    pending = any(not (one.state == "terminated" or (one.state == "waiting" and one.last)) for one in inits)
    pending_sidecars = any(
        (one.state == "running" and not one.is_started) or (one.state == "waiting" and one.last is None)
        for one in sidecars
    )
    waiting = any(one.state == "waiting" and one.last is None for one in (*mains, *sidecars))
    if pending or (pending_sidecars and not was_initialized) or waiting:
        return "Pending"
    if any(one.state == "running" for one in (*mains, *sidecars)):
        return "Running"
    if not is_terminal and any(one.state == "waiting" or should_restart(pod, one) for one in mains):
        return "Running"
    return "Succeeded" if all(_code(one) == 0 for one in mains) else "Failed"


def _code(container: Container) -> int:
    if container.state == "terminated":
        return container.exit_code
    return int((container.last or {}).get("exitCode") or 0)


def pod_status(
    pod: Object, containers: Sequence[Container], *, phase: str, at: str, host: str, address: str, started: str,
    why: tuple[str, str] = ("", ""),
) -> Object:  # fmt: skip
    """The whole status.

    Args:
        pod: as it is, with conditions that others have written.
        containers: all of them.
        phase: as `phase_of` has it.
        at: the time.
        host: address of the node.
        address: of the pod; empty without a sandbox.
        started: when the kubelet saw it first.
        why: reason and message of a pod that failed as a whole.
    """
    before = pod.get("status") or {}
    spec = pod["spec"]
    status: Object = {
        key: before[key]
        for key in ("nominatedNodeName", "resourceClaimStatuses", "extendedResourceClaimStatus", "resize")
        if key in before
    }
    generation = int(pod["metadata"].get("generation") or 0)
    status["observedGeneration"] = generation
    status["phase"] = phase
    status["conditions"] = [dict(one) for one in before.get("conditions") or ()]
    if why[0]:
        status["reason"] = why[0]
    if why[1]:
        status["message"] = why[1]
    if host:
        status["hostIP"], status["hostIPs"] = host, [{"ip": host}]
    if address:
        status["podIP"], status["podIPs"] = address, [{"ip": address}]
    if started:
        status["startTime"] = started
    inits = [one for one in containers if one.role != "main"]
    waiting = "PodInitializing" if inits else "ContainerCreating"
    if inits:
        status["initContainerStatuses"] = [one.status(waiting) for one in inits]
    status["containerStatuses"] = [one.status(waiting) for one in containers if one.role == "main"]
    # Sorted by name (kubetypes.SortedContainerStatuses); init containers keep the order in which they run.
    status["containerStatuses"].sort(key=lambda one: one["name"])
    if "qosClass" in before:
        status["qosClass"] = before["qosClass"]
    has_sandbox = bool(address) and phase not in {"Succeeded", "Failed"}
    for condition in _conditions(spec, containers, phase, status, has_sandbox=has_sandbox):
        set_condition(status, {**condition, "observedGeneration": generation}, at)
    status["conditions"] = _in_order(status["conditions"])
    return status


_ORDER = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def _in_order(conditions: list[Object]) -> list[Object]:
    """What others have written first, then the kubelet's own."""
    return sorted(conditions, key=lambda one: _ORDER.index(one["type"]) if one["type"] in _ORDER else -1)


def _conditions(
    spec: Object, containers: Sequence[Container], phase: str, status: Object, *, has_sandbox: bool
) -> list[Object]:  # fmt: skip
    ready = _containers_ready(containers, phase)
    return [
        {"type": "PodReadyToStartContainers", "status": "True" if has_sandbox else "False"},
        {"type": "Initialized", **_initialized(containers, phase)},
        {"type": "Ready", **_pod_ready(spec, ready, status)},
        {"type": "ContainersReady", **ready},
        {"type": "PodScheduled", "status": "True"},
    ]


def _names(containers: Sequence[Container]) -> str:
    return f"[{' '.join(one.name for one in containers)}]"


def _containers_ready(containers: Sequence[Container], phase: str) -> Object:
    if phase == "Succeeded":
        return {"status": "False", "reason": "PodCompleted"}
    if phase == "Failed":
        return {"status": "False", "reason": "PodFailed"}
    unready = [one for one in containers if one.role != "init" and not one.is_ready]
    if unready:
        return {
            "status": "False",
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: {_names(unready)}",
        }
    return {"status": "True"}


def _pod_ready(spec: Object, ready: Object, status: Object) -> Object:
    if ready["status"] != "True":
        return ready
    messages = []
    for gate in spec.get("readinessGates") or ():
        kind = gate["conditionType"]
        found = next((one for one in status["conditions"] if one["type"] == kind), None)
        if found is None:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif found["status"] != "True":
            messages.append(f'the status of pod readiness gate "{kind}" is not "True", but {found["status"]}')
    if messages:
        return {"status": "False", "reason": "ReadinessGatesNotReady", "message": ", ".join(messages)}
    return {"status": "True"}


def _initialized(containers: Sequence[Container], phase: str) -> Object:
    if phase == "Succeeded":
        return {"status": "True", "reason": "PodCompleted"}
    if any(one.role == "main" and one.is_created for one in containers):
        return {"status": "True"}
    incomplete = [
        one
        for one in containers
        if (one.role == "sidecar" and not one.is_started)
        or (one.role == "init" and not (one.state == "terminated" and one.exit_code == 0))
    ]
    if incomplete:
        return {
            "status": "False",
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: {_names(incomplete)}",
        }
    return {"status": "True"}
