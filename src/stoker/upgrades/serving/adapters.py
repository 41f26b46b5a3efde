"""LoRA adapters: brought into the pod by init containers or claims, one directory an adapter."""

from dataclasses import dataclass, field

from stoker.platform.serving import ServingMode
from stoker.platform.storage import HubStorage
from stoker.sizing.resolved import ResolvedModel
from stoker.upgrades.objects import Object
from stoker.upgrades.serving.engine import LORA_MOUNT
from stoker.upgrades.storage.tools import INITIALIZER_IMAGE, download_environment

__all__ = ["AdapterVolumes", "adapter_volumes"]

_VOLUME = "adapters"


@dataclass(frozen=True, slots=True)
class AdapterVolumes:
    volumes: list[Object] = field(default_factory=list)
    mounts: list[Object] = field(default_factory=list)
    init_containers: list[Object] = field(default_factory=list)


def adapter_volumes(model: ResolvedModel) -> AdapterVolumes:
    """Where the adapters of a model come from; empty for a LLMInferenceService, whose controller fetches them.

    A pvc:// adapter is mounted from its claim, an oci:// one from its image, everything else is downloaded: adapters
    are small, a hundred megabytes against the model's hundred gigabytes.
    """
    found = AdapterVolumes()
    if not model.spec.lora or model.mode is ServingMode.LLM_INFERENCE_SERVICE:
        return found
    downloads: list[str] = []
    for adapter in model.spec.lora:
        target = f"{LORA_MOUNT}/{adapter.name}"
        if adapter.source.startswith("pvc://"):
            claim, _, path = adapter.source.removeprefix("pvc://").partition("/")
            volume = f"claim-{claim}"[:63].rstrip("-")
            if all(item["name"] != volume for item in found.volumes):
                found.volumes.append(
                    {"name": volume, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
                )
            mount: Object = {"name": volume, "mountPath": target, "readOnly": True}
            found.mounts.append({**mount, "subPath": path} if path.strip("/") else mount)
        else:
            downloads += [adapter.source, f"{LORA_MOUNT}/{adapter.name}"]
            found.mounts.append(
                {"name": _VOLUME, "mountPath": target, "subPath": adapter.name, "readOnly": True}
            )
    if downloads:
        found.volumes.append({"name": _VOLUME, "emptyDir": {}})
        found.init_containers.append(_download(model, downloads))
    return found


def _download(model: ResolvedModel, pairs: list[str]) -> Object:
    entry = model.delivery.entry
    token = entry.credentials if isinstance(entry, HubStorage) else None
    return {
        "name": "adapters-download",
        "image": INITIALIZER_IMAGE,
        "args": pairs,
        "env": download_environment(entry, token),
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": _VOLUME, "mountPath": LORA_MOUNT}],
    }
