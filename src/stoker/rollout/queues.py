"""Requests that wait and run in a model's engines: asked of the pods themselves where they answer, else of Prometheus.

A scrape every 15 s says nothing about the seconds of a scale-up, so the pods come first.
"""

import re
from typing import Final, Self

import httpx2

from stoker.catalog.engines import Metric
from stoker.errors import StokerError
from stoker.rollout.endpoints import find_prometheus
from stoker.rollout.gate import CannotMeasureError, Context
from stoker.rollout.monitoring import Prometheus, services
from stoker.rollout.pods import ready_pods
from stoker.sizing.resolved import ResolvedModel

__all__ = ["Engines", "summed"]

_TIMEOUT: Final = httpx2.Timeout(5.0, connect=1.0)


def summed(page: str, name: str) -> float | None:
    """Sum of a metric's series on a page of metrics; None where it has none."""
    found = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)", page, re.MULTILINE)
    return sum(float(one) for one in found) if found else None


class Engines:
    """The engines of one model; close it, or use it in a ``with``.

    Attributes:
        source: ``pods`` or ``Prometheus``, once something was read.
    """

    def __init__(self, context: Context, model: ResolvedModel) -> None:
        waiting, running = (
            model.release.metric(role) for role in (Metric.REQUESTS_WAITING, Metric.REQUESTS_RUNNING)
        )
        if waiting is None or running is None:
            raise CannotMeasureError(f"the engine of {model.name} does not tell how many requests wait")
        self._names = (waiting, running)
        self._context, self._model = context, model
        self._direct = httpx2.Client(timeout=_TIMEOUT, trust_env=False)
        self._prometheus: httpx2.Client | None = None
        self.source = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._direct.close()
        if self._prometheus is not None:
            self._prometheus.close()

    def read(self) -> tuple[float, float] | None:
        """Requests waiting and running over all ready replicas now; None where nobody tells.

        Raises:
            CannotMeasureError: neither the pods nor a Prometheus answer.
        """
        if self.source != "Prometheus":
            found = self._of_pods()
            if found is not None:
                self.source = "pods"
                return found
            if self.source == "pods":
                return None
        return self._of_prometheus()

    def _of_pods(self) -> tuple[float, float] | None:
        sums = [0.0, 0.0]
        pods = ready_pods(self._context.cluster, self._model)
        for pod in pods:
            release = self._model.release
            port = release.metrics_port if release.metrics_port != release.port else self._model.port
            try:
                page = self._direct.get(f"http://{pod.address}:{port}{release.metrics_path}").text
            except httpx2.HTTPError:
                return None  # it has just gone, or pods are no address from here
            for place, name in enumerate(self._names):
                value = summed(page, name)
                if value is None:
                    return None
                sums[place] += value
        return (sums[0], sums[1]) if pods else None

    def _of_prometheus(self) -> tuple[float, float] | None:
        context, model = self._context, self._model
        if self._prometheus is None:
            endpoint = find_prometheus(context.cluster, context.platform, services(context))
            self._prometheus = endpoint.client(_TIMEOUT)
            self._reader = Prometheus(self._prometheus, context.now, endpoint)
        own = f'{{namespace="{model.namespace}",model="{model.name}"}}'
        try:
            values = [self._reader.value(f"sum({name}{own})") for name in self._names]
        except StokerError as error:
            raise CannotMeasureError(f"nobody tells how many requests wait: {error.message}") from error
        waiting, running = values
        if waiting is None or running is None:
            return None
        self.source = "Prometheus"
        return waiting, running
