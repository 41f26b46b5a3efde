"""Families of kube-state-metrics v2.20.0 (internal/store/*.go): names, types, labels and the order of labels are theirs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from stoker.kube.quantities import parse
from stoker.lab.monitoring.targets import label_name

__all__ = ["FAMILIES", "OWN_LABELS", "PODS", "Family"]

Object = dict[str, Any]
# Labels beyond the object's own, and a value.
Samples = Iterator[tuple[dict[str, str], float]]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of one kind of object."""

    shelf: str
    name: str
    help: str
    samples: Callable[[Object], Samples]
    type: str = "gauge"


def _seconds(text: str | None) -> float | None:
    return None if not text else datetime.fromisoformat(text).timestamp()


def _quantity(text: object) -> float:
    found = parse(text)
    return 0.0 if found is None else float(found)


# --- pods ---------------------------------------------------------------------------------------------------------------


def _pod_info(pod: Object) -> Samples:
    spec, status = pod["spec"], pod.get("status") or {}
    owner = _controller(pod)
    yield (
        {
            "host_ip": status.get("hostIP", ""),
            "pod_ip": status.get("podIP", ""),
            "node": spec.get("nodeName", ""),
            "created_by_kind": owner.get("kind", ""),
            "created_by_name": owner.get("name", ""),
            "priority_class": spec.get("priorityClassName", ""),
            "host_network": "true" if spec.get("hostNetwork") else "false",
        },
        1,
    )


def _controller(obj: Object) -> Object:
    owners = obj["metadata"].get("ownerReferences") or []
    return next((one for one in owners if one.get("controller")), {})


def _pod_phase(pod: Object) -> Samples:
    phase = (pod.get("status") or {}).get("phase")
    if phase:
        for one in ("Pending", "Succeeded", "Failed", "Unknown", "Running"):
            yield {"phase": one}, float(one == phase)


def _conditions(obj: Object) -> list[Object]:
    found: list[Object] = (obj.get("status") or {}).get("conditions") or []
    return found


def _condition(kind: str) -> Callable[[Object], Samples]:
    def samples(obj: Object) -> Samples:
        for condition in _conditions(obj):
            if condition["type"] == kind:
                for value in ("true", "false", "unknown"):
                    yield {"condition": value}, float(condition["status"].lower() == value)

    return samples


def _unschedulable(pod: Object) -> Samples:
    for condition in _conditions(pod):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield {}, 1


def _pod_owner(pod: Object) -> Samples:
    owners = pod["metadata"].get("ownerReferences") or []
    if not owners:
        yield {"owner_kind": "", "owner_name": "", "owner_is_controller": ""}, 1
    for owner in owners:
        yield (
            {
                "owner_kind": owner["kind"],
                "owner_name": owner["name"],
                "owner_is_controller": "true" if owner.get("controller") else "false",
            },
            1,
        )


def _container_statuses(pod: Object) -> list[Object]:
    found: list[Object] = (pod.get("status") or {}).get("containerStatuses") or []
    return found


def _of_container(value: Callable[[Object], float | None]) -> Callable[[Object], Samples]:
    def samples(pod: Object) -> Samples:
        for status in _container_statuses(pod):
            found = value(status)
            if found is not None:
                yield {"container": status["name"]}, found

    return samples


def _reason(state: str, field_name: str) -> Callable[[Object], Samples]:
    def samples(pod: Object) -> Samples:
        for status in _container_statuses(pod):
            entry = (status.get(field_name) or {}).get(state)
            if entry is not None:
                yield {"container": status["name"], "reason": entry.get("reason", "")}, 1

    return samples


_BYTES: Final = frozenset(("memory", "storage", "ephemeral-storage"))


def _unit(resource: str) -> str:
    if resource == "cpu":
        return "core"
    return "byte" if resource in _BYTES or resource.startswith("hugepages-") else "integer"


def _of_resources(side: str) -> Callable[[Object], Samples]:
    def samples(pod: Object) -> Samples:
        node = pod["spec"].get("nodeName", "")
        for container in pod["spec"].get("containers") or []:
            for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
                labels = {
                    "container": container["name"],
                    "node": node,
                    "resource": label_name(name),
                    "unit": _unit(name),
                }
                yield labels, _quantity(amount)

    return samples


def _pod_time(path: str, where: str = "status") -> Callable[[Object], Samples]:
    def samples(obj: Object) -> Samples:
        found = _seconds((obj.get(where) or {}).get(path))
        if found is not None:
            yield {}, found

    return samples


# --- nodes and workloads ------------------------------------------------------------------------------------------------


def _node_info(node: Object) -> Samples:
    spec, status = node.get("spec") or {}, node.get("status") or {}
    info = status.get("nodeInfo") or {}
    addresses = [one["address"] for one in status.get("addresses") or [] if one["type"] == "InternalIP"]
    yield (
        {
            "kernel_version": info.get("kernelVersion", ""),
            "os_image": info.get("osImage", ""),
            "container_runtime_version": info.get("containerRuntimeVersion", ""),
            "kubelet_version": info.get("kubeletVersion", ""),
            "kubeproxy_version": "deprecated",
            "provider_id": spec.get("providerID", ""),
            "pod_cidr": spec.get("podCIDR", ""),
            "system_uuid": info.get("systemUUID", ""),
            "internal_ip": addresses[-1] if addresses else "",
        },
        1,
    )


def _node_conditions(node: Object) -> Samples:
    for condition in _conditions(node):
        for value in ("true", "false", "unknown"):
            yield (
                {"condition": condition["type"], "status": value},
                float(condition["status"].lower() == value),
            )


def _node_resources(side: str) -> Callable[[Object], Samples]:
    def samples(node: Object) -> Samples:
        for name, amount in ((node.get("status") or {}).get(side) or {}).items():
            yield {"resource": label_name(name), "unit": _unit(name)}, _quantity(amount)

    return samples


def _number(where: str, *path: str, default: float | None = 0) -> Callable[[Object], Samples]:
    """A number below ``spec``, ``status`` or ``metadata``; nothing where it is absent and has no default."""

    def samples(obj: Object) -> Samples:
        found: Any = obj.get(where) or {}
        for part in path:
            found = found.get(part) if isinstance(found, dict) else None
        if found is None:
            found = default
        if found is not None:
            yield {}, float(found)

    return samples


def _quota(quota: Object) -> Samples:
    status = quota.get("status") or {}
    for kind in ("hard", "used"):
        for resource, amount in (status.get(kind) or {}).items():
            yield {"resource": resource, "type": kind}, _quantity(amount)


def _namespace_phase(namespace: Object) -> Samples:
    phase = (namespace.get("status") or {}).get("phase")
    for one in ("Active", "Terminating"):
        yield {"phase": one}, float(one == phase)


def _claim_phase(claim: Object) -> Samples:
    phase = (claim.get("status") or {}).get("phase")
    for one in ("Lost", "Bound", "Pending") if phase else ():
        yield {"phase": one}, float(one == phase)


PODS, _NODES, _QUOTAS = "pods", "nodes", "resourcequotas"
_DEPLOYMENTS, _SETS, _STATEFUL, _DAEMONS = (
    f"{name}.apps" for name in ("deployments", "replicasets", "statefulsets", "daemonsets")
)
_HPAS, _BUDGETS = "horizontalpodautoscalers.autoscaling", "poddisruptionbudgets.policy"
_CLAIMS, _NAMESPACES = "persistentvolumeclaims", "namespaces"

FAMILIES: Final[tuple[Family, ...]] = (
    Family(PODS, "kube_pod_info", "Information about pod.", _pod_info),
    Family(PODS, "kube_pod_owner", "Information about the Pod's owner.", _pod_owner),
    Family(PODS, "kube_pod_created", "Unix creation timestamp", _pod_time("creationTimestamp", "metadata")),
    Family(PODS, "kube_pod_start_time", "Start time in unix timestamp for a pod.", _pod_time("startTime")),
    Family(PODS, "kube_pod_status_phase", "The pods current phase.", _pod_phase),
    Family(PODS, "kube_pod_status_ready", "Describes whether the pod is ready to serve requests.", _condition("Ready")),
    Family(
        PODS, "kube_pod_status_scheduled", "Describes the status of the scheduling process for the pod.",
        _condition("PodScheduled"),
    ),
    Family(PODS, "kube_pod_status_unschedulable", "Describes the unschedulable status for the pod.", _unschedulable),
    Family(
        PODS, "kube_pod_container_status_restarts_total", "The number of container restarts per container.",
        _of_container(lambda status: float(status.get("restartCount", 0))), "counter",
    ),
    Family(
        PODS, "kube_pod_container_status_ready", "Describes whether the containers readiness check succeeded.",
        _of_container(lambda status: float(bool(status.get("ready")))),
    ),
    Family(
        PODS, "kube_pod_container_status_running", "Describes whether the container is currently in running state.",
        _of_container(lambda status: float("running" in (status.get("state") or {}))),
    ),
    Family(
        PODS, "kube_pod_container_status_waiting_reason", "Describes the reason the container is currently in waiting state.",
        _reason("waiting", "state"),
    ),
    Family(
        PODS, "kube_pod_container_status_terminated_reason",
        "Describes the reason the container is currently in terminated state.", _reason("terminated", "state"),
    ),
    Family(
        PODS, "kube_pod_container_status_last_terminated_reason",
        "Describes the last reason the container was in terminated state.", _reason("terminated", "lastState"),
    ),
    Family(
        PODS, "kube_pod_container_resource_requests",
        "The number of requested request resource by a container. It is recommended to use the kube_pod_resource_requests"
        " metric exposed by kube-scheduler instead, as it is more precise.",
        _of_resources("requests"),
    ),
    Family(
        PODS, "kube_pod_container_resource_limits",
        "The number of requested limit resource by a container. It is recommended to use the kube_pod_resource_limits metric"
        " exposed by kube-scheduler instead, as it is more precise.",
        _of_resources("limits"),
    ),
    Family(_NODES, "kube_node_info", "Information about a cluster node.", _node_info),
    Family(_NODES, "kube_node_status_condition", "The condition of a cluster node.", _node_conditions),
    Family(
        _NODES, "kube_node_status_capacity", "The total amount of resources available for a node.",
        _node_resources("capacity"),
    ),
    Family(
        _NODES, "kube_node_status_allocatable",
        "The allocatable for different resources of a node that are available for scheduling.", _node_resources("allocatable"),
    ),
    Family(
        _NODES, "kube_node_spec_unschedulable", "Whether a node can schedule new pods.", _number("spec", "unschedulable"),
    ),
    Family(_QUOTAS, "kube_resourcequota", "Information about resource quota.", _quota),
    Family(_NAMESPACES, "kube_namespace_status_phase", "kubernetes namespace status phase.", _namespace_phase),
    Family(_DEPLOYMENTS, "kube_deployment_spec_replicas", "Number of desired pods for a deployment.", _number("spec", "replicas")),
    Family(_DEPLOYMENTS, "kube_deployment_status_replicas", "The number of replicas per deployment.", _number("status", "replicas")),
    Family(
        _DEPLOYMENTS, "kube_deployment_status_replicas_ready", "The number of ready replicas per deployment.",
        _number("status", "readyReplicas"),
    ),
    Family(
        _DEPLOYMENTS, "kube_deployment_status_replicas_available", "The number of available replicas per deployment.",
        _number("status", "availableReplicas"),
    ),
    Family(
        _DEPLOYMENTS, "kube_deployment_status_replicas_unavailable", "The number of unavailable replicas per deployment.",
        _number("status", "unavailableReplicas"),
    ),
    Family(
        _DEPLOYMENTS, "kube_deployment_status_replicas_updated", "The number of updated replicas per deployment.",
        _number("status", "updatedReplicas"),
    ),
    Family(_SETS, "kube_replicaset_spec_replicas", "Number of desired pods for a ReplicaSet.", _number("spec", "replicas")),
    Family(_SETS, "kube_replicaset_status_ready_replicas", "The number of ready replicas per ReplicaSet.", _number("status", "readyReplicas")),
    Family(_STATEFUL, "kube_statefulset_replicas", "Number of desired pods for a StatefulSet.", _number("spec", "replicas", default=None)),
    Family(_STATEFUL, "kube_statefulset_status_replicas", "The number of replicas per StatefulSet.", _number("status", "replicas")),
    Family(
        _STATEFUL, "kube_statefulset_status_replicas_ready", "The number of ready replicas per StatefulSet.",
        _number("status", "readyReplicas"),
    ),
    Family(
        _DAEMONS, "kube_daemonset_status_desired_number_scheduled",
        "The number of nodes that should be running the daemon pod.", _number("status", "desiredNumberScheduled"),
    ),
    Family(
        _DAEMONS, "kube_daemonset_status_number_ready",
        "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and ready.",
        _number("status", "numberReady"),
    ),
    Family(
        _HPAS, "kube_horizontalpodautoscaler_spec_max_replicas",
        "Upper limit for the number of pods that can be set by the autoscaler; cannot be smaller than MinReplicas.",
        _number("spec", "maxReplicas"),
    ),
    Family(
        _HPAS, "kube_horizontalpodautoscaler_spec_min_replicas",
        "Lower limit for the number of pods that can be set by the autoscaler, default 1.",
        _number("spec", "minReplicas", default=1),
    ),
    Family(
        _HPAS, "kube_horizontalpodautoscaler_status_current_replicas",
        "Current number of replicas of pods managed by this autoscaler.", _number("status", "currentReplicas"),
    ),
    Family(
        _HPAS, "kube_horizontalpodautoscaler_status_desired_replicas",
        "Desired number of replicas of pods managed by this autoscaler.", _number("status", "desiredReplicas"),
    ),
    Family(
        _BUDGETS, "kube_poddisruptionbudget_status_pod_disruptions_allowed",
        "Number of pod disruptions that are currently allowed", _number("status", "disruptionsAllowed"),
    ),
    Family(
        _CLAIMS, "kube_persistentvolumeclaim_status_phase", "The phase the persistent volume claim is currently in.",
        _claim_phase,
    ),
)  # fmt: skip

# What an object's own labels are called (each store's wrap function).
OWN_LABELS: Final = {
    PODS: ("namespace", "pod"), _NODES: ("", "node"), _QUOTAS: ("namespace", "resourcequota"),
    _NAMESPACES: ("", "namespace"), _DEPLOYMENTS: ("namespace", "deployment"), _SETS: ("namespace", "replicaset"),
    _STATEFUL: ("namespace", "statefulset"), _DAEMONS: ("namespace", "daemonset"),
    _HPAS: ("namespace", "horizontalpodautoscaler"), _BUDGETS: ("namespace", "poddisruptionbudget"),
    _CLAIMS: ("namespace", "persistentvolumeclaim"),
}  # fmt: skip
