"""Time-sliced GPUs in a run: from time to time, who has work on which GPU, and how much that slows the others."""

from stoker.platform.cluster import SharingMode
from stoker.twin.fleet.machines import Machines, NodeRun
from stoker.twin.fleet.sharing import GpuSharing, slowdowns
from stoker.twin.fleet.spec import FleetSpec

__all__ = ["TimeSlices"]

# Between two looks what a pod does to its neighbours stays as it is: an assumption, said in docs/simulate.md.
_LOOK_S = 15.0


class TimeSlices:
    """Sets the pace of pods on time-sliced GPUs. A fleet without such nodes is not touched: nothing is scheduled."""

    def __init__(self, spec: FleetSpec, machines: Machines) -> None:
        self._sliced = any(_sliced(group.sharing) for group in spec.groups)
        self._machines = machines

    def start(self) -> None:
        if self._sliced:
            self._machines.agenda.after(_LOOK_S, self._look)

    def _look(self) -> None:
        self._machines.agenda.after(_LOOK_S, self._look)
        for node in list(self._machines.nodes.values()):
            if _sliced(node.group.sharing):
                self._set_paces(node)

    @staticmethod
    def _set_paces(node: NodeRun) -> None:
        if node.gpus is None:
            return
        gpus = {key: numbers for key in node.pods if (numbers := node.gpus.gpus_of(key))}
        work = dict.fromkeys(gpus, 0.0)
        if len(gpus) > 1:
            work = {key: node.pods[key].owner.gpu_work(node.pods[key]) for key in gpus}
        for key, pace in slowdowns(gpus, work).items():
            pod = node.pods[key]
            if pace != pod.gpu_pace:
                pod.gpu_pace = pace
                pod.owner.pod_paced(pod, pod.pace)


def _sliced(sharing: GpuSharing | None) -> bool:
    return sharing is not None and sharing.mode is SharingMode.TIME_SLICING
