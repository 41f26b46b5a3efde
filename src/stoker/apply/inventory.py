"""What Stoker did to a cluster, so that it can be undone: kept in the cluster, written before each change and after it.

The inventory holds, for each object, whether Stoker created it, or which fields of somebody else's it changed and what they
were. Runs hold what each object was before. Both are plain values here; `stoker.apply.store` keeps them in ConfigMaps.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from stoker.apply.compare import HIDDEN, without_secrets
from stoker.apply.fields import ABSENT, FieldPath, Manager, applied_fields, leaves, managers, owners, value_at
from stoker.kube.refs import Object, Ref
from stoker.upgrades.objects import Upgrade, Wave

__all__ = [
    "Entry",
    "Origin",
    "Run",
    "Touched",
    "created_by",
    "decode_entry",
    "decode_touched",
    "encode_entry",
    "encode_touched",
    "origins",
]

_HIDDEN_ABOVE: Final = frozenset(("f:data", "f:stringData"))


@dataclass(frozen=True, slots=True)
class Origin:
    """A field of somebody else's object that we set.

    Attributes:
        before: what it was; `ABSENT` where it was not there.
        wrote: what we set.
        owners: who owned it before.
    """

    path: FieldPath
    before: Any
    wrote: Any
    owners: tuple[Manager, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One object in the inventory.

    Attributes:
        platform: name of the platform that wanted it.
        created: by us; False for somebody else's that we changed.
        uid: of the object; empty while `pending`.
        pending: written before the change, and its outcome is not known: the run may have been killed.
        unsure: a killed run may have created it, or somebody else: it is never deleted.
        origins: the fields of somebody else's that we set, as they were before we first did.
        original: the object that ours replaced, whole, without values of Secrets.
    """

    ref: Ref
    platform: str
    upgrade: Upgrade
    wave: Wave
    created: bool
    uid: str = ""
    pending: bool = False
    unsure: bool = False
    origins: tuple[Origin, ...] = ()
    original: Object | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command that changes the cluster.

    Attributes:
        number: counts up; its name.
        command: such as ``apply``.
        state: ``running``, ``done``, ``stopped`` where it ended early; a run that was killed stays ``running``.
        started, ended: ISO times of the cluster.
        counts: what was done, such as ``{"create": 12}``.
        undoes: the first of the runs that a rollback undoes; 0 for any other command.
        only: the runs that it undoes; empty for all from the first on.
    """

    number: int
    command: str
    platform: str
    who: str
    started: str
    state: str = "running"
    ended: str = ""
    counts: Mapping[str, int] | None = None
    version: str = ""
    undoes: int = 0
    only: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Touched:
    """One object before a run changed it.

    Attributes:
        action: what the run meant to do.
        before: the whole object, without values of Secrets; None where it was not there.
        wrote: the fields that it set, each with what it was and who owned it.
        entry: the object's place in the inventory before the run; None where it had none.
    """

    ref: Ref
    action: str
    wave: Wave
    before: Object | None
    wrote: tuple[Origin, ...] = ()
    entry: Entry | None = None


def origins(
    live: Object | None, after: Object | None, manager: str, earlier: Iterable[Origin] = ()
) -> tuple[Origin, ...]:
    """The fields of ``after`` that ``manager`` applied and that were somebody else's, or not there, in ``live``.

    Fields known from ``earlier`` keep what they were before the first time.
    """
    known = {origin.path: origin for origin in earlier}
    applied = applied_fields(after, manager) if after else None
    if after is None or applied is None:
        return tuple(known.values())
    before = applied_fields(live, manager) if live else None
    ours = set(leaves(before[1])) if before else set()
    secret = after.get("kind") == "Secret"
    for path in leaves(applied[1]):
        wrote = _kept(value_at(after, path), path, secret=secret)
        old = known.get(path)
        if old is not None:
            known[path] = replace(old, wrote=wrote)
        elif path not in ours:
            was = _kept(value_at(live, path) if live else ABSENT, path, secret=secret)
            who = tuple(m for m in owners(live or {"metadata": {}}, path) if m.name != manager)
            known[path] = Origin(path, was, wrote, who)
    return tuple(known.values())


def _kept(value: Any, path: FieldPath, *, secret: bool) -> Any:
    return HIDDEN if secret and value is not ABSENT and path[0] in _HIDDEN_ABOVE else value


def created_by(obj: Object, manager: str, *, controllers: Collection[str]) -> bool:
    """Whether an object was surely created by ``manager``: nobody else but controllers was there as early.

    Asked of the answer to an apply it is exact; of an object that is found later it may say no where yes was true.
    """
    made = str(obj["metadata"].get("creationTimestamp") or "")
    mine = False
    for found, entry in managers(obj):
        if found == Manager(manager, "Apply"):
            mine = True
        elif not found.subresource and found.name not in controllers:
            time = str(entry.get("time") or "")
            if found.operation == "Apply" or not time or time <= made:
                return False
    return mine


def _value(value: Any) -> dict[str, Any]:
    return {} if value is ABSENT else {"v": value}


def _read(found: Mapping[str, Any]) -> Any:
    return found.get("v", ABSENT)


def _encode_origin(origin: Origin) -> dict[str, Any]:
    return {
        "path": list(origin.path),
        "before": _value(origin.before),
        "wrote": _value(origin.wrote),
        "owners": [[m.name, m.operation, m.subresource] for m in origin.owners],
    }


def _decode_origin(found: Mapping[str, Any]) -> Origin:
    return Origin(
        tuple(found["path"]),
        _read(found["before"]),
        _read(found["wrote"]),
        tuple(Manager(*m) for m in found["owners"]),
    )


def _encode_ref(ref: Ref) -> list[str]:
    return [ref.api_version, ref.kind, ref.namespace, ref.name]


def encode_entry(entry: Entry) -> dict[str, Any]:
    """As JSON keeps it."""
    found: dict[str, Any] = {
        "ref": _encode_ref(entry.ref),
        "platform": entry.platform,
        "upgrade": entry.upgrade.value,
        "wave": int(entry.wave),
        "created": entry.created,
        "uid": entry.uid,
    }
    if entry.pending:
        found["pending"] = True
    if entry.unsure:
        found["unsure"] = True
    if entry.origins:
        found["origins"] = [_encode_origin(origin) for origin in entry.origins]
    if entry.original is not None:
        found["original"] = without_secrets(entry.original)
    return found


def decode_entry(found: Mapping[str, Any]) -> Entry:
    """Back from JSON."""
    return Entry(
        Ref(*found["ref"]),
        found["platform"],
        Upgrade(found["upgrade"]),
        Wave(found["wave"]),
        found["created"],
        found["uid"],
        found.get("pending", False),
        found.get("unsure", False),
        tuple(_decode_origin(origin) for origin in found.get("origins") or ()),
        found.get("original"),
    )


def encode_touched(touched: Touched) -> dict[str, Any]:
    """As JSON keeps it; without values of Secrets."""
    return {
        "ref": _encode_ref(touched.ref),
        "action": touched.action,
        "wave": int(touched.wave),
        "before": None if touched.before is None else without_secrets(touched.before),
        "wrote": [_encode_origin(origin) for origin in touched.wrote],
        "entry": None if touched.entry is None else encode_entry(touched.entry),
    }


def decode_touched(found: Mapping[str, Any]) -> Touched:
    """Back from JSON."""
    return Touched(
        Ref(*found["ref"]),
        found["action"],
        Wave(found["wave"]),
        found["before"],
        tuple(_decode_origin(origin) for origin in found["wrote"]),
        None if found["entry"] is None else decode_entry(found["entry"]),
    )
