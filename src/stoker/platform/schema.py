"""JSON Schema of the platform file, for editors: the same shapes as the loader accepts, with every default and reason."""

from typing import Any, Final

from stoker.platform.document import Platform

__all__ = ["SCHEMA_ID", "json_schema"]

SCHEMA_ID: Final = "https://stoker.dev/schema/v1/platform.json"


def json_schema() -> dict[str, Any]:
    """The schema as a mapping (draft 2020-12); equal on every call.

    Keeps ``x-why``, the reason of a default. Rules across fields are not in it: `stoker check` holds those.
    """
    raw = Platform.model_json_schema(by_alias=True, mode="validation")
    body = {
        key: _cleaned(value, names=key == "properties")
        for key, value in raw.items()
        if key not in {"title", "description", "$defs"}
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Stoker platform",
        "description": raw["description"],
        **body,
        "$defs": {name: _cleaned(raw["$defs"][name]) for name in sorted(raw["$defs"])},
    }


def _cleaned(node: Any, *, names: bool = False) -> Any:
    """Without what pydantic adds and no editor needs.

    Args:
        node: part of a schema.
        names: the mapping's keys are names of fields, not keywords of JSON Schema.
    """
    if isinstance(node, list):
        return [_cleaned(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _cleaned(value) for key, value in node.items()}
    # `title` repeats the field's name, `discriminator` is OpenAPI's, a null default says that there is none.
    drop = {"title", "discriminator"} | ({"default"} if node.get("default", 0) is None else set())
    verbatim = {"default", "examples", "enum", "const", "required"}
    if isinstance(node.get("default"), dict):
        # An empty section means its defaults; printing them here too would give each a second home.
        node = {**node, "default": {}}
    cleaned = {
        key: value
        if key in verbatim
        else _cleaned(value, names=key in {"properties", "$defs", "patternProperties"})
        for key, value in node.items()
        if key not in drop
    }
    return _short_null(cleaned)


def _short_null(node: dict[str, Any]) -> dict[str, Any]:
    """``anyOf: [{type: string, …}, {type: null}]`` as ``type: [string, null]``: editors complete it better."""
    options = node.get("anyOf")
    if not isinstance(options, list) or len(options) != 2 or options[1] != {"type": "null"}:
        return node
    first = options[0]
    if (
        not isinstance(first.get("type"), str)
        or "enum" in first
        or "const" in first
        or set(first) & set(node)
    ):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**rest, **first, "type": [first["type"], "null"]}
