"""What objects refer to by name, and whether it is there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.audit.view.workloads import Workload
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item, Snapshot

__all__ = ["Reference", "references_of"]


@dataclass(frozen=True, slots=True)
class Reference:
    """``item`` names at ``path`` the object ``name`` of kind ``resource`` in ``namespace`` (empty: cluster-scoped)."""

    item: Item
    path: Path
    resource: str
    namespace: str
    name: str

    def found(self, snapshot: Snapshot) -> bool:
        return snapshot.get(self.resource, self.namespace, self.name) is not None


_PRIORITY: Final = "PriorityClass.scheduling.k8s.io"
# Made by the API server or by controllers of the control plane in every cluster.
_ALWAYS: Final = frozenset((
    (_PRIORITY, "system-node-critical"), (_PRIORITY, "system-cluster-critical"), ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
))  # fmt: skip


def references_of(workload: Workload) -> Iterator[Reference]:
    """References of a pod specification; optional ones and those that name a variable are left out."""
    for reference in _all(workload):
        if (
            reference.name
            and "$" not in reference.name
            and (reference.resource, reference.name) not in _ALWAYS
        ):
            yield reference


def _all(workload: Workload) -> Iterator[Reference]:
    item, pod, path, namespace = workload.item, workload.pod, workload.path, workload.namespace

    def to(resource: str, name: object, *where: str | int, cluster: bool = False) -> Reference:
        return Reference(item, (*path, *where), resource, "" if cluster else namespace, str(name or ""))

    yield to(
        "PriorityClass.scheduling.k8s.io", pod.get("priorityClassName"), "priorityClassName", cluster=True
    )
    yield to("RuntimeClass.node.k8s.io", pod.get("runtimeClassName"), "runtimeClassName", cluster=True)
    yield to("ServiceAccount", pod.get("serviceAccountName"), "serviceAccountName")
    claims = {
        str((claim.get("metadata") or {}).get("name"))
        for claim in item.spec.get("volumeClaimTemplates") or []
    }
    for index, volume in enumerate(pod.get("volumes") or []):
        claim = volume.get("persistentVolumeClaim") or {}
        if claim.get("claimName") and claim["claimName"] not in claims:
            where = ("volumes", index, "persistentVolumeClaim", "claimName")
            yield to("PersistentVolumeClaim", claim["claimName"], *where)
        for kind, field, key in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            source: Mapping[str, Any] = volume.get(field) or {}
            if not source.get("optional"):
                yield to(kind, source.get(key), "volumes", index, field, key)
    for container in workload.containers:
        yield from _container(container.spec, container.path, item, namespace)
        uri = str(container.spec.get("storageUri") or "")
        if uri.startswith("pvc://"):
            claim = uri.removeprefix("pvc://").partition("/")[0]
            yield Reference(item, (*container.path, "storageUri"), "PersistentVolumeClaim", namespace, claim)


def _container(spec: Mapping[str, Any], path: Path, item: Item, namespace: str) -> Iterator[Reference]:
    for index, entry in enumerate(spec.get("env") or []):
        source = entry.get("valueFrom") or {}
        for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
            wanted = source.get(field) or {}
            if wanted and not wanted.get("optional"):
                where = (*path, "env", index, "valueFrom", field, "name")
                yield Reference(item, where, kind, namespace, str(wanted.get("name") or ""))
    for index, source in enumerate(spec.get("envFrom") or []):
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            wanted = source.get(field) or {}
            if wanted and not wanted.get("optional"):
                where = (*path, "envFrom", index, field, "name")
                yield Reference(item, where, kind, namespace, str(wanted.get("name") or ""))
