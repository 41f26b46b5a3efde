"""PromQL read by a parser, never by a regular expression."""

from collections.abc import Iterator
from typing import Any

import promql_parser

from stoker.errors import StokerError

__all__ = ["children", "metric_names", "parse"]


def parse(expression: str) -> Any:
    """The syntax tree of an expression, type-checked by the parser.

    Raises:
        StokerError: it is no PromQL.
    """
    try:
        return promql_parser.parse(expression)
    except ValueError as error:
        raise StokerError(f"no PromQL: {error}") from error


def children(node: Any) -> Iterator[Any]:
    """Nodes directly below one: matrix selectors hold their vector in `vector_selector`, calls theirs in `args`."""
    for field in ("expr", "lhs", "rhs", "param", "vector_selector"):
        below = getattr(node, field, None)
        if below is not None and not isinstance(below, str | int | float):
            yield below
    yield from getattr(node, "args", None) or []


def metric_names(expression: str) -> set[str]:
    """Every metric that an expression selects by name."""
    return set(_names(parse(expression)))


def _names(node: Any) -> Iterator[str]:
    if type(node).__name__ == "VectorSelector" and node.name:
        yield node.name
    for below in children(node):
        yield from _names(below)
