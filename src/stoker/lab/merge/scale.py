"""Ownership of the replica count across the scale subresource.

A Scale shows, as owners of its ``spec.replicas``, those who own the replica count of the object behind it; a write of the Scale
moves that ownership back.

Upstream: k8s.io/apimachinery pkg/util/managedfields/scalehandler.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stoker.lab.merge.managed import Managed, Owner, decode, encode
from stoker.lab.merge.sets import EMPTY, FieldSet, difference, has

__all__ = ["from_scale", "to_scale"]

Entries = list[dict[str, Any]]

_SCALE_VERSION = "autoscaling/v1"
_SCALE_PATH = ("spec", "replicas")


def _steps(path: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"f:{one}" for one in path)


def _set(path: Sequence[str]) -> FieldSet:
    found: FieldSet = EMPTY
    for step in reversed(_steps(path)):
        found = {step: found}
    return found


def to_scale(entries: Entries, paths: Mapping[str, Sequence[str] | None]) -> Entries:
    """Managed fields of the Scale that shows an object.

    Args:
        entries: managed fields of the object.
        paths: where each version of the object keeps its replica count, such as ``{"apps/v1": ("spec", "replicas")}``;
            None in versions without a scale subresource.
    """
    found: Managed = {}
    for identity, owner in decode(entries, trusted=True).items():
        path = paths.get(owner.api_version)
        if path and has(owner.fields, _steps(path)):
            found[identity] = Owner(_set(_SCALE_PATH), _SCALE_VERSION, owner.time)
    return encode(found)


def from_scale(
    entries: Entries, scale_entries: Entries, api_version: str, paths: Mapping[str, Sequence[str] | None]
) -> Entries:
    """Managed fields of an object after its Scale was written.

    Args:
        entries: managed fields of the object before.
        scale_entries: managed fields of the Scale after.
        api_version: version of the object that the Scale stands for.
        paths: see `to_scale`.
    """
    parents, scales = decode(entries, trusted=True), decode(scale_entries, trusted=True)
    found: Managed = {}
    for identity, owner in parents.items():
        if owner.api_version not in paths:
            continue
        path = paths[owner.api_version]
        if not path or not has(owner.fields, _steps(path)) or scales.pop(identity, None) is not None:
            found[identity] = owner
            continue
        left = difference(owner.fields, _set(path))
        if left:
            found[identity] = owner.owning(left)
    path = paths[api_version] or ()
    for identity, owner in scales.items():
        if has(owner.fields, _steps(_SCALE_PATH)):
            previous = parents.get(identity)
            found[identity] = Owner(_set(path), api_version, previous.time if previous else "")
    return encode(found)
