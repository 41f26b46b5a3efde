"""Pods-to-be: every object that makes pods, as one kind of value.

A workload is judged where people write it: a pod that a ReplicaSet of a Deployment made is not looked at again. Pods whose
owner was not read stand for it, one for each owner.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.kube.paths import Path
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item, Snapshot, owners

__all__ = ["Container", "Workload", "gpu_resource", "pod_gpus", "workloads_of"]

Object = Mapping[str, Any]

_GPU_RESOURCES: Final = ("nvidia.com/", "amd.com/gpu", "gpu.intel.com/", "habana.ai/gaudi")
_NO_GPU: Final = ("nvidia.com/hostdev", "nvidia.com/rdma", "nvidia.com/sriov", "nvidia.com/pgpu")
_APPS: Final = ("Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "Rollout.argoproj.io")


_ENDING: Final = frozenset(("Job", "CronJob", "ScaledJob", "JobSet", "PyTorchJob", "MPIJob", "RayJob"))


def gpu_resource(name: str) -> bool:
    """Whether an extended resource is a GPU or a slice of one: ``nvidia.com/gpu``, ``nvidia.com/mig-1g.10gb``, ``amd.com/gpu``."""
    return name.startswith(_GPU_RESOURCES) and not name.startswith(_NO_GPU)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a workload: ``spec`` is its mapping, ``path`` its place in the object; ``init`` as in the pod."""

    path: Path
    spec: Object
    init: bool = False

    @property
    def name(self) -> str:
        return str(self.spec.get("name") or "")

    @property
    def image(self) -> str:
        return str(self.spec.get("image") or "")

    @property
    def limits(self) -> Mapping[str, str]:
        return (self.spec.get("resources") or {}).get("limits") or {}

    @property
    def requests(self) -> Mapping[str, str]:
        return (self.spec.get("resources") or {}).get("requests") or {}

    @property
    def gpus(self) -> dict[str, int]:
        """Whole GPUs or slices by resource name, as the API server counts them: the limit, else the request."""
        found: dict[str, int] = {}
        for name, amount in {**self.requests, **self.limits}.items():
            number = parse(amount) if gpu_resource(name) else None
            if number is not None and number > 0:
                found[name] = int(number)
        return found

    @property
    def sidecar(self) -> bool:
        """An init container that stays (restartPolicy Always)."""
        return self.init and self.spec.get("restartPolicy") == "Always"

    def mount(self, at: str) -> str | None:
        """Name of the volume mounted at or above the path ``at``, the deepest one."""
        best = ""
        volume = None
        for mount in self.spec.get("volumeMounts") or []:
            place = str(mount.get("mountPath") or "").rstrip("/") or "/"
            if (at == place or at.startswith(place.rstrip("/") + "/")) and len(place) > len(best):
                best, volume = place, str(mount.get("name") or "")
        return volume


def gpus_of(containers: Iterable[Container]) -> dict[str, int]:
    """GPUs of a pod by resource: containers and sidecars add up, other init containers count by their largest.

    Source: k8s.io/component-helpers resource PodRequests.
    """
    total: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in containers:
        for name, amount in container.gpus.items():
            if container.init and not container.sidecar:
                peak[name] = max(peak.get(name, 0), amount)
            else:
                total[name] = total.get(name, 0) + amount
    return {name: max(total.get(name, 0), peak.get(name, 0)) for name in {**total, **peak}}


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that makes pods.

    Attributes:
        item: the object.
        part: which pods of it: empty, ``predictor``, ``transformer``, ``canary NAME``, ``worker``, ``leader``, ``prefill``.
        path: of the pod specification in the object.
        pod: the pod specification.
        labels, annotations: of the pods, where the object sets them.
        minimum: replicas that the object itself asks for at least.
        maximum: replicas it may grow to by itself (an InferenceService), equal to ``minimum`` where it cannot.
        replicas_path: where the object names them, None where it does not.
        complete: False where a controller adds containers, probes or volumes later (KServe runtimes).
        generated: kind and name of the object that a controller will make of it, such as ``Deployment``, ``llama-predictor``.
        template: it only lends its specification (ServingRuntime): no pod is made of it alone.
        pods_per_replica: more than one for a group of nodes.
    """

    item: Item
    part: str
    path: Path
    pod: Object
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    minimum: int
    maximum: int
    replicas_path: Path | None = None
    complete: bool = True
    generated: tuple[str, str] = ("", "")
    template: bool = False
    pods_per_replica: int = 1
    containers: tuple[Container, ...] = field(default=())

    @property
    def namespace(self) -> str:
        return self.item.namespace

    @property
    def gpus(self) -> dict[str, int]:
        """GPUs of one pod by resource."""
        return gpus_of(self.containers)

    @property
    def gpu_count(self) -> int:
        """GPUs and slices of one pod, of every kind."""
        return sum(self.gpus.values())

    @property
    def uses_gpu(self) -> bool:
        return self.gpu_count > 0

    @property
    def serves(self) -> bool:
        """It stays up: no Job and no bare Pod of a Job."""
        return self.item.kind not in _ENDING and not self.template

    def __str__(self) -> str:
        return f"{self.item}{f' ({self.part})' if self.part else ''}"


def workloads_of(snapshot: Snapshot) -> Iterator[Workload]:
    """Every workload of the snapshot, in the order read within a kind."""
    for item in snapshot.of(*_APPS):
        yield _app(item)
    for item in snapshot.of("ReplicaSet.apps"):
        if not owners(item) and item.spec.get("replicas", 1):
            yield _app(item)
    for item in snapshot.of("Job.batch"):
        if not owners(item):
            yield _make(
                item,
                "",
                ("spec", "template", "spec"),
                *_template(item.spec),
                replicas=item.spec.get("parallelism", 1),
            )
    for item in snapshot.of("CronJob.batch"):
        spec = item.section("spec", "jobTemplate", "spec")
        yield _make(
            item, "", ("spec", "jobTemplate", "spec", "template", "spec"), *_template(spec), replicas=1
        )
    for item in snapshot.of("ScaledJob.keda.sh"):
        spec = item.section("spec", "jobTargetRef")
        yield _make(item, "", ("spec", "jobTargetRef", "template", "spec"), *_template(spec), replicas=0,
                    maximum=item.spec.get("maxReplicaCount", 100))  # fmt: skip
    for item in snapshot.of("Service.serving.knative.dev"):
        yield _make(item, "", ("spec", "template", "spec"), *_template(item.spec), replicas=1, complete=False)
    for item in snapshot.of("LeaderWorkerSet.leaderworkerset.x-k8s.io"):
        yield from _leader_worker_set(item)
    yield from _kserve(snapshot)
    yield from _ray(snapshot)
    yield from _training(snapshot)
    yield from _bare_pods(snapshot)


def _app(item: Item) -> Workload:
    replicas = 1 if item.kind == "DaemonSet" else item.spec.get("replicas", 1)
    where: Path | None = ("spec", "replicas") if "replicas" in item.spec else None
    pod, labels, annotations = _template(item.spec)
    return _make(item, "", ("spec", "template", "spec"), pod, labels, annotations, replicas=replicas, replicas_path=where,
                 generated=(item.kind, item.name))  # fmt: skip


def _template(spec: Object) -> tuple[Object, Mapping[str, str], Mapping[str, str]]:
    template = spec.get("template") or {}
    metadata = template.get("metadata") or {}
    return template.get("spec") or {}, metadata.get("labels") or {}, metadata.get("annotations") or {}


def _make(  # noqa: PLR0917  # a constructor
    item: Item,
    part: str,
    path: Path,
    pod: Object,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    *,
    replicas: int,
    maximum: int | None = None,
    replicas_path: Path | None = None,
    complete: bool = True,
    generated: tuple[str, str] = ("", ""),
    template: bool = False,
    pods_per_replica: int = 1,
) -> Workload:
    containers = _containers(pod, path)
    if "model" in pod and item.kind == "InferenceService":  # a container in all but name
        containers.append(Container((*path, "model"), {"name": "kserve-container", **pod["model"]}))
    return Workload(
        item=item,
        part=part,
        path=path,
        pod=pod,
        labels=labels,
        annotations=annotations,
        minimum=replicas,
        maximum=max(replicas, replicas if maximum is None else maximum),
        replicas_path=replicas_path,
        complete=complete,
        generated=generated,
        template=template,
        pods_per_replica=pods_per_replica,
        containers=tuple(containers),
    )


def _leader_worker_set(item: Item) -> Iterator[Workload]:
    group = item.section("spec", "leaderWorkerTemplate")
    size, replicas = group.get("size", 1), item.spec.get("replicas", 1)
    parts = [name for name in ("leaderTemplate", "workerTemplate") if name in group]
    for name in parts:
        template = group[name]
        metadata = template.get("metadata") or {}
        pods = 1 if name == "leaderTemplate" else size - ("leaderTemplate" in group)
        yield _make(
            item, name.removesuffix("Template"), ("spec", "leaderWorkerTemplate", name, "spec"), template.get("spec") or {},
            metadata.get("labels") or {}, metadata.get("annotations") or {}, replicas=replicas,
            replicas_path=("spec", "replicas") if "replicas" in item.spec else None, generated=("LeaderWorkerSet", item.name),
            pods_per_replica=max(1, pods),
        )  # fmt: skip


_RAY: Final = {
    "RayCluster.ray.io": ("spec",),
    "RayService.ray.io": ("spec", "rayClusterConfig"),
    "RayJob.ray.io": ("spec", "rayClusterSpec"),
}


def _ray(snapshot: Snapshot) -> Iterator[Workload]:
    """Head and worker groups; Ray's autoscaler moves workers between their bounds."""
    for resource, where in _RAY.items():
        for item in snapshot.of(resource):
            cluster = item.section(*where)
            path: Path = (*where, "headGroupSpec", "template", "spec")
            head = cluster.get("headGroupSpec") or {}
            if head:
                yield _make(item, "head", path, *_template(head), replicas=1, complete=False)
            for index, group in enumerate(cluster.get("workerGroupSpecs") or []):
                path = (*where, "workerGroupSpecs", index, "template", "spec")
                minimum = int(group.get("minReplicas", group.get("replicas", 0)))
                yield _make(
                    item, str(group.get("groupName") or f"worker {index}"), path, *_template(group), replicas=minimum,
                    maximum=group.get("maxReplicas"), complete=False, pods_per_replica=max(1, group.get("numOfHosts", 1)),
                )  # fmt: skip


def _training(snapshot: Snapshot) -> Iterator[Workload]:
    """JobSets and Kubeflow's training jobs."""
    for item in snapshot.of("JobSet.jobset.x-k8s.io"):
        for index, job in enumerate(item.spec.get("replicatedJobs") or []):
            spec = (job.get("template") or {}).get("spec") or {}
            path: Path = ("spec", "replicatedJobs", index, "template", "spec", "template", "spec")
            pods = int(job.get("replicas", 1)) * int(spec.get("parallelism", 1))
            yield _make(item, str(job.get("name") or index), path, *_template(spec), replicas=pods)
    for resource, field_name in (
        ("PyTorchJob.kubeflow.org", "pytorchReplicaSpecs"),
        ("MPIJob.kubeflow.org", "mpiReplicaSpecs"),
    ):
        for item in snapshot.of(resource):
            for role, group in (item.spec.get(field_name) or {}).items():
                path = ("spec", field_name, role, "template", "spec")
                yield _make(
                    item,
                    role,
                    path,
                    *_template(group),
                    replicas=int(group.get("replicas", 1)),
                    complete=False,
                )


def _kserve(snapshot: Snapshot) -> Iterator[Workload]:
    for item in snapshot.of("InferenceService.serving.kserve.io"):
        for part in ("predictor", "transformer", "explainer"):
            if part in item.spec:
                yield _component(item, part, ("spec", part), item.spec[part], f"{item.name}-{part}")
        for index, canary in enumerate(item.spec.get("canary") or []):
            spec = canary.get("predictor") or {}
            name = str(spec.get("name") or index)
            yield _component(
                item,
                f"canary {name}",
                ("spec", "canary", index, "predictor"),
                spec,
                f"{item.name}-{name}-predictor",
            )
    for item in snapshot.of("ServingRuntime.serving.kserve.io", "ClusterServingRuntime.serving.kserve.io"):
        labels, annotations = item.spec.get("labels") or {}, item.spec.get("annotations") or {}
        yield _make(
            item, "", ("spec",), item.spec, labels, annotations, replicas=0, complete=False, template=True
        )
    for item in snapshot.of("LLMInferenceService.serving.kserve.io"):
        prefill = item.spec.get("prefill") or {}
        for part, path, spec in (("", ("spec",), item.spec), ("prefill", ("spec", "prefill"), prefill)):
            scaling: Mapping[str, Any] = spec.get("scaling") or {}
            replicas: int = scaling.get("minReplicas", spec.get("replicas", 1))
            suffix = "-prefill" if part else ""
            for field_name in ("template", "worker"):
                if field_name in spec:
                    yield _make(
                        item, part if field_name == "template" else f"{part} worker".strip(), (*path, field_name),
                        spec[field_name], spec.get("labels") or {}, spec.get("annotations") or {}, replicas=replicas,
                        maximum=scaling.get("maxReplicas"), complete=False,
                        generated=("LeaderWorkerSet", f"{item.name}-kserve-mn{suffix}") if "worker" in spec
                        else ("Deployment", f"{item.name}-kserve{suffix}"),
                    )  # fmt: skip


def _component(item: Item, part: str, path: Path, spec: Object, deployment: str) -> Workload:
    minimum = spec.get("minReplicas", 1)
    # Labels that the controller sets (kserve v0.20.0 pkg/constants/constants.go:759, reconcilers/deployment).
    labels = {
        **item.labels,
        **(spec.get("labels") or {}),
        "serving.kserve.io/inferenceservice": item.name,
        "app": f"isvc.{deployment}",
        "component": "predictor" if part.startswith("canary") else part,
    }
    return _make(
        item, part, path, spec, labels, spec.get("annotations") or {}, replicas=minimum,
        maximum=spec.get("maxReplicas") or max(1, minimum),
        replicas_path=(*path, "minReplicas") if "minReplicas" in spec else None, complete=False,
        generated=("Deployment", deployment),
    )  # fmt: skip


def _bare_pods(snapshot: Snapshot) -> Iterator[Workload]:
    """Pods without a controller, and one pod for each controller that was not read."""
    seen: set[str] = set()
    for item in snapshot.of("Pod"):
        controller = next((owner for owner in owners(item) if owner.get("controller")), None)
        if controller is not None:
            uid = str(controller.get("uid") or controller.get("name"))
            if uid in seen or snapshot.owner(item) is not None or controller.get("kind") == "Node":
                continue
            seen.add(uid)
        yield _make(
            item,
            "",
            ("spec",),
            item.spec,
            item.labels,
            item.annotations,
            replicas=1,
            generated=("Pod", item.name),
        )


def pod_gpus(pod: Item) -> dict[str, int]:
    """GPUs of a live pod by resource."""
    return gpus_of(_containers(pod.spec, ("spec",)))


def _containers(pod: Object, path: Path) -> list[Container]:
    return [
        *(
            Container((*path, "initContainers", n), spec, init=True)
            for n, spec in enumerate(pod.get("initContainers") or [])
        ),
        *(Container((*path, "containers", n), spec) for n, spec in enumerate(pod.get("containers") or [])),
    ]
