"""Schemas of the kinds that Kubernetes itself serves, from the OpenAPI document of the release the lab speaks.

The document comes with kubernetes-validate (Kubernetes' own swagger.json as JSON Schema, list types, merge keys and
descriptions kept). It has two habits of its own that are undone here: optional fields allow null, and references begin
with ``#/$defs/``.
"""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from stoker.errors import StokerError
from stoker.lab.schema.node import Node

__all__ = ["RELEASE", "definition", "definition_name", "definitions", "object_meta"]

RELEASE = "1.36"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@cache
def definitions() -> dict[str, dict[str, Any]]:
    """Every definition by its OpenAPI name."""
    # Only the package's data is wanted: importing it costs half a second.
    found_spec = importlib.util.find_spec("kubernetes_validate")
    if found_spec is None or not found_spec.submodule_search_locations:
        raise StokerError("the lab needs Kubernetes' schemas", fix="pip install 'stoker[lab]'")
    folder = Path(found_spec.submodule_search_locations[0]) / "kubernetes-json-schema" / f"v{RELEASE}.0-local"
    document = json.loads((folder / "_definitions.json").read_bytes())
    found: dict[str, dict[str, Any]] = document["$defs"]
    return found


@cache
def definition(name: str) -> Node:
    """The schema of an OpenAPI name.

    Raises:
        KeyError: there is no such definition.
    """
    return Node(definitions()[name], _resolve, name)


def _resolve(reference: str) -> dict[str, Any]:
    return definitions()[reference.rpartition("/")[2]]


@cache
def _by_kind() -> dict[tuple[str, str, str], str]:
    found: dict[tuple[str, str, str], str] = {}
    for name, schema in definitions().items():
        kinds = schema.get("x-kubernetes-group-version-kind", [])
        if len(kinds) == 1:  # DeleteOptions and WatchEvent belong to every group
            found[(kinds[0]["group"], kinds[0]["version"], kinds[0]["kind"])] = name
    return found


def definition_name(group: str, version: str, kind: str) -> str | None:
    """OpenAPI name of a kind; None where Kubernetes has none."""
    return _by_kind().get((group, version, kind))


def object_meta() -> Node:
    """Schema of metadata, for custom resources too."""
    return definition(_OBJECT_META)
