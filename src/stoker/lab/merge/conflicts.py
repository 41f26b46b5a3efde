"""Refusing an apply because others own what it would change.

Upstream: k8s.io/apimachinery pkg/util/managedfields/internal/conflict.go, lastappliedmanager.go; structured-merge-diff
merge/conflict.go.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from stoker.lab.merge.compare import compare, field_set
from stoker.lab.merge.elements import path_text
from stoker.lab.merge.fieldtype import FieldType, SchemaError
from stoker.lab.merge.managed import Identity
from stoker.lab.merge.sets import FieldSet, difference, has
from stoker.lab.merge.typed import problems
from stoker.lab.status import ApiError

__all__ = ["LAST_APPLIED", "Conflict", "apply_conflict", "uncontested"]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class Conflict(NamedTuple):
    """A field that another manager owns and the apply would change."""

    owner: Identity
    path: tuple[str, ...]


def apply_conflict(conflicts: Sequence[Conflict]) -> ApiError:
    """409 that lists them by manager."""
    conflicts = sorted(conflicts, key=lambda one: one.owner.text())
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {one.owner.printed()}",
            "field": path_text(one.path),
        }
        for one in conflicts
    ]
    return ApiError(409, "Conflict", _message(conflicts), {"causes": causes})


def _message(conflicts: Sequence[Conflict]) -> str:
    if len(conflicts) == 1:
        only = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {only.owner.printed()}: {path_text(only.path)}"
    lines: list[str] = []
    named: Identity | None = None
    for one in conflicts:
        if one.owner != named:
            named = one.owner
            lines.append(f"conflicts with {named.printed()}:")
        lines.append(f"- {path_text(one.path)}")
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def uncontested(
    conflicts: list[Conflict], live: dict[str, Any], api_version: str, schema: FieldType
) -> list[Conflict]:
    """The conflicts without those over fields that client-side apply wrote and nobody has changed since.

    None are left where kubectl only takes over what is its own: the apply then goes through.
    """
    allowed = _from_annotation(live, api_version, schema)
    if allowed is None:
        return conflicts
    return [one for one in conflicts if not has(allowed, one.path)]


def _from_annotation(live: dict[str, Any], api_version: str, schema: FieldType) -> FieldSet | None:
    """Fields of the last-applied annotation that are still as it says; None where it cannot be read."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return None
    try:
        last = json.loads(text)
    except ValueError:
        return None
    if not isinstance(last, dict) or last.get("apiVersion") != api_version or not last.get("kind"):
        return None
    if problems(last, schema) or problems(live, schema):
        return None
    try:
        changes = compare(last, live, schema)
    except SchemaError:
        return None
    found = field_set(last, schema)
    for touched in (changes.modified, changes.added, changes.removed):
        found = difference(found, touched)
    return found
