"""A pod of the twin: what it asks for, where it runs, what it really uses."""

from dataclasses import dataclass, field
from typing import Any, Protocol

from stoker.twin.fleet.spec import Object

__all__ = ["Owner", "PodRun", "Reason"]


class Reason:
    """Why a pod ended, in the words of the API where it has one."""

    FINISHED = "Completed"
    SCALED_IN = "ScaledIn"
    PREEMPTED = "Preempted"
    NODE_LOST = "NodeLost"
    DRAINED = "Evicted"
    OOM = "OOMKilled"
    FAILED = "Error"


class Owner(Protocol):
    """Whoever made a pod, and hears of it."""

    def pod_bound(self, pod: "PodRun") -> None:
        """The scheduler has bound it."""

    def pod_refused(self, pod: "PodRun", message: str) -> None:
        """Admission has refused it."""

    def pod_ending(self, pod: "PodRun", reason: str) -> None:
        """It was told to stop; it is gone when its grace period is over."""

    def pod_gone(self, pod: "PodRun", reason: str) -> None:
        """It is gone, and what it held is free."""

    def pod_killed(self, pod: "PodRun") -> None:
        """Its container ran out of memory and starts again in place."""

    def pod_paced(self, pod: "PodRun", pace: float) -> None:
        """It gets CPU for 1 / ``pace`` of what it would use; ``pod.gpu_pace`` is what its GPU's neighbours add."""

    def gpu_work(self, pod: "PodRun") -> float:
        """Share of the time, 0 to 1, in which it has work for its GPU as things are."""


@dataclass(slots=True, eq=False)
class PodRun:
    """One pod.

    Attributes:
        key: namespace and name.
        shape: pods of one shape ask for the same; where one does not fit, the others need not be tried.
        gpus: physical GPUs it holds while it is bound.
        ready: its engine answers.
        host_memory_bytes, cores: what it uses now.
        pace, gpu_pace: how many times longer its work takes, for want of CPU and for others' turns on its GPU.
        grace_s: from the order to stop until it is gone.
    """

    key: tuple[str, str]
    object: dict[str, Any]
    owner: Owner
    shape: int
    gpus: float
    grace_s: float
    cores: float = 0.0
    cpu_request: float = 0.0
    pace: float = 1.0
    gpu_pace: float = 1.0
    priority: int = 0
    host_memory_bytes: float = 0.0
    memory_request: float = 0.0
    memory_limit: float = float("inf")
    node: str | None = None
    created_s: float = 0.0
    bound_s: float = -1.0
    usd_per_gpu_s: float = 0.0
    ready: bool = False
    ending: str = ""
    message: str = field(default="")


def named(template: Object, name: str) -> dict[str, Any]:
    """The Pod object of ``template`` under a name of its own; what it does not change is shared with the template."""
    return {**template, "metadata": {**template["metadata"], "name": name}}
