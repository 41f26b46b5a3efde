"""One container on a node: where it stands, and how its status says so.

Source: kubernetes pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses), pkg/kubelet/kuberuntime.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from stoker.lab.api.cluster import timestamp
from stoker.lab.nodes.loading import Loading
from stoker.lab.nodes.probes import Probe

__all__ = ["Container", "State", "at"]

Object = dict[str, Any]
State = str  # "waiting", "running", "terminated"

# MaxContainerBackOff and its first step (pkg/kubelet/kubelet.go), and when it is forgotten (flowcontrol.Backoff).
BACK_OFF_S, LONGEST_BACK_OFF_S = 10.0, 300.0
_FORGOTTEN_S = 2 * LONGEST_BACK_OFF_S


def at(seconds: float) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))


@dataclass(slots=True)
class Container:
    """A container of a pod.

    Attributes:
        role: ``init``, ``sidecar`` or ``main``.
        reason, message: why it waits.
        is_started: it passed its startup probe, or has none.
        is_healthy: the program answers.
        is_listening: it has answered since it started.
        kill: why it is being killed; empty where it is not.
    """

    spec: Object
    role: str
    uid: str
    loading: Loading = field(default_factory=Loading)
    state: State = "waiting"
    reason: str = ""
    message: str = ""
    started_s: float = 0.0
    finished_s: float = 0.0
    exit_code: int = 0
    exit_reason: str = ""
    exit_message: str = ""
    last: Object | None = None
    restarts: int = 0
    is_created: bool = False
    is_started: bool = False
    is_ready: bool = False
    is_healthy: bool = False
    is_listening: bool = False
    kill: str = ""
    has_pulled: bool = False
    is_pulling: bool = False
    probes: dict[str, Probe] = field(default_factory=dict)
    back_off_s: float = 0.0
    backed_off_s: float = 0.0
    resume_s: float = 0.0
    is_backing_off: bool = False
    oom_s: float | None = None
    is_oom: bool = False
    retry_s: float = 0.0

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def path(self) -> str:
        """Where it stands in its pod, as events say it (pkg/kubelet/container/ref.go)."""
        return f"spec.{'containers' if self.role == 'main' else 'initContainers'}{{{self.name}}}"

    @property
    def run_id(self) -> str:
        """``<pod uid>/<container>/<restart>``."""
        return f"{self.uid}/{self.name}/{self.restarts}"

    @property
    def container_id(self) -> str:
        return "containerd://" + hashlib.sha256(self.run_id.encode()).hexdigest()

    @property
    def is_done(self) -> bool:
        """It has ended well."""
        return self.state == "terminated" and self.exit_code == 0

    # --- its course -----------------------------------------------------------------------------------------------

    def exited(self, now: float, code: int, reason: str, message: str) -> None:
        self.state = "terminated"
        self.finished_s = now
        self.exit_code, self.exit_reason, self.exit_message = code, reason, message
        if self.is_oom:
            self.exit_code, self.exit_reason = 137, "OOMKilled"
        self.is_ready = self.is_healthy = self.is_listening = self.is_started = False
        self.kill = ""
        self.probes = {}
        self.oom_s = None

    def plan_restart(self) -> None:
        """The first restart is at once, the next after 10 s, and twice as long every time, up to 5 minutes."""
        if self.finished_s - self.backed_off_s > _FORGOTTEN_S:
            self.back_off_s = 0.0
        self.resume_s = self.finished_s + self.back_off_s
        self.is_backing_off = self.back_off_s > 0

    def restart(self) -> None:
        """The pause is over: it will be created anew."""
        self.last = self._terminated()
        self.back_off_s = min(max(BACK_OFF_S, 2 * self.back_off_s), LONGEST_BACK_OFF_S)
        self.backed_off_s = self.finished_s
        self.restarts += 1
        self.state = "waiting"
        self.is_created = self.is_backing_off = self.is_oom = False

    # --- its status -----------------------------------------------------------------------------------------------

    def status(self, waiting: str) -> Object:
        """A ContainerStatus; ``waiting`` is the reason where it has none of its own."""
        spec = self.spec
        found: Object = {
            "name": self.name,
            "state": self._state(waiting),
            "lastState": self._last_state(),
            "ready": self.is_ready,
            "restartCount": self.restarts,
            "image": spec.get("image", ""),
            "imageID": _image_id(spec.get("image", "")) if self.is_created else "",
        }
        if self.is_created:
            found["containerID"] = self.container_id
            if spec.get("resources"):
                found["resources"] = spec["resources"]
                if spec["resources"].get("requests"):
                    found["allocatedResources"] = spec["resources"]["requests"]
        found["started"] = self.is_started and self.state == "running"
        if spec.get("volumeMounts"):
            found["volumeMounts"] = [_mount(one) for one in spec["volumeMounts"]]
        return found

    def _last_state(self) -> Object:
        """While it backs off, what ended last; else the run before this one."""
        if self.is_backing_off:
            return {"terminated": self._terminated()}
        return {"terminated": self.last} if self.last else {}

    def _state(self, waiting: str) -> Object:
        if self.state == "running":
            return {"running": {"startedAt": at(self.started_s)}}
        if self.state == "terminated" and not self.is_backing_off:
            return {"terminated": self._terminated()}
        if self.is_backing_off:
            return {"waiting": {"reason": "CrashLoopBackOff", "message": self.message}}
        reason: Object = {"reason": self.reason or waiting}
        if self.message:
            reason["message"] = self.message
        return {"waiting": reason}

    def _terminated(self) -> Object:
        found: Object = {
            "exitCode": self.exit_code,
            "reason": self.exit_reason,
            "startedAt": at(self.started_s),
            "finishedAt": at(self.finished_s),
            "containerID": self.container_id,
        }
        if self.exit_message:
            found["message"] = self.exit_message
        return found


def _mount(mount: Object) -> Object:
    found = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        found |= {"readOnly": True, "recursiveReadOnly": mount.get("recursiveReadOnly") or "Disabled"}
    return found


def _image_id(image: str) -> str:
    name, _, digest = image.partition("@")
    repository = name if ":" not in name.rpartition("/")[2] else name.rpartition(":")[0]
    return f"{repository}@{digest or 'sha256:' + hashlib.sha256(image.encode()).hexdigest()}"
