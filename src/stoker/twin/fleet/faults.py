"""What breaks: nodes that fail and come back, spot nodes that are reclaimed, drains for maintenance."""

import numpy as np

from stoker.twin.fleet.machines import Machines, NodeRun
from stoker.twin.fleet.pods import Reason
from stoker.twin.fleet.spec import FleetSpec

__all__ = ["FaultRuns"]

_RECLAIM_NOTICE_S = 120.0  # the notice of an EC2 spot reclaim


class FaultRuns:
    """Draws failures with the rates of the fleet's `Faults`; without rates nothing happens and nothing is drawn."""

    def __init__(self, spec: FleetSpec, machines: Machines, rng: np.random.Generator) -> None:
        self._faults = spec.faults
        self._machines = machines
        self._agenda = machines.agenda
        self._rng = rng

    def start(self, duration_s: float) -> None:
        """Draw everything that happens within ``duration_s``."""
        names = sorted(self._machines.nodes)
        for mean, action in (
            (self._faults.node_mtbf_s, self._fail),
            (self._faults.spot_reclaim_s, self._reclaim),
        ):
            for name in names if mean > 0 else ():
                time = float(self._rng.exponential(mean))
                while time < duration_s:
                    self._agenda.at(time, action, name)
                    time += self._faults.node_repair_s + float(self._rng.exponential(mean))
        for number, time in enumerate(self._faults.drains):
            self._agenda.at(time, self._drain, names[number % len(names)])

    def _fail(self, name: str) -> None:
        node = self._machines.nodes.get(name)
        if node is not None:
            self._lose(node)

    def _lose(self, node: NodeRun) -> None:
        self._machines.remove_node(node.name, Reason.NODE_LOST)
        self._agenda.after(self._faults.node_repair_s, self._return, node)

    def _return(self, node: NodeRun) -> None:
        if node.name not in self._machines.nodes:
            self._machines.add_node(node.group, node.name, node.zone)

    def _reclaim(self, name: str) -> None:
        """Pods get the notice to drain in; then the node is gone."""
        node = self._machines.nodes.get(name)
        if node is not None:
            for pod in list(node.pods.values()):
                self._machines.stop(pod, Reason.NODE_LOST, min(pod.grace_s, _RECLAIM_NOTICE_S))
            self._agenda.after(_RECLAIM_NOTICE_S, self._fail, name)

    def _drain(self, name: str) -> None:
        """Kubectl drain: every pod is evicted and gets its grace period; the node is back when it is repaired."""
        node = self._machines.nodes.get(name)
        if node is not None:
            for pod in list(node.pods.values()):
                self._machines.stop(pod, Reason.DRAINED)
            longest = max((pod.grace_s for pod in node.pods.values()), default=0.0)
            self._agenda.after(longest + 1.0, self._fail, name)
