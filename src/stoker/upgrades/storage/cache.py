"""KServe's own node cache: LocalModelCache copies a model to every node of a group ahead of its pods."""

import math
from typing import Final

from stoker.platform.storage import HubStorage, ObjectStorage
from stoker.sizing.resolved import DeliveryKind, ResolvedPlatform, ResolvedPool
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.storage.deliveries import Version, versions

__all__ = ["compile_model_cache"]

_API: Final = "serving.kserve.io/v1alpha1"
# Host directory of KServe's node agent (kserve v0.20.0 config/localmodelnodes/manager.yaml).
_AGENT_DIRECTORY: Final = "/models"
_JOB_NAMESPACE: Final = "kserve-localmodel-jobs"  # configmap inferenceservice-config, localModel.jobNamespace
_DOWNLOADER: Final = "stoker-weights"


def compile_model_cache(platform: ResolvedPlatform) -> list[Emitted]:
    """One cache a source (KServe refuses two of the same source), one node group a pool."""
    caches: dict[str, list[Version]] = {}
    for version in versions(platform):
        if version.delivery.kind is DeliveryKind.LOCAL_CACHE:
            caches.setdefault(version.delivery.source, []).append(version)
    if not caches:
        return []
    pools = {version.model.pool.name: version.model.pool for group in caches.values() for version in group}
    secrets = _secrets(caches)
    return [
        *(_node_group(platform, pool, caches) for pool in pools.values()),
        *([_downloader(platform, secrets)] if secrets else []),
        *(_cache(platform, source, group) for source, group in caches.items()),
    ]


def _secrets(caches: dict[str, list[Version]]) -> list[str]:
    names: dict[str, None] = {}
    for group in caches.values():
        name = _secret_of(group[0])
        if name:
            names[name] = None
    return list(names)


def _secret_of(version: Version) -> str | None:
    entry = version.delivery.entry
    if isinstance(entry, HubStorage):
        return entry.credentials.name if entry.credentials else None
    return entry.credentials if isinstance(entry, ObjectStorage) else None


def _size_gib(version: Version) -> int:
    # A tenth more than the weights: tokenizer, configuration, other formats in the repository.
    return max(1, math.ceil(version.model.weights_gib * 1.1))


def _node_group(platform: ResolvedPlatform, pool: ResolvedPool, caches: dict[str, list[Version]]) -> Emitted:
    here = [group[0] for group in caches.values() if any(item.model.pool.name == pool.name for item in group)]
    limit = sum(_size_gib(version) for version in here)
    storage = f"{limit}Gi"
    common: Object = {"accessModes": ["ReadWriteOnce"], "volumeMode": "Filesystem", "storageClassName": ""}
    terms = [{"matchExpressions": [dict(term) for term in pool.node_selector_terms]}]
    return emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"Nodes of pool {pool.name} on whose disks KServe keeps models, and the room it may take there",
        {
            "apiVersion": _API,
            "kind": "LocalModelNodeGroup",
            "metadata": {"name": pool.name},
            "spec": {
                "storageLimit": storage,
                "persistentVolumeSpec": {
                    **common,
                    "capacity": {"storage": storage},
                    "persistentVolumeReclaimPolicy": "Delete",
                    "local": {"path": _AGENT_DIRECTORY},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
                },
                "persistentVolumeClaimSpec": {**common, "resources": {"requests": {"storage": storage}}},
            },
        },
    )


def _downloader(platform: ResolvedPlatform, secrets: list[str]) -> Emitted:
    return emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        "Gives KServe's download Jobs the credentials of private sources; copies of the Secrets must stand beside it",
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": _DOWNLOADER, "namespace": _JOB_NAMESPACE},
            "automountServiceAccountToken": False,
            "secrets": [{"name": name} for name in secrets],
        },
    )


def _cache(platform: ResolvedPlatform, source: str, group: list[Version]) -> Emitted:
    first = group[0]
    canary = first.model.canary is not None and first.delivery is first.model.canary.delivery
    name = first.model.canary.name if canary and first.model.canary else ""
    pools = list(dict.fromkeys(version.model.pool.name for version in group))
    return emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"Keeps {source} on the disks of pool {', '.join(pools)}: a new replica mounts it instead of downloading it",
        {
            "apiVersion": _API,
            "kind": "LocalModelCache",
            "metadata": {"name": f"{first.model.name}-{name}" if name else first.model.name},
            "spec": {
                "sourceModelUri": source,
                "modelSize": f"{_size_gib(first)}Gi",
                "nodeGroups": pools,
                "serviceAccountName": _DOWNLOADER if _secret_of(first) else None,
            },
        },
    )
