"""A model version in the fleet: its replicas from pod to traffic and back, and the count it should have."""

from collections.abc import Callable

import numpy as np

from stoker.twin.autoscaler.replicas import PodSample
from stoker.twin.engine import Service
from stoker.twin.engine import layout as at
from stoker.twin.engine.gauges import Rows
from stoker.twin.fleet.machines import Machines
from stoker.twin.fleet.pods import PodRun, Reason, named
from stoker.twin.fleet.queries import Gauges
from stoker.twin.fleet.replicas import ReplicaRun, worth
from stoker.twin.fleet.rolling import rolling_step
from stoker.twin.fleet.sharing import crash_pause
from stoker.twin.fleet.spec import WorkloadSpec
from stoker.twin.fleet.transfers import Source

__all__ = ["ReplicaRun", "WorkloadRun"]

# The ReplicaSet controller tries again after a refusal with growing pauses (client-go DefaultControllerRateLimiter: 5 ms
# doubling to 1000 s); under a full quota the pauses are long, so the twin asks once in this time.
_RETRY_S = 30.0
_DRAIN_LOOK_S = 1.0
_BACK_OFF_S = 10.0  # CrashLoopBackOff begins with 10 s (pkg/kubelet/kubelet.go)


class WorkloadRun:
    """Keeps ``desired`` replicas: creates pods, walks them through their start, hands requests to them, takes them away."""

    def __init__(
        self,
        spec: WorkloadSpec,
        service: Service,
        machines: Machines,
        sources: Callable[[str, str], Source],
    ) -> None:
        """``sources(source, node)`` is what a pod on ``node`` reads its weights, or its image, from."""
        self.spec = spec
        self.service = service
        self.machines = machines
        self.agenda = machines.agenda
        self.desired = 0
        self.replicas: list[ReplicaRun] = []
        self.cold_starts = 0
        self.cold_start_s: list[float] = []
        self.pending_s: list[float] = []
        self.oom_kills = 0
        self.gpu_oom_kills = 0
        self.lost = 0
        self.refused = 0
        self.allocated_gpu_s = 0.0
        self.allocated_usd = 0.0
        self.changed_s = 0.0
        self.rollout_s: list[float] = []
        self._revision = 0
        self._rolled_s = 0.0
        self._rows = Rows(service.s)
        self._sources = sources
        self._numbers = 0
        self._retrying = False
        self._replica_of: dict[tuple[str, str], ReplicaRun] = {}

    # --- what others look at -------------------------------------------------------------------------------------

    @property
    def current(self) -> int:
        """Replicas that exist and are not being stopped: what ``status.replicas`` says."""
        return sum(not replica.ending for replica in self.replicas)

    @property
    def ready(self) -> int:
        return sum(replica.slot >= 0 and not replica.ending for replica in self.replicas)

    def held(self) -> int:
        """Requests held in front of the replicas."""
        return int(self.service.s[at.HELD])

    def in_flight(self) -> int:
        """Requests that replicas run or have waiting, those that drain included."""
        rows = self._rows.read()
        return int(rows[:, at.R_RUNNING].sum() + rows[:, at.R_WAITING].sum())

    def gauges(self) -> Gauges:
        """What a scrape sees now; advance the service first."""
        rows = self._rows.read()
        rows = rows[rows[:, at.R_READY] == at.READY]
        return Gauges(
            rows[:, at.R_RUNNING].astype(np.float64),
            rows[:, at.R_WAITING].astype(np.float64),
            rows[:, at.R_USED] / self.spec.engine.blocks,
        )

    def cpu_samples(self, now: float) -> list[PodSample]:
        """CPU of each pod: the busy loops of its workers and what its requests cost, over what it requests."""
        rows = self._rows.read()
        found = []
        for replica in self.replicas:
            if replica.ending:
                continue
            for pod in replica.pods:
                if pod.node is None:
                    found.append(PodSample(None, phase="Pending", ready=None, started_s=None))
                    continue
                value = 1.0
                if replica.slot >= 0:
                    value = self.spec.cpu_idle + self.spec.cpu_per_request * float(
                        rows[replica.slot, at.R_RUNNING]
                    )
                found.append(
                    PodSample(
                        value,
                        request=pod.cpu_request,
                        ready=replica.slot >= 0,
                        ready_since_s=max(replica.ready_s, pod.bound_s),
                        started_s=pod.bound_s,
                        sampled_s=now,
                    )
                )
        return found

    def allocated(self, now: float) -> tuple[float, float]:
        """GPU seconds that its pods have held, and what they cost at the prices of their nodes."""
        seconds, usd = self.allocated_gpu_s, self.allocated_usd
        for replica in self.replicas:
            for pod in replica.pods:
                if pod.node is not None:
                    held = pod.gpus * (now - pod.bound_s)
                    seconds += held
                    usd += held * pod.usd_per_gpu_s
        return seconds, usd

    # --- the count -----------------------------------------------------------------------------------------------

    def scale_to(self, desired: int) -> None:
        """Set the replica count, as a write to the scale subresource does."""
        self.desired = desired
        self.changed_s = self.agenda.now
        self.reconcile()

    def start_warm(self, count: int) -> None:
        """At the start of the simulation these replicas serve already, as soon as they are bound."""
        self.desired = count
        for _ in range(count):
            self._create(warm=True)

    def reconcile(self) -> None:
        """Create or stop replicas until there are as many as desired."""
        active = [replica for replica in self.replicas if not replica.ending]
        old = [replica for replica in active if replica.revision < self._revision]
        if old:
            self._roll_on(active, old)
            return
        for _ in range(self.desired - len(active)):
            if not self._create(warm=False):
                break
        if len(active) > self.desired:
            active.sort(key=worth)
            for replica in active[: len(active) - self.desired]:
                self._stop(replica, Reason.SCALED_IN)

    def roll(self) -> None:
        """Begin the rolling update to a new version: same engine, new pods."""
        self._revision += 1
        self._rolled_s = self.agenda.now
        self.reconcile()

    def _roll_on(self, active: list[ReplicaRun], old: list[ReplicaRun]) -> None:
        new = [replica for replica in active if replica.revision == self._revision]
        ready = [replica for replica in old if replica.slot >= 0]
        step = rolling_step(
            desired=self.desired,
            surge=self.spec.max_surge,
            unavailable=self.spec.max_unavailable,
            old_ready=len(ready),
            old_unready=len(old) - len(ready),
            new=len(new),
            new_ready=sum(replica.slot >= 0 for replica in new),
        )
        for _ in range(step.create):
            if not self._create(warm=False):
                return
        unready = [replica for replica in old if replica.slot < 0]
        for group, count in ((unready, step.stop_unready), (ready, step.stop_ready), (new, step.stop_new)):
            for replica in sorted(group, key=worth)[:count]:
                self._stop(replica, Reason.SCALED_IN)
        if any(step):
            self.agenda.after(0.0, self.reconcile)

    def _rolled(self) -> None:
        """A replica is ready: the update goes on, or it was the last one."""
        active = [replica for replica in self.replicas if not replica.ending]
        if any(replica.revision < self._revision for replica in active):
            self.reconcile()
        if len(self.rollout_s) < self._revision and all(
            replica.revision == self._revision and replica.slot >= 0
            for replica in self.replicas
            if not replica.ending
        ):
            # An update that another one overtook is over when that one is.
            missing = self._revision - len(self.rollout_s)
            self.rollout_s += [self.agenda.now - self._rolled_s] * missing

    def _create(self, *, warm: bool) -> bool:
        self._numbers += 1
        replica = ReplicaRun(self._numbers, self.agenda.now, self._revision, warm=warm)
        self.replicas.append(replica)
        for member in range(self.spec.pods_per_replica):
            name = f"{self.spec.name}-{self._numbers}-{member}"
            key = (self.spec.pod["metadata"]["namespace"], name)
            pod = PodRun(
                key=key,
                object=named(self.spec.pod, name),
                owner=self,
                shape=id(self.spec),
                gpus=self.spec.gpus_per_pod,
                grace_s=self.spec.drain_s,
                cores=self.spec.cpu_idle,
            )
            self._replica_of[key] = replica
            replica.pods.append(pod)
            self.machines.submit(pod)
            if replica.ending:
                return False
        return True

    def _stop(self, replica: ReplicaRun, reason: str) -> None:
        if replica.ending:
            return
        replica.ending = True
        for pod in replica.pods:
            self.machines.stop(pod, reason)
        if all(pod.node is None for pod in replica.pods) and replica in self.replicas:
            self.replicas.remove(replica)

    # --- pods: called by the machines ----------------------------------------------------------------------------

    def pod_refused(self, pod: PodRun, message: str) -> None:  # noqa: ARG002 - the pod carries the message too
        """Admission refused a member: the replica is not made, and tried again later."""
        self.refused += 1
        replica = self._replica_of.pop(pod.key)
        replica.ending = True
        for other in replica.pods:
            if other is not pod:
                self.machines.stop(other, Reason.SCALED_IN)
        self.replicas.remove(replica)
        if not self._retrying:
            self._retrying = True
            self.agenda.after(_RETRY_S, self._retry)

    def _retry(self) -> None:
        self._retrying = False
        self.reconcile()

    def pod_bound(self, pod: PodRun) -> None:
        """A member is on a node: image, weights, engine; all members together make the replica ready."""
        replica = self._replica_of[pod.key]
        replica.bound_s = max(replica.bound_s, pod.bound_s)
        self.pending_s.append(self.agenda.now - pod.created_s)
        if pod.node is None:
            return
        if replica.warm:
            if self._takes_gpu(pod, replica):
                self._member_started(pod, replica)
            return
        self._start(pod, replica)

    def _start(self, pod: PodRun, replica: ReplicaRun) -> None:
        """Image, weights, engine, one after the other; a pod that is stopped meanwhile goes no further."""
        if pod.node is None:
            return
        node = self.machines.nodes[pod.node]
        start = self.spec.start_up
        image = self.spec.pod["spec"]["containers"][0].get("image", "")
        reader = id(pod)

        def weights() -> None:
            node.images.add(image)
            if not pod.ending and self._takes_gpu(pod, replica):
                self._sources(start.source, node.name).read(reader, start.weights_bytes, engine)

        def engine() -> None:
            if not pod.ending:
                self.agenda.after(start.engine_s, self._member_started, pod, replica)

        if image in node.images:
            weights()
        else:
            self._sources("registry", node.name).read(reader, start.image_bytes, weights)

    def _takes_gpu(self, pod: PodRun, replica: ReplicaRun) -> bool:
        """The engine looks at its GPU before it loads anything: with less free than it wants it exits, and starts again.

        vLLM: "Free memory on device ... is less than desired GPU memory utilization" (vllm/v1/worker/gpu_worker.py).
        """
        if self.machines.takes_gpu(pod, self.spec.gpu_memory_bytes):
            return True
        self.gpu_oom_kills += 1
        replica.crashes += 1
        replica.warm = False
        if pod.node is not None:  # the container has run: its image is there
            self.machines.nodes[pod.node].images.add(self.spec.pod["spec"]["containers"][0].get("image", ""))
        self.agenda.after(crash_pause(replica.crashes), self._start, pod, replica)
        return False

    def _member_started(self, pod: PodRun, replica: ReplicaRun) -> None:
        if pod.ending or replica.ending:
            return
        replica.started += 1
        self.machines.uses(pod, self.spec.host_memory_bytes)
        if replica.started == len(replica.pods):
            self._serve(replica)

    def _serve(self, replica: ReplicaRun) -> None:
        rows = self._rows.read()
        free = np.flatnonzero(rows[:, at.R_READY] == at.EMPTY)
        if not len(free):
            # Every slot still drains: the replica is ready a moment later.
            self.agenda.after(_DRAIN_LOOK_S, self._serve, replica)
            return
        now = self.agenda.now
        if now > 0:
            # Replicas that serve from the start are there before the first request, which often comes at 0.
            self.service.advance(now)
        replica.slot = int(free[0])
        replica.ready_s = now
        self.service.add_replica(replica.slot, now)
        replica.crashes = 0
        for pod in replica.pods:
            pod.ready = True
            if pod.gpu_pace != 1.0:
                self.pod_paced(pod, pod.pace)
        if replica.warm:
            replica.warm = False
        else:
            self.cold_starts += 1
            self.cold_start_s.append(now - replica.created_s)
        if self._revision:
            self._rolled()

    def pod_ending(self, pod: PodRun, reason: str) -> None:
        """A member was told to stop: the whole replica stops taking requests, and drains where it may."""
        replica = self._replica_of[pod.key]
        if not replica.ending:
            replica.ending = True
            for other in replica.pods:
                if other is not pod:
                    self.machines.stop(other, reason)
        if replica.slot < 0:
            return
        self.service.advance(self.agenda.now)
        if reason == Reason.NODE_LOST:
            self._silence(replica)
        elif self._rows.read()[replica.slot, at.R_READY] == at.READY:
            self.service.drain_replica(replica.slot)
            self._drained(replica)

    def _drained(self, replica: ReplicaRun) -> None:
        """Look until nothing runs any more; then the pods need not wait for the end of their grace period."""
        if replica.slot < 0:
            return
        self.service.advance(self.agenda.now)
        row = self._rows.read()[replica.slot]
        if row[at.R_RUNNING] + row[at.R_WAITING] == 0:
            self._silence(replica)
            for pod in replica.pods:
                self.machines.end(pod, pod.ending)
        else:
            self.agenda.after(_DRAIN_LOOK_S, self._drained, replica)

    def _silence(self, replica: ReplicaRun) -> None:
        """The engine is gone: what it still had is aborted."""
        self.lost += self.service.stop_replica(replica.slot, self.agenda.now)
        replica.slot = -1
        for pod in replica.pods:
            pod.ready = False

    def pod_gone(self, pod: PodRun, reason: str) -> None:  # noqa: ARG002
        """A member is gone; a Deployment that is now short makes a new one."""
        replica = self._replica_of.pop(pod.key, None)
        if replica is None:
            return
        if replica.slot >= 0:
            self.service.advance(self.agenda.now)
            self._silence(replica)
        if all(other.node is None for other in replica.pods) and replica in self.replicas:
            self.replicas.remove(replica)
        if replica.bound_s >= 0:
            held = pod.gpus * (self.agenda.now - pod.bound_s)
            self.allocated_gpu_s += held
            self.allocated_usd += held * pod.usd_per_gpu_s
        if self.current < self.desired:
            self.agenda.after(0.0, self.reconcile)

    def pod_killed(self, pod: PodRun) -> None:
        """Out of host memory: the engine's process is gone and starts again in the same pod, after a back-off."""
        replica = self._replica_of[pod.key]
        self.oom_kills += 1
        if replica.slot >= 0:
            self.service.advance(self.agenda.now)
            self._silence(replica)
        replica.started = 0
        replica.ready_s = -1.0
        replica.created_s = self.agenda.now
        self.agenda.after(_BACK_OFF_S, self._restart, replica)

    def _restart(self, replica: ReplicaRun) -> None:
        for member in replica.pods:
            if not member.ending:
                self._start(member, replica)

    def pod_paced(self, pod: PodRun, pace: float) -> None:
        """The node's CPU, or the GPU's time, is short or free again: steps of the replica take so many times as long."""
        replica = self._replica_of[pod.key]
        if replica.slot >= 0:
            self.service.advance(self.agenda.now)
            self.service.set_pace(replica.slot, pace * pod.gpu_pace)

    def gpu_work(self, pod: PodRun) -> float:
        """All the time while it has a request, none while it has not."""
        replica = self._replica_of.get(pod.key)
        if replica is None or replica.slot < 0:
            return 0.0
        self.service.advance(self.agenda.now)
        asked = self.service.replica(replica.slot, at.R_RUNNING) + self.service.replica(
            replica.slot, at.R_WAITING
        )
        return float(asked > 0)
