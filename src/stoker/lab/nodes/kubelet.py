"""Every node's kubelet, in one controller.

Targets are pods by namespace and name, nodes with an empty namespace, and two clocks: leases and the registry. A pod's own
course is in `pod_run`; here is which pods there are, what of them is written, and when to look again.

Sources: kubernetes pkg/kubelet/{kubelet.go,pod_workers.go,status/status_manager.go}.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import Object, is_terminal
from stoker.lab.nodes.client import fresh, set_condition
from stoker.lab.nodes.fitting import Rejection, rejection
from stoker.lab.nodes.heartbeats import Heartbeats
from stoker.lab.nodes.host import Addresses, Host
from stoker.lab.nodes.images import Registry
from stoker.lab.nodes.machines import Machines, is_down, is_plugin
from stoker.lab.nodes.memory import Usage, used_bytes
from stoker.lab.nodes.pod_run import PodRun
from stoker.lab.nodes.programs import Runner
from stoker.lab.nodes.shapes import machine_of
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["LEASES", "REGISTRY", "Kubelets"]

Place = tuple[str, str]

# No node has such a name.
LEASES: Target = ("", "*leases")
REGISTRY: Target = ("", "*registry")
_COMPONENT = "kubelet"
_SOON_S = 0.001
_KINDS = {
    "ConfigMap": "v1",
    "Secret": "v1",
    "PersistentVolumeClaim": "v1",
    "PersistentVolume": "v1",
}


class Kubelets:
    """The kubelets of all nodes that are the lab's own.

    Attributes:
        poke: has a target looked at soon; set by whoever owns the manager.
    """

    name = "kubelet"
    shelves: Sequence[str] = ("nodes", "pods", "configmaps", "secrets", "persistentvolumeclaims")

    def __init__(
        self,
        local: Local,
        caches: Caches,
        runner: Runner,
        *,
        registry: Registry | None = None,
        missing: Callable[[str], bool] = lambda _: False,
        sandbox_s: float = 1.0,
        lease_s: float = 10.0,
        first_address: int = 0,
    ) -> None:
        """``local`` writes as ``kubelet``; ``missing`` says which images are nowhere to be had."""
        self._local = local
        self._caches = caches
        self._pods = caches.pods
        self._nodes = caches("v1", "Node")
        self.poke: Callable[[Target], None] = lambda _: None
        self.host = Host(
            now=lambda: local.cluster.clock().timestamp(),
            runner=runner,
            registry=registry or Registry(),
            lookup=self._lookup,
            node=lambda name: self._nodes.get("", name),
            tell=self._tell,
            pulling=lambda: self.poke(REGISTRY),
            missing=missing,
            sandbox_s=sandbox_s,
            addresses=Addresses(first_address),
        )
        self._runs: dict[Place, PodRun] = {}
        self._by_node: dict[str, dict[Place, None]] = {}
        self._by_uid: dict[str, Place] = {}
        self._machines = Machines(local, caches, self._usages, self._evict)
        self._heartbeats = Heartbeats(local, caches, lease_s)
        self._down: set[str] = set()
        for pod in self._pods.all():
            address = (pod.get("status") or {}).get("podIP")
            if address:
                self.host.addresses.keep(address)

    # --- what a change means --------------------------------------------------------------------------------------

    def targets(self, change: Change) -> Iterable[Target]:
        shelf, place = change.key.resource, (change.key.namespace, change.key.name)
        if shelf == "nodes":
            return [place, LEASES] if change.before is None and not change.is_delete else [place]
        if shelf == "pods":
            return self._pod_targets(place)
        return [one for one, run in self._runs.items() if run.is_blocked and one[0] == change.key.namespace]

    def _pod_targets(self, place: Place) -> list[Target]:
        pod = self._pods.get(*place)
        node = pod["spec"].get("nodeName") if pod is not None else None
        run = self._runs.get(place)
        found: list[Target] = [place] if node or run is not None else []
        subject = pod if pod is not None else run.pod if run is not None else None
        if subject is not None and is_plugin(subject):
            found.append(("", subject["spec"].get("nodeName", "")))
        return found

    def woken(self, run_id: str) -> None:
        """A program has something to say."""
        place = self._by_uid.get(run_id.partition("/")[0])
        if place is not None:
            self.poke(place)

    # --- one look -------------------------------------------------------------------------------------------------

    def reconcile(self, target: Target) -> float | None:
        if target == LEASES:
            return self._heartbeats.beat(self._down)
        if target == REGISTRY:
            for place in self.host.registry.arrived(self.host.now()):
                self.poke(place)
            return self.host.registry.due_s(self.host.now())
        if not target[0]:
            return self._node(target[1])
        return self._pod(target)

    def _node(self, name: str) -> float | None:
        node = self._nodes.get("", name)
        if node is None or machine_of(node) is None:
            self._drop_node(name)
            return None
        if is_down(node):
            if name not in self._down:
                self._drop_node(name)
                self._down.add(name)
            return None
        if name in self._down:
            self._down.discard(name)
            for pod in self._pods.all():
                if pod["spec"].get("nodeName") == name:
                    self.poke((pod["metadata"]["namespace"], pod["metadata"]["name"]))
            self.poke(LEASES)
        return self._machines.look(name, self.host.now())

    def _drop_node(self, name: str) -> None:
        for place in list(self._by_node.get(name, ())):
            self._drop(place)
        self._down.discard(name)

    def _pod(self, place: Place) -> float | None:
        pod = self._pods.get(*place)
        run = self._runs.get(place)
        if run is not None and (pod is None or pod["metadata"]["uid"] != run.uid):
            self._drop(place)
            run = None
        if pod is None or not pod["spec"].get("nodeName") or pod["spec"]["nodeName"] in self._down:
            return None
        if run is None:
            run = self._begin(place, pod)
            if run is None:
                return None
        run.pod = pod
        now = self.host.now()
        running = [one.run_id for one in run.containers if one.state == "running"]
        run.step(now)
        self._write(run, now)
        if running != [one.run_id for one in run.containers if one.state == "running"]:
            self.poke(("", run.node))
        if run.is_over:
            self._end(place, run)
            return None
        # A millisecond more than nothing: seconds since the epoch are not finer than a microsecond.
        return None if run.due_s == math.inf else max(_SOON_S, run.due_s - now)

    def _begin(self, place: Place, pod: Object) -> PodRun | None:
        """A pod that is new on its node; None where there is nothing to run."""
        name = pod["spec"]["nodeName"]
        node = self._nodes.get("", name)
        if node is None or machine_of(node) is None or is_terminal(pod):
            if is_terminal(pod) and pod["metadata"].get("deletionTimestamp"):
                self._local.delete(pod, gracePeriodSeconds=0)
            return None
        if not (pod.get("status") or {}).get("startTime") and not pod["metadata"].get("deletionTimestamp"):
            refused = self._refusal(pod, node)
            if refused is not None:
                self._reject(pod, refused)
                return None
        run = self._runs[place] = PodRun(self.host, pod, self.host.now())
        self._by_node.setdefault(name, {})[place] = None
        self._by_uid[run.uid] = place
        return run

    def _refusal(self, pod: Object, node: Object) -> Rejection | None:
        name = node["metadata"]["name"]
        if self._machines.has_pressure(name) and (pod.get("status") or {}).get("qosClass") == "BestEffort":
            return Rejection("Evicted", "The node had condition: [MemoryPressure]. ")
        machine = machine_of(node)
        others = (self._runs[one].requests for one in self._by_node.get(name, ()))
        devices = [one for one in machine.devices if one in node["status"]["allocatable"]] if machine else []
        return rejection(pod, node, others, devices)

    def _reject(self, pod: Object, refused: Rejection) -> None:
        self._tell(pod, "Warning", refused.reason, refused.message)
        new = fresh(self._local, pod)
        if new is None:
            return
        before = new.get("status") or {}
        new["status"] = {
            "observedGeneration": int(new["metadata"].get("generation") or 0),
            "phase": "Failed",
            "reason": refused.reason,
            "message": f"Pod was rejected: {refused.message}",
            "startTime": self._local.cluster.now(),
            "conditions": before.get("conditions") or [],
            "qosClass": before.get("qosClass", "BestEffort"),
        }
        self._local.update_status(new)

    # --- writing --------------------------------------------------------------------------------------------------

    def _write(self, run: PodRun, now: float) -> None:
        status = run.status(now)
        if status == run.pod.get("status"):
            return
        new = fresh(self._local, run.pod)
        if new is None:
            return
        run.pod = new
        status = run.status(now)
        if run.failing is not None and run.is_over and run.failing[0] == "Evicted":
            condition = {
                "type": "DisruptionTarget",
                "observedGeneration": status["observedGeneration"],
                "status": "True",
                "reason": "TerminationByKubelet",
                "message": run.failing[1],
            }
            set_condition(status, condition, self._local.cluster.now())
        if status == new.get("status"):
            return
        new["status"] = status
        self._local.update_status(new)
        newest = self._pods.get(new["metadata"]["namespace"], new["metadata"]["name"])
        run.pod = newest if newest is not None else new

    def _end(self, place: Place, run: PodRun) -> None:
        """A pod has ended for good: its room on the node is free; the object goes where it was to be deleted."""
        is_going = bool(run.pod["metadata"].get("deletionTimestamp"))
        self._drop(place, keep_log=not is_going)
        if is_going:
            self._local.delete(run.pod, gracePeriodSeconds=0)

    def _drop(self, place: Place, *, keep_log: bool = False) -> None:
        run = self._runs.pop(place)
        self._by_node.get(run.node, {}).pop(place, None)
        self._by_uid.pop(run.uid, None)
        if keep_log:
            run.release()
        else:
            run.lose()

    def _tell(self, pod: Object, kind: str, reason: str, message: str, part: str = "") -> None:
        host = pod["spec"].get("nodeName", "")
        record(self._local, pod, kind, reason, message, _COMPONENT, host=host, part=part)

    # --- memory ---------------------------------------------------------------------------------------------------

    def _usages(self, node: str) -> list[Usage]:
        found = []
        for place in self._by_node.get(node, ()):
            run = self._runs[place]
            used = {
                one.name: used_bytes(run.pod, is_engine=one.loading.is_engine)
                for one in run.containers
                if one.state == "running" and one.role == "main"
            }
            if used:
                found.append(Usage(run.pod, used))
        return found

    def _evict(self, pod: Object, message: str) -> None:
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        run = self._runs.get(place)
        if run is not None and run.failing is None:
            self._tell(pod, "Warning", "Evicted", message)
            run.fail("Evicted", message, 0.0)
            self.poke(place)

    # --- reading --------------------------------------------------------------------------------------------------

    def _lookup(self, kind: str, namespace: str, name: str) -> Object | None:
        return self._caches(_KINDS[kind], kind).get(namespace, name)

    def log(
        self, namespace: str, name: str, container: str, *, previous: bool = False
    ) -> Sequence[tuple[float, str]]:
        """Lines of a container with their times.

        Raises:
            ApiError: there is no such container, or it has not run.
        """
        pod = self._pods.get(namespace, name)
        if pod is None:
            raise ApiError(404, "NotFound", f'pods "{name}" not found')
        status = pod.get("status") or {}
        every = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
        found = next((one for one in every if one["name"] == container), None)
        if found is None or not found.get("containerID"):
            reason = ((found or {}).get("state") or {}).get("waiting", {}).get("reason", "ContainerCreating")
            raise ApiError(
                400,
                "BadRequest",
                f'container "{container}" in pod "{name}" is waiting to start: {reason}',
            )
        number = int(found.get("restartCount") or 0) - (1 if previous else 0)
        if number < 0:
            text = f'previous terminated container "{container}" in pod "{name}" not found'
            raise ApiError(400, "BadRequest", text)
        return self.host.runner.log(f"{pod['metadata']['uid']}/{container}/{number}")
