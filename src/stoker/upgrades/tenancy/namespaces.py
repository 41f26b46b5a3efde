"""Namespaces with Pod Security labels."""

from typing import Final

from stoker.platform.storage import NvmeStorage
from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted, Object, Upgrade, Wave, emit

__all__ = ["compile_namespaces"]

_PSA: Final = "pod-security.kubernetes.io"


def compile_namespaces(platform: ResolvedPlatform) -> list[Emitted]:
    """One namespace a tenant, and the platform's own."""
    own = emit(
        platform,
        Upgrade.TENANCY,
        Wave.NAMESPACES,
        "Home of the objects that belong to the platform and to no tenant",
        _namespace(platform, PLATFORM_NAMESPACE, _platform_level(platform)),
    )
    return [
        own,
        *(
            emit(
                platform,
                Upgrade.TENANCY,
                Wave.NAMESPACES,
                f"{tenant.name} ({tenant.spec.workload_class}): quota, defaults, rights and network rules attach here",
                _namespace(platform, tenant.namespace, tenant.spec.pod_security),
                tenant=tenant,
            )
            for tenant in platform.tenants.values()
        ),
    ]


def _platform_level(platform: ResolvedPlatform) -> str:
    # Staging weights on a node's disk writes to a hostPath, which baseline and restricted forbid.
    staged = any(isinstance(entry, NvmeStorage) for entry in platform.spec.storage)
    return "privileged" if staged else "restricted"


def _namespace(platform: ResolvedPlatform, name: str, level: str) -> Object:
    # The version is pinned: an upgraded cluster must not refuse pods that it admitted yesterday. There is no warn label:
    # audit records what `restricted` would refuse without answering every apply with a warning.
    version = f"v{platform.spec.cluster.version}"
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                f"{_PSA}/enforce": level,
                f"{_PSA}/enforce-version": version,
                f"{_PSA}/audit": "restricted",
                f"{_PSA}/audit-version": version,
            },
        },
    }
