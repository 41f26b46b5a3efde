"""How what Stoker did to an object is undone: decided from the record and from the object as it stands now.

What we created is deleted; fields that we set on objects of others get their old values and owners back. Where the present
value is not the one that we wrote, somebody changed it after us: it is left, and told.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from stoker.apply.compare import HIDDEN, differences
from stoker.apply.fields import ABSENT, applied_fields, extract, leaves, managers, show, value_at
from stoker.apply.inventory import Entry, Origin, Touched
from stoker.apply.session import CONTROLLERS
from stoker.kube.cluster import FIELD_MANAGER
from stoker.kube.refs import Object, Ref
from stoker.upgrades.objects import Wave

__all__ = ["Spared", "Undo", "UndoKind", "changed_by_others", "undo_entry", "undo_touched"]


class UndoKind(StrEnum):
    DELETE = "delete"
    RESTORE = "restore"  # fields get their old values
    RECREATE = "recreate"  # it was deleted or replaced: made anew from its backup
    LEAVE = "leave"
    NOTHING = "nothing"  # it stands as it should


@dataclass(frozen=True, slots=True)
class Spared:
    """What else may be deleted, and what may not.

    Attributes:
        claims: PersistentVolumeClaims, PersistentVolumes and the data in them.
        definitions: CRDs with all objects of their kinds.
        namespaces: namespaces in which others have objects.
        changed: objects of ours that others have changed.
        foreign: objects of others by namespace, as they were found.
    """

    claims: bool = False
    definitions: bool = False
    namespaces: bool = False
    changed: bool = False
    foreign: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Undo:
    """What is done with one object.

    Attributes:
        why: for people; for `UndoKind.LEAVE` with what would allow it.
        uid: of the object that may be deleted.
        origins: fields to put back.
        base: what our manager owns afterwards; None for nothing.
        original: to be made anew, after the deletion of what stands in its place (``uid``), if anything does.
        entry: its place in the inventory afterwards; None for none.
        left: fields that others changed after us, which stay.
        wave: of the object: deletions go from the last to the first, the rest from the first to the last.
    """

    ref: Ref
    kind: UndoKind
    why: str = ""
    uid: str = ""
    origins: tuple[Origin, ...] = ()
    base: Object | None = None
    original: Object | None = None
    entry: Entry | None = None
    left: tuple[str, ...] = ()
    wave: Wave = Wave.COMPONENTS


_CONTROLLERS_FIELDS: Final = (
    ("f:metadata", "f:finalizers"),
    ("f:metadata", "f:ownerReferences"),
    ("f:status",),
)


_NO_VALUES: Final = "values of Secrets are never recorded: set them yourself"


def _hides_values(entry: Entry) -> bool:
    return entry.ref.resource == "Secret" and (
        entry.original is not None or any(origin.before == HIDDEN for origin in entry.origins)
    )


def changed_by_others(live: Object) -> tuple[str, ...]:
    """Fields of an object of ours that others, and not controllers, have set: ``manager: .field``."""
    found = [
        f"{owner.name}: {show(path)}"
        for owner, entry in managers(live)
        if owner.name != FIELD_MANAGER and owner.name not in CONTROLLERS and not owner.subresource
        for path in leaves(entry.get("fieldsV1") or {})
        if path[:2] not in _CONTROLLERS_FIELDS and path[:1] not in _CONTROLLERS_FIELDS
    ]
    return tuple(found)


def undo_entry(entry: Entry, live: Object | None, spared: Spared) -> Undo:
    """Undo everything that was ever done to an object."""
    return replace(_undo_entry(entry, live, spared), wave=entry.wave)


def _undo_entry(entry: Entry, live: Object | None, spared: Spared) -> Undo:
    if _hides_values(entry):
        return Undo(entry.ref, UndoKind.LEAVE, _NO_VALUES, entry=entry)
    if live is None:
        if entry.original is not None:
            return Undo(entry.ref, UndoKind.RECREATE, "ours stood in its place", original=entry.original)
        return Undo(entry.ref, UndoKind.NOTHING, "it is gone")
    if entry.created:
        return _delete(entry.ref, live, entry, spared, entry.original)
    return _restore(entry.ref, live, entry.origins, None, None)


def undo_touched(touched: Touched, live: Object | None, now: Entry | None, spared: Spared) -> Undo:
    """Bring an object back to what it was before a run touched it.

    Args:
        touched: the run's record.
        live: as it stands.
        now: its place in the inventory now.
        spared: what may be deleted.
    """
    return replace(_undo_touched(touched, live, now, spared), wave=touched.wave)


def _undo_touched(touched: Touched, live: Object | None, now: Entry | None, spared: Spared) -> Undo:
    ref, before = touched.ref, touched.before
    if before is not None and ref.resource == "Secret":
        return Undo(ref, UndoKind.LEAVE, _NO_VALUES, entry=now)
    if before is None:
        if live is None:
            return Undo(ref, UndoKind.NOTHING, "it is gone")
        if now is None or not now.created:
            return Undo(ref, UndoKind.LEAVE, "it is not known to be ours", entry=now)
        return _delete(ref, live, now, spared, None)
    if live is None:
        return Undo(ref, UndoKind.RECREATE, "it was deleted", original=before, entry=touched.entry)
    if live["metadata"].get("uid") != before["metadata"].get("uid"):
        if _is_put_back(touched, live):
            uid = str(live["metadata"]["uid"])
            why = "it was made anew, and nobody has changed it"
            return Undo(ref, UndoKind.RECREATE, why, uid=uid, original=before, entry=touched.entry)
        if now is None or not now.created:
            return Undo(ref, UndoKind.LEAVE, "another object stands in its place", entry=now)
        found = _delete(ref, live, now, spared, before)
        return found if found.kind is UndoKind.LEAVE else replace(found, entry=touched.entry)
    applied = applied_fields(before, FIELD_MANAGER)
    base = extract(before, applied[1]) if applied else None
    return _restore(ref, live, touched.wrote, base, touched.entry)


def _is_put_back(touched: Touched, live: Object) -> bool:
    """Whether the run made the object that stands there, in place of ours, and it is still as it made it."""
    original = touched.entry.original if touched.entry and touched.action == UndoKind.RECREATE else None
    return original is not None and not differences(original, live)


def _delete(ref: Ref, live: Object, entry: Entry, spared: Spared, original: Object | None) -> Undo:
    uid = str(live["metadata"].get("uid") or "")

    def leave(why: str) -> Undo:
        return Undo(ref, UndoKind.LEAVE, why, entry=entry)

    if entry.unsure:
        return leave("a run that was killed, or somebody else, created it: nobody can tell")
    if uid != entry.uid:
        return leave("somebody deleted ours and created another")
    others = changed_by_others(live)
    if others and not spared.changed:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        return leave(f"others have changed it ({others[0]}{more}); --delete-changed deletes it all the same")
    if ref.resource in {"PersistentVolumeClaim", "PersistentVolume"} and not spared.claims:
        return leave("it holds data; --delete-claims deletes it")
    if ref.kind == "CustomResourceDefinition" and not spared.definitions:
        return leave("every object of its kind goes with it; --delete-crds deletes it")
    foreign = sorted(spared.foreign.get(ref.name, ())) if ref.resource == "Namespace" else []
    if foreign and not spared.namespaces:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        return leave(f"others have objects in it ({foreign[0]}{more}); --delete-namespaces deletes it")
    kind = UndoKind.DELETE if original is None else UndoKind.RECREATE
    return Undo(ref, kind, "Stoker created it", uid=uid, original=original)


def _restore(
    ref: Ref, live: Object, origins: tuple[Origin, ...], base: Object | None, entry: Entry | None
) -> Undo:
    back, left = [], []
    for origin in origins:
        present = value_at(live, origin.path)
        if present == origin.wrote:
            back.append(origin)
        elif present != origin.before:
            left.append(show(origin.path))
    applied = applied_fields(live, FIELD_MANAGER)
    ours = extract(live, applied[1]) if applied else None
    if ours == base and not any(o.before is not ABSENT and o.before != o.wrote for o in back):
        return Undo(ref, UndoKind.NOTHING, "it stands as it was", entry=entry, left=tuple(left))
    return Undo(
        ref, UndoKind.RESTORE, "fields get their old values", origins=tuple(back), base=base, entry=entry,
        left=tuple(left),
    )  # fmt: skip
