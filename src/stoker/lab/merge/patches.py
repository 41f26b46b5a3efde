"""JSON patch (RFC 6902) and JSON merge patch (RFC 7396), with the habits of the library that the API server uses.

A replace of a key that is not there adds it; the text of the patched document, which the server quotes when it cannot decode
it, has the keys of every touched level sorted. Nothing is changed in place: results share what a patch does not touch.

Upstream: gopkg.in/evanphx/json-patch.v4 v4.13.0 patch.go, merge.go; apiserver pkg/endpoints/handlers/patch.go.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from stoker.lab.merge.gotext import quoted
from stoker.lab.status import ApiError, bad_request

__all__ = ["check_json_patch", "check_merge_patch", "compact", "json_patch", "merge_patch", "unprocessable"]

MAX_OPERATIONS = 10_000
_MISSING = "missing value"
_BAD_INDEX = "invalid index referenced"
_ABSENT: Any = object()
_JSON_KINDS = {dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "bool"}


class _Problem(ValueError):  # noqa: N818  # an inner text of an ApiError
    """Why an operation does not apply."""


def unprocessable() -> ApiError:
    """422 for a patch that is well formed but does not apply: the server keeps the reason to itself."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def compact(document: Any) -> str:
    """JSON as Go writes it: no spaces, safe in HTML."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for one, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(one, escaped)
    return text


# --- JSON patch ---------------------------------------------------------------------------------------------------


def check_json_patch(patch: Any, *, is_lenient: bool = False) -> list[str]:
    """Refuses what is no list of operations.

    Args:
        patch: the decoded body.
        is_lenient: whether the client asked with fieldValidation=Ignore.

    Returns:
        What field validation has to say: unknown fields of operations.
    """
    if not isinstance(patch, list | None):
        kind = _JSON_KINDS[type(patch)]
        if is_lenient:
            raise bad_request(f"json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")
        raise _undecodable(kind, "Go value of type []handlers.jsonPatchOp")
    operations = patch or []
    unknown: list[str] = []
    for position, operation in enumerate(operations):
        unknown += _operation_problems(operation, position, is_lenient=is_lenient)
    if len(operations) > MAX_OPERATIONS:
        raise ApiError(
            413,
            "RequestEntityTooLarge",
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{MAX_OPERATIONS}, got {len(operations)}",
        )
    return unknown


def _operation_problems(operation: Any, position: int, *, is_lenient: bool) -> list[str]:
    if operation is None:
        return []
    if not isinstance(operation, dict):
        kind = _JSON_KINDS[type(operation)]
        if is_lenient:
            raise bad_request(f"json: cannot unmarshal {kind} into Go value of type jsonpatch.Operation")
        raise _undecodable(kind, "Go value of type handlers.jsonPatchOp")
    if is_lenient:
        return []
    for name in operation:
        value = operation[name]
        if name in {"op", "path", "from"} and not isinstance(value, str | None):
            raise _undecodable(_JSON_KINDS[type(value)], f"Go struct field jsonPatchOp.{name} of type string")
    known = {"op", "path", "from", "value"}
    return [f'json patch unknown field "[{position}].{name}"' for name in operation if name not in known]


def _undecodable(kind: str, target: str) -> ApiError:
    return bad_request(f"error decoding patch: json: cannot unmarshal {kind} into {target}")


def json_patch(document: dict[str, Any], patch: list[Any] | None) -> Any:
    """The patched document; anything but an object where the patch replaces the whole.

    Raises:
        ApiError: an operation does not apply. `__notes__` of the error say which and why, for a log.
    """
    root: Any = document
    try:
        for operation in patch or []:
            root = _apply(root, operation or {})
    except _Problem as problem:
        refusal = unprocessable()
        refusal.add_note(str(problem))
        raise refusal from problem
    return root


def _apply(root: Any, operation: dict[str, Any]) -> Any:
    kind = operation.get("op")
    kind = kind if isinstance(kind, str) else "unknown"
    act = _OPERATIONS.get(kind)
    if act is None:
        raise _Problem(f"Unexpected kind: {kind}")
    return act(root, operation)


def _pointer(operation: dict[str, Any], name: str) -> str:
    found = operation.get(name)
    if not isinstance(found, str):
        verb = operation["op"]
        raise _Problem(f"{verb} operation failed to decode {name}: {_MISSING}")
    return found


_ESCAPES = re.compile("~[01]")


def _steps(pointer: str) -> list[str] | None:
    """Steps of a pointer; None for the whole document."""
    parts = pointer.split("/")
    if len(parts) < 2:
        return None
    return [_ESCAPES.sub(lambda one: "/" if one[0] == "~1" else "~", part) for part in parts[1:]]


def _find(root: Any, pointer: str) -> Any:
    """The container of what a pointer names; None where there is none."""
    steps = _steps(pointer)
    if steps is None:
        return None
    place = root
    for step in steps[:-1]:
        try:
            place = _get(place, step)
        except _Problem:
            return None
        if not isinstance(place, dict | list):
            return None
    return place


def _key(pointer: str) -> str:
    return (_steps(pointer) or [""])[-1]


def _number(key: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", key):
        raise _Problem(f"strconv.Atoi: parsing {quoted(key)}: invalid syntax")
    return int(key)


def _index(key: str, length: int) -> int:
    """Place of an element; negative ones count from the end."""
    found = _number(key)
    if not -length <= found < length:
        raise _Problem(f"Unable to access invalid index: {found}: {_BAD_INDEX}")
    return found + length if found < 0 else found


def _get(container: Any, key: str) -> Any:
    if isinstance(container, dict):
        return container.get(key)
    return container[_index(key, len(container))]


def _rebuilt(root: Any, pointer: str, change: Callable[[Any, str], None]) -> Any:
    """The document with the containers on the way copied and the last one changed."""
    *way, key = _steps(pointer) or [""]
    copy = place = root.copy()
    for step in way:
        where: Any = step if isinstance(place, dict) else _index(step, len(place))
        place[where] = place[where].copy()
        place = place[where]
    change(place, key)
    return copy


def _put(value: Any) -> Callable[[Any, str], None]:
    def change(container: Any, key: str) -> None:
        if isinstance(container, dict):
            container[key] = value
        elif key == "-":
            container.append(value)
        else:
            try:
                number = _number(key)
            except _Problem as problem:
                raise _Problem(f"value was not a proper array index: '{key}': {problem}") from problem
            size = len(container) + 1
            if not -size <= number < size:
                raise _Problem(f"Unable to access invalid index: {number}: {_BAD_INDEX}")
            container.insert(number + size if number < 0 else number, value)

    return change


def _drop(container: Any, key: str) -> None:
    if isinstance(container, dict):
        if key not in container:
            raise _Problem(f"Unable to remove nonexistent key: {key}: {_MISSING}")
        del container[key]
    else:
        del container[_index(key, len(container))]


def _named(text: str, root: Any, pointer: str, change: Callable[[Any, str], None]) -> Any:
    try:
        return _rebuilt(root, pointer, change)
    except _Problem as problem:
        raise _Problem(f"{text}: {problem}") from problem


def _add(root: Any, operation: dict[str, Any]) -> Any:
    pointer = _pointer(operation, "path")
    if _find(root, pointer) is None:
        raise _Problem(f'add operation does not apply: doc is missing path: "{pointer}": {_MISSING}')
    return _named(f"error in add for path: '{pointer}'", root, pointer, _put(operation.get("value")))


def _remove(root: Any, operation: dict[str, Any]) -> Any:
    pointer = _pointer(operation, "path")
    if _find(root, pointer) is None:
        raise _Problem(f'remove operation does not apply: doc is missing path: "{pointer}": {_MISSING}')
    return _named(f"error in remove for path: '{pointer}'", root, pointer, _drop)


def _replace(root: Any, operation: dict[str, Any]) -> Any:
    pointer = _pointer(operation, "path")
    value = operation.get("value")
    if pointer == "":
        if not isinstance(value, dict | list):
            raise _Problem("replace operation value must be object or array: %!w(<nil>)")
        return value
    container = _find(root, pointer)
    if container is None:
        raise _Problem(f"replace operation does not apply: doc is missing path: {pointer}: {_MISSING}")

    def change(place: Any, key: str) -> None:
        if isinstance(place, dict):
            place[key] = value
        else:
            place[_index(key, len(place))] = value

    try:
        _get(container, _key(pointer))
    except _Problem as problem:
        raise _Problem(
            f"replace operation does not apply: doc is missing key: {pointer}: {_MISSING}"
        ) from problem
    return _rebuilt(root, pointer, change)


def _move(root: Any, operation: dict[str, Any]) -> Any:
    source = _pointer(operation, "from")
    container = _find(root, source)
    if container is None:
        raise _Problem(f"move operation does not apply: doc is missing from path: {source}: {_MISSING}")
    key = _key(source)
    try:
        value = _get(container, key)
    except _Problem as problem:
        raise _Problem(f"error in move for path: '{key}': {problem}") from problem
    root = _named(f"error in move for path: '{key}'", root, source, _drop)
    target = _pointer(operation, "path")
    if _find(root, target) is None:
        raise _Problem(
            f"move operation does not apply: doc is missing destination path: {target}: {_MISSING}"
        )
    return _named(f"error in move for path: '{target}'", root, target, _put(value))


def _copy(root: Any, operation: dict[str, Any]) -> Any:
    source = _pointer(operation, "from")
    container = _find(root, source)
    if container is None:
        raise _Problem(f"copy operation does not apply: doc is missing from path: {source}: {_MISSING}")
    try:
        value = _get(container, _key(source))
    except _Problem as problem:
        raise _Problem(f"error in copy for from: '{source}': {problem}") from problem
    target = _pointer(operation, "path")
    if _find(root, target) is None:
        raise _Problem(
            f"copy operation does not apply: doc is missing destination path: {target}: {_MISSING}"
        )
    return _named("error while adding value during copy", root, target, _put(value))


def _test(root: Any, operation: dict[str, Any]) -> Any:
    pointer = _pointer(operation, "path")
    if pointer == "":
        found = root
    else:
        container = _find(root, pointer)
        if container is None:
            raise _Problem(f"test operation does not apply: is missing path: {pointer}: {_MISSING}")
        try:
            found = _get(container, _key(pointer))
        except _Problem as problem:
            raise _Problem(f"error in test for path: '{pointer}': {problem}") from problem
    if not _equal(found, operation.get("value")):
        raise _Problem(f"testing value {pointer} failed: test failed")
    return root


def _equal(left: Any, right: Any) -> bool:
    """Equal as written: 1 is neither true nor 1.0."""
    if left.__class__ is not right.__class__:
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_equal(one, right[key]) for key, one in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


_OPERATIONS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


# --- merge patch --------------------------------------------------------------------------------------------------


def check_merge_patch(patch: Any) -> None:
    """Refuses a body that is no object."""
    if patch is None:
        raise bad_request("Invalid JSON Patch")
    if not isinstance(patch, dict):
        raise _undecodable(_JSON_KINDS[type(patch)], "Go value of type map[string]interface {}")


def merge_patch(document: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The document with the patch merged into it: null removes, objects merge, all else replaces."""
    merged = dict(document)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
            continue
        current = merged.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            merged[key] = merge_patch(current, value)
        elif isinstance(current, dict):
            merged[key] = value  # not pruned: only a patch that meets nothing, or no object, is
        else:
            merged[key] = _pruned(value)
    return {key: merged[key] for key in sorted(merged)}


def _pruned(value: Any) -> Any:
    """Without the nulls of its objects; nulls in lists stay."""
    if isinstance(value, dict):
        return {key: _pruned(value[key]) for key in sorted(value) if value[key] is not None}
    if isinstance(value, list):
        return [_pruned(one) for one in value]
    return value
