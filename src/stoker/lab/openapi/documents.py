"""The OpenAPI documents of a server, each built when it is first asked for.

Upstream: vendor/k8s.io/kube-openapi/pkg/handler3/handler.go (index, Etag), pkg/builder3 (documents).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any

import msgspec

from stoker.lab.discovery import is_builtin
from stoker.lab.openapi.custom import CustomKind, custom_paths, custom_schemas
from stoker.lab.openapi.operations import camel, reference, response
from stoker.lab.openapi.paths import builtin_paths, discovery_path
from stoker.lab.openapi.schemas import closure, references, schema
from stoker.lab.resources import Resource
from stoker.lab.schema.builtin import RELEASE

__all__ = ["OpenApi", "etag"]

Document = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_INFO = {"title": "Kubernetes", "version": RELEASE}
_CUSTOM_INFO = {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
_SECURITY = {
    "securitySchemes": {
        "BearerToken": {
            "type": "apiKey",
            "description": "Bearer Token authentication",
            "name": "authorization",
            "in": "header",
        }
    }
}
_DISCOVERY_TYPES = ("application/json", "application/vnd.kubernetes.protobuf", "application/yaml")
_OPTIONS_KINDS = ("DeleteOptions", "WatchEvent")
# Paths that belong to no group: what it does, name of the operation, tag, media type, and schema.
_FIXED: dict[str, tuple[str, str, str, tuple[str, ...], Document]] = {
    ".well-known/openid-configuration": (
        "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        "getServiceAccountIssuerOpenIDConfiguration",
        "WellKnown",
        ("application/json",),
        {"type": "string"},
    ),
    "openid/v1/jwks": (
        "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        "getServiceAccountIssuerOpenIDKeyset",
        "openid",
        ("application/jwk-set+json",),
        {"type": "string"},
    ),
    "version": (
        "get the version information for this server",
        "getCodeVersion",
        "version",
        ("application/json",),
        reference("io.k8s.apimachinery.pkg.version.Info"),
    ),
    "api": (
        "get available API versions",
        "getCoreAPIVersions",
        "core",
        _DISCOVERY_TYPES,
        reference(f"{_META}.APIVersions"),
    ),
    "apis": (
        "get available API versions",
        "getAPIVersions",
        "apis",
        _DISCOVERY_TYPES,
        reference(f"{_META}.APIGroupList"),
    ),
}


def etag(content: bytes) -> str:
    """A hash as Etags and the index have it, without the header's quotes."""
    return hashlib.sha512(content).hexdigest().upper()


class OpenApi:
    """Documents of what is served at one moment; another is made when a CustomResourceDefinition changes.

    Making one costs nothing: the index reads what is served, a document is built and kept when it is first asked for, and
    documents of built-in groups are shared by all.
    """

    def __init__(self, resources: Iterable[Resource], custom: Iterable[CustomKind] = ()) -> None:
        """What is served.

        Args:
            resources: built-in ones; custom ones among them are passed over.
            custom: custom ones with their schemas.
        """
        self._builtin: dict[str, list[Resource]] = {}
        self._custom: dict[str, list[CustomKind]] = {}
        for resource in resources:
            if is_builtin(resource):
                self._builtin.setdefault(_key(resource), []).append(resource)
        for kind in custom:
            self._custom.setdefault(_key(kind.resource), []).append(kind)
        self._built: dict[str, bytes] = {}

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names of the documents, sorted: ``api/v1``, ``apis/apps``, ``apis/apps/v1`` and so on."""
        groups = {key.rpartition("/")[0] for key in self._builtin if key.startswith("apis/")}
        return tuple(sorted({*_FIXED, *groups, *self._builtin, *self._custom}))

    def index(self) -> Document:
        """``/openapi/v3``: where each document is, with a hash that changes with its content."""
        return {
            "paths": {
                key: {"serverRelativeURL": f"/openapi/v3/{key}?hash={self.hash_of(key)}"} for key in self.keys
            }
        }

    def hash_of(self, key: str) -> str:
        """The document's hash, without building it: it is that of what the document is made from.

        Raises:
            KeyError: there is no such document.
        """
        if key in self._custom:
            kinds = self._custom[key]
            parts = [repr(one.resource) for one in kinds]
            parts += [json.dumps([one.schema, one.selectable_fields], sort_keys=True) for one in kinds]
            return etag("\n".join([RELEASE, *parts]).encode())
        if key not in self.keys:
            raise KeyError(key)
        return _fingerprint(key, tuple(self._builtin.get(key, ())))

    def document(self, key: str) -> bytes:
        """``/openapi/v3/<key>`` as JSON.

        Raises:
            KeyError: there is no such document.
        """
        if key in self._custom:
            if key not in self._built:
                self._built[key] = msgspec.json.encode(_custom_document(self._custom[key]))
            return self._built[key]
        if key not in self.keys:
            raise KeyError(key)
        return _builtin_bytes(key, tuple(self._builtin.get(key, ())))

    def swagger(self) -> bytes:
        """``/openapi/v2`` as JSON."""
        from stoker.lab.openapi.swagger import swagger

        builtin = [one for resources in self._builtin.values() for one in resources]
        return msgspec.json.encode(
            swagger(builtin, [one for kinds in self._custom.values() for one in kinds])
        )


def _key(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


@lru_cache(maxsize=256)
def _fingerprint(key: str, resources: tuple[Resource, ...]) -> str:
    return etag("\n".join([RELEASE, key, *map(repr, resources)]).encode())


@lru_cache(maxsize=256)
def _builtin_bytes(key: str, resources: tuple[Resource, ...]) -> bytes:
    return msgspec.json.encode(_builtin_document(key, resources))


def _builtin_document(key: str, resources: Sequence[Resource]) -> Document:
    if key in _FIXED:
        text, operation, tag, types, answer = _FIXED[key]
        return _document({f"/{key}/": _get(text, operation, tag, types, answer)}, _INFO, schema, _SECURITY)
    if not resources:
        name = key.removeprefix("apis/")
        short = name.removesuffix(".k8s.io")
        operation = f"get{camel(short, is_capital=True)}APIGroup"
        answer = reference(f"{_META}.APIGroup")
        item = _get("get information of a group", operation, camel(short), _DISCOVERY_TYPES, answer)
        return _document({f"/{key}/": item}, _INFO, schema, _SECURITY)
    group, version = resources[0].group, resources[0].version
    paths = discovery_path(group, version) | builtin_paths(resources)
    return _document(paths, _INFO, lambda name: _of_group(name, group, version), _SECURITY)


def _get(text: str, operation: str, tag: str, types: Sequence[str], answer: Document) -> Document:
    told: Document = {"tags": [tag], "description": text, "operationId": operation}
    return {"get": told | {"responses": response(answer, (200,), types)}}


def _of_group(name: str, group: str, version: str) -> Document:
    """A definition as a group's document has it: options of all groups are told for that group and the core."""
    found = schema(name)
    kind = name.removeprefix(f"{_META}.")
    if kind not in _OPTIONS_KINDS:
        return found
    kinds = [{"group": "", "kind": kind, "version": "v1"}]
    if group:
        kinds.append({"group": group, "kind": kind, "version": version})
    return found | {"x-kubernetes-group-version-kind": kinds}


def _custom_document(kinds: Sequence[CustomKind]) -> Document:
    resource = kinds[0].resource
    own = {name: one for kind in kinds for name, one in custom_schemas(kind).items()}
    paths = custom_paths(one.resource for one in kinds)
    return _document(
        paths, _CUSTOM_INFO, lambda name: _of_group(name, resource.group, resource.version), {}, own
    )


def _document(
    paths: Document,
    info: Document,
    find: Callable[[str], Document],
    components: Document,
    own: dict[str, Document] | None = None,
) -> Document:
    own = own or {}
    named = closure(references(paths) | references(list(own.values())))
    schemas = {name: find(name) for name in named} | own
    told = {"schemas": dict(sorted(schemas.items()))} if schemas else {}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": told | components}
