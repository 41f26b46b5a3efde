"""Volumes, mounts and init containers that bring weights into a pod."""

from typing import Final

from stoker.platform.models import EngineName
from stoker.platform.serving import ServingMode
from stoker.platform.storage import HubStorage, ObjectStorage
from stoker.sizing.resolved import Delivery, DeliveryKind, ResolvedModel
from stoker.upgrades.objects import Object
from stoker.upgrades.storage.tools import (
    INITIALIZER_IMAGE,
    download_environment,
    tool_container,
    tool_volume,
)

__all__ = [
    "downloads_in_pod",
    "native_image",
    "wait_for_weights",
    "weights_init_containers",
    "weights_volume",
]

_VOLUME: Final = "weights"
_CHECK: Final = "weights-check"
_CHECK_MOUNT: Final = "/weights"
_STREAMED: Final = ("s3://", "gs://")
# Directory of the model within a model image, by KServe's convention (kserve v0.20.0 pkg/utils/storage.go).
_IMAGE_DIRECTORY: Final = "models"


def weights_volume(model: ResolvedModel, delivery: Delivery) -> tuple[list[Object], list[Object]]:
    """Pod volumes and engine mounts of the weights, where no KServe controller adds them.

    Both lists are empty where the engine fetches the weights by itself, and in KServe's modes.
    """
    if model.mode is not ServingMode.DEPLOYMENT or fetches_by_itself(model, delivery):
        return [], []
    mount: Object = {"name": _VOLUME, "mountPath": delivery.mount_path, "readOnly": True}
    if delivery.kind in (DeliveryKind.PVC, DeliveryKind.NVME):
        source: Object = {"persistentVolumeClaim": {"claimName": delivery.claim, "readOnly": True}}
        if delivery.sub_path:
            mount["subPath"] = delivery.sub_path
    elif delivery.kind is DeliveryKind.OCI and native_image(delivery):
        source = {"image": {"reference": image_reference(delivery), "pullPolicy": "IfNotPresent"}}
        mount["subPath"] = _IMAGE_DIRECTORY
    else:
        source = {"emptyDir": {}}
    return [{"name": _VOLUME, **source}], [mount]


def weights_init_containers(model: ResolvedModel, delivery: Delivery) -> list[Object]:
    """Init containers that fill the volume of `weights_volume` where nobody else has filled it."""
    volumes, _ = weights_volume(model, delivery)
    if not volumes or "emptyDir" not in volumes[0]:
        return []
    mount = {"name": _VOLUME, "mountPath": delivery.mount_path}
    if delivery.kind is DeliveryKind.OCI:
        return [_image_copy(delivery, mount)]
    entry = delivery.entry
    token = entry.credentials if isinstance(entry, HubStorage) else None
    container: Object = {
        "name": "weights-download",
        "image": INITIALIZER_IMAGE,
        "args": [delivery.source, delivery.mount_path],
        "env": download_environment(entry, token),
        "resources": _resources("2", "8Gi"),
        "securityContext": _hardened(1000),
        "volumeMounts": [mount],
    }
    if isinstance(entry, ObjectStorage) and entry.credentials:
        container["envFrom"] = [{"secretRef": {"name": entry.credentials}}]
    return [container]


def wait_for_weights(model: ResolvedModel, delivery: Delivery) -> tuple[list[Object], list[Object]]:
    """Volumes and init containers that hold a pod back until its copy is whole; empty where nothing is copied.

    The claim is mounted a second time, as a whole: a sub path that does not exist yet would be created empty.
    """
    if not delivery.copy:
        return [], []
    claim = {"claimName": delivery.claim, "readOnly": True}
    directory = f"{_CHECK_MOUNT}/{delivery.sub_path}".rstrip("/")
    # Longer than any copy we have seen takes; the kubelet restarts the container after it, with the reason in the log.
    seconds = max(3600, 2 * model.startup_seconds)
    container = tool_container(
        "weights-ready",
        ["wait", directory, str(seconds)],
        mounts=[{"name": _CHECK, "mountPath": _CHECK_MOUNT, "readOnly": True}],
        memory="128Mi",
        cpu="100m",
    )
    return [tool_volume(), {"name": _CHECK, "persistentVolumeClaim": claim}], [container]


def fetches_by_itself(model: ResolvedModel, delivery: Delivery) -> bool:
    """Whether the engine downloads or streams the weights, in a plain Deployment."""
    engine = model.release.engine
    if delivery.kind is DeliveryKind.HUB:
        return delivery.source.startswith("hf://") and engine not in (EngineName.TRITON, EngineName.CUSTOM)
    return (
        delivery.kind is DeliveryKind.OBJECT_STORE
        and engine == EngineName.VLLM
        and delivery.source.startswith(_STREAMED)
    )


def downloads_in_pod(delivery: Delivery) -> bool:
    """Whether serving pods reach out for their weights: NetworkPolicies must let them."""
    return delivery.kind in (DeliveryKind.HUB, DeliveryKind.OBJECT_STORE)


def native_image(delivery: Delivery) -> bool:
    """Whether the image is mounted as a volume. In KServe's modes the URI says so, in a Deployment the entry does."""
    return delivery.serve_uri.startswith("oci+native://")


def image_reference(delivery: Delivery) -> str:
    return delivery.source.removeprefix("oci://")


def _image_copy(delivery: Delivery, mount: Object) -> Object:
    """Copy out of a modelcar image: before image volumes are GA there is no other way without a sidecar."""
    return {
        "name": "weights-copy",
        "image": image_reference(delivery),
        "command": ["cp", "-r", f"/{_IMAGE_DIRECTORY}/.", delivery.mount_path],
        "resources": _resources("1", "1Gi"),
        "securityContext": _hardened(1010),
        "volumeMounts": [mount],
    }


def _resources(cpu: str, memory: str) -> Object:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu, "memory": memory}}


def _hardened(user: int) -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
