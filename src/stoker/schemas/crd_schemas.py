"""CRD schemas made strict: what an API server with fieldValidation=Strict would say about a custom object.

Structural schemas (kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions,
"Specifying a structural schema") become JSON Schema 2020-12: an object takes only its properties unless it preserves
unknown fields, a required field that has a default is filled before validation, int-or-string and embedded resources
keep their meaning.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from stoker.errors import InputError, Problem
from stoker.kube.yaml_text import Loader
from stoker.schemas.handwritten import HANDWRITTEN

_VALUE_KEYS = (
    "description", "title", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minProperties",
    "maxProperties", "uniqueItems", "multipleOf", "minimum", "maximum",
)  # fmt: skip
_INTEGER_BOUNDS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_EMBEDDED = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


@dataclass(frozen=True)
class CustomKind:
    """One served version of a CRD."""

    schema: dict[str, Any]
    namespaced: bool
    deprecation: str

    @cached_property
    def validator(self) -> jsonschema_rs.Validator:
        """Compiled on first use: a cluster has hundreds of kinds, a platform a dozen."""
        return jsonschema_rs.validator_for(_root(self.schema))


Kinds = Mapping[tuple[str, str], CustomKind]


def load_kinds(folders: Iterable[Path]) -> Kinds:
    """(apiVersion, kind) -> kind, of every CRD below the folders and of the handwritten schemas.

    Where a kind is there twice the first one counts, in the order of the folders and of the paths below them, and the
    handwritten one last.

    Raises:
        InputError: a folder that is not there, or a file that is no YAML.
    """
    found: dict[tuple[str, str], CustomKind] = {}
    for document in [*_documents(folders), *HANDWRITTEN]:
        spec = document["spec"]
        for version in spec["versions"]:
            if not version["served"]:
                continue
            schema = version["schema"]["openAPIV3Schema"]
            warning = ""
            if version.get("deprecated"):
                warning = version.get("deprecationWarning") or "this version is deprecated"
            kind = CustomKind(
                schema=schema,
                namespaced=spec["scope"] == "Namespaced",
                deprecation=warning,
            )
            found.setdefault((f"{spec['group']}/{version['name']}", spec["names"]["kind"]), kind)
    return found


def _documents(folders: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for folder in folders:
        if not folder.is_dir():
            raise InputError([Problem("is not a folder", file=str(folder), wanted="a folder with CRD files")])
        for path in sorted(folder.rglob("*.yaml")):
            try:
                documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader))
            except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
                raise InputError([Problem(f"cannot be read: {error}", file=str(path))]) from error
            for document in documents:
                if isinstance(document, dict) and document.get("kind") == "CustomResourceDefinition":
                    yield document


def _root(schema: dict[str, Any]) -> dict[str, Any]:
    root = strict(schema)
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    root.setdefault("properties", {}).update(_EMBEDDED)
    return root


def strict(schema: dict[str, Any], *, closed: bool = True) -> dict[str, Any]:
    """JSON Schema of one structural schema; ``closed`` False inside anyOf, oneOf, allOf and not."""
    out: dict[str, Any] = {
        key: schema[key] for key in _VALUE_KEYS if key in schema and key not in {"description", "title"}
    }
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            out[key] = [strict(item, closed=False) for item in schema[key]]
    if "not" in schema:
        out["not"] = strict(schema["not"], closed=False)
    for key, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if schema.get(key) is True:
            out[key] = out.pop(plain)
    _type(schema, out)
    _object(schema, out, closed=closed)
    if "items" in schema:
        out["items"] = strict(schema["items"], closed=closed)
    if schema.get("x-kubernetes-list-type") == "set":
        out["uniqueItems"] = True
    return out


def _type(schema: dict[str, Any], out: dict[str, Any]) -> None:
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        kind = ["integer", "string"]
    if kind is not None:
        if schema.get("nullable"):
            kind = [*([kind] if isinstance(kind, str) else kind), "null"]
            if "enum" in out:
                out["enum"] = [*out["enum"], None]
        out["type"] = kind
    if schema.get("type") == "integer" and schema.get("format") in _INTEGER_BOUNDS:
        low, high = _INTEGER_BOUNDS[schema["format"]]
        if "exclusiveMinimum" not in out:
            out.setdefault("minimum", low)
        if "exclusiveMaximum" not in out:
            out.setdefault("maximum", high)


def _object(schema: dict[str, Any], out: dict[str, Any], *, closed: bool) -> None:
    properties = schema.get("properties", {})
    if properties:
        out["properties"] = {name: strict(item, closed=closed) for name, item in properties.items()}
    required = [name for name in schema.get("required", []) if "default" not in properties.get(name, {})]
    if required:
        out["required"] = required
    if not closed or schema.get("type") != "object":
        return
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        out["additionalProperties"] = strict(extra)
    elif not extra and not schema.get("x-kubernetes-preserve-unknown-fields"):
        out["additionalProperties"] = False
        if schema.get("x-kubernetes-embedded-resource"):
            out.setdefault("properties", {}).update(_EMBEDDED)
