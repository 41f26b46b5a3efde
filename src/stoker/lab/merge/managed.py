"""``metadata.managedFields``: who owns which fields, read and written.

Upstream: k8s.io/apimachinery pkg/util/managedfields/internal managedfields.go, capmanagers.go, stripmeta.go, conflict.go.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from stoker.lab.merge.elements import MalformedElement
from stoker.lab.merge.gotext import quoted
from stoker.lab.merge.sets import EMPTY, FieldSet, difference, ordered, parse, union

__all__ = [
    "Identity",
    "MalformedManagedFields",
    "Managed",
    "Owner",
    "cap",
    "decode",
    "encode",
    "is_reset",
    "strip",
    "validate_managed_fields",
]

MAX_UPDATERS = 10
ANCIENT = "ancient-changes"
_STRIPPED: FieldSet = {
    "f:apiVersion": EMPTY,
    "f:kind": EMPTY,
    "f:metadata": {
        ".": EMPTY,
        **{
            f"f:{name}": EMPTY
            for name in (
                "name",
                "namespace",
                "creationTimestamp",
                "selfLink",
                "uid",
                "clusterName",
                "generation",
                "managedFields",
                "resourceVersion",
            )
        },
    },
}


class MalformedManagedFields(ValueError):  # noqa: N818  # named for what it is, as ApiError is
    """Entries that the server cannot read."""


class Identity(NamedTuple):
    """What tells one entry from another. An applier's entry has no version: it applies in any."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    def text(self) -> str:
        """The identifier by which the server sorts."""
        parts = {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "subresource": self.subresource,
        }
        return json.dumps(
            {key: one for key, one in parts.items() if one}, separators=(",", ":"), ensure_ascii=False
        )

    def printed(self) -> str:
        """As a conflict names it."""
        name = quoted(self.manager)
        if self.subresource:
            name += f" with subresource {quoted(self.subresource)}"
        return f"{name} using {self.api_version}" if self.operation == "Update" else name


@dataclass(frozen=True, slots=True)
class Owner:
    """Fields that one manager owns.

    Attributes:
        api_version: version of the object in which the fields are named.
        time: when the manager last changed something; empty where it never did.
        entry: the stored entry it was read from, as long as nothing has changed.
    """

    fields: FieldSet
    api_version: str
    time: str = ""
    entry: dict[str, Any] | None = None

    def owning(self, fields: FieldSet) -> "Owner":
        return self if fields is self.fields else Owner(fields, self.api_version, self.time)


Managed = dict[Identity, Owner]


def identify(manager: str, operation: str, api_version: str, subresource: str) -> Identity:
    return Identity(manager or "unknown", operation, "" if operation == "Apply" else api_version, subresource)


def decode(entries: Iterable[Any], *, trusted: bool) -> Managed:
    """Entries by their identity.

    Args:
        entries: the list of the object.
        trusted: whether we wrote them: a client's fields are rewritten as we write them.

    Raises:
        MalformedManagedFields: one of them is malformed.
    """
    found: Managed = {}
    for position, entry in enumerate(entries):
        if trusted:
            identity = _identity(entry)
            fields = entry.get("fieldsV1") or EMPTY
            found[identity] = Owner(fields, entry["apiVersion"], entry.get("time", ""), entry)
            continue
        _check(entry, position)
        try:
            fields = parse(entry.get("fieldsV1"))
        except MalformedElement as problem:
            raise MalformedManagedFields(f"error decoding set: {problem}") from problem
        found[_identity(entry)] = Owner(fields, entry["apiVersion"], _utc(entry.get("time")))
    return found


def _identity(entry: dict[str, Any]) -> Identity:
    operation = entry["operation"]
    return Identity(
        entry.get("manager", ""),
        operation,
        "" if operation == "Apply" else entry["apiVersion"],
        entry.get("subresource", ""),
    )


def _check(entry: Any, position: int) -> None:
    if not isinstance(entry, dict) or entry.get("operation") not in {"Apply", "Update"}:
        raise MalformedManagedFields("operation must be `Apply` or `Update`")
    if not entry.get("apiVersion"):
        raise MalformedManagedFields("apiVersion must not be empty")
    kind = entry.get("fieldsType", "")
    if not kind:
        raise MalformedManagedFields(f"missing fieldsType in managed fields entry {position}")
    if kind != "FieldsV1":
        raise MalformedManagedFields(f"invalid fieldsType {quoted(kind)} in managed fields entry {position}")


def _utc(text: str | None) -> str:
    if not text or text.endswith("Z"):
        return text or ""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return text


def validate_managed_fields(entries: Iterable[Any]) -> str:
    """What is wrong with entries after mutating admission; empty for nothing."""
    try:
        decode(entries, trusted=False)
    except MalformedManagedFields as problem:
        return str(problem)
    return ""


def is_reset(entries: Any) -> bool:
    """Whether a client asks to forget who owns what: an empty list, or one empty entry."""
    return isinstance(entries, list) and (not entries or entries == [{}])


def encode(managed: Managed, *, sorts_keys: bool = False) -> list[dict[str, Any]]:
    """The entries as they are stored: appliers first, the older before the newer.

    Args:
        managed: who owns what.
        sorts_keys: for custom resources, which the server writes with the keys of every map sorted.
    """
    entries = [owner.entry or _entry(identity, owner, sorts_keys) for identity, owner in managed.items()]
    if len(entries) > 1:
        entries.sort(key=_entry_order)
    return entries


def _entry(identity: Identity, owner: Owner, sorts_keys: bool) -> dict[str, Any]:  # noqa: FBT001  # encode's own
    entry: dict[str, Any] = {
        "manager": identity.manager,
        "operation": identity.operation,
        "apiVersion": owner.api_version,
    }
    if owner.time:
        entry["time"] = owner.time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = owner.fields if sorts_keys else ordered(owner.fields)
    if identity.subresource:
        entry["subresource"] = identity.subresource
    return _sorted(entry) if sorts_keys else entry


def _sorted(found: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(one) if isinstance(one, dict) else one for key, one in sorted(found.items())}


def _entry_order(entry: dict[str, Any]) -> tuple[str, ...]:
    return (
        entry["operation"],
        entry.get("time", ""),
        entry["manager"],
        entry["apiVersion"],
        entry.get("subresource", ""),
    )


def strip(fields: FieldSet) -> FieldSet:
    """Without the fields that the server itself keeps: nobody owns them."""
    return difference(fields, _STRIPPED)


def cap(managed: Managed) -> Managed:
    """At most ten updaters: the oldest of a version are put together as ``ancient-changes``."""
    updaters = [one for one in managed if one.operation == "Update"]
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return managed
    updaters.sort(key=lambda one: (managed[one].time, one.text()))
    capped = dict(managed)
    first: dict[str, Identity] = {}
    for identity in updaters:
        if surplus <= 0:
            break
        owner = capped[identity]
        bucket = Identity(ANCIENT, "Update", owner.api_version, "")
        if owner.api_version not in first:
            first[owner.api_version] = identity
            continue
        if bucket not in capped:
            capped[bucket] = capped.pop(first[owner.api_version])
        together = union(owner.fields, capped[bucket].fields)
        del capped[identity]
        capped[bucket] = Owner(together, owner.api_version, owner.time)
        surplus -= 1
    return capped
