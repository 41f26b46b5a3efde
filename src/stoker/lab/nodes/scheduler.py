"""kube-scheduler: binds pods that wait, with the twin's decisions, and says why others stay.

Source: kubernetes pkg/scheduler/schedule_one.go (handleSchedulingFailure, bind), framework/preemption/executor.go
(PreemptPod, prepareCandidate), plugins/volumebinding. Events are core/v1 here; the real scheduler writes events.k8s.io/v1.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object
from stoker.lab.nodes.binding import Binder
from stoker.lab.nodes.client import fresh, set_condition
from stoker.lab.nodes.profiles import is_scheduler, running_profiles
from stoker.lab.nodes.queue import Queue
from stoker.lab.nodes.view import SHELVES, View, is_waiting
from stoker.lab.status import ApiError
from stoker.lab.store import Change
from stoker.twin.scheduler import DEFAULT_PROFILES, Decision, Profile, schedule

__all__ = ["Scheduler"]

Place = tuple[str, str]

_DEFAULT = "default-scheduler"
_BIND_AGAIN_S = 1.0  # the first pause of the queue's own
# validation.NoteLengthLimit, and what truncateMessage puts at the end.
_LONGEST_NOTE, _DOTS = 1024, " ..."
_encode = msgspec.json.Encoder().encode
# Fields of a pod's specification that decide where it fits, beside what its containers ask for.
_FIELDS = (
    "affinity",
    "nodeSelector",
    "tolerations",
    "topologySpreadConstraints",
    "priority",
    "preemptionPolicy",
    "schedulerName",
    "schedulingGates",
    "overhead",
    "resources",
    "hostNetwork",
)


class Scheduler:
    """Every profile's scheduler. Its targets are pods that wait; the one it tries is the most important, not the named."""

    name = "kube-scheduler"
    shelves: Sequence[str] = (*SHELVES, "configmaps")

    def __init__(self, local: Local, caches: Caches, profiles: Mapping[str, Profile] | None = None) -> None:
        """``local`` writes as ``kube-scheduler``; ``profiles`` beside the default one."""
        self._local = local
        self._caches = caches
        self._pods = caches.pods
        self._own_profiles: dict[str, Profile] = {**DEFAULT_PROFILES, **(profiles or {})}
        self._view = View(local, caches, dict(self._own_profiles))
        self._queue = Queue(lambda: local.cluster.clock().timestamp())
        self._binder = Binder(local, self._view)
        self._failed: dict[bytes, Decision] = {}
        self._failed_at = -1
        self._schedulers: set[Place] = set()

    # --- what a change means --------------------------------------------------------------------------------------

    def targets(self, change: Change) -> Iterable[Target]:
        place = (change.key.namespace, change.key.name)
        if change.key.resource == "configmaps":
            if b"KubeSchedulerConfiguration" in change.record.text:
                return self._read_profiles()
            return ()
        found: dict[Target, None] = {}
        if self._view.follow(change):
            found = dict.fromkeys(self._queue.move_all())
        if change.key.resource == "persistentvolumeclaims":
            found |= dict.fromkeys(self._binder.waiting_for(place))
        if change.key.resource == "pods":
            found |= dict.fromkeys(self._pod(change, place))
        return found

    def _pod(self, change: Change, place: Place) -> list[Target]:
        pod = None if change.is_delete else self._pods.get(*place)
        moved: list[Target] = []
        if place in self._schedulers or (pod is not None and is_scheduler(pod)):
            moved = self._read_profiles()
        if pod is None or not is_waiting(pod):
            self._queue.drop(place)
            self._binder.drop(place)
            return moved
        if self._view.assumed(place) is not None or not self._is_mine(pod):
            return moved
        return [*moved, place] if self._queue.put(place, pod) else moved

    def _is_mine(self, pod: Object) -> bool:
        return (pod["spec"].get("schedulerName") or _DEFAULT) in self._view.state.profiles

    def _read_profiles(self) -> list[Target]:
        """A second scheduler has come, gone or been told something else."""
        schedulers = [pod for pod in self._pods.all() if is_scheduler(pod)]
        self._schedulers = {(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in schedulers}
        maps = {
            (one["metadata"]["namespace"], one["metadata"]["name"]): one
            for one in self._caches("v1", "ConfigMap").all()
        }
        profiles = {**running_profiles(schedulers, maps), **self._own_profiles}
        if profiles == self._view.state.profiles:
            return []
        self._view.state.profiles = profiles
        self._view.generation += 1
        found: list[Target] = []
        for pod in self._pods.all():
            if is_waiting(pod):
                place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
                if self._is_mine(pod):
                    self._queue.put(place, pod)
                    found.append(place)
                else:
                    self._queue.drop(place)
        return found

    # --- one try --------------------------------------------------------------------------------------------------

    def reconcile(self, target: Target) -> float | None:
        if self._binder.is_waiting(target):
            return self._bound_or_wait(target)
        popped = self._queue.pop()
        if popped is not None:
            self._try(popped[0], popped[1].pod)
        return self._queue.seconds_to_next()

    def _try(self, place: Place, pod: Object) -> None:
        self._view.refresh()
        decision = self._decide(pod)
        if decision.node is not None:
            self._bind(place, pod, decision.node)
            return
        self._queue.fail(place)
        if not decision.gated:
            self._tell(pod, decision)

    def _decide(self, pod: Object) -> Decision:
        """A decision; a pod that is like one that has just failed fails alike."""
        if self._failed_at != self._view.generation:
            self._failed.clear()
            self._failed_at = self._view.generation
        key = _likeness(pod)
        if key is not None and key in self._failed:
            return self._failed[key]
        decision = schedule(self._view.state, pod, self._local.cluster.rng.choice)
        if key is not None and decision.node is None and not decision.victims:
            self._failed[key] = decision
        return decision

    def _bind(self, place: Place, pod: Object, node: str) -> None:
        is_complete = self._binder.begin(pod, node)
        self._queue.drop(place)
        if is_complete:
            self._finish(place, pod, node)

    def _finish(self, place: Place, pod: Object, node: str) -> None:
        error = self._binder.bind(pod, node)
        if error is None:
            self._event(pod, "Normal", "Scheduled", f"Successfully assigned {'/'.join(place)} to {node}")
            return
        self._view.give_up(place)
        current = self._pods.get(*place)
        if error.code not in {404, 409} and current is not None and is_waiting(current):
            self._queue.put(place, current, delay_s=_BIND_AGAIN_S)

    def _bound_or_wait(self, place: Place) -> float | None:
        """A pod whose volumes are being bound: bind it when they are."""
        pod, node, left = self._binder.look(place)
        if left is None:
            self._binder.drop(place)
            self._finish(place, pod, node)
            return self._queue.seconds_to_next()
        if left > 0:
            return left
        self._binder.drop(place)
        self._view.give_up(place)
        current = self._pods.get(*place)
        if current is not None and is_waiting(current):
            self._queue.put(place, current)
            message = 'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded'
            self._tell(current, Decision(message=message), reason="SchedulerError")
        return self._queue.seconds_to_next()

    # --- telling --------------------------------------------------------------------------------------------------

    def _tell(self, pod: Object, decision: Decision, reason: str = "Unschedulable") -> None:
        message = decision.message
        note = message
        if len(message) > _LONGEST_NOTE:
            note = message[: _LONGEST_NOTE - len(_DOTS)] + _DOTS
        self._event(pod, "Warning", "FailedScheduling", note)
        new = fresh(self._local, pod)
        if new is None or new["spec"].get("nodeName"):
            return
        status = new.setdefault("status", {})
        condition = {
            "type": "PodScheduled",
            "observedGeneration": int(new["metadata"].get("generation") or 0),
            "status": "False",
            "reason": reason,
            "message": message,
        }
        is_changed = set_condition(status, condition, self._local.cluster.now())
        if decision.nominated is not None and status.get("nominatedNodeName") != decision.nominated:
            status["nominatedNodeName"] = decision.nominated
            is_changed = True
        elif (
            decision.nominated is None
            and status.get("nominatedNodeName")
            and (pod["metadata"]["namespace"], pod["metadata"]["name"]) not in self._view.state.nominated
        ):
            del status["nominatedNodeName"]
            is_changed = True
        if is_changed:
            new = self._local.update_status(new)
        if decision.nominated is not None:
            self._view.state.nominate(new, decision.nominated)
            self._view.generation += 1
            for victim in decision.victims:
                self._preempt(pod, decision.nominated, victim)

    def _preempt(self, pod: Object, node: str, victim: Place) -> None:
        found = self._local.get("v1", "Pod", *victim)
        if found is None:
            return
        scheduler = pod["spec"].get("schedulerName") or _DEFAULT
        condition = {
            "type": "DisruptionTarget",
            "observedGeneration": int(found["metadata"].get("generation") or 0),
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{scheduler}: preempting to accommodate a higher priority pod",
        }
        try:
            if set_condition(found.setdefault("status", {}), condition, self._local.cluster.now()):
                found = self._local.update_status(found)
            self._local.delete(found)
        except ApiError as error:
            if error.code != 404:
                raise
            return
        self._view.state.terminate(*victim)
        message = f"Preempted by pod {pod['metadata']['uid']} on node {node}"
        self._event(found, "Normal", "Preempted", message, scheduler)

    def _event(self, pod: Object, kind: str, reason: str, message: str, component: str = "") -> None:
        component = component or pod["spec"].get("schedulerName") or _DEFAULT
        record(self._local, pod, kind, reason, message, component)


def _likeness(pod: Object) -> bytes | None:
    """What makes a pod fit or not; None for one whose volumes or devices are its own."""
    spec, metadata = pod["spec"], pod["metadata"]
    if spec.get("resourceClaims") or any(
        "persistentVolumeClaim" in one or "ephemeral" in one for one in spec.get("volumes") or ()
    ):
        return None
    containers = [
        [(one.get("resources"), one.get("ports"), one.get("restartPolicy")) for one in spec.get(name) or ()]
        for name in ("containers", "initContainers")
    ]
    fields = [spec.get(name) for name in _FIELDS]
    nominated = (pod.get("status") or {}).get("nominatedNodeName")
    return _encode((metadata["namespace"], metadata.get("labels"), nominated, fields, containers))
