"""Which alerts read a metric, how long they take to reach somebody at least and at most, and which page is theirs; pure.

A page comes no sooner than the alert's ``for`` and the group's wait, and no later than those with one scrape and one evaluation
before them, as long as everything works.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.catalog.engines import Metric, engines, release
from stoker.errors import StokerError
from stoker.pages import Page
from stoker.promql import children, parse
from stoker.sizing.resolved import ResolvedModel

__all__ = [
    "AlertRule",
    "Waits",
    "alerts_reading",
    "group_wait",
    "is_page_of",
    "kv_usage_names",
    "seconds",
    "waits_of",
]

_PART: Final = re.compile(r"(\d+)(ms|s|m|h|d|w)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_EVALUATION: Final = "30s"  # the operator's default
_GROUP_WAIT: Final = "30s"  # Alertmanager's (dispatch/route.go DefaultRouteOpts)


@dataclass(frozen=True, slots=True)
class AlertRule:
    """An alert that stands in the cluster, or would after the next apply.

    Attributes:
        hold: its ``for``, in seconds.
        interval: of its group; None where Prometheus' own counts.
        where: the object that has it.
    """

    name: str
    expr: str
    hold: float
    interval: float | None
    labels: Mapping[str, str]
    summary: str
    where: str


@dataclass(frozen=True, slots=True)
class Waits:
    """What stands between a crossing and a page, in seconds."""

    scrape: float
    evaluation: float
    hold: float
    group: float

    @property
    def least(self) -> float:
        return self.hold + self.group

    @property
    def most(self) -> float:
        return self.scrape + self.evaluation + self.hold + self.group

    def __str__(self) -> str:
        return (
            f"scrape {self.scrape:g} s + evaluation {self.evaluation:g} s + for {self.hold:g} s + "
            f"group wait {self.group:g} s = {self.most:g} s"
        )


def seconds(text: str | None) -> float:
    """Seconds of a duration as Prometheus writes it; 0 for none.

    Raises:
        StokerError: it is none.
    """
    if not text or text == "0":
        return 0.0
    parts = _PART.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        raise StokerError(f"{text!r} is no duration", fix="write it as Prometheus does: 30s, 5m, 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def kv_usage_names() -> frozenset[str]:
    """What any release of any engine calls the share of its KV cache in use."""
    found = (
        release(one.name, version).metric(Metric.KV_CACHE_USAGE)
        for one in engines()
        for version in one.releases
    )
    return frozenset(name for name in found if name)


def alerts_reading(
    groups: Iterable[tuple[str, Mapping[str, Any]]], names: frozenset[str], model: ResolvedModel
) -> list[AlertRule]:
    """Alerts whose expression selects one of the metrics, of this model or of any.

    Args:
        groups: rule groups, each with the object that has it.
        names: of the metric, in any release.
        model: whose series; an expression that names no model means all.
    """
    found = []
    for where, group in groups:
        for rule in group.get("rules") or ():
            if rule.get("alert") and _reads(str(rule.get("expr", "")), names, model):
                interval = group.get("interval")
                found.append(
                    AlertRule(
                        rule["alert"],
                        str(rule["expr"]),
                        seconds(rule.get("for")),
                        seconds(interval) if interval else None,
                        rule.get("labels") or {},
                        str((rule.get("annotations") or {}).get("summary") or ""),
                        where,
                    )
                )
    return found


def _reads(expr: str, names: frozenset[str], model: ResolvedModel) -> bool:
    try:
        tree = parse(expr)
    except StokerError:
        return False
    own = {"model": model.name, "model_name": model.name, "namespace": model.namespace}
    for node in _selectors(tree):
        equal = {one.name: one.value for one in node.matchers.matchers if str(one.op).endswith("Equal")}
        equal = {key: value for key, value in equal.items() if key in own}
        if node.name in names and all(own[key] == value for key, value in equal.items()):
            return True
    return False


def _selectors(node: Any) -> Iterator[Any]:
    if type(node).__name__ == "VectorSelector":
        yield node
    for below in children(node):
        yield from _selectors(below)


def group_wait(configs: Sequence[Mapping[str, Any]], labels: Mapping[str, str]) -> float:
    """The longest group wait of any route of these AlertmanagerConfigs that takes an alert's severity; 30 s where none says."""
    waits = [
        wait for one in configs for wait in _routes((one.get("spec") or {}).get("route") or {}, labels, None)
    ]
    return max(waits, default=seconds(_GROUP_WAIT))


def _routes(route: Mapping[str, Any], labels: Mapping[str, str], above: str | None) -> Iterator[float]:
    if not all(_matches(one, labels) for one in route.get("matchers") or ()):
        return
    own = route.get("groupWait") or above
    below = [wait for one in route.get("routes") or () for wait in _routes(one, labels, own)]
    yield from below or [seconds(own or _GROUP_WAIT)]


def _matches(matcher: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, wanted = labels.get(matcher["name"], ""), str(matcher.get("value", ""))
    kind = matcher.get("matchType") or ("=~" if matcher.get("regex") else "=")
    is_same = re.fullmatch(wanted, value) is not None if "~" in kind else value == wanted
    return is_same != kind.startswith("!")


def waits_of(
    rule: AlertRule, *, scrape: str, evaluation: str | None, configs: Sequence[Mapping[str, Any]]
) -> Waits:
    """What stands between a crossing and the alert's page.

    Args:
        rule: the alert.
        scrape: interval at which the engine is scraped.
        evaluation: Prometheus' own interval; the operator's default where None.
        configs: AlertmanagerConfigs.
    """
    interval = rule.interval if rule.interval is not None else seconds(evaluation or _EVALUATION)
    return Waits(seconds(scrape), interval, rule.hold, group_wait(configs, rule.labels))


def is_page_of(page: Page, rules: Sequence[AlertRule], model: ResolvedModel) -> bool:
    """Whether a page is about one of these alerts of this model: formats carry labels, a title, or both."""
    text = page.text
    return any(
        re.search(rf"\b{re.escape(rule.name)}\b", text) is not None or (rule.summary and rule.summary in text)
        for rule in rules
    ) and (model.name in text or page.action != "firing")
