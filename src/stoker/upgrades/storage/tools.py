"""The container that copies, stages and waits for weights, and the ConfigMap that holds its program."""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

from stoker.platform.base import SecretKey
from stoker.platform.storage import ObjectStorage, Storage
from stoker.sizing.resolved import ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit

__all__ = [
    "DOWNLOAD_LABEL",
    "INITIALIZER_IMAGE",
    "TOOLS",
    "download_environment",
    "program_config_map",
    "tool_container",
    "tool_volume",
]

# The downloader of KServe v0.20.0 (python/storage-initializer.Dockerfile: user 1000, python3 with kserve_storage).
INITIALIZER_IMAGE: Final = "kserve/storage-initializer:v0.20.0"
TOOLS: Final = "stoker-weights"
# Pods that carry it need egress to wherever weights come from; NetworkPolicies select it.
DOWNLOAD_LABEL: Final = "stoker.dev/downloads"

_PROGRAM: Final = "weights.py"
_PROGRAM_MOUNT: Final = "/opt/stoker"
_SECURITY: Final[Object] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@cache
def program_text() -> str:
    """Text of the packaged program."""
    return resources.files("stoker.upgrades.storage.scripts").joinpath(_PROGRAM).read_text(encoding="utf-8")


def program_config_map(platform: ResolvedPlatform, namespace: str, tenant: ResolvedTenant | None) -> Emitted:
    """The program, in the namespace whose pods mount it."""
    return emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        "Program that copies weights with checksums and lets pods wait for a whole copy",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": TOOLS, "namespace": namespace},
            "data": {_PROGRAM: program_text()},
        },
        tenant=tenant,
    )


def tool_volume() -> Object:
    """Pod volume of the program."""
    return {"name": "weights-program", "configMap": {"name": TOOLS}}


def tool_container(
    name: str,
    arguments: Sequence[str],
    *,
    mounts: Sequence[Object],
    memory: str,
    cpu: str,
    env: Sequence[Object] = (),
    user: int = 1000,
) -> Object:
    """A container that runs one command of the program; values reach it as arguments, never through a shell."""
    built: Object = compact(
        {
            "name": name,
            "image": INITIALIZER_IMAGE,
            "command": ["python3", f"{_PROGRAM_MOUNT}/{_PROGRAM}"],
            "args": list(arguments),
            "env": list(env) or None,
            "resources": {
                "requests": {"cpu": cpu, "memory": memory},
                "limits": {"cpu": cpu, "memory": memory},
            },
            "securityContext": {
                **_SECURITY,
                "runAsUser": user,
                "runAsNonRoot": user != 0,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumeMounts": [
                {"name": "weights-program", "mountPath": _PROGRAM_MOUNT, "readOnly": True},
                *mounts,
            ],
        }
    )
    return built


def download_environment(entry: Storage | None, token: SecretKey | None) -> list[Object]:
    """Variables of kserve_storage's clients; the hub keeps its cache out of the image's read-only home."""
    variables: list[Object] = [
        {"name": "HOME", "value": "/tmp"},  # noqa: S108  # the image's own writable directory
        {"name": "HF_HUB_DISABLE_TELEMETRY", "value": "1"},
    ]
    if token is not None:
        reference = {"name": token.name, "key": token.key}
        variables.append({"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": reference}})
    if isinstance(entry, ObjectStorage):
        if entry.endpoint:
            variables.append({"name": "AWS_ENDPOINT_URL", "value": entry.endpoint})
        if entry.region:
            variables.append({"name": "AWS_DEFAULT_REGION", "value": entry.region})
    return variables
