"""Services of Prometheus and Alertmanager objects, which lead to the lab's own servers.

The operator makes a StatefulSet and a headless Service for each object. Here no pod runs Prometheus: endpoints are written
beside those of the endpoint controller, for the operator's Service and for every other Service of the namespace that selects
the pods that there would be. They lead to the API in the lab's time.

Sources: prometheus-operator v0.93 pkg/prometheus/common.go (BuildStatefulSetService, its names and labels),
pkg/prometheus/server/statefulset.go (labels of pods), pkg/alertmanager/statefulset.go.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.platform.conditions import set_condition
from stoker.lab.platform.owned import ensure
from stoker.lab.store import Change

__all__ = ["OperatedServers", "Servers"]

Object = dict[str, Any]

_API: Final = "monitoring.coreos.com/v1"
_SHELVES: Final = {
    "Prometheus": "prometheuses.monitoring.coreos.com",
    "Alertmanager": "alertmanagers.monitoring.coreos.com",
}
_MANAGER: Final = "prometheus.lab.stoker.dev"
_MANAGED_BY, _SERVICE_NAME = "endpointslice.kubernetes.io/managed-by", "kubernetes.io/service-name"
_LOOK_S: Final = 1.0


@dataclass(slots=True)
class Servers:
    """Where the servers answer.

    Attributes:
        prometheus, alertmanager: ``address:port``; empty where there is none.
        is_known: nothing of it changes any more.
    """

    prometheus: str = ""
    alertmanager: str = ""
    is_known: bool = False


class OperatedServers:
    """Keeps the Services and their endpoints; reconciles a namespace at a time."""

    name = "prometheus-operator"
    shelves: Sequence[str] = (*_SHELVES.values(), "services")

    def __init__(self, local: Local, servers: Servers) -> None:
        self._local = local
        self._servers = servers

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == "services" and not any(self._objects(change.key.namespace)):
            return []
        return [(change.key.namespace, "")]

    def _objects(self, namespace: str) -> Iterator[Object]:
        for kind in _SHELVES:
            yield from self._local.list(_API, kind, namespace)

    def reconcile(self, target: Target) -> float | None:
        objects = [one for one in self._objects(target[0]) if not one["metadata"].get("deletionTimestamp")]
        if objects and not self._servers.is_known:
            return _LOOK_S
        wanted: set[str] = set()
        for obj in objects:
            self._keep_service(obj)
            address = self._address(obj)
            self._tell(obj, is_there=bool(address))
            if address:
                wanted |= self._keep_endpoints(obj, address)
        for one in list(self._local.list("discovery.k8s.io/v1", "EndpointSlice", target[0])):
            labels = one["metadata"].get("labels") or {}
            if labels.get(_MANAGED_BY) == _MANAGER and one["metadata"]["name"] not in wanted:
                self._local.delete(one)
        return None

    def _address(self, obj: Object) -> str:
        servers = self._servers
        return servers.prometheus if obj["kind"] == "Prometheus" else servers.alertmanager

    def _keep_service(self, obj: Object) -> None:
        namespace, kind = obj["metadata"]["namespace"], obj["kind"].lower()
        port = obj["spec"].get("portName") or "web"
        ports = [{"name": port, "port": _port(obj), "targetPort": port, "protocol": "TCP"}]
        if kind == "alertmanager":
            ports += [
                {"name": f"{name}-mesh", "port": 9094, "targetPort": 9094, "protocol": name.upper()}
                for name in ("tcp", "udp")
            ]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": f"{kind}-operated",
                "namespace": namespace,
                "labels": {f"operated-{kind}": "true", "managed-by": "prometheus-operator"},
            },
            "spec": {"clusterIP": "None", "ports": ports, "selector": {"app.kubernetes.io/name": kind}},
        }
        ensure(
            self._local,
            obj,
            service,
            keep=(
                "clusterIP",
                "clusterIPs",
                "ipFamilies",
                "ipFamilyPolicy",
                "internalTrafficPolicy",
                "sessionAffinity",
                "type",
            ),
        )

    def _keep_endpoints(self, obj: Object, address: str) -> set[str]:
        """Endpoints of each Service that selects the object's pods; their names."""
        found: set[str] = set()
        host, _, port = address.rpartition(":")
        labels = _pod_labels(obj)
        for service in list(self._local.list("v1", "Service", obj["metadata"]["namespace"])):
            selector = service["spec"].get("selector")
            if not selector or not selector.items() <= labels.items():
                continue
            name = f"{service['metadata']['name']}-lab"[:253]
            wanted = {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "namespace": obj["metadata"]["namespace"],
                    "labels": {_SERVICE_NAME: service["metadata"]["name"], _MANAGED_BY: _MANAGER},
                },
                "addressType": "IPv4",
                "endpoints": [
                    {
                        "addresses": [host],
                        "conditions": {"ready": True, "serving": True, "terminating": False},
                    }
                ],
                "ports": [
                    {"name": one.get("name", ""), "port": int(port), "protocol": "TCP"}
                    for one in service["spec"].get("ports") or ()
                    if one.get("targetPort") in {obj["spec"].get("portName") or "web", _port(obj)}
                ],
            }
            ensure(self._local, service, wanted)
            found.add(name)
        return found

    def _tell(self, obj: Object, *, is_there: bool) -> None:
        status = obj.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        generation = int(obj["metadata"].get("generation") or 0)
        now = self._local.cluster.now()
        available = ("True", "", "") if is_there else ("False", "NoPodReady", "the lab runs without metrics")
        set_condition(conditions, "Available", *available, now=now, generation=generation)
        set_condition(conditions, "Reconciled", "True", "", "", now=now, generation=generation)
        count = int(obj["spec"].get("replicas") or 1)
        status |= {
            "paused": bool(obj["spec"].get("paused")),
            "replicas": count,
            "updatedReplicas": count,
            "availableReplicas": count if is_there else 0,
            "unavailableReplicas": 0 if is_there else count,
        }
        self._local.update_status(obj)


def _port(obj: Object) -> int:
    return 9090 if obj["kind"] == "Prometheus" else 9093


def _pod_labels(obj: Object) -> dict[str, str]:
    kind, name = obj["kind"].lower(), obj["metadata"]["name"]
    found = {
        "app.kubernetes.io/name": kind,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/managed-by": "prometheus-operator",
        "app.kubernetes.io/version": str(obj["spec"].get("version") or "").removeprefix("v"),
        kind: name,
    }
    if kind == "prometheus":
        found |= {"operator.prometheus.io/name": name, "operator.prometheus.io/shard": "0"}
    return {**((obj["spec"].get("podMetadata") or {}).get("labels") or {}), **found}
