"""A model's replicas over time, as the API's watch tells them: no change between two looks goes unseen."""

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from stoker.errors import StokerError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Ref
from stoker.platform.serving import ServingMode
from stoker.rollout.pods import is_ready, selector
from stoker.sizing.resolved import ResolvedModel

__all__ = ["Look", "Recorder", "workload_of"]

_CHUNK: Final = 5.0  # wall seconds of one watch: how long an end is waited for at most


@dataclass(frozen=True, slots=True)
class Look:
    """Replicas at a moment.

    Attributes:
        at: seconds since the epoch, the cluster's.
        wanted: what the workload is asked for.
        ready: what answers.
    """

    at: float
    wanted: int
    ready: int


def workload_of(model: ResolvedModel) -> Ref | None:
    """What is scaled; None in Knative mode, where every revision has a Deployment of its own."""
    if model.mode is ServingMode.KNATIVE:
        return None
    if model.nodes_per_replica > 1:
        return Ref("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", model.namespace, model.workload)
    return Ref("apps/v1", "Deployment", model.namespace, model.workload)


class Recorder:
    """Watches in a thread of its own, from entering to leaving.

    Attributes:
        blind: seconds of the cluster in which it saw nothing, because watches were cut.
    """

    def __init__(self, cluster: Cluster, model: ResolvedModel) -> None:
        self._cluster = cluster
        self._model = model
        self._workload = workload_of(model)
        self._looks: list[Look] = []
        self._pods: dict[str, bool] = {}
        self._stop = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"replicas of {model.name}", daemon=True)
        self._lost: float | None = None
        self.blind = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        self._first.wait(timeout=60.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=4 * _CHUNK)

    @property
    def looks(self) -> tuple[Look, ...]:
        """Every change so far, in order; a look lasts until the next one. Empty where the workload was never seen."""
        return tuple(self._looks)

    @property
    def last(self) -> Look | None:
        return self._looks[-1] if self._looks else None

    # --- the thread ---

    def _run(self) -> None:
        version = ""
        while not self._stop.is_set():
            try:
                if not version:
                    version = self._list()
                version = self._watch(version)
            except StokerError:  # expired, cut, refused for a moment: once more from the list
                version = ""
                if self._lost is None:
                    self._lost = self._now()
                self._stop.wait(0.2)

    def _list(self) -> str:
        ref = self._workload
        if ref is None:
            objects, version = self._cluster.objects_at(
                "v1", "Pod", self._model.namespace, labels=selector(self._model)
            )
            self._pods = {one["metadata"]["name"]: is_ready(one) for one in objects}
            self._see_pods()
        else:
            objects, version = self._cluster.objects_at(
                ref.api_version, ref.kind, ref.namespace, fields=f"metadata.name={ref.name}"
            )
            for one in objects:
                self._see(one)
            if not objects:
                self._add(0, 0)
        if self._lost is not None:
            self.blind += self._now() - self._lost
            self._lost = None
        self._first.set()
        return version

    def _watch(self, version: str) -> str:
        ref = self._workload or Ref("v1", "Pod", self._model.namespace, "")
        chosen = {"fields": f"metadata.name={ref.name}"} if ref.name else {"labels": selector(self._model)}
        for event in self._cluster.watch(
            ref.api_version, ref.kind, ref.namespace, since=version, within=_CHUNK, **chosen
        ):
            version = event.object["metadata"]["resourceVersion"]
            if event.type == "BOOKMARK":
                continue
            if self._workload is None:
                self._see_pod(event.object, is_gone=event.type == "DELETED")
            elif event.type == "DELETED":
                self._add(0, 0)
            else:
                self._see(event.object)
            if self._stop.is_set():
                break
        return version

    def _see(self, obj: dict[str, Any]) -> None:
        spec, status = obj.get("spec") or {}, obj.get("status") or {}
        wanted = spec.get("replicas")
        self._add(1 if wanted is None else int(wanted), int(status.get("readyReplicas") or 0))

    def _see_pod(self, pod: dict[str, Any], *, is_gone: bool) -> None:
        if is_gone or pod["metadata"].get("deletionTimestamp"):
            self._pods.pop(pod["metadata"]["name"], None)
        else:
            self._pods[pod["metadata"]["name"]] = is_ready(pod)
        self._see_pods()

    def _see_pods(self) -> None:
        self._add(len(self._pods), sum(self._pods.values()))

    def _add(self, wanted: int, ready: int) -> None:
        last = self.last
        if last is None or (last.wanted, last.ready) != (wanted, ready):
            self._looks.append(Look(self._now(), wanted, ready))

    def _now(self) -> float:
        return self._cluster.clock.now().timestamp()
