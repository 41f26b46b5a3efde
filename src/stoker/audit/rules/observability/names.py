"""Metric names: a query over a series that nobody emits is empty, and empty is silent."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from stoker.audit.finding import Area, Fix, Hit, Severity, replace
from stoker.audit.rule import rule
from stoker.audit.view.expressions import uses
from stoker.audit.view.queries import Query
from stoker.audit.view.view import View
from stoker.catalog.engines import default_version
from stoker.catalog.metrics import judged, known_series, series
from stoker.errors import nearest

_LOGGERS: Final = "vllm 0.33.0 vllm/v1/metrics/loggers.py:527-1120"
_SCALING: Final = frozenset(("trigger", "kserve"))


def _parsed(view: View) -> Iterator[Query]:
    """Queries that touch vLLM's series in any spelling."""
    for query in view.queries:
        if query.tree is not None and any(
            use.name.startswith(("vllm:", "vllm_")) for use in uses(query.tree)
        ):
            yield query


def _colon(name: str) -> str | None:
    """The engine's own name for one written with an underscore; None where it has none."""
    candidate = "vllm:" + name.removeprefix("vllm_")
    for form in (candidate, f"{candidate}_total"):
        if form in known_series():
            return form
    return None


def renamed(query: Query, old: str, new: str, text: str) -> Fix | None:
    """A patch that swaps a name in an expression, where the name stands there as a whole word once or more."""
    if not new or old not in query.expr:
        return None
    return Fix(text, (replace(query.path, query.expr.replace(old, new)),))


def _underscored(wanted: frozenset[str], *, inside: bool) -> Callable[[View], Iterable[Query]]:
    def subjects(view: View) -> Iterator[Query]:
        yield from (query for query in _parsed(view) if (query.role in wanted) is inside)

    return subjects


def _underscore_hits(query: Query, view: View, consequence: str) -> Iterator[Hit]:
    made = view.recorded
    for name in sorted({use.name for use in uses(query.tree)}):
        if not name.startswith("vllm_") or name in made:
            continue
        right = _colon(name)
        if right is None:
            continue
        fix = renamed(query, name, right, f"Select {right}")
        yield Hit(
            query.item,
            query.path,
            f"vLLM emits {right}, with a colon; {name} is always empty{consequence}",
            name,
            fix,
        )


@rule(
    "metric-name-with-underscore",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Query selects vLLM's metrics with an underscore where vLLM has a colon",
    why=(
        "vLLM's series are called vllm:…; the underscore form exists only behind Ray or a relabelling. The query is empty, the "
        "panel shows no data and the alert can never fire."
    ),
    fix="Write the names with a colon, as /metrics shows them.",
    references=(_LOGGERS,),
    on=_underscored(_SCALING, inside=False),
)
def _metric_name_with_underscore(query: Query, view: View) -> Iterator[Hit]:
    yield from _underscore_hits(query, view, "")


@rule(
    "trigger-name-with-underscore",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="Scaling trigger selects vLLM's metrics with an underscore where vLLM has a colon",
    why=(
        "The query is empty, KEDA reads empty as 0 and the trigger as inactive: the server is scaled in, to zero if it may be, "
        "while requests queue."
    ),
    fix="Write the names with a colon, as /metrics shows them.",
    references=(_LOGGERS, "keda 2.20.2 pkg/scalers/prometheus_scaler.go:238 (ignoreNullValues)"),
    on=_underscored(_SCALING, inside=True),
)
def _trigger_name_with_underscore(query: Query, view: View) -> Iterator[Hit]:
    yield from _underscore_hits(query, view, ", which KEDA reads as 0")


def _colon_queries(view: View) -> Iterator[Query]:
    for query in _parsed(view):
        if any(use.name.startswith("vllm:") for use in uses(query.tree)):
            yield query


@rule(
    "metric-unknown",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Query selects a metric that no release of vLLM has",
    why="The query is empty for ever: the alert cannot fire, the panel stays blank, the scaler sees nothing. Nothing reports it.",
    fix="Select a metric that the engine emits; its /metrics lists them.",
    references=(_LOGGERS,),
    on=_colon_queries,
)
def _metric_unknown(query: Query, view: View) -> Iterator[Hit]:
    made = view.recorded
    names = sorted({use.name for use in uses(query.tree)})
    for name in names:
        if not judged(name) or series(name) is not None or name in made:
            continue
        total = f"{name}_total" if series(f"{name}_total") else ""
        near = [total] if total else nearest(name, known_series())
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        fix = renamed(query, name, total, f"Select {total}") if total else None
        yield Hit(query.item, query.path, f"vLLM has no metric {name}{hint}", name, fix)


def _gone(query: Query, running: Sequence[str]) -> Iterator[Hit]:
    """Series of the query that none of the releases has, unless it asks for what replaced them too."""
    found = {use.name: fact for use in uses(query.tree) if (fact := series(use.name)) is not None}
    for name, fact in sorted(found.items()):
        if (
            not name.startswith("vllm:")
            or fact.until is None
            or any(fact.there(version) for version in running)
        ):
            continue
        suffix = name.removeprefix(fact.name)
        new = fact.replaced_by + suffix if fact.replaced_by else ""
        if new in found:
            continue
        other = series(new)
        same = new if other is not None and other.type is fact.type else ""
        told = f"; {new} is its name now" if new else ""
        yield Hit(
            query.item,
            query.path,
            f"{name} is gone from vLLM {fact.until} on{told}",
            name,
            renamed(query, name, same, f"Select {same}"),
        )


@rule(
    "metric-removed",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Query selects a metric that the vLLM running here no longer has",
    why=(
        "The series went away with an upgrade of the engine and the query has been empty since: alerts are silent and "
        "autoscaling is blind, while everything looks configured."
    ),
    fix="Select what replaced it, or both with `or` while old releases still run.",
    references=(_LOGGERS, "vllm commit 005a810b (deprecation of the V0 names)"),
    on=lambda view: _colon_queries(view) if view.vllm_releases else (),
)
def _metric_removed(query: Query, view: View) -> Iterator[Hit]:
    yield from _gone(query, view.vllm_releases)


@rule(
    "metric-gone-in-newest",
    Area.OBSERVABILITY,
    Severity.WARNING,
    title="Query selects a metric that current releases of vLLM no longer have",
    why="Nothing here says which release runs. With a current one the query is empty: the panel is blank and the alert silent from the day of the upgrade.",
    fix="Select the old and the new name, joined with `or`.",
    references=(_LOGGERS, "vllm commit 005a810b (deprecation of the V0 names)"),
    on=lambda view: () if view.vllm_releases else _colon_queries(view),
)
def _metric_gone_in_newest(query: Query, view: View) -> Iterator[Hit]:
    yield from _gone(query, [default_version("vllm")])


@rule(
    "expression-does-not-parse",
    Area.OBSERVABILITY,
    Severity.ERROR,
    title="Expression is no PromQL",
    why="Prometheus refuses the whole rule file, so the alerts beside it are gone too; a scaler with such a query reports errors only.",
    fix="Correct the expression; `promtool check rules` tells the place.",
    references=("prometheus 2.42 promql/parser",),
    on=lambda view: view.queries,
)
def _expression_does_not_parse(query: Query, view: View) -> Iterator[Hit]:
    if query.error and query.role != "panel" and "{{" not in query.expr:
        yield Hit(query.item, query.path, f"{query}: {query.error}", query.expr)
