"""What the HPA controller asks of metrics APIs, and what it hears where there are none.

The implementation is others'; without one the controller says what it says in a cluster without metrics-server and adapters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from stoker.lab.controllers.objects import Object

__all__ = ["MetricsError", "MetricsSource", "NoMetrics", "Usage"]


class MetricsError(Exception):
    """A metrics API did not answer; the message is what the client of the API would say."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one pod uses, in units (cores, bytes, …), as sampled at a time over a window."""

    value: float
    sampled: datetime
    window_s: float = 60.0


class MetricsSource(Protocol):
    """metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io; times are the lab's.

    Every method raises MetricsError where its API is not served or knows no such metric. Selectors are LabelSelectors.
    """

    def resource(
        self, namespace: str, pods: Sequence[str], resource: str, container: str
    ) -> Mapping[str, Usage]:
        """By pod what it uses of ``cpu`` or ``memory``: all containers, or the one that is named."""

    def pods(
        self, namespace: str, pods: Sequence[str], metric: str, selector: Object | None
    ) -> Mapping[str, Usage]:
        """By pod the value of a custom metric."""

    def object(self, namespace: str, reference: Object, metric: str, selector: Object | None) -> float:
        """The value of a custom metric of an object: ``apiVersion``, ``kind``, ``name``."""

    def external(self, namespace: str, metric: str, selector: Object | None) -> Sequence[float]:
        """Values of an external metric."""


class NoMetrics:
    """A cluster in which nobody serves metrics."""

    def resource(
        self,
        namespace: str,
        pods: Sequence[str],
        resource: str,
        container: str,
    ) -> Mapping[str, Usage]:
        del namespace, pods, resource, container
        raise MetricsError("the server could not find the requested resource (get pods.metrics.k8s.io)")

    def pods(
        self, namespace: str, pods: Sequence[str], metric: str, selector: Object | None
    ) -> Mapping[str, Usage]:
        del namespace, pods, metric, selector
        raise MetricsError("no custom metrics API (custom.metrics.k8s.io) registered")

    def object(self, namespace: str, reference: Object, metric: str, selector: Object | None) -> float:
        del namespace, reference, metric, selector
        raise MetricsError("no custom metrics API (custom.metrics.k8s.io) registered")

    def external(self, namespace: str, metric: str, selector: Object | None) -> Sequence[float]:
        del namespace, selector
        raise MetricsError(
            f"the server could not find the requested resource (get {metric}.external.metrics.k8s.io)"
        )
