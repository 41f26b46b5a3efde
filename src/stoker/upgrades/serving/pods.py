"""The engine's container and pod, as far as the serving modes share them."""

from dataclasses import dataclass, field
from typing import Final

from stoker.platform.models import EngineName
from stoker.platform.serving import ServingMode
from stoker.platform.storage import ObjectStorage
from stoker.sizing.resolved import ResolvedCanary, ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Object, compact, merge
from stoker.upgrades.scheduling.containers import (
    container_resources,
    container_security,
    lifecycle,
    probes,
    shared_memory,
)
from stoker.upgrades.scheduling.placement import pod_placement
from stoker.upgrades.serving.adapters import adapter_volumes
from stoker.upgrades.serving.engine import EngineCommand, Launch, engine_command, launch_of, streams_weights
from stoker.upgrades.serving.environment import CACHE_MOUNT, CACHE_VOLUME
from stoker.upgrades.storage.volumes import wait_for_weights, weights_init_containers, weights_volume

__all__ = ["EnginePod", "engine_pod", "engine_security", "pod_labels", "port_name"]

# The user `vllm` of vllm/vllm-openai (docker/Dockerfile) and 1000 of KServe's and NVIDIA's images; SGLang and TGI run
# under any id since HOME, USER and every cache point to the cache volume.
_USERS: Final = {
    EngineName.VLLM: 2000,
    EngineName.SGLANG: 1000,
    EngineName.TGI: 1000,
    EngineName.TRITON: 1000,
    EngineName.HUGGINGFACE: 1000,
}


@dataclass(frozen=True, slots=True)
class EnginePod:
    """A pod in parts, so that each mode puts them where its API wants them.

    Attributes:
        container: the engine container without a name.
        fields: pod-spec fields of placement and identity.
        volumes, init_containers: pod-spec lists.
    """

    container: Object
    fields: Object
    volumes: list[Object] = field(default_factory=list)
    init_containers: list[Object] = field(default_factory=list)

    def pod_spec(self, name: str) -> Object:
        """The whole pod spec with the engine container under ``name``."""
        built: Object = compact(
            {
                **self.fields,
                "initContainers": self.init_containers or None,
                "containers": [{"name": name, **self.container}],
                "volumes": self.volumes,
            }
        )
        return built


def engine_pod(
    platform: ResolvedPlatform,
    model: ResolvedModel,
    canary: ResolvedCanary | None = None,
    *,
    command: EngineCommand | None = None,
) -> EnginePod:
    """The engine's pod of the model, or of its canary; ``command`` replaces the computed one (multi-node ranks)."""
    launch = launch_of(model, canary)
    start = command or engine_command(model, canary=canary)
    shm_volume, shm_mount = shared_memory(model)
    volumes, mounts = weights_volume(model, launch.delivery)
    waiting_volumes, waiting = wait_for_weights(model, launch.delivery)
    adapters = adapter_volumes(model)
    container = compact(
        {
            "image": start.image,
            "command": list(start.command) or None,
            "args": list(start.args) or None,
            "env": list(start.env) or None,
            "envFrom": _store_credentials(launch) or None,
            "ports": _ports(model),
            "resources": container_resources(platform, model),
            **probes(model),
            "lifecycle": lifecycle(model) if model.mode is not ServingMode.LLM_INFERENCE_SERVICE else None,
            "securityContext": engine_security(model),
            "volumeMounts": [
                *mounts,
                shm_mount,
                {"name": CACHE_VOLUME, "mountPath": CACHE_MOUNT},
                *adapters.mounts,
            ],
        }
    )
    if not container.get("lifecycle"):
        container.pop("lifecycle", None)
    return EnginePod(
        container=container,
        fields=pod_placement(platform, model),
        volumes=_distinct(
            [
                *volumes,
                shm_volume,
                {"name": CACHE_VOLUME, "emptyDir": {}},
                *waiting_volumes,
                *adapters.volumes,
            ]
        ),
        init_containers=[
            *waiting,
            *weights_init_containers(model, launch.delivery),
            *adapters.init_containers,
        ],
    )


def port_name(model: ResolvedModel) -> str:
    """Name of the engine's HTTP port. Knative knows http1 and h2c only (knative serving pkg/apis/serving)."""
    return "http1" if model.mode is ServingMode.KNATIVE else "http"


def pod_labels(model: ResolvedModel, version: str) -> dict[str, str]:
    """Labels of a version's pods: those all versions share, and the version."""
    return {**model.pod_labels, "stoker.dev/version": version}


def engine_security(model: ResolvedModel) -> Object:
    """The engine container's ``securityContext``."""
    return merge(container_security(), _user(model))


def _ports(model: ResolvedModel) -> list[Object]:
    ports: list[Object] = [{"name": port_name(model), "containerPort": model.port, "protocol": "TCP"}]
    if model.release.metrics_port != model.release.port and model.mode is not ServingMode.KNATIVE:
        ports.append({"name": "metrics", "containerPort": model.release.metrics_port, "protocol": "TCP"})
    return ports


def _user(model: ResolvedModel) -> Object:
    """Who the engine runs as, where the namespace or KServe's template demands a user other than root.

    vLLM's image names no user and would be refused under runAsNonRoot without one (kserve/kserve issue 5666). Under
    baseline the image runs as published.
    """
    restricted = model.tenant.spec.pod_security == "restricted"
    if not restricted and model.mode is not ServingMode.LLM_INFERENCE_SERVICE:
        return {}
    name = EngineName(model.release.engine)
    user: Object = {"runAsUser": _USERS[name]} if name in _USERS else {}
    return {**user, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def _store_credentials(launch: Launch) -> list[Object]:
    entry = launch.delivery.entry
    if streams_weights(launch) and isinstance(entry, ObjectStorage) and entry.credentials:
        return [{"secretRef": {"name": entry.credentials}}]
    return []


def _distinct(volumes: list[Object]) -> list[Object]:
    return list({volume["name"]: volume for volume in volumes}.values())
