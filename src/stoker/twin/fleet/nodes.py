"""Nodes that a cluster autoscaler adds and takes away."""

from stoker.twin.fleet.machines import Machines
from stoker.twin.fleet.spec import FleetSpec, NodeGroup

__all__ = ["NodeScaler"]

# cluster-autoscaler's defaults (kubernetes/autoscaler cluster-autoscaler/FAQ.md): --scan-interval,
# --scale-down-unneeded-time, --scale-down-delay-after-add.
_SCAN_S = 10.0
_UNNEEDED_S = 600.0
_DELAY_AFTER_ADD_S = 600.0


class NodeScaler:
    """Adds a node where a pod does not fit and its group may grow, and removes nodes that stay empty of GPU pods.

    GPU nodes are judged by their GPUs only, as the cluster autoscaler does; a node in use is not emptied, because its pods
    hold whole models that would have to load again elsewhere.
    """

    def __init__(self, spec: FleetSpec, machines: Machines) -> None:
        self._groups = [group for group in spec.groups if group.max_nodes > group.nodes]
        self._machines = machines
        self._agenda = machines.agenda
        self._coming: dict[str, int] = {}
        self._empty_since: dict[str, float] = {}
        self._added_s = -_DELAY_AFTER_ADD_S
        self._number = 0

    def start(self) -> None:
        if self._groups:
            self._agenda.after(_SCAN_S, self._scan)

    def _scan(self) -> None:
        self._agenda.after(_SCAN_S, self._scan)
        for group in self._groups:
            self._grow(group)
            self._shrink(group)

    def _grow(self, group: NodeGroup) -> None:
        waiting = sum(pod.gpus for pod in self._machines.pending.values() if pod.message)
        coming = self._coming.get(group.name, 0)
        have = sum(node.group is group for node in self._machines.nodes.values())
        needed = int(-(-waiting // group.gpus)) - coming
        for _ in range(min(needed, group.max_nodes - have - coming)):
            self._coming[group.name] = self._coming.get(group.name, 0) + 1
            self._agenda.after(group.provision_s, self._arrived, group)

    def _arrived(self, group: NodeGroup) -> None:
        self._coming[group.name] -= 1
        self._number += 1
        self._added_s = self._agenda.now
        zone = "abc"[self._number % 3]
        self._machines.add_node(group, f"{group.name}-added-{self._number}", zone)

    def _shrink(self, group: NodeGroup) -> None:
        now = self._agenda.now
        nodes = [node for node in self._machines.nodes.values() if node.group is group]
        for node in nodes:
            if any(pod.gpus > 0 for pod in node.pods.values()):
                self._empty_since.pop(node.name, None)
            else:
                self._empty_since.setdefault(node.name, now)
        if now - self._added_s < _DELAY_AFTER_ADD_S:
            return
        spare = len(nodes) - group.nodes
        for node in nodes:
            if spare > 0 and now - self._empty_since.get(node.name, now) >= _UNNEEDED_S:
                spare -= 1
                del self._empty_since[node.name]
                self._machines.remove_node(node.name, "ScaleDown")
