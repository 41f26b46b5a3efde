"""JSON schemas of core Kubernetes, 1.33 to 1.37, from the packaged OpenAPI documents of kubernetes-validate."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate

MINORS = ("1.33", "1.34", "1.35", "1.36", "1.37")

_ROOT = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
_DEFINITIONS = "/api/_definitions.json"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def folder(minor: str) -> Path:
    """Folder of the strict schemas (``additionalProperties: false``) of one minor."""
    return _ROOT / f"v{minor}.0-local-strict"


@cache
def definitions(minor: str) -> dict[str, Any]:
    """Every shared definition of a minor, by its OpenAPI name."""
    text = (folder(minor) / "_definitions.json").read_text()
    document: dict[str, Any] = json.loads(text)
    return document


@cache
def _registry(minor: str) -> jsonschema_rs.Registry:
    document = definitions(minor)
    return jsonschema_rs.Registry([(document["$id"], document)])


@cache
def kinds(minor: str) -> dict[tuple[str, str], str]:
    """(apiVersion, kind) -> OpenAPI name of every kind that the minor's types define."""
    found: dict[tuple[str, str], str] = {}
    for name, definition in definitions(minor)["$defs"].items():
        gvks = definition.get("x-kubernetes-group-version-kind", [])
        if len(gvks) != 1:  # DeleteOptions and WatchEvent belong to every group
            continue
        gvk = gvks[0]
        api_version = f"{gvk['group']}/{gvk['version']}" if gvk["group"] else gvk["version"]
        found[(api_version, gvk["kind"])] = name
    return found


@cache
def is_core(api_version: str) -> bool:
    """Whether the group belongs to Kubernetes itself in any minor."""
    group = api_version.rpartition("/")[0]
    return any(group == known.rpartition("/")[0] for minor in MINORS for known, _ in kinds(minor))


@cache
def validator(minor: str, definition: str) -> jsonschema_rs.Validator:
    """Compiled validator of one definition."""
    document = definitions(minor)
    schema = {"$schema": document["$schema"], "$ref": f"{document['$id']}#/$defs/{definition}"}
    return jsonschema_rs.validator_for(schema, registry=_registry(minor))


def object_meta(minor: str) -> jsonschema_rs.Validator:
    """Validator of metadata, for objects of CRDs too."""
    return validator(minor, _OBJECT_META)


def lookup(minor: str, reference: str) -> dict[str, Any]:
    """The definition that a ``$ref`` names."""
    found: dict[str, Any] = definitions(minor)["$defs"][reference.rpartition("/")[2]]
    return found
