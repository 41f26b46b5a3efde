"""`validate_object`: would an API server of this minor take the object, with fieldValidation=Strict and no warning?

An empty list means yes. Kinds: core Kubernetes of the minor, and the CRDs that the caller has.
"""

import re
from collections.abc import Iterator
from typing import Any

from stoker.schemas import cel_rules, core_schemas, lists
from stoker.schemas.crd_schemas import Kinds
from stoker.schemas.kind_rules import kind_problems
from stoker.schemas.metadata_rules import metadata_problems
from stoker.schemas.pod_rules import pod_problems
from stoker.schemas.pod_security import violations
from stoker.schemas.pods import pods_of
from stoker.schemas.warning_rules import warnings

_STABLE = re.compile(r"^v\d+$")
_POD_TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"
# Cluster-scoped kinds of core Kubernetes that a platform has use for.
_CLUSTER_SCOPED = {
    "Namespace", "Node", "PersistentVolume", "PriorityClass", "StorageClass", "ClusterRole", "ClusterRoleBinding",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "DeviceClass", "RuntimeClass", "IngressClass",
    "CustomResourceDefinition", "APIService", "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "CSIDriver",
}  # fmt: skip


def validate_object(
    obj: dict[str, Any], minor: str, kinds: Kinds, *, namespace: dict[str, Any] | None = None
) -> list[str]:
    """Everything that a server of ``minor`` would refuse or warn about.

    Args:
        obj: the object as it is applied.
        minor: Kubernetes minor version, ``1.33`` to ``1.37``.
        kinds: custom kinds, from `crd_schemas.load_kinds`.
        namespace: the Namespace that holds the object; its pod-security labels are then enforced.
    """
    if minor not in core_schemas.MINORS:
        return [f"no schemas for Kubernetes {minor}"]
    if not isinstance(obj.get("apiVersion"), str) or not isinstance(obj.get("kind"), str):
        return ["apiVersion, kind: Required value"]
    if not isinstance(obj.get("metadata"), dict):
        return ["metadata: Required value"]
    found = list(_schema(obj, minor, kinds))
    if found:  # the rules below read fields whose types the schema has checked
        return found
    pods = list(pods_of(obj))
    custom = kinds.get((obj["apiVersion"], obj["kind"]))
    if custom is not None:
        found += cel_rules.rule_problems(custom.schema, obj)
    if obj["apiVersion"].startswith(("admissionregistration.k8s.io/", "resource.k8s.io/")):
        found += cel_rules.expression_problems(obj)
    found += metadata_problems(obj)
    found += kind_problems(obj)
    for pod in pods:
        found += pod_problems(pod, obj["kind"])
    found += warnings(obj, pods)
    if namespace is not None:
        found += _pod_security(pods, namespace)
    return found


def _schema(obj: dict[str, Any], minor: str, kinds: Kinds) -> Iterator[str]:
    api_version, kind = obj["apiVersion"], obj["kind"]
    if core_schemas.is_core(api_version):
        yield from _core(obj, minor)
        return
    custom = kinds.get((api_version, kind))
    if custom is None:
        yield f"no matches for kind {kind!r} in version {api_version!r}"
        return
    yield from (f"{_where(e)}: {e.message}" for e in custom.validator.iter_errors(obj))
    yield from (
        f"metadata{_where(e)}: {e.message}"
        for e in core_schemas.object_meta(minor).iter_errors(obj["metadata"])
    )
    yield from lists.duplicate_entries(custom.schema, obj, "")
    yield from _scope(obj, namespaced=custom.namespaced)
    if custom.deprecation:
        yield f"{api_version} {kind}: {custom.deprecation}"
    if api_version == "leaderworkerset.x-k8s.io/v1":
        template = core_schemas.validator(minor, _POD_TEMPLATE)
        for field in ("leaderTemplate", "workerTemplate"):
            value = obj["spec"]["leaderWorkerTemplate"].get(field, {})
            yield from (f"{field}{_where(e)}: {e.message}" for e in template.iter_errors(value))


def _core(obj: dict[str, Any], minor: str) -> Iterator[str]:
    api_version, kind = obj["apiVersion"], obj["kind"]
    definition = core_schemas.kinds(minor).get((api_version, kind))
    if definition is None:
        yield f"no matches for kind {kind!r} in version {api_version!r} of Kubernetes {minor}"
        return
    if not _STABLE.match(api_version.rpartition("/")[2]):
        # Beta APIs are off by default since 1.24 (kubernetes.io/docs/reference/using-api/#api-versioning).
        yield f"{api_version}: not served by default in Kubernetes {minor}"
    validator = core_schemas.validator(minor, definition)
    yield from (f"{_where(e)}: {e.message}" for e in validator.iter_errors(obj))
    schema = core_schemas.definitions(minor)["$defs"][definition]
    yield from lists.duplicate_entries(schema, obj, "", lambda ref: core_schemas.lookup(minor, ref))
    yield from _scope(obj, namespaced=kind not in _CLUSTER_SCOPED)


def _scope(obj: dict[str, Any], *, namespaced: bool) -> Iterator[str]:
    if namespaced and not obj["metadata"].get("namespace"):
        yield "metadata.namespace: Required value"
    if not namespaced and "namespace" in obj["metadata"]:
        yield f"metadata.namespace: {obj['kind']} is cluster-scoped"


def _pod_security(pods: list[Any], namespace: dict[str, Any]) -> Iterator[str]:
    labels = namespace["metadata"].get("labels") or {}
    for mode in ("enforce", "warn"):
        level = labels.get(f"pod-security.kubernetes.io/{mode}", "privileged")
        for pod in pods:
            for violation in violations(pod.spec, level):
                yield f"{pod.path}: {mode} PodSecurity {level}: {violation}"


def _where(error: Any) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
