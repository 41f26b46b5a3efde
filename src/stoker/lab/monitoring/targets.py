"""What Prometheus' Kubernetes discovery would find, as entries of files that Prometheus watches.

Prometheus in a lab reads its targets from files: no thousand watches against the embedded API server. The entries carry the
meta labels of the real discovery, so that the operator's relabelings, and the user's, work on them unchanged.

Sources: prometheus 2.42 discovery/kubernetes/{pod,endpoints,endpointslice,service,kubernetes}.go.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Object", "Target", "label_name", "pod_targets", "service_targets"]

Object = dict[str, Any]
Target = dict[str, Any]

_META: Final = "__meta_kubernetes"
_BAD = re.compile(r"[^a-zA-Z0-9_]")
_CLEAN: dict[str, str] = {}


def label_name(key: str) -> str:
    """A label key as Prometheus can carry it (util/strutil.SanitizeLabelName)."""
    found = _CLEAN.get(key)
    if found is None:
        found = _CLEAN[key] = _BAD.sub("_", key)
    return found


def pod_targets(pod: Object) -> list[Target]:
    """Role ``pod``: one target for each port of each container, one without a port for a container that names none."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        return []
    labels = {f"{_META}_namespace": pod["metadata"]["namespace"], **_pod_labels(pod)}
    found = []
    for container, is_init in _containers(pod):
        own = {**labels, **_container_labels(pod, container, is_init)}
        ports = container.get("ports") or []
        if not ports:
            found.append({"targets": [address], "labels": own})
        found += [
            {"targets": [f"{address}:{port['containerPort']}"], "labels": {**own, **_port_labels(port)}}
            for port in ports
        ]
    return found


def service_targets(
    service: Object, slices: Iterable[Object], pods: Mapping[tuple[str, str], Object]
) -> list[Target]:
    """Roles ``endpoints`` and ``endpointslice`` of one Service; entries carry the meta labels of both.

    Args:
        service: the Service.
        slices: its EndpointSlices.
        pods: by namespace and name.
    """
    metadata = service["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    common = {
        f"{_META}_namespace": namespace,
        f"{_META}_service_name": name,
        f"{_META}_endpoints_name": name,
        **_metadata_labels("service", metadata),
    }
    found: list[Target] = []
    behind = _Behind(namespace, pods)
    for one in slices:
        of_slice = {
            **common,
            f"{_META}_endpointslice_name": one["metadata"]["name"],
            f"{_META}_endpointslice_address_type": one.get("addressType", "IPv4"),
        }
        for endpoint in one.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            if conditions.get("terminating") and not conditions.get("ready", True):
                continue  # Endpoints, the operator's default role, do not list them
            for port in one.get("ports") or [{}]:
                found += [
                    _endpoint(of_slice, endpoint, port, address, behind)
                    for address in endpoint.get("addresses") or []
                ]
    for pod, covered in behind.seen.values():
        found += _uncovered(common, pod, covered)
    return found


@dataclass(slots=True)
class _Behind:
    """The pods of a Service's namespace, and which of their ports its endpoints have named."""

    namespace: str
    pods: Mapping[tuple[str, str], Object]
    seen: dict[str, tuple[Object, set[int]]] = field(default_factory=dict)


def _endpoint(
    common: dict[str, str], endpoint: Object, port: Object, address: str, behind: _Behind
) -> Target:
    labels = {**common, **_endpoint_labels(endpoint, port)}
    number = port.get("port")
    target = endpoint.get("targetRef") or {}
    pod = behind.pods.get((behind.namespace, target.get("name", ""))) if target.get("kind") == "Pod" else None
    if pod is not None:
        labels |= _pod_labels(pod)
        covered = behind.seen.setdefault(pod["metadata"]["name"], (pod, set()))[1]
        for container, is_init in _containers(pod):
            for own in container.get("ports") or []:
                if own["containerPort"] == number and not is_init:
                    labels |= _container_labels(pod, container, is_init) | _port_labels(own)
                    covered.add(own["containerPort"])
    return {"targets": [address if number is None else f"{address}:{number}"], "labels": labels}


def _uncovered(common: dict[str, str], pod: Object, covered: set[int]) -> list[Target]:
    """Ports of a pod behind the Service that the Service does not name: ``targetPort`` of a monitor may mean them."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        return []
    return [
        {
            "targets": [f"{address}:{port['containerPort']}"],
            "labels": {
                **common,
                **_pod_labels(pod),
                **_container_labels(pod, container, is_init=False),
                **_port_labels(port),
            },
        }
        for container in pod["spec"].get("containers") or []
        for port in container.get("ports") or []
        if port["containerPort"] not in covered
    ]


def _endpoint_labels(endpoint: Object, port: Object) -> dict[str, str]:
    conditions, target = endpoint.get("conditions") or {}, endpoint.get("targetRef") or {}
    ready = _text(conditions.get("ready", True))
    found = {
        f"{_META}_endpoint_ready": ready,
        f"{_META}_endpointslice_endpoint_conditions_ready": ready,
        f"{_META}_endpointslice_endpoint_conditions_serving": _text(conditions.get("serving", True)),
        f"{_META}_endpointslice_endpoint_conditions_terminating": _text(conditions.get("terminating", False)),
    }
    for key, value in (("kind", target.get("kind")), ("name", target.get("name"))):
        if value:
            found[f"{_META}_endpoint_address_target_{key}"] = value
            found[f"{_META}_endpointslice_address_target_{key}"] = value
    for key, names in {
        "hostname": ("endpoint_hostname", "endpointslice_endpoint_hostname"),
        "nodeName": ("endpoint_node_name", "endpointslice_endpoint_node_name"),
        "zone": ("endpointslice_endpoint_zone",),
    }.items():
        if endpoint.get(key):
            found |= {f"{_META}_{name}": endpoint[key] for name in names}
    if port.get("port") is not None:
        name, protocol = port.get("name") or "", port.get("protocol") or "TCP"
        found |= {
            f"{_META}_endpoint_port_name": name,
            f"{_META}_endpoint_port_protocol": protocol,
            f"{_META}_endpointslice_port": str(port["port"]),
            f"{_META}_endpointslice_port_name": name,
            f"{_META}_endpointslice_port_protocol": protocol,
        }
    return found


def _pod_labels(pod: Object) -> dict[str, str]:
    metadata, status = pod["metadata"], pod.get("status") or {}
    ready = next(
        (one["status"].lower() for one in status.get("conditions") or [] if one["type"] == "Ready"), "unknown"
    )
    prefix = f"{_META}_pod"
    found = {
        f"{prefix}_name": metadata["name"],
        f"{prefix}_ip": status.get("podIP", ""),
        f"{prefix}_ready": ready,
        f"{prefix}_phase": status.get("phase", ""),
        f"{prefix}_node_name": pod["spec"].get("nodeName", ""),
        f"{prefix}_host_ip": status.get("hostIP", ""),
        f"{prefix}_uid": metadata.get("uid", ""),
        **_metadata_labels("pod", metadata),
    }
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller"):
            found[f"{prefix}_controller_kind"] = owner["kind"]
            found[f"{prefix}_controller_name"] = owner["name"]
    return found


def _metadata_labels(of: str, metadata: Object) -> dict[str, str]:
    found = {}
    for word, entries in (("label", metadata.get("labels")), ("annotation", metadata.get("annotations"))):
        for key, value in (entries or {}).items():
            name = label_name(key)
            found[f"{_META}_{of}_{word}_{name}"] = value
            found[f"{_META}_{of}_{word}present_{name}"] = "true"
    return found


def _containers(pod: Object) -> list[tuple[Object, bool]]:
    spec = pod["spec"]
    plain = [(one, False) for one in spec.get("containers") or []]
    return plain + [(one, True) for one in spec.get("initContainers") or []]


def _container_labels(pod: Object, container: Object, is_init: bool) -> dict[str, str]:  # noqa: FBT001
    prefix = f"{_META}_pod_container"
    statuses = (pod.get("status") or {}).get(
        "initContainerStatuses" if is_init else "containerStatuses"
    ) or []
    identity = next(
        (one.get("containerID", "") for one in statuses if one.get("name") == container["name"]), ""
    )
    return {
        f"{prefix}_name": container["name"],
        f"{prefix}_id": identity,
        f"{prefix}_image": container.get("image", ""),
        f"{prefix}_init": _text(is_init),
    }


def _port_labels(port: Object) -> dict[str, str]:
    prefix = f"{_META}_pod_container_port"
    return {
        f"{prefix}_name": port.get("name") or "",
        f"{prefix}_number": str(port["containerPort"]),
        f"{prefix}_protocol": port.get("protocol") or "TCP",
    }


def _text(value: object) -> str:
    return "true" if value else "false"
