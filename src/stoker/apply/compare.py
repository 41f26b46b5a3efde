"""What differs between two states of an object, field by field, and whether an object already stands as it is wanted."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.apply.fields import ABSENT, FieldPath, applied_fields, field, leaves, owners, show, value_at
from stoker.kube.quantities import parse
from stoker.kube.refs import Object

__all__ = ["HIDDEN", "FieldChange", "differences", "offline_differences", "stands", "without_secrets"]

HIDDEN: Final = "(hidden)"
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
# What the server writes by itself, whoever changes the object.
_SERVERS: Final = frozenset(
    ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
)
# Keys of lists that are maps, most telling first. They name fields for people; what is applied is the server's to decide.
_KEYS: Final = (
    ("name",), ("containerPort", "protocol"), ("port", "protocol"), ("port",), ("mountPath",), ("topologyKey", "whenUnsatisfiable"),
    ("key", "operator", "effect"), ("key",), ("type",), ("ip",), ("uid",),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that changes.

    Attributes:
        before, after: values; `ABSENT` where the field is not there. Values of a Secret are `HIDDEN`.
    """

    path: FieldPath
    before: Any
    after: Any

    @property
    def field(self) -> str:
        """As the server prints it."""
        return show(self.path)


def without_secrets(obj: Object) -> Object:
    """A Secret without its values, keys kept; any other object as it is."""
    if obj.get("kind") != "Secret" or obj.get("apiVersion") != "v1":
        return obj
    copy = {**obj}
    for name in ("data", "stringData"):
        if isinstance(copy.get(name), Mapping):
            copy[name] = dict.fromkeys(copy[name], HIDDEN)
    metadata = dict(copy.get("metadata") or {})
    annotations = dict(metadata.get("annotations") or {})
    if _LAST_APPLIED in annotations:  # kubectl keeps the whole object in it
        metadata["annotations"] = annotations | {_LAST_APPLIED: HIDDEN}
    return {**copy, "metadata": metadata}


def differences(before: Object | None, after: Object | None) -> tuple[FieldChange, ...]:
    """Every field that a user, not the server, would see change; status left out, values of Secrets hidden."""
    found = tuple(_differences((), _mine(before), _mine(after)))
    return _hidden(found, before, after)


def _hidden(
    found: tuple[FieldChange, ...], before: Object | None, after: Object | None
) -> tuple[FieldChange, ...]:
    """The same changes, with values of Secrets as they may be shown."""
    if (after or before or {}).get("kind") != "Secret":
        return found
    old, new = (_mine(None if obj is None else without_secrets(obj)) for obj in (before, after))
    return tuple(FieldChange(c.path, value_at(old, c.path), value_at(new, c.path)) for c in found)


def _mine(obj: Object | None) -> Any:
    if obj is None:
        return ABSENT
    metadata = {key: value for key, value in (obj.get("metadata") or {}).items() if key not in _SERVERS}
    return {
        **{k: v for k, v in obj.items() if k not in {"status", "apiVersion", "kind"}},
        "metadata": metadata,
    }


def _differences(path: FieldPath, before: Any, after: Any) -> Iterator[FieldChange]:
    if before == after and type(before) is type(after):
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differences((*path, field(key)), before.get(key, ABSENT), after.get(key, ABSENT))
        return
    if isinstance(before, list) and isinstance(after, list):
        keys = _keys(before, after)
        if keys is not None:
            olds, news = _by_key(before, keys), _by_key(after, keys)
            for key in [*olds, *(key for key in news if key not in olds)]:
                yield from _differences((*path, key), olds.get(key, ABSENT), news.get(key, ABSENT))
            if list(olds) != list(news) and set(olds) == set(news):
                yield FieldChange(path, list(olds), list(news))  # the order alone
            return
    yield FieldChange(path, before, after)


def _keys(*lists: Sequence[Any]) -> tuple[str, ...] | None:
    """The keys by which the items of all lists are told apart; None where there are none."""
    items = [item for one in lists for item in one]
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    for names in _KEYS:
        if all(names[0] in item for item in items):
            distinct = all(
                len({json.dumps([item.get(name) for name in names]) for item in one}) == len(one)
                for one in lists
            )
            if distinct and all(not isinstance(item.get(n), Mapping | list) for item in items for n in names):
                return names
    return None


def _by_key(items: Sequence[Mapping[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "k:" + json.dumps({n: item[n] for n in names if n in item}, separators=(",", ":")): item
        for item in items
    }


def stands(wanted: Object, live: Object, manager: str) -> bool:
    """Whether applying ``wanted`` would surely change nothing: ``manager`` applied exactly these fields with these values.

    False means only that the server has to be asked.
    """
    found = applied_fields(live, manager)
    if found is None or found[0] != wanted["apiVersion"]:
        return False
    metadata = {
        key: value for key, value in wanted["metadata"].items() if key not in {"name", "namespace"} and value
    }
    body = {key: value for key, value in wanted.items() if key not in {"apiVersion", "kind", "metadata"}}
    if metadata:
        body["metadata"] = metadata
    return _stands(found[1], body, live)


def _stands(fields: Mapping[str, Any], wanted: Any, live: Any) -> bool:
    elements = [element for element in fields if element != "."]
    if not elements:
        return bool(wanted == live and type(wanted) is type(live)) or (
            wanted in ({}, []) and "." in fields and isinstance(live, type(wanted))
        )
    if isinstance(wanted, Mapping):
        if not isinstance(live, Mapping) or {field(key) for key in wanted} != set(elements):
            return False
        return all(key in live and _stands(fields[field(key)], wanted[key], live[key]) for key in wanted)
    if not isinstance(wanted, list) or not isinstance(live, list) or len(wanted) != len(elements):
        return False
    places = [_item(element, wanted) for element in elements]
    others = [_item(element, live) for element in elements]
    if None in places or None in others or len(set(places)) != len(elements):
        return False
    order = sorted(range(len(elements)), key=lambda at: places[at] or 0)
    if [others[at] for at in order] != sorted(other for other in others if other is not None):
        return False  # another order is a change
    return all(
        element.startswith("v:") or _stands(fields[element], wanted[place or 0], live[other or 0])
        for element, place, other in zip(elements, places, others, strict=True)
    )


def _item(element: str, items: list[Any]) -> int | None:
    kind, _, text = element.partition(":")
    if kind == "i":
        return int(text) if int(text) < len(items) else None
    key = json.loads(text)
    for place, item in enumerate(items):
        if kind == "v" and item == key:
            return place
        if (
            kind == "k"
            and isinstance(item, Mapping)
            and all(item.get(n, ABSENT) == v for n, v in key.items())
        ):
            return place
    return None


def offline_differences(wanted: Object, live: Object, manager: str) -> tuple[FieldChange, ...]:
    """What applying would change, judged from ``live`` and its managedFields alone: no defaults, no admission.

    Fields that ``manager`` applied before and ``wanted`` no longer has are removed where nobody else owns them.
    """
    body = _mine(wanted)
    found = list(_wanted((), body, live))
    applied = applied_fields(live, manager)
    for path in leaves(applied[1]) if applied else ():
        if value_at(body, path) is ABSENT and len(owners(live, path)) == 1:
            before = value_at(live, path)
            covered = any(path[: len(change.path)] == change.path for change in found)
            if before is not ABSENT and not covered:
                found.append(FieldChange(path, before, ABSENT))
    return _hidden(tuple(found), live, wanted)


def _wanted(path: FieldPath, wanted: Any, live: Any) -> Iterator[FieldChange]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            yield from _wanted((*path, field(key)), value, live.get(key, ABSENT))
        return
    if isinstance(wanted, list) and isinstance(live, list):
        keys = _keys(wanted, live)
        if keys is not None:
            ours, theirs = _by_key(wanted, keys), _by_key(live, keys)
            # A default of a key, such as a port's protocol, leaves it out of what is wanted.
            if len(keys) > 1 and not set(ours) <= set(theirs):
                ours, theirs = _by_key(wanted, keys[:1]), _by_key(live, keys[:1])
            for key, value in ours.items():
                yield from _wanted((*path, key), value, theirs.get(key, ABSENT))
            return
        if len(wanted) == len(live):
            for place, (mine, other) in enumerate(zip(wanted, live, strict=True)):
                yield from _wanted((*path, f"i:{place}"), mine, other)
            return
    if not _same(wanted, live):
        yield FieldChange(path, live, wanted)


def _same(wanted: Any, live: Any) -> bool:
    if wanted == live:
        return True
    if isinstance(wanted, str | int) and isinstance(live, str | int):
        mine = parse(wanted)
        return mine is not None and mine == parse(live)
    return False
