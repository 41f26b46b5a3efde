"""Bad and good series for every alert: on the bad ones it must fire, on the good ones it must stay silent.

Values are promtool's notation: ``a+bxN`` is a counter that starts at a and grows by b for N further minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stoker.catalog.engines import Metric
from stoker.sizing.resolved import ResolvedModel

Series = dict[str, str]
# Longer than the longest `for`; a rate over a longer window is taken over what there is.
MINUTES = 140


@dataclass(frozen=True)
class Case:
    """One alert: series on which it fires, and series on which it does not."""

    bad: Series
    good: Series


def flat(value: float) -> str:
    return f"{value:g}x{MINUTES}"


def growing(by: float) -> str:
    return f"0+{by:g}x{MINUTES}"


class Maker:
    """Series of one model as Prometheus would hold them."""

    def __init__(self, model: ResolvedModel) -> None:
        self.model = model

    def name(self, role: Metric, pod: int = 0, **labels: str) -> str:
        fact = self.model.release.metrics[role]
        return self.series(fact.name, pod, **labels)

    def series(self, name: str, pod: int = 0, **labels: str) -> str:
        own = {
            "namespace": self.model.namespace,
            "model": self.model.name,
            "pod": f"{self.model.name}-predictor-{pod}",
            "version": "stable",
            **labels,
        }
        return f"{name}{{{', '.join(f'{key}={value!r}' for key, value in own.items())}}}".replace("'", '"')

    def pods(self, count: int, value: str) -> Series:
        return {self.series("up", pod, job="m"): value for pod in range(count)}

    def latency(self, slow_share: float, version: str = "stable") -> Series:
        """A TTFT histogram of 60 requests a minute, ``slow_share`` of them between 20 and 40 s, the rest under 0.1 s."""
        fact = self.model.release.metrics[Metric.TTFT_BUCKET]
        found = {
            self.series(fact.name, le=f"{bound}", version=version): growing(
                60 if bound >= 40 else 60 * (1 - slow_share)
            )
            for bound in [float(item) for item in fact.buckets]
            if bound >= 0.1
        }
        found[self.series(fact.name, le="+Inf", version=version)] = growing(60)
        found[self.series(f"{fact.base}_count", version=version)] = growing(60)
        return found

    def finished(self, failed: float) -> Series:
        role = Metric.REQUEST_SUCCESS
        return {
            self.name(role, finished_reason="stop"): growing(60 - failed),
            **({self.name(role, finished_reason="error"): growing(failed)} if failed else {}),
        }

    def queue(self, waiting: float, replicas: int = 1) -> Series:
        found = {self.name(Metric.REQUESTS_WAITING): flat(waiting)}
        for pod in range(replicas):
            found[self.name(Metric.REQUESTS_RUNNING, pod)] = flat(4)
        return found | self.pods(replicas, flat(1))


def model_cases(model: ResolvedModel) -> dict[str, Callable[[], Case]]:
    """Cases of the alerts of one model."""
    make, top = Maker(model), model.scaling.target_queue
    full, empty, waits = Metric.KV_CACHE_USAGE, Metric.PREEMPTIONS, Metric.REQUESTS_WAITING
    scaler = f'keda_scaler_detail_errors_total{{scaledObject="{model.name}"}}'
    pod = {"namespace": model.namespace, "pod": f"{model.name}-predictor-0"}

    def state(started: str, ready: int) -> Series:
        # A start time of 0 is long ago at any time of the test; one that moves with it is a pod that just started.
        return {
            _kube("kube_pod_start_time", pod): started,
            _kube("kube_pod_status_ready", pod, condition="true"): flat(ready),
            _kube("kube_pod_status_phase", pod, phase="Running"): flat(1),
        }

    return {
        "LLMHighQueueDepth": lambda: Case(make.queue(top + 1), make.queue(top)),
        "LLMKVCacheSaturation": lambda: Case(
            {make.name(full): flat(0.92), make.name(waits): flat(3)},
            # Full without anybody waiting is a cache well used.
            {make.name(full): flat(0.97), make.name(waits): flat(0)},
        ),
        "LLMKVCachePreemptions": lambda: Case(
            {make.name(full): flat(0.97), make.name(empty): growing(2)},
            # Full without preemption is a cache well used; and 0.97 is a ratio, never 97.
            {make.name(full): flat(0.97), make.name(empty): flat(5)},
        ),
        "LLMHighTTFT": lambda: Case(make.latency(0.2), make.latency(0.01)),
        "LLMTTFTBudgetBurnFast": lambda: Case(make.latency(0.9), make.latency(0.2)),
        "LLMTTFTBudgetBurnSlow": lambda: Case(make.latency(0.5), make.latency(0.04)),
        "LLMErrorBudgetBurnFast": lambda: Case(make.finished(6), make.finished(0)),
        "LLMErrorBudgetBurnSlow": lambda: Case(make.finished(1), make.finished(0)),
        "LLMTargetAbsent": lambda: Case(make.pods(2, flat(0)), make.pods(1, flat(1))),
        "LLMReplicasShort": lambda: Case(make.pods(1, flat(1)), make.pods(model.min_replicas, flat(1))),
        "LLMAtMaxReplicas": lambda: Case(
            make.queue(top * model.max_replicas + 1, model.max_replicas),
            make.queue(top * model.max_replicas + 1, model.max_replicas - 1),
        ),
        "LLMScalerErrors": lambda: Case({scaler: growing(1)}, {scaler: flat(3)}),
        "LLMCanaryWorse": lambda: Case(
            make.latency(0.3, model.canary.name if model.canary else "") | make.latency(0.01),
            make.latency(0.01, model.canary.name if model.canary else "") | make.latency(0.01),
        ),
        "LLMSlowStart": lambda: Case(state(flat(0), 0), state(flat(0), 1)),
    }


def tenant_cases(namespace: str, resource: str) -> dict[str, Callable[[], Case]]:
    """Cases of the alerts of one tenant."""
    where = {"namespace": namespace, "pod": "p", "container": "engine"}
    restarts = _kube("kube_pod_container_status_restarts_total", where)
    quota = {"namespace": namespace, "resourcequota": "stoker-quota", "resource": f"requests.{resource}"}

    def ended(reason: str) -> str:
        return _kube("kube_pod_container_status_last_terminated_reason", where, reason=reason)

    def used(count: int) -> Series:
        return {
            _kube("kube_resourcequota", quota, type="used"): flat(count),
            _kube("kube_resourcequota", quota, type="hard"): flat(8),
        }

    waiting = _kube("kube_pod_status_unschedulable", {"namespace": namespace, "pod": "p"})
    return {
        "LLMContainerCrashLooping": lambda: Case(
            {restarts: growing(1), ended("Error"): flat(1)},
            {restarts: growing(1), ended("OOMKilled"): flat(1)},
        ),
        "LLMHostOutOfMemory": lambda: Case(
            {restarts: growing(0.2), ended("OOMKilled"): flat(1)},
            {restarts: flat(3), ended("OOMKilled"): flat(1)},
        ),
        "GPUPodUnschedulable": lambda: Case({waiting: flat(1)}, {waiting: flat(0)}),
        "GPUQuotaNearlyUsed": lambda: Case(used(8), used(7)),
    }


def gpu_cases() -> dict[str, Callable[[], Case]]:
    """Cases of the alerts over the fleet."""

    def gpu(name: str, value: str, number: int = 0) -> Series:
        return {f'{name}{{gpu="{number}", Hostname="node-1", UUID="GPU-{number}"}}': value}

    def fleet(busy: int, idle: int) -> Series:
        found: Series = {}
        for number in range(busy + idle):
            found |= gpu("DCGM_FI_PROF_GR_ENGINE_ACTIVE", flat(0.8 if number < busy else 0), number)
        return found

    rows = "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"
    return {
        # 31 is an application's own fault (NVIDIA "XID Errors"), and no reason to drain a node.
        "GPUXidFatal": lambda: Case(
            gpu("DCGM_FI_DEV_XID_ERRORS", flat(79)), gpu("DCGM_FI_DEV_XID_ERRORS", flat(31))
        ),
        "GPURowRemapFailure": lambda: Case(
            gpu("DCGM_FI_DEV_ROW_REMAP_FAILURE", flat(1)), gpu("DCGM_FI_DEV_ROW_REMAP_FAILURE", flat(0))
        ),
        "GPUUncorrectableMemory": lambda: Case(gpu(rows, growing(1)), gpu(rows, flat(4))),
        "GPUHot": lambda: Case(gpu("DCGM_FI_DEV_GPU_TEMP", flat(91)), gpu("DCGM_FI_DEV_GPU_TEMP", flat(70))),
        "GPUsIdle": lambda: Case(fleet(1, 3), fleet(3, 1)),
        "GPUExporterAbsent": lambda: Case({}, gpu("DCGM_FI_DEV_GPU_TEMP", flat(40))),
    }


def _kube(name: str, labels: dict[str, str], **more: str) -> str:
    return f"{name}{{{', '.join(f'{key}={json(value)}' for key, value in {**labels, **more}.items())}}}"


def json(value: str) -> str:
    return f'"{value}"'


def promtool_tests(alert: str, case: Case, selector: str) -> list[dict[str, Any]]:
    """Two test groups: firing on the bad series, silent on the good ones."""
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"{selector}}}) > bool 0'

    def group(title: str, series: Series, samples: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "name": f"{alert} {title}",
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": firing, "eval_time": f"{MINUTES - 5}m", "exp_samples": samples}],
        }

    return [
        group("fires on bad series", case.bad, [{"labels": "{}", "value": 1}]),
        group("is silent on good series", case.good, []),
    ]
