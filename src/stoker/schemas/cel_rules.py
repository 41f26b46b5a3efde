"""CEL: the x-kubernetes-validations of CRDs evaluated, and the expressions that objects carry compiled.

Needs common-expression-language (PyPI); without it nothing is checked here. Transition rules (oldSelf) are about updates
and left out. Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions,
"Validation rules"; defaults are filled before rules run.
"""

import copy
import importlib
import importlib.util
from collections.abc import Iterator
from functools import cache
from typing import Any

AVAILABLE = importlib.util.find_spec("cel") is not None


@cache
def _compile(expression: str) -> Any:
    return importlib.import_module("cel").compile(expression)


def rule_problems(schema: dict[str, Any], obj: dict[str, Any]) -> Iterator[str]:
    """Rules of a CRD that the object breaks."""
    if not AVAILABLE:
        return
    filled = copy.deepcopy(obj)
    _fill(schema, filled)
    for rule, value, path in _rules(schema, filled, ""):
        if _compile(rule["rule"]).execute({"self": value}) is not True:
            yield f"{path}: {rule.get('message') or rule['rule']}"


def expression_problems(obj: dict[str, Any]) -> Iterator[str]:
    """Expressions of the object that do not compile: admission policies, device selectors."""
    if not AVAILABLE:
        return
    for path, expression in _expressions(obj, ""):
        try:
            _compile(expression)
        except ValueError as error:
            yield f"{path}: {str(error).splitlines()[0]}"


def _fill(schema: dict[str, Any], value: Any) -> None:
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for name, below in schema.get("properties", {}).items():
            if "default" in below and name not in value:
                value[name] = copy.deepcopy(below["default"])
        for name, item in value.items():
            _fill(schema.get("properties", {}).get(name, extra if isinstance(extra, dict) else {}), item)
    elif isinstance(value, list):
        for item in value:
            _fill(schema.get("items", {}), item)


def _rules(schema: dict[str, Any], value: Any, path: str) -> Iterator[tuple[dict[str, Any], Any, str]]:
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" not in rule["rule"]:
            yield rule, value, path
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for name, item in value.items():
            below = schema.get("properties", {}).get(name, extra if isinstance(extra, dict) else {})
            yield from _rules(below, item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _rules(schema.get("items", {}), item, f"{path}[{index}]")


def _expressions(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"expression", "messageExpression"} and isinstance(item, str):
                yield f"{path}.{key}", item
            else:
                yield from _expressions(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _expressions(item, f"{path}[{index}]")
