"""Where a Service's traffic may go: EndpointSlices. Pure.

Source: k8s.io/endpointslice {reconciler.go,utils.go,util/}.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from stoker.lab.controllers.objects import Object, controller_reference, is_ready

__all__ = [
    "CHANGED_AT",
    "HEADLESS",
    "MANAGED_BY",
    "SLICES",
    "Slices",
    "addresses_of",
    "belongs",
    "families",
    "has_hostname",
    "is_headless",
    "plan_slices",
    "port_of",
    "ports_key",
    "ports_of",
    "target_of",
]

SLICES = "endpointslice-controller.k8s.io"
CHANGED_AT = "endpoints.kubernetes.io/last-change-trigger-time"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"
_RESERVED = frozenset((_SERVICE_NAME, MANAGED_BY, HEADLESS))
# --max-endpoints-per-slice.
_MOST_IN_SLICE = 100
# Ports, and endpoints by what tells them apart.
_Group = tuple[list[Object], dict[str, Object]]


def is_headless(service: Object) -> bool:
    return service["spec"].get("clusterIP") in {None, "", "None"}


def families(service: Object) -> list[str]:
    """``IPv4`` and ``IPv6`` as far as the Service has them."""
    found = list(service["spec"].get("ipFamilies") or ())
    if found:
        return found
    address = service["spec"].get("clusterIP")
    if address and address != "None":
        return ["IPv6" if ":" in address else "IPv4"]
    return ["IPv4", "IPv6"]


def belongs(pod: Object, *, includes_terminating: bool) -> bool:
    """Whether a pod is an endpoint at all (ShouldPodBeInEndpoints)."""
    status = pod.get("status") or {}
    if status.get("phase") in {"Failed", "Succeeded"}:
        return False
    if not status.get("podIP") and not status.get("podIPs"):
        return False
    return includes_terminating or not pod["metadata"].get("deletionTimestamp")


def port_of(pod: Object, port: Object) -> int | None:
    """The number of a Service's port in a pod; None where the pod has no port of that name (FindPort)."""
    target = port.get("targetPort")
    if isinstance(target, int):
        return target
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*spec["containers"], *sidecars]:
        for one in container.get("ports") or ():
            if one.get("name") == target and one.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(one["containerPort"])
    return None


def ports_of(service: Object, pod: Object) -> list[Object]:
    found = []
    for port in service["spec"].get("ports") or ():
        number = port_of(pod, port)
        if number is not None:
            one = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
            if port.get("appProtocol"):
                one["appProtocol"] = port["appProtocol"]
            found.append(one)
    return found


def has_hostname(pod: Object, service: Object) -> bool:
    spec, metadata = pod["spec"], pod["metadata"]
    return bool(
        spec.get("hostname")
        and spec.get("subdomain") == service["metadata"]["name"]
        and metadata["namespace"] == service["metadata"]["namespace"]
    )


# --- slices -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Slices:
    """What becomes of a Service's slices. Updates are whole objects; nodes that pods name and nobody knows."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)
    unknown_nodes: set[str] = field(default_factory=set)


def plan_slices(
    service: Object, pods: Sequence[Object], existing: Iterable[Object], node: Callable[[str], Object | None]
) -> Slices:
    """Slices of a Service as they shall be, for each family of addresses."""
    plan = Slices()
    wanted = families(service)
    existing = list(existing)
    plan.delete += [one for one in existing if one["addressType"] not in wanted]
    for family in wanted:
        there = [one for one in existing if one["addressType"] == family]
        mine = _plan_family(service, _by_ports(plan, service, pods, family, node), there, family)
        plan.create += mine.create
        plan.update += mine.update
        plan.delete += mine.delete
    return plan


def _plan_family(
    service: Object, by_ports: Mapping[str, _Group], existing: Sequence[Object], family: str
) -> Slices:
    mine = Slices()
    there: dict[str, list[Object]] = {}
    uid = service["metadata"]["uid"]
    for one in existing:
        if any(owner["uid"] == uid for owner in one["metadata"].get("ownerReferences") or ()):
            there.setdefault(ports_key(one.get("ports") or []), []).append(one)
        else:
            mine.delete.append(one)
    for key, (ports, endpoints) in by_ports.items():
        _fill(mine, service, (ports, family), there.pop(key, []), endpoints)
    for left in there.values():
        mine.delete += left
    if len(mine.delete) == len(existing) and not mine.create:
        # A Service without endpoints has an empty slice.
        empty = _new_slice(service, [], family)
        if len(mine.delete) == 1 and _is_same_placeholder(mine.delete[0], empty):
            mine.delete = []
        else:
            mine.create.append(empty)
    _reuse(mine, service)
    return mine


def _by_ports(
    plan: Slices, service: Object, pods: Iterable[Object], family: str, node: Callable[[str], Object | None]
) -> dict[str, _Group]:
    """Endpoints of pods with the same ports together, by what tells them apart."""
    found: dict[str, _Group] = {}
    for pod in pods:
        if not belongs(pod, includes_terminating=True):
            continue
        ports = ports_of(service, pod)
        group = found.setdefault(ports_key(ports), (ports, {}))[1]
        name = pod["spec"].get("nodeName", "")
        host = node(name)
        if host is None and not service["spec"].get("publishNotReadyAddresses"):
            plan.unknown_nodes.add(name)
            continue
        endpoint = _endpoint(pod, host, service, family)
        if endpoint["addresses"]:
            group[_endpoint_key(endpoint)] = endpoint
    return found


def _fill(
    plan: Slices,
    service: Object,
    kind: tuple[list[Object], str],
    existing: Sequence[Object],
    wanted: dict[str, Object],
) -> None:
    """Keep endpoints in the slices where they are; what is new fills those that change anyway, then others."""
    wanted = dict(wanted)
    same: list[Object] = []
    changed: list[Object] = []
    labels = _labels(service)
    for one in existing:
        before = one.get("endpoints") or []
        kept = [found for old in before if (found := wanted.pop(_endpoint_key(old), None)) is not None]
        new = {**one, "metadata": {**one["metadata"], "labels": labels}, "endpoints": kept}
        if kept == before and one["metadata"].get("labels") == labels:
            same.append(one)
        elif before and not kept:
            plan.delete.append(one)
        else:
            changed.append(new)
    changed.sort(key=lambda one: -len(one["endpoints"]))
    left = list(wanted.values())
    for one in changed:
        _take(one, left)
    while left:
        target = _roomiest(same, len(left))
        if target is None:
            target = _new_slice(service, *kind)
            plan.create.append(target)
        else:
            same.remove(target)
            target = {**target, "endpoints": list(target.get("endpoints") or ())}
            changed.append(target)
        _take(target, left)
    plan.update += changed


def _take(one: Object, left: list[Object]) -> None:
    room = _MOST_IN_SLICE - len(one["endpoints"])
    one["endpoints"] = [*one["endpoints"], *left[:room]]
    del left[:room]


def _roomiest(slices: Iterable[Object], count: int) -> Object | None:
    """The slice that has room for all, and the least beside."""
    if count >= _MOST_IN_SLICE:
        return None
    rooms = [(_MOST_IN_SLICE - count - len(one.get("endpoints") or ()), one) for one in slices]
    fitting = [pair for pair in rooms if 0 <= pair[0] < _MOST_IN_SLICE]
    return min(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _reuse(plan: Slices, service: Object) -> None:
    """Rewrite slices that would be deleted in place of making others."""
    uid = service["metadata"]["uid"]
    for one in list(plan.delete):
        if not plan.create:
            return
        new = plan.create[-1]
        owners = one["metadata"].get("ownerReferences") or ()
        if one["addressType"] == new["addressType"] and any(owner["uid"] == uid for owner in owners):
            plan.create.pop()
            plan.delete.remove(one)
            metadata = {**one["metadata"], "labels": new["metadata"]["labels"]}
            plan.update.append({**new, "metadata": metadata})


def _new_slice(service: Object, ports: list[Object], family: str) -> Object:
    metadata = service["metadata"]
    prefix = f"{metadata['name']}-"
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": prefix if len(prefix) <= 253 else metadata["name"],
            "namespace": metadata["namespace"],
            "labels": _labels(service),
            "ownerReferences": [controller_reference({**service, "apiVersion": "v1", "kind": "Service"})],
        },
        "addressType": family,
        "endpoints": [],
        "ports": ports,
    }


def _labels(service: Object) -> dict[str, str]:
    labels = service["metadata"].get("labels") or {}
    found = {key: value for key, value in labels.items() if key not in _RESERVED}
    if is_headless(service):
        found[HEADLESS] = ""
    found[_SERVICE_NAME] = service["metadata"]["name"]
    found[MANAGED_BY] = SLICES
    return found


def _is_same_placeholder(old: Object, new: Object) -> bool:
    return (
        not old.get("endpoints")
        and not old.get("ports")
        and old["metadata"].get("labels") == new["metadata"]["labels"]
    )


def ports_key(ports: Iterable[Object]) -> str:
    return repr(
        sorted(
            (one.get("name") or "", one.get("protocol", "TCP"), one.get("port"), one.get("appProtocol") or "")
            for one in ports
        )
    )


def _endpoint_key(endpoint: Object) -> str:
    """What tells endpoints apart: where they are, not how they are (hashEndpoint)."""
    target = endpoint.get("targetRef") or {}
    names = endpoint.get("hostname"), target.get("namespace"), target.get("name")
    return repr((sorted(endpoint["addresses"]), names))


def _endpoint(pod: Object, node: Object | None, service: Object, family: str) -> Object:
    is_serving = is_ready(pod)
    is_going = bool(pod["metadata"].get("deletionTimestamp"))
    publishes = bool(service["spec"].get("publishNotReadyAddresses"))
    found: Object = {
        "addresses": addresses_of(pod, family),
        "conditions": {
            "ready": publishes or (is_serving and not is_going),
            "serving": is_serving,
            "terminating": is_going,
        },
        "targetRef": target_of(pod),
    }
    if has_hostname(pod, service):
        found["hostname"] = pod["spec"]["hostname"]
    if pod["spec"].get("nodeName"):
        found["nodeName"] = pod["spec"]["nodeName"]
    zone = ((node or {}).get("metadata", {}).get("labels") or {}).get("topology.kubernetes.io/zone")
    if zone:
        found["zone"] = zone
    return found


def target_of(pod: Object) -> Object:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def addresses_of(pod: Object, family: str) -> list[str]:
    status = pod.get("status") or {}
    found = [one["ip"] for one in status.get("podIPs") or () if one.get("ip")]
    return [one for one in found or [status["podIP"]] if (":" in one) == (family == "IPv6")]
