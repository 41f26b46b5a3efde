"""How a model, Prometheus or Alertmanager is reached from here: the first way that answers, and which one it was.

1. The URL that the user, or the lab, named.
2. A model's gateway: the address of its HTTPRoute's Gateway (of Knative's ingress in that mode), with its Host header. This is
   the way of users, and the only one that splits a canary.
3. The Service's cluster address, where a TCP connection comes about: within the cluster, and in the lab.
4. The API server's proxy of the Service. It carries a few small requests; it is no way for load.
"""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx2

from stoker.errors import StokerError
from stoker.kube.api_errors import ForbiddenError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref
from stoker.platform.autoscaling import Wake
from stoker.platform.serving import ServingMode
from stoker.rollout.gate import CannotMeasureError
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.serving.routing import hostname

__all__ = [
    "Endpoint",
    "Way",
    "find_alertmanager",
    "find_model",
    "find_pod",
    "find_prometheus",
    "find_service",
]

_GATEWAY_API: Final = "gateway.networking.k8s.io/v1"
_TIMEOUT: Final = httpx2.Timeout(60.0, connect=3.0)
_CONNECT: Final = 2.0  # seconds of the wall for a TCP connection: within a cluster it takes milliseconds
# Services in front of Knative's networking layers (knative.dev/docs/install/yaml-install/serving, kourier and istio).
_KNATIVE_INGRESSES: Final = (
    ("kourier-system", "kourier"),
    ("istio-system", "istio-ingressgateway"),
    ("contour-external", "envoy"),
)
_PROMETHEUS_LABEL: Final = "app.kubernetes.io/name=prometheus"
_ALERTMANAGER_LABEL: Final = "app.kubernetes.io/name=alertmanager"
_GIVEN: Final = "--service, or what the lab tells of itself"


class Way(StrEnum):
    NAMED = "named"
    GATEWAY = "gateway"
    SERVICE = "service"
    PROXY = "proxy"


@dataclass(frozen=True)
class Endpoint:
    """Where requests go.

    Attributes:
        url: without a slash at its end; paths are put behind it.
        headers: what every request must carry, such as ``Host``.
        way: how it was found.
        through: the object that leads there, for people, such as ``HTTPRoute ai/llama by Gateway kserve/ingress``.
    """

    url: str
    headers: Mapping[str, str]
    way: Way
    through: str
    _open: Callable[[], httpx2.Client] | None = field(default=None, repr=False, compare=False)

    @property
    def takes_load(self) -> bool:
        """Whether more than a few small requests may be sent this way."""
        return self.way is not Way.PROXY

    def client(self, timeout: httpx2.Timeout = _TIMEOUT) -> httpx2.Client:
        """A client whose paths are relative to the endpoint; close it, or use it in a ``with``. Timeouts are the wall's."""
        if self._open is not None:
            client = self._open()
            client.base_url, client.timeout = httpx2.URL(self.url), timeout
            client.headers.update(self.headers)
            return client
        # Addresses of a cluster are never behind the proxy of this machine's environment; a named URL may be.
        return httpx2.Client(
            base_url=self.url, headers=dict(self.headers), timeout=timeout, trust_env=self.way is Way.NAMED
        )

    def as_json(self) -> dict[str, Any]:
        """For evidence. The user's URL may hold credentials, so only its host is told."""
        return {
            "url": _public(self.url),
            "headers": dict(self.headers),
            "way": self.way.value,
            "through": self.through,
        }


def find_model(
    cluster: Cluster,
    platform: ResolvedPlatform,
    model: ResolvedModel,
    services: Mapping[str, str],
    *,
    front: bool = False,
) -> Endpoint:
    """Where users call a model; paths start with the engine's ``openai_prefix``.

    ``services`` are URLs by name, as in `Context.services`. With ``front`` only what splits a canary's traffic will do: a
    named URL or the gateway, no Service behind them.

    Raises:
        CannotMeasureError: no way answers; it says what was tried.
    """
    if model.name in services:
        return Endpoint(services[model.name].rstrip("/"), {}, Way.NAMED, _GIVEN)
    tried: list[str] = []
    try:
        for found in _by_gateway(cluster, platform, model):
            problem = _refused(found.url)
            if not problem:
                return found
            tried.append(f"{found.through}: {problem}")
    except ForbiddenError as error:  # the Service may still be readable
        tried.append(error.message)
    if not tried:
        tried.append("no gateway with an address leads to it")
    if not front and model.mode is not ServingMode.KNATIVE:  # Knative's Service is a name of the ingress
        place = (model.namespace, model.service, model.service_port)
        for by_service in (_by_address, _by_proxy):
            service = by_service(cluster, *place, model.release.health_path or "/")
            if isinstance(service, Endpoint):
                return service
            tried.append(service)
    raise CannotMeasureError(
        f"no way to {model.name} from here: {'; '.join(tried)}",
        fix=f"run this where the cluster's gateway answers, or name a URL for {model.name}",
    )


def find_service(cluster: Cluster, namespace: str, name: str, port: int, *, health: str = "/") -> Endpoint:
    """A Service's own address, or the API server's proxy of it; ``health`` is a path that answers 2xx.

    Raises:
        CannotMeasureError: no way answers; it says what was tried.
    """
    tried: list[str] = []
    for by_service in (_by_address, _by_proxy):
        found = by_service(cluster, namespace, name, port, health)
        if isinstance(found, Endpoint):
            return found
        tried.append(found)
    raise CannotMeasureError(
        f"no way to Service {namespace}/{name} from here: {'; '.join(tried)}",
        fix="run this within the cluster, or with the right to get services/proxy",
    )


def find_pod(cluster: Cluster, pod: Object, port: int, *, health: str = "/") -> Endpoint:
    """A pod's own address, or the API server's proxy of it; for reading its metrics.

    Raises:
        CannotMeasureError: no way answers; it says what was tried.
    """
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    address = (pod.get("status") or {}).get("podIP") or ""
    url = f"http://{_bracketed(address)}:{port}"
    problem = _refused(url) if address else "it has no address"
    if not problem:
        return Endpoint(url, {}, Way.SERVICE, f"pod {namespace}/{name}")
    found = _proxied(cluster, namespace, "pods", name, port, health)
    if isinstance(found, Endpoint):
        return found
    raise CannotMeasureError(
        f"no way to pod {namespace}/{name} from here: {problem}; {found}",
        fix="run this within the cluster, or with the right to get pods/proxy",
    )


def find_prometheus(cluster: Cluster, platform: ResolvedPlatform, services: Mapping[str, str]) -> Endpoint:
    """The Prometheus that KEDA asks, or any other of the platform's observability namespace.

    Raises:
        CannotMeasureError: no way answers.
    """
    if "prometheus" in services:
        return Endpoint(services["prometheus"].rstrip("/"), {}, Way.NAMED, _GIVEN)
    namespace = platform.spec.observability.namespace
    known = [
        _of_address(platform.spec.autoscaling.prometheus_address),
        (namespace, "prometheus-operated", 9090),
    ]
    return _find_any(cluster, "prometheus", known, (namespace, _PROMETHEUS_LABEL), 9090)


def find_alertmanager(cluster: Cluster, platform: ResolvedPlatform, services: Mapping[str, str]) -> Endpoint:
    """The Alertmanager of the platform's observability namespace.

    Raises:
        CannotMeasureError: no way answers.
    """
    if "alertmanager" in services:
        return Endpoint(services["alertmanager"].rstrip("/"), {}, Way.NAMED, _GIVEN)
    namespace = platform.spec.observability.namespace
    known = [(namespace, "alertmanager-operated", 9093)]
    return _find_any(cluster, "alertmanager", known, (namespace, _ALERTMANAGER_LABEL), 9093)


def _find_any(
    cluster: Cluster,
    what: str,
    known: Sequence[tuple[str, str, int] | None],
    labelled: tuple[str, str],
    port: int,
) -> Endpoint:
    namespace, label = labelled
    found = [place for place in known if place]
    for service in cluster.objects("v1", "Service", namespace, labels=label):
        ports = {one["port"] for one in service["spec"].get("ports") or ()}
        if port in ports:
            found.append((namespace, service["metadata"]["name"], port))
    tried: list[str] = []
    for place in dict.fromkeys(found):
        try:
            return find_service(cluster, *place, health="/-/ready")
        except CannotMeasureError as error:
            tried.append(error.message)
    raise CannotMeasureError(
        f"no {what} answers: {'; '.join(tried)}", fix=f"name a URL for {what}, such as that of a port-forward"
    )


# --- by gateway -------------------------------------------------------------------------------------------------------


def _by_gateway(cluster: Cluster, platform: ResolvedPlatform, model: ResolvedModel) -> Iterator[Endpoint]:
    if model.mode is ServingMode.KNATIVE and model.scaling.wake is not Wake.HTTP_ADDON:
        yield from _by_knative(cluster, model)
        return
    own = hostname(platform, model)
    routes = [
        route
        for route in cluster.objects(_GATEWAY_API, "HTTPRoute", model.namespace)
        if _leads(route, model, own)
    ]
    # Ours first: it alone splits by weight where KServe makes a route as well.
    routes.sort(
        key=lambda route: (own not in (route["spec"].get("hostnames") or ()), route["metadata"]["name"])
    )
    for route in routes:
        yield from _by_route(cluster, route, model)


def _leads(route: Object, model: ResolvedModel, own: str) -> bool:
    spec = route["spec"]
    if own in (spec.get("hostnames") or ()):
        return True
    names = {ref["name"] for rule in spec.get("rules") or () for ref in rule.get("backendRefs") or ()}
    if model.mode is ServingMode.LLM_INFERENCE_SERVICE:
        return bool(route["metadata"]["name"] == f"{model.name}-kserve-route") or model.service in names
    return model.service in names


def _by_route(cluster: Cluster, route: Object, model: ResolvedModel) -> Iterator[Endpoint]:
    metadata, spec = route["metadata"], route["spec"]
    hosts = [host for host in spec.get("hostnames") or () if not host.startswith("*")]
    prefix = _prefix(spec, model)
    for parent in spec.get("parentRefs") or ():
        if parent.get("kind", "Gateway") != "Gateway":
            continue
        place = Ref(_GATEWAY_API, "Gateway", parent.get("namespace") or metadata["namespace"], parent["name"])
        gateway = cluster.get(place)
        through = f"HTTPRoute {metadata['namespace']}/{metadata['name']} by {place}"
        for url, host in _urls(gateway or {}, parent, hosts):
            yield Endpoint(url + prefix, {"Host": host} if host else {}, Way.GATEWAY, through)


def _urls(gateway: Object, parent: Object, hosts: list[str]) -> Iterator[tuple[str, str]]:
    addresses = [one["value"] for one in (gateway.get("status") or {}).get("addresses") or ()]
    host = hosts[0] if hosts else ""
    for listener in (gateway.get("spec") or {}).get("listeners") or ():
        if parent.get("sectionName") not in {None, listener["name"]} or parent.get("port") not in {
            None,
            listener["port"],
        }:
            continue
        if listener["protocol"] == "HTTP":
            for address in addresses:
                yield f"http://{_bracketed(address)}:{listener['port']}", host
        elif listener["protocol"] == "HTTPS" and host:
            yield (
                f"https://{host}:{listener['port']}",
                "",
            )  # the certificate is the name's, so DNS must know it


def _prefix(spec: Object, model: ResolvedModel) -> str:
    """The path under which a shared gateway has the model, where it has no host name of its own (LLMInferenceService).

    By the model's name, which leads to every member of its routing group by weight, rather than by the service's own
    (kserve v0.20.0 config/llmisvcconfig/config-llm-router-route.yaml).
    """
    if model.mode is not ServingMode.LLM_INFERENCE_SERVICE:
        return ""
    paths = [
        (match.get("path") or {}).get("value") or "/"
        for rule in spec.get("rules") or ()
        for match in rule.get("matches") or ()
    ]
    starts = (f"/publishers/{model.namespace}/models/{model.name}", f"/{model.namespace}/{model.name}")
    return next((start for start in starts if any(path.startswith(start) for path in paths)), "")


def _by_knative(cluster: Cluster, model: ResolvedModel) -> Iterator[Endpoint]:
    service = cluster.get(Ref("serving.kserve.io/v1beta1", "InferenceService", model.namespace, model.name))
    status = (service or {}).get("status") or {}
    front = (status.get("components") or {}).get(
        "transformer" if model.spec.transformer else "predictor"
    ) or {}
    url = front.get("url") or status.get("url") or ""
    host = urlsplit(url).netloc
    if not host:
        return
    for namespace, name in _KNATIVE_INGRESSES:
        ingress = cluster.get(Ref("v1", "Service", namespace, name))
        if ingress is None:
            continue
        balanced = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
        addresses = [one.get("ip") or one.get("hostname") or "" for one in balanced]
        addresses.append(ingress["spec"].get("clusterIP") or "")
        for address in addresses:
            if address and address != "None":
                yield Endpoint(
                    f"http://{_bracketed(address)}:80",
                    {"Host": host},
                    Way.GATEWAY,
                    f"Knative's ingress {namespace}/{name}",
                )
    yield Endpoint(url.rstrip("/"), {}, Way.GATEWAY, f"DNS of {host}")


# --- by Service -------------------------------------------------------------------------------------------------------


def _by_address(cluster: Cluster, namespace: str, name: str, port: int, health: str) -> Endpoint | str:  # noqa: ARG001  # as `_by_proxy`
    service = cluster.get(Ref("v1", "Service", namespace, name))
    if service is None:
        return f"there is no Service {namespace}/{name}"
    address = service["spec"].get("clusterIP") or "None"
    if address == "None":
        return f"Service {namespace}/{name} has no address"
    url = f"http://{_bracketed(address)}:{port}"
    problem = _refused(url)
    return f"{url}: {problem}" if problem else Endpoint(url, {}, Way.SERVICE, f"Service {namespace}/{name}")


def _by_proxy(cluster: Cluster, namespace: str, name: str, port: int, health: str) -> Endpoint | str:
    return _proxied(cluster, namespace, "services", name, port, health)


def _proxied(  # noqa: PLR0917  # a path in its order
    cluster: Cluster, namespace: str, kind: str, name: str, port: int, health: str
) -> Endpoint | str:
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/{kind}/{quote(name, safe='')}:{port}/proxy"
    through = f"the API server's proxy of {'Service' if kind == 'services' else 'pod'} {namespace}/{name}"
    found = Endpoint(cluster.server.rstrip("/") + path, {}, Way.PROXY, through, cluster.connect)
    try:
        with found.client(httpx2.Timeout(10.0, connect=3.0)) as client:
            answer = client.get(health)
    except (httpx2.HTTPError, StokerError) as error:
        return f"{through}: {error}"
    return found if answer.is_success else f"{through}: {answer.status_code}"


# --- small things -----------------------------------------------------------------------------------------------------


def _refused(url: str) -> str:
    """Why no TCP connection to a URL's host comes about; empty where one does."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=_CONNECT):
            return ""
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__


def _of_address(url: str) -> tuple[str, str, int] | None:
    """``http://NAME.NAMESPACE.svc:PORT`` as namespace, name and port; None where it is no Service's."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    if len(labels) < 2 or (len(labels) > 2 and labels[2] != "svc"):
        return None
    return labels[1], labels[0], parts.port or 80


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _public(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
