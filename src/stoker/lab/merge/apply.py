"""Field ownership of ordinary writes, and server-side apply.

Every write answers the managed fields to store. Ordinary writes (create, update, the other patches) compare the object
before and after; an apply merges the configuration into the live object, takes away what the manager applied before and now
leaves out, and refuses where another manager's field would change.

Upstream: k8s.io/apimachinery pkg/util/managedfields/internal (fieldmanager.go, structuredmerge.go, managedfieldsupdater.go,
skipnonapplied.go, versioncheck.go) and structured-merge-diff merge/update.go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stoker.lab.merge.compare import Changes, compare, field_set
from stoker.lab.merge.conflicts import Conflict, apply_conflict, uncontested
from stoker.lab.merge.facts import ZERO, Reset, reset_fields
from stoker.lab.merge.fieldtype import FieldType, SchemaError, root_type
from stoker.lab.merge.lastapplied import refreshed
from stoker.lab.merge.managed import (
    Identity,
    MalformedManagedFields,
    Managed,
    Owner,
    cap,
    decode,
    encode,
    identify,
    is_reset,
    strip,
)
from stoker.lab.merge.prune import Version, prune
from stoker.lab.merge.sets import difference, intersection, paths, union
from stoker.lab.merge.typed import merge, problems, problems_text, reconcile
from stoker.lab.schema.node import Node
from stoker.lab.status import ApiError, bad_request

__all__ = ["Convert", "apply", "keep_timestamps", "track_update"]

Object = dict[str, Any]

Convert = Callable[[Object, str], tuple[Object, Node] | None]
"""An object in another version, with that version's schema; None where the version is no longer served."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a write is done with.

    Attributes:
        schema: type of the object in the version of the request.
        reset: takes out what the write cannot change; None where it may change everything.
        is_builtin: whether the kind is Kubernetes' own, whose stored sets always fit its schema.
    """

    schema: FieldType
    manager: str
    api_version: str
    now: str
    subresource: str
    reset: Reset | None
    convert: Convert | None
    is_builtin: bool


def _request(
    schema: Node,
    manager: str,
    api_version: str,
    *,
    now: str,
    subresource: str,
    reset: Reset | None,
    convert: Convert | None,
) -> _Request:
    is_builtin = schema.name.startswith("io.k8s.")
    if reset is None and is_builtin:
        reset = reset_fields(schema.name, subresource)
    return _Request(root_type(schema), manager, api_version, now, subresource, reset, convert, is_builtin)


def track_update(
    old: Object | None,
    new: Object,
    schema: Node,
    manager: str,
    api_version: str,
    *,
    now: str,
    subresource: str = "",
    reset: Reset | None = None,
    convert: Convert | None = None,
) -> list[dict[str, Any]]:
    """Managed fields of an object that a client creates or changes by anything but apply.

    Args:
        old: the stored object; None for a create.
        new: the object decoded and defaulted, before the registry's preparation and before mutating admission; its own
            managed fields, if any, are what the client sent.
        schema: of the kind in `api_version`.
        manager: the fieldManager parameter, or what the user agent begins with.
        api_version: version of the request.
        now: time of the request, such as ``2026-01-02T03:04:05Z``.
        subresource: such as ``status``; empty for the main path.
        reset: what the path cannot change; taken from the registries for built-in kinds. Custom resources pass
            `facts.CUSTOM_MAIN` or `facts.CUSTOM_STATUS`.
        convert: needed where entries may be of another version than the request.

    Returns:
        The entries in the order in which they are stored; none where ownership is not, or can no longer be, tracked.
    """
    request = _request(
        schema, manager, api_version, now=now, subresource=subresource, reset=reset, convert=convert
    )
    managed = _decode_live_or_new(old, new, is_subresource=bool(subresource))
    if not managed and old is not None and old.get("metadata", {}).get("uid"):
        return []  # it was never tracked, or the client asked to forget
    before = _before_create(schema.name, new) if old is None else _unmanaged(old)
    try:
        managed = cap(_updated(before, _unmanaged(new), managed, request))
    except SchemaError:
        return []  # the server gives ownership up rather than the write
    return encode(managed, sorts_keys=not request.is_builtin)


def _decode_live_or_new(old: Object | None, new: Object, *, is_subresource: bool) -> Managed:
    """What the client sent, or what is stored where that is nothing or unreadable."""
    stored = (old or {}).get("metadata", {}).get("managedFields") or []
    if is_subresource:
        return decode(stored, trusted=True)
    sent = (new.get("metadata") or {}).get("managedFields")
    if is_reset(sent):
        return {}
    if sent and sent is not stored and sent != stored:
        try:
            return decode(sent, trusted=False)
        except MalformedManagedFields:
            pass
    return decode(stored, trusted=True)


def _before_create(name: str, new: Object) -> Object:
    """What an object is before anything is set."""
    return ZERO.get(name) or {"apiVersion": new.get("apiVersion"), "kind": new.get("kind")}


def _unmanaged(found: Object) -> Object:
    metadata = found.get("metadata")
    if not metadata or "managedFields" not in metadata:
        return found
    return {**found, "metadata": {key: one for key, one in metadata.items() if key != "managedFields"}}


def _updated(old: Object, new: Object, managed: Managed, request: _Request) -> Managed:
    """Ownership after a change: fields touched or removed leave everybody else; the touched ones go to the manager."""
    managed = _reconciled(old, managed, request)
    changes = _changes(old, new, request.schema, request.reset)
    managed, _ = _release((old, new), changes, managed, request)
    touched = union(changes.modified, changes.added)
    own = strip(request.reset(touched) if request.reset else touched)
    if own:
        identity = identify(request.manager, "Update", request.api_version, request.subresource)
        previous = managed.get(identity)
        fields = union(own, previous.fields) if previous else own
        managed[identity] = Owner(fields, request.api_version, request.now)
    return managed


def _changes(old: Object, new: Object, schema: FieldType, reset: Reset | None) -> Changes:
    changes = compare(old, new, schema)
    return changes if reset is None else Changes(*map(reset, changes))


def _release(
    states: tuple[Object, Object],
    changes: Changes,
    managed: Managed,
    request: _Request,
    applier: Identity | None = None,
) -> tuple[Managed, list[Conflict]]:
    """Takes changed fields from everybody but the applier, and says which they were."""
    by_version: dict[str, Changes | None] = {request.api_version: changes}
    left: Managed = {}
    conflicts: list[Conflict] = []
    for identity, owner in managed.items():
        if identity == applier:
            if owner.fields:
                left[identity] = owner
            continue
        version = owner.api_version
        if version not in by_version:
            by_version[version] = _converted_changes(states, version, changes, request)
        theirs = by_version[version]
        if theirs is None:
            continue
        touched = intersection(owner.fields, union(theirs.modified, theirs.added))
        conflicts.extend(Conflict(identity, path) for path in paths(touched))
        fields = difference(difference(owner.fields, touched), theirs.removed)
        if fields:
            left[identity] = owner.owning(fields)
    return left, conflicts


def _converted_changes(
    states: tuple[Object, Object], version: str, changes: Changes, request: _Request
) -> Changes | None:
    """The same change as another version sees it; None where that version is gone."""
    if request.convert is None:
        return changes
    before, after = (request.convert(state, version) for state in states)
    if before is None or after is None:
        return None
    return _changes(before[0], after[0], root_type(after[1]), request.reset)


def _reconciled(live: Object, managed: Managed, request: _Request) -> Managed:
    """Ownership as the present schema divides fields: that of a custom resource may have changed since."""
    if request.is_builtin:
        return dict(managed)
    found: Managed = {}
    for identity, owner in managed.items():
        schema: FieldType | None = request.schema
        if owner.api_version != request.api_version and request.convert is not None:
            converted = request.convert(live, owner.api_version)
            schema = root_type(converted[1]) if converted is not None else None
        if schema is not None:
            found[identity] = owner.owning(reconcile(owner.fields, schema))
    return found


# --- apply --------------------------------------------------------------------------------------------------------


def apply(
    live: Object | None,
    applied: Object,
    schema: Node,
    manager: str,
    api_version: str,
    *,
    force: bool,
    now: str,
    subresource: str = "",
    reset: Reset | None = None,
    convert: Convert | None = None,
) -> Object:
    """The live object with a configuration applied, its managed fields included. Defaults are the caller's to fill after.

    Args:
        live: the stored object in `api_version`; None where there is none and the apply creates it.
        applied: the configuration as it was sent.
        schema: see `track_update`, and so for all arguments without a word here.
        manager: the fieldManager parameter.
        api_version: version of the request; the configuration must be of it.
        force: whether to take fields that others own.
        now: time of the request.
        subresource: such as ``status``; empty for the main path.
        reset: what the path cannot change.
        convert: to other versions.

    Raises:
        ApiError: 409 with one cause a field that another manager owns; 400 for a configuration of another kind or with
            managed fields of its own; 500, as the server answers, where the configuration does not fit the schema.
    """
    request = _request(
        schema, manager, api_version, now=now, subresource=subresource, reset=reset, convert=convert
    )
    kind = live.get("kind") if live is not None else applied.get("kind")
    _check_kind(applied, api_version, kind)
    managed = _decode_stored(live)
    before = _before_create(schema.name, applied) if live is None else _unmanaged(live)
    if not managed and live is not None:
        zero = _before_create(schema.name, applied)
        managed = cap(_updated(zero, before, {}, _first_apply(request)))
    _check_configuration(applied, request.schema)
    merged, managed, conflicts = _applied(before, applied, managed, request)
    if conflicts and not force:
        if manager == "kubectl":  # what client-side apply wrote is its own
            conflicts = uncontested(conflicts, before, api_version, request.schema)
        if conflicts:
            raise apply_conflict(conflicts)
    if manager == "kubectl":
        merged = refreshed(merged, applied)
    entries = encode(managed, sorts_keys=not request.is_builtin)
    metadata = {**(merged.get("metadata") or {})}
    metadata.pop("managedFields", None)
    if entries:
        metadata["managedFields"] = entries
    return {**merged, "metadata": metadata}


def _first_apply(request: _Request) -> _Request:
    """Who owns what was there before ownership was tracked."""
    return _Request(
        request.schema,
        "before-first-apply",
        request.api_version,
        request.now,
        request.subresource,
        request.reset,
        request.convert,
        request.is_builtin,
    )


def _decode_stored(live: Object | None) -> Managed:
    try:
        return decode((live or {}).get("metadata", {}).get("managedFields") or [], trusted=True)
    except KeyError as problem:
        raise ApiError(500, "", f"failed to decode managed fields: missing {problem}") from problem


def _kind_text(api_version: str, kind: Any) -> str:
    return f"{api_version if '/' in api_version else '/' + api_version}, Kind={kind}"


def _check_kind(applied: Object, api_version: str, kind: Any) -> None:
    sent, sent_kind = str(applied.get("apiVersion") or ""), applied.get("kind") or ""
    if (sent, sent_kind) != (api_version, kind):
        raise bad_request(f"invalid object type: {_kind_text(sent, sent_kind)}")
    if isinstance((applied.get("metadata") or {}).get("managedFields"), list):
        raise bad_request("metadata.managedFields must be nil")


def _check_configuration(applied: Object, schema: FieldType) -> None:
    found = problems(applied, schema)
    if not found:
        return
    metadata = applied.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    subject = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    kind = _kind_text(applied["apiVersion"], applied["kind"])
    raise ApiError(
        500, "", f"failed to create typed patch object ({subject}; {kind}): {problems_text(found)}"
    )


def _applied(
    live: Object, applied: Object, managed: Managed, request: _Request
) -> tuple[Object, Managed, list[Conflict]]:
    """The merged object, ownership after it, and the fields of others that it changes."""
    managed = _reconciled(live, managed, request)
    identity = identify(request.manager, "Apply", request.api_version, request.subresource)
    previous = managed.get(identity)
    wanted = field_set(applied, request.schema)
    if request.reset:
        wanted = request.reset(wanted)
    try:
        merged: Object = merge(live, applied, request.schema)
        managed[identity] = Owner(wanted, request.api_version, previous.time if previous else "")
        if previous and difference(previous.fields, wanted):  # else nothing was left out
            version = Version(request.api_version, request.schema, request.convert)
            merged = prune(merged, managed, previous, version)
        changes = _changes(live, merged, request.schema, request.reset)
    except SchemaError as problem:
        raise ApiError(500, "", f"failed to merge config: {problem}") from problem
    managed, conflicts = _release((live, merged), changes, managed, request, identity)
    is_unchanged = merged == live  # not what compare says: the order of elements counts too
    _own(managed, identity, request, is_unchanged=is_unchanged)
    return (live if is_unchanged else merged), managed, conflicts


def _own(managed: Managed, identity: Identity, request: _Request, *, is_unchanged: bool) -> None:
    """Leaves out what nobody owns; the time is that of the last apply that changed the object."""
    owner = managed.get(identity)
    if owner is None:
        return
    fields = strip(owner.fields)
    if fields:
        managed[identity] = Owner(fields, request.api_version, owner.time if is_unchanged else request.now)
    else:
        del managed[identity]


# --- timestamps ---------------------------------------------------------------------------------------------------


def keep_timestamps(new: Object, old: Object) -> None:
    """Puts the old times back where a write changes nothing but the times of managed fields, so that it stores nothing.

    Upstream: apiserver pkg/endpoints/handlers/fieldmanager/equality.go, called by the store after the preparation.
    """
    ours = new.get("metadata", {}).get("managedFields")
    theirs = old.get("metadata", {}).get("managedFields")
    if not ours or not theirs or len(ours) != len(theirs) or ours == theirs:
        return
    if [_timeless(one) for one in ours] != [_timeless(one) for one in theirs]:
        return
    if _unmanaged(new) == _unmanaged(old):
        new["metadata"] = {**new["metadata"], "managedFields": theirs}


def _timeless(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in entry.items() if key != "time"}
