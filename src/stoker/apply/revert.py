"""Undo in the cluster: delete, put fields back under their old owners, make objects anew from their backups."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

from stoker.apply.changes import Action
from stoker.apply.events import Done, Said
from stoker.apply.fields import (
    ABSENT,
    Manager,
    applied_fields,
    extract,
    leaves,
    managers,
    show,
    value_at,
    with_value,
)
from stoker.apply.inventory import Entry, Origin, Touched
from stoker.apply.look import each
from stoker.apply.session import Session
from stoker.apply.undo import Undo, UndoKind
from stoker.apply.write import await_gone, force_over
from stoker.kube.api_errors import ConflictError, InvalidError
from stoker.kube.cluster import FIELD_MANAGER, Cluster
from stoker.kube.refs import Object, Ref, ref_of

__all__ = ["carry_back", "put_back"]

# What the API server itself calls the owner of fields that nobody owned (k8s.io/apimachinery managedfields/fieldmanager.go).
_NOBODY: Final = "before-first-apply"
_TRIES: Final = 40


def carry_back(run: Session, steps: Sequence[Undo], live: Mapping[Ref, Object]) -> None:
    """Carry out steps, each written down before: deletions from the last wave to the first, then the rest from the first."""
    deletions = [step for step in steps if step.kind is UndoKind.DELETE]
    for _, group in groupby(sorted(deletions, key=lambda step: -step.wave), key=lambda step: step.wave):
        _carry(run, list(group), live)
    rest = [step for step in steps if step.kind is not UndoKind.DELETE]
    for _, group in groupby(sorted(rest, key=lambda step: step.wave), key=lambda step: step.wave):
        _carry(run, list(group), live)


def _carry(run: Session, group: list[Undo], live: Mapping[Ref, Object]) -> None:
    entries = run.store.entries
    todo = [s for s in group if s.kind not in {UndoKind.LEAVE, UndoKind.NOTHING}]
    if todo:
        run.write_down([_touched(step, live.get(step.ref), entries.get(step.ref)) for step in todo])
    kept = dict(each(lambda step: (step.ref, _one(run, step, live.get(step.ref))), todo))
    for step in todo:
        if step.kind is UndoKind.DELETE:
            await_gone(run.cluster, step.ref, step.uid)
    for step in group:
        if step.kind is UndoKind.LEAVE:
            run.progress(Said(f"{step.ref} is left: {step.why}"))
        for field in step.left:
            run.progress(Said(f"{step.ref} keeps {field}: others changed it after us"))
    after = [kept.get(step.ref, step.entry) for step in group]
    known = [entry for entry in after if entry is not None]
    run.store.put(known, {step.ref for step in group} - {entry.ref for entry in known})


def _touched(step: Undo, live: Object | None, entry: Entry | None) -> Touched:
    ours = Manager(FIELD_MANAGER, "Apply")
    wrote = tuple(
        Origin(origin.path, origin.wrote, origin.before, (ours,))
        for origin in step.origins
        if origin.before is not ABSENT and origin.before != origin.wrote
    )
    return Touched(step.ref, step.kind.value, step.wave, live, wrote, entry)


def _one(run: Session, step: Undo, live: Object | None) -> Entry | None:
    """One step; the object's place in the inventory afterwards."""
    run.held.check()
    action, entry = Action.UPDATE, step.entry
    if step.kind is UndoKind.DELETE:
        action = Action.DELETE
        run.cluster.delete(step.ref, uid=step.uid)
    elif step.kind is UndoKind.RECREATE and step.original is not None:
        action = Action.CREATE
        if step.uid:
            run.cluster.delete(step.ref, uid=step.uid, propagation="Foreground")
            await_gone(run.cluster, step.ref, step.uid)
        made = _make(run.cluster, step.original)
        if entry is not None:
            entry = replace(entry, uid=str(made["metadata"]["uid"]), pending=False)
    elif step.kind is UndoKind.RESTORE and live is not None:
        action = Action.RELEASE
        for field in put_back(run.cluster, live, step.origins, step.base):
            run.progress(Said(f"{step.ref} keeps {field}: others changed it meanwhile"))
    run.count(action.value)
    run.progress(Done(step.ref, action))
    return entry


def _make(cluster: Cluster, original: Object) -> Object:
    """An object from its backup, without status, as a new object; its fields belong to whom they belonged before.

    The server lets managedFields be set by an update that changes no value (kubernetes.io/docs/reference/using-api/server-side-apply,
    "clearing managedFields").
    """
    ref = ref_of(original)
    made = cluster.apply(_clean(original), force=True)
    entries = [entry for owner, entry in managers(original) if not owner.subresource]
    if not entries:
        return made

    def owned(obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}

    return _rewrite(cluster, ref, made, owned, FIELD_MANAGER)


def _clean(original: Object) -> Object:
    metadata = {
        key: value
        for key, value in original["metadata"].items()
        if key in {"name", "namespace", "labels", "annotations", "finalizers"}
    }
    body = {key: value for key, value in original.items() if key not in {"metadata", "status"}}
    return {**body, "metadata": metadata}


def put_back(
    cluster: Cluster, live: Object, origins: Collection[Origin], base: Object | None
) -> tuple[str, ...]:
    """Give fields their old values under their old owners, then own ``base`` and nothing else.

    Returns:
        Fields that were left, because others changed them between the look and the write.
    """
    metadata = live["metadata"]
    ref = Ref(live["apiVersion"], live["kind"], metadata.get("namespace") or "", metadata["name"])
    now = live
    turns: dict[Manager, list[Origin]] = defaultdict(list)
    for origin in origins:
        if origin.before is ABSENT or origin.before == origin.wrote:
            continue
        for owner in origin.owners or (Manager(_NOBODY, "Update"),):
            turns[owner].append(origin)
    # Those who write first: a value that an applier has put back already would be no change of theirs.
    for owner in sorted(turns, key=lambda one: (one.operation == "Apply", one)):
        now = _as_owner(cluster, ref, now, owner, turns[owner])
    empty = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": _names(ref)}
    left = _own(cluster, base or empty, [o for o in origins if not o.owners and o.before is not ABSENT])
    _mend(cluster, ref, origins)
    return left


def _names(ref: Ref) -> dict[str, str]:
    return {"name": ref.name, **({"namespace": ref.namespace} if ref.namespace else {})}


def _as_owner(cluster: Cluster, ref: Ref, now: Object, owner: Manager, origins: Sequence[Origin]) -> Object:
    """Write old values in the name of their owner; values that somebody changed meanwhile stay."""

    def wanted(obj: Object, body: Object) -> Object:
        for origin in origins:
            if value_at(obj, origin.path) in (origin.wrote, origin.before):
                body = with_value(body, origin.path, origin.before)
        return body

    def applied(obj: Object) -> Object:
        fields = applied_fields(obj, owner.name)
        return wanted(obj, extract(obj, fields[1] if fields else {}))

    if owner.operation == "Apply":
        return force_over(cluster, now, applied, same=lambda _: True, manager=owner.name)
    return _rewrite(cluster, ref, now, lambda obj: wanted(obj, obj), owner.name)


def _rewrite(
    cluster: Cluster, ref: Ref, now: Object, change: Callable[[Object], Object], manager: str
) -> Object:
    for _ in range(_TRIES):
        body = change(now)
        if body == now:
            return now
        try:
            return cluster.replace(body, manager=manager)
        except ConflictError:
            found = cluster.get(ref)
            if found is None:
                raise
            now = found
    return now


def _own(cluster: Cluster, base: Object, nobodys: Sequence[Origin]) -> tuple[str, ...]:
    """Apply ``base`` as ours, which drops what else we own; without the fields that others hold with another value."""
    left: list[str] = []
    body: Object = base
    for _ in range(_TRIES):
        try:
            cluster.apply(body)
        except ConflictError as error:
            fields = {cause.field for cause in error.causes}
            if not fields:
                raise
            paths = [path for path in leaves(_tree(body)) if show(path) in fields]
            if not paths:
                raise
            for path in paths:
                body = with_value(body, path, ABSENT)
            left += sorted(fields)
            continue
        except InvalidError:
            if not nobodys:
                raise
            # A field that is required, and that only we own now: it goes to nobody, as it was.
            share: Object = {k: base[k] for k in ("apiVersion", "kind")} | {
                "metadata": dict(base["metadata"])
            }
            for origin in nobodys:
                share = with_value(share, origin.path, origin.before)
            cluster.apply(share, manager=_NOBODY, force=True)
            nobodys = ()
            continue
        break
    return tuple(left)


def _tree(value: Any) -> dict[str, Any]:
    """fieldsV1 of a body whose lists are named by their items' keys, for finding the fields of a conflict."""
    if isinstance(value, Mapping):
        return {f"f:{key}": _tree(below) for key, below in value.items()}
    return {}


def _mend(cluster: Cluster, ref: Ref, origins: Collection[Origin]) -> None:
    """Fields that nobody owned are gone with our ownership where no default brings them back: they are set again."""
    lost = [o for o in origins if not o.owners and o.before is not ABSENT]
    found = cluster.get(ref) if lost else None
    if found is None:
        return

    def change(obj: Object) -> Object:
        for origin in lost:
            if value_at(obj, origin.path) is ABSENT:
                obj = with_value(obj, origin.path, origin.before)
        return obj

    _rewrite(cluster, ref, found, change, _NOBODY)
