"""A container's environment with all references resolved.

Source: kubernetes pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), pkg/fieldpath, api/v1/resource.
Of services only the API's own gets variables; what else is missing is named in the lab's page on differences.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from stoker.kube.quantities import parse

__all__ = ["MissingReferenceError", "resolved"]

Object = dict[str, Any]
# kind (ConfigMap or Secret), namespace, name -> object.
Lookup = Callable[[str, str, str], Object | None]

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class MissingReferenceError(Exception):
    """What a variable refers to is not there: the container cannot be created."""


def resolved(pod: Object, container: Object, node: Object, lookup: Lookup) -> list[Object]:
    """Names and values in the order of the container's own list.

    Args:
        pod: with its status, for addresses.
        container: one of its containers.
        node: that it is on, for resources without a limit.
        lookup: of ConfigMaps and Secrets.

    Raises:
        MissingReferenceError: a ConfigMap, a Secret or a key is missing and not optional.
    """
    found: dict[str, str] = {
        "KUBERNETES_SERVICE_HOST": "kubernetes.default.svc",
        "KUBERNETES_SERVICE_PORT": "443",
    }
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix") or ""
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if source.get(key):
                for name, value in _all_of(pod, kind, source[key], lookup).items():
                    found[f"{prefix}{name}"] = value
    for entry in container.get("env") or ():
        result = _value((pod, container, node), entry, found, lookup)
        if result is not None:
            found[entry["name"]] = result
    return [{"name": name, "value": value} for name, value in found.items()]


def _all_of(pod: Object, kind: str, reference: Object, lookup: Lookup) -> dict[str, str]:
    name = reference.get("name", "")
    obj = lookup(kind, pod["metadata"]["namespace"], name)
    if obj is None:
        if reference.get("optional"):
            return {}
        raise MissingReferenceError(f'{kind.lower()} "{name}" not found')
    return {key: _text(kind, value) for key, value in (obj.get("data") or {}).items()}


def _text(kind: str, value: str) -> str:
    if kind != "Secret":
        return value
    import base64

    try:
        return base64.b64decode(value).decode("utf-8", "replace")
    except ValueError:
        return ""


def _value(
    where: tuple[Object, Object, Object], entry: Object, known: Mapping[str, str], lookup: Lookup
) -> str | None:
    """One variable; ``where`` is the pod, the container and the node."""
    pod, container, node = where
    source = entry.get("valueFrom")
    if not source:
        return _expanded(entry.get("value") or "", known)
    for kind, key in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if source.get(key):
            return _of_key(pod, kind, source[key], lookup)
    if source.get("fieldRef"):
        return _field(pod, source["fieldRef"].get("fieldPath", ""))
    if source.get("resourceFieldRef"):
        return _resource(pod, container, node, source["resourceFieldRef"])
    return None


def _of_key(pod: Object, kind: str, reference: Object, lookup: Lookup) -> str | None:
    namespace, name, key = pod["metadata"]["namespace"], reference.get("name", ""), reference["key"]
    obj = lookup(kind, namespace, name)
    if obj is None:
        if reference.get("optional"):
            return None
        raise MissingReferenceError(f'{kind.lower()} "{name}" not found')
    data = obj.get("data") or {}
    if key in data:
        return _text(kind, data[key])
    if reference.get("optional"):
        return None
    raise MissingReferenceError(f"couldn't find key {key} in {kind} {namespace}/{name}")


def _expanded(text: str, known: Mapping[str, str]) -> str:
    """``$(NAME)`` replaced where it is known (third_party/forked/golang/expansion)."""

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def _field(pod: Object, path: str) -> str:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    match = _SUBSCRIPT.fullmatch(path)
    if match is not None:
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    plain = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": status.get("podIP", ""),
        "status.hostIP": status.get("hostIP", ""),
        "status.podIPs": ",".join(one["ip"] for one in status.get("podIPs") or ()),
        "status.hostIPs": ",".join(one["ip"] for one in status.get("hostIPs") or ()),
    }
    return str(plain.get(path, ""))


def _resource(pod: Object, container: Object, node: Object, reference: Object) -> str:
    """A resource field (resource.ExtractContainerResourceValue): limits fall back to what the node can give."""
    name = reference.get("containerName")
    if name:
        every = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
        container = next((one for one in every if one["name"] == name), container)
    what, _, resource = str(reference.get("resource", "")).partition(".")
    amounts = (container.get("resources") or {}).get(what) or {}
    quantity = amounts.get(resource)
    if quantity is None and what == "limits":
        quantity = ((node.get("status") or {}).get("allocatable") or {}).get(resource)
    value = parse(quantity if quantity is not None else "0") or 0
    divisor = parse(reference.get("divisor") or "1") or 0
    return str(math.ceil(value / (divisor or 1)))
