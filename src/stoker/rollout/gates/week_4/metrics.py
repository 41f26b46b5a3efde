"""Are the metrics there that rules, dashboards and scalers name, for every pod, and can their values be true?"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from stoker.catalog.engines import MetricType
from stoker.promql import metric_names
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.monitoring import Prometheus, prometheus
from stoker.rollout.pods import ready_pods
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.autoscaling import compile_autoscaling
from stoker.upgrades.autoscaling.wake import QUEUE_SERIES
from stoker.upgrades.observability import rule_groups
from stoker.upgrades.observability.cluster_alerts import MAY_BE_ABSENT
from stoker.upgrades.observability.dashboards import boards

__all__ = ["METRICS_PRESENT", "PodSeries", "Seen", "Wanted", "judge_metrics", "named_metrics", "wanted_of"]

_ABSENT: Final = {**MAY_BE_ABSENT, **dict.fromkeys(QUEUE_SERIES, "born with the first request that is held")}
_SHOWN: Final = 20  # problems in the evidence; one cause makes hundreds
_COUNTED: Final = (MetricType.COUNTER, MetricType.HISTOGRAM)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series of an engine that somebody reads.

    Attributes:
        unit: ``ratio`` lies between 0 and 1, everything else is not negative.
        readers: ``rules``, ``dashboards`` or ``scalers``.
    """

    name: str
    type: MetricType
    unit: str
    readers: tuple[str, ...]

    @property
    def family(self) -> str:
        """What its type is told under."""
        if self.type is not MetricType.HISTOGRAM:
            return self.name
        for tail in ("_bucket", "_sum", "_count"):
            if self.name.endswith(tail):
                return self.name.removesuffix(tail)
        return self.name


@dataclass(frozen=True, slots=True)
class PodSeries:
    """One series of a pod: times in seconds and values, as scraped."""

    pod: str
    name: str
    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """What Prometheus has at a moment.

    Attributes:
        at: seconds since the epoch.
        up: by pod, the newest ``up``; pods without a target are not there.
        types: by family.
        others: series of metrics that are no engine's, by name.
        restarted: pods whose container began anew within the window: their counters may begin anew as well.
    """

    at: float
    up: Mapping[str, float] = field(default_factory=dict)
    series: Sequence[PodSeries] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    restarted: frozenset[str] = frozenset()


# --- what is wanted ---------------------------------------------------------------------------------------------------


def named_metrics(platform: ResolvedPlatform) -> dict[str, tuple[str, ...]]:
    """Every metric that the compiled platform names -> who reads it. Recorded series are no metrics of anybody's."""
    found: dict[str, dict[str, None]] = {}
    for reader, expressions in _expressions(platform):
        for expression in expressions:
            for name in metric_names(expression):
                if not name.startswith("stoker:") and name not in {"up", "ALERTS"}:
                    found.setdefault(name, {})[reader] = None
    return {name: tuple(readers) for name, readers in sorted(found.items())}


def _expressions(platform: ResolvedPlatform) -> Iterator[tuple[str, Iterable[str]]]:
    yield "rules", (rule["expr"] for group in rule_groups(platform) for rule in group["rules"])
    for board in boards(platform).values():
        yield "dashboards", (query for panel in board.panels for query in panel.queries.values())
    objects = [item.object for item in compile_autoscaling(platform)]
    triggers = [one for obj in objects if obj["kind"] == "ScaledObject" for one in obj["spec"]["triggers"]]
    yield "scalers", (one["metadata"]["query"] for one in triggers if one["type"] == "prometheus")


def wanted_of(model: ResolvedModel, named: Mapping[str, tuple[str, ...]]) -> tuple[Wanted, ...]:
    """The named series that the model's engine has."""
    found: dict[str, Wanted] = {}
    for fact in model.release.metrics.values():
        names = [fact.name]
        if fact.type is MetricType.HISTOGRAM:
            names += [f"{fact.base}_sum", f"{fact.base}_count"]
        for name in names:
            if name in named:
                found[name] = Wanted(name, fact.type, fact.unit, named[name])
    return tuple(found.values())


# --- the verdict ------------------------------------------------------------------------------------------------------


def judge_metrics(
    pods: Mapping[str, Sequence[str]],
    wanted: Mapping[str, Sequence[Wanted]],
    others: Sequence[str],
    seen: Seen,
    *,
    stale_seconds: float,
) -> Judgement:
    """Whether every pod has every series that is wanted of its model, and none of them lies.

    Args:
        pods: ready pods by model.
        wanted: engine series by model.
        others: further metrics that must have a series, whoever makes them.
        seen: what Prometheus has.
        stale_seconds: age from which a newest sample is no news any more.
    """
    problems: list[str] = []
    by_pod: dict[str, list[PodSeries]] = {}
    for one in seen.series:
        by_pod.setdefault(one.pod, []).append(one)
    for model, names in pods.items():
        for pod in names:
            problems += _of_pod(pod, wanted[model], by_pod.get(pod, ()), seen, stale_seconds)
    problems += _of_types([one for some in wanted.values() for one in some], seen.types)
    absent = [name for name in others if not seen.others.get(name)]
    problems += [f"{name}: no series" for name in absent if name not in _ABSENT]
    excused = {name: _ABSENT[name] for name in absent if name in _ABSENT}
    count = sum(len(names) for names in pods.values())
    figures: dict[str, Any] = {
        "pods": count,
        "series": len(seen.series),
        "metrics": len({one.name for some in wanted.values() for one in some}) + len(others),
        "problems": len(problems),
        "absent_by_nature": excused,
    }
    if not problems:
        return Judgement.passed(
            f"{figures['metrics']} metrics are there and sane for {count} pods", **figures
        )
    more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
    return Judgement.failed(f"{problems[0]}{more}", **figures, first_problems=problems[:_SHOWN])


def _of_pod(
    pod: str, wanted: Sequence[Wanted], series: Sequence[PodSeries], seen: Seen, stale: float
) -> Iterator[str]:
    up = seen.up.get(pod)
    if up is None:
        yield f"{pod}: Prometheus has no target for it"
        return
    if up != 1:
        yield f"{pod}: the last scrape failed"
        return
    for one in wanted:
        own = [row for row in series if row.name == one.name and row.samples]
        if not own:
            yield f"{pod}: {one.name} has no series ({', '.join(one.readers)} read it)"
            continue
        oldest = min(row.samples[-1][0] for row in own)
        if seen.at - oldest > stale:
            yield f"{pod}: {one.name} is {seen.at - oldest:.0f} s old"
        for row in own:
            yield from _of_values(pod, one, row, may_restart=pod in seen.restarted)
        if one.name.endswith("_bucket"):
            yield from _of_buckets(pod, one, own)


def _of_values(pod: str, wanted: Wanted, row: PodSeries, *, may_restart: bool) -> Iterator[str]:
    values = [value for _, value in row.samples]
    low, high = min(values), max(values)
    if low < 0 or (wanted.unit == "ratio" and high > 1):
        bounds = "0 to 1" if wanted.unit == "ratio" else "at least 0"
        yield f"{pod}: {wanted.name} is {low if low < 0 else high:g}, wanted {bounds}"
    if (
        wanted.type in _COUNTED
        and not may_restart
        and any(after < before for before, after in pairwise(values))
    ):
        yield f"{pod}: {wanted.name} went back, and a counter cannot: is it scraped through a Service?"


def _of_buckets(pod: str, wanted: Wanted, rows: Sequence[PodSeries]) -> Iterator[str]:
    """Buckets are cumulative: a higher bound never holds less."""
    groups: dict[tuple[tuple[str, str], ...], dict[float, float]] = {}
    for row in rows:
        rest = tuple(sorted(item for item in row.labels.items() if item[0] != "le"))
        groups.setdefault(rest, {})[float(row.labels.get("le", "nan"))] = row.samples[-1][1]
    for buckets in groups.values():
        counts = [buckets[bound] for bound in sorted(buckets)]
        if math.inf not in buckets or any(after < before for before, after in pairwise(counts)):
            yield f"{pod}: {wanted.name} is no histogram: its buckets are not cumulative up to +Inf"
            return


def _of_types(wanted: Sequence[Wanted], types: Mapping[str, str]) -> Iterator[str]:
    """Wrong types; what Prometheus was not told is not held against anybody."""
    for one in dict.fromkeys((each.family, each.type) for each in wanted):
        name, kind = one
        # OpenMetrics tells a counter's type without its `_total`.
        said = types.get(name) or types.get(name.removesuffix("_total"))
        if said and said not in {"unknown", kind.value}:
            yield f"{name} is a {said}, wanted a {kind.value}"


# --- the edge ---------------------------------------------------------------------------------------------------------


def _measure(context: Context) -> Judgement:
    platform, settings = context.platform, context.settings
    named = named_metrics(platform)
    models = {name: model for name, model in platform.models.items() if model.release.metrics}
    pods = {name: ready_pods(context.cluster, model) for name, model in models.items()}
    found = {name: [pod.name for pod in some] for name, some in pods.items() if some}
    context.note("ready pods", pods=found, asleep=sorted(set(models) - set(found)))
    if not found:
        raise CannotMeasureError("no pod of any model with metrics is ready", fix="week-2's gates come first")
    wanted = {name: wanted_of(models[name], named) for name in found}
    engines = {one.name for model in models.values() for one in wanted_of(model, named)}
    others = [name for name in named if name not in engines]
    window = float(settings["window_seconds"])
    restarted = frozenset(
        pod.name
        for some in pods.values()
        for pod in some
        if context.now().timestamp() - pod.started < 2 * window
    )
    with prometheus(context) as source:
        last: list[Judgement] = []

        def look() -> Judgement | None:
            up, rows = _of_models(source, {name: models[name] for name in found}, wanted, window)
            counts = {name: len(source.instant(f"count({name})")) for name in others}
            seen = Seen(context.now().timestamp(), up, rows, source.types(), counts, restarted)
            stale = float(settings["stale_seconds"])
            last[:] = [judge_metrics(found, wanted, others, seen, stale_seconds=stale)]
            return last[0] if last[0].verdict.value == "passed" else None

        context.until(
            look, within=float(settings["within_seconds"]), every=float(settings["window_seconds"]) / 4
        )
    judgement = last[0]
    context.note("metrics looked at", named=list(named), **judgement.measured)
    return judgement


def _of_models(
    source: Prometheus,
    models: Mapping[str, ResolvedModel],
    wanted: Mapping[str, Sequence[Wanted]],
    window: float,
) -> tuple[dict[str, float], list[PodSeries]]:
    """``up`` by pod, and every wanted series with its samples."""
    up: dict[str, float] = {}
    rows: list[PodSeries] = []
    for name, model in models.items():
        own = f'namespace="{model.namespace}",model="{name}"'
        up |= {labels.get("pod", ""): value for labels, value in source.instant(f"up{{{own}}}")}
        names = "|".join(one.name for one in wanted[name])
        if not names:
            continue
        for labels, samples in source.samples(f'{{__name__=~"{names}",{own}}}', window):
            rest = {key: value for key, value in labels.items() if key not in {"__name__", "pod"}}
            rows.append(PodSeries(labels.get("pod", ""), labels["__name__"], rest, samples))
    return up, rows


METRICS_PRESENT: Final = Gate(
    "week-4/metrics-present",
    "Every metric that rules, dashboards and scalers name is scraped from every pod, and its values can be true",
    "every named metric, for every ready pod, of its type, in its range, at most {stale_seconds} s old",
    "reads Prometheus; changes nothing",
    _measure,
    {"within_seconds": 180, "window_seconds": 120, "stale_seconds": 60},
)
