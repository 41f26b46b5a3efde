"""Paths of built-in resources.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/installer.go, registerResourceHandlers.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from stoker.lab.openapi.operations import (
    BUILTIN_FORM,
    CREATE,
    DELETE,
    DELETE_COLLECTION,
    LIST,
    PATCH,
    UPDATE,
    Namer,
    article,
    parameter,
    path_item,
    reference,
    response,
)
from stoker.lab.resources import Resource, Subresource
from stoker.lab.schema.builtin import definition_name

__all__ = ["builtin_paths", "discovery_path"]

Document = dict[str, Any]
Sent = tuple[Document, Sequence[Document]]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_STATUS, _OPTIONS = reference(f"{_META}.Status"), reference(f"{_META}.DeleteOptions")
_STREAMS = tuple(
    f"application/{one}"
    for one in (
        "cbor",
        "cbor-seq",
        "json",
        "json;stream=watch",
        "vnd.kubernetes.protobuf",
        "vnd.kubernetes.protobuf;stream=watch",
        "yaml",
    )
)
_JSON = BUILTIN_FORM.produces
# Kinds whose deletion answers with the object: ReturnDeletedObject of their storage in pkg/registry.
_ANSWERS_OBJECT = frozenset(
    [
        "Pod",
        "PersistentVolumeClaim",
        "PodTemplate",
        "ResourceQuota",
        "ServiceAccount",
        "Service",
        "PersistentVolume",
        "CSIDriver",
        "CSINode",
        "StorageClass",
        "VolumeAttachment",
        "VolumeAttributesClass",
        "DeviceClass",
        "ResourceClaim",
        "ResourceClaimTemplate",
        "ResourceSlice",
    ]
)
_CONNECT = {
    "exec": ("command", "container", "stderr", "stdin", "stdout", "tty"),
    "attach": ("container", "stderr", "stdin", "stdout", "tty"),
    "portforward": ("ports",),
    "proxy": ("path",),
}
_LOG = [
    "container",
    "follow",
    "insecureSkipTLSVerifyBackend",
    "limitBytes",
    "previous",
    "sinceSeconds",
    "stream",
    "tailLines",
    "timestamps",
]
_METHODS = {"get": "Get", "post": "Post"}
_PROXY_METHODS = {
    one: one.capitalize() for one in ("delete", "get", "head", "options", "patch", "post", "put")
}


def discovery_path(group: str, version: str) -> Document:
    """The path that lists a version's resources."""
    resource = Resource(group, version, "", "", "", namespaced=False)
    operation: Document = {
        "tags": Namer(resource).tags,
        "description": "get available resources",
        "operationId": f"get{Namer(resource).middle}APIResources",
        "responses": response(reference(f"{_META}.APIResourceList"), (200,), _JSON),
    }
    return {f"{_root(resource)}/": {"get": operation}}


def builtin_paths(resources: Iterable[Resource]) -> Document:
    """Paths of the resources of one group and version, and of all that is below them."""
    paths: Document = {}
    for resource in resources:
        paths.update(_Routes(resource).paths())
    return dict(sorted(paths.items()))


def _root(resource: Resource) -> str:
    return f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"


class _Routes:
    """The paths of one resource."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.namer = Namer(resource)
        self.root = _root(resource)
        self.kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        name = definition_name(resource.group, resource.version, resource.kind)
        self.object = reference(name or resource.kind)
        self.list = reference(f"{name or resource.kind}List")
        self.named = f"{'Namespaced' if resource.namespaced else ''}{resource.kind}"
        self.place = "/namespaces/{namespace}" if resource.namespaced else ""
        scope = [parameter("namespace", "path")] if resource.namespaced else []
        self.scope = [*scope, parameter("pretty")]
        self.item_scope = [parameter("name", "path", f"name of the {resource.kind}"), *self.scope]

    def paths(self) -> Document:
        collection, item = (
            f"{self.place}/{self.resource.plural}",
            f"{self.place}/{self.resource.plural}/{{name}}",
        )
        found = {
            self.root + collection: self._collection(),
            self.root + item: self._item(),
        }
        if self.resource.namespaced and "list" in self.resource.verbs:
            everywhere = self._listing(f"{self.resource.kind}ForAllNamespaces")
            found[f"{self.root}/{self.resource.plural}"] = self._one(
                "get", everywhere, [parameter("pretty")], LIST
            )
        if "watch" in self.resource.verbs:
            found |= self._watches(collection, item)
        for one in self.resource.subresources:
            found |= self._subresource(f"{self.root}{item}/{one.name}", one)
        return {path: operations for path, operations in found.items() if operations}

    def _one(
        self, method: str, operation: Document, scope: Sequence[Document], query: Sequence[str]
    ) -> Document:
        return path_item({method: operation}, {method: [*scope, *map(parameter, query)]})

    def _listing(self, rest: str) -> Document:
        watched = " or watch" if "watch" in self.resource.verbs else ""
        text = f"list{watched} objects of kind {self.resource.kind}"
        return self.namer.operation("list", rest, text, "list", self.kind) | {
            "responses": response(self.list, (200,), _STREAMS)
        }

    def _collection(self) -> Document:
        kind, verbs = self.resource.kind, self.resource.verbs
        operations: Document = {}
        queries: dict[str, Sequence[str]] = {}
        if "list" in verbs:
            operations["get"], queries["get"] = self._listing(self.named), LIST
        if "create" in verbs:
            text = f"create{article(kind)}{kind}"
            operations["post"] = self.namer.operation("create", self.named, text, "post", self.kind) | {
                "requestBody": BUILTIN_FORM.body(self.object),
                "responses": response(self.object, (200, 201, 202), _JSON),
            }
            queries["post"] = CREATE
        if "deletecollection" in verbs:
            rest, text = f"Collection{self.named}", f"delete collection of {kind}"
            operations["delete"] = self.namer.operation(
                "delete", rest, text, "deletecollection", self.kind
            ) | {
                "requestBody": BUILTIN_FORM.body(_OPTIONS, required=False),
                "responses": response(_STATUS, (200,), _JSON),
            }
            queries["delete"] = DELETE_COLLECTION
        return self._item_of(operations, queries, self.scope)

    def _item(self) -> Document:
        kind, verbs = self.resource.kind, self.resource.verbs
        operations, queries = self._read_write(self.named, self.kind, self.object, "", verbs)
        if "delete" in verbs:
            text = f"delete{article(kind)}{kind}"
            answer = self.object if kind in _ANSWERS_OBJECT else _STATUS
            operations["delete"] = self.namer.operation("delete", self.named, text, "delete", self.kind) | {
                "requestBody": BUILTIN_FORM.body(_OPTIONS, required=False),
                "responses": response(answer, (200, 202), _JSON),
            }
            queries["delete"] = DELETE
        return self._item_of(operations, queries, self.item_scope)

    def _read_write(
        self, rest: str, kind: Document, schema: Document, part: str, verbs: Sequence[str]
    ) -> tuple[Document, dict[str, Sequence[str]]]:
        """Reading, replacing and patching an object or, where `part` names one, a part of it."""
        of = f"{part} of " if part else ""
        own = self.resource.kind
        rows = (
            ("get", "get", "read", f"read {of}the specified {own}", ()),
            ("update", "put", "replace", f"replace {of}the specified {own}", UPDATE),
            ("patch", "patch", "patch", f"partially update {of}the specified {own}", PATCH),
        )
        operations: Document = {}
        queries: dict[str, Sequence[str]] = {}
        for verb, method, word, text, query in rows:
            if verb not in verbs:
                continue
            operation = self.namer.operation(word, rest, text, method, kind)
            if method == "put":
                operation["requestBody"] = BUILTIN_FORM.body(schema)
            elif method == "patch":
                operation["requestBody"] = BUILTIN_FORM.patch_body()
            operation["responses"] = response(schema, (200,) if method == "get" else (200, 201), _JSON)
            operations[method], queries[method] = operation, query
        return operations, queries

    def _item_of(
        self, operations: Document, queries: dict[str, Sequence[str]], scope: Sequence[Document]
    ) -> Document:
        if not operations:
            return {}
        told = {method: [*scope, *map(parameter, query)] for method, query in queries.items()}
        return path_item(operations, told)

    def _watches(self, collection: str, item: str) -> Document:
        kind, plural = self.resource.kind, self.resource.plural
        old = "deprecated: use the 'watch' parameter with a list operation instead"
        whole = f"watch individual changes to a list of {kind}. {old}."
        single = f"watch changes to an object of kind {kind}. {old}, filtered to a single item with the 'fieldSelector' parameter."
        found = {
            f"{self.root}/watch{collection}": self._watch(
                f"{self.named}List", whole, "watchlist", self.scope
            ),
            f"{self.root}/watch{item}": self._watch(self.named, single, "watch", self.item_scope),
        }
        if self.resource.namespaced:
            rest = f"{kind}ListForAllNamespaces"
            everywhere = self._watch(rest, whole, "watchlist", [parameter("pretty")])
            found[f"{self.root}/watch/{plural}"] = everywhere
        return found

    def _watch(self, rest: str, text: str, action: str, scope: Sequence[Document]) -> Document:
        operation = self.namer.operation("watch", rest, text, action, self.kind) | {
            "responses": response(reference(f"{_META}.WatchEvent"), (200,), _STREAMS)
        }
        return self._one("get", operation, scope, LIST)

    def _subresource(self, path: str, one: Subresource) -> Document:
        if one.name in _CONNECT:
            return self._connect(path, one)
        group, version = (
            (one.group, one.version) if one.version else (self.resource.group, self.resource.version)
        )
        kind = {"group": group, "version": version, "kind": one.kind or self.resource.kind}
        name = definition_name(group, version, kind["kind"])
        schema = self.object if name is None else reference(name)
        rest = f"{self.named}{one.name.capitalize()}"
        scope = [parameter("name", "path", f"name of the {kind['kind']}"), *self.scope]
        if one.name == "log":
            operations, _ = self._read_write(rest, kind, schema, one.name, ("get",))
            operations["get"]["responses"] = response({"type": "string"}, (200,), (*_JSON, "text/plain"))
            return {path: self._item_of(operations, {"get": _LOG}, scope)}
        operations, queries = self._read_write(rest, kind, schema, one.name, one.verbs)
        if "create" in one.verbs:
            own = self.resource.kind
            text = f"create {one.name} of{article(own)}{own}"
            operations["post"] = self.namer.operation("create", rest, text, "post", kind) | {
                "requestBody": BUILTIN_FORM.body(schema),
                "responses": response(schema, (200, 201, 202), _JSON),
            }
            queries["post"] = CREATE
        return {path: self._item_of(operations, queries, scope)}

    def _connect(self, path: str, one: Subresource) -> Document:
        """Parts that take over the connection; a proxy passes every method, and the path behind it."""
        kind = {"group": self.resource.group, "version": self.resource.version, "kind": one.kind}
        is_proxy = one.name == "proxy"
        found = {}
        for tail in ("", "/{path}") if is_proxy else ("",):
            operations: Document = {}
            for method, word in (_PROXY_METHODS if is_proxy else _METHODS).items():
                rest = f"{self.named}{one.name.capitalize()}{'WithPath' if tail else ''}"
                text = f"connect {method.upper()} requests to {one.name} of {self.resource.kind}"
                operation = self.namer.operation("connect", "", text, "connect", kind)
                operation["operationId"] = f"connect{self.namer.middle}{word}{rest}"
                operation["responses"] = response({"type": "string"}, (200,), ("*/*",))
                operations[method] = operation
            scope = [parameter("name", "path", f"name of the {one.kind}"), *self.scope[:-1]]
            scope += [parameter("path", "path")] if tail else []
            queries: dict[str, Sequence[str]] = dict.fromkeys(operations, _CONNECT[one.name])
            found[path + tail] = self._item_of(operations, queries, scope)
        return found
