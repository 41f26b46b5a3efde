"""Services: their EndpointSlices and Endpoints, from the pods that they select.

Sources: kubernetes pkg/controller/endpointslice/endpointslice_controller.go, pkg/controller/endpoint/endpoints_controller.go.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.endpoint_rules import (
    CHANGED_AT,
    MANAGED_BY,
    SLICES,
    plan_slices,
)
from stoker.lab.controllers.endpoints_rules import MANAGED_BY as ENDPOINTS_MANAGED_BY
from stoker.lab.controllers.endpoints_rules import endpoints_of
from stoker.lab.controllers.objects import Object, condition_of
from stoker.lab.controllers.replicasets import is_terminating_namespace
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["Services"]

_SERVICE_NAME = "kubernetes.io/service-name"
# A pod on a node that is not known yet is looked at again.
_NODE_WAIT_S = 1.0
# Addresses of a large Service are not written more often than this: every write carries all of them.
_LARGE = 100
_PAUSE_S = 0.5


class Services:
    """The EndpointSlice and the Endpoints controller."""

    name = "endpointslice"
    shelves: Sequence[str] = ("services", "pods", "endpointslices.discovery.k8s.io", "endpoints")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._services = caches("v1", "Service")
        self._slices = caches("discovery.k8s.io/v1", "EndpointSlice")
        self._nodes = caches("v1", "Node")
        self._pods = caches.pods
        # By service: when its pods last became ready or not, as far as that was written already.
        self._seen: dict[Target, dict[str, str]] = {}
        self._written: dict[Target, datetime] = {}

    def targets(self, change: Change) -> Iterable[Target]:
        match change.key.resource:
            case "services" | "endpoints":
                return [(change.key.namespace, change.key.name)]
            case "endpointslices.discovery.k8s.io":
                return self._of_slice(change)
        return self._of_pod(change)

    def _of_slice(self, change: Change) -> Iterable[Target]:
        for one in self._caches.now_and_before(change):
            labels = one["metadata"].get("labels") or {}
            if labels.get(MANAGED_BY) == SLICES and labels.get(_SERVICE_NAME):
                yield change.key.namespace, labels[_SERVICE_NAME]

    def _of_pod(self, change: Change) -> Iterable[Target]:
        """Services that select the pod or did, if anything changed that endpoints show."""
        pods = self._caches.now_and_before(change)
        if len(pods) == 2 and _shown(pods[0]) == _shown(pods[1]):
            return
        labels = [pod["metadata"].get("labels") or {} for pod in pods]
        for service in self._services.all(change.key.namespace):
            selector = service["spec"].get("selector")
            if selector and any(selector.items() <= some.items() for some in labels):
                yield change.key.namespace, service["metadata"]["name"]

    def reconcile(self, target: Target) -> float | None:
        service = self._local.get("v1", "Service", *target)
        if service is None:
            self._forget(target)
            return None
        selector = service["spec"].get("selector")
        if service["spec"].get("type") == "ExternalName" or not selector:
            return None
        pods = [
            pod
            for pod in self._pods.all(target[0])
            if selector.items() <= (pod["metadata"].get("labels") or {}).items()
        ]
        pods.sort(key=lambda pod: str(pod["metadata"]["name"]))
        now = self._local.cluster.clock()
        if len(pods) > _LARGE and target in self._written:
            left = _PAUSE_S - (now - self._written[target]).total_seconds()
            if left > 0:
                return left
        self._written[target] = now
        try:
            return self._write(target, service, pods)
        except ApiError as error:
            if is_terminating_namespace(error):
                return None
            raise

    def _forget(self, target: Target) -> None:
        self._seen.pop(target, None)
        self._written.pop(target, None)
        endpoints = self._local.get("v1", "Endpoints", *target)
        if endpoints is not None and ENDPOINTS_MANAGED_BY in (endpoints["metadata"].get("labels") or {}):
            self._local.delete(endpoints)

    def _write(self, target: Target, service: Object, pods: list[Object]) -> float | None:
        existing = [
            one
            for one in self._slices.all(target[0])
            if (one["metadata"].get("labels") or {}).get(_SERVICE_NAME) == target[1]
            and one["metadata"]["labels"].get(MANAGED_BY) == SLICES
        ]
        plan = plan_slices(service, pods, existing, lambda name: self._nodes.get("", name))
        since = self._trigger(target, service, pods)
        for one in plan.delete:
            self._local.delete(one)
        if not service["metadata"].get("deletionTimestamp"):
            for one in plan.create:
                _stamp(one, since)
                self._local.create(one)
        for one in plan.update:
            self._rewrite(one, since)
        before = self._local.get("v1", "Endpoints", *target)
        endpoints = endpoints_of(service, pods, before)
        if endpoints is not None:
            _stamp(endpoints, since)
            if before is None:
                self._local.create(endpoints)
            else:
                self._local.update(endpoints)
        return _NODE_WAIT_S if plan.unknown_nodes - {""} else None

    def _rewrite(self, wanted: Object, since: str) -> None:
        metadata = wanted["metadata"]
        fresh = self._local.get(
            "discovery.k8s.io/v1", "EndpointSlice", metadata["namespace"], metadata["name"]
        )
        if fresh is None:
            return
        fresh["metadata"]["labels"] = metadata["labels"]
        fresh["endpoints"], fresh["ports"] = wanted["endpoints"], wanted.get("ports") or []
        _stamp(fresh, since)
        self._local.update(fresh)

    def _trigger(self, target: Target, service: Object, pods: Iterable[Object]) -> str:
        """The earliest time of what changed since the last write (TriggerTimeTracker); empty where nothing did."""
        seen = self._seen.get(target, {})
        now = {"": service["metadata"]["creationTimestamp"]}
        for pod in pods:
            found = condition_of(pod, "Ready")
            if found is not None and found.get("lastTransitionTime"):
                now[pod["metadata"]["name"]] = found["lastTransitionTime"]
        self._seen[target] = now
        return min((at for name, at in now.items() if at > seen.get(name, "")), default="")


def _stamp(obj: Object, since: str) -> None:
    annotations = dict(obj["metadata"].get("annotations") or {})
    annotations.pop(CHANGED_AT, None)
    if since:
        annotations[CHANGED_AT] = since
    if annotations:
        obj["metadata"]["annotations"] = annotations
    else:
        obj["metadata"].pop("annotations", None)


def _shown(pod: Object) -> tuple[object, ...]:
    """What endpoints show of a pod (podEndpointsChanged)."""
    status, spec = pod.get("status") or {}, pod["spec"]
    found = condition_of(pod, "Ready")
    return (
        pod["metadata"].get("labels"),
        bool(pod["metadata"].get("deletionTimestamp")),
        status.get("phase") in {"Failed", "Succeeded"},
        status.get("podIPs") or status.get("podIP"),
        found and found["status"],
        spec.get("nodeName"),
        spec.get("hostname"),
        spec.get("subdomain"),
    )
