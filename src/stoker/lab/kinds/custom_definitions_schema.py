"""Whether the schema of a CustomResourceDefinition is one that Kubernetes can use: structural, and without what it leaves out.

Upstream: apiextensions-apiserver pkg/apiserver/schema/{validation,complete}.go (structural; its causes come sorted by their
text) and pkg/apis/apiextensions/validation/validation.go (`ValidateCustomResourceDefinitionOpenAPISchema`).
"""

import re
from collections.abc import Iterator
from typing import Any

from stoker.lab.kinds.config_checks import invalid_json
from stoker.lab.kinds.custom_definitions_lists import list_causes, rule_causes
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, unsupported

__all__ = ["schema_causes", "structural_causes"]

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_EMPTY_TYPE = {
    "root": "must not be empty at the root",
    "items": "must not be empty for specified array items",
    "field": "must not be empty for specified object fields",
}
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_EMBEDDED = "x-kubernetes-embedded-resource"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_IS_INT_OR_STRING = "x-kubernetes-int-or-string"
# What a schema inside allOf, anyOf, oneOf or not may not say, and how the refusal reads.
_NESTED = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    (_PRESERVE, "must be false to be structural"),
    (_EMBEDDED, "must be false to be structural"),
    (_IS_INT_OR_STRING, "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
)
_LOOKAROUND = re.compile(r"(?<!\\)\(\?(?:[=!]|<[=!])")
_FLAGS = re.compile(r"\(\?[imsU]+\)")
_UNSUPPORTED = ("additionalItems", "patternProperties", "definitions", "dependencies", "$ref")


def schema_causes(schema: Object, path: str, *, has_status: bool) -> list[Cause]:
    """Everything that is wrong with ``openAPIV3Schema``, whose path this is."""
    causes = []
    if has_status and schema.get("type") != "object":
        text = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        causes.append(invalid_value(f"{path}.type", schema.get("type", ""), text))
    if schema.get("nullable"):
        causes.append(forbidden_field(f"{path}.nullable", "nullable cannot be true at the root"))
    causes += structural_causes(schema, path)
    return causes + list(_open_api_causes(schema, path))


# --- structural ---------------------------------------------------------------------------------------------------


def structural_causes(schema: Object, path: str) -> list[Cause]:
    """``ValidateStructural``."""
    found = [*_invariants(schema, "root", path), *_completeness(schema, schema, path, path)]
    return sorted(found, key=str)


def _invariants(schema: Object, level: str, path: str) -> Iterator[Cause]:
    kind = schema.get("type", "")
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if kind == "array" and items is None:
        yield required(f"{path}.items", "must be specified")
    if isinstance(items, dict):
        yield from _invariants(items, "items", f"{path}.items")
    for name, child in schema.get("properties", {}).items():
        yield from _invariants(child, "field", f"{path}.properties[{name}]")
    if additional is not None and additional is not False:
        if level == "root":
            yield forbidden_field(f"{path}.additionalProperties", "must not be used at the root")
        if isinstance(additional, dict):
            yield from _invariants(additional, "field", f"{path}.additionalProperties")
    yield from _extension_causes(schema, path)
    skips = schema.get("anyOf") == _INT_OR_STRING, _first_all_of(schema) == _INT_OR_STRING
    yield from _value_causes(schema, path, skips_any_of=skips[0], skips_first=skips[1])
    yield from _type_causes(schema, kind, level, path)
    yield from _metadata_causes(schema, level, path)


def _first_all_of(schema: Object) -> Any:
    found = schema.get("allOf") or [{}]
    return found[0].get("anyOf")


def _extension_causes(schema: Object, path: str) -> Iterator[Cause]:
    if not schema.get(_IS_INT_OR_STRING):
        return
    text = f"must be false if {_IS_INT_OR_STRING} is true"
    for name in (_PRESERVE, _EMBEDDED):
        if schema.get(name):
            yield invalid_value(f"{path}.{name}", True, text)


def _type_causes(schema: Object, kind: str, level: str, path: str) -> Iterator[Cause]:
    if schema.get(_EMBEDDED):
        text = f"must be object if {_EMBEDDED} is true"
        if not kind:
            yield required(f"{path}.type", text)
        elif kind != "object":
            yield invalid_value(f"{path}.type", kind, text)
        if schema.get("additionalProperties") is not None:
            yield forbidden_field(f"{path}.additionalProperties", f"must not be used if {_EMBEDDED} is set")
        if not schema.get(_PRESERVE) and not schema.get("properties"):
            text = f"must not be empty if {_EMBEDDED} is true without {_PRESERVE}"
            yield required(f"{path}.properties", text)
    elif not kind and not schema.get(_IS_INT_OR_STRING) and not schema.get(_PRESERVE):
        yield required(f"{path}.type", _EMPTY_TYPE[level])
    if level == "root" and kind and kind != "object":
        yield invalid_value(f"{path}.type", kind, "must be object at the root")


def _metadata_causes(schema: Object, level: str, path: str) -> Iterator[Cause]:
    properties = schema.get("properties", {})
    is_whole = level == "root" or bool(schema.get(_EMBEDDED))
    for name in ("kind", "apiVersion"):
        if is_whole and name in properties and properties[name].get("type") != "string":
            where = f"{path}.properties[{name}].type"
            yield invalid_value(where, properties[name].get("type", ""), "must be string")
    metadata = properties.get("metadata")
    if metadata is None or not is_whole:
        return
    where = f"{path}.properties[metadata]"
    if metadata.get("type") != "object":
        yield invalid_value(f"{where}.type", metadata.get("type", ""), "must be object")
    if level == "root":
        rest = {key for key in metadata if key not in {"type", "properties", "default"}}
        if rest or not set(metadata.get("properties", {})) <= {"name", "generateName"}:
            text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden_field(where, text)


def _value_causes(
    schema: Object, path: str, *, skips_any_of: bool = False, skips_first: bool = False
) -> Iterator[Cause]:
    """What stands in allOf, anyOf, oneOf and not; the two shapes of int-or-string are let through."""
    for name in ("anyOf", "allOf", "oneOf"):
        for index, nested in enumerate(schema.get(name, ())):
            if name == "anyOf" and skips_any_of:
                continue
            is_shape = name == "allOf" and skips_first and index == 0
            yield from _nested_causes(nested, f"{path}.{name}[{index}]", name=name, skips_any_of=is_shape)
    if "not" in schema:
        yield from _nested_causes(schema["not"], f"{path}.not", name="not")
    pattern = schema.get("pattern", "")
    problem = _pattern_problem(pattern) if pattern else ""
    if problem:
        text = f"must be a valid regular expression, but isn't: error parsing regexp: {problem}"
        yield invalid_value(f"{path}.pattern", pattern, text)


def _pattern_problem(pattern: str) -> str:
    """What Go's regexp says of a pattern; of mistakes only those that both dialects see, for they differ."""
    look = _LOOKAROUND.search(pattern)
    if look is not None:
        return f"invalid or unsupported Perl syntax: `{look[0]}`"
    try:
        re.compile(_FLAGS.sub("", pattern))
    except re.error as error:
        if error.msg == "unterminated character set":
            return f"missing closing ]: `{pattern[error.pos :]}`"
        if error.msg == "nothing to repeat":
            return f"missing argument to repetition operator: `{pattern[error.pos :][:1]}`"
        known = {
            "missing ), unterminated subpattern": "missing closing )",
            "unbalanced parenthesis": "unexpected )",
        }
        return f"{known[error.msg]}: `{pattern}`" if error.msg in known else ""
    return ""


def _nested_causes(schema: Object, path: str, *, name: str, skips_any_of: bool = False) -> Iterator[Cause]:
    yield from _value_causes(schema, path, skips_any_of=skips_any_of)
    if isinstance(schema.get("items"), dict):
        yield from _nested_causes(schema["items"], f"{path}.items", name=name)
    for key, child in schema.get("properties", {}).items():
        yield from _nested_causes(child, f"{path}.properties[{key}]", name=name)
    for key, text in _NESTED:
        if schema.get(key) not in (None, "", False, []):
            yield forbidden_field(f"{path}.{key}", text)
    if schema.get("x-kubernetes-validations") and name != "allOf":
        yield forbidden_field(f"{path}.x-kubernetes-validations", "must be empty to be structural")
    if "metadata" in schema.get("properties", {}):
        where = f"{path}.properties[metadata]"
        yield forbidden_field(where, "must not be specified in a nested context")


def _completeness(value: Object, schema: Object | None, schema_path: str, value_path: str) -> Iterator[Cause]:
    """Every field that a nested schema speaks of must be specified outside of it too."""
    for name in ("allOf", "anyOf", "oneOf"):
        for index, nested in enumerate(value.get(name, ())):
            yield from _nested_completeness(nested, schema, schema_path, f"{value_path}.{name}[{index}]")
    if "not" in value:
        yield from _nested_completeness(value["not"], schema, schema_path, f"{value_path}.not")


def _nested_completeness(
    nested: Object, schema: Object | None, schema_path: str, value_path: str
) -> Iterator[Cause]:
    if schema is None:
        yield required(schema_path, f"because it is defined in {value_path}")
        return
    yield from _completeness(nested, schema, schema_path, value_path)
    if isinstance(nested.get("items"), dict):
        where = f"{value_path}.items"
        yield from _nested_completeness(nested["items"], schema.get("items"), f"{schema_path}.items", where)
    for name, child in nested.get("properties", {}).items():
        own, part = schema.get("properties", {}).get(name), f"properties[{name}]"
        yield from _nested_completeness(child, own, f"{schema_path}.{part}", f"{value_path}.{part}")


# --- what OpenAPI may say here ------------------------------------------------------------------------------------


def _open_api_causes(schema: Object, path: str) -> Iterator[Cause]:
    kind = schema.get("type", "")
    if kind and kind not in _TYPES:
        yield unsupported(f"{path}.type", kind, _TYPES)
    if schema.get("id"):
        yield forbidden_field(f"{path}.id", "id is not supported")
    for name in _UNSUPPORTED:
        if schema.get(name):
            yield forbidden_field(f"{path}.{name}", f"{name} is not supported")
    if kind == "null":
        text = "type cannot be set to null, use nullable as an alternative"
        yield forbidden_field(f"{path}.type", text)
    if isinstance(schema.get("items"), list):
        yield forbidden_field(f"{path}.items", "items must be a schema object and not an array")
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden_field(f"{path}.uniqueItems", text)
    additional = schema.get("additionalProperties")
    if additional not in (None, True) and schema.get("properties"):
        text = "additionalProperties and properties are mutual exclusive"
        yield forbidden_field(f"{path}.additionalProperties", text)
    yield from _children(schema, path)
    if schema.get(_PRESERVE) is False:
        yield invalid_value(f"{path}.{_PRESERVE}", False, "must be true or undefined")
    yield from _map_causes(schema, kind, path)
    yield from list_causes(schema, kind, path)
    yield from rule_causes(schema, path)


def _children(schema: Object, path: str) -> Iterator[Cause]:
    for name in ("additionalProperties", "not", "items"):
        if isinstance(schema.get(name), dict) and name != "items":
            yield from _open_api_causes(schema[name], f"{path}.{name}")
        if name == "additionalProperties":
            for key in sorted(schema.get("properties", {})):
                yield from _open_api_causes(schema["properties"][key], f"{path}.properties[{key}]")
    for name in ("allOf", "oneOf", "anyOf"):
        for index, nested in enumerate(schema.get(name, ())):
            yield from _open_api_causes(nested, f"{path}.{name}[{index}]")
    if isinstance(schema.get("items"), dict):
        yield from _open_api_causes(schema["items"], f"{path}.items")


def _map_causes(schema: Object, kind: str, path: str) -> Iterator[Cause]:
    found = schema.get("x-kubernetes-map-type")
    if found is None:
        return
    text = "must be object if x-kubernetes-map-type is specified"
    if not kind:
        yield required(f"{path}.type", text)
    elif kind != "object":
        yield invalid_json(f"{path}.type", kind, text)
    if found not in {"atomic", "granular"}:
        yield unsupported(f"{path}.x-kubernetes-map-type", found, ("atomic", "granular"))
