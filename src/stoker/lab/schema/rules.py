"""CEL rules of CRD schemas (``x-kubernetes-validations``), transition rules included.

Source: apiextensions pkg/apiserver/schema/cel/validation.go. An expression that the evaluator cannot run (Kubernetes has
functions of its own) is passed over: the lab is then more lenient than a real server, never stricter. docs/lab.md says so.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from stoker.lab.schema.node import Node
from stoker.lab.status import Cause, printed

__all__ = ["broken_rules", "evaluate", "has_rules"]

_REASONS = {
    "FieldValueInvalid": ("FieldValueInvalid", "Invalid value"),
    "FieldValueForbidden": ("FieldValueForbidden", "Forbidden"),
    "FieldValueRequired": ("FieldValueRequired", "Required value"),
    "FieldValueDuplicate": ("FieldValueDuplicate", "Duplicate value"),
}


@cache
def _compiled(expression: str) -> Any:
    import cel

    try:
        return cel.compile(expression)
    except (ValueError, RuntimeError):
        return None


def evaluate(expression: str, variables: dict[str, Any]) -> Any:
    """Value of an expression; None where it cannot be compiled or run here."""
    program = _compiled(expression)
    if program is None:
        return None
    try:
        return program.execute(variables)
    except (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError):
        return None


def has_rules(node: Node) -> bool:
    """Whether any rule stands in the schema or below it."""
    found = node.__dict__.get("has_rules")
    if found is None:
        node.__dict__["has_rules"] = False  # ends the recursion of a schema that contains itself
        children = (*node.properties.values(), *filter(None, (node.additional, node.items)))
        found = bool(node.raw.get("x-kubernetes-validations")) or any(has_rules(child) for child in children)
        node.__dict__["has_rules"] = found
    return bool(found)


def broken_rules(value: Any, node: Node, old: Any = None, path: str = "") -> Iterator[Cause]:
    """Rules that the value breaks: its own first, then those of its fields."""
    for rule in node.raw.get("x-kubernetes-validations", ()):
        cause = _broken(rule, value, old, path)
        if cause is not None:
            yield cause
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for key, item in value.items():
            child = node.child(key)
            if child is not None and has_rules(child):
                yield from broken_rules(item, child, before.get(key), f"{path}.{key}" if path else key)
    elif isinstance(value, list) and node.items is not None and has_rules(node.items):
        past = _past(old, node)
        for index, item in enumerate(value):
            yield from broken_rules(item, node.items, past(index, item), f"{path}[{index}]")


def _past(old: Any, node: Node) -> Any:
    """The old element that an element is compared with: by keys in an associative list; none elsewhere."""
    if not isinstance(old, list) or node.list_type != "map":
        return lambda _index, _item: None
    by_keys = {tuple(item.get(key) for key in node.list_keys): item for item in old if isinstance(item, dict)}
    return lambda _index, item: (
        by_keys.get(tuple(item.get(key) for key in node.list_keys)) if isinstance(item, dict) else None
    )


def _broken(rule: dict[str, Any], value: Any, old: Any, path: str) -> Cause | None:
    expression = rule["rule"]
    variables = {"self": value}
    if "oldSelf" in expression:
        if old is None and not rule.get("optionalOldSelf"):
            return None
        variables["oldSelf"] = old
    if evaluate(expression, variables) is not False:
        return None
    message = rule.get("message")
    if "messageExpression" in rule:
        told = evaluate(rule["messageExpression"], variables)
        message = told if isinstance(told, str) and told.strip() else message
    if not message:
        message = f"failed rule: {expression.strip()}"
    field = path
    if rule.get("fieldPath"):
        field = f"{path}{rule['fieldPath']}" if path else rule["fieldPath"].lstrip(".")
    reason, text = _REASONS.get(rule.get("reason", ""), _REASONS["FieldValueInvalid"])
    # Scalars are printed, objects and lists are not (1.36).
    shown = (
        f"{text}: {printed(value)}: "
        if reason == "FieldValueInvalid" and not isinstance(value, dict | list)
        else f"{text}: "
    )
    return Cause(reason, shown + message, field)
