"""PromQL read by a parser, never by a regular expression."""

from collections.abc import Iterator
from typing import Any

import promql_parser

from stoker.errors import StokerError

__all__ = ["metric_names", "parse"]


def parse(expression: str) -> Any:
    """The syntax tree of an expression, type-checked by the parser.

    Raises:
        StokerError: it is no PromQL.
    """
    try:
        return promql_parser.parse(expression)
    except ValueError as error:
        raise StokerError(f"no PromQL: {error}") from error


def metric_names(expression: str) -> set[str]:
    """Every metric that an expression selects by name."""
    return set(_names(parse(expression)))


def _names(node: Any) -> Iterator[str]:
    # Matrix selectors hold their vector in `vector_selector`, calls in `args`, the rest in the fields below.
    if type(node).__name__ == "VectorSelector" and node.name:
        yield node.name
    for field in ("expr", "lhs", "rhs", "param", "vector_selector"):
        below = getattr(node, field, None)
        if below is not None:
            yield from _names(below)
    for below in getattr(node, "args", None) or []:
        yield from _names(below)
