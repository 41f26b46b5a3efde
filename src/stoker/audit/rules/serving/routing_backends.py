"""Ways to a server, seen from the outside: Ingresses, routes and pools whose backend is there and listens."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, replace
from stoker.audit.rule import rule
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.catalog.engines import release
from stoker.kube.paths import Path
from stoker.kube.selectors import matches
from stoker.kube.snapshot import Item

_INGRESS: Final = "https://kubernetes.io/docs/concepts/services-networking/ingress/"
_ROUTE: Final = "https://gateway-api.sigs.k8s.io/api-types/httproute/"
_POOL_TYPES: Final = "gateway-api-inference-extension 1.6.0 api/v1/inferencepool_types.go"
_POOL: Final = "InferencePool.inference.networking.k8s.io"
_SLIP: Final = 0.88  # names of a family (llm-a, llm-b) are alike and all meant


def _entries(view: View) -> Iterator[tuple[Item, Path, Mapping[str, Any], Item]]:
    """Backends of Ingresses whose Service is here, with their path."""
    for ingress in view.of("Ingress.networking.k8s.io"):
        for number, entry in enumerate(ingress.spec.get("rules") or []):
            for index, way in enumerate((entry.get("http") or {}).get("paths") or []):
                backend = (way.get("backend") or {}).get("service") or {}
                service = view.snapshot.get("Service", ingress.namespace, str(backend.get("name") or ""))
                if service is not None and _leads_to_gpus(service, view):
                    path = ("spec", "rules", number, "http", "paths", index, "backend", "service", "port")
                    yield ingress, path, backend.get("port") or {}, service


def _leads_to_gpus(service: Item, view: View) -> bool:
    selector = service.spec.get("selector") or {}
    return bool(selector) and any(
        all(w.labels.get(k) == v for k, v in selector.items())
        for w in view.gpu_workloads_in(service.namespace)
    )


@rule(
    "route-ingress-port-missing",
    Area.SERVING,
    Severity.ERROR,
    title="Ingress leads to a port that its Service does not have",
    why="The controller finds no endpoint and answers 503: the pods are Ready, the Ingress has its address, and every request fails.",
    fix="Use one of the Service's ports.",
    references=(_INGRESS,),
    on=_entries,
)
def _route_ingress_port_missing(
    subject: tuple[Item, Path, Mapping[str, Any], Item], view: View
) -> Iterator[Hit]:
    ingress, path, port, service = subject
    ports = service.spec.get("ports") or []
    for key, field in (("number", "port"), ("name", "name")):
        if key not in port:
            continue
        there = [entry[field] for entry in ports if field in entry]
        if port[key] not in there and (there or key == "name") and ports:
            told = ", ".join(str(entry) for entry in there) or "no name"
            fix = Fix(f"Use {there[0]}", (replace((*path, key), there[0]),)) if len(there) == 1 else None
            yield Hit(
                ingress, (*path, key), f"Service {service.name} has no port {port[key]}; it has {told}", port[key], fix
            )  # fmt: skip


def _references(view: View) -> Iterator[tuple[Item, Path, str, str, str]]:
    """Services and pools that routes name, where their absence can be told: route, path, kind, namespace, name."""
    for route in view.of("HTTPRoute.gateway.networking.k8s.io"):
        for number, entry in enumerate(route.spec.get("rules") or []):
            for index, backend in enumerate(entry.get("backendRefs") or []):
                resource = {"Service": "Service", "InferencePool": _POOL}.get(
                    str(backend.get("kind") or "Service")
                )
                if resource is None or backend.get("group") == "inference.networking.x-k8s.io":
                    continue
                namespace = str(backend.get("namespace") or route.namespace)
                name = str(backend.get("name") or "")
                found = view.snapshot.get(resource, namespace, name) is not None
                if name and (
                    found or view.knows(resource, namespace) or _near(resource, namespace, name, view)
                ):
                    path = ("spec", "rules", number, "backendRefs", index, "name")
                    yield route, path, resource, namespace, name


def _near(resource: str, namespace: str, name: str, view: View) -> str:
    """The one object whose name is a slip of the finger away; empty where there is none."""
    near = [
        item.name for item in view.snapshot.within(resource, namespace)
        if SequenceMatcher(None, item.name, name).ratio() > _SLIP and not _differ_in_number(item.name, name)
    ]  # fmt: skip
    return near[0] if len(near) == 1 else ""


def _differ_in_number(one: str, other: str) -> bool:
    """``vllm-v1`` and ``vllm-v2`` are two things, no slip."""
    return one.rstrip("0123456789") == other.rstrip("0123456789")


@rule(
    "route-backend-missing",
    Area.SERVING,
    Severity.ERROR,
    title="HTTPRoute leads to a Service or pool that does not exist",
    why="The gateway reports BackendNotFound and answers 500: the route is accepted, and nothing is reachable through it.",
    fix="Create the backend, or correct its name.",
    references=(_ROUTE,),
    on=_references,
)
def _route_backend_missing(subject: tuple[Item, Path, str, str, str], view: View) -> Iterator[Hit]:
    route, path, resource, namespace, name = subject
    if view.snapshot.get(resource, namespace, name) is not None:
        return
    near = _near(resource, namespace, name, view)
    kind = resource.partition(".")[0]
    hint = f"; did you mean {near}?" if near else ""
    fix = Fix(f"Lead to {near}", (replace(path, near),)) if near else None
    yield Hit(route, path, f"there is no {kind} {name} in {namespace or 'this namespace'}{hint}", name, fix)


def _pools(view: View) -> Iterator[tuple[Item, list[Server]]]:
    """Pools with the servers that they select, where the port of every one is certain."""
    servers = {id(s.workload): s for s in view.running_servers}
    for pool in view.of(_POOL):
        selector = pool.spec.get("selector")
        if not selector:
            continue
        chosen = [
            w for w in view.workloads_in(pool.namespace) if not w.template and matches(selector, w.labels)
        ]  # fmt: skip
        found = [servers[id(w)] for w in chosen if id(w) in servers]
        if found and len(found) == len(chosen) and all(_certain(s) for s in found):
            yield pool, found


def _certain(server: Server) -> bool:
    """Whether the engine alone listens, on a port that its flags or its image tell."""
    beside = [
        c for c in server.workload.containers if c is not server.container and (not c.init or c.sidecar)
    ]
    told = server.number("--port", "-p") is not None
    return (
        not beside
        and server.workload.complete
        and (told or (server.official and not server.container.spec.get("env")))
    )


@rule(
    "inferencepool-port-mismatch",
    Area.SERVING,
    Severity.ERROR,
    title="InferencePool sends requests to a port on which no server listens",
    why=(
        "The endpoint picker chooses a healthy pod and the gateway's connection is refused: the pods are Ready, the pool is "
        "accepted, and every request ends in 503."
    ),
    fix="Set targetPorts to the engine's port.",
    references=(_POOL_TYPES,),
    on=_pools,
)
def _inferencepool_port_mismatch(subject: tuple[Item, list[Server]], view: View) -> Iterator[Hit]:
    pool, servers = subject
    ports = {int(s.number("--port", "-p") or release(s.engine, s.version).port) for s in servers}
    declared = {p.get("containerPort") for s in servers for p in s.container.spec.get("ports") or []}
    for index, entry in enumerate(pool.spec.get("targetPorts") or []):
        number = entry.get("number")
        if number is None or number in ports or number in declared or _many_ports(servers):
            continue
        told = ", ".join(str(port) for port in sorted(ports))
        path = ("spec", "targetPorts", index, "number")
        fix = Fix(f"Send to {told}", (replace(path, next(iter(ports))),)) if len(ports) == 1 else None
        yield Hit(pool, path, f"port {number}: {servers[0]} listens on {told}", number, fix)


def _many_ports(servers: list[Server]) -> bool:
    """Data parallel ranks may listen on ports of their own beside the first."""
    return any(server.data_parallel > 1 or server.flag("--data-parallel-size-local") for server in servers)
