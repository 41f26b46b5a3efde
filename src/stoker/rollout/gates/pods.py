"""Probe pods, and what becomes of them.

A probe pod does nothing (the pause image) and passes the strictest Pod Security Standard and quotas on CPU and memory, so that
what happens to it has no other reason than the one a gate looks for.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref
from stoker.rollout.gate import Context

__all__ = ["IMAGE", "PROBE_REQUESTS", "Fate", "fate_of", "follow", "probe_name", "probe_pod", "taint_counts"]

IMAGE: Final = "registry.k8s.io/pause:3.10"
_CPU, _MEMORY = "10m", "16Mi"
PROBE_REQUESTS: Final[Mapping[str, int]] = {
    "cpu": 10,
    "memory": 16 * 2**20,
}  # the same in the scheduler's units
_NOBODY: Final = 65535  # the user of the pause image (kubernetes build/pause/Dockerfile)
# 1.36 says "untolerated taint(s)", before it was "untolerated taint {key: value}" for each taint
# (kubernetes pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go).
_UNTOLERATED: Final = re.compile(r"(\d+) node\(s\) had untolerated taint")
_AVAILABLE: Final = re.compile(r"^\d+/(\d+) nodes are available")
_BAD_IMAGE: Final = frozenset(("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"))


def probe_name(context: Context, what: str) -> str:
    """A name that no other run has."""
    return f"stoker-probe-{what}-{hashlib.sha256(context.probes.run.encode()).hexdigest()[:8]}"


def probe_pod(
    name: str,
    namespace: str,
    *,
    node: str = "",
    tolerations: Sequence[Mapping[str, str]] = (),
    priority_class: str = "",
    scheduler: str | None = None,
    gpus: Mapping[str, int] | None = None,
    containers: int = 1,
    gated: bool = False,
    image: str = IMAGE,
) -> Object:
    """A pod that pauses.

    Args:
        name: see `probe_name`.
        namespace: whose policies it meets.
        node: the only node that will do; chosen by field, so that the scheduler looks at no other.
        tolerations: of taints.
        priority_class: empty for the cluster's default.
        scheduler: None for the default one.
        gpus: extended resources of each container.
        containers: how many containers it has.
        gated: it is never scheduled: admission and quotas alone are asked.
        image: of a registry that the nodes reach.
    """
    amounts = {"cpu": _CPU, "memory": _MEMORY, **{key: str(n) for key, n in (gpus or {}).items()}}
    container = {
        "image": image,
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    spec: Object = {
        "containers": [{"name": f"pause-{number}", **container} for number in range(containers)],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": [dict(one) for one in tolerations],
    }
    if node:
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        required = {"nodeSelectorTerms": [term]}
        spec["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    if priority_class:
        spec["priorityClassName"] = priority_class
    if scheduler:
        spec["schedulerName"] = scheduler
    if gated:
        spec["schedulingGates"] = [{"name": "stoker.dev/probe"}]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class Fate:
    """How far a pod has come.

    Attributes:
        phase: such as ``Running``; empty where the pod is gone.
        node: it is bound to; empty while it is not.
        message: the scheduler's, of a pod that it could not place; else why a container waits.
        bad_image: the node cannot get the image.
        preempted: the scheduler has condemned it for a pod of higher priority.
    """

    phase: str = ""
    node: str = ""
    message: str = ""
    bad_image: bool = False
    preempted: bool = False

    @property
    def refused(self) -> bool:
        """The scheduler has looked and found no node."""
        return not self.node and bool(self.message)

    @property
    def is_running(self) -> bool:
        return self.phase == "Running"

    def as_json(self) -> dict[str, Any]:
        return {"phase": self.phase or "gone", "node": self.node, "message": self.message}


def fate_of(pod: Object | None) -> Fate:
    if pod is None:
        return Fate()
    status = pod.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled") or {}
    doomed = conditions.get("DisruptionTarget") or {}
    waits = [(one.get("state") or {}).get("waiting") or {} for one in status.get("containerStatuses") or ()]
    message = scheduled.get("message", "") if scheduled.get("status") == "False" else ""
    if not message:
        message = "; ".join(f"{one.get('reason', '')}: {one.get('message', '')}" for one in waits if one)
    return Fate(
        str(status.get("phase") or "Pending"),
        str(pod["spec"].get("nodeName") or ""),
        message.strip(),
        any(one.get("reason") in _BAD_IMAGE for one in waits),
        doomed.get("status") == "True" and doomed.get("reason") == "PreemptionByScheduler",
    )


def look(cluster: Cluster, pod: Object) -> Fate:
    metadata = pod["metadata"]
    found = cluster.get(Ref("v1", "Pod", metadata["namespace"], metadata["name"]))
    if found is not None and found["metadata"]["uid"] != metadata["uid"]:
        found = None
    return fate_of(found)


def follow(context: Context, pod: Object, *, within: float, refused: bool = False) -> Fate:
    """Wait until a pod runs, or the time is up; with ``refused``, until the scheduler has said why it does not place it."""
    last = Fate()

    def settled() -> Fate | None:
        nonlocal last
        last = look(context.cluster, pod)
        done = last.is_running or not last.phase or last.phase == "Failed"
        return last if done or (refused and (last.refused or last.node)) else None

    found = context.until(settled, within=within) or last
    what = f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}"
    context.note(
        f"{what} is {found.phase or 'gone'}{f' on {found.node}' if found.node else ''}", **found.as_json()
    )
    return found


def taint_counts(message: str) -> tuple[int, int]:
    """From a scheduler's message: nodes with an untolerated taint, and nodes in all; -1 where it says nothing of them."""
    total = _AVAILABLE.match(message)
    return sum(int(number) for number in _UNTOLERATED.findall(message)), int(total[1]) if total else -1
