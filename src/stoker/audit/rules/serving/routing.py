"""Ways to a server: Services, routes and pools that select the right pods on the right port."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, replace
from stoker.audit.rule import rule
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.catalog.engines import release
from stoker.kube.selectors import matches
from stoker.kube.snapshot import Item

_SERVICE: Final = "https://kubernetes.io/docs/concepts/services-networking/service/"
_ROUTE: Final = "https://gateway-api.sigs.k8s.io/api-types/httproute/"
_POOL: Final = "gateway-api-inference-extension 1.6.0 api/v1/inferencepool_types.go"
_NEW_POOL: Final = "InferencePool.inference.networking.k8s.io"
_OLD_POOL: Final = "InferencePool.inference.networking.x-k8s.io"
_CLOSE: Final = 0.8


def _targets(selector: Mapping[str, str], namespace: str, view: View) -> list[Workload]:
    return [
        w for w in view.workloads_in(namespace)
        if not w.template and selector and all(w.labels.get(k) == v for k, v in selector.items())
    ]  # fmt: skip


def _slip(selector: Mapping[str, str], namespace: str, view: View) -> Workload | None:
    """The one GPU workload whose labels the selector misses by a slip of the finger."""
    if len(selector) != 1:
        return None
    ((key, value),) = selector.items()
    near = [
        w for w in view.workloads_in(namespace)
        if w.uses_gpu and not w.template and key in w.labels and SequenceMatcher(None, w.labels[key], value).ratio() > _CLOSE
    ]  # fmt: skip
    return near[0] if len(near) == 1 else None


def _services(view: View) -> Iterator[Item]:
    """Services with a selector that lead to GPU servers, nearly do, or must lead somewhere."""
    for service in view.of("Service"):
        selector = service.spec.get("selector") or {}
        if not selector or service.labels.get("serving.kserve.io/inferenceservice"):
            continue
        found = _targets(selector, service.namespace, view)
        if any(w.uses_gpu for w in found) or (not found and _slip(selector, service.namespace, view)):
            yield service


@rule(
    "service-selects-nothing",
    Area.SERVING,
    Severity.ERROR,
    title="Service selects no pods, and misses a model server by a letter",
    why="The Service has no endpoints: every request ends in `no route` or 503, while the server beside it is healthy and idle.",
    fix="Select the labels of the server's pods.",
    references=(_SERVICE,),
    on=_services,
)
def _service_selects_nothing(service: Item, view: View) -> Iterator[Hit]:
    selector = service.spec.get("selector") or {}
    if _targets(selector, service.namespace, view):
        return
    near = _slip(selector, service.namespace, view)
    if near is not None:
        ((key, value),) = selector.items()
        path = ("spec", "selector", key)
        yield Hit(
            service,
            path,
            f"no pods have {key}={value}; {near} has {key}={near.labels[key]}",
            value,
            Fix(f"Select {near.labels[key]}", (replace(path, near.labels[key]),)),
        )


def _ports(view: View) -> Iterator[tuple[Item, int, Mapping[str, Any], Server]]:
    """Ports of Services that lead to one inference server whose pod is written out."""
    by_workload = {id(s.workload): s for s in view.running_servers if s.workload.complete}
    for service in _services(view):
        found = [
            w for w in _targets(service.spec.get("selector") or {}, service.namespace, view) if w.uses_gpu
        ]
        if len(found) == 1 and id(found[0]) in by_workload:
            for index, port in enumerate(service.spec.get("ports") or []):
                yield service, index, port, by_workload[id(found[0])]


@rule(
    "service-port-mismatch",
    Area.SERVING,
    Severity.ERROR,
    title="Service sends requests to a port on which nothing listens",
    why="Connections are refused: the pods are Ready, the Service has endpoints, and every request fails.",
    fix="Set targetPort to the engine's port, or to the name of the container's port.",
    references=(_SERVICE,),
    on=_ports,
)
def _service_port_mismatch(subject: tuple[Item, int, Mapping[str, Any], Server], view: View) -> Iterator[Hit]:
    service, index, port, server = subject
    target = str(port.get("targetPort") or port.get("port") or "")
    declared = [p for c in server.workload.containers for p in c.spec.get("ports") or []]
    names = {str(p.get("name")): p.get("containerPort") for p in declared if p.get("name")}
    path = ("spec", "ports", index, "targetPort")
    if target and not target.isdigit():
        if target not in names:
            yield Hit(service, path, f"no container of {server} has a port named {target}", target)
        return
    known = {str(p.get("containerPort")) for p in declared}
    listening = server.number("--port", "-p")
    own = str(int(listening)) if listening else str(release(server.engine, server.version).port)
    certain = listening is not None or (server.official and not server.container.spec.get("env"))
    reached = {str(p.get("targetPort") or p.get("port")) for p in service.spec.get("ports") or []} & {
        own,
        *known,
        *names,
    }
    if reached:
        return  # one port leads to the engine; another may be for a sidecar that a webhook adds
    extra = any(c is not server.container and not c.init for c in server.workload.containers)
    if target and target not in known and target != own and certain and not extra:
        yield Hit(
            service,
            path,
            f"port {target} of {server}: the engine listens on {own}",
            target,
            Fix(f"Send to {own}", (add(path, int(own)),)),
        )


def _backends(view: View) -> Iterator[tuple[Item, tuple[str | int, ...], Mapping[str, Any], Item]]:
    """Backends of routes whose Service is here."""
    for route in view.of("HTTPRoute.gateway.networking.k8s.io"):
        for number, entry in enumerate(route.spec.get("rules") or []):
            for index, backend in enumerate(entry.get("backendRefs") or []):
                if backend.get("kind", "Service") != "Service":
                    continue
                service = view.snapshot.get(
                    "Service",
                    str(backend.get("namespace") or route.namespace),
                    str(backend.get("name") or ""),
                )
                if service is not None:
                    yield route, ("spec", "rules", number, "backendRefs", index), backend, service


@rule(
    "route-port-missing",
    Area.SERVING,
    Severity.ERROR,
    title="HTTPRoute leads to a port that its Service does not have",
    why="The gateway marks the backend invalid and answers 500: the route exists, and nothing is reachable through it.",
    fix="Use one of the Service's ports.",
    references=(_ROUTE,),
    on=_backends,
)
def _route_port_missing(
    subject: tuple[Item, tuple[str | int, ...], Mapping[str, Any], Item], view: View
) -> Iterator[Hit]:
    route, path, backend, service = subject
    ports = [p.get("port") for p in service.spec.get("ports") or []]
    if backend.get("port") is not None and ports and backend["port"] not in ports:
        told = ", ".join(str(p) for p in ports)
        fix = Fix(f"Use {ports[0]}", (replace((*path, "port"), ports[0]),)) if len(ports) == 1 else None
        yield Hit(
            route,
            (*path, "port"),
            f"Service {service.name} has no port {backend['port']}; it has {told}",
            backend["port"],
            fix,
        )


def _split(view: View) -> Iterator[tuple[Item, int, list[Mapping[str, Any]]]]:
    for route in view.of("HTTPRoute.gateway.networking.k8s.io"):
        for number, entry in enumerate(route.spec.get("rules") or []):
            backends = entry.get("backendRefs") or []
            if len(backends) > 1:
                yield route, number, backends


@rule(
    "route-sends-nothing",
    Area.SERVING,
    Severity.ERROR,
    title="All weights of a route are zero",
    why="A route whose backends weigh nothing answers 500 to everybody: the way back from a canary went one step too far.",
    fix="Give the stable backend its weight.",
    references=(_ROUTE,),
    on=_split,
)
def _route_sends_nothing(subject: tuple[Item, int, list[Mapping[str, Any]]], view: View) -> Iterator[Hit]:
    route, number, backends = subject
    if all(backend.get("weight", 1) == 0 for backend in backends):
        yield Hit(
            route, ("spec", "rules", number, "backendRefs"), f"{len(backends)} backends, all of weight 0", 0
        )


def _timed(view: View) -> Iterator[tuple[Item, int, str]]:
    """Rules of routes with a request timeout that lead to GPU servers or to a pool of them."""
    for route in view.of("HTTPRoute.gateway.networking.k8s.io"):
        for number, entry in enumerate(route.spec.get("rules") or []):
            timeout = str((entry.get("timeouts") or {}).get("request") or "")
            kinds = {str(b.get("kind", "Service")) for b in entry.get("backendRefs") or []}
            names = {str(b.get("name")) for b in entry.get("backendRefs") or []}
            served = any(
                _targets(s.spec.get("selector") or {}, s.namespace, view)
                for s in view.snapshot.within("Service", route.namespace)
                if s.name in names
            )
            if timeout and ("InferencePool" in kinds or served):
                yield route, number, timeout


@rule(
    "route-timeout-cuts-answers",
    Area.SERVING,
    Severity.WARNING,
    title="Route ends requests before a long answer can",
    why="A streamed answer of a thousand tokens takes a minute: the gateway cuts it in the middle, and the engine computes on for nobody.",
    fix="Raise timeouts.request to the longest answer, or set it to 0s.",
    references=(_ROUTE,),
    on=_timed,
)
def _route_timeout_cuts_answers(subject: tuple[Item, int, str], view: View) -> Iterator[Hit]:
    route, number, timeout = subject
    seconds = _seconds(timeout)
    if seconds is not None and 0 < seconds < 60:  # a thousand tokens at 20 ms each, and the queue
        yield Hit(
            route, ("spec", "rules", number, "timeouts", "request"), f"requests end after {timeout}", timeout
        )


def _seconds(text: str) -> float | None:
    for suffix, scale in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        number = text.removesuffix(suffix)
        if number != text and number.isdigit():
            return int(number) * scale
    return None


@rule(
    "inferencepool-legacy",
    Area.SERVING,
    Severity.WARNING,
    title="InferencePool or InferenceModel of the group that is going away",
    why="inference.networking.x-k8s.io was the alpha: new gateways serve inference.networking.k8s.io/v1 only, and the pool is not found after their upgrade.",
    fix="Use InferencePool of inference.networking.k8s.io/v1, and InferenceObjective for InferenceModel.",
    references=(_POOL,),
    on=lambda view: (
        *view.of(_NEW_POOL),
        *view.of(_OLD_POOL, "InferenceModel.inference.networking.x-k8s.io"),
    ),
)
def _inferencepool_legacy(item: Item, view: View) -> Iterator[Hit]:
    if item.group.endswith("x-k8s.io"):
        yield Hit(item, ("apiVersion",), f"{item.kind} of {item.api_version}", item.api_version)


def _pools(view: View) -> Iterator[tuple[Item, Mapping[str, Any]]]:
    """Pools in namespaces whose workloads are here."""
    for pool in view.of(_NEW_POOL):
        selector = pool.spec.get("selector")
        if selector and any(w.uses_gpu for w in view.workloads_in(pool.namespace)):
            yield pool, selector


@rule(
    "inferencepool-selects-nothing",
    Area.SERVING,
    Severity.ERROR,
    title="InferencePool selects none of the model servers beside it",
    why="The endpoint picker has nothing to pick: every request through the gateway is answered with 503.",
    fix="Select the labels of the servers' pods.",
    references=(_POOL,),
    on=_pools,
)
def _inferencepool_selects_nothing(subject: tuple[Item, Mapping[str, Any]], view: View) -> Iterator[Hit]:
    pool, selector = subject
    here = [w for w in view.workloads_in(pool.namespace) if w.uses_gpu]
    labels = dict(selector.get("matchLabels") or {})
    if not any(matches(selector, w.labels) for w in here) and (
        view.knows("Deployment.apps", pool.namespace) or _slip(labels, pool.namespace, view)
    ):
        yield Hit(
            pool,
            ("spec", "selector"),
            f"none of {len(here)} GPU workloads of {pool.namespace} has these labels",
            selector,
        )
