"""A plan from what the user gives: which criteria there can be, with which margins. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stoker.canary.measure import bound_of, live_metrics
from stoker.canary.plan import Criterion, Metric, default_criterion
from stoker.canary.prompts import PromptSet
from stoker.errors import InputError, Problem
from stoker.platform.base import seconds_of
from stoker.sizing.resolved import ResolvedModel

__all__ = ["criteria_of"]


def criteria_of(
    model: ResolvedModel, *, prompts: PromptSet | None, is_watched: bool, margins: Mapping[str, float]
) -> tuple[tuple[Criterion, ...], tuple[str, ...]]:
    """The criteria of a run, and what cannot be compared and why.

    Args:
        model: whose canary it is.
        prompts: None sends no probes.
        is_watched: whether there is a Prometheus.
        margins: the user's, by metric.

    Raises:
        InputError: a margin of what is not compared, or nothing to compare.
    """
    metrics: list[Metric] = []
    notes: list[str] = []
    if prompts is not None:
        metrics += [Metric.TTFT, Metric.TPOT, Metric.ERRORS]
        if prompts.has_quality:
            metrics.append(Metric.QUALITY)
        else:
            notes.append("quality is not compared: no prompt says what its answer must be (--prompts FILE)")
    if is_watched:
        canary = model.canary.release if model.canary else model.release
        known = set(live_metrics(model.release)) & set(live_metrics(canary))
        live = [one for one in (Metric.LIVE_TTFT, Metric.LIVE_TPOT, Metric.LIVE_ERRORS) if one in known]
        metrics += live
        lacks = [one for one in (Metric.LIVE_TTFT, Metric.LIVE_TPOT, Metric.LIVE_ERRORS) if one not in known]
        if lacks:
            notes.append(f"{', '.join(lacks)}: not compared, {model.release.engine} has no series that tells")
    else:
        notes.append("real traffic is not compared: no Prometheus is named (--prometheus URL)")
    found = [_criterion(model, one) for one in metrics]
    return tuple(_with_margins(found, margins)), tuple(notes)


def _criterion(model: ResolvedModel, metric: Metric) -> Criterion:
    slo = model.spec.slo
    if metric is Metric.LIVE_TTFT:
        return default_criterion(metric, bound=bound_of(model.release, metric, seconds_of(slo.ttft_p95)))
    if metric is Metric.LIVE_TPOT:
        return default_criterion(metric, bound=bound_of(model.release, metric, seconds_of(slo.tpot_p95)))
    return default_criterion(metric)


def _with_margins(found: Sequence[Criterion], margins: Mapping[str, float]) -> list[Criterion]:
    known = {one.metric.value for one in found}
    problems = [
        Problem("is not compared in this run", path="--margin", found=name, wanted=", ".join(sorted(known)))
        for name in margins
        if name not in known
    ]
    if not found:
        problems.append(
            Problem("nothing to compare", path="--no-probes", fix="leave it out, or name a --prometheus")
        )
    if problems:
        raise InputError(problems)
    return [replace(one, margin=margins.get(one.metric.value, one.margin)) for one in found]
