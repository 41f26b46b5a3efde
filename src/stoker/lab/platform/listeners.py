"""Where requests go: every address that forwards, as the serving process is told (`stoker.lab.serving.contract`).

- A Service with a cluster address forwards each of its ports to the ready endpoints of its EndpointSlices.
- A Gateway answers at its Service's address with the rules of its HTTPRoutes, in the order that Gateway API gives them.
- KEDA's interceptor and Knative's ingress are gateways too; their rules hold requests while no backend is ready.

An InferencePool is its ready pods in turn: no endpoint picker is asked. Regular expressions of paths count by the text before
their first special letter; what a filter does to headers is not done.
"""

import re
from collections.abc import Iterator
from typing import Any

from stoker.kube.selectors import matches
from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import is_ready
from stoker.lab.platform.gateway import API, GATEWAY_LABEL, attached, hostnames_of, is_granted
from stoker.lab.platform.knative_routes import INGRESS, knative_rules
from stoker.lab.platform.triggers import route_rule
from stoker.lab.serving.contract import Absent, Backend, Listener, Rule

__all__ = ["listeners"]

Object = dict[str, Any]

_INTERCEPTOR = "keda-add-ons-http-interceptor-proxy"
_LITERAL = re.compile(r"^\^?(/[\w/-]*)")


def listeners(local: Local) -> tuple[Listener, ...]:
    """Every listener that there should be now."""
    return tuple(_Listeners(local).all())


class _Listeners:
    def __init__(self, local: Local) -> None:
        self._local = local
        self._slices: dict[tuple[str, str], list[Object]] = {}
        for one in local.list("discovery.k8s.io/v1", "EndpointSlice"):
            metadata = one["metadata"]
            service = (metadata.get("labels") or {}).get("kubernetes.io/service-name", "")
            self._slices.setdefault((metadata["namespace"], service), []).append(one)
        self._services = {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one
            for one in local.list("v1", "Service")
        }
        self._routes = list(local.list(API, "HTTPRoute"))

    def all(self) -> Iterator[Listener]:
        gateways = {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one
            for one in self._local.list(API, "Gateway")
        }
        for (space, name), service in self._services.items():
            address = service["spec"].get("clusterIP")
            if not address or address == "None":
                continue
            label = (service["metadata"].get("labels") or {}).get(GATEWAY_LABEL)
            gateway = gateways.get((space, label)) if label else None
            if gateway is not None:
                yield from self._gateway(gateway, address)
            elif (space, name) == INGRESS or name == _INTERCEPTOR:
                rules = tuple(
                    self._held() if name == _INTERCEPTOR else knative_rules(self._local, self.endpoints)
                )
                for port in service["spec"]["ports"]:
                    yield Listener(address, port["port"], "http", rules)
            else:
                for port in service["spec"].get("ports") or ():
                    if port.get("protocol", "TCP") == "TCP":
                        backends = tuple(self.endpoints(space, name, port["port"]))
                        yield Listener(
                            address, port["port"], "tcp", (Rule(backends=backends, name=f"{space}/{name}"),)
                        )

    # --- backends -----------------------------------------------------------------------------------------------------

    def endpoints(
        self, space: str, name: str, port: int | None, weight: int = 1, group: str = ""
    ) -> Iterator[Backend]:
        """Ready endpoints of a Service's port; of its first where none is named."""
        service = self._services.get((space, name))
        if service is None:
            return
        ports = service["spec"].get("ports") or ()
        found = next((one for one in ports if port in {None, one["port"]}), None)
        if found is None:
            return
        for one in self._slices.get((space, name), ()):
            number = next(
                (
                    entry["port"]
                    for entry in one.get("ports") or ()
                    if (entry.get("name") or "") == (found.get("name") or "")
                ),
                None,
            )
            if number is None:
                continue
            for endpoint in one.get("endpoints") or ():
                if (endpoint.get("conditions") or {}).get("ready", True):
                    for address in endpoint["addresses"]:
                        yield Backend(address, number, weight, group or f"{space}/{name}")

    def _pool(self, space: str, name: str, weight: int, group: str) -> Iterator[Backend]:
        pool = self._local.get("inference.networking.k8s.io/v1", "InferencePool", space, name)
        if pool is None:
            return
        for pod in self._local.list("v1", "Pod", space):
            address = (pod.get("status") or {}).get("podIP")
            if (
                address
                and is_ready(pod)
                and matches(pool["spec"]["selector"], pod["metadata"].get("labels") or {})
            ):
                for port in pool["spec"]["targetPorts"]:
                    yield Backend(address, port["number"], weight, group)

    # --- gateways -----------------------------------------------------------------------------------------------------

    def _gateway(self, gateway: Object, address: str) -> Iterator[Listener]:
        rules: dict[int, list[tuple[Any, Rule]]] = {}
        for listener in gateway["spec"]["listeners"]:
            mine = rules.setdefault(listener["port"], [])
            for route in self._routes:
                if listener in attached(self._local, gateway, route):
                    mine.extend(self._route(route, hostnames_of(listener, route) or ()))
        for port, found in sorted(rules.items()):
            found.sort(key=lambda one: one[0])
            yield Listener(address, port, "http", tuple(rule for _, rule in found))

    def _route(self, route: Object, hosts: tuple[str, ...]) -> Iterator[tuple[Any, Rule]]:
        metadata = route["metadata"]
        label = f"{metadata['namespace']}/{metadata['name']}"
        for number, rule in enumerate(route["spec"].get("rules") or ()):
            held = self._held_by(rule)
            backends, absent = self._backends(route, rule)
            matches_of: list[Object] = rule.get("matches") or [{}]
            for match in matches_of:
                path = match.get("path") or {}
                headers = {
                    one["name"]: one["value"]
                    for one in match.get("headers") or ()
                    if one.get("type", "Exact") == "Exact"
                }
                prefix = _prefix(path)
                order = (
                    -max((len(one) - 1000 * one.startswith("*") for one in hosts), default=-2000),
                    path.get("type") != "Exact",
                    -len(prefix),
                    -len(headers),
                    metadata["creationTimestamp"],
                    label,
                    number,
                )
                rewrite = _rewritten(rule)
                if held:
                    for one in held:
                        if not one.hosts or not hosts or set(one.hosts) & set(hosts):
                            yield order, _moved(one, hosts or one.hosts, prefix)
                    continue
                yield (
                    order,
                    Rule(
                        backends=backends,
                        hosts=hosts,
                        path=prefix,
                        headers=headers,
                        absent=absent,
                        # No reference at all, or none with a share.
                        empty_status=500,
                        rewrite_path=rewrite,
                        name=label,
                    ),
                )

    def _backends(self, route: Object, rule: Object) -> tuple[tuple[Backend, ...], tuple[Absent, ...]]:
        """Backends by weight, and the shares that lead nowhere: 500 for a reference that is invalid, 503 for nobody ready."""
        own = route["metadata"]["namespace"]
        weights: dict[tuple[str, str, str, int | None], int] = {}
        for one in rule.get("backendRefs") or ():
            key = (one.get("kind") or "Service", one.get("namespace") or own, one["name"], one.get("port"))
            weights[key] = weights.get(key, 0) + int(one.get("weight", 1))
        found: list[Backend] = []
        absent: list[Absent] = []
        groups: set[str] = set()
        for (kind, space, name, port), weight in weights.items():
            if not weight:
                continue
            group = f"{space}/{name}" if f"{space}/{name}" not in groups else f"{space}/{name}:{port}"
            groups.add(group)
            members = self._members(own, (kind, space, name, port), weight, group)
            if members:
                found.extend(members)
            else:
                absent.append(Absent(weight, group, 500 if members is None else 503))
        return tuple(found), tuple(absent)

    def _members(
        self, own: str, reference: tuple[str, str, str, int | None], weight: int, group: str
    ) -> list[Backend] | None:
        """Who answers for a reference; None where it is invalid."""
        kind, space, name, port = reference
        if space != own and not is_granted(self._local, own, space, kind, name):
            return None
        if kind == "InferencePool":
            if self._local.get("inference.networking.k8s.io/v1", "InferencePool", space, name) is None:
                return None
            return list(self._pool(space, name, weight, group))
        service = self._services.get((space, name))
        if kind != "Service" or service is None:
            return None
        if port not in {one["port"] for one in service["spec"].get("ports") or ()}:
            return None
        return list(self.endpoints(space, name, port, weight, group))

    # --- KEDA's interceptor -------------------------------------------------------------------------------------------

    def _held_by(self, rule: Object) -> list[Rule]:
        """Rules of the interceptor where a route leads to it."""
        if any(one["name"] == _INTERCEPTOR for one in rule.get("backendRefs") or ()):
            return list(self._held())
        return []

    def _held(self) -> Iterator[Rule]:
        for one in self._local.list("http.keda.sh/v1beta1", "InterceptorRoute"):
            space, name = one["metadata"]["namespace"], one["metadata"]["name"]
            target = one["spec"]["target"]
            backends = tuple(self.endpoints(space, target["service"], target.get("port")))
            entries: list[Object] = one["spec"].get("rules") or [{}]
            for entry in entries:
                for path in entry.get("paths") or ({"value": "/"},):
                    yield Rule(
                        backends=backends,
                        hosts=tuple(entry.get("hosts") or ()),
                        path=path["value"],
                        holds=True,
                        name=route_rule(space, name),
                    )
        for one in self._local.list("http.keda.sh/v1alpha1", "HTTPScaledObject"):
            space, name = one["metadata"]["namespace"], one["metadata"]["name"]
            target = one["spec"]["scaleTargetRef"]
            yield Rule(
                backends=tuple(self.endpoints(space, target["service"], target.get("port"))),
                hosts=tuple(one["spec"].get("hosts") or ()),
                holds=True,
                name=route_rule(space, name),
            )


def _prefix(path: Object) -> str:
    value = str(path.get("value") or "/")
    if path.get("type") != "RegularExpression":
        return value
    found = _LITERAL.match(value)
    return found[1] if found else "/"


def _rewritten(rule: Object) -> str | None:
    for one in rule.get("filters") or ():
        path = (one.get("urlRewrite") or {}).get("path") or {}
        if one["type"] == "URLRewrite" and path.get("type") == "ReplacePrefixMatch":
            return str(path.get("replacePrefixMatch") or "/")
    return None


def _moved(rule: Rule, hosts: tuple[str, ...], prefix: str) -> Rule:
    """An interceptor's rule as a gateway's: its hosts are those that the route takes."""
    return Rule(
        backends=rule.backends,
        hosts=hosts,
        path=rule.path if len(rule.path) > len(prefix) else prefix,
        holds=True,
        name=rule.name,
    )
