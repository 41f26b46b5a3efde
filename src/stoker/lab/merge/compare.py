"""What changed between two states of an object, and what an object holds, as sets of fields.

Upstream: structured-merge-diff typed/compare.go, typed/tofieldset.go.
"""

from typing import Any, NamedTuple

from stoker.lab.merge.fieldtype import UNTYPED, FieldType, SchemaError
from stoker.lab.merge.sets import EMPTY, FieldSet, union

__all__ = ["Changes", "compare", "field_set", "same"]


class Changes(NamedTuple):
    """Fields that one state has and the other has not, and fields whose value differs."""

    removed: FieldSet
    modified: FieldSet
    added: FieldSet


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: true is not 1, but 1 is 1.0."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def compare(old: dict[str, Any], new: dict[str, Any], schema: FieldType) -> Changes:
    """What a change of an object touched.

    Raises:
        SchemaError: an element of a list has no name.
    """
    changes = Changes({}, {}, {})
    _maps(old, new, schema, changes)
    return changes


def _whole(value: Any, schema: FieldType) -> FieldSet:
    """Every field of a value that was not there before, or is there no more."""
    kind = value.__class__
    if kind is dict:
        if not value or schema.atomic_map or not schema.is_map:
            return EMPTY
        found: FieldSet = {".": EMPTY}
        fields, element = schema.fields, schema.element
        for name, one in value.items():
            inside = one.__class__
            if inside is dict or inside is list:
                found[f"f:{name}"] = _whole(one, fields.get(name) or element or UNTYPED)
            else:
                found[f"f:{name}"] = EMPTY
        return found
    if kind is list:
        if not value or schema.atomic_list or not schema.is_list:
            return EMPTY
        found = {".": EMPTY}
        item = schema.item
        for one in value:
            step = schema.step(one)
            found[step] = (
                EMPTY if step in found else _whole(one, item)
            )  # elements that share a name are owned together
        return found
    return EMPTY


def _difference(old: Any, new: Any, schema: FieldType, changes: Changes, step: str) -> None:
    """Files what differs under one step. Both values are there and differ."""
    inside = Changes({}, {}, {})
    shape, new_shape = schema.shape(old), schema.shape(new)
    is_leaf = _in_shape(shape, old, new, schema, inside)
    if new_shape != shape:
        is_leaf = _in_shape(new_shape, old, new, schema, inside) or is_leaf
    if inside.removed:
        changes.removed[step] = inside.removed
    if inside.added:
        changes.added[step] = inside.added
    if is_leaf:
        changes.modified[step] = {".": EMPTY, **inside.modified} if inside.modified else EMPTY
    elif inside.modified:
        changes.modified[step] = inside.modified


def _in_shape(shape: str, old: Any, new: Any, schema: FieldType, inside: Changes) -> bool:
    """Compares as maps, lists or scalars; whether the field itself was modified, as opposed to something below it."""
    if shape == "map":
        before, after = old if old.__class__ is dict else {}, new if new.__class__ is dict else {}
        if schema.atomic_map or not (before or after):
            return True
        _maps(before, after, schema, inside)
        return False
    if shape == "list":
        earlier, later = old if old.__class__ is list else [], new if new.__class__ is list else []
        if schema.atomic_list or not (earlier or later):
            return True
        _lists(earlier, later, schema, inside)
        return False
    return True


def _maps(old: dict[str, Any], new: dict[str, Any], schema: FieldType, changes: Changes) -> None:
    fields, element = schema.fields, schema.element
    for name, after in new.items():
        if name not in old:
            changes.added[f"f:{name}"] = _whole(after, fields.get(name) or element or UNTYPED)
            continue
        before = old[name]
        if before is after or same(before, after):
            continue
        _difference(before, after, fields.get(name) or element or UNTYPED, changes, f"f:{name}")
    for name, before in old.items():
        if name not in new:
            changes.removed[f"f:{name}"] = _whole(before, fields.get(name) or element or UNTYPED)


def _lists(old: list[Any], new: list[Any], schema: FieldType, changes: Changes) -> None:
    before, after, item = _by_step(old, schema), _by_step(new, schema), schema.item
    for step in {**before, **after}:
        ours, theirs = before.get(step, []), after.get(step, [])
        if len(ours) < 2 and len(theirs) < 2:
            if not ours:
                changes.added[step] = _whole(theirs[0], item)
            elif not theirs:
                changes.removed[step] = _whole(ours[0], item)
            elif not same(ours[0], theirs[0]):
                _difference(ours[0], theirs[0], item, changes, step)
        else:
            _repeated(ours, theirs, item, changes, step)


def _repeated(ours: list[Any], theirs: list[Any], item: FieldType, changes: Changes, step: str) -> None:
    """Elements that share a name before or after; together they are owned as a whole."""
    if len(ours) > 1 and len(theirs) > 1:
        if ours != theirs:
            changes.modified[step] = EMPTY
    elif len(ours) > 1:
        if theirs:
            changes.added[step] = _whole(theirs[0], item)
        changes.removed[step] = EMPTY
    else:
        if ours:
            changes.removed[step] = _whole(ours[0], item)
        changes.added[step] = EMPTY


def _by_step(values: list[Any], schema: FieldType) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for one in values:
        found.setdefault(schema.step(one), []).append(one)
    return found


def field_set(value: dict[str, Any], schema: FieldType) -> FieldSet:
    """Every field that an applied configuration names."""
    return _inside(value, schema) or EMPTY


def _inside(value: Any, schema: FieldType) -> FieldSet | None:
    """What a value holds: None for nothing, the empty set where the value is owned as a whole."""
    shape = schema.shape(value)
    if shape == "scalar":
        return EMPTY
    if shape == "map":
        if schema.atomic_map:
            return EMPTY
        return _map_fields(value, schema) or None if value.__class__ is dict else None
    if schema.atomic_list:
        return EMPTY
    return _list_fields(value, schema) or None if value.__class__ is list else None


def _map_fields(value: dict[str, Any], schema: FieldType) -> FieldSet:
    fields, element = schema.fields, schema.element
    found: FieldSet = {}
    for name, one in value.items():
        below = _inside(one, fields.get(name) or element or UNTYPED)
        itself = one is None or (one.__class__ is dict and not one) or name not in fields
        node = _node(below, itself=itself)
        if node is not None:
            found[f"f:{name}"] = node
    return found


def _list_fields(value: list[Any], schema: FieldType) -> FieldSet:
    found: FieldSet = {}
    repeated: set[str] = set()
    for one in value:
        try:
            step = schema.step(one)
        except SchemaError:
            continue
        if step in found:
            repeated.add(step)
        found[step] = _node(_inside(one, schema.item), itself=True) or EMPTY
    return {**found, **dict.fromkeys(repeated, EMPTY)}


def _node(below: FieldSet | None, *, itself: bool) -> FieldSet | None:
    """The subtree of a step that holds what is below and, if so, itself."""
    if not below:
        return EMPTY if itself else below
    return union({".": EMPTY}, below) if itself else below
