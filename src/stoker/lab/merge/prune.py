"""Taking away what a manager applied before and now leaves out.

A field goes only where nobody else owns it. Fields are compared in the version in which the manager last applied.

Upstream: structured-merge-diff merge/update.go (prune, addBackOwnedItems, addBackDanglingItems).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stoker.lab.merge.compare import field_set
from stoker.lab.merge.fieldtype import FieldType, root_type
from stoker.lab.merge.managed import Managed, Owner
from stoker.lab.merge.sets import FieldSet, difference, intersection, union
from stoker.lab.merge.typed import remove, with_named_fields
from stoker.lab.schema.node import Node

__all__ = ["Version", "prune"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """The version of the request, and how to get to others."""

    api_version: str
    schema: FieldType
    convert: Callable[[Object, str], tuple[Object, Node] | None] | None

    def turned(self, found: Object, api_version: str) -> tuple[Object, FieldType] | None:
        """The object in a version, with its type; None where the version is gone."""
        if self.convert is None or found.get("apiVersion") == api_version:
            return found, self.schema
        converted = self.convert(found, api_version)
        if converted is None:
            return None
        return converted[0], self.schema if api_version == self.api_version else root_type(converted[1])


def prune(merged: Object, managed: Managed, previous: Owner, version: Version) -> Object:
    """The merged object without the fields that only the manager's previous configuration held."""
    start = version.turned(merged, previous.api_version)
    if start is None:
        return merged
    full, schema = start
    last = with_named_fields(previous.fields, schema)
    pruned: Object = remove(full, last, schema) or {}
    pruned = _with_owned(full, pruned, previous.api_version, managed, version)
    back = version.turned(pruned, previous.api_version)
    if back is None:
        return merged
    gone = difference(_named(full, schema), _named(back[0], schema))
    result: Object = remove(full, intersection(gone, last), schema) or {}
    end = version.turned(result, version.api_version)
    return end[0] if end is not None else merged


def _named(found: Object, schema: FieldType) -> FieldSet:
    return with_named_fields(field_set(found, schema), schema)


def _with_owned(merged: Object, pruned: Object, first: str, managed: Managed, version: Version) -> Object:
    """Puts back what anybody owns, the applier's new configuration included."""
    owned: dict[str, FieldSet] = {}
    for owner in managed.values():
        owned[owner.api_version] = union(owned.get(owner.api_version, {}), owner.fields)
    versions = sorted(owned, key=lambda one: one != first)
    for one in versions:
        whole, part = version.turned(merged, one), version.turned(pruned, one)
        if whole is None or part is None:
            continue
        merged, schema = whole
        kept = union(_named(part[0], schema), with_named_fields(owned[one], schema))
        pruned = remove(merged, difference(_named(merged, schema), kept), schema) or {}
    return pruned
