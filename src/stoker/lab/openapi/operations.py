"""Operations of OpenAPI documents: parameters, bodies, responses and names, as every path uses them.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/installer.go and endpoints/openapi/openapi.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from stoker.lab.openapi.schemas import V3
from stoker.lab.resources import Resource
from stoker.lab.schema.builtin import definitions

__all__ = [
    "BUILTIN_FORM",
    "CREATE",
    "CUSTOM_FORM",
    "DELETE",
    "DELETE_COLLECTION",
    "GET",
    "LIST",
    "PATCH",
    "UPDATE",
    "Form",
    "Namer",
    "article",
    "camel",
    "parameter",
    "path_item",
    "reference",
    "response",
]

Document = dict[str, Any]
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_OTHER_TYPES = {
    "allowWatchBookmarks": "boolean",
    "force": "boolean",
    "gracePeriodSeconds": "integer",
    "ignoreStoreReadErrorWithClusterBreakingPotential": "boolean",
    "limit": "integer",
    "orphanDependents": "boolean",
    "sendInitialEvents": "boolean",
    "timeoutSeconds": "integer",
    "watch": "boolean",
    "follow": "boolean",
    "insecureSkipTLSVerifyBackend": "boolean",
    "limitBytes": "integer",
    "ports": "integer",
    "previous": "boolean",
    "sinceSeconds": "integer",
    "stderr": "boolean",
    "stdin": "boolean",
    "stdout": "boolean",
    "tailLines": "integer",
    "timestamps": "boolean",
    "tty": "boolean",
}
_SELECTION = [
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
]
GET = ("resourceVersion",)
LIST = ("allowWatchBookmarks", *_SELECTION, "watch")
CREATE = UPDATE = ("dryRun", "fieldManager", "fieldValidation")
PATCH = (*UPDATE, "force")
DELETE = (
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
)
DELETE_COLLECTION = (*DELETE, *_SELECTION)
_PATHS = {
    "namespace": "object name and auth scope, such as for teams and projects",
    "path": "path to the resource",
}


class Form:
    """Media types of an API: built-in kinds speak more of them than custom resources do."""

    def __init__(self, produces: Sequence[str], consumes: Sequence[str], patches: Sequence[str]) -> None:
        self.produces = tuple(f"application/{one}" for one in produces)
        self.consumes = tuple(consumes)
        self.patches = tuple(f"application/{one}" for one in patches)

    def body(self, schema: Document, *, required: bool = True) -> Document:
        return _body(schema, self.consumes, required=required)

    def patch_body(self) -> Document:
        return _body(reference(f"{_META}.Patch"), self.patches, required=True)


def _body(schema: Document, types: Iterable[str], *, required: bool) -> Document:
    found: Document = {"content": {one: {"schema": schema} for one in types}}
    return found | {"required": True} if required else found


BUILTIN_FORM = Form(
    ("cbor", "json", "vnd.kubernetes.protobuf", "yaml"),
    ("*/*",),
    (
        "apply-patch+cbor",
        "apply-patch+yaml",
        "json-patch+json",
        "merge-patch+json",
        "strategic-merge-patch+json",
    ),
)
CUSTOM_FORM = Form(
    ("json", "yaml"),
    ("application/json", "application/yaml"),
    ("apply-patch+yaml", "json-patch+json", "merge-patch+json"),
)


def reference(name: str) -> Document:
    return {"$ref": V3 + name}


def response(schema: Document, codes: Sequence[int], types: Iterable[str]) -> Document:
    """Responses of an operation, refusal of strangers included."""
    words = {200: "OK", 201: "Created", 202: "Accepted"}
    content = {one: {"schema": schema} for one in types}
    found: Document = {str(code): {"description": words[code], "content": content} for code in codes}
    return found | {"401": {"description": "Unauthorized"}}


@cache
def parameter(name: str, place: str = "query", description: str = "") -> Document:
    """A parameter; those that DeleteOptions has too are described by it."""
    if place == "path":
        described = description or _PATHS[name]
        return {
            "name": name,
            "in": "path",
            "description": described,
            "required": True,
            "schema": {"type": "string", "uniqueItems": True},
        }
    options = definitions()[f"{_META}.DeleteOptions"]["properties"]
    text = options.get(name, {}).get("description", "")
    told = {
        "name": name,
        "in": "query",
        "schema": {"type": _OTHER_TYPES.get(name, "string"), "uniqueItems": True},
    }
    return told | {"description": text} if text else told


def path_item(operations: Mapping[str, Document], parameters: Mapping[str, Sequence[Document]]) -> Document:
    """The operations of a path by method; a parameter that all of them have belongs to the path."""
    every = list(parameters.values())
    shared = [one for one in every[0] if all(one in others for others in every)]
    item: Document = {}
    for method, operation in operations.items():
        own = [one for one in parameters[method] if one not in shared]
        item[method] = operation | {"parameters": _sorted(own)} if own else operation
    return item | {"parameters": _sorted(shared)} if shared else item


def _sorted(parameters: Iterable[Document]) -> list[Document]:
    return sorted(parameters, key=lambda one: (one["name"], one["in"]))


class Namer:
    """Names of the operations of one group and version: ``listAppsV1NamespacedDeployment``."""

    def __init__(self, resource: Resource) -> None:
        group = (resource.group or "core").removesuffix(".k8s.io")
        self.middle = camel(group, is_capital=True) + camel(resource.version, is_capital=True)
        self.tags = [f"{camel(group)}_{camel(resource.version)}"]

    def operation(self, verb: str, rest: str, description: str, action: str, kind: Document) -> Document:
        return {
            "tags": self.tags,
            "description": description,
            "operationId": f"{verb}{self.middle}{rest}",
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": kind,
        }


def camel(text: str, *, is_capital: bool = False) -> str:
    """Letters and digits only, a capital after each thing left out (ToValidOperationID)."""
    found = []
    for index, letter in enumerate(text):
        if letter.isalpha() or letter == "_" or (index and letter.isdigit()):
            found.append(letter.upper() if is_capital else letter)
            is_capital = False
        else:
            is_capital = True
    return "".join(found)


def article(noun: str) -> str:
    """`` a `` or `` an `` before a noun; none before a plural (GetArticleForNoun)."""
    if noun.endswith("s") and not noun.endswith("ss"):
        return " "
    return " an " if noun[0] in "AEIOUaeiou" else " a "
