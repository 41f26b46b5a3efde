"""What the server says of itself: discovery, OpenAPI, version, health. Made when first asked for, and kept until kinds change."""

from collections.abc import Callable
from typing import Any

import msgspec

from stoker.lab.api.call import Answer
from stoker.lab.api.cluster import Cluster
from stoker.lab.discovery.aggregated import aggregated_core, aggregated_groups, etag, wants_aggregated
from stoker.lab.discovery.legacy import api_versions, group, group_list, resource_list
from stoker.lab.discovery.version import version_document
from stoker.lab.openapi import CustomKind, OpenApi
from stoker.lab.openapi import etag as openapi_etag
from stoker.lab.status import ApiError

__all__ = ["Documents"]

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
# kubectl asks for OpenAPI v2 as protobuf, and only where v3 has no answer: for kinds that nobody knows. It gets a document
# (``swagger: "2.0"``, field 1 of openapi.v2.Document) that knows none of them either, and goes on to say so.
_EMPTY_SWAGGER = b"\x0a\x032.0"
_SWAGGER_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_HEALTH = frozenset(("/healthz", "/livez", "/readyz"))
_encode = msgspec.json.Encoder().encode


class Documents:
    """Answers for every path that is no resource."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._made: dict[str, tuple[bytes, str]] = {}
        self._at = -1
        self._openapi_made: OpenApi | None = None
        self._openapi_at = -1
        self.address = "127.0.0.1"

    def answer(self, path: str, method: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        """The document at a path.

        Raises:
            ApiError: 404 for a path without one, 405 for anything but reading.
        """
        path = path.rstrip("/") or "/"
        if method not in {"GET", "HEAD"}:
            raise ApiError(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
            )
        if path in _HEALTH or path.rpartition("/")[0] in _HEALTH:
            return Answer(text=b"ok", content_type="text/plain; charset=utf-8")
        if path == "/version":
            return Answer(version_document())
        if path == "/":
            return Answer({"paths": self._paths()})
        if path.startswith("/openapi/"):
            return self._openapi(path, query, headers)
        return self._discovery(path, headers)

    def _paths(self) -> list[str]:
        served = {(one.group, one.version) for one in self._cluster.served.resources()}
        found = {
            "/api",
            "/api/v1",
            "/apis",
            "/healthz",
            "/livez",
            "/readyz",
            "/openapi/v2",
            "/openapi/v3",
            "/version",
        }
        for name, version in served:
            if name:
                found |= {f"/apis/{name}", f"/apis/{name}/{version}"}
        return sorted(found)

    def _discovery(self, path: str, headers: dict[str, str]) -> Answer:
        resources = self._cluster.served.resources()
        parts = path.strip("/").split("/")
        if path in {"/api", "/apis"} and wants_aggregated(headers.get("accept", "")):
            make = aggregated_core if path == "/api" else aggregated_groups
            text, mark = self._kept(f"aggregated {path}", lambda: make(resources), etag)
            return _tagged(text, mark, headers, _AGGREGATED)
        found: dict[str, Any] | None = None
        match parts:
            case ["api"]:
                found = api_versions(self.address)
            case ["apis"]:
                found = group_list(resources)
            case ["api", version]:
                found = resource_list(resources, "", version, self._storage())
            case ["apis", name]:
                found = group(resources, name)
            case ["apis", name, version]:
                found = resource_list(resources, name, version, self._storage())
        if found is None:
            raise ApiError(404, "", "404 page not found")
        return Answer(found)

    def _storage(self) -> dict[str, str]:
        customs = (kind for kind in self._cluster.served if kind.is_custom)
        return {kind.shelf: kind.storage_version.rpartition("/")[2] for kind in customs}

    def _openapi(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        documents = self._documents()
        if path == "/openapi/v2":
            accept = headers.get("accept", "")
            if accept and not any(one in accept for one in ("application/json", "*/*")):
                if "proto-openapi" in accept:
                    return Answer(text=_EMPTY_SWAGGER, content_type=_SWAGGER_PROTOBUF)
                raise ApiError(406, "NotAcceptable", "only application/json is served here")
            text = documents.swagger()
            return _tagged(text, openapi_etag(text), headers, "application/json")
        if path == "/openapi/v3":
            return Answer(documents.index(), content_type="text/plain; charset=utf-8")
        place = path.removeprefix("/openapi/v3/")
        try:
            mark = documents.hash_of(place)
        except KeyError:
            raise ApiError(404, "", "") from None
        asked = query.get("hash")
        if asked and asked != mark:
            return Answer(text=b"", code=301, headers=[("Location", f"{path}?hash={mark}")])
        answer = _tagged(documents.document(place), f'"{mark}"', headers, "application/json")
        if asked:
            answer.headers.append(("Cache-Control", "public, immutable"))
        return answer

    def _documents(self) -> OpenApi:
        at = self._cluster.store.changed(_DEFINITIONS)
        if self._openapi_made is None or self._openapi_at != at:
            customs = [
                CustomKind(kind.resource, kind.custom.schema, kind.custom.selectable)
                for kind in self._cluster.served
                if kind.custom is not None
            ]
            builtin = [kind.resource for kind in self._cluster.served if not kind.is_custom]
            self._openapi_made, self._openapi_at = OpenApi(builtin, customs), at
        return self._openapi_made

    def _kept(
        self, name: str, make: Callable[[], Any], mark_of: Callable[[dict[str, Any]], str]
    ) -> tuple[bytes, str]:
        at = self._cluster.store.changed(_DEFINITIONS)
        if at != self._at:
            self._made.clear()
            self._at = at
        found = self._made.get(name)
        if found is None:
            document = make()
            found = self._made[name] = (_encode(document), mark_of(document))
        return found


def _tagged(text: bytes, mark: str, headers: dict[str, str], content_type: str) -> Answer:
    told = [("Etag", mark), ("Vary", "Accept")]
    if headers.get("if-none-match") == mark:
        return Answer(text=b"", code=304, headers=told, content_type=content_type)
    return Answer(text=text, content_type=content_type, headers=told)
