"""Prometheus queries over what the twin's engines report, as KEDA would ask them.

A query is compiled once to a function over the replicas' gauges; what the twin does not report, or PromQL it does not
evaluate, is an error when the fleet is built, never a silent zero. Samples are those of the last scrape.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stoker.catalog.engines import Metric, engines, release
from stoker.errors import StokerError
from stoker.promql import parse

__all__ = ["Gauges", "compile_query"]


@dataclass(frozen=True, slots=True, eq=False)
class Gauges:
    """One scrape of a model's ready replicas, an entry per replica.

    Attributes:
        running, waiting: requests.
        kv_usage: share of KV blocks in use, 0 to 1.
    """

    running: NDArray[np.float64]
    waiting: NDArray[np.float64]
    kv_usage: NDArray[np.float64]


Value = float | NDArray[np.float64]
Evaluate = Callable[[Gauges], Value]

_READERS: Final[dict[Metric, Evaluate]] = {
    Metric.REQUESTS_RUNNING: lambda gauges: gauges.running,
    Metric.REQUESTS_WAITING: lambda gauges: gauges.waiting,
    Metric.WAITING_BY_REASON: lambda gauges: gauges.waiting,
    Metric.KV_CACHE_USAGE: lambda gauges: gauges.kv_usage,
}
_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": np.divide,
}
_AGGREGATES: Final[dict[str, Callable[[NDArray[np.float64]], Any]]] = {
    "sum": np.sum,
    "max": np.max,
    "min": np.min,
    "avg": np.mean,
    "count": np.size,
}


def _readers() -> dict[str, Evaluate]:
    """Reader by metric name, for every engine release of the catalogue."""
    found: dict[str, Evaluate] = {}
    for engine in engines():
        for version in engine.releases:
            for metric, read in _READERS.items():
                name = release(engine.name, version).metric(metric)
                if name is not None:
                    found[name] = read
    return found


def compile_query(query: str) -> Callable[[Gauges], float | None]:
    """The query as a function of a scrape; it returns None for an empty result.

    Raises:
        StokerError: no PromQL, a series that the twin does not report, or a construct that it does not evaluate.
    """
    evaluate = _compile(parse(query), _readers(), query)

    def value(gauges: Gauges) -> float | None:
        found = evaluate(gauges)
        if isinstance(found, np.ndarray):
            # KEDA takes one element: none is no data, several are an error (prometheus_scaler.go ExecutePromQuery).
            if found.size > 1:
                raise StokerError(f"the query returns {found.size} elements, KEDA takes one: {query}")
            return float(found[0]) if found.size else None
        return float(found)

    return value


def _compile(node: Any, readers: dict[str, Evaluate], query: str) -> Evaluate:
    kind = type(node).__name__
    if kind == "NumberLiteral":
        number = float(node.val)
        return lambda _: number
    if kind == "ParenExpr":
        return _compile(node.expr, readers, query)
    if kind == "VectorSelector":
        if node.name not in readers:
            raise StokerError(
                f"the twin reports no series {node.name!r}: {query}",
                fix="scale on running or waiting requests or on KV cache usage, under the engine's own metric names",
            )
        return readers[node.name]
    if kind == "AggregateExpr":
        return _aggregate(node, readers, query)
    if kind == "BinaryExpr" and str(node.op) in _OPERATORS:
        left, right = (_compile(side, readers, query) for side in (node.lhs, node.rhs))
        apply = _OPERATORS[str(node.op)]
        return lambda gauges: apply(left(gauges), right(gauges))
    if kind == "Call" and node.func.name in {"scalar", "clamp_max", "clamp_min", "vector"}:
        return _call(node, readers, query)
    raise StokerError(
        f"the twin does not evaluate this PromQL ({kind}): {query}",
        fix="use sum, avg, max, min, count, clamp_max, clamp_min, scalar, and + - * / over the engine's gauges",
    )


def _aggregate(node: Any, readers: dict[str, Evaluate], query: str) -> Evaluate:
    name = str(node.op)
    inner = _compile(node.expr, readers, query)
    if name not in _AGGREGATES:
        raise StokerError(
            f"the twin does not evaluate {name}(): {query}", fix="use sum, avg, max, min or count"
        )
    if node.modifier is not None:
        # Grouped by pod there is one series a replica, which is what the gauges hold already.
        return inner
    apply = _AGGREGATES[name]

    def aggregate(gauges: Gauges) -> Value:
        values = inner(gauges)
        if isinstance(values, np.ndarray):
            return np.array([apply(values)], np.float64) if values.size else values
        return values

    return aggregate


def _call(node: Any, readers: dict[str, Evaluate], query: str) -> Evaluate:
    arguments = [_compile(argument, readers, query) for argument in node.args]
    name = node.func.name
    if name == "vector":
        return lambda gauges: np.array([arguments[0](gauges)], np.float64)
    if name == "scalar":

        def scalar(gauges: Gauges) -> Value:
            values = arguments[0](gauges)
            return float(values[0]) if isinstance(values, np.ndarray) and values.size == 1 else float("nan")

        return scalar
    limit = np.minimum if name == "clamp_max" else np.maximum
    return lambda gauges: limit(arguments[0](gauges), arguments[1](gauges))
