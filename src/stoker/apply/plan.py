"""Compare what is wanted with what stands: by the server's own dry run, so that defaults and admission count."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from stoker.apply.asked import Allowed, owner_hint, target
from stoker.apply.back import strays_undone
from stoker.apply.changes import Action, Change, Checked, Conflict, Plan
from stoker.apply.compare import FieldChange, differences, offline_differences, stands
from stoker.apply.fields import ABSENT, FieldPath, Manager, leaves, managers, owners, show, value_at
from stoker.apply.inventory import Entry
from stoker.apply.look import each, look
from stoker.apply.missing import missing_kind
from stoker.apply.risks import HOLDS_DATA, immutable_fields, money, risks
from stoker.apply.store import NAMESPACE
from stoker.apply.undo import Spared, Undo, UndoKind
from stoker.kube.api_errors import ApiError, ConflictError, ForbiddenError, InvalidError, NotFoundError
from stoker.kube.cluster import FIELD_MANAGER, Cluster
from stoker.kube.refs import Object, Ref, ref_of
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted, ordered

__all__ = ["NoDryRunError", "plan_changes"]

_OWNER: Final = re.compile(r'conflict with "((?:[^"\\]|\\.)*)"(?: with subresource "([^"]*)")?')
_TRIES: Final = 5
_HOME: Final = Ref("v1", "Namespace", "", NAMESPACE)  # of the record: only an uninstall takes it
_RBAC: Final = re.compile(r'cannot (\w+) resource "([^"]+)"')


class NoDryRunError(ForbiddenError):
    """The user may read, and may not patch: a dry run asks for the right to write."""


@dataclass(frozen=True)
class _Look:
    """What the planner knows of the cluster."""

    cluster: Cluster
    live: Mapping[Ref, Object]
    coming: frozenset[str]  # namespaces that this plan creates
    defined: frozenset[tuple[str, str]]  # group and kind of CRDs that this plan creates
    allowed: Allowed
    offline: bool


def plan_changes(
    cluster: Cluster,
    objects: Sequence[Emitted],
    *,
    platform: ResolvedPlatform | None = None,
    name: str = "",
    allowed: Allowed | None = None,
    entries: Collection[Entry] = (),
    prune: bool = False,
    spared: Spared | None = None,
    offline: bool = False,
    thorough: bool = False,
) -> Plan:
    """What applying ``objects`` would change.

    Args:
        cluster: where.
        objects: everything wanted, as `stoker.upgrades.compile_platform` gives it.
        platform: for GPUs and money; they stay unknown without it.
        name: what the inventory knows the platform by; its own name where empty.
        allowed: fields to take and objects to replace.
        entries: the inventory; what it holds of this platform and is no longer wanted is a stray.
        prune: strays are deleted, or given back to their owners.
        spared: what else may be deleted then; a stray that is left is no change, and a note says why.
        offline: judge by managedFields, for users who may not patch: without defaults and admission.
        thorough: ask the server also about objects that surely stand as they are wanted.

    Raises:
        NoDryRunError: this user may not patch; ``offline`` needs no such right.
        ForbiddenError: it may not even read.
        UnreachableError: the server does not answer.
    """
    platform_name = name or (platform.spec.name if platform else "")
    items = ordered(objects)
    refs = {id(item): ref_of(item.object) for item in items}
    named = set(refs.values())
    strays = [e for e in entries if e.platform == platform_name and e.ref not in named and e.ref != _HOME]
    live = look(cluster, [*refs.values(), *(entry.ref for entry in strays)])
    seen = _Look(
        cluster,
        live,
        frozenset(ref.name for ref in refs.values() if ref.resource == "Namespace" and ref not in live),
        frozenset(
            _defined(item.object) for item in items if item.object["kind"] == "CustomResourceDefinition"
        ),
        allowed or Allowed(),
        offline,
    )
    known: list[Change | None] = [
        None if thorough else _standing(item, refs[id(item)], live) for item in items
    ]
    asked = [item for item, change in zip(items, known, strict=True) if change is None]
    answers = iter(each(lambda item: _change(seen, item, refs[id(item)]), asked))
    changes = _forgive([change or next(answers) for change in known])
    there = [entry for entry in strays if entry.ref in live]
    if prune:
        inventory = {entry.ref: entry for entry in entries}
        steps = strays_undone(cluster, inventory, [entry.ref for entry in there], spared or Spared())
        changes += [
            _stray(inventory[step.ref], step, live[step.ref]) for step in sorted(steps, key=_last_first)
        ]
    changes = [replace(change, risks=risks(change)) for change in changes]
    return Plan(
        tuple(changes),
        cluster.server,
        cluster.measured_on,
        platform_name,
        money([c for c in changes if not c.blocked], platform) if platform else None,
        tuple(entry.ref for entry in there),
    )


def _defined(obj: Object) -> tuple[str, str]:
    spec = obj.get("spec") or {}
    return str(spec.get("group") or ""), str((spec.get("names") or {}).get("kind") or "")


def _base(item: Emitted, ref: Ref, action: Action, live: Object | None = None) -> Change:
    return Change(ref, action, item.wave, item.upgrade, wanted=item.object, live=live, reason=item.reason)


def _standing(item: Emitted, ref: Ref, live: Mapping[Ref, Object]) -> Change | None:
    found = live.get(ref)
    if found is None or not stands(item.object, found, FIELD_MANAGER):
        return None
    return replace(_base(item, ref, Action.NONE, found), after=found)


_TAKEN_BACK: Final = {
    UndoKind.DELETE: Action.DELETE,
    UndoKind.RECREATE: Action.DELETE,
    UndoKind.RESTORE: Action.RELEASE,
    UndoKind.NOTHING: Action.RELEASE,
}


def _last_first(step: Undo) -> int:
    return -step.wave


def _stray(entry: Entry, step: Undo, live: Object) -> Change:
    notes = [f"left: {step.why}"] if step.kind is UndoKind.LEAVE else []
    if step.kind is UndoKind.RECREATE:
        notes.append("what ours replaced is made anew")
    notes += [f"{field} stays: others changed it" for field in step.left]
    return Change(
        entry.ref,
        _TAKEN_BACK.get(step.kind, Action.NONE),
        entry.wave,
        entry.upgrade,
        live=live,
        fields=tuple(
            FieldChange(origin.path, origin.wrote, origin.before)
            for origin in step.origins
            if origin.before != origin.wrote
        ),
        notes=tuple(notes),
        reason="no longer wanted",
    )


def _change(seen: _Look, item: Emitted, ref: Ref) -> Change:
    live = seen.live.get(ref)
    action = Action.UPDATE if live else Action.CREATE
    base = _base(item, ref, action, live)
    shown = replace(base, fields=differences(live, item.object) if live is None else ())
    if seen.cluster.resources.of(ref) is None:
        if (ref.group, ref.kind) in seen.defined:
            return replace(shown, checked=Checked.OFFLINE)
        blocked, fix = missing_kind(ref)
        return replace(shown, checked=Checked.OFFLINE, blocked=blocked, fix=fix)
    if live is None and ref.namespace in seen.coming:
        return replace(shown, checked=Checked.OFFLINE)
    if seen.offline:
        return _by_fields(seen, base)
    return _by_dry_run(seen, base)


def _by_dry_run(seen: _Look, base: Change) -> Change:
    """The server's answer, compared with the very state that it answered from: others may write meanwhile."""
    change = _dry_run(seen, base)
    for _ in range(_TRIES):
        live, after = change.live, change.after
        if live is None or after is None or _version(live) == _version(after):
            return change
        now = seen.cluster.get(base.ref)
        change = _dry_run(seen, replace(base, live=now, action=Action.UPDATE if now else Action.CREATE))
    return replace(
        change, notes=(*change.notes, "somebody writes it without end: some changes here may be theirs")
    )


def _version(obj: Object) -> object:
    return obj["metadata"].get("resourceVersion")


def _dry_run(seen: _Look, base: Change) -> Change:
    wanted = base.wanted or {}
    conflicts: tuple[Conflict, ...] = ()
    try:
        try:
            after = seen.cluster.apply(wanted, dry_run=True)
        except ConflictError as error:
            conflicts = _conflicts(error, base, seen.allowed)
            if not conflicts:
                raise
            after = seen.cluster.apply(wanted, dry_run=True, force=True)
    except ForbiddenError as error:
        if (missing := _RBAC.search(error.message)) is not None:
            raise NoDryRunError(
                403, error.reason,
                f"{error.message}. The server's dry run needs the right to {missing[1]} {missing[2]}, although nothing is "
                "written", what=error.what,
            ) from error  # fmt: skip
        return replace(base, blocked=f"the server refuses it: {error.message}", fields=_shown(base))
    except InvalidError as error:
        return _refused(base, error, seen.allowed)
    except NotFoundError as error:
        fix = f"create the namespace {base.ref.namespace}" if "namespaces" in error.message else error.fix
        return replace(base, blocked=error.message, fix=fix, fields=_shown(base))
    except ApiError as error:
        return replace(base, blocked=f"the server refuses it: {error.message}", fields=_shown(base))
    return _judged(replace(base, after=after, fields=differences(base.live, after)), conflicts)


def _shown(base: Change) -> tuple[FieldChange, ...]:
    return differences(base.live, base.wanted) if base.live is None else ()


def _judged(change: Change, conflicts: tuple[Conflict, ...]) -> Change:
    """With its conflicts, and what they forbid; nothing to do where nothing changes."""
    live, after = change.live, change.after
    if (
        live is not None
        and after is not None
        and not change.fields
        and not conflicts
        and _same_owners(live, after)
    ):
        return replace(change, action=Action.NONE)
    open_ = [conflict for conflict in conflicts if not conflict.taken]
    if not open_:
        return replace(change, conflicts=conflicts)
    first = open_[0]
    more = f" and {len(open_) - 1} more" if len(open_) > 1 else ""
    return replace(
        change,
        conflicts=conflicts,
        blocked=f"{first.manager} owns {first.field}{more} with another value",
        fix=" ".join(f"--take {target(change.ref)}:{conflict.field}" for conflict in open_),
    )


def _same_owners(live: Object, after: Object) -> bool:
    def ours(obj: Object) -> object:
        return next(
            (
                (e.get("apiVersion"), e.get("fieldsV1"))
                for m, e in managers(obj)
                if m == Manager(FIELD_MANAGER, "Apply")
            ),
            None,
        )

    return ours(live) == ours(after)


def _conflicts(error: ConflictError, base: Change, allowed: Allowed) -> tuple[Conflict, ...]:
    found = []
    for cause in error.causes:
        owner = _OWNER.search(cause.message)
        if cause.reason != "FieldManagerConflict" or owner is None or base.live is None:
            continue
        path = _path(base.live, owner[1], cause.field)
        theirs = ABSENT if path is None else value_at(base.live, path)
        ours = ABSENT if path is None else value_at(base.wanted, path)
        name = owner[1] + (f" ({owner[2]})" if owner[2] else "")
        taken = allowed.may_take(base.ref, cause.field)
        found.append(Conflict(cause.field, name, theirs, ours, taken, owner_hint(owner[1])))
    return tuple(found)


def _path(live: Object, manager: str, text: str) -> FieldPath | None:
    """The field that the server printed as ``text``."""
    for found, entry in managers(live):
        if found.name == manager:
            for path in leaves(entry.get("fieldsV1") or {}):
                for length in range(len(path), 0, -1):
                    if show(path[:length]) == text:
                        return path[:length]
    return None


def _refused(base: Change, error: InvalidError, allowed: Allowed) -> Change:
    fields = immutable_fields(error) if base.live is not None else ()
    if not fields:
        return replace(base, blocked=f"the server refuses it: {error.message}", fields=_shown(base))
    change = replace(
        base,
        action=Action.REPLACE,
        fields=offline_differences(base.wanted or {}, base.live or {}, FIELD_MANAGER),
        checked=Checked.FIELDS,
        notes=(f"cannot be changed in place: {', '.join(fields)}",),
    )
    if base.ref.resource in HOLDS_DATA:
        return replace(
            change,
            blocked=f"{', '.join(fields)} cannot be changed, and a {base.ref.kind} is never replaced: it holds data",
            fix="keep the value that it has, or give the object in the platform file another name",
        )
    if not allowed.may_replace(base.ref):
        return replace(
            change,
            blocked=f"{', '.join(fields)} cannot be changed in place: the object has to be deleted and created anew",
            fix=f"--replace {target(base.ref)}",
        )
    return change


def _by_fields(seen: _Look, base: Change) -> Change:
    """As server-side apply would decide by managedFields, without its defaults and admission."""
    if base.live is None:
        return replace(base, checked=Checked.FIELDS, fields=differences(None, base.wanted))
    wanted = base.wanted or {}
    fields = offline_differences(wanted, base.live, FIELD_MANAGER)
    conflicts = tuple(
        Conflict(
            change.field, owner.name, change.before, change.after, seen.allowed.may_take(base.ref, change.field),
            owner_hint(owner.name),
        )
        for change in fields
        if change.before is not ABSENT and change.after is not ABSENT
        for owner in owners(base.live, change.path)
        if owner.name != FIELD_MANAGER
    )  # fmt: skip
    change = replace(base, checked=Checked.FIELDS, fields=fields)
    return _judged(change, conflicts) if fields else replace(change, action=Action.NONE)


def _forgive(changes: list[Change]) -> list[Change]:
    """A new object that the server refuses now may be fine once earlier waves stand: it is asked again then."""
    first = min((c.wave for c in changes if c.is_change and not c.blocked), default=None)
    found = []
    for change in changes:
        if (
            change.blocked.startswith("the server refuses it")
            and first is not None
            and change.wave > first
            and (change.action is Action.CREATE)
        ):
            note = f"as things stand, {change.blocked}; asked again when its wave begins"
            found.append(replace(change, blocked="", checked=Checked.OFFLINE, notes=(*change.notes, note)))
        else:
            found.append(change)
    return found
