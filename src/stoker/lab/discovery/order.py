"""Which group and which version comes first.

Upstream: cmd/kube-apiserver/app/aggregator.go, pkg/controlplane/apiserver/aggregator.go,
pkg/controlplane/controller/crdregistration/crdregistration_controller.go (priorities),
staging/src/k8s.io/apimachinery/pkg/version/helpers.go (versions), staging/src/k8s.io/apiserver/pkg/endpoints/discovery/storageversionhash.go.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping

from stoker.lab.resources import BUILTIN, Resource

__all__ = [
    "group_priority",
    "group_versions",
    "is_builtin",
    "storage_version_hash",
    "stored_hash",
    "version_key",
]

CUSTOM_PRIORITY = 1000
_PRIORITIES = {
    "apiregistration.k8s.io": 20001,
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "admissionregistration.k8s.io": 16700,
    "apiextensions.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "resource.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "internal.apiserver.k8s.io": 16000,
    "storagemigration.k8s.io": 15800,
}
_VERSION = re.compile(r"^v(\d+)(?:(alpha|beta)(\d+))?$")
_MATURITY = {"alpha": 0, "beta": 1, None: 2}
# Kinds kept in another version or group than the one asked for: pkg/kubeapiserver/default_storage_factory_builder.go.
_STORED: dict[tuple[str, str], tuple[str, str]] = {
    ("autoscaling", "HorizontalPodAutoscaler"): ("autoscaling", "v2"),
    ("events.k8s.io", "Event"): ("", "v1"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"): ("admissionregistration.k8s.io", "v1beta1"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"): (
        "admissionregistration.k8s.io",
        "v1beta1",
    ),
}
_BUILTIN_GROUPS = frozenset(one.group for one in BUILTIN) | frozenset(_PRIORITIES)


def is_builtin(resource: Resource) -> bool:
    """Whether Kubernetes itself has the resource; CustomResourceDefinitions cannot add to its groups."""
    return resource.group in _BUILTIN_GROUPS


def group_priority(group: str) -> int:
    return _PRIORITIES.get(group, CUSTOM_PRIORITY)


def version_key(version: str) -> tuple[int, int, int, int, tuple[int, ...]]:
    """Sorts versions, preferred first: v2, v1, v1beta2, v1beta1, v1alpha1, then what is no version by its letters."""
    found = _VERSION.match(version)
    if found is None:
        return (1, 0, 0, 0, tuple(map(ord, version)))
    major, maturity, minor = found.groups()
    return (0, -_MATURITY[maturity], -int(major), -int(minor or 0), ())


def group_versions(resources: Iterable[Resource]) -> dict[str, list[str]]:
    """Versions of every group, preferred first."""
    found: dict[str, set[str]] = {}
    for one in resources:
        found.setdefault(one.group, set()).add(one.version)
    return {group: sorted(versions, key=version_key) for group, versions in found.items()}


def storage_version_hash(group: str, version: str, kind: str) -> str:
    """Eight bytes by which clients see that a kind is stored in another version."""
    digest = hashlib.sha256(f"{group}/{version}/{kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def stored_hash(resource: Resource, storage_versions: Mapping[str, str]) -> str:
    """The hash of the version that a resource is stored in.

    Args:
        resource: one that is stored.
        storage_versions: version by ``plural.group``, for custom resources of several versions.
    """
    own = (resource.group, storage_versions.get(resource.qualified, resource.version))
    group, version = _STORED.get((resource.group, resource.kind), own)
    return storage_version_hash(group, version, resource.kind)
