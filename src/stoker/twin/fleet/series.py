"""The run over time: one row per workload and sample, one per cluster and sample."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stoker.twin.engine import layout as at
from stoker.twin.fleet.agenda import Agenda
from stoker.twin.fleet.machines import Machines

if TYPE_CHECKING:
    from stoker.twin.fleet.simulation import Route

__all__ = ["Series"]

_WORKLOAD = (
    "time_s",
    "workload",
    "desired",
    "replicas",
    "ready",
    "running",
    "waiting",
    "held",
    "kv_usage",
    "busy_s",
)
_CLUSTER = ("time_s", "nodes", "gpus", "gpus_allocated", "pods_pending")


class Series:
    """Samples in order of time. ``busy_s`` is cumulative, summed over replicas."""

    def __init__(self, agenda: Agenda, routes: "Sequence[Route]", machines: Machines, every_s: float) -> None:
        self._agenda = agenda
        self._routes = routes
        self._machines = machines
        self._every_s = every_s
        self._workload: list[tuple[float, ...]] = []
        self._cluster: list[tuple[float, ...]] = []

    def start(self) -> None:
        self._agenda.at(0.0, self._sample)

    def _sample(self) -> None:
        now = self._agenda.now
        self._agenda.after(self._every_s, self._sample)
        for number, route in enumerate(self._routes):
            route.service.advance(now)
            gauges = route.run.gauges()
            service = route.service
            busy = sum(service.seconds(slot, at.RF_BUSY) for slot in range(service.s[at.CANDIDATES]))
            usage = float(gauges.kv_usage.mean()) if gauges.kv_usage.size else 0.0
            self._workload.append(
                (
                    now,
                    number,
                    route.run.desired,
                    route.run.current,
                    route.run.ready,
                    float(gauges.running.sum()),
                    float(gauges.waiting.sum()),
                    route.run.held(),
                    usage,
                    busy,
                )
            )
        machines = self._machines
        nodes = list(machines.nodes.values())
        allocated = sum(pod.gpus for node in nodes for pod in node.pods.values())
        gpus = sum(node.group.gpus for node in nodes)
        self._cluster.append((now, len(nodes), gpus, allocated, len(machines.pending)))

    def workloads(self) -> dict[str, NDArray[np.float64]]:
        """Columns by name; ``workload`` is the number of the route."""
        return _columns(_WORKLOAD, self._workload)

    def cluster(self) -> dict[str, NDArray[np.float64]]:
        """Columns by name."""
        return _columns(_CLUSTER, self._cluster)


def _columns(names: Sequence[str], rows: list[tuple[float, ...]]) -> dict[str, NDArray[np.float64]]:
    table = np.array(rows, np.float64).reshape(len(rows), len(names))
    return {name: table[:, number] for number, name in enumerate(names)}
