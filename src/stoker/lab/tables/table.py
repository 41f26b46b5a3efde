"""A Table out of objects.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/response.go (asTable), pkg/printers/tablegenerator.go,
pkg/printers/storage/storage.go.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from stoker.lab.resources import BUILTIN, Resource
from stoker.lab.status import bad_request
from stoker.lab.tables.cluster import CLUSTER
from stoker.lab.tables.columns import column_definitions, has_columns
from stoker.lab.tables.custom import CustomColumns, custom_columns
from stoker.lab.tables.network import NETWORK
from stoker.lab.tables.pods import pod_cells, pod_conditions
from stoker.lab.tables.workloads import WORKLOADS

__all__ = ["IncludeObject", "check_include_object", "list_metadata", "partial", "partial_list", "table"]

Object = dict[str, Any]
IncludeObject = Literal["Metadata", "None", "Object"]
_BUILTIN_KINDS = frozenset((one.group, one.kind) for one in BUILTIN)
_PRINTERS = {**WORKLOADS, **CLUSTER, **NETWORK, ("", "Pod"): pod_cells}
_POD = ("", "Pod")
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_LIST_FIELDS = ("resourceVersion", "continue", "remainingItemCount")


def check_include_object(value: str | None) -> IncludeObject:
    """The query parameter `includeObject`; metadata where it is absent or empty.

    Raises:
        ApiError: it is none of the three.
    """
    match value:
        case None | "" | "Metadata":
            return "Metadata"
        case "None" | "Object":
            return value
    raise bad_request(
        f'Unable to convert to Table as requested: includeObject: Invalid value: "{value}": '
        "must be 'Metadata', 'Object', 'None', or empty"
    )


def list_metadata(obj: Mapping[str, Any]) -> Object:
    """Metadata of the Table of one object or of a list: version, token and count."""
    metadata = obj.get("metadata", {})
    return {key: metadata[key] for key in _LIST_FIELDS if metadata.get(key)}


def table(
    resource: Resource,
    objects: Iterable[Object],
    *,
    now: datetime,
    include_object: IncludeObject = "Metadata",
    list_metadata: Mapping[str, Any] | None = None,
    columns: CustomColumns | None = None,
    has_headers: bool = True,
    version: str = "v1",
) -> Object:
    """The Table of some objects of a resource.

    A watch sends each object as a Table of one row; only its first event has the headers.

    Args:
        resource: decides the printer. The printers read objects in the resource's own version.
        objects: what the rows are of.
        now: the server's clock, for ages.
        include_object: what stands beside the cells.
        list_metadata: ``metadata`` of the Table, see `list_metadata`.
        columns: columns of a custom resource, see `custom_columns`; kinds that Kubernetes does not have get the default.
        has_headers: whether the column definitions are told.
        version: ``v1`` or ``v1beta1`` of meta.k8s.io, as the client asked.
    """
    key = (resource.group, resource.kind)
    group_version = f"meta.k8s.io/{version}"
    if columns is None and key not in _BUILTIN_KINDS and key not in _PRINTERS:
        columns = custom_columns(None)
    cells: Callable[[Object, datetime], list[Any]]
    if columns is not None:
        cells, definitions, has_printer = columns.cells, columns.definitions, True
    else:
        cells, has_printer = _PRINTERS.get(key, _created_cells), has_columns(*key)
        definitions = column_definitions(*key)
        has_headers = has_headers or key[1] == "APIService"  # its convertor never leaves them out
    rows = []
    for obj in objects:
        row: Object = {"cells": cells(obj, now)}
        if key == _POD and (conditions := pod_conditions(obj)):
            row["conditions"] = conditions
        row["object"] = _beside(obj, include_object, group_version)
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": group_version,
        "metadata": dict(list_metadata or {}),
        "columnDefinitions": definitions if has_headers else None,
        # A Go slice that nothing was put into is null where it was never made: the convertor of kinds without a printer.
        "rows": rows if rows or has_printer else None,
    }


def _created_cells(obj: Object, _: datetime) -> list[Any]:
    metadata = obj.get("metadata", {})
    return [metadata.get("name", ""), metadata.get("creationTimestamp") or "0001-01-01T00:00:00Z"]


def _beside(obj: Object, include_object: IncludeObject, group_version: str) -> Object | None:
    if include_object == "Object":
        return obj
    if include_object == "None" and _INITIAL_EVENTS_END not in obj.get("metadata", {}).get("annotations", ()):
        return None
    return partial(obj, group_version)


def partial(obj: Mapping[str, Any], group_version: str = "meta.k8s.io/v1") -> Object:
    """An object's metadata alone, as ``PartialObjectMetadata``; the metadata is the object's own, not a copy."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": group_version,
        "metadata": obj.get("metadata", {}),
    }


def partial_list(
    objects: Iterable[Mapping[str, Any]],
    list_metadata: Mapping[str, Any],
    group_version: str = "meta.k8s.io/v1",
) -> Object:
    """The metadata of several objects, as ``PartialObjectMetadataList``."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": group_version,
        "metadata": dict(list_metadata),
        "items": [partial(one, group_version) for one in objects],
    }
