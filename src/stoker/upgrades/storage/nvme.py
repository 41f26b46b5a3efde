"""Node-local NVMe: a DaemonSet stages the weights on every GPU node, local volumes hand them to the tenants' pods."""

import json
from typing import Final

from stoker.platform.storage import NvmeStorage
from stoker.sizing.resolved import DeliveryKind, ResolvedPlatform, ResolvedPool
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.scheduling.placement import node_affinity
from stoker.upgrades.storage.deliveries import Version, versions
from stoker.upgrades.storage.tools import DOWNLOAD_LABEL, download_environment, tool_container, tool_volume

__all__ = ["compile_nvme"]

_STATE: Final = "/run/stoker"
_READY: Final = f"{_STATE}/ready"


def compile_nvme(platform: ResolvedPlatform) -> list[Emitted]:
    """Stagers by entry and pool, and a volume with its claim for every version."""
    staged: dict[tuple[str, str], tuple[NvmeStorage, ResolvedPool, list[Version]]] = {}
    for version in versions(platform):
        entry = version.delivery.entry
        if version.delivery.kind is not DeliveryKind.NVME or not isinstance(entry, NvmeStorage):
            continue
        key = entry.name, version.model.pool.name
        staged.setdefault(key, (entry, version.model.pool, []))[2].append(version)
    objects: list[Emitted] = []
    for entry, pool, group in staged.values():
        objects.append(_stager(platform, entry, pool, group))
        for version in group:
            objects += _volume(platform, entry, version)
    return objects


def _stager(
    platform: ResolvedPlatform, entry: NvmeStorage, pool: ResolvedPool, group: list[Version]
) -> Emitted:
    name = f"weights-{entry.name}-{pool.name}"
    selector = {"app.kubernetes.io/component": name}
    container = tool_container(
        "stage",
        ["stage", entry.path, _READY, *(f"{version.name}={version.delivery.source}" for version in group)],
        mounts=[{"name": "weights", "mountPath": entry.path}, {"name": "state", "mountPath": _STATE}],
        memory="8Gi",
        cpu="2",
        env=download_environment(entry, entry.credentials),
        # The kubelet creates a missing directory for root alone.
        user=0,
    )
    ready = {"command": ["test", "-f", _READY]}
    container["readinessProbe"] = {"exec": ready, "periodSeconds": 10, "timeoutSeconds": 5}
    models = ", ".join(version.name for version in group)
    pod: Object = {
        "priorityClassName": "system-node-critical",
        "automountServiceAccountToken": False,
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": node_affinity([dict(term) for term in pool.node_selector_terms])},
        "containers": [container],
        "volumes": [
            tool_volume(),
            {"name": "weights", "hostPath": {"path": entry.path, "type": "DirectoryOrCreate"}},
            {"name": "state", "emptyDir": {}},
        ],
    }
    return emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"Stages {models} on the NVMe of every node of pool {pool.name} before a pod needs it; ready when all is whole",
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": name, "namespace": PLATFORM_NAMESPACE},
            "spec": {
                "selector": {"matchLabels": selector},
                # Every node may fetch at once only as fast as the source allows; a tenth at a time keeps it usable.
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
                "template": {"metadata": {"labels": {**selector, DOWNLOAD_LABEL: "true"}}, "spec": pod},
            },
        },
    )


def _volume(platform: ResolvedPlatform, entry: NvmeStorage, version: Version) -> list[Emitted]:
    """A local volume over all nodes of the pool: the path is the same on each, and absent until it is whole.

    A tenant's pods may not mount hostPath (Pod Security baseline); a local volume behind a claim they may.
    """
    model, delivery = version.model, version.delivery
    name = f"{platform.spec.name}-{delivery.claim}"
    size = f"{max(1, round(model.weights_gib * 1.1))}Gi"
    terms = [{"matchExpressions": json.loads(json.dumps(list(model.pool.node_selector_terms)))}]
    volume = emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"{version.name} as staged under {entry.path} on each node of pool {model.pool.name}",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": size},
                "volumeMode": "Filesystem",
                "accessModes": ["ReadOnlyMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": model.namespace,
                    "name": delivery.claim,
                },
                "local": {"path": f"{entry.path.rstrip('/')}/{version.name}"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
            },
        },
        model=model,
    )
    claim = emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"Lets {model.name}'s pods mount the staged weights read-only without hostPath",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": delivery.claim, "namespace": model.namespace},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "volumeMode": "Filesystem",
                "storageClassName": "",
                "volumeName": name,
                "resources": {"requests": {"storage": size}},
            },
        },
        model=model,
    )
    return [volume, claim]
