"""Lists and rules in the schema of a CustomResourceDefinition: ``x-kubernetes-list-*`` and ``x-kubernetes-validations``.

Upstream: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go.
"""

from collections.abc import Iterator

from stoker.lab.kinds.devices_cel import expression_problem
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["list_causes", "rule_causes"]

_LIST_TYPE, _MAP_TYPE, _KEYS = "x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-list-map-keys"
_LIST_TYPES = ("atomic", "set", "map")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


def list_causes(schema: Object, kind: str, path: str) -> Iterator[Cause]:
    found, keys = schema.get(_LIST_TYPE), schema.get(_KEYS, [])
    items = schema.get("items")
    if found is not None and kind != "array":
        text = f"must be array if {_LIST_TYPE} is specified"
        yield invalid_value(f"{path}.type", kind, text) if kind else required(f"{path}.type", text)
    elif found == "set" and isinstance(items, dict):
        yield from _set_item_causes(items, f"{path}.items")
    if found is not None and found not in _LIST_TYPES:
        yield unsupported(f"{path}.{_LIST_TYPE}", found, _LIST_TYPES)
    if keys and found != "map":
        text = f"must be map if {_KEYS} is non-empty"
        where = f"{path}.{_LIST_TYPE}"
        yield required(where, text) if found is None else invalid_value(where, found, text)
    if found == "map":
        yield from _map_list_causes(items, keys, path)
    if found in {"set", "map"} and isinstance(items, dict):
        yield from _key_causes(items, keys if found == "map" else [], str(found), f"{path}.items")


def _set_item_causes(items: Object, path: str) -> Iterator[Cause]:
    text = f"must be atomic as item of a list with {_LIST_TYPE}=set"
    own = items.get(_LIST_TYPE)
    if items.get("type") == "array" and own not in {None, "atomic"}:
        yield invalid_value(f"{path}.{_LIST_TYPE}", own, text)
    elif items.get("type") == "object" and items.get(_MAP_TYPE) != "atomic":
        yield invalid_value(f"{path}.{_MAP_TYPE}", own, text)


def _map_list_causes(items: object, keys: list[str], path: str) -> Iterator[Cause]:
    if not keys:
        yield required(f"{path}.{_KEYS}", f"must not be empty if {_LIST_TYPE} is map")
    if not isinstance(items, dict):
        if items is None:
            yield required(f"{path}.items", f"must have a schema if {_LIST_TYPE} is map")
        return
    kind = items.get("type", "")
    if kind != "object":
        text = f"must be object if parent array's {_LIST_TYPE} is map"
        yield invalid_value(f"{path}.items.type", kind, text)
        return
    for index, key in enumerate(keys):
        part = items.get("properties", {}).get(key)
        if part is None:
            text = "entries must all be names of item properties"
            yield invalid_value(f"{path}.{_KEYS}", keys, text)
        elif part.get("type") in {"array", "object"}:
            text = f"must be a scalar type if parent array's {_LIST_TYPE} is map"
            yield invalid_value(f"{path}.items.properties[{key}].type", kind, text)
        if key in keys[:index]:
            yield invalid_value(f"{path}.{_KEYS}", keys, "must not contain duplicate entries")


def _key_causes(items: Object, keys: list[str], kind: str, path: str) -> Iterator[Cause]:
    """``validateMapListKeysMapSet``: what names an element must be there."""
    if items.get("nullable"):
        yield forbidden_field(f"{path}.nullable", f"cannot be nullable when {_LIST_TYPE} is {kind}")
    for key in keys:
        part = items.get("properties", {}).get(key)
        if part is None:
            continue
        where = f"{path}.properties[{key}]"
        if key not in items.get("required", ()) and part.get("default") is None:
            text = f"this property is in {_KEYS}, so it must have a default or be a required property"
            yield required(f"{where}.default", text)
        if part.get("nullable"):
            text = f"this property is in {_KEYS}, so it cannot be nullable"
            yield forbidden_field(f"{where}.nullable", text)


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text


def rule_causes(schema: Object, path: str) -> Iterator[Cause]:
    for index, rule in enumerate(schema.get("x-kubernetes-validations", ())):
        where = f"{path}.x-kubernetes-validations[{index}]"
        yield from _text_causes(rule, where)
        worded = rule.get("messageExpression", "")
        if worded and not worded.strip():
            text = "messageExpression must be non-empty if specified"
            yield required(f"{where}.messageExpression", text)
        reason = rule.get("reason")
        if reason is not None and reason not in _REASONS:
            yield unsupported(f"{where}.reason", reason, _REASONS)
        field = rule.get("fieldPath", "")
        if field and not field.strip():
            yield invalid_value(f"{where}.fieldPath", field, "must be non-empty if specified")
        if _has_lines(field):
            yield invalid_value(f"{where}.fieldPath", field, "must not contain line breaks")


def _text_causes(rule: Object, path: str) -> Iterator[Cause]:
    text, message = rule.get("rule", ""), rule.get("message", "")
    if not text.strip():
        yield required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid_value(f"{path}.message", message, "must be non-empty if specified")
    elif _has_lines(message.strip()):
        yield invalid_value(f"{path}.message", message, "must not contain line breaks")
    elif _has_lines(text.strip()) and not message.strip():
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    problem = expression_problem(text)
    if problem:
        yield invalid_value(f"{path}.rule", rule, problem)
