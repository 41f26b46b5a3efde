"""The row of a pod: the status word that everybody reads.

Upstream: pkg/printers/internalversion/printers.go, printPod.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stoker.lab.tables.duration import age
from stoker.lab.tables.texts import NONE

__all__ = ["pod_cells", "pod_conditions"]

Object = dict[str, Any]
_EMPTY: Object = {}
_COMPLETED = {
    "Succeeded": [
        {
            "type": "Completed",
            "status": "True",
            "reason": "Succeeded",
            "message": "The pod has completed successfully.",
        }
    ],
    "Failed": [{"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}],
}


@dataclass(slots=True)
class _Tally:
    """What the containers add up to; times are RFC 3339 and compare as text, empty before all others."""

    reason: str
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""
    sidecar_restarts: int = 0
    sidecar_last_restart: str = ""


def pod_conditions(pod: Object) -> list[dict[str, str]] | None:
    """Conditions of the row by which `kubectl get` hides finished pods on request."""
    return _COMPLETED.get(pod.get("status", _EMPTY).get("phase", ""))


def pod_cells(pod: Object, now: datetime) -> list[Any]:
    spec, status, metadata = pod.get("spec", _EMPTY), pod.get("status", _EMPTY), pod.get("metadata", _EMPTY)
    conditions = status.get("conditions", ())
    phase = status.get("phase", "")
    tally = _Tally(status.get("reason") or phase)
    if any(
        one.get("type") == "PodScheduled" and one.get("reason") == "SchedulingGated" for one in conditions
    ):
        tally.reason = "SchedulingGated"
    sidecars = {one["name"] for one in spec.get("initContainers", ()) if one.get("restartPolicy") == "Always"}
    initializing = _count_init(tally, spec, status, sidecars)
    if not initializing or _is_true(conditions, "Initialized"):
        _count_containers(tally, status, conditions)
    if metadata.get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            tally.reason = "Unknown"
        elif phase not in _COMPLETED:
            tally.reason = "Terminating"
    restarts = str(tally.restarts)
    if tally.restarts and tally.last_restart:
        restarts = f"{restarts} ({age(tally.last_restart, now)} ago)"
    total = len(spec.get("containers", ())) + len(sidecars)
    addresses = status.get("podIPs", ())
    return [
        metadata.get("name", ""),
        f"{tally.ready}/{total}",
        tally.reason,
        restarts,
        age(metadata.get("creationTimestamp"), now),
        (addresses[0].get("ip") if addresses else "") or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, conditions),
    ]


def _count_init(tally: _Tally, spec: Object, status: Object, sidecars: set[str]) -> bool:
    """Count init containers up to the first that is not done; whether one is not."""
    for index, one in enumerate(status.get("initContainerStatuses", ())):
        restarts, finished = _restarts(one)
        is_sidecar = one.get("name") in sidecars
        tally.restarts += restarts
        tally.last_restart = max(tally.last_restart, finished)
        if is_sidecar:
            tally.sidecar_restarts += restarts
            tally.sidecar_last_restart = max(tally.sidecar_last_restart, finished)
        state = one.get("state", _EMPTY)
        terminated = state.get("terminated")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if is_sidecar and one.get("started"):
            tally.ready += bool(one.get("ready"))
            continue
        waiting = state.get("waiting", _EMPTY).get("reason", "")
        if terminated is not None:
            tally.reason = f"Init:{_ended(terminated)}"
        elif waiting and waiting != "PodInitializing":
            tally.reason = f"Init:{waiting}"
        else:
            tally.reason = f"Init:{index}/{len(spec.get('initContainers', ()))}"
        return True
    return False


def _count_containers(tally: _Tally, status: Object, conditions: Any) -> None:
    tally.restarts, tally.last_restart = tally.sidecar_restarts, tally.sidecar_last_restart
    has_running = False
    error = ""
    for one in reversed(status.get("containerStatuses", ())):
        restarts, finished = _restarts(one)
        tally.restarts += restarts
        tally.last_restart = max(tally.last_restart, finished)
        state = one.get("state", _EMPTY)
        waiting = state.get("waiting", _EMPTY).get("reason", "")
        terminated = state.get("terminated")
        if waiting:
            tally.reason = waiting
        elif terminated is not None:
            tally.reason = _ended(terminated)
            if terminated.get("exitCode"):
                error = tally.reason
        elif one.get("ready") and "running" in state:
            has_running = True
            tally.ready += 1
    if tally.reason != "Completed":
        return
    # One container that still runs makes the pod run, though another has completed.
    if has_running and _is_true(conditions, "Ready"):
        tally.reason = "Running"
    elif error:
        tally.reason = error
    elif has_running:
        tally.reason = "NotReady"


def _restarts(status: Object) -> tuple[int, str]:
    terminated = status.get("lastState", _EMPTY).get("terminated", _EMPTY)
    return status.get("restartCount", 0), terminated.get("finishedAt") or ""


def _ended(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _is_true(conditions: Any, kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in conditions)


def _gates(spec: Object, conditions: Any) -> str:
    gates = spec.get("readinessGates", ())
    if not gates:
        return NONE
    statuses: dict[str, str] = {}
    for one in conditions:
        statuses.setdefault(one.get("type", ""), one.get("status", ""))
    met = sum(statuses.get(gate.get("conditionType", "")) == "True" for gate in gates)
    return f"{met}/{len(gates)}"
