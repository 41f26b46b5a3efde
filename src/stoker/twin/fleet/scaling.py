"""Who moves a workload's replica count: KEDA with its HPA, an HPA on CPU, or Knative's autoscaler."""

from collections.abc import Callable
from typing import Final

import numpy as np

from stoker.errors import StokerError
from stoker.promql import metric_names
from stoker.twin.autoscaler.controller import HpaState, Reading, sync
from stoker.twin.autoscaler.cron import Window, parse_window
from stoker.twin.autoscaler.hpa import HpaSpec, Metric, parse_hpa
from stoker.twin.autoscaler.keda import (
    KedaState,
    ScaledObject,
    Trigger,
    TriggerReading,
    hpa_of,
    metric_value,
    parse_scaled_object,
    poll,
    prometheus_reading,
)
from stoker.twin.autoscaler.knative import KpaSpec, KpaState, decide
from stoker.twin.fleet.queries import Gauges, compile_query
from stoker.twin.fleet.spec import FleetSpec
from stoker.twin.fleet.workload import WorkloadRun

__all__ = ["CpuScaler", "KedaScaler", "KnativeScaler", "make_scaler"]

# kube-controller-manager --horizontal-pod-autoscaler-sync-period.
_SYNC_S: Final = 15.0
# Knative's autoscaler evaluates every two seconds (config-autoscaler tick-interval).
_KNATIVE_TICK_S: Final = 2.0
_BROKERS: Final = frozenset(("kafka", "rabbitmq", "aws-sqs-queue", "redis-streams"))
# Series of the endpoint picker's flow control: what it holds while no endpoint is there.
_HELD_SERIES: Final = "flow_control"

Read = Callable[[float], TriggerReading]


def make_scaler(
    spec: FleetSpec, run: WorkloadRun, rng: np.random.Generator
) -> "KedaScaler | CpuScaler | KnativeScaler | None":
    """The scaler of a workload, or None for a fixed count. Phases of its loops are drawn with ``rng``."""
    phase = float(rng.uniform(0, _SYNC_S))
    lag = float(rng.uniform(0, spec.scrape_interval_s))
    if run.spec.scaled_object is not None:
        return KedaScaler(run, phase, lag)
    if run.spec.hpa is not None:
        return CpuScaler(run, phase)
    return KnativeScaler(run) if run.spec.knative is not None else None


class KedaScaler:
    """KEDA's loop between zero and one, and the HPA that it keeps, over the queries of the ScaledObject.

    Prometheus answers with the last scrape, so what KEDA sees is ``lag`` seconds old; the kubelet, brokers and interceptors
    are asked directly.
    """

    def __init__(self, run: WorkloadRun, phase: float, lag: float) -> None:
        scaled = run.spec.scaled_object
        if scaled is None:
            raise ValueError("the workload has no ScaledObject")
        self._run = run
        self._agenda = run.agenda
        self._scaled: ScaledObject = parse_scaled_object(scaled)
        self._hpa: HpaSpec = parse_hpa(hpa_of(self._scaled))
        self._keda = KedaState()
        self._state = HpaState()
        self._phase = phase
        self._lag = lag
        self._reads = [_reader(trigger, self._scraped, run) for trigger in self._scaled.triggers]
        self._scrape: Gauges = run.gauges()
        self._polled_s = -1e18

    def start(self) -> None:
        """Begin at a phase of its own: controllers of a cluster are not in step."""
        self._agenda.at(self._phase, self._look)

    def _scraped(self) -> Gauges:
        return self._scrape

    def _look(self) -> None:
        """Take the scrape that will be the last one when the controllers ask, and let them ask ``lag`` later."""
        self._run.service.advance(self._agenda.now)
        self._scrape = self._run.gauges()
        self._agenda.after(self._lag, self._tick)
        self._agenda.after(_SYNC_S, self._look)

    def _tick(self) -> None:
        now = self._agenda.now
        run = self._run
        readings = [read(now) for read in self._reads]
        current = run.desired
        wanted = current
        if now - self._polled_s >= self._scaled.polling_s:
            self._polled_s = now
            wanted = poll(self._scaled, self._keda, readings, current, now, ready=run.ready)
        # While it is paused, KEDA keeps no HPA.
        if wanted == current and current > 0 and not self._scaled.paused:
            wanted = self._sync(readings, current, now)
        if wanted != current:
            run.scale_to(wanted)

    def _sync(self, readings: list[TriggerReading], current: int, now: float) -> int:
        values = {
            f"s{trigger.index}-{trigger.kind}": metric_value(
                self._scaled, self._keda, trigger, reading, current, ready=self._run.ready
            )
            for trigger, reading in zip(self._scaled.triggers, readings, strict=True)
        }

        def read(metric: Metric) -> Reading:
            value = values[metric.name]
            return Reading(error="the scaler failed") if value is None else Reading(value=value)

        existing = sum(not replica.ending for replica in self._run.replicas)
        return sync(
            self._hpa, self._state, current, read, now, ready=self._run.ready, status=existing
        ).replicas


def _reader(trigger: Trigger, scraped: Callable[[], Gauges], run: WorkloadRun) -> Read:
    """What a trigger reads.

    Raises:
        StokerError: a trigger, or a query, that the twin has nothing to answer with.
    """
    if trigger.kind == "prometheus":
        return _prometheus(trigger, scraped, run)
    if trigger.kind in _BROKERS or trigger.kind in {"external", "external-push"}:
        # A broker's lag counts what consumers have not finished; an interceptor counts what is open.
        return lambda _: TriggerReading(float(run.held() + run.in_flight()))
    if trigger.kind == "cron":
        window: Window = parse_window(trigger.metadata["start"], trigger.metadata["end"])
        replicas = float(trigger.metadata.get("desiredReplicas", "1"))
        return lambda now: TriggerReading(replicas if window.contains(now) else 0.0)
    raise StokerError(
        f"{run.spec.name}: the twin has no {trigger.kind!r} trigger",
        fix="use prometheus, a broker, the HTTP add-on or cron",
    )


def _prometheus(trigger: Trigger, scraped: Callable[[], Gauges], run: WorkloadRun) -> Read:
    query = trigger.metadata["query"]
    if all(_HELD_SERIES in name for name in metric_names(query)):
        return lambda _: TriggerReading(float(run.held()))
    evaluate = compile_query(query)
    ignore_null = trigger.metadata.get("ignoreNullValues", "true") != "false"

    def read(_: float) -> TriggerReading:
        return prometheus_reading(evaluate(scraped()), ignore_null=ignore_null)

    return read


class CpuScaler:
    """An HPA on CPU: what KServe makes in Standard mode, and what a cluster for microservices has."""

    def __init__(self, run: WorkloadRun, phase: float) -> None:
        if run.spec.hpa is None:
            raise ValueError("the workload has no HPA")
        self._run = run
        self._agenda = run.agenda
        self._hpa = parse_hpa(run.spec.hpa)
        self._state = HpaState()
        self._phase = phase

    def start(self) -> None:
        """Begin at a phase of its own."""
        self._agenda.at(self._phase, self._sync)

    def _sync(self) -> None:
        now = self._agenda.now
        self._agenda.after(_SYNC_S, self._sync)
        run = self._run
        run.service.advance(now)
        samples = run.cpu_samples(now)
        current = run.desired
        wanted = sync(self._hpa, self._state, current, lambda _: Reading(pods=samples), now).replicas
        if wanted != current:
            run.scale_to(wanted)


class KnativeScaler:
    """Knative's autoscaler: concurrency over a stable and a panic window, to zero and back."""

    def __init__(self, run: WorkloadRun) -> None:
        if run.spec.knative is None:
            raise ValueError("the workload has no Knative annotations")
        self._run = run
        self._agenda = run.agenda
        self._spec = KpaSpec.from_annotations(run.spec.knative)
        self._state = KpaState()

    def start(self) -> None:
        """Begin at once."""
        self._agenda.at(0.0, self._tick)

    def _tick(self) -> None:
        now = self._agenda.now
        self._agenda.after(_KNATIVE_TICK_S, self._tick)
        run = self._run
        run.service.advance(now)
        concurrency = float(run.held() + run.in_flight())
        wanted = decide(self._spec, self._state, concurrency, run.ready, run.desired, now)
        if wanted != run.desired:
            run.scale_to(wanted)
