"""Which of a pod's containers is an inference engine, how much it loads at start and how long that takes.

The kind of storage is what the pod mounts or names: a local or hostPath volume, a claim, a bucket, the hub. Bandwidths are
those of `sizing.startup`; a model that is not in the catalogue loads nothing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from stoker.audit.view.gpus import stored_weights
from stoker.audit.view.serving import Server, find_model, servers_of, stored_format
from stoker.audit.view.workloads import workloads_of
from stoker.kube.snapshot import Item, Snapshot, Source
from stoker.lab.serving.staging import weights_command
from stoker.sizing.resolved import DeliveryKind
from stoker.sizing.startup import load_seconds

__all__ = ["Loading", "loading_of"]

Object = dict[str, Any]
Lookup = Callable[[str, str, str], Object | None]

_SOURCE_URI = "internal.serving.kserve.io/storage-initializer-sourceuri"
_INITIALIZERS = re.compile(r"storage-initializer|hf download|huggingface-cli|aws s3|gsutil|rclone")
_BUCKETS = ("s3://", "gs://", "hf3fs://", "https://")


@dataclass(frozen=True, slots=True)
class Loading:
    """What one container reads before it serves.

    Attributes:
        weights: bytes; 0 for programs without.
        seconds: reading them takes.
        is_engine: it is an inference engine.
    """

    weights: float = 0.0
    seconds: float = 0.0
    is_engine: bool = False


_NOTHING = Loading()


def loading_of(pod: Object, lookup: Lookup) -> Mapping[str, Loading]:
    """By container; those that load nothing are left out."""
    found = _copied(pod)
    server = _server(pod)
    if server is None:
        return found
    annotations = pod["metadata"].get("annotations") or {}
    uri = annotations.get(_SOURCE_URI, "")
    architecture = server.architecture or _named(server, uri, pod)
    share = max(1, server.pipeline_parallel)
    weights = stored_weights(architecture, stored_format(server)) / share if architecture else 0.0
    kind = _kind(pod, server, uri, lookup)
    for container in pod["spec"].get("initContainers") or ():
        text = " ".join(
            [container.get("image", ""), *(container.get("command") or ()), *(container.get("args") or ())]
        )
        if _INITIALIZERS.search(text) and weights:
            # Downloaded to the pod's own disk first, and read from there.
            found[container["name"]] = Loading(weights, load_seconds(weights, kind))
            kind = DeliveryKind.LOCAL_CACHE
    name = str(server.container.spec["name"])
    found[name] = Loading(weights, load_seconds(weights, kind), is_engine=True)
    return found


def _copied(pod: Object) -> dict[str, Loading]:
    """What Stoker's own program fetches: sources of ``weights.py copy ROOT NAME SOURCE``, ``stage ROOT READY NAME=SOURCE…``."""
    found = {}
    for container in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]):
        does, *rest = weights_command(
            [*(container.get("command") or ()), *(container.get("args") or ())]
        ) or ("",)
        sources = {"copy": rest[2:3], "stage": [pair.partition("=")[2] for pair in rest[2:]]}.get(does, [])
        weights = seconds = 0.0
        for source in sources:
            architecture = find_model(source)
            size = stored_weights(architecture) if architecture is not None else 0.0
            weights += size
            seconds += load_seconds(
                size, DeliveryKind.OBJECT_STORE if source.startswith(_BUCKETS) else DeliveryKind.HUB
            )
        if weights:
            found[str(container["name"])] = Loading(weights, seconds)
    return found


def _server(pod: Object) -> Server | None:
    metadata = {key: value for key, value in pod["metadata"].items() if key != "ownerReferences"}
    obj = {**pod, "metadata": metadata}
    item = Item("", "v1", "Pod", metadata["namespace"], metadata["name"], obj, Source(), live=True)
    snapshot = Snapshot((item,))
    return next(iter(servers_of(tuple(workloads_of(snapshot)), snapshot)), None)


def _named(server: Server, uri: str, pod: Object) -> Any:
    """The model by what else names it: the storage URI, the name it is served under, labels."""
    flag = server.flag("--served-model-name", "--model_name", "--model-name")
    labels = pod["metadata"].get("labels") or {}
    for name in (uri, flag.value if flag else "", labels.get("stoker.dev/model", "")):
        found = find_model(name)
        if found is not None:
            return found
    return None


def _kind(pod: Object, server: Server, uri: str, lookup: Lookup) -> DeliveryKind:
    name = uri or server.model
    if name.startswith(_BUCKETS):
        return DeliveryKind.OBJECT_STORE
    if name.startswith("hf://"):
        return DeliveryKind.HUB
    path = name if name.startswith("/") else "/mnt/models" if uri else ""
    if not path:
        return DeliveryKind.HUB
    volumes = {one["name"]: one for one in pod["spec"].get("volumes") or ()}
    mounts = [
        one
        for one in server.container.spec.get("volumeMounts") or ()
        if path == one["mountPath"] or path.startswith(one["mountPath"].rstrip("/") + "/")
    ]
    if not mounts:
        return DeliveryKind.PVC if uri.startswith("pvc://") else DeliveryKind.HUB
    volume = volumes.get(max(mounts, key=lambda one: len(one["mountPath"]))["name"]) or {}
    if "image" in volume:
        return DeliveryKind.OCI
    if "persistentVolumeClaim" in volume:
        return _of_claim(pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"], lookup)
    return DeliveryKind.NVME


def _of_claim(namespace: str, name: str, lookup: Lookup) -> DeliveryKind:
    """A claim bound to a volume on a node's own disk reads at its speed; any other one is shared."""
    claim = lookup("PersistentVolumeClaim", namespace, name)
    volume = lookup("PersistentVolume", "", (claim or {"spec": {}})["spec"].get("volumeName") or "")
    spec = (volume or {}).get("spec") or {}
    return DeliveryKind.NVME if "local" in spec or "hostPath" in spec else DeliveryKind.PVC
