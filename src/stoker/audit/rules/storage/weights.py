"""Weights: a path that exists, a volume that every replica can mount, and no download at each start."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Hit, Severity
from stoker.audit.rule import rule
from stoker.audit.view.gpus import stored_weights
from stoker.audit.view.serving import Server, stored_format
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.kube.paths import Path
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

_GIB: Final = 2**30
_MODES: Final = "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes"
_HUB: Final = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_CACHES: Final = ("/root/.cache/huggingface", "/root/.cache", "/data", "/models", "/model-cache", "/cache")
_SCHEMES: Final = (
    "pvc",
    "s3",
    "gs",
    "hf",
    "https",
    "http",
    "oci",
    "oci+native",
    "oci+fetch",
    "azure",
    "hdfs",
    "webhdfs",
    "file",
    "model-registry",  # Kubeflow's, through a ClusterStorageContainer
    "modelscope",
    "kubetorch",
)


def weights_gib(server: Server) -> float | None:
    """Weights of the server's model as it is stored, None where the model is unknown."""
    if server.architecture is None:
        return None
    return stored_weights(server.architecture, stored_format(server)) / _GIB


def _volume(workload: Workload, name: str | None) -> tuple[Mapping[str, Any], int] | None:
    for index, volume in enumerate(workload.pod.get("volumes") or []):
        if name is not None and volume.get("name") == name:
            return volume, index
    return None


def _written_out(view: View) -> Iterator[Server]:
    """Servers whose volumes are all in their template: KServe's webhook adds weights to the pods of its Deployments."""
    for server in view.running_servers:
        item = server.workload.item
        if server.workload.complete and server.container.path[-1] != "model" and not item.by_kserve:
            yield server


@rule(
    "model-path-not-mounted",
    Area.STORAGE,
    Severity.ERROR,
    title="Model is loaded from a path where nothing is mounted",
    why="The path does not exist in the engine's image: the server takes it for a hub name, fails, and restarts for ever.",
    fix="Mount the volume with the weights there, read-only.",
    references=("vllm 0.33.0 vllm/transformers_utils (local path or hub name)",),
    on=lambda view: (s for s in _written_out(view) if s.model.startswith("/") and s.official),
)
def _model_path_not_mounted(server: Server, view: View) -> Iterator[Hit]:
    claims = [
        str((c.get("metadata") or {}).get("name"))
        for c in server.workload.item.spec.get("volumeClaimTemplates") or []
    ]
    mounted = server.container.mount(server.model)
    below = any(
        str(m.get("mountPath") or "").startswith(server.model)
        for m in server.container.spec.get("volumeMounts") or []
    )
    if mounted is None and not below and not claims:
        yield Hit(
            server.workload.item,
            server.model_path or server.container.path,
            f"nothing is mounted at {server.model}",
            server.model,
        )


def _from_hub(server: Server) -> bool:
    return bool(_HUB.match(server.model)) and not server.model.startswith("/")


@rule(
    "model-downloaded-at-every-start",
    Area.STORAGE,
    Severity.WARNING,
    title="Weights are downloaded from the hub at every start",
    why=(
        "Each new replica fetches the whole model from the internet: scale-out takes as long as the hub is slow, all replicas "
        "that start together share one line, and an outage or a rate limit of the hub is yours."
    ),
    fix="Keep the weights on a volume, in an OCI image or in KServe's LocalModelCache.",
    references=(
        "kserve 0.20.0 pkg/apis/serving/v1alpha1/local_model_cache_types.go:50",
        "docs/sizing.md (load times)",
    ),
    on=lambda view: (
        s
        for s in _written_out(view)
        if s.container.gpus and s.workload.serves and (_from_hub(s) or s.model.startswith("/"))
    ),
)
def _model_downloaded_at_every_start(server: Server, view: View) -> Iterator[Hit]:
    if not _from_hub(server):
        return
    home = [
        str(e.get("value"))
        for e in server.container.spec.get("env") or []
        if e.get("name") in {"HF_HOME", "HF_HUB_CACHE", "TRANSFORMERS_CACHE", "HUGGINGFACE_HUB_CACHE"}
        and e.get("value")
    ]
    flag = server.flag("--download-dir")
    places = [*home, *([flag.value] if flag else []), *(_CACHES if not home else ())]
    for place in places:
        name = server.container.mount(place)
        found = _volume(server.workload, name)
        lasting = name is not None and (found is None or "emptyDir" not in found[0])
        if lasting:
            return
    load = weights_gib(server)
    told = f", {load:.0f} GiB each time" if load else ""
    yield Hit(
        server.workload.item,
        server.model_path or server.container.path,
        f"{server.model} is fetched at each start{told}: no volume keeps it",
        server.model,
    )


def _claims(view: View) -> Iterator[tuple[Workload, Item, Path]]:
    """Claims that replicas of one workload share."""
    for workload in view.gpu_workloads:
        if workload.item.kind in {"StatefulSet", "Pod", "Job"}:
            continue
        for index, volume in enumerate(workload.pod.get("volumes") or []):
            name = str((volume.get("persistentVolumeClaim") or {}).get("claimName") or "")
            claim = view.snapshot.get("PersistentVolumeClaim", workload.namespace, name)
            if claim is not None:
                yield (
                    workload,
                    claim,
                    (*workload.path, "volumes", index, "persistentVolumeClaim", "claimName"),
                )


@rule(
    "claim-mounts-on-one-node",
    Area.STORAGE,
    Severity.WARNING,
    title="Replicas share a volume that only one node may mount",
    why="A second replica on another node waits for ever on a multi-attach error: the service never has more than one node's replicas.",
    fix="Use ReadWriteMany or ReadOnlyMany for shared weights, or a copy for each node.",
    references=(_MODES,),
    on=_claims,
)
def _claim_mounts_on_one_node(subject: tuple[Workload, Item, Path], view: View) -> Iterator[Hit]:
    workload, claim, path = subject
    modes = set(claim.spec.get("accessModes") or [])
    most = view.replicas(workload)[1] * workload.pods_per_replica
    if modes and modes <= {"ReadWriteOnce", "ReadWriteOncePod"} and most > 1:
        yield Hit(
            workload.item,
            path,
            f"claim {claim.name} is {' and '.join(sorted(modes))}, and there are up to {most} replicas",
            claim.name,
        )


def _server_claims(view: View) -> Iterator[tuple[Server, Item, Path]]:
    """Claims of servers whose model is known."""
    servers = {id(s.workload): s for s in view.running_servers if s.architecture is not None}
    for workload, claim, path in _claims(view):
        if id(workload) in servers:
            yield servers[id(workload)], claim, path


@rule(
    "claim-smaller-than-weights",
    Area.STORAGE,
    Severity.ERROR,
    title="Volume is too small for the model's weights",
    why="The download ends with `no space left on device` after half an hour, and begins again.",
    fix="Request at least the weights and a tenth more.",
    references=("arithmetic: parameters × bytes (docs/sizing.md)",),
    on=_server_claims,
)
def _claim_smaller_than_weights(subject: tuple[Server, Item, Path], view: View) -> Iterator[Hit]:
    server, claim, _ = subject
    asked, needed = (
        parse(((claim.spec.get("resources") or {}).get("requests") or {}).get("storage", "")),
        weights_gib(server),
    )
    if asked is not None and needed is not None and float(asked) < needed * _GIB * 0.98:
        yield Hit(
            claim,
            ("spec", "resources", "requests", "storage"),
            f"{float(asked) / _GIB:.0f} GiB, and {server.model or server.architecture} has {needed:.0f} GiB of weights",
            str(asked),
        )


def _host_paths(view: View) -> Iterator[tuple[Workload, int, str]]:
    for workload in view.gpu_workloads:
        if workload.item.kind == "DaemonSet":
            continue
        for index, volume in enumerate(workload.pod.get("volumes") or []):
            yield workload, index, str((volume.get("hostPath") or {}).get("path") or "")


@rule(
    "weights-on-host-path",
    Area.STORAGE,
    Severity.WARNING,
    title="Model server reads its weights from a host path",
    why=(
        "The scheduler does not know which node has the files: a pod on a fresh node finds an empty folder. PodSecurity's "
        "baseline refuses hostPath, so the namespace cannot be secured either."
    ),
    fix="Use a local PersistentVolume with nodeAffinity, or KServe's LocalModelCache.",
    references=(
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
        "kserve 0.20.0 pkg/apis/serving/v1alpha1/local_model_cache_types.go",
    ),
    on=_host_paths,
)
def _weights_on_host_path(subject: tuple[Workload, int, str], view: View) -> Iterator[Hit]:
    workload, index, path = subject
    if path and not path.startswith(
        (
            "/dev",
            "/sys",
            "/proc",
            "/run",
            "/var/run",
            "/lib/modules",
            "/usr",
            "/opt/nvidia",
            "/home/kubernetes/bin",
            "/tmp",  # noqa: S108  # the host's own
            "/var/log",
            "/etc",
        )
    ):  # the host's
        yield Hit(
            workload.item,
            (*workload.path, "volumes", index, "hostPath", "path"),
            f"{path} of whichever node the pod lands on",
            path,
        )


@rule(
    "weights-in-memory-volume",
    Area.STORAGE,
    Severity.WARNING,
    title="Memory volume for weights counts against the container's memory limit",
    why="Files in an emptyDir of medium Memory are charged to the pod: the weights and the process together pass the limit, and the pod is OOMKilled while it loads.",
    fix="Raise the memory limit by the volume's size, or use a disk.",
    references=("https://kubernetes.io/docs/concepts/storage/volumes/#emptydir",),
    on=lambda view: (s for s in _written_out(view) if s.container.limits.get("memory")),
)
def _weights_in_memory_volume(server: Server, view: View) -> Iterator[Hit]:
    limit = parse(server.container.limits["memory"])
    total = 0.0
    where: Path | None = None
    for mount in server.container.spec.get("volumeMounts") or []:
        found = _volume(server.workload, str(mount.get("name") or ""))
        if found and (found[0].get("emptyDir") or {}).get("medium") == "Memory":
            total += float(parse(found[0]["emptyDir"].get("sizeLimit", "0")) or 0)
            where = (*server.workload.path, "volumes", found[1], "emptyDir", "sizeLimit")
    if limit is not None and where is not None and total >= float(limit):
        yield Hit(
            server.workload.item,
            where,
            f"{total / _GIB:.0f} GiB of memory volumes in a limit of {server.container.limits['memory']}",
            server.container.limits["memory"],
        )


@rule(
    "storage-uri-unknown",
    Area.STORAGE,
    Severity.ERROR,
    title="storageUri with a scheme that KServe does not read",
    why="The webhook or the storage initializer refuses it: the pod's init container fails for ever.",
    fix="Use pvc://, s3://, gs://, hf://, oci:// or https://.",
    references=("kserve 0.20.0 pkg/constants/constants.go:192-198",),
    on=lambda view: (
        (w.item, c.path, str(c.spec["storageUri"])) for w in view.workloads for c in w.containers
        if c.path[-1] == "model" and c.spec.get("storageUri")
    ),
)  # fmt: skip
def _storage_uri_unknown(subject: tuple[Item, Path, str], view: View) -> Iterator[Hit]:
    item, path, uri = subject
    if _own_container(uri, view):
        return
    scheme, mark, rest = uri.partition("://")
    blob = "blob.core.windows.net" in uri
    if "$" in uri or (mark and rest and scheme.lower() in _SCHEMES) or blob or uri.startswith("/"):
        return
    yield Hit(item, (*path, "storageUri"), f"{uri[:80]} has no scheme that KServe reads", uri)


def _own_container(uri: str, view: View) -> bool:
    """Whether a ClusterStorageContainer here takes the URI by its prefix, or may by an expression."""
    for item in view.of("ClusterStorageContainer.serving.kserve.io"):
        formats = item.spec.get("supportedUriFormats")
        for entry in formats if isinstance(formats, list) else []:
            prefix = entry.get("prefix") if isinstance(entry, dict) else None
            if isinstance(prefix, str) and prefix and uri.startswith(prefix):
                return True
    return False


@rule(
    "gated-model-without-token",
    Area.STORAGE,
    Severity.WARNING,
    title="Gated model is fetched without a token",
    why="The hub answers 401 until the licence was accepted and a token is given: the server restarts for ever with an error about access.",
    fix="Give HF_TOKEN from a Secret, or serve a copy of your own.",
    references=("https://huggingface.co/docs/hub/models-gated",),
    on=lambda view: (
        s for s in _written_out(view) if _from_hub(s) and s.architecture is not None and s.architecture.gated
    ),
)
def _gated_model_without_token(server: Server, view: View) -> Iterator[Hit]:
    names = {str(e.get("name")) for e in server.container.spec.get("env") or []}
    given = names & {
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "HUGGINGFACE_HUB_TOKEN",
        "HF_TOKEN_PATH",
        "HF_ENDPOINT",
        "HF_HUB_OFFLINE",
    } or server.container.spec.get("envFrom")
    if not given and server.model.partition("/")[0] in {"meta-llama", "mistralai", "google"}:
        yield Hit(
            server.workload.item,
            server.model_path or server.container.path,
            f"{server.model} is gated, and no token is given",
            server.model,
        )


@rule(
    "host-memory-below-weights",
    Area.STORAGE,
    Severity.INFO,
    title="Memory limit is smaller than the weights that are read through it",
    why=(
        "safetensors are mapped: their pages count against the limit and are thrown out and read again, so the load slows down. "
        "Formats that are not mapped, offloading and memory volumes are OOMKilled."
    ),
    fix="Give the pod a memory limit above the weights of its model.",
    references=(
        "arithmetic: parameters × bytes (docs/sizing.md)",
        "https://docs.kernel.org/admin-guide/cgroup-v2.html#memory",
    ),
    on=lambda view: (
        s
        for s in view.running_servers
        if s.architecture is not None and s.container.limits.get("memory") and s.container.gpus
    ),
)
def _host_memory_below_weights(server: Server, view: View) -> Iterator[Hit]:
    limit, needed = parse(server.container.limits["memory"]), weights_gib(server)
    nodes = server.workload.pods_per_replica
    if limit is not None and needed is not None and nodes == 1 and float(limit) < needed * _GIB * 0.9:
        path = (*server.container.path, "resources", "limits", "memory")
        yield Hit(
            server.workload.item,
            path,
            f"{server.container.limits['memory']} of memory, {needed:.0f} GiB of weights",
            server.container.limits["memory"],
        )
