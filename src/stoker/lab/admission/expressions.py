"""Expressions of admission policies, with the errors that they end in.

Unlike the rules of schemas (`lab.schema.rules`), which pass over what has no value, policies must know why there is none: a
field that is not there is an error, on which the policy's failurePolicy decides (apiserver
pkg/admission/plugin/cel/activation.go). An expression that needs what this evaluator does not have is passed over.
"""

import re
from functools import cache
from typing import Any

from stoker.lab.admission.functions import FUNCTIONS

__all__ = ["Failure", "Names", "Unsupported"]

_FIELD = re.compile(r"\b(object|oldObject|params|namespaceObject)\.(\w+)", re.ASCII)
_COMPOSED = "variables"


class Failure(Exception):  # noqa: N818  # a result, not a defect
    """The expression ended in an error; the text is the server's."""


class Unsupported(Exception):  # noqa: N818  # a result, not a defect
    """The expression cannot be run here."""


@cache
def _program(expression: str) -> Any:
    import cel

    try:
        return cel.compile(expression)
    except (ValueError, RuntimeError):
        return None


@cache
def _functions(expression: str) -> tuple[str, ...]:
    return tuple(name for name in FUNCTIONS if f"{name}(" in expression)


class Names:
    """What the names in expressions stand for.

    A value is handed to the evaluator when an expression first names it, and once: handing over a pod takes a hundred times
    as long as most expressions.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        import cel

        self._values = values
        self._context = cel.Context()
        self._given: set[str] = set()
        self._composed: dict[str, Any] = {}
        self._broken: dict[str, str] = {}
        self._unsupported: set[str] = set()
        self.compose([], None)

    def compose(self, variables: Any, params: Any) -> None:
        """Begin with another policy: its parameters, and its own variables, which build on each other."""
        self._set("params", params)
        self._composed, self._broken, self._unsupported = {}, {}, set()
        self._set(_COMPOSED, self._composed)
        for one in variables:
            try:
                self._composed[one["name"]] = self.value(one["expression"])
            except Failure as error:
                self._broken[one["name"]] = str(error)
            except Unsupported:
                self._unsupported.add(one["name"])
            self._given.discard(_COMPOSED)

    def _set(self, name: str, value: Any) -> None:
        self._values[name] = value
        self._given.discard(name)

    def hide_namespace(self) -> Any:
        """Take the namespace away; what it was, for `show_namespace`."""
        found = self._values["namespaceObject"]
        self._set("namespaceObject", None)
        return found

    def show_namespace(self, namespace: Any) -> None:
        self._set("namespaceObject", namespace)

    def value(self, expression: str) -> Any:
        """Value of an expression.

        Raises:
            Failure: it ended in an error.
            Unsupported: it needs a function or variable that is not there.
        """
        program = _program(expression)
        if program is None:
            raise Unsupported(expression)
        self._give(expression)
        if any(f"{_COMPOSED}.{name}" in expression for name in self._unsupported):
            raise Unsupported(expression)
        try:
            return program.execute(self._context)
        except (LookupError, ZeroDivisionError, TypeError) as error:
            raise Failure(
                f"expression '{expression}' resulted in error: {self._why(error, expression)}"
            ) from error
        except (ValueError, RuntimeError, OverflowError) as error:
            raise Unsupported(expression) from error

    def _give(self, expression: str) -> None:
        for name, value in self._values.items():
            if name in expression and name not in self._given:
                self._context.add_variable(name, value)
                self._given.add(name)
        for name in _functions(expression):
            if name not in self._given:
                self._context.add_function(name, FUNCTIONS[name])
                self._given.add(name)

    def _why(self, error: Exception, expression: str) -> str:
        """The error in the words of cel-go."""
        if isinstance(error, KeyError):
            key = str(error.args[0]) if error.args else ""
            if key in self._broken and f"{_COMPOSED}.{key}" in expression:
                return f'composited variable "{key}" fails to evaluate: {self._broken[key]}'
            return f"no such key: {key}"
        if isinstance(error, IndexError):
            return str(error)
        if isinstance(error, ZeroDivisionError):
            return "division by zero"
        # Nothing has no fields.
        absent = next(
            (one[2] for one in _FIELD.finditer(expression) if self._values.get(one[1]) is None), None
        )
        return "no such overload" if absent is None else f"no such key: {absent}"
