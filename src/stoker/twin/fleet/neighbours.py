"""Training jobs, notebooks and microservices beside the inference: they come, take what they get, use what they want."""

from collections import deque
from dataclasses import dataclass, field

from stoker.twin.fleet.machines import Machines
from stoker.twin.fleet.pods import PodRun, Reason
from stoker.twin.fleet.sharing import crash_pause
from stoker.twin.fleet.spec import Neighbour

__all__ = ["NeighbourRuns", "Tally"]

_GRACE_S = 30.0  # terminationGracePeriodSeconds where a pod says nothing
_TRIES = 16  # of those who wait, whenever something is free: each asks again now and then, not all at once
_RAMP_S = 600.0  # until a job has its peak memory: data loaders and caches fill in minutes (an assumption)
_BACK_OFF_LIMIT = 6  # Job backoffLimit by default


@dataclass(slots=True)
class Tally:
    """What became of the neighbours of one kind. ``gpu_oom_kills`` are those of ``oom_kills`` for want of GPU memory."""

    submitted: int = 0
    finished: int = 0
    refused: int = 0
    preempted: int = 0
    oom_kills: int = 0
    gpu_oom_kills: int = 0
    given_up: int = 0
    waited_s: list[float] = field(default_factory=list)
    gpu_s: float = 0.0
    busy_gpu_s: float = 0.0


class NeighbourRuns:
    """Owner of every neighbour's pod. A job that loses its pod starts again from its last checkpoint: its beginning."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines
        self.agenda = machines.agenda
        self.tallies: dict[str, Tally] = {}
        self._of: dict[tuple[str, str], Neighbour] = {}
        self._queues: dict[str, deque[Neighbour]] = {}
        self._admitted: dict[str, int] = {}
        self._kills: dict[tuple[str, str], int] = {}
        self._refused = False

    def add(self, neighbour: Neighbour) -> None:
        """Submit it when its time comes."""
        self.agenda.at(neighbour.arrival_s, self._arrive, neighbour)

    def _arrive(self, neighbour: Neighbour) -> None:
        self.tallies.setdefault(neighbour.kind, Tally()).submitted += 1
        self._submit(neighbour)

    def _submit(self, neighbour: Neighbour) -> None:
        metadata = neighbour.pod["metadata"]
        namespace = metadata["namespace"]
        if self._queues.get(namespace):
            # Others of the tenant wait for its quota already.
            self._queues[namespace].append(neighbour)
            return
        self._try(neighbour)

    def _try(self, neighbour: Neighbour) -> bool:
        metadata = neighbour.pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        self._of[key] = neighbour
        pod = PodRun(
            key=key,
            object=dict(neighbour.pod),
            owner=self,
            # Neighbours of a kind differ in what they ask for, so each is tried on its own.
            shape=id(neighbour),
            gpus=neighbour.gpus,
            grace_s=_GRACE_S,
            cores=neighbour.cores,
        )
        self._refused = False
        self._admitted[key[0]] = self._admitted.get(key[0], 0) + 1
        self.machines.submit(pod)
        return not self._refused

    def pod_refused(self, pod: PodRun, message: str) -> None:  # noqa: ARG002 - the pod carries the message too
        """Quota: it waits for others of its tenant to end. Refused while nobody else has any of it, it never can be admitted."""
        self._refused = True
        neighbour = self._of[pod.key]
        namespace = pod.key[0]
        self._admitted[namespace] -= 1
        if self._admitted[namespace] == 0:
            self.tallies[neighbour.kind].refused += 1
        else:
            self._queues.setdefault(namespace, deque()).append(neighbour)

    def _next(self, namespace: str) -> None:
        """Somebody's share of the quota is free: some of those who wait are tried, the longest first."""
        queue = self._queues.get(namespace, deque())
        for _ in range(min(len(queue), _TRIES)):
            self._try(queue.popleft())

    def pod_bound(self, pod: PodRun) -> None:
        """It runs: it takes its memory, and ends when its time is up."""
        neighbour = self._of[pod.key]
        self.tallies[neighbour.kind].waited_s.append(self.agenda.now - pod.created_s)
        self.agenda.after(_RAMP_S, self._grow, pod, pod.bound_s)
        self.agenda.after(neighbour.duration_s, self._finish, pod, pod.bound_s)

    def _grow(self, pod: PodRun, bound_s: float) -> None:
        if pod.node is None or pod.bound_s != bound_s or pod.ending:
            return
        neighbour = self._of[pod.key]
        if self.machines.takes_gpu(pod, neighbour.gpu_memory_bytes):
            self.machines.uses(pod, neighbour.host_memory_bytes)
            return
        # torch.OutOfMemoryError: the process exits, and its host memory is free as well.
        self.tallies[neighbour.kind].gpu_oom_kills += 1
        pod.host_memory_bytes = 0.0
        self._died(pod, Reason.FAILED)

    def _finish(self, pod: PodRun, bound_s: float) -> None:
        if pod.node is not None and pod.bound_s == bound_s and not pod.ending:
            pod.ending = Reason.FINISHED
            self.machines.end(pod, Reason.FINISHED)

    def pod_ending(self, pod: PodRun, reason: str) -> None:
        """Told to stop: counted, where it was for someone else's sake."""
        if reason == Reason.PREEMPTED:
            self.tallies[self._of[pod.key].kind].preempted += 1

    def pod_gone(self, pod: PodRun, reason: str) -> None:
        """Finished, or to be run again."""
        neighbour = self._of[pod.key]
        tally = self.tallies[neighbour.kind]
        if pod.bound_s >= 0.0:
            held = pod.gpus * (self.agenda.now - pod.bound_s)
            tally.gpu_s += held
            tally.busy_gpu_s += held * neighbour.busy_share
        if reason == Reason.FINISHED:
            tally.finished += 1
        elif reason not in {Reason.OOM, Reason.FAILED} and neighbour.kind != "notebook":
            # Its controller makes another pod; a notebook is deleted with its state and not made again (facts 1f).
            self.agenda.after(1.0, self._submit, neighbour)
        self._admitted[pod.key[0]] -= 1
        self.agenda.after(0.0, self._next, pod.key[0])

    def pod_killed(self, pod: PodRun) -> None:
        """Out of host memory."""
        self._died(pod, Reason.OOM)

    def _died(self, pod: PodRun, reason: str) -> None:
        """Out of memory: its container starts again and uses as much again, until its controller gives up."""
        neighbour = self._of[pod.key]
        tally = self.tallies[neighbour.kind]
        tally.oom_kills += 1
        self._kills[pod.key] = self._kills.get(pod.key, 0) + 1
        if self._kills[pod.key] > _BACK_OFF_LIMIT:
            tally.given_up += 1
            pod.ending = Reason.FINISHED
            self.agenda.after(0.0, self.machines.end, pod, reason)
            return
        self.agenda.after(crash_pause(self._kills[pod.key]) + _RAMP_S, self._grow, pod, pod.bound_s)

    def pod_paced(self, pod: PodRun, pace: float) -> None:
        """A neighbour that gets less CPU is not made longer: its duration is what it took where it ran."""

    def gpu_work(self, pod: PodRun) -> float:
        """Its own share of the time."""
        return self._of[pod.key].busy_share

    def gpu_seconds(self) -> dict[str, tuple[float, float]]:
        """GPU seconds held and busy by kind, those of pods that still run included."""
        found = {kind: [tally.gpu_s, tally.busy_gpu_s] for kind, tally in self.tallies.items()}
        for node in self.machines.nodes.values():
            for pod in node.pods.values():
                if pod.owner is self:
                    neighbour = self._of[pod.key]
                    held = pod.gpus * (self.agenda.now - pod.bound_s)
                    found[neighbour.kind][0] += held
                    found[neighbour.kind][1] += held * neighbour.busy_share
        return {kind: (held, busy) for kind, (held, busy) in found.items()}
