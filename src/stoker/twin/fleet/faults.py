"""What happens to a fleet: nodes that fail and come back, spot reclaims, drains for maintenance, rolling updates."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stoker.twin.fleet.budgets import Budgets
from stoker.twin.fleet.machines import Machines, NodeRun
from stoker.twin.fleet.pods import Reason
from stoker.twin.fleet.spec import Faults, FleetSpec
from stoker.twin.fleet.workload import WorkloadRun

__all__ = ["FaultRuns", "FaultTally"]

_RECLAIM_NOTICE_S = 120.0  # the notice of an EC2 spot reclaim
_EVICT_AGAIN_S = 5.0  # kubectl drain's pause after a refused eviction (k8s.io/kubectl pkg/drain/drain.go)


@dataclass(slots=True)
class FaultTally:
    """What happened: nodes that failed, were reclaimed, were drained, and evictions that a budget put off."""

    node_failures: int = 0
    spot_reclaims: int = 0
    drains: int = 0
    evictions: int = 0
    evictions_put_off: int = 0


class FaultRuns:
    """Draws failures with the rates of the fleet's `Faults`; without any nothing happens and nothing is drawn."""

    def __init__(
        self, spec: FleetSpec, machines: Machines, runs: Sequence[WorkloadRun], rng: np.random.Generator
    ) -> None:
        """``rng`` is the faults' own, so that fleets that are compared lose the same nodes at the same times."""
        self.tally = FaultTally()
        self._faults: Faults = spec.faults
        self._budgets = Budgets(spec.policies, runs)
        self._runs = runs
        self._machines = machines
        self._agenda = machines.agenda
        self._rng = rng

    def start(self, duration_s: float) -> None:
        """Draw everything that happens within ``duration_s``."""
        names = sorted(self._machines.nodes)
        spot = [name for name in names if self._machines.nodes[name].group.spot]
        for mean, action, may in (
            (self._faults.node_mtbf_s, self._fail, names),
            (self._faults.spot_reclaim_s, self._reclaim, spot),
        ):
            for name in may if mean > 0 else ():
                time = float(self._rng.exponential(mean))
                while time < duration_s:
                    self._agenda.at(time, action, name)
                    time += self._faults.node_repair_s + float(self._rng.exponential(mean))
        for number, time in enumerate(self._faults.drains):
            self._agenda.at(time, self._drain, names[number % len(names)])
        for time in self._faults.rollouts:
            for run in self._runs:
                self._agenda.at(time, run.roll)

    def _fail(self, name: str) -> None:
        node = self._machines.nodes.get(name)
        if node is not None:
            self.tally.node_failures += 1
            self._lose(node)

    def _lose(self, node: NodeRun) -> None:
        if self._machines.nodes.get(node.name) is node:
            self._machines.remove_node(node.name, Reason.NODE_LOST)
            self._agenda.after(self._faults.node_repair_s, self._return, node)

    def _return(self, node: NodeRun) -> None:
        if node.name not in self._machines.nodes:
            self._machines.add_node(node.group, node.name, node.zone)

    def _reclaim(self, name: str) -> None:
        """Pods get the notice to drain in, whatever budgets say; then the node is gone."""
        node = self._machines.nodes.get(name)
        if node is not None:
            self.tally.spot_reclaims += 1
            self._machines.cordon(name)
            for pod in list(node.pods.values()):
                self._machines.stop(pod, Reason.DRAINED, min(pod.grace_s, _RECLAIM_NOTICE_S))
            self._agenda.after(_RECLAIM_NOTICE_S, self._lose, node)

    def _drain(self, name: str) -> None:
        """Kubectl drain: cordon, then evict; the empty node is away for the repair time."""
        node = self._machines.nodes.get(name)
        if node is not None:
            self.tally.drains += 1
            self._machines.cordon(name)
            self._evict(node)

    def _evict(self, node: NodeRun) -> None:
        """Evict what budgets allow; look again until the node is empty."""
        if self._machines.nodes.get(node.name) is not node:
            return
        for pod in list(node.pods.values()):
            if pod.ending:
                continue
            if self._budgets.allow(pod):
                self.tally.evictions += 1
                self._machines.stop(pod, Reason.DRAINED)
            else:
                self.tally.evictions_put_off += 1
        if node.pods:
            self._agenda.after(_EVICT_AGAIN_S, self._evict, node)
        else:
            self._lose(node)
