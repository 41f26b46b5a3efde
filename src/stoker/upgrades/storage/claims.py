"""Shared volumes (NFS, CSI): one claim in each tenant's namespace, and the Job that fills it once."""

import hashlib
from typing import Final

from stoker.platform.storage import CsiStorage, NfsStorage
from stoker.sizing.resolved import DeliveryKind, ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.scheduling.identity import service_account_name
from stoker.upgrades.storage.deliveries import Version, versions
from stoker.upgrades.storage.tools import (
    DOWNLOAD_LABEL,
    download_environment,
    program_text,
    tool_container,
    tool_volume,
)

__all__ = ["compile_claims"]

_ROOT: Final = "/weights"
# kubernetes.io/docs/concepts/storage/persistent-volumes: an interrupted hard mount waits for the server instead of
# handing the engine an I/O error in the middle of a load.
_NFS_OPTIONS: Final = ["hard", "nfsvers=4.1"]

_Shared = NfsStorage | CsiStorage


def compile_claims(platform: ResolvedPlatform) -> list[Emitted]:
    """Claims and copy Jobs of every shared volume in use."""
    used: dict[tuple[str, str], tuple[_Shared, ResolvedTenant]] = {}
    jobs: dict[tuple[str, str, str], Version] = {}
    for version in versions(platform):
        entry, tenant = version.delivery.entry, version.model.tenant
        if version.delivery.kind is not DeliveryKind.PVC or not isinstance(entry, NfsStorage | CsiStorage):
            continue
        used[entry.name, tenant.namespace] = entry, tenant
        jobs[tenant.namespace, version.delivery.claim, version.delivery.sub_path] = version
    objects: list[Emitted] = []
    for entry, tenant in used.values():
        objects += (
            _nfs(platform, entry, tenant) if isinstance(entry, NfsStorage) else _csi(platform, entry, tenant)
        )
    return [*objects, *(_copy_job(platform, version) for version in jobs.values())]


def claim_name(entry: _Shared) -> str:
    """As `stoker.sizing.delivery` names it in the model's storage URI."""
    return f"{entry.name}-weights"


def _nfs(platform: ResolvedPlatform, entry: NfsStorage, tenant: ResolvedTenant) -> list[Emitted]:
    name = f"{platform.spec.name}-{entry.name}-{tenant.namespace}"
    claim = claim_name(entry)
    volume = emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"The NFS export {entry.server}:{entry.path} for {tenant.namespace}; a volume binds to one claim only, so every "
        "namespace has its own",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": entry.size},
                "volumeMode": "Filesystem",
                "accessModes": ["ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
                "mountOptions": list(_NFS_OPTIONS),
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": tenant.namespace,
                    "name": claim,
                },
                "nfs": {"server": entry.server, "path": entry.path},
            },
        },
        tenant=tenant,
    )
    return [volume, _claim(platform, tenant, claim, entry.size, storage_class="", volume=name)]


def _csi(platform: ResolvedPlatform, entry: CsiStorage, tenant: ResolvedTenant) -> list[Emitted]:
    return [_claim(platform, tenant, claim_name(entry), entry.size, storage_class=entry.storage_class)]


def _claim(
    platform: ResolvedPlatform,
    tenant: ResolvedTenant,
    name: str,
    size: str,
    *,
    storage_class: str,
    volume: str | None = None,
) -> Emitted:
    return emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"Weights of {tenant.namespace}'s models: written once by the copy Jobs, read by every replica",
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": tenant.namespace},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "volumeMode": "Filesystem",
                "storageClassName": storage_class,
                "volumeName": volume,
                "resources": {"requests": {"storage": size}},
            },
        },
        tenant=tenant,
    )


def _copy_job(platform: ResolvedPlatform, version: Version) -> Emitted:
    model, delivery = version.model, version.delivery
    token = delivery.entry.credentials if isinstance(delivery.entry, NfsStorage | CsiStorage) else None
    container = tool_container(
        "copy",
        ["copy", _ROOT, delivery.sub_path, delivery.source],
        mounts=[{"name": "weights", "mountPath": _ROOT}],
        memory="8Gi",
        cpu="2",
        env=download_environment(delivery.entry, token),
    )
    pod: Object = {
        "restartPolicy": "OnFailure",
        "serviceAccountName": service_account_name(model),
        "automountServiceAccountToken": False,
        "priorityClassName": model.tenant.priority_class,
        "securityContext": {
            "runAsNonRoot": True,
            "fsGroup": 1000,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            tool_volume(),
            {"name": "weights", "persistentVolumeClaim": {"claimName": delivery.claim}},
        ],
    }
    # A Job's template is immutable: another source or program is another Job. Its marker makes a repeat a no-op.
    digest = hashlib.sha256(f"{delivery.source}\n{program_text()}".encode()).hexdigest()[:8]
    return emit(
        platform,
        Upgrade.STORAGE,
        Wave.STORAGE,
        f"Copies {delivery.source} into {delivery.claim}/{delivery.sub_path} once, with checksums; replicas wait for it",
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"{version.name}-weights-{digest}", "namespace": model.namespace},
            "spec": {
                "backoffLimit": 6,
                "template": {"metadata": {"labels": {DOWNLOAD_LABEL: "true"}}, "spec": pod},
            },
        },
        model=model,
    )
