"""Questions about PromQL's syntax tree: what is selected, under which functions, compared with what."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from stoker.promql import children

__all__ = ["Comparison", "Use", "aggregated", "calls", "comparisons", "kind", "names_in", "quantiles", "uses"]

RATES: Final = frozenset(("rate", "irate", "increase", "resets", "changes", "delta", "idelta", "deriv"))
_MIRROR: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}


def kind(node: Any) -> str:
    """Type of a node: ``VectorSelector``, ``Call``, and so on."""
    return type(node).__name__


@dataclass(frozen=True, slots=True)
class Use:
    """One selector with the nodes above it, the outermost first.

    Attributes:
        name: the metric; empty where only labels select.
        labels: matchers as (label, operator, value).
        above: kinds and names on the way: ``("BinaryExpr:>", "AggregateExpr:sum", "Call:rate")``.
    """

    node: Any
    name: str
    labels: tuple[tuple[str, str, str], ...]
    above: tuple[str, ...]
    range_seconds: float | None

    def under(self, *names: str) -> bool:
        """Whether one of these functions or aggregations stands above it."""
        return any(entry.partition(":")[2] in names for entry in self.above)


def uses(tree: Any) -> Iterator[Use]:
    """Every selector of an expression."""
    yield from _uses(tree, (), None)


def _uses(node: Any, above: tuple[str, ...], window: float | None) -> Iterator[Use]:
    if kind(node) == "VectorSelector":
        matchers = tuple((m.name, str(m.op).rpartition(".")[2], m.value) for m in node.matchers.matchers)
        name = node.name or next(
            (value for label, op, value in matchers if label == "__name__" and op == "Equal"), ""
        )
        yield Use(node, name, matchers, above, window)
        return
    if kind(node) == "MatrixSelector":
        window = node.range.total_seconds()
    elif kind(node) == "SubqueryExpr":
        window = None
    here = (*above, f"{kind(node)}:{_name(node)}")
    for below in children(node):
        yield from _uses(below, here, window)


def _name(node: Any) -> str:
    if kind(node) == "Call":
        return str(node.func.name)
    return str(getattr(node, "op", "")) if kind(node) in {"AggregateExpr", "BinaryExpr"} else ""


def names_in(tree: Any) -> set[str]:
    """Metrics that an expression selects by name."""
    return {use.name for use in uses(tree) if use.name}


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left OP number``, turned so that the number stands on the right."""

    node: Any
    left: Any
    op: str
    number: float


def comparisons(tree: Any) -> Iterator[Comparison]:
    """Every comparison of an expression with a constant."""
    if kind(tree) == "BinaryExpr" and str(tree.op) in _MIRROR:
        left, right = constant(tree.lhs), constant(tree.rhs)
        if right is not None and left is None:
            yield Comparison(tree, tree.lhs, str(tree.op), right)
        elif left is not None and right is None:
            yield Comparison(tree, tree.rhs, _MIRROR[str(tree.op)], left)
    for below in children(tree):
        yield from comparisons(below)


def constant(node: Any) -> float | None:
    """A number written out, with its sign, in brackets, or as simple arithmetic."""
    if kind(node) == "NumberLiteral":
        return float(node.val)
    if kind(node) == "ParenExpr":
        return constant(node.expr)
    if kind(node) == "UnaryExpr":
        inner = constant(node.expr)
        return None if inner is None else -inner
    if kind(node) == "BinaryExpr":
        left, right = constant(node.lhs), constant(node.rhs)
        if left is None or right is None:
            return None
        operator = str(node.op)
        if operator == "/" and right == 0:
            return None
        return {
            "+": left + right,
            "-": left - right,
            "*": left * right,
            "/": left / right if right else 0.0,
        }.get(operator)
    return None


def unscaled(node: Any) -> list[Use]:
    """Selectors whose unit a node keeps: through sums, maxima, brackets and clamps, not through arithmetic or counting."""
    if kind(node) == "VectorSelector":
        return list(uses(node))
    if kind(node) == "ParenExpr":
        return unscaled(node.expr)
    if kind(node) == "AggregateExpr" and str(node.op) in {
        "max",
        "min",
        "avg",
        "quantile",
        "topk",
        "bottomk",
        "any",
    }:
        return unscaled(node.expr)
    if kind(node) == "Call" and node.func.name in {
        "avg_over_time", "max_over_time", "min_over_time", "last_over_time", "quantile_over_time", "clamp_max", "clamp_min", "abs",
    }:  # fmt: skip
        return [
            use
            for argument in node.args
            if kind(argument) != "NumberLiteral"
            for use in _of_argument(argument)
        ]
    return []


def _of_argument(node: Any) -> list[Use]:
    return list(uses(node)) if kind(node) == "MatrixSelector" else unscaled(node)


def calls(tree: Any, *names: str) -> Iterator[Any]:
    """Every call of one of the functions."""
    if kind(tree) == "Call" and tree.func.name in names:
        yield tree
    for below in children(tree):
        yield from calls(below, *names)


def quantiles(tree: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every ``histogram_quantile`` as (call, quantile, what it is taken over)."""
    for call in calls(tree, "histogram_quantile"):
        arguments = list(call.args)
        if len(arguments) == 2:  # quantile and buckets
            yield call, arguments[0], arguments[1]


def aggregated(node: Any) -> Any | None:
    """The aggregation at the top of a node, brackets aside; None where there is none."""
    while kind(node) == "ParenExpr":
        node = node.expr
    return node if kind(node) == "AggregateExpr" else None


def keeps(aggregate: Any, label: str) -> bool:
    """Whether an aggregation's result has the label."""
    modifier = aggregate.modifier
    if modifier is None:
        return False
    by = str(modifier.type).endswith("By")
    return (label in modifier.labels) is by
