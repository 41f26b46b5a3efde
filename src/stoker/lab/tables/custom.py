"""Tables of custom resources: the columns that a CustomResourceDefinition asks for.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor/tableconvertor.go and
pkg/apiserver/customresource_handler.go, which gives the age to a kind that asks for no column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from stoker.lab.tables.columns import NAME, column, metadata_description
from stoker.lab.tables.duration import UNKNOWN, age
from stoker.lab.tables.jsonpath import JsonPathError, Step, compile_path, printed

__all__ = ["CustomColumns", "custom_columns"]

_AGE_PATH = ".metadata.creationTimestamp"


@dataclass(frozen=True, slots=True)
class CustomColumns:
    """Columns of one version of a custom resource, their paths read once.

    Attributes:
        definitions: the table's column definitions, the name first.
        paths: what finds each further column's value, and its type.
    """

    definitions: list[dict[str, Any]]
    paths: tuple[tuple[Step, str], ...]

    def cells(self, obj: dict[str, Any], now: datetime) -> list[Any]:
        return [obj.get("metadata", {}).get("name", ""), *(_cell(obj, *path, now) for path in self.paths)]


def custom_columns(asked: Sequence[Mapping[str, Any]] | None) -> CustomColumns:
    """Columns out of a version's ``additionalPrinterColumns``; a path that cannot be read ends them, as upstream."""
    if not asked:
        return _default()
    definitions = [column(NAME)]
    paths: list[tuple[Step, str]] = []
    for one in asked:
        try:
            path = compile_path(one["jsonPath"])
        except JsonPathError:
            break
        paths.append((path, one["type"]))
        definitions.append(
            {
                "name": one["name"],
                "type": one["type"],
                "format": one.get("format", ""),
                "description": one.get("description")
                or f"Custom resource definition column (in JSONPath format): {one['jsonPath']}",
                "priority": one.get("priority", 0),
            }
        )
    return CustomColumns(definitions, tuple(paths))


@cache
def _default() -> CustomColumns:
    description = metadata_description("creationTimestamp")
    return custom_columns(
        [{"name": "Age", "type": "date", "jsonPath": _AGE_PATH, "description": description}]
    )


def _cell(obj: dict[str, Any], path: Step, kind: str, now: datetime) -> Any:
    try:
        found = path([obj])
    except JsonPathError:
        return None
    if not found:
        return None
    value = found[0]
    if kind == "string":
        return printed(value)
    if kind == "date":
        return _date(value, now)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == "integer" else value


def _date(value: Any, now: datetime) -> str | None:
    if not isinstance(value, str):
        return None
    return age(value, now) if value else UNKNOWN
