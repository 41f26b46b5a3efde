"""What KEDA's triggers hear of the lab's Prometheus."""

from collections.abc import Mapping
from typing import Final

from stoker.lab.monitoring.query import NoData, QueryError, Readings
from stoker.lab.platform.signals import Answer, Signals, Silence

__all__ = ["PrometheusSignals"]

# How old an answer may get, in the lab's seconds: KEDA asks anew at every poll, so it must be fresher than any poll.
_EVERY_S: Final = 5.0


class PrometheusSignals:
    """Signals whose Prometheus is the lab's; queues and requests are ``beside``'s to tell."""

    def __init__(self, readings: Readings, beside: Signals | None = None) -> None:
        self._readings = readings
        self._beside: Signals = beside or Silence()

    def prometheus(self, server: str, query: str) -> Answer | None:
        """The newest answer; None while the first is on its way. NaN and infinities are no value, as KEDA has it."""
        found = self._readings.prometheus_value(server, query, _EVERY_S)
        if found is None:
            return None
        if isinstance(found, QueryError):
            return Answer(error=found.message)
        return Answer() if isinstance(found, NoData) else Answer(value=found)

    def queue(self, kind: str, metadata: Mapping[str, str]) -> Answer | None:
        return self._beside.queue(kind, metadata)

    def requests(self, name: str) -> float:
        return self._beside.requests(name)
