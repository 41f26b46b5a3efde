"""``services/proxy`` and ``pods/proxy``: requests that the API server passes on to a pod.

Sources: kubernetes pkg/registry/core/service/storage/storage.go and pkg/registry/core/pod/strategy.go (ResourceLocation),
apimachinery util/net/port_split.go. A Service that the lab answers itself, such as a gateway's, has no endpoints: its own address
is asked. Upgraded connections are not passed on.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import ApiError, bad_request, not_found

__all__ = ["relay", "relay_target", "split_name"]

_SLICES: Final = "endpointslices.discovery.k8s.io"
_SERVICE_NAME: Final = "kubernetes.io/service-name"
_HOPS: Final = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
    "host", "content-length", "authorization", "expect",
))  # fmt: skip
_TIMEOUT_S: Final = 130.0
_CONNECT_S: Final = 5.0


def split_name(text: str) -> tuple[str, str, str]:
    """Scheme, name and port of ``name``, ``name:port`` or ``scheme:name:port``.

    Raises:
        ApiError: it is none of them.
    """
    match text.split(":"):
        case [name] if name:
            return "", name, ""
        case [name, port] if name:
            return "", name, port
        case [("" | "http" | "https") as scheme, name, port] if name:
            return scheme, name, port
    raise bad_request(f"invalid service request {text!r}".replace("'", '"'))


def relay_target(cluster: Cluster, plural: str, namespace: str, text: str) -> str:
    """The root of the URL that a proxied name stands for.

    Raises:
        ApiError: there is no such object or port, or nobody is ready.
    """
    scheme, name, port = split_name(text)
    obj = cluster.get(plural, namespace, name)
    if obj is None:
        raise not_found("", plural, name)
    place = _pod(obj, port) if plural == "pods" else _service(cluster, obj, port, text)
    return f"{scheme or 'http'}://{place}"


def _pod(pod: Object, port: str) -> str:
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise bad_request("address not allowed")
    first = next(
        (
            str(one["containerPort"])
            for container in pod["spec"]["containers"]
            for one in container.get("ports") or ()
        ),
        "",
    )
    return f"{address}:{port or first or 80}"


def _service(cluster: Cluster, service: Object, port: str, text: str) -> str:
    ports = service["spec"].get("ports") or ()
    found = next(
        (
            one
            for one in ports
            if port in {str(one["port"]), one.get("name", "")} or (not port and len(ports) == 1)
        ),
        None,
    )
    if found is None:
        raise ApiError(
            503,
            "ServiceUnavailable",
            f'no service port "{port}" found for service "{service["metadata"]["name"]}"',
        )
    place = next(_endpoints(cluster, service, found), "")
    if place:
        return place
    address = service["spec"].get("clusterIP")
    if not service["spec"].get("selector") and address not in {None, "", "None"}:
        return f"{address}:{found['port']}"
    raise ApiError(503, "ServiceUnavailable", f'no endpoints available for service "{text}"')


def _endpoints(cluster: Cluster, service: Object, port: Object) -> Iterator[str]:
    metadata = service["metadata"]
    for one in cluster.objects(_SLICES, metadata["namespace"]):
        if (one["metadata"].get("labels") or {}).get(_SERVICE_NAME) != metadata["name"]:
            continue
        number = next(
            (
                entry["port"]
                for entry in one.get("ports") or ()
                if (entry.get("name") or "") == (port.get("name") or "")
            ),
            None,
        )
        for endpoint in one.get("endpoints") or ():
            if number is not None and (endpoint.get("conditions") or {}).get("ready", True):
                yield from (f"{address}:{number}" for address in endpoint["addresses"])


async def relay(  # noqa: PLR0917 - everything that a request says
    cluster: Cluster, call: Call, method: str, raw_path: str, query: str, headers: dict[str, str]
) -> Answer:
    """Pass a request on, and its answer back as it comes.

    Raises:
        ApiError: see `relay_target`; 503 where the other side does not answer.
    """
    import httpx2

    from stoker.lab.monitoring.query import loopback_client

    root = relay_target(cluster, call.resource.plural, call.namespace, call.name)
    rest = raw_path.partition("/proxy")[2]
    url = f"{root}{rest or '/'}" + (f"?{query}" if query else "")
    kept = {name: value for name, value in headers.items() if name not in _HOPS}
    client = loopback_client(timeout_s=_TIMEOUT_S)
    try:
        request = client.build_request(method, url, headers=kept, content=call.body or None)
        response = await client.send(request, stream=True)
    except httpx2.HTTPError as error:
        await client.aclose()
        raise ApiError(
            503, "ServiceUnavailable", f"error trying to reach service: {str(error) or type(error).__name__}"
        ) from error
    given = [(name, value) for name, value in response.headers.items() if name.lower() not in _HOPS]
    kind = response.headers.get("content-type", "")
    others = [(name, value) for name, value in given if name.lower() != "content-type"]
    return Answer(
        code=response.status_code, content_type=kind, headers=others, stream=_body(client, response)
    )


async def _body(client: Any, response: Any) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_raw():
            yield chunk
    finally:
        await response.aclose()
        await client.aclose()
