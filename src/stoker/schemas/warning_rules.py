"""What an API server accepts and answers with a Warning header.

Source: kubernetes/kubernetes pkg/api/pod/warnings.go, pkg/api/service/warnings.go, pkg/api/persistentvolume,
pkg/api/node and pkg/api/job (1.36), and deprecated API versions of staging/src/k8s.io/api/*/zz_generated.prerelease-lifecycle.go.
"""

from collections.abc import Iterator
from typing import Any

from stoker.kube.quantities import parse
from stoker.schemas.pods import PodSpec

_POD_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": "use the priorityClassName field",
    "seccomp.security.alpha.kubernetes.io/pod": "use securityContext.seccompProfile",
    "scheduler.alpha.kubernetes.io/defaultTolerations": "not supported",
    "security.alpha.kubernetes.io/sysctls": "use securityContext.sysctls",
    "security.alpha.kubernetes.io/unsafe-sysctls": "use securityContext.sysctls",
}
_ANNOTATION_PREFIXES = (
    "container.seccomp.security.alpha.kubernetes.io/",
    "container.apparmor.security.beta.kubernetes.io/",
)
_NODE_LABELS = {
    "beta.kubernetes.io/arch", "beta.kubernetes.io/os", "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone", "beta.kubernetes.io/instance-type",
}  # fmt: skip
_VOLUMES = {
    "gitRepo": "deprecated since 1.11", "scaleIO": "unavailable since 1.22", "storageOS": "unavailable since 1.25",
    "photonPersistentDisk": "unavailable since 1.11", "rbd": "deprecated since 1.28", "cephfs": "deprecated since 1.28",
    "flocker": "unavailable since 1.25", "quobyte": "unavailable since 1.25", "glusterfs": "unavailable since 1.26",
    "awsElasticBlockStore": "deprecated since 1.23", "azureDisk": "deprecated since 1.23",
    "azureFile": "deprecated since 1.24", "cinder": "deprecated since 1.22", "gcePersistentDisk": "deprecated since 1.23",
    "portworxVolume": "deprecated since 1.25", "vsphereVolume": "deprecated since 1.24",
}  # fmt: skip
_SMALL = {"memory": 1024, "ephemeral-storage": 1024}  # GetWarningsForPodTemplate: fractional bytes


def warnings(obj: dict[str, Any], pods: list[PodSpec]) -> Iterator[str]:  # noqa: C901  # one rule a branch
    """Warnings of the server for an object, without those of PodSecurity."""
    for pod in pods:
        yield from _pod(pod)
    if obj["kind"] == "PersistentVolumeClaim":
        annotations = obj["metadata"].get("annotations") or {}
        if "volume.beta.kubernetes.io/storage-class" in annotations:
            yield "volume.beta.kubernetes.io/storage-class: deprecated since 1.8, use spec.storageClassName"
        storage = obj.get("spec", {}).get("resources", {}).get("requests", {}).get("storage")
        if storage is not None and (parse(storage) or 0) % 1:
            yield "spec.resources.requests.storage: fractional byte value"
    if obj["kind"] == "PersistentVolume":
        spec = obj.get("spec", {})
        if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            yield "spec.persistentVolumeReclaimPolicy: Recycle is deprecated"
        for source in set(spec) & set(_VOLUMES):
            yield f"spec.{source}: {_VOLUMES[source]}"
    if obj["kind"] == "Service" and obj["apiVersion"] == "v1":
        spec = obj.get("spec", {})
        if spec.get("externalIPs") or (
            spec.get("clusterIP") == "None" and spec.get("sessionAffinity") == "ClientIP"
        ):
            yield "spec: externalIPs, or sessionAffinity on a headless Service"
    if obj["kind"] == "PodDisruptionBudget" and not (obj.get("spec", {}).get("selector") or {"none": 0}):
        yield "spec.selector: an empty selector selects every pod of the namespace"


def _pod(pod: PodSpec) -> Iterator[str]:  # noqa: C901, PLR0912  # one rule a branch
    spec, path = pod.spec, pod.path
    for key in pod.annotations:
        if key in _POD_ANNOTATIONS or key.startswith(_ANNOTATION_PREFIXES):
            yield f"{path}: annotation {key} is deprecated: {_POD_ANNOTATIONS.get(key, 'use securityContext')}"
    if spec.get("serviceAccount") and not spec.get("serviceAccountName"):
        yield f"{path}.serviceAccount: deprecated, use serviceAccountName"
    for key in set(spec.get("nodeSelector") or {}) & _NODE_LABELS:
        yield f"{path}.nodeSelector[{key}]: deprecated label"
    for constraint in spec.get("topologySpreadConstraints") or []:
        if constraint.get("topologyKey") in _NODE_LABELS:
            yield f"{path}.topologySpreadConstraints: deprecated label"
        if not constraint.get("labelSelector"):
            yield f"{path}.topologySpreadConstraints: a null labelSelector matches no pod"
    for volume in spec.get("volumes") or []:
        for source in set(volume) & set(_VOLUMES):
            yield f"{path}.volumes[{volume['name']}].{source}: {_VOLUMES[source]}"
    for secret in spec.get("imagePullSecrets") or []:
        if not secret.get("name"):
            yield f"{path}.imagePullSecrets: invalid empty name"
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or []:
            for kind, amounts in (container.get("resources") or {}).items():
                if kind == "claims":
                    continue
                for name in set(amounts) & set(_SMALL):
                    value = parse(amounts[name])
                    if value is not None and value % 1:
                        yield f"{path}: {container.get('name')}.{kind}.{name}: fractional byte value"
    names = [
        port["name"] for c in spec.get("containers") or [] for port in c.get("ports") or [] if "name" in port
    ]
    if len(names) != len(set(names)):
        yield f"{path}: duplicate port name over containers"
