"""From what was seen to what is decided on: pairs to outcomes, counters to blocks. Pure.

Counters are read as they stand, pod by pod, and subtracted here: whole requests, no extrapolation, and a pod that restarted
counts from zero again. A pod that is seen for the first time only sets its mark.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.canary.decide import Block, Outcomes
from stoker.canary.plan import CanaryPlan, Criterion, Kind, Metric
from stoker.canary.probe import Pair
from stoker.catalog.engines import EngineRelease
from stoker.catalog.engines import Metric as Series

__all__ = ["Counters", "blocks", "bound_of", "live_metrics", "outcomes", "queries", "raw_of", "read_counters"]

Counters = dict[str, tuple[float, float]]
"""Of one metric: all requests and bad ones, by pod."""

Sample = tuple[Mapping[str, str], float]

_LATENCY: Final = {Metric.LIVE_TTFT: Series.TTFT_BUCKET, Metric.LIVE_TPOT: Series.TPOT_BUCKET}
# vLLM counts its HTTP answers with prometheus-fastapi-instrumentator, as vllm/entrypoints/serve/instrumentator does.
_HTTP: Final = "http_requests_total"
_HANDLERS: Final = "/v1/(chat/)?completions"


# --- pairs ------------------------------------------------------------------------------------------------------------


def outcomes(
    criteria: Sequence[Criterion], pairs: Sequence[Pair], passes: Callable[[int, str], bool | None]
) -> list[Outcomes]:
    """What pairs say of each criterion of probes. Latency and quality are of pairs that both answered.

    A pair that says nothing of the versions (`Pair.is_void`) is no data, not "no difference".
    """
    found = []
    pairs = [pair for pair in pairs if not pair.is_void]
    for one in criteria:
        if one.metric.kind is Kind.SIGNS:
            signs = [_slower(one, pair) for pair in pairs]
            counts: tuple[int, ...] = (signs.count(False), signs.count(True))
        elif one.metric is Metric.ERRORS:
            counts = _differences([(bool(pair.stable.error), bool(pair.canary.error)) for pair in pairs])
        elif one.metric is Metric.QUALITY:
            judged = [_fails(pair, passes) for pair in pairs]
            counts = _differences([both for both in judged if both is not None])
        else:
            continue
        if any(counts):
            found.append(Outcomes(one.metric, counts))
    return found


def _slower(criterion: Criterion, pair: Pair) -> bool | None:
    name = "ttft" if criterion.metric is Metric.TTFT else "tpot"
    stable, canary = getattr(pair.stable, name), getattr(pair.canary, name)
    if stable is None or canary is None:
        return None
    return bool(canary > (1 + criterion.margin) * stable)


def _differences(both: Sequence[tuple[bool, bool]]) -> tuple[int, int, int]:
    return (
        sum(stable and not canary for stable, canary in both),
        sum(stable == canary for stable, canary in both),
        sum(canary and not stable for stable, canary in both),
    )


def _fails(pair: Pair, passes: Callable[[int, str], bool | None]) -> tuple[bool, bool] | None:
    if pair.stable.error or pair.canary.error:
        return None
    stable, canary = passes(pair.prompt, pair.stable.text), passes(pair.prompt, pair.canary.text)
    return None if stable is None or canary is None else (not stable, not canary)


def raw_of(pair: Pair, passes: Callable[[int, str], bool | None]) -> dict[str, Any]:
    """A pair as it is kept: figures, not texts."""
    kept: dict[str, Any] = {
        "pair": pair.number,
        "prompt": pair.prompt,
        "first": "canary" if pair.canary_first else "stable",
    }
    for version, answer in (("stable", pair.stable), ("canary", pair.canary)):
        entry: dict[str, Any] = {}
        if answer.error:
            entry["error"] = answer.error[:120]
            if pair.is_void:
                entry["noData"] = True
        else:
            entry["ttft"] = None if answer.ttft is None else round(answer.ttft, 5)
            entry["tpot"] = None if answer.tpot is None else round(answer.tpot, 6)
            entry["tokens"] = answer.tokens
            good = passes(pair.prompt, answer.text)
            if good is not None:
                entry["passes"] = good
        kept[version] = entry
    return kept


# --- counters ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and how its samples are read."""

    text: str
    metric: Metric
    bound: float = 0.0


def live_metrics(release: EngineRelease) -> tuple[Metric, ...]:
    """What an engine's release lets Prometheus know of its traffic."""
    found = [metric for metric, series in _LATENCY.items() if release.metric(series)]
    errors = [Metric.LIVE_ERRORS] if release.engine == "vllm" else []
    return (*found, *errors)


def bound_of(release: EngineRelease, metric: Metric, target: float) -> float:
    """The bucket's bound nearest above a target in seconds; the target itself where the buckets are not known."""
    fact = release.metrics.get(_LATENCY[metric])
    above = [one for one in (fact.buckets if fact else ()) if one >= target]
    return min(above, default=target)


def queries(release: EngineRelease, plan: CanaryPlan, namespace: str, pods: Sequence[str]) -> list[Query]:
    """One query a live criterion, each pod by itself."""
    who = f'namespace="{namespace}",pod=~"{"|".join(sorted(pods))}"'
    found = []
    for one in plan.criteria:
        if one.metric is Metric.LIVE_ERRORS:
            text = f'sum by (pod, status) ({_HTTP}{{{who},handler=~"{_HANDLERS}"}})'
            found.append(Query(text, one.metric))
        elif one.metric in _LATENCY:
            name = release.metric(_LATENCY[one.metric])
            found.append(Query(f"sum by (pod, le) ({name}{{{who}}})", one.metric, one.bound))
    return found


def read_counters(query: Query, samples: Sequence[Sample]) -> Counters:
    """All and bad requests by pod; pods without a sample are not there."""
    found: dict[str, tuple[float, float]] = {}
    if query.metric is Metric.LIVE_ERRORS:
        for labels, value in samples:
            every, bad = found.get(labels.get("pod", ""), (0.0, 0.0))
            is_bad = labels.get("status", "").startswith("5")
            found[labels.get("pod", "")] = (every + value, bad + (value if is_bad else 0.0))
        return found
    by_pod: dict[str, dict[float, float]] = {}
    for labels, value in samples:
        by_pod.setdefault(labels.get("pod", ""), {})[float(labels.get("le", "nan"))] = value
    for pod, buckets in by_pod.items():
        within = [bound for bound in buckets if bound >= query.bound]
        if float("inf") in buckets:
            whole = buckets[float("inf")]
            found[pod] = (whole, whole - buckets[min(within)])
    return found


def blocks(
    metric: Metric, now: Counters, cursors: Counters, canary: Sequence[str], stable: Sequence[str]
) -> tuple[Block | None, Counters]:
    """What happened since the cursors, and the cursors after that. No block where a version has no series at all.

    Then the marks stay where they are, for both versions, so that the next block holds the same time of both.
    """
    sums = {}
    for version, pods in (("canary", canary), ("stable", stable)):
        seen = [pod for pod in pods if pod in now]
        if not seen:
            return None, {**now, **cursors}
        grown = [_since(now[pod], cursors.get(pod)) for pod in seen]
        sums[version] = (sum(one[0] for one in grown), sum(one[1] for one in grown))
    every, bad = sums["canary"]
    stable_every, stable_bad = sums["stable"]
    return Block(metric, every, bad, stable_every, stable_bad), {**cursors, **now}


def _since(now: tuple[float, float], before: tuple[float, float] | None) -> tuple[int, int]:
    if before is None:
        return 0, 0
    # A counter that fell began anew.
    every = now[0] - before[0] if now[0] >= before[0] else now[0]
    bad = now[1] - before[1] if now[0] >= before[0] else now[1]
    return round(every), min(max(0, round(bad)), round(every))
