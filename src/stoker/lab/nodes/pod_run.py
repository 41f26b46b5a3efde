"""One pod on its node, from the first look to the last: volumes, sandbox, containers in their order, probes, the end.

Sources: kubernetes pkg/kubelet/kubelet.go (SyncPod), pkg/kubelet/kuberuntime/kuberuntime_manager.go (computePodActions,
doBackOff), pkg/kubelet/kuberuntime/kuberuntime_container.go (killContainer), pkg/kubelet/active_deadline.go.
"""

import math
import re
from datetime import datetime
from typing import Any

from stoker.lab.nodes.containers import Container, at
from stoker.lab.nodes.host import Host
from stoker.lab.nodes.images import go_duration
from stoker.lab.nodes.loading import Loading, loading_of
from stoker.lab.nodes.mounts import mount_problem
from stoker.lab.nodes.probing import grace_of, try_probe, watch
from stoker.lab.nodes.starting import start
from stoker.lab.nodes.statuses import phase_of, pod_status, should_restart
from stoker.lab.serving.contract import ContainerState
from stoker.twin.scheduler.requests import requests_of

__all__ = ["PodRun"]

Object = dict[str, Any]

_MOUNT_FIRST_S, _MOUNT_LONGEST_S = 0.5, 122.0  # operationexecutor's exponential back-off
_LEAST_GRACE_S = 2.0  # minimumGracePeriodInSeconds, after a preStop hook
_SLEEP = re.compile(r"sleep\s+(\d+(?:\.\d+)?)")
_DEADLINE = "Pod was active on the node longer than the specified deadline"
# What a reboot leaves behind of a container that ran (exit code and reason that the kubelet makes up).
_LOST = (255, "Unknown")


class PodRun:
    """A pod that a kubelet runs.

    Attributes:
        pod: its newest version; the kubelet sets it.
        due_s: when to look again; infinity for never.
        is_over: its containers have ended for good.
        is_blocked: it waits for an object that is not there.
    """

    def __init__(self, host: Host, pod: Object, now: float) -> None:
        self.pod = pod
        self.node = str(pod["spec"]["nodeName"])
        self.uid = str(pod["metadata"]["uid"])
        self.requests = requests_of(pod["spec"])[0]
        self.due_s = math.inf
        self.is_over = False
        self.is_blocked = False
        self.address = ""
        self.failing: tuple[str, str] | None = None
        self._fail_grace_s = 0.0
        self._host = host
        self._is_mounted = False
        self._mount_pause_s = _MOUNT_FIRST_S
        self._mount_again_s = 0.0
        self._sandbox_s = math.inf
        self._was_initialized = False
        self._winding_s: float | None = None
        self._is_finishing = False
        self._grace_s = math.inf
        self._stops: dict[str, float] = {}
        status = pod.get("status") or {}
        self.started_s = (
            datetime.fromisoformat(status["startTime"]).timestamp() if status.get("startTime") else now
        )
        loading = loading_of(pod, host.lookup)
        self.containers = [
            Container(spec, role, self.uid, loading.get(spec["name"], Loading()))
            for spec, role in _in_order(pod["spec"])
        ]
        self._recall(status, now)

    def _recall(self, status: Object, now: float) -> None:
        """What the pod's status says from before a restart of the lab or the node: whatever ran is lost."""
        known = {
            one["name"]: one
            for name in ("initContainerStatuses", "containerStatuses")
            for one in status.get(name) or ()
        }
        for container in self.containers:
            before = known.get(container.name)
            if before is None:
                continue
            container.restarts = int(before.get("restartCount") or 0)
            container.last = (before.get("lastState") or {}).get("terminated")
            state = before.get("state") or {}
            ended = state.get("terminated")
            if state.get("running"):
                container.is_created = True
                container.started_s = datetime.fromisoformat(state["running"]["startedAt"]).timestamp()
                container.exited(now, *_LOST, "")
                container.resume_s = now
                self._was_initialized |= container.role == "main"
            elif ended:
                container.is_created = True
                container.state = "terminated"
                container.exit_code = int(ended.get("exitCode") or 0)
                container.exit_reason = ended.get("reason", "")
                container.started_s = _moment(ended.get("startedAt"), now)
                container.finished_s = _moment(ended.get("finishedAt"), now)

    # --- one look -------------------------------------------------------------------------------------------------

    def step(self, now: float) -> None:
        """Move everything on as far as it goes by ``now``."""
        self.due_s = math.inf
        self.is_blocked = False
        if self.is_over:
            return
        for container in self.containers:
            self._listen(container, now)
        self._check_deadline(now)
        if self.failing is not None or self.pod["metadata"].get("deletionTimestamp"):
            self._wind_down(now)
        else:
            self._bring_up(now)
            if any(one.role == "main" and one.is_created for one in self.containers):
                self._was_initialized = True
            for container in self.containers:
                self._watch(container, now)
            if self.phase() in {"Succeeded", "Failed"}:
                self.is_over = True
                for container in self.containers:
                    if container.state == "running":
                        self._host.runner.stop(container.run_id, 0)

    def fail(self, reason: str, message: str, grace_s: float) -> None:
        """The pod as a whole has failed: evicted, or out of time."""
        if self.failing is None:
            self.failing = (reason, message)
            self._fail_grace_s = grace_s

    def _at(self, due: float) -> None:
        self.due_s = min(self.due_s, due)

    def phase(self) -> str:
        if self.failing is not None and self.is_over:
            return "Failed"
        is_terminal = self._winding_s is not None
        return phase_of(
            self.pod, self.containers, is_terminal=is_terminal, was_initialized=self._was_initialized
        )

    def status(self, now: float) -> Object:
        node = self._host.node(self.node) or {}
        addresses = (node.get("status") or {}).get("addresses") or ()
        host = next((one["address"] for one in addresses if one["type"] == "InternalIP"), "")
        return pod_status(
            self.pod, self.containers, phase=self.phase(), at=at(now), host=host, address=self.address,
            started=at(self.started_s), why=self.failing if self.failing and self.is_over else ("", ""),
        )  # fmt: skip

    def _check_deadline(self, now: float) -> None:
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        if limit is None or self.failing is not None:
            return
        end = self.started_s + float(limit)
        if now >= end:
            self._host.tell(self.pod, "Normal", "DeadlineExceeded", _DEADLINE)
            self.fail("DeadlineExceeded", _DEADLINE, grace_of(self.pod))
        else:
            self._at(end)

    # --- up -------------------------------------------------------------------------------------------------------

    def _bring_up(self, now: float) -> None:
        if not self._mounted(now):
            return
        if now < self._sandbox_s:
            self._at(self._sandbox_s)
            return
        if not self.address:
            self.address = self._new_address()
        mains = [one for one in self.containers if one.role == "main"]
        if all(one.state == "terminated" and not should_restart(self.pod, one) for one in mains):
            self._stop_sidecars()
            return
        if not self._are_inits_done(now):
            return
        for container in mains:
            self._ensure(container, now)
        if all(one.state == "terminated" and not should_restart(self.pod, one) for one in mains):
            self._stop_sidecars()

    def _are_inits_done(self, now: float) -> bool:
        """Bring init containers and sidecars up one after another; whether main containers may start."""
        for container in self.containers:
            if container.role == "main":
                break
            if container.role == "sidecar":
                self._ensure(container, now)
                self._watch(container, now)
                if not container.is_started and not self._was_initialized:
                    return False
            elif not self._was_initialized and not container.is_done:
                self._ensure(container, now)
                if not container.is_done:
                    return False
        return True

    def _new_address(self) -> str:
        if self.pod["spec"].get("hostNetwork"):
            node = self._host.node(self.node) or {}
            return next(
                (one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"), ""
            )
        return self._host.addresses.take()

    def _mounted(self, now: float) -> bool:
        if self._is_mounted:
            return True
        problem = mount_problem(self.pod, self._host.lookup)
        if not problem:
            self._is_mounted = True
            self._sandbox_s = now + self._host.sandbox_s
            return True
        self.is_blocked = True
        if now >= self._mount_again_s:
            self._host.tell(self.pod, "Warning", "FailedMount", problem)
            self._mount_again_s = now + self._mount_pause_s
            self._mount_pause_s = min(2 * self._mount_pause_s, _MOUNT_LONGEST_S)
        self._at(self._mount_again_s)
        return False

    def _ensure(self, container: Container, now: float) -> None:
        """Have a container run: create it, or create it again when its pause is over."""
        if container.state == "running":
            return
        if container.state == "terminated":
            if not should_restart(self.pod, container):
                return
            if now < container.resume_s:
                self._at(container.resume_s)
                return
            if container.restarts > 1:
                self._host.runner.forget(f"{container.uid}/{container.name}/{container.restarts - 1}")
            container.restart()
        if start(self._host, self.pod, container, self.address, now):
            self._listen(container, now)
        elif container.retry_s > now:
            self.is_blocked = True
            self._at(container.retry_s)

    # --- running --------------------------------------------------------------------------------------------------

    def _listen(self, container: Container, now: float) -> None:
        """Take in what has become of a container's program."""
        if container.state != "running":
            return
        runner = self._host.runner
        for said in runner.states(container.run_id):
            self._take(container, said, now)
        if container.state == "running":
            due = runner.due_s(container.run_id)
            if due is not None:
                self._at(now + due)

    def _take(self, container: Container, said: ContainerState, now: float) -> None:
        if said.state == "exited":
            if container.state != "running":
                return
            container.exited(now, said.exit_code, said.reason or "Error", said.message)
            if self._winding_s is None and not self._is_finishing and should_restart(self.pod, container):
                container.plan_restart()
                self._say_back_off(container)
            return
        is_healthy = said.state == "ready"
        if said.state == "running" or is_healthy == container.is_healthy:
            return
        container.is_healthy = is_healthy
        container.is_listening |= is_healthy
        for probe in container.probes.values():
            if not probe.on_hold and (probe.kind == "startup" or container.is_started):
                probe.arm(now)

    def _say_back_off(self, container: Container) -> None:
        if not container.is_backing_off:
            return
        metadata = self.pod["metadata"]
        text = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        pause = go_duration(container.back_off_s)
        container.message = f"back-off {pause} restarting failed container={container.name} pod={text}"
        self._host.tell(
            self.pod,
            "Warning",
            "BackOff",
            f"Back-off restarting failed container {container.name} in pod {text}",
            container.path,
        )

    def _watch(self, container: Container, now: float) -> None:
        """Memory, probes and readiness of a container."""
        self._at(watch(self._host, self.pod, container, self.address, now))

    # --- down -----------------------------------------------------------------------------------------------------

    def _wind_down(self, now: float) -> None:
        deletion = self.pod["metadata"].get("deletionGracePeriodSeconds")
        grace = min(
            self._fail_grace_s if self.failing else math.inf,
            math.inf if deletion is None else float(deletion),
        )
        if self._winding_s is None:
            self._winding_s = now
            self._plan_stops(now)
        is_shorter = grace < self._grace_s
        self._grace_s = min(grace, self._grace_s)
        mains = [one for one in self.containers if one.role != "sidecar"]
        self._stop_due(mains, now, again=is_shorter)
        if not any(one.state == "running" for one in mains):
            self._stop_due([one for one in self.containers if one.role == "sidecar"], now, again=is_shorter)
        for container in self.containers:
            self._listen(container, now)
            container.is_ready = container.is_ready and container.state == "running"
            readiness = container.probes.get("readiness")
            if container.state == "running" and readiness is not None and container.is_started:
                self._at(try_probe(self._host, self.pod, container, readiness, address=self.address, now=now))
                container.is_ready = readiness.result is True
        if not any(one.state == "running" for one in self.containers):
            self.is_over = True
            self.due_s = math.inf

    def _plan_stops(self, now: float) -> None:
        for container in self.containers:
            if container.state == "running":
                self._host.tell(
                    self.pod, "Normal", "Killing", f"Stopping container {container.name}", container.path
                )
                self._stops[container.name] = now + _pre_stop_s(container.spec)
            container.is_backing_off = False

    def _stop_due(self, containers: list[Container], now: float, *, again: bool) -> None:
        """Send SIGTERM to those whose preStop hook is done, or whose time is up."""
        end = (self._winding_s or now) + self._grace_s
        for container in containers:
            if container.state != "running":
                continue
            when = min(self._stops.get(container.name, math.inf), end)
            if now < when and container.name in self._stops:
                self._at(when)
                continue
            if self._stops.pop(container.name, None) is not None or again:
                left = end - now
                had_hook = bool((container.spec.get("lifecycle") or {}).get("preStop"))
                least = _LEAST_GRACE_S if had_hook and self._grace_s > 0 else 0.0
                self._host.runner.stop(container.run_id, max(left, least))

    def _stop_sidecars(self) -> None:
        self._is_finishing = True
        for container in self.containers:
            if container.role == "sidecar" and container.state == "running" and not container.kill:
                container.kill = f"Stopping container {container.name}"
                self._host.tell(self.pod, "Normal", "Killing", container.kill, container.path)
                self._host.runner.stop(container.run_id, grace_of(self.pod))
                self._listen(container, self._host.now())

    def lose(self) -> None:
        """The node is gone, or the pod is: its programs end, and nobody is told."""
        for container in self.containers:
            self._host.runner.stop(container.run_id, 0)
            for number in range(max(0, container.restarts - 1), container.restarts + 1):
                self._host.runner.forget(f"{container.uid}/{container.name}/{number}")
        self.release()

    def release(self) -> None:
        """Its address may be used again."""
        if self.address and not self.pod["spec"].get("hostNetwork"):
            self._host.addresses.give_back(self.address)


def _in_order(spec: Object) -> list[tuple[Object, str]]:
    """Containers in the order in which they start."""
    found = [
        (one, "sidecar" if one.get("restartPolicy") == "Always" else "init")
        for one in spec.get("initContainers") or ()
    ]
    return found + [(one, "main") for one in spec["containers"]]


def _moment(text: str | None, default: float) -> float:
    return datetime.fromisoformat(text).timestamp() if text else default


def _pre_stop_s(container: Object) -> float:
    """Seconds that a preStop hook takes: those that it sleeps; a request is answered at once."""
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    if hook.get("sleep"):
        return float(hook["sleep"].get("seconds") or 0)
    match = _SLEEP.search(" ".join((hook.get("exec") or {}).get("command") or ()))
    return float(match[1]) if match else 0.0
