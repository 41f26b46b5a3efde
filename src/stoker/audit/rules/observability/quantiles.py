"""Quantiles of histograms: over a window, over all replicas, with the bucket label kept."""

from collections.abc import Iterator
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, replace
from stoker.audit.rule import rule
from stoker.audit.view.expressions import RATES, aggregated, constant, keeps, kind, quantiles, uses
from stoker.audit.view.queries import Query
from stoker.audit.view.view import View
from stoker.catalog.metrics import series

_DOCS: Final = ("https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile",)


def _with_quantile(view: View) -> Iterator[Query]:
    for query in view.queries:
        if query.tree is not None and next(quantiles(query.tree), None) is not None:
            yield query


@rule(
    "quantile-over-raw-buckets",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="histogram_quantile over buckets that count since the process began",
    why=(
        "Without rate() the quantile is that of all requests since start: an hour of slow answers hardly moves it, and once "
        "moved it never recovers. The latency alert is late by hours and then does not resolve."
    ),
    fix="Take rate() over a window, sum by (le) over the replicas, then the quantile.",
    references=_DOCS,
    on=_with_quantile,
)
def _quantile_over_raw_buckets(query: Query, view: View) -> Iterator[Hit]:
    for call, _, over in quantiles(query.tree):
        for use in uses(over):
            if use.under(*RATES, "rate", "sum_over_time") or not use.name.endswith("_bucket"):
                continue
            yield Hit(
                query.item, query.path, f"{use.name} is taken without rate(): the quantile of all requests since start", query.expr,
                _windowed(query, call, use),
            )  # fmt: skip
            break


def _windowed(query: Query, call: Any, use: Any) -> Fix | None:
    """The usual form, where the buckets stand bare in the call."""
    if kind(list(call.args)[1]) != "VectorSelector":
        return None
    selector = f"{use.name}{{" if f"{use.name}{{" in query.expr else use.name
    if selector != use.name or query.expr.count(use.name) != 1:
        return None
    labels = "le, namespace, model_name" if series(use.name) and use.name.startswith("vllm:") else "le"
    text = f"sum by ({labels}) (rate({use.name}[5m]))"
    return Fix(f"Write {text}", (replace(query.path, query.expr.replace(use.name, text)),))


@rule(
    "quantile-loses-le",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="histogram_quantile over an aggregation that drops the bucket label",
    why="Without `le` there are no buckets left: the result is empty or NaN, the alert cannot fire and the panel is blank.",
    fix="Add le to the by (…) clause.",
    references=_DOCS,
    on=_with_quantile,
)
def _quantile_loses_le(query: Query, view: View) -> Iterator[Hit]:
    for _, _, over in quantiles(query.tree):
        aggregate = aggregated(over)
        if aggregate is None or keeps(aggregate, "le"):
            continue
        if not any(use.name.endswith("_bucket") for use in uses(over)):
            continue  # native histograms have no le
        listed = aggregate.modifier
        written = (
            f"{aggregate.op} by ({', '.join(listed.labels)})"
            if listed is not None
            else f"{aggregate.op} without a by clause"
        )
        yield Hit(
            query.item, query.path, f"{written} drops the label le that histogram_quantile reads", query.expr
        )


@rule(
    "quantile-per-replica",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Quantile is taken for each replica, not for the service",
    why=(
        "One alert a pod: a single slow replica with three requests pages, while a service that is slow on all of them never "
        "shows as one number. Quantiles cannot be averaged afterwards."
    ),
    fix="sum by (le, …) over the replicas before the quantile.",
    references=_DOCS,
    on=lambda view: (q for q in _with_quantile(view) if q.role in {"alert", "trigger", "kserve"}),
)
def _quantile_per_replica(query: Query, view: View) -> Iterator[Hit]:
    for _, _, over in quantiles(query.tree):
        if aggregated(over) is not None or not any(u.name.startswith("vllm:") for u in uses(over)):
            continue
        yield Hit(
            query.item,
            query.path,
            "the buckets are not summed over the replicas: the quantile is one pod's",
            query.expr,
        )


@rule(
    "quantile-out-of-range",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Quantile outside 0 to 1",
    why="histogram_quantile(95, …) is +Inf whatever the latency: the alert fires for ever or never.",
    fix="Write the quantile as a ratio: 0.95.",
    references=_DOCS,
    on=_with_quantile,
)
def _quantile_out_of_range(query: Query, view: View) -> Iterator[Hit]:
    for _, quantile, _ in quantiles(query.tree):
        number = constant(quantile)
        if number is not None and not 0 <= number <= 1:
            fix = None
            written = f"histogram_quantile({number:g},"
            if 1 < number < 100 and query.expr.count(written) == 1:
                right = f"histogram_quantile({number / 100:g},"
                fix = Fix(
                    f"Write {number / 100:g}", (replace(query.path, query.expr.replace(written, right)),)
                )
            yield Hit(query.item, query.path, f"the quantile {number:g} is no ratio", query.expr, fix)


@rule(
    "quantile-averaged",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Average of quantiles",
    why="The mean of each pod's p95 is no p95 of anything: a service can look healthy while a third of the requests miss the target.",
    fix="Sum the buckets first, take one quantile of the sum.",
    references=_DOCS,
    on=_with_quantile,
)
def _quantile_averaged(query: Query, view: View) -> Iterator[Hit]:
    seen = set()
    for _, _, over in quantiles(query.tree):
        seen |= {id(use.node) for use in uses(over)}
    for use in uses(query.tree):
        trail = [entry for entry in use.above if entry in {"Call:histogram_quantile", "AggregateExpr:avg"}]
        if id(use.node) in seen and "AggregateExpr:avg" in trail[: trail.index("Call:histogram_quantile")]:
            yield Hit(query.item, query.path, f"the quantiles of {use.name} are averaged", query.expr)
            break
