"""Operations on an object that follow its type: check, merge, take fields out.

Upstream: structured-merge-diff typed/validate.go, typed/merge.go, typed/remove.go, typed/reconcile_schema.go and
Set.EnsureNamedFieldsAreMembers of fieldpath/set.go.
"""

from collections.abc import Iterator
from typing import Any

from stoker.lab.merge.elements import path_text
from stoker.lab.merge.fieldtype import DEDUCED, UNTYPED, FieldType, SchemaError
from stoker.lab.merge.gotext import go_syntax, go_type, go_value
from stoker.lab.merge.sets import EMPTY, FieldSet

__all__ = ["merge", "problems", "problems_text", "reconcile", "remove", "with_named_fields"]

_ABSENT: Any = object()


# --- check --------------------------------------------------------------------------------------------------------


def problems(value: Any, schema: FieldType, *, allow_duplicates: bool = False) -> list[tuple[str, str]]:
    """Path and text of everything that does not fit the type; a field the schema does not know ends its object's check."""
    shape = schema.shape(value)
    if shape == "scalar":
        text = _scalar_problem(value, schema)
        return [("", text)] if text else []
    if value is None:
        return []
    if shape == "map":
        if value.__class__ is not dict:
            return [("", f"expected map, got &{{{go_value(value)}}}")]
        return _map_problems(value, schema, allow_duplicates=allow_duplicates)
    if value.__class__ is not list:
        return [("", f"expected list, got &{{{go_value(value)}}}")]
    return _list_problems(value, schema, allow_duplicates=allow_duplicates)


def problems_text(found: list[tuple[str, str]]) -> str:
    """As the server joins them."""
    lines = [f"{path}: {text}" if path else text for path, text in found]
    return lines[0] if len(lines) == 1 else "\n".join(["errors:", *(f"  {line}" for line in lines)])


def _scalar_problem(value: Any, schema: FieldType) -> str:
    kind = value.__class__
    if value is None:
        return ""
    if schema.scalar == "numeric" and kind not in {int, float}:
        return f"expected numeric (int or float), got {go_type(value)}"
    if schema.scalar == "string" and kind is not str:
        return f"expected string, got &value.valueUnstructured{{Value:{go_syntax(value)}}}"
    if schema.scalar == "boolean" and kind is not bool:
        return f"expected boolean, got &{{{go_value(value)}}}"
    if schema.scalar == "untyped" and kind in {dict, list}:
        return f"expected any scalar, got &{{{go_value(value)}}}"
    return ""


def _map_problems(
    value: dict[str, Any], schema: FieldType, *, allow_duplicates: bool
) -> list[tuple[str, str]]:
    fields, element = schema.fields, schema.element
    found: list[tuple[str, str]] = []
    for name, one in value.items():
        child = fields.get(name) or element
        if child is None:
            found.append((f".{name}", "field not declared in schema"))
            break
        for path, text in problems(one, child, allow_duplicates=allow_duplicates):
            found.append((f".{name}{path}", text))
    return found


def _list_problems(value: list[Any], schema: FieldType, *, allow_duplicates: bool) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for position, one in enumerate(value):
        step = f"i:{position}"
        if not schema.atomic_list:
            try:
                step = schema.step(one)
            except SchemaError as problem:
                return [*found, ("", f"element {position}: {problem}")]
            if step in seen and not allow_duplicates:
                found.append(("", f"duplicate entries for key {path_text([step])}"))
            seen.add(step)
        for path, text in problems(one, schema.item, allow_duplicates=allow_duplicates):
            found.append((path_text([step]) + path, text))
    return found


# --- merge --------------------------------------------------------------------------------------------------------


def merge(live: Any, applied: Any, schema: FieldType) -> Any:
    """The live value with everything that is applied put over it; nothing is removed."""
    if live is _ABSENT:
        return applied
    if applied is _ABSENT:
        return live
    shape = schema.shape(applied)
    if shape == "map" and not schema.atomic_map:
        before, after = live if live.__class__ is dict else {}, applied if applied.__class__ is dict else {}
        return _merge_maps(before, after, schema) if before or after else applied
    if shape == "list" and not schema.atomic_list:
        ours, theirs = live if live.__class__ is list else [], applied if applied.__class__ is list else []
        return _merge_lists(ours, theirs, schema) if ours or theirs else applied
    return applied


def _merge_maps(live: dict[str, Any], applied: dict[str, Any], schema: FieldType) -> dict[str, Any]:
    fields, element = schema.fields, schema.element
    merged = dict(live)
    for name, one in applied.items():
        merged[name] = merge(live.get(name, _ABSENT), one, fields.get(name) or element or UNTYPED)
    return merged


def _merge_lists(live: list[Any], applied: list[Any], schema: FieldType) -> list[Any]:
    """Both lists' elements, the applied ones in their order, the others where they stood among them."""
    left = [(schema.step(one), one) for one in live]
    right = [(schema.step(one), one) for one in applied]
    ours: dict[str, Any] = {}
    for step, one in left:
        ours[step] = None if step in ours else one  # elements that share a name are replaced, not merged
    theirs = dict(right)
    return [
        live[place] if place is not None else merge(ours.get(step, _ABSENT), theirs[step], schema.item)
        for step, place in _merged_order([step for step, _ in left], [step for step, _ in right])
    ]


def _merged_order(left: list[str], right: list[str]) -> Iterator[tuple[str, int | None]]:
    """Steps of the merged list: with a place in the left list where the element is only there, else to be merged."""
    wanted, known, taken = set(right), set(left), set[str]()
    shared = iter([step for step in right if step in known])
    awaited = next(shared, None)
    at, other = 0, 0
    while at < len(left) or other < len(right):
        mine = left[at] if at < len(left) else None
        theirs = right[other] if other < len(right) else None
        is_shared = mine is not None and mine in wanted
        if is_shared and theirs is not None and mine != theirs and awaited not in {None, mine}:
            at += 1  # the applied order wants another one first
            continue
        if mine is not None and not is_shared:
            yield mine, at
            at += 1
            continue
        if mine is not None and (mine == theirs or mine in taken):
            at += 1
        if theirs is not None:
            yield theirs, None
            taken.add(theirs)
            other += 1
            if awaited == theirs:
                awaited = next(shared, None)


# --- take out -----------------------------------------------------------------------------------------------------


def remove(value: Any, unwanted: FieldSet, schema: FieldType) -> Any:
    """The value without the fields of a set; what becomes empty stays, empty."""
    shape = schema.shape(value)
    if shape == "map":
        if value.__class__ is not dict or not value or schema.atomic_map:
            return None
        return _remove_fields(value, unwanted, schema)
    if shape == "list":
        if value.__class__ is not list or not value or schema.atomic_list:
            return None
        return _remove_elements(value, unwanted, schema)
    return value


def _remove_fields(value: dict[str, Any], unwanted: FieldSet, schema: FieldType) -> Any:
    fields, element = schema.fields, schema.element
    kept: dict[str, Any] = {}
    for name, one in value.items():
        node = unwanted.get(f"f:{name}")
        if node is None:
            kept[name] = one
        elif node and "." not in node:
            kept[name] = _remove_below(one, node, fields.get(name) or element or UNTYPED)
    return kept or None


def _remove_elements(value: list[Any], unwanted: FieldSet, schema: FieldType) -> Any:
    kept: list[Any] = []
    for one in value:
        node = unwanted.get(schema.step(one))
        if node is None:
            kept.append(one)
        elif node and "." not in node:
            kept.append(_remove_below(one, node, schema.item))
    return kept or None


def _remove_below(value: Any, unwanted: FieldSet, schema: FieldType) -> Any:
    found = remove(value, unwanted, schema)
    if found is None and value.__class__ in {dict, list}:
        return value.__class__()
    return found


def with_named_fields(found: FieldSet, schema: FieldType) -> FieldSet:
    """The set with every declared field above its fields; keys of plain maps and elements of lists stay as they are."""
    named: FieldSet = {}
    for step, node in found.items():
        if step == "." or not node:
            named[step] = node
            continue
        name = step[2:]
        is_field = step.startswith("f:") and schema.is_map
        child = UNTYPED
        if is_field:
            child = schema.fields.get(name) or schema.element or UNTYPED
        elif step.startswith("k:") and schema.is_list:
            child = schema.item
        below = with_named_fields(node, child)
        named[step] = {".": EMPTY, **below} if is_field and name in schema.fields else below
    return named


def reconcile(found: FieldSet, schema: FieldType) -> FieldSet:
    """The set as the present schema divides fields: what has become atomic is owned as a whole."""
    changed = found
    for step, node in found.items():
        child = _below(step, schema)
        if step == "." or not node or child is None or _is_deduced(child):
            continue
        atomic = child.atomic_map if child.is_map else not child.scalar and child.atomic_list
        inside = EMPTY if atomic else reconcile(node, child)
        if inside is node:
            continue
        if changed is found:
            changed = dict(found)
        changed[step] = inside
    return changed


def _is_deduced(schema: FieldType) -> bool:
    return schema is DEDUCED or (schema.is_map and not schema.fields and schema.element is DEDUCED)


def _below(step: str, schema: FieldType) -> FieldType | None:
    if step.startswith("f:") and schema.is_map:
        return schema.fields.get(step[2:]) or schema.element
    if step.startswith(("k:", "v:")) and schema.is_list:
        return schema.item
    return None
