"""Documents of custom resources: their schemas with what every Kubernetes object has, and their paths.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/controller/openapi/builder/builder.go, openapi/v2/conversion.go and
pkg/apiserver/schema/unfold.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stoker.lab.openapi.operations import (
    CREATE,
    CUSTOM_FORM,
    DELETE,
    GET,
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
from stoker.lab.openapi.schemas import V2, V3
from stoker.lab.resources import Resource
from stoker.lab.schema.builtin import definitions

__all__ = ["CustomKind", "custom_paths", "custom_schemas", "model_name"]

Document = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_OBJECT_META = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
_LIST_META = f"Standard list metadata. More info: {_CONVENTIONS}#types-kinds"
_EMBEDDED = {
    "apiVersion": {
        "type": "string",
        "description": "apiVersion defines the versioned schema of this representation of an object. "
        f"More info: {_CONVENTIONS}#resources",
    },
    "kind": {
        "type": "string",
        "description": "kind is a string value representing the type of this object. In CamelCase. "
        f"More info: {_CONVENTIONS}#types-kinds",
    },
}
_EITHER = [{"type": "integer"}, {"type": "string"}]
# What the v2 document cannot say, or kubectl would read wrongly.
_NOT_IN_V2 = frozenset({"allOf", "anyOf", "default", "not", "nullable", "oneOf", "x-kubernetes-validations"})
_CHILDREN = ("items", "additionalProperties")


@dataclass(frozen=True, slots=True)
class CustomKind:
    """One version of a custom resource.

    Attributes:
        resource: what is served.
        schema: the version's ``openAPIV3Schema``; None where it has none.
        selectable_fields: paths of its ``selectableFields``, such as ``.spec.color``.
    """

    resource: Resource
    schema: Mapping[str, Any] | None = None
    selectable_fields: tuple[str, ...] = ()


def model_name(resource: Resource, kind: str) -> str:
    """``sh.keda.v1alpha1.ScaledObject``."""
    return ".".join([*reversed(resource.group.split(".")), resource.version, kind])


def custom_schemas(custom: CustomKind, prefix: str = V3) -> dict[str, Document]:
    """Definitions of the kind and of its list, by name."""
    resource = custom.resource
    kind_name, list_kind = model_name(resource, resource.kind), resource.list_kind or f"{resource.kind}List"
    return {
        kind_name: _kind(custom, prefix) | _extensions(custom, resource.kind),
        model_name(resource, list_kind): _list(resource, kind_name, list_kind, prefix)
        | _extensions(custom, list_kind),
    }


def _extensions(custom: CustomKind, kind: str) -> Document:
    resource = custom.resource
    told: Document = {
        "x-kubernetes-group-version-kind": [
            {"group": resource.group, "kind": kind, "version": resource.version}
        ]
    }
    if custom.selectable_fields:
        told["x-kubernetes-selectable-fields"] = [{"fieldPath": one} for one in custom.selectable_fields]
    return told


def _kind(custom: CustomKind, prefix: str) -> Document:
    keeps_unknown = bool(custom.schema and custom.schema.get("x-kubernetes-preserve-unknown-fields"))
    if custom.schema is None or (prefix == V2 and keeps_unknown):
        # kubectl would take any property that is told for all that there are.
        return {"type": "object"}
    found = _v2(custom.schema) if prefix == V2 else _v3(custom.schema)
    _embed(found, prefix)
    found["properties"] = (
        found.get("properties", {}) | _type_meta() | {"metadata": _meta("ObjectMeta", prefix)}
    )
    return found


def _list(resource: Resource, kind_name: str, list_kind: str, prefix: str) -> Document:
    about = f"List of {resource.plural}. More info: {_CONVENTIONS}"
    items = {"type": "array", "description": about, "items": {"$ref": prefix + kind_name}}
    return {
        "description": f"{list_kind} is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": _type_meta() | {"items": items, "metadata": _meta("ListMeta", prefix)},
    }


def _type_meta() -> Document:
    told = definitions()["io.k8s.api.core.v1.Pod"]["properties"]
    return {
        field: {"type": "string", "description": told[field]["description"]}
        for field in ("apiVersion", "kind")
    }


def _meta(kind: str, prefix: str) -> Document:
    target = {"$ref": f"{prefix}{_META}.{kind}"}
    text = {"description": _OBJECT_META if kind == "ObjectMeta" else _LIST_META}
    return text | target if prefix == V2 else text | {"allOf": [target]}


def _v3(schema: Mapping[str, Any]) -> Document:
    """A copy; what is a number or a text says so in words that every client reads."""
    found = dict(schema)
    if found.get("x-kubernetes-int-or-string") and not found.keys() & {"anyOf", "allOf"}:
        found["anyOf"] = _EITHER
    if "properties" in found:
        found["properties"] = {field: _v3(one) for field, one in found["properties"].items()}
    for child in _CHILDREN:
        if isinstance(found.get(child), Mapping):
            found[child] = _v3(found[child])
    return found


def _v2(schema: Mapping[str, Any]) -> Document:
    found = {key: value for key, value in schema.items() if key not in _NOT_IN_V2}
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    if schema.get("nullable") or schema.get("x-kubernetes-preserve-unknown-fields"):
        # kubectl knows no null and takes what is told for all that there is, so nothing is told of what is inside.
        for key in ("type", "properties", *_CHILDREN):
            found.pop(key, None)
    if "properties" in found:
        found["properties"] = {field: _v2(one) for field, one in found["properties"].items()}
    for child in _CHILDREN:
        if isinstance(found.get(child), Mapping):
            found[child] = _v2(found[child])
    return found


def _embed(schema: Document, prefix: str) -> None:
    """Whole objects inside an object have a kind, a version and metadata too."""
    for one in schema.get("properties", {}).values():
        _embed(one, prefix)
    for child in _CHILDREN:
        if isinstance(schema.get(child), dict):
            _embed(schema[child], prefix)
    if not schema.get("x-kubernetes-embedded-resource"):
        return
    if prefix == V2 and schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    own = {**_EMBEDDED, "metadata": _meta("ObjectMeta", prefix)}
    schema["properties"] = schema.get("properties", {}) | own
    required = list(schema.get("required", ()))
    schema["required"] = required + [field for field in ("kind", "apiVersion") if field not in required]


def custom_paths(resources: Iterable[Resource]) -> Document:
    """Paths of the custom resources of one group and version."""
    paths: Document = {}
    for resource in resources:
        paths.update(_paths(resource))
    return dict(sorted(paths.items()))


def _paths(resource: Resource) -> Document:
    base = f"/apis/{resource.group}/{resource.version}"
    place = "/namespaces/{namespace}" if resource.namespaced else ""
    collection, item = f"{base}{place}/{resource.plural}", f"{base}{place}/{resource.plural}/{{name}}"
    scope = [parameter("namespace", "path")] if resource.namespaced else []
    name = parameter("name", "path", f"name of the {resource.kind}")
    routes = _Custom(resource)
    found = {
        collection: routes.item(("list", "create", "deletecollection"), scope),
        item: routes.item(("get", "put", "delete", "patch"), [name, *scope]),
    }
    if resource.namespaced:
        everywhere = routes.item(("list",), [])
        everywhere["get"]["operationId"] = f"list{routes.namer.middle}{resource.kind}ForAllNamespaces"
        found[f"{base}/{resource.plural}"] = everywhere
    for one in resource.subresources:
        found[f"{item}/{one.name}"] = routes.item(("get", "put", "patch"), [name, *scope], one.name)
    return found


# Of each operation: method, word in its name, action, query parameters, answers.
_OPERATIONS: dict[str, tuple[str, str, str, Sequence[str], Sequence[int]]] = {
    "list": ("get", "list", "list", LIST, (200,)),
    "create": ("post", "create", "post", CREATE, (200, 201, 202)),
    "deletecollection": ("delete", "delete", "deletecollection", LIST, (200,)),
    "get": ("get", "read", "get", GET, (200,)),
    "put": ("put", "replace", "put", UPDATE, (200, 201)),
    "delete": ("delete", "delete", "delete", DELETE, (200, 202)),
    "patch": ("patch", "patch", "patch", PATCH, (200,)),
}


class _Custom:
    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.namer = Namer(resource)
        self.kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}

    def item(self, names: Iterable[str], scope: Sequence[Document], part: str = "") -> Document:
        operations: Document = {}
        parameters: dict[str, Sequence[Document]] = {}
        for name in names:
            method, _, _, query, _ = _OPERATIONS[name]
            operations[method] = self._operation(name, part)
            parameters[method] = [*scope, parameter("pretty"), *map(parameter, query)]
        return path_item(operations, parameters)

    def _operation(self, name: str, part: str) -> Document:
        _, word, action, _, codes = _OPERATIONS[name]
        resource = self.resource
        rest = f"{'Namespaced' if resource.namespaced else ''}{resource.kind}{part.capitalize()}"
        if name == "deletecollection":
            rest = f"Collection{rest}"
        operation = self.namer.operation(word, rest, self._text(name, part), action, self.kind)
        schema = self._schema(name, part)
        if name in {"create", "put"}:
            operation["requestBody"] = CUSTOM_FORM.body(schema, required=False)
        elif name == "patch":
            operation["requestBody"] = CUSTOM_FORM.patch_body()
            operation["requestBody"].pop("required")
        elif name == "delete":
            operation["requestBody"] = CUSTOM_FORM.body(reference(f"{_META}.DeleteOptions"), required=False)
        return operation | {"responses": response(schema, codes, CUSTOM_FORM.produces)}

    def _schema(self, name: str, part: str) -> Document:
        if name in {"delete", "deletecollection"}:
            return reference(f"{_META}.Status")
        if part == "scale":
            return reference("io.k8s.api.autoscaling.v1.Scale")
        kind = (
            self.resource.list_kind or f"{self.resource.kind}List" if name == "list" else self.resource.kind
        )
        return reference(model_name(self.resource, kind))

    def _text(self, name: str, part: str) -> str:
        kind, of = self.resource.kind, f"{part} of " if part else ""
        return {
            "list": f"list objects of kind {kind}",
            "create": f"create{article(kind)}{kind}",
            "deletecollection": f"delete collection of {kind}",
            "get": f"read {of}the specified {kind}",
            "put": f"replace {of}the specified {kind}",
            "delete": f"delete{article(kind)}{kind}",
            "patch": f"partially update {of}the specified {kind}",
        }[name]
