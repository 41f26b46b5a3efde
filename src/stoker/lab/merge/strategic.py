"""Strategic merge patch: a merge patch that knows which lists are merged by a key.

Directives in a patch: ``$patch`` (``delete``, ``replace``, in lists of objects ``merge``), ``$retainKeys``,
``$deleteFromPrimitiveList/x`` and ``$setElementOrder/x``. Custom resources do not take this patch; that is the pipeline's to
say. Neither the object nor the patch is changed.

Upstream: k8s.io/apimachinery pkg/util/strategicpatch/patch.go, meta.go, pkg/util/mergepatch/errors.go; apiserver
pkg/endpoints/handlers/patch.go.
"""

from copy import deepcopy
from typing import Any

from stoker.lab.merge.gotext import go_type, go_value
from stoker.lab.merge.ordering import arranged, merge_key_equal, sort_by
from stoker.lab.merge.patches import unprocessable
from stoker.lab.schema.node import Node
from stoker.lab.status import ApiError, bad_request

__all__ = ["strategic_merge"]

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList"
_SET_ORDER = "$setElementOrder"
_BAD_PRIMITIVE_LIST = "invalid patch format of primitive list"
_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ORDER = "invalid patch format of setElementOrder list"

Object = dict[str, Any]


def strategic_merge(document: Object, patch: Object, schema: Node) -> Object:
    """The document with the patch applied.

    Args:
        document: the stored object in the version of the request.
        patch: the decoded body.
        schema: of the kind.

    Raises:
        ApiError: 400 for a malformed directive, 422 for lists of lists, 500, as the server answers, for the rest.
    """
    return _merge_map(dict(document), deepcopy(patch), schema)


def _failure(text: str) -> ApiError:
    """The server has no status of its own for these."""
    return ApiError(500, "", text)


def _bad_type(expected: str, value: Any) -> ApiError:
    received = "%!s(<nil>)" if value is None else go_type(value)
    return _failure(f"expected a {expected}, but received a {received}")


def _no_merge_key(item: Any, key: str) -> ApiError:
    return _failure(f"map: {go_value(item)} does not contain declared merge key: {key}")


def _child(schema: Node | None, key: str) -> Node:
    """Schema of a field that is merged below.

    Raises:
        ApiError: the server's struct has no such field.
    """
    found = schema.properties.get(key) if schema is not None else None
    if found is not None:
        return found
    if schema is None or not schema.properties:
        kind = "map" if schema is not None and schema.type == "object" else "interface"
        raise _failure(f"merging an object in json but data type is not struct, instead is: {kind}")
    name = schema.name.rpartition(".")[2]
    raise _failure(f'unable to find api field in struct {name} for the json field "{key}"')


def _strategy(schema: Node) -> str:
    return next((one for one in ("merge", "replace") if one in schema.patch_strategies), "")


# --- maps ---------------------------------------------------------------------------------------------------------


def _merge_map(original: Object, patch: Object, schema: Node | None) -> Object:
    """Merges a patch into an object of which this call owns the top level."""
    if _PATCH in patch:
        return _by_directive(patch)
    _retain(original, patch)
    _order(original, patch, schema)
    for key, value in patch.items():
        is_deletion = key.startswith(_DELETE_FROM)
        name = _suffix(key, _DELETE_FROM, _BAD_PRIMITIVE_LIST) if is_deletion else key
        if value is None:
            original.pop(name, None)
        elif name not in original or original[name].__class__ is not value.__class__:
            if not is_deletion:
                _set(original, name, _without_nulls(value))
        elif isinstance(value, dict):
            child = _child(schema, name)
            if _strategy(child) == "replace":
                original[name] = value
            else:
                original[name] = _merge_map(dict(original[name]), value, child)
        elif isinstance(value, list):
            child = _child(schema, name)
            original[name] = _merge_list(original[name], value, child, is_deletion=is_deletion)[0]
        else:
            original[name] = value
    return original


def _set(original: Object, name: str, value: Any) -> None:
    """Takes a value of the patch as it is, without directives; a directive alone takes the field away."""
    if _is_directive(value):
        original.pop(name, None)
    else:
        original[name] = _without_directives(value)


def _by_directive(patch: Object) -> Object:
    directive = patch[_PATCH]
    if directive == "replace":
        return {key: value for key, value in patch.items() if key != _PATCH}
    if directive == "delete":
        return {}
    raise _failure(f"unknown patch type: {_printed_directive(directive)} in map: {go_value(patch)}")


def _printed_directive(directive: Any) -> str:
    return directive if isinstance(directive, str) else f"%!s({go_type(directive)}={go_value(directive)})"


def _is_directive(value: Any) -> bool:
    return isinstance(value, dict) and _PATCH in value


def _without_directives(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_directives(one) for key, one in value.items() if not _is_directive(one)}
    if isinstance(value, list):
        return [_without_directives(one) for one in value if not _is_directive(one)]
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return value


def _suffix(key: str, prefix: str, problem: str) -> str:
    head, slash, rest = key.partition("/")
    if not slash or head != prefix:
        raise bad_request(problem)
    return rest


def _retain(original: Object, patch: Object) -> None:
    """``$retainKeys``: fields that are not listed go."""
    if _RETAIN not in patch:
        return
    kept = patch.pop(_RETAIN)
    if not isinstance(kept, list):
        raise bad_request(_BAD_RETAIN_KEYS)
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE_FROM, _SET_ORDER)) and key not in kept:
            raise bad_request(_BAD_RETAIN_KEYS)
    for key in [one for one in original if one not in kept]:
        del original[key]


# --- lists --------------------------------------------------------------------------------------------------------


def _order(original: Object, patch: Object, schema: Node | None) -> None:
    """``$setElementOrder/x``: merges the list and puts it into the order that the client saw."""
    for key in [one for one in patch if one.startswith(_SET_ORDER)]:
        order = patch.pop(key)
        if not isinstance(order, list):
            raise _bad_type("[]interface {}", order)
        name = _suffix(key, _SET_ORDER, _BAD_ORDER)
        live, change = original.get(name), patch.get(name)
        for one, is_there in ((live, name in original), (change, name in patch)):
            if is_there and not isinstance(one, list):
                raise _bad_type("[]interface {}", one)
        child = _child(schema, name)
        merge_key = child.merge_key
        _check_order(change, order, merge_key)
        before = live or []
        if live is None and change is None:
            continue
        if live is None:
            merged = _without_directives(change)
        elif change is None:
            merged = live
        else:
            merged, before = _merge_list(live, change, child)
        first = _element_type(live or [], change or [])
        original[name] = _arranged(merged, order, before, merge_key, is_map=first is dict)
        patch.pop(name, None)


def _check_order(change: Any, order: list[Any], merge_key: str) -> None:
    """The patch's elements must stand in the order that it sets."""
    if not order or not change:
        return
    if merge_key and not all(isinstance(one, dict) for one in change):
        raise _bad_type("map[string]interface {}", next(one for one in change if not isinstance(one, dict)))
    wanted = [one for one in change if not _is_directive(one)]
    at = 0
    for one in order:
        if at == len(wanted):
            return
        if merge_key:
            _key_of(wanted[at], merge_key)
            _key_of(one, merge_key)
        at += merge_key_equal(wanted[at], one, merge_key)
    if at < len(wanted):
        raise _failure(
            f"The order in patch list:\n{go_value(change)}\n doesn't match {_SET_ORDER} list:\n{go_value(order)}\n"
        )


def _key_of(item: Any, merge_key: str) -> Any:
    if not isinstance(item, dict):
        raise _bad_type("map[string]interface {}", item)
    if merge_key not in item:
        raise _no_merge_key(item, merge_key)
    return item[merge_key]


def _element_type(*lists: list[Any]) -> type:
    """The one type of all elements.

    Raises:
        ApiError: there are several, or the first is a list.
    """
    kinds: list[type] = [one.__class__ for each in lists for one in each]
    if not kinds:
        raise _failure("no elements in any of the given slices")
    if kinds[0] is list:
        raise unprocessable()
    if any(kind is not kinds[0] for kind in kinds):
        shown = " ".join(go_value(each) for each in lists)
        raise _failure(f"list element types are not identical: [{shown}]")
    return kinds[0]


def _merge_list(
    live: list[Any], change: list[Any], schema: Node, *, is_deletion: bool = False
) -> tuple[list[Any], list[Any]]:
    """The merged list, and the live order that a following ``$setElementOrder`` compares with."""
    if not is_deletion and _strategy(schema) != "merge":
        return change, live
    if not live and not change:
        return live, live
    if _element_type(live, change) is not dict:
        if is_deletion:
            return [one for one in live if not any(_alike(one, other) for other in change)], live
        return _arranged(_deduplicated([*live, *change]), change, live, schema.merge_key, is_map=False), live
    if not schema.merge_key:
        raise _failure(f"cannot merge lists without merge key for {_kind_name(schema)}")
    return _merge_objects(live, change, schema)


def _kind_name(schema: Node) -> str:
    return "struct" if schema.items is not None and schema.items.properties else "map"


def _alike(left: Any, right: Any) -> bool:
    return left.__class__ is right.__class__ and bool(left == right)


def _deduplicated(values: list[Any]) -> list[Any]:
    """Each value once; the last takes the place of a repeated one, as the server's algorithm has it."""
    at = 0
    while at < len(values) - 1:
        other = at + 1
        while other < len(values):
            if _alike(values[at], values[other]):
                values[other] = values[-1]
                values.pop()
            else:
                other += 1
        at += 1
    return values


def _merge_objects(live: list[Any], change: list[Any], schema: Node) -> tuple[list[Any], list[Any]]:
    """Merges by key. A slice that shrinks and grows again overwrites its tail, which later comparisons of order see."""
    merge_key = schema.merge_key
    backing, length, plain = _delete_marked(live, change, merge_key)
    if plain is None:  # $patch: replace
        kept = [one for one in change if not _is_directive(one)]
        for one in kept:
            _key_of(one, merge_key)
        return _arranged(kept, [], kept, merge_key, is_map=True), backing
    order = backing[:length]
    merged = list(order)
    for one in plain:
        _key_of(one, merge_key)
        place = _first(merged, one, merge_key)
        if place is None:
            if len(merged) < len(backing):
                backing[len(merged)] = one
            merged.append(one)
        else:
            merged[place] = _merge_map(dict(merged[place]), one, schema.items)
            if place < len(backing):
                backing[place] = merged[place]
            if place < length:
                order[place] = merged[place]
    return _arranged(merged, plain, order, merge_key, is_map=True), backing


def _first(values: list[Any], one: Any, merge_key: str) -> int | None:
    for at, other in enumerate(values):
        if not isinstance(other, dict):
            raise _failure(f"value for key {at} is not a map")
        if merge_key in other and merge_key_equal(other, one, merge_key):
            return at
    return None


def _delete_marked(
    live: list[Any], change: list[Any], merge_key: str
) -> tuple[list[Any], int, list[Any] | None]:
    """Takes out what ``$patch: delete`` names; the changes that are left, or None where all is replaced."""
    backing, length = list(live), len(live)
    plain: list[Any] = []
    replaces = False
    for one in change:
        if _PATCH not in one:
            plain.append(one)
            continue
        directive = one[_PATCH]
        if directive == "delete":
            _key_of(one, merge_key)
            while (at := _first(backing[:length], one, merge_key)) is not None:
                backing[at : length - 1] = backing[at + 1 : length]
                length -= 1
        elif directive == "replace":
            replaces = True
        elif directive == "merge":
            raise _failure("merging lists cannot yet be specified in the patch")
        else:
            raise _failure(f"unknown patch type: {_printed_directive(directive)} in map: {go_value(one)}")
    return backing, length, None if replaces else plain


def _arranged(
    merged: list[Any], order: list[Any], before: list[Any], merge_key: str, *, is_map: bool
) -> list[Any]:
    """The elements that `order` names in that order, put among the others by where they stood before."""
    if is_map:
        for one in (*merged, *order, *before):
            _key_of(one, merge_key)
    named = [one for one in merged if any(merge_key_equal(one, other, merge_key) for other in order)]
    others = [one for one in merged if not any(merge_key_equal(one, other, merge_key) for other in order)]
    return arranged(sort_by(named, order, merge_key), sort_by(others, before, merge_key), before, merge_key)
