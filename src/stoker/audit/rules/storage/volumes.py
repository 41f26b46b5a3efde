"""Volumes behind a model path: filled, readable from every node, and as fast as the weights are large."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add
from stoker.audit.rule import rule
from stoker.audit.rules.storage.weights import weights_gib
from stoker.audit.view.serving import Server
from stoker.audit.view.view import View
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item

_VOLUMES: Final = "https://kubernetes.io/docs/concepts/storage/volumes/"
_HUGE: Final = 60.0  # GiB: at the 100 to 300 MB/s of a basic file share this is minutes for every replica
_SHARES: Final = ("efs.csi.aws.com", "nfs.csi.k8s.io", "file.csi.azure.com", "cluster.local/nfs")

_LOCAL: Final = frozenset(
    (
        "kubernetes.io/no-provisioner",
        "rancher.io/local-path",
        "openebs.io/local",
        "local.csi.openebs.io",
        "topolvm.io",
    )
)


def _mounted(view: View) -> Iterator[tuple[Server, int, Mapping[str, Any]]]:
    """Servers that load from a path, with the mount that the path lies in."""
    for server in view.running_servers:
        if not server.model.startswith("/") or not server.workload.complete:
            continue
        best: tuple[int, Mapping[str, Any]] | None = None
        for index, mount in enumerate(server.container.spec.get("volumeMounts") or []):
            place = str(mount.get("mountPath") or "").rstrip("/")
            inside = server.model == place or server.model.startswith(f"{place}/")
            if (
                place
                and inside
                and (best is None or len(place) > len(str(best[1].get("mountPath")).rstrip("/")))
            ):
                best = index, mount
        if best is not None:
            yield server, *best


def _volume(server: Server, mount: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(
        (v for v in server.workload.pod.get("volumes") or [] if v.get("name") == mount.get("name")), {}
    )


@rule(
    "model-path-empty",
    Area.STORAGE,
    Severity.ERROR,
    title="Model is loaded from a volume that nothing fills",
    why=(
        "An emptyDir is empty when the pod starts, and no init container, sidecar or other container here mounts it: the server "
        "finds no model at the path, fails, and restarts for ever while it holds its GPUs."
    ),
    fix="Mount a claim or an image volume with the weights, or an init container that fetches them.",
    references=(f"{_VOLUMES}#emptydir",),
    on=_mounted,
)
def _model_path_empty(subject: tuple[Server, int, Mapping[str, Any]], view: View) -> Iterator[Hit]:
    server, index, mount = subject
    if "emptyDir" not in _volume(server, mount) or _fills(server, mount):
        return
    path = (*server.container.path, "volumeMounts", index)
    yield Hit(
        server.workload.item,
        path,
        f"{server.model} lies in the emptyDir {mount.get('name')}, which nothing else mounts",
        str(mount.get("name")),
    )


def _fills(server: Server, mount: Mapping[str, Any]) -> bool:
    """Whether something may put the weights there: another container, or a script or program of the server's own."""
    others = [c for c in server.workload.containers if c is not server.container]
    shared = any(m.get("name") == mount.get("name") for c in others for m in c.spec.get("volumeMounts") or [])
    scripted = any(word.scripted for word in server.command.words)
    hooks = bool((server.container.spec.get("lifecycle") or {}).get("postStart"))
    return shared or scripted or hooks or not server.official or server.engine == "triton"


@rule(
    "weights-volume-writable",
    Area.STORAGE,
    Severity.INFO,
    title="Shared weights are mounted writable",
    why="Several servers read the same claim, and each may write it: one of them broken or taken over changes the model of all.",
    fix="Mount the weights with readOnly: true.",
    references=("https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes",),
    on=lambda view: (
        entry
        for entry in _mounted(view)
        if "persistentVolumeClaim" in _volume(entry[0], entry[2]) and view.replicas(entry[0].workload)[1] > 1
    ),
)
def _weights_volume_writable(subject: tuple[Server, int, Mapping[str, Any]], view: View) -> Iterator[Hit]:
    server, index, mount = subject
    claim = _volume(server, mount)["persistentVolumeClaim"]
    if mount.get("readOnly") or claim.get("readOnly") or server.item.kind == "StatefulSet":
        return
    path = (*server.container.path, "volumeMounts", index, "readOnly")
    yield Hit(
        server.workload.item,
        path,
        f"claim {claim.get('claimName', '')} is mounted writable by up to {view.replicas(server.workload)[1]} replicas",
        mount.get("readOnly"),
        Fix("Mount it read-only", (add(path, True),)),
    )


def _big(view: View) -> Iterator[tuple[Server, Mapping[str, Any], Path]]:
    """Servers whose weights are large and lie in a volume."""
    for server, _, mount in _mounted(view):
        size = weights_gib(server)
        volumes = server.workload.pod.get("volumes") or []
        for index, volume in enumerate(volumes):
            if volume.get("name") == mount.get("name") and size is not None and size >= _HUGE:
                yield server, volume, (*server.workload.path, "volumes", index)


@rule(
    "huge-weights-on-file-share",
    Area.STORAGE,
    Severity.INFO,
    title="Weights of many gigabytes are read from a file share at every start",
    why=(
        "All replicas that start together share the share's throughput, and a bursting one (EFS, Azure Files) slows down just "
        "then: a scale-out that takes minutes alone takes an hour in company."
    ),
    fix="Measure a start of as many replicas as may start at once, or keep the weights on local disks or in an OCI image.",
    references=("docs/sizing.md (load times)", "https://docs.aws.amazon.com/efs/latest/ug/performance.html"),
    on=_big,
)
def _huge_weights_on_file_share(subject: tuple[Server, Mapping[str, Any], Path], view: View) -> Iterator[Hit]:
    server, volume, path = subject
    told = _share(server, volume, view)
    if told:
        size = weights_gib(server) or 0.0
        yield Hit(server.workload.item, path, f"{size:.0f} GiB of weights are read through {told}", told)


def _share(server: Server, volume: Mapping[str, Any], view: View) -> str:
    """The file share that a volume is; empty where it is another kind, or where nothing tells."""
    if "nfs" in volume:
        return f"nfs {volume['nfs'].get('server', '')}".strip()
    name = str((volume.get("persistentVolumeClaim") or {}).get("claimName") or "")
    claim = view.snapshot.get("PersistentVolumeClaim", server.workload.namespace, name)
    if claim is None:
        return ""
    made = view.snapshot.get("PersistentVolume", "", str(claim.spec.get("volumeName") or ""))
    if made is not None and "nfs" in made.spec:
        return f"nfs volume {made.name}"
    chosen = str(claim.spec.get("storageClassName") or "")
    kind = view.snapshot.get("StorageClass.storage.k8s.io", "", chosen)
    provisioner = str(kind.obj.get("provisioner") or "") if kind is not None else ""
    return f"StorageClass {chosen} ({provisioner})" if provisioner.startswith(_SHARES) else ""


def _host_volumes(view: View) -> Iterator[tuple[Item, Item]]:
    """PersistentVolumes of host paths that a GPU workload's claim is bound to, with the claim."""
    wanted = {
        (w.namespace, str((v.get("persistentVolumeClaim") or {}).get("claimName") or ""))
        for w in view.gpu_workloads
        for v in w.pod.get("volumes") or []
    }
    for volume in view.of("PersistentVolume"):
        if "hostPath" not in volume.spec:
            continue
        for claim in view.of("PersistentVolumeClaim"):
            reference = volume.spec.get("claimRef") or {}
            bound = claim.spec.get("volumeName") == volume.name or (
                reference.get("name") == claim.name and reference.get("namespace") == claim.namespace
            )
            if bound and (claim.namespace, claim.name) in wanted:
                yield volume, claim


@rule(
    "volume-without-node-affinity",
    Area.STORAGE,
    Severity.WARNING,
    title="Volume of a host path does not say which node has it",
    why=(
        "Without nodeAffinity the scheduler sends the pod to any GPU node: on the one with the files it works, on every other the "
        "kubelet mounts an empty or missing folder, so it breaks at the first reschedule."
    ),
    fix="Use a local volume with nodeAffinity, or a network volume.",
    references=(
        f"{_VOLUMES}#local",
        "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#node-affinity",
    ),
    on=_host_volumes,
)
def _volume_without_node_affinity(subject: tuple[Item, Item], view: View) -> Iterator[Hit]:
    volume, claim = subject
    if not volume.spec.get("nodeAffinity") and len(view.of("Node")) != 1:
        where = volume.spec["hostPath"].get("path")
        yield Hit(
            volume, ("spec", "nodeAffinity"), f"{where} of whichever node the pods of {claim} land on", where
        )


@rule(
    "local-volume-bound-early",
    Area.STORAGE,
    Severity.WARNING,
    title="Storage class binds local volumes before the pod is placed",
    why="The volume is chosen on any node, and the pod must follow it: to a node without free GPUs it never can.",
    fix="Set volumeBindingMode: WaitForFirstConsumer.",
    references=("https://kubernetes.io/docs/concepts/storage/storage-classes/#volume-binding-mode",),
    on=lambda view: (
        i for i in view.of("StorageClass.storage.k8s.io") if str(i.obj.get("provisioner")) in _LOCAL
    ),
)
def _local_volume_bound_early(item: Item, view: View) -> Iterator[Hit]:
    if item.obj.get("volumeBindingMode", "Immediate") == "Immediate":
        yield Hit(
            item, ("volumeBindingMode",), f"{item.name} binds immediately", item.obj.get("volumeBindingMode")
        )
