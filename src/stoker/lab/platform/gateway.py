"""GatewayClasses, Gateways and HTTPRoutes: their statuses, and an address for each Gateway.

Every GatewayClass is the lab's to serve, whatever controller it names. A Gateway gets a Service ``<gateway>-<class>`` (GEP-1762),
whose cluster address is its own; `listeners` answers there.

Sources: kubernetes-sigs/gateway-api v1.6.1 apis/v1/{gatewayclass,gateway,httproute,shared}_types.go (types, reasons and when
they apply). Messages are the lab's: each implementation has its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from stoker.kube.selectors import matches
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.platform.conditions import set_condition
from stoker.lab.platform.owned import ensure
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = [
    "API",
    "GATEWAY_LABEL",
    "GatewayClasses",
    "Gateways",
    "HttpRoutes",
    "attached",
    "hostnames_of",
    "is_granted",
]

Object = dict[str, Any]

API = "gateway.networking.k8s.io/v1"
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
_GROUP = "gateway.networking.k8s.io"
_SHELVES = tuple(f"{one}.{_GROUP}" for one in ("gatewayclasses", "gateways", "httproutes", "referencegrants"))
_ROUTED = frozenset(("HTTP", "HTTPS"))


class GatewayClasses:
    """Accepts every class."""

    name = "gatewayclass"
    shelves: Sequence[str] = _SHELVES[:1]

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        return [(change.key.namespace, change.key.name)]

    def reconcile(self, target: Target) -> float | None:
        obj = self._local.get(API, "GatewayClass", "", target[1])
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        conditions = obj.setdefault("status", {}).setdefault("conditions", [])
        set_condition(
            conditions,
            "Accepted",
            "True",
            "Accepted",
            "Valid GatewayClass",
            now=self._local.cluster.now(),
            generation=int(obj["metadata"].get("generation") or 0),
        )
        self._local.update_status(obj)
        return None


class Gateways:
    """Gives a Gateway its address and says how many routes each listener has."""

    name = "gateway"
    shelves: Sequence[str] = (*_SHELVES[:3], "namespaces")

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == _SHELVES[1]:
            return [(change.key.namespace, change.key.name)]
        if change.key.resource == _SHELVES[2]:
            found = change.record.object()
            return [(space, name) for space, name, _ in _parents(found)]
        return [
            (one["metadata"]["namespace"], one["metadata"]["name"])
            for one in self._local.list(API, "Gateway")
        ]

    def reconcile(self, target: Target) -> float | None:
        gateway = self._local.get(API, "Gateway", *target)
        if gateway is None or gateway["metadata"].get("deletionTimestamp"):
            return None
        name = gateway["spec"]["gatewayClassName"]
        if self._local.get(API, "GatewayClass", "", name) is None:
            return None  # nobody's: it stays as the schema made it, waiting for a controller
        now, generation = self._local.cluster.now(), int(gateway["metadata"].get("generation") or 0)
        service = ensure(
            self._local, gateway, _service(gateway), keep=("clusterIP", "clusterIPs", "healthCheckNodePort")
        )
        status = gateway.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        address = service["spec"].get("clusterIP") or ""
        set_condition(
            conditions,
            "Accepted",
            "True",
            "Accepted",
            "The Gateway is accepted",
            now=now,
            generation=generation,
        )
        set_condition(
            conditions,
            "Programmed",
            "True",
            "Programmed",
            "The Gateway has its address",
            now=now,
            generation=generation,
        )
        status["addresses"] = [{"type": "IPAddress", "value": address}]
        status["listeners"] = self._listeners(gateway, now, generation)
        self._local.update_status(gateway)
        if (service.get("status") or {}).get("loadBalancer") != {"ingress": [{"ip": address}]}:
            service["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
            self._local.update_status(service)
        return None

    def _listeners(self, gateway: Object, now: str, generation: int) -> list[Object]:
        before = {one["name"]: one for one in (gateway.get("status") or {}).get("listeners") or ()}
        routes = list(self._local.list(API, "HTTPRoute"))
        found = []
        for listener in gateway["spec"]["listeners"]:
            conditions = list((before.get(listener["name"]) or {}).get("conditions") or ())
            texts = (
                ("Accepted", "Accepted", "Listener has been accepted"),
                ("Programmed", "Programmed", "Listener serves its port"),
                ("ResolvedRefs", "ResolvedRefs", "Listener references have been resolved"),
            )
            for kind, reason, message in texts:
                set_condition(conditions, kind, "True", reason, message, now=now, generation=generation)
            found.append(
                {
                    "name": listener["name"],
                    "supportedKinds": [{"group": _GROUP, "kind": "HTTPRoute"}]
                    if listener["protocol"] in _ROUTED
                    else [],
                    "attachedRoutes": sum(
                        1 for one in routes if listener in attached(self._local, gateway, one)
                    ),
                    "conditions": conditions,
                }
            )
        return found


def _service(gateway: Object) -> Object:
    metadata, spec = gateway["metadata"], gateway["spec"]
    infrastructure = spec.get("infrastructure") or {}
    ports = {one["port"]: one for one in spec["listeners"]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"{metadata['name']}-{spec['gatewayClassName']}"[:63].rstrip("-"),
            "namespace": metadata["namespace"],
            "labels": {**(infrastructure.get("labels") or {}), GATEWAY_LABEL: metadata["name"]},
            "annotations": dict(infrastructure.get("annotations") or {}),
        },
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": False,
            "ports": [
                {"name": f"port-{port}", "port": port, "targetPort": port, "protocol": "TCP"}
                for port in sorted(ports)
            ],
        },
    }


# --- which routes hang on which listeners ---------------------------------------------------------------------------


def _parents(route: Object) -> Iterator[tuple[str, str, Object]]:
    """Namespace, name and reference of each Gateway that a route names."""
    for one in route["spec"].get("parentRefs") or ():
        if one.get("kind", "Gateway") == "Gateway" and one.get("group", _GROUP) == _GROUP:
            yield (
                one.get("namespace") or route["metadata"]["namespace"],
                one["name"],
                one,
            )


def attached(local: Local, gateway: Object, route: Object) -> list[Object]:
    """Listeners of a Gateway that a route hangs on: its reference, the listener's namespaces and both hostnames agree."""
    place = (gateway["metadata"]["namespace"], gateway["metadata"]["name"])
    return [
        listener
        for space, name, reference in _parents(route)
        if (space, name) == place
        for listener in gateway["spec"]["listeners"]
        if not _refusal(local, gateway, listener, route, reference)
    ]


def _refusal(local: Local, gateway: Object, listener: Object, route: Object, reference: Object) -> str:
    """The reason why a route does not hang on a listener; empty where it does."""
    section = reference.get("sectionName")
    if (section and listener["name"] != section) or reference.get("port") not in {None, listener["port"]}:
        return "NoMatchingParent"
    if listener["protocol"] not in _ROUTED or not _is_allowed(local, gateway, listener, route):
        return "NotAllowedByListeners"
    return "" if hostnames_of(listener, route) is not None else "NoMatchingListenerHostname"


def _is_allowed(local: Local, gateway: Object, listener: Object, route: Object) -> bool:
    allowed = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    space = route["metadata"]["namespace"]
    match allowed.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            found = local.get("v1", "Namespace", "", space)
            return found is not None and matches(
                allowed.get("selector"), found["metadata"].get("labels") or {}
            )
    return bool(space == gateway["metadata"]["namespace"])


def hostnames_of(listener: Object, route: Object) -> tuple[str, ...] | None:
    """Hosts that a listener and a route have in common; empty for every host, None for none."""
    own, wanted = listener.get("hostname"), route["spec"].get("hostnames") or ()
    if not own:
        return tuple(wanted)
    if not wanted:
        return (own,)
    common = tuple(
        one if _covers(own, one) else own for one in wanted if _covers(own, one) or _covers(one, own)
    )
    return common or None


def _covers(pattern: str, host: str) -> bool:
    """Whether a hostname, perhaps with a wildcard for its first labels, takes in another."""
    return pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:]))


# --- routes -----------------------------------------------------------------------------------------------------------


class HttpRoutes:
    """Says of each parent whether a route is accepted there and whether its backends are found."""

    name = "httproute"
    shelves: Sequence[str] = (*_SHELVES, "services", "inferencepools.inference.networking.k8s.io")

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == _SHELVES[2]:
            return [(change.key.namespace, change.key.name)]
        # A new Service or pool may be what a route waits for; one that only changes is not.
        if change.key.resource not in _SHELVES and change.before is not None and not change.is_delete:
            return []
        return [
            (one["metadata"]["namespace"], one["metadata"]["name"])
            for one in self._local.list(API, "HTTPRoute")
        ]

    def reconcile(self, target: Target) -> float | None:
        route = self._local.get(API, "HTTPRoute", *target)
        if route is None or route["metadata"].get("deletionTimestamp"):
            return None
        now, generation = self._local.cluster.now(), int(route["metadata"].get("generation") or 0)
        before = (route.get("status") or {}).get("parents") or []
        parents = []
        for space, name, reference in _parents(route):
            gateway = self._local.get(API, "Gateway", space, name)
            found = gateway and self._local.get(API, "GatewayClass", "", gateway["spec"]["gatewayClassName"])
            if not gateway or not found:
                continue
            old = next((one for one in before if one["parentRef"] == reference), None)
            conditions = list((old or {}).get("conditions") or ())
            reasons = [
                _refusal(self._local, gateway, one, route, reference) for one in gateway["spec"]["listeners"]
            ]
            reason = "" if "" in reasons else _worst(reasons)
            accepted = "No listener of the Gateway takes the Route" if reason else "Route is accepted"
            missing, text = self._missing(route)
            resolved = text or "Resolved all the Object references for the Route"
            for kind, why, message in (
                ("Accepted", reason, accepted),
                ("ResolvedRefs", missing, resolved),
            ):
                set_condition(
                    conditions, kind, "False" if why else "True", why or kind, message, now=now, generation=generation
                )  # fmt: skip
            parents.append(
                {
                    "parentRef": reference,
                    "controllerName": found["spec"]["controllerName"],
                    "conditions": conditions,
                }
            )
        if parents or before:
            route.setdefault("status", {})["parents"] = parents
            try:
                self._local.update_status(route)
            except ApiError as error:
                if error.code != 409:
                    raise
        return None

    def _missing(self, route: Object) -> tuple[str, str]:
        """Reason and message where a backend cannot be reached; empty where all can."""
        own = route["metadata"]["namespace"]
        for rule in route["spec"].get("rules") or ():
            for one in rule.get("backendRefs") or ():
                kind = one.get("kind") or "Service"
                space = one.get("namespace") or own
                api_version = {"Service": "v1", "InferencePool": "inference.networking.k8s.io/v1"}.get(kind)
                if api_version is None:
                    return "InvalidKind", f"Kind {kind} is no backend here"
                if space != own and not is_granted(self._local, own, space, kind, one["name"]):
                    return (
                        "RefNotPermitted",
                        f"Backend ref to {kind} {space}/{one['name']} not permitted by any ReferenceGrant.",
                    )
                if self._local.get(api_version, kind, space, one["name"]) is None:
                    return "BackendNotFound", f"{kind} {space}/{one['name']} not found"
        return "", ""


def is_granted(local: Local, own: str, space: str, kind: str, name: str) -> bool:
    """Whether routes of the namespace ``own`` may name an object of the namespace ``space``."""
    for grant in local.list("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", space):
        spec = grant["spec"]
        if any(
            one["kind"] == "HTTPRoute" and one["group"] == _GROUP and one["namespace"] == own
            for one in spec["from"]
        ) and any(one["kind"] == kind and one.get("name") in {None, name} for one in spec["to"]):
            return True
    return False


def _worst(reasons: Sequence[str]) -> str:
    """The reason that tells most: a listener that nearly matched."""
    for reason in ("NoMatchingListenerHostname", "NotAllowedByListeners"):
        if reason in reasons:
            return reason
    return "NoMatchingParent"
