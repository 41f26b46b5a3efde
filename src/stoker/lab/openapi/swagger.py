"""The whole API as one Swagger 2.0 document, for clients that read no v3.

Upstream: vendor/k8s.io/kube-openapi/pkg/builder/openapi.go. The operations are those of the v3 documents in the older form.
"""

from collections.abc import Iterable
from typing import Any

from stoker.lab.openapi.custom import CustomKind, custom_paths, custom_schemas
from stoker.lab.openapi.paths import builtin_paths, discovery_path
from stoker.lab.openapi.schemas import V2, V3, closure, references, schema
from stoker.lab.resources import Resource
from stoker.lab.schema.builtin import RELEASE

__all__ = ["swagger"]

Document = dict[str, Any]


def swagger(builtin: Iterable[Resource], custom: Iterable[CustomKind]) -> Document:
    """``/openapi/v2``."""
    builtin, custom = list(builtin), list(custom)
    versions = dict.fromkeys((one.group, one.version) for one in builtin)
    paths = {path: item for found in versions for path, item in discovery_path(*found).items()}
    paths |= builtin_paths(builtin) | custom_paths(one.resource for one in custom)
    own = {name: found for one in custom for name, found in custom_schemas(one, V2).items()}
    names = closure(references(paths) | references(list(own.values())))
    definitions = {name: schema(name, V2) for name in names} | own
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": RELEASE},
        "paths": {path: _item(item) for path, item in sorted(paths.items())},
        "definitions": dict(sorted(definitions.items())),
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "in": "header",
                "name": "authorization",
                "type": "apiKey",
            }
        },
        "security": [{"BearerToken": []}],
    }


def _item(item: Document) -> Document:
    found: Document = {}
    for key, value in item.items():
        if key == "parameters":
            found[key] = [_parameter(one) for one in value]
        else:
            found[key] = _operation(value)
    return found


def _parameter(parameter: Document) -> Document:
    found = {key: value for key, value in parameter.items() if key != "schema"}
    found |= parameter["schema"]
    return found


def _operation(operation: Document) -> Document:
    found = {
        key: value
        for key, value in operation.items()
        if key not in {"parameters", "requestBody", "responses"}
    }
    parameters = [_parameter(one) for one in operation.get("parameters", ())]
    consumes = ["*/*"]
    if body := operation.get("requestBody"):
        consumes = list(body["content"])
        told = {
            "name": "body",
            "in": "body",
            "schema": _reference(next(iter(body["content"].values()))["schema"]),
        }
        parameters.insert(0, told | ({"required": True} if body.get("required") else {}))
    if parameters:
        found["parameters"] = parameters
    produces: dict[str, None] = {}
    responses: Document = {}
    for code, one in operation["responses"].items():
        responses[code] = {"description": one["description"]}
        for kind, content in one.get("content", {}).items():
            produces[kind] = None
            responses[code]["schema"] = _reference(content["schema"])
    return found | {
        "consumes": consumes,
        "produces": list(produces),
        "responses": responses,
        "schemes": ["https"],
    }


def _reference(found: Document) -> Document:
    target = found.get("$ref")
    return found if target is None else {"$ref": V2 + target.removeprefix(V3)}
