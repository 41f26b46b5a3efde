"""Every PromQL expression that was read, parsed: alerts, recordings, KEDA triggers, KServe metrics, dashboard panels."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker import promql
from stoker.errors import StokerError
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item, Snapshot

__all__ = ["Query", "queries_of"]

_VARIABLE: Final = re.compile(r"\$\{(\w+)(?::\w+)?\}|\[\[(\w+)\]\]|\$(\w+)")
_DURATIONS: Final = frozenset(
    ("__interval", "__rate_interval", "__range", "interval", "rate_interval", "resolution")
)


@dataclass(frozen=True, slots=True)
class Query:
    """One expression.

    Attributes:
        role: ``alert``, ``record``, ``trigger``, ``kserve`` or ``panel``.
        rule: the alert, recording rule or trigger metadata it belongs to.
        name: of the alert, recording, trigger or panel.
        expr: the text as written.
        tree: the syntax tree; None where it does not parse.
        error: why not.
    """

    item: Item
    path: Path
    role: str
    rule: Mapping[str, Any]
    name: str
    expr: str
    tree: Any
    error: str

    def __str__(self) -> str:
        return f"{self.role} {self.name}"


def queries_of(snapshot: Snapshot) -> Iterator[Query]:
    for item in snapshot.of("PrometheusRule.monitoring.coreos.com"):
        yield from _groups(item, item.spec.get("groups") or [], ("spec", "groups"))
    for item in snapshot.of("RuleFile.prometheus"):
        groups = item.obj.get("groups")
        yield from _groups(item, groups if isinstance(groups, list) else [], ("groups",))
    for item in snapshot.of("ScaledObject.keda.sh", "ScaledJob.keda.sh"):
        for index, trigger in enumerate(item.spec.get("triggers") or []):
            metadata = trigger.get("metadata") or {}
            if trigger.get("type") == "prometheus" and metadata.get("query"):
                path: Path = ("spec", "triggers", index, "metadata", "query")
                yield _query(
                    item, path, "trigger", trigger, str(trigger.get("name") or index), metadata["query"]
                )
    for item in snapshot.of("InferenceService.serving.kserve.io"):
        metrics = item.section("spec", "predictor", "autoScaling").get("metrics") or []
        for index, metric in enumerate(metrics):
            external = (metric.get("external") or {}).get("metric") or {}
            if external.get("backend") == "prometheus" and external.get("query"):
                path = ("spec", "predictor", "autoScaling", "metrics", index, "external", "metric", "query")
                yield _query(item, path, "kserve", external, str(index), external["query"])
    for item in snapshot.of("Dashboard.grafana"):
        yield from _panels(item, item.obj.get("panels") or [], ("panels",))


def _groups(item: Item, groups: list[Any], path: Path) -> Iterator[Query]:
    for number, group in enumerate(groups):
        for index, entry in enumerate(group.get("rules") or []):
            if "expr" not in entry:
                continue
            role = "alert" if "alert" in entry else "record"
            name = str(entry.get("alert") or entry.get("record") or index)
            yield _query(item, (*path, number, "rules", index, "expr"), role, entry, name, str(entry["expr"]))


def _panels(item: Item, panels: list[Any], path: Path) -> Iterator[Query]:
    for index, panel in enumerate(panels):
        if not isinstance(panel, dict):
            continue
        inner = panel.get("panels")
        if isinstance(inner, list):
            yield from _panels(item, inner, (*path, index, "panels"))
        targets = panel.get("targets")
        for number, target in enumerate(targets if isinstance(targets, list) else []):
            expr = target.get("expr") if isinstance(target, dict) else None
            if isinstance(expr, str) and expr.strip():
                where = (*path, index, "targets", number, "expr")
                yield _query(item, where, "panel", target, str(panel.get("title") or index), expr)


def _query(  # noqa: PLR0917  # a constructor
    item: Item, path: Path, role: str, rule: Mapping[str, Any], name: str, expr: str
) -> Query:
    text = _VARIABLE.sub(_stand_in, expr) if role == "panel" else expr
    try:
        return Query(item, path, role, rule, name, expr, promql.parse(text), "")
    except StokerError as error:
        return Query(item, path, role, rule, name, expr, None, error.message.removeprefix("no PromQL: "))


def _stand_in(match: re.Match[str]) -> str:
    """Grafana's variables become something that parses: a duration, or a word."""
    name = match[1] or match[2] or match[3]
    return "5m" if name in _DURATIONS else name
