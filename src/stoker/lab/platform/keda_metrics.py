"""KEDA's metrics server: what HPAs read of triggers.

Source: kedacore/keda v2.20.2 pkg/provider/provider.go, pkg/metricsservice/server.go, pkg/scaling/scale_handler.go
(GetScaledObjectMetrics), pkg/fallback/fallback.go.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stoker.errors import StokerError
from stoker.lab.control.local import Local
from stoker.lab.controllers.metrics import MetricsError, MetricsSource, NoMetrics, Usage
from stoker.lab.platform.keda_objects import OWNER_LABEL, remember, state_of
from stoker.lab.platform.keda_poll import replicas_of
from stoker.lab.platform.signals import Signals
from stoker.lab.platform.triggers import metric_name, read, with_targets
from stoker.twin.autoscaler.keda import metric_value, parse_scaled_object

__all__ = ["ExternalMetrics"]

Object = dict[str, Any]

_API, _KIND = "keda.sh/v1alpha1", "ScaledObject"


class ExternalMetrics:
    """external.metrics.k8s.io as KEDA's metrics server answers it; everything else is asked of ``rest``."""

    def __init__(self, local: Local, signals: Signals, rest: MetricsSource | None = None) -> None:
        self._local = local
        self._signals = signals
        self._rest: MetricsSource = rest or NoMetrics()

    def external(self, namespace: str, metric: str, selector: Object | None) -> Sequence[float]:
        """A trigger's value, or its fallback's (GetScaledObjectMetrics); every error counts as a failure of the trigger."""
        if self._local.kind(_API, _KIND) is None:
            return self._rest.external(namespace, metric, selector)
        name = ((selector or {}).get("matchLabels") or {}).get(OWNER_LABEL)
        if not name:
            raise MetricsError("scaledObject name is not specified")
        failed = MetricsError(
            f"rpc error: code = Unknown desc = error when getting metric values metric:{metric} encountered error"
        )
        obj = self._local.get(_API, _KIND, namespace, name)
        if obj is None:
            raise MetricsError(
                "rpc error: code = Unknown desc = error when getting metric values error getting scalers "
                f'scaledobjects.keda.sh "{name}" not found'
            )
        try:
            scaled = with_targets(parse_scaled_object(obj), self._local, namespace)
        except StokerError as error:
            raise failed from error
        trigger = next((one for one in scaled.triggers if metric_name(one, namespace) == metric), None)
        if trigger is None:
            raise MetricsError(
                f"rpc error: code = Unknown desc = error when getting metric values no matching metrics found for {metric}"
            )
        reading = read(trigger, self._signals, self._local, namespace, self._local.cluster.clock())
        if reading is None:
            raise failed
        state = state_of(obj, scaled)
        before = dict(state.failures)
        current, ready = replicas_of(self._local, obj) if reading.error else (0, 0)
        value = metric_value(scaled, state, trigger, reading, current, ready=ready)
        status = obj.setdefault("status", {})
        if scaled.fallback is not None and state.failures != before and status.get("conditions"):
            remember(status, scaled, state, namespace)
            self._local.update_status(obj)
        if value is None:
            raise failed
        return [value]

    def resource(
        self, namespace: str, pods: Sequence[str], resource: str, container: str
    ) -> Mapping[str, Usage]:
        return self._rest.resource(namespace, pods, resource, container)

    def pods(
        self, namespace: str, pods: Sequence[str], metric: str, selector: Object | None
    ) -> Mapping[str, Usage]:
        return self._rest.pods(namespace, pods, metric, selector)

    def object(self, namespace: str, reference: Object, metric: str, selector: Object | None) -> float:
        return self._rest.object(namespace, reference, metric, selector)
