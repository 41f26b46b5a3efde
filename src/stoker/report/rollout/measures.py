"""What is measured, and how Prometheus is asked for it: pure text, checked against a real Prometheus by the tests.

A measure has alternatives, best first; the first with data counts, and the figure says which one it was. ``$window``,
``$step``, ``$rate`` and ``$from`` stand for the window's length, the resolution within it, the range of rates and the
window's begin in seconds since the epoch.

GPUs are told apart as the audit and the twin do it: *present* (paid for), *held* (requested by running pods), *busy* (a kernel
ran) and *useful* (their multiprocessors had work). Averages are over time of averages over GPUs, because the series of one GPU
changes its labels with the pod that holds it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from stoker.catalog.engines import Metric, engines, release

__all__ = ["GPU_KINDS", "LINES", "MEASURES", "Ask", "Line", "Measure", "filled", "rate_range", "step_of"]

_GPU: Final = 'resource=~"nvidia_com_gpu|nvidia_com_mig_.*|amd_com_gpu"'
_WHOLE_GPU: Final = 'resource=~"nvidia_com_gpu|amd_com_gpu"'
# dcgm-exporter has one row for each pod of a shared GPU, and names the same label differently by release.
_DEVICE: Final = "UUID, uuid, gpu, Hostname, hostname"
_POD: Final = "namespace, pod"
_GPU_PODS: Final = f"max by ({_POD}) (kube_pod_container_resource_requests{{{_GPU}}})"
_NO_KUBE: Final = "kube-state-metrics is not scraped, or was not yet"
_NO_DCGM: Final = "the DCGM exporter is not scraped, or was not yet"
_NO_ENGINE: Final = "no engine with these series was scraped, or no request finished"


@dataclass(frozen=True, slots=True)
class Ask:
    """One way to a figure.

    Attributes:
        query: PromQL with ``$window`` and its like.
        series: what it reads, for the source.
        note: what a reader must know where this one was taken.
        inside: what is averaged over time, without the averaging; empty where nothing is. How much of the window has data is
            asked with it.
    """

    query: str
    series: str
    note: str = ""
    inside: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table.

    Attributes:
        unit: ``ratio`` (0 to 1), ``seconds``, ``count``, ``usd_per_month``.
        better: ``lower``, ``higher`` or empty where neither is.
        about: one line.
        absent: why there may be no data.
        asks: empty for what is computed from others or read from the evidence.
    """

    id: str
    title: str
    unit: str
    better: str
    about: str
    absent: str = ""
    asks: tuple[Ask, ...] = ()


def _mean(inside: str, series: str, note: str = "") -> Ask:
    return Ask(f"avg_over_time(({inside})[$window:$step])", series, note, inside)


def _devices(series: str) -> str:
    return f"max by ({_DEVICE}) ({series})"


def _running() -> str:
    return (
        f"sum(kube_pod_container_resource_requests{{{_WHOLE_GPU}}} * on ({_POD}) group_left () "
        f'(max by ({_POD}) (kube_pod_status_phase{{phase="Running"}}) == 1))'
    )


def _restarts(when: str = "") -> str:
    return f"max by (namespace, pod, container) (kube_pod_container_status_restarts_total{when})"


def _ended(reason: str, among: str = "") -> str:
    """Restarts whose last end had that reason; 0 where containers are seen and none ended so."""
    ended = (
        f"(clamp_min({_restarts()} - {_restarts(' offset $step')}, 0) "
        "and on (namespace, pod, container) max by (namespace, pod, container) "
        f'(kube_pod_container_status_last_terminated_reason{{reason="{reason}"}}) == 1{among})'
    )
    some = "count(last_over_time(kube_pod_container_status_restarts_total[$window]))"
    return f"sum(sum_over_time({ended}[$window:$step])) or 0 * {some}"


def _born() -> str:
    created = f"max by ({_POD}) (last_over_time(kube_pod_created[$window])) > $from"
    return f"{created} and on ({_POD}) max by ({_POD}) (last_over_time(kube_pod_container_resource_requests{{{_GPU}}}[$window]))"


def _first_ready() -> str:
    ready = f'max by ({_POD}) (kube_pod_status_ready{{condition="true"}}) == 1'
    age = f"(time() - max by ({_POD}) (kube_pod_created)) and on ({_POD}) {ready} and on ({_POD}) {_GPU_PODS}"
    return f"quantile(0.5, min_over_time(({age})[$window:$step]) and on ({_POD}) ({_born()}))"


def _engine_series(role: Metric) -> tuple[str, ...]:
    """The names that engines' pinned releases give to a role, each once; those in microseconds are left out."""
    facts = (release(engine.name, engine.default_version).metrics.get(role) for engine in engines())
    return tuple(
        dict.fromkeys(fact.name for fact in facts if fact is not None and fact.unit != "microseconds")
    )


def _ttft(share: float) -> tuple[Ask, ...]:
    return tuple(
        Ask(
            f"histogram_quantile({share}, sum by (le) (increase({name}[$window])))",
            name,
            "interpolated between the histogram's bounds",
        )
        for name in _engine_series(Metric.TTFT_BUCKET)
    )


def _requests() -> tuple[Ask, ...]:
    """Whole requests: Prometheus extrapolates an increase to the window's ends."""
    note = "as the engines count: what never reached one is not in it"
    return tuple(
        Ask(f"round(sum(increase({name}[$window])))", name, note)
        for name in _engine_series(Metric.REQUEST_SUCCESS)
    )


def _errors() -> tuple[Ask, ...]:
    """Of the engines that say how a request ended; aborts are clients that went away."""
    asks = []
    for engine in engines():
        fact = release(engine.name, engine.default_version).metrics.get(Metric.REQUEST_SUCCESS)
        if fact is not None and "finished_reason" in fact.labels:
            whole = f"sum(increase({fact.name}[$window]))"
            failed = f'sum(increase({fact.name}{{finished_reason="error"}}[$window]))'
            asks.append(Ask(f"({failed} or 0 * {whole}) / {whole}", fact.name))
    return tuple(asks)


_BUSY: Final = (
    _mean(f"avg({_devices('DCGM_FI_PROF_GR_ENGINE_ACTIVE')})", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
    _mean(
        f"avg({_devices('DCGM_FI_DEV_GPU_UTIL')}) / 100",
        "DCGM_FI_DEV_GPU_UTIL",
        "some kernel ran: near 100 % with a single request",
    ),
)

MEASURES: Final[Mapping[str, Measure]] = {
    measure.id: measure
    for measure in (
        Measure(
            "gpus", "GPUs in the cluster", "count", "", "What is paid for.", _NO_KUBE,
            (
                _mean(f"sum(kube_node_status_allocatable{{{_WHOLE_GPU}}})", "kube_node_status_allocatable"),
                _mean(f"count({_devices('DCGM_FI_DEV_GPU_UTIL')})", "DCGM_FI_DEV_GPU_UTIL",
                      "GPUs that the exporter sees: nodes advertise none"),
            ),
        ),
        Measure(
            "gpus_held", "GPUs held by pods", "count", "", "Requested by running pods, busy or not.", _NO_KUBE,
            (_mean(f"({_running()}) or 0 * count(kube_pod_status_phase)",
                   "kube_pod_container_resource_requests, kube_pod_status_phase"),),
        ),
        Measure("gpu_held", "Share held", "ratio", "", "Of the GPUs in the cluster, held by pods."),
        Measure(
            "gpu_busy", "GPUs busy", "ratio", "higher", "Share of all GPUs on which a kernel ran.", _NO_DCGM, _BUSY,
        ),
        Measure(
            "gpu_useful", "GPUs useful", "ratio", "higher", "Share of cycles with work on a multiprocessor.",
            "DCGM_FI_PROF_SM_ACTIVE is not among the exporter's default counters",
            (_mean(f"avg({_devices('DCGM_FI_PROF_SM_ACTIVE')})", "DCGM_FI_PROF_SM_ACTIVE"),),
        ),
        Measure("bill_usd_month", "GPU bill", "usd_per_month", "lower", "All GPUs, busy or not, at the price named."),
        Measure("idle_usd_month", "Idle cost", "usd_per_month", "lower", "The part of the bill that was not busy."),
        Measure(
            "oom_incidents", "OOM kills", "count", "lower", "Containers that the kernel killed for host memory.",
            _NO_KUBE,
            (Ask(_ended("OOMKilled"),
                 "kube_pod_container_status_last_terminated_reason, kube_pod_container_status_restarts_total",
                 "a pod that was killed and deleted between two scrapes is not seen"),),
        ),
        Measure(
            "gpu_crashes", "Crashes of GPU containers", "count", "lower",
            "Ends with reason Error: GPU memory that runs out looks like this; only the log tells.", _NO_KUBE,
            (Ask(_ended("Error", f" and on ({_POD}) {_GPU_PODS}"),
                 "kube_pod_container_status_last_terminated_reason, kube_pod_container_status_restarts_total"),),
        ),
        Measure("ttft_p50", "TTFT P50", "seconds", "lower", "Time to the first token, median.", _NO_ENGINE, _ttft(0.5)),
        Measure("ttft_p95", "TTFT P95", "seconds", "lower", "One request in twenty waited longer.", _NO_ENGINE, _ttft(0.95)),
        Measure("ttft_p99", "TTFT P99", "seconds", "lower", "One in a hundred waited longer.", _NO_ENGINE, _ttft(0.99)),
        Measure("requests", "Requests finished", "count", "", "By all engines.", _NO_ENGINE, _requests()),
        Measure("error_share", "Errors", "ratio", "lower", "Share of finished requests that ended in an error.",
                _NO_ENGINE, _errors()),
        Measure(
            "cold_starts", "GPU pods started", "count", "", "Pods with GPUs that were created in the window.", _NO_KUBE,
            (Ask(f"count({_born()}) or 0 * count(last_over_time(kube_pod_created[$window]))",
                 "kube_pod_created, kube_pod_container_resource_requests"),),
        ),
        Measure(
            "cold_start_p50", "Cold start, median", "seconds", "lower", "From a pod's creation until it was ready.",
            "no pod with GPUs was created and became ready in the window",
            (Ask(_first_ready(), "kube_pod_created, kube_pod_status_ready", "to the resolution of the scrapes"),),
        ),
        Measure("users_answered", "Users answered", "ratio", "higher", "Of the requests that were sent on purpose."),
        Measure("users_p95", "Whole answer P95", "seconds", "lower", "As those users saw it, from the intended moment."),
        Measure("rollout_seconds", "Model rollout", "seconds", "lower", "From the canary's start until it was promoted."),
        Measure("page_seconds", "Time to page", "seconds", "lower", "From saturation until the receiver was told."),
    )
}  # fmt: skip

GPU_KINDS: Final = "count by (modelName) (max by (UUID, modelName) (DCGM_FI_DEV_GPU_UTIL))"


@dataclass(frozen=True, slots=True)
class Line:
    """One line over time; ``asks`` as of a measure."""

    name: str
    title: str
    unit: str
    asks: tuple[Ask, ...]


def _lines(name: str, title: str, unit: str, *asks: tuple[str, str]) -> Line:
    return Line(name, title, unit, tuple(Ask(query, series) for query, series in asks))


def _quantile_line(name: str, title: str, share: float) -> Line:
    return _lines(
        name,
        title,
        "seconds",
        *(
            (f"histogram_quantile({share}, sum by (le) (rate({series}[$rate])))", series)
            for series in _engine_series(Metric.TTFT_BUCKET)
        ),
    )


def _pods_line(name: str, title: str, unit: str, how: str, role: Metric) -> Line:
    return _lines(name, title, unit, *((f"{how}({series})", series) for series in _engine_series(role)))


# Lines of the charts, in their order.
LINES: Final = (
    _lines(
        "gpu_held",
        "held",
        "ratio",
        (
            f"(({_running()}) or 0 * count(kube_pod_status_phase)) / sum(kube_node_status_allocatable{{{_WHOLE_GPU}}})",
            "kube_pod_container_resource_requests, kube_node_status_allocatable",
        ),
    ),
    Line("gpu_busy", "busy", "ratio", tuple(Ask(ask.inside, ask.series, ask.note) for ask in _BUSY)),
    _lines(
        "gpu_useful",
        "useful",
        "ratio",
        (f"avg({_devices('DCGM_FI_PROF_SM_ACTIVE')})", "DCGM_FI_PROF_SM_ACTIVE"),
    ),
    _quantile_line("ttft_p50", "P50", 0.5),
    _quantile_line("ttft_p95", "P95", 0.95),
    _quantile_line("ttft_p99", "P99", 0.99),
    _pods_line("requests_waiting", "waiting", "requests", "sum", Metric.REQUESTS_WAITING),
    _pods_line("requests_running", "running", "requests", "sum", Metric.REQUESTS_RUNNING),
    _pods_line("kv_cache_usage", "fullest KV cache", "ratio", "max", Metric.KV_CACHE_USAGE),
    _pods_line("replicas", "replicas seen", "count", "count", Metric.REQUESTS_RUNNING),
)


def step_of(seconds: float) -> timedelta:
    """Resolution within a window: as fine as scrapes usually are, and no more than 500 steps."""
    return timedelta(seconds=max(15, math.ceil(seconds / 500)))


def rate_range(step: timedelta) -> timedelta:
    """Range of a rate that is drawn in such steps: four scrapes at least, and no sample left out."""
    return max(timedelta(minutes=1), 2 * step)


def filled(query: str, seconds: float, step: timedelta, start: float = 0.0) -> str:
    """The query for one window."""
    words = {
        "$window": f"{max(1, round(seconds))}s",
        "$step": f"{step.total_seconds():.0f}s",
        "$rate": f"{rate_range(step).total_seconds():.0f}s",
        "$from": f"{start:.3f}",
    }
    for word, value in words.items():
        query = query.replace(word, value)
    return query
