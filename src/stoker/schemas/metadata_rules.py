"""Rules on metadata that no schema states."""

import re
from collections.abc import Iterator
from typing import Any

_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_DNS1035 = re.compile(r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
_KEY_NAME = re.compile(r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
_ANNOTATIONS_LIMIT = 256 * 1024  # apimachinery pkg/api/validation/objectmeta.go TotalAnnotationSizeLimitB

# Objects whose names are path segments only (ValidatePathSegmentName) instead of DNS names.
_FREE_NAMES = {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}
_LABEL_NAMES = {"Namespace"}
# Services were DNS-1035 until RelaxedServiceNameValidation (alpha 1.34); the stricter form is right everywhere.
_DNS1035_NAMES = {"Service"}


def is_dns_label(name: str) -> bool:
    return len(name) <= 63 and bool(_LABEL.match(name))


def is_dns_subdomain(name: str) -> bool:
    return len(name) <= 253 and bool(_SUBDOMAIN.match(name))


def is_qualified_name(key: str) -> bool:
    """Label and annotation keys: ``[prefix/]name`` (apimachinery pkg/util/validation IsQualifiedName)."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix or (slash and not is_dns_subdomain(prefix)):
        return False
    return 0 < len(name) <= 63 and bool(_KEY_NAME.match(name))


def label_problems(labels: dict[str, Any], path: str) -> Iterator[str]:
    for key, value in labels.items():
        if not is_qualified_name(key):
            yield f"{path}: label key {key!r} is not a qualified name"
        if not isinstance(value, str) or len(value) > 63 or not _VALUE.match(value):
            yield f"{path}[{key}]: {value!r} is not a label value"


def metadata_problems(obj: dict[str, Any]) -> Iterator[str]:
    metadata = obj["metadata"]
    name = metadata.get("name", "")
    yield from _name_problems(obj["kind"], obj["apiVersion"], name)
    namespace = metadata.get("namespace")
    if namespace is not None and not is_dns_label(namespace):
        yield f"metadata.namespace: {namespace!r} is not an RFC 1123 label"
    yield from label_problems(metadata.get("labels", {}), "metadata.labels")
    yield from annotation_problems(metadata.get("annotations", {}), "metadata.annotations")


def annotation_problems(annotations: dict[str, Any], path: str) -> Iterator[str]:
    size = 0
    for key, value in annotations.items():
        # ValidateAnnotations lower-cases the key first.
        if not is_qualified_name(key.lower()):
            yield f"{path}: key {key!r} is not a qualified name"
        if not isinstance(value, str):
            yield f"{path}[{key}]: {value!r} is not a string"
        size += len(key.encode()) + len(str(value).encode())
    if size > _ANNOTATIONS_LIMIT:
        yield f"{path}: {size} bytes, more than 256 KiB"


def _name_problems(kind: str, api_version: str, name: str) -> Iterator[str]:
    if not name:
        yield "metadata.name: missing (generateName cannot be applied again)"
    elif kind in _FREE_NAMES:
        if "/" in name or "%" in name or name in {".", ".."}:
            yield f"metadata.name: {name!r} is no path segment"
    elif kind in _DNS1035_NAMES and api_version == "v1":
        if len(name) > 63 or not _DNS1035.match(name):
            yield f"metadata.name: {name!r} is not an RFC 1035 label (Service)"
    elif kind in _LABEL_NAMES:
        if not is_dns_label(name):
            yield f"metadata.name: {name!r} is not an RFC 1123 label"
    elif not is_dns_subdomain(name):
        yield f"metadata.name: {name!r} is not an RFC 1123 subdomain"
