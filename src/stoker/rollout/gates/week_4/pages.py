"""Does a saturated KV cache reach somebody in time, and is it called off afterwards?"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from stoker.catalog.engines import Metric
from stoker.platform.observability import PrometheusKind
from stoker.platform.tenants import WorkloadClass
from stoker.rollout.alerting import AlertRule, Waits, alerts_reading, kv_usage_names, waits_of
from stoker.rollout.evidence import Judgement
from stoker.rollout.gate import CannotMeasureError, Context, Gate
from stoker.rollout.monitoring import Alertmanager, alertmanager, catcher, prometheus
from stoker.rollout.page_watch import CROSSED, PageWatch
from stoker.rollout.paging import Timeline, judge_arrival, judge_resolution
from stoker.rollout.pods import ready_pods
from stoker.rollout.saturation import saturation_of
from stoker.sizing.resolved import ResolvedModel
from stoker.upgrades.observability import rule_groups

__all__ = ["PAGE_ARRIVES", "PAGE_RESOLVES"]

_MONITORING: Final = "monitoring.coreos.com"
_GROUP_INTERVAL: Final = 330.0  # seconds: Alertmanager's default of five minutes, and an evaluation
_QUIET: Final = 900.0  # seconds to wait for what an earlier rehearsal left open
_FILLING: Final = 600.0  # seconds that filling the cache may take, and emptying it


# --- the gates --------------------------------------------------------------------------------------------------------


def _measure_arrival(context: Context) -> Judgement:
    model, within = _model(context), float(context.settings["within_seconds"])
    rules = _rules(context, model)
    if not rules:
        return Judgement.failed(f"no alert reads the KV cache of {model.name}")
    waits = _waits(context, rules)
    if waits.least > within:
        return judge_arrival(Timeline(), waits, within)
    with ExitStack() as stack:
        watch = _watch(context, stack, model, rules)
        _wait_for_quiet(watch)
        _saturate(watch, within)
        if watch.seen.received is None:
            watch.ask_alertmanager()
    return judge_arrival(watch.seen, waits, within)


def _measure_resolution(context: Context) -> Judgement:
    model, within = _model(context), float(context.settings["within_seconds"])
    rules = _rules(context, model)
    if not rules:
        raise CannotMeasureError(
            f"no alert reads the KV cache of {model.name}", fix="week-4/page-arrives comes first"
        )
    with ExitStack() as stack:
        watch = _watch(context, stack, model, rules)
        left_open = watch.open_pages()
        for one in left_open:
            watch.take(one)
        if not left_open:
            _saturate(watch, float(context.settings["page_within_seconds"]))
        if watch.seen.received is not None:
            _wait_for_end(watch, within)
    return judge_resolution(watch.seen, within)


def _wait_for_end(watch: PageWatch, within: float) -> None:
    context, seen = watch.context, watch.seen
    since = seen.received or watch.began
    if watch.manager is not None and watch.pages is None:
        watch.sent = watch.manager.sent()
    is_low = context.until(
        lambda: (
            True if max((v for _, v in watch.source.instant(watch.usage)), default=1.0) <= CROSSED else None
        ),
        within=_FILLING,
        every=2.0,
    )
    if is_low:
        seen.below = max(watch.high(min(since, watch.began) - _QUIET), default=since)
        context.note("the KV cache is below 90 % again", last_sample_above=seen.below)
        context.until(watch.look_for_end, within=1.25 * within, every=2.0)


def _saturate(watch: PageWatch, within: float) -> None:
    """Fill the cache, look until a page comes or much too late, let go again."""
    context = watch.context
    lasts = _FILLING + 2.0 * within
    saturation = saturation_of(context, watch.model, level=float(context.settings["level"]), seconds=lasts)
    context.note("the KV cache is being filled", how=saturation.how)
    watch.began = watch.now
    saturation.begin()
    context.until(lambda: watch.look() or watch.seen.crossed, within=_FILLING, every=1.0)
    if watch.seen.crossed is not None:
        context.note("above 90 %", at=watch.seen.crossed)
        left = watch.seen.crossed + 1.5 * within - watch.now
        context.until(watch.look, within=max(0.0, left), every=1.0)
    saturation.end()
    context.note("the KV cache is let go")


def _wait_for_quiet(watch: PageWatch) -> None:
    """Nothing of this kind is open: a page would be no answer to our crossing, and wait for its group's interval."""

    def is_quiet() -> bool | None:
        if "firing" in watch.states() or watch.open_pages():
            return None
        # Without a catcher nobody tells whether Alertmanager has closed the group: it does within its interval.
        return None if watch.pages is None and watch.fired_lately(_GROUP_INTERVAL) else True

    if watch.context.until(is_quiet, within=_QUIET, every=5.0) is None:
        raise CannotMeasureError(
            f"an alert about the KV cache of {watch.model.name} is open already", fix="wait until it is over"
        )


def _watch(context: Context, stack: ExitStack, model: ResolvedModel, rules: Sequence[AlertRule]) -> PageWatch:
    source = stack.enter_context(prometheus(context))
    pages = stack.enter_context(catcher(context))
    manager: Alertmanager | None = None
    try:
        manager = stack.enter_context(alertmanager(context))
        sent = manager.sent()
    except CannotMeasureError as error:
        if pages is None:
            raise CannotMeasureError(
                f"nobody can tell whether a page is received: {error.message}",
                fix="name a URL for alertmanager, or run `stoker catch` and name its URL as catcher",
            ) from error
        manager, sent = None, {}
        context.note("Alertmanager is not seen", why=error.message)
    return PageWatch(context, model, rules, source, pages, manager, context.now().timestamp(), sent)


def _model(context: Context) -> ResolvedModel:
    """The one that the user names; else one of a staging tenant; in a lab, where it harms nobody, any that is awake."""
    models, named = context.platform.models, str(context.settings["model"])
    if named and named not in models:
        raise CannotMeasureError(f"the platform has no model {named!r}", fix=", ".join(models))
    able = [one for one in models.values() if one.release.metric(Metric.KV_CACHE_USAGE)]
    chosen = (
        [models[named]]
        if named
        else [one for one in able if one.tenant.spec.workload_class is WorkloadClass.STAGING]
    )
    if not chosen and context.cluster.measured_on.startswith("lab"):
        chosen = able
    if not chosen:
        raise CannotMeasureError(
            "no model of a staging tenant, and this gate does not saturate production by itself",
            fix="name one: rollout.settings, week-4/page-arrives, model",
        )
    for model in chosen:
        if ready_pods(context.cluster, model):
            return model
    raise CannotMeasureError(f"no pod of {chosen[0].name} is ready", fix="week-2's gates come first")


def _rules(context: Context, model: ResolvedModel) -> list[AlertRule]:
    """Alerts in the cluster that read the model's KV cache; those of the platform file where Prometheus has no operator."""
    found = alerts_reading(_groups(context), kv_usage_names(), model)
    context.note(
        "alerts that read the KV cache",
        alerts=[{"alert": one.name, "expr": one.expr, "for": one.hold, "in": one.where} for one in found],
    )
    return found


def _groups(context: Context) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if context.platform.spec.observability.prometheus is PrometheusKind.SCRAPE_CONFIG:
        yield from (("the platform file", group) for group in rule_groups(context.platform))
        return
    for obj in context.cluster.objects(f"{_MONITORING}/v1", "PrometheusRule"):
        where = f"PrometheusRule {obj['metadata']['namespace']}/{obj['metadata']['name']}"
        yield from ((where, group) for group in (obj.get("spec") or {}).get("groups") or ())


def _waits(context: Context, rules: Sequence[AlertRule]) -> Waits:
    """Of the alert that comes first."""
    cluster, seen = context.cluster, context.platform.spec.observability
    servers = cluster.objects(f"{_MONITORING}/v1", "Prometheus")
    evaluation = next((one["spec"].get("evaluationInterval") for one in servers), None)
    configs = cluster.objects(f"{_MONITORING}/v1alpha1", "AlertmanagerConfig")
    every = [
        waits_of(rule, scrape=seen.scrape_interval, evaluation=evaluation, configs=configs) for rule in rules
    ]
    found = min(every, key=lambda one: (one.least, one.most))
    context.note("what stands before a page", sum_seconds=found.most, parts=str(found))
    return found


PAGE_ARRIVES: Final = Gate(
    "week-4/page-arrives",
    "A saturated KV cache reaches the receiver of pages",
    "received within {within_seconds} s of the first sample above 90 %",
    "fills the KV cache of one model (a lab's switch; on a live cluster real load on a staging model) and pages whoever "
    "the alert is for; with a catcher named, point the receivers at it first",
    _measure_arrival,
    {"within_seconds": 180, "model": "", "level": 1.0, "by_load": False},
)
PAGE_RESOLVES: Final = Gate(
    "week-4/page-resolves",
    "The page is called off when the KV cache is free again",
    "called off within {within_seconds} s of the last sample above 90 %",
    "takes the page that week-4/page-arrives left, or causes one as it does, and waits for its end",
    _measure_resolution,
    {"within_seconds": 600, "page_within_seconds": 300, "model": "", "level": 1.0, "by_load": False},
)
