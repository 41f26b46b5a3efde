"""Devices that ResourceSlices offer to a node, pool by pool, and what selectors say of them.

Source: staging/src/k8s.io/dynamic-resource-allocation/structured/internal/incubating/pools_incubating.go and cel/compile.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from stoker.kube.quantities import parse
from stoker.kube.selectors import node_fits
from stoker.twin.scheduler.cel import CelError, compiled
from stoker.twin.scheduler.cel_values import Domains, Version, call
from stoker.twin.scheduler.state import DeviceId, NodeInfo

__all__ = ["Device", "DeviceError", "Pool", "amount", "on_node", "pools_of", "selected"]

Object = Mapping[str, Any]


class DeviceError(Exception):
    """A claim or class that cannot be worked with: scheduling ends with these words."""


@dataclass(frozen=True, slots=True, eq=False)
class Device:
    """One device of a slice."""

    id: DeviceId
    spec: Object
    per_device: bool

    def attribute(self, name: str) -> tuple[str, Any] | None:
        """Type and value of an attribute by its full name; its driver's own may lack the domain."""
        found = self.spec.get("attributes") or {}
        domain, _, short = name.partition("/")
        value = found.get(name) or (found.get(short) if domain == self.id[0] else None)
        return next(iter(value.items())) if value else None


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Devices of a pool that a node can reach, and all that share its counters."""

    devices: tuple[Device, ...] = ()
    everyone: tuple[Device, ...] = ()
    counters: Mapping[str, Mapping[str, Decimal]] | None = None
    incomplete: bool = False
    invalid: bool = False


def amount(quantity: object) -> Decimal:
    """A quantity, or nothing where it is none."""
    return parse(quantity) or Decimal(0)


def on_node(place: Object, node: NodeInfo) -> bool:
    """Whether ``nodeName``, ``allNodes`` or ``nodeSelector`` of a slice or device means the node."""
    if place.get("nodeName"):
        return bool(place["nodeName"] == node.name)
    if place.get("allNodes"):
        return True
    selector = place.get("nodeSelector")
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}
    return selector is not None and node_fits({"affinity": affinity}, node.name, node.labels)


def _relevant(spec: Object, node: NodeInfo) -> bool:
    if spec.get("sharedCounters"):
        return True
    if spec.get("perDeviceNodeSelection"):
        return any(on_node(device, node) for device in spec.get("devices") or ())
    return on_node(spec, node)


def pools_of(slices: Iterable[Object], node: NodeInfo) -> list[Pool]:
    """Pools with devices for the node, in the order in which devices are tried."""
    every: dict[tuple[str, str], list[Object]] = {}
    near: dict[tuple[str, str], list[Object]] = {}
    for item in slices:
        spec = item["spec"]
        key = (spec["driver"], spec["pool"]["name"])
        every.setdefault(key, []).append(item)
        if _relevant(spec, node):
            near.setdefault(key, []).append(item)
    found = []
    for key in sorted(near):
        newest = max(_generation(item) for item in every[key])
        mine = [item for item in near[key] if _generation(item) == newest]
        if mine:  # Otherwise the driver is replacing slices that the node could reach.
            found.append(_pool(mine, [item for item in every[key] if _generation(item) == newest]))
    return found


def _generation(item: Object) -> int:
    return int(item["spec"]["pool"].get("generation") or 0)


def _pool(near: Sequence[Object], every: Sequence[Object]) -> Pool:
    if len(every) != int(every[0]["spec"]["pool"].get("resourceSliceCount") or 1):
        return Pool(incomplete=True)
    devices = _devices(near)
    everyone = _devices(every)
    sets = [each for item in near for each in item["spec"].get("sharedCounters") or ()]
    counters = {
        each["name"]: {name: amount(c["value"]) for name, c in (each.get("counters") or {}).items()}
        for each in sets
    }
    names = [device.id for device in devices]
    known = all(
        name in counters.get(use["counterSet"], {})
        for device in everyone
        for use in device.spec.get("consumesCounters") or ()
        for name in use.get("counters") or {}
    )
    if len(set(names)) < len(names) or len(counters) < len(sets) or not known:
        return Pool(invalid=True)
    return Pool(devices, everyone, counters)


def _devices(slices: Sequence[Object]) -> tuple[Device, ...]:
    found = []
    for item in sorted(slices, key=lambda each: str(each["metadata"]["name"])):
        spec = item["spec"]
        # In beta versions of the API a device's content is under `basic`.
        found += [
            Device(
                (spec["driver"], spec["pool"]["name"], device["name"]),
                device.get("basic") or device,
                bool(spec.get("perDeviceNodeSelection")),
            )
            for device in spec.get("devices") or ()
        ]
    return tuple(found)


def selected(device: Device, selectors: Iterable[Object], whose: str) -> bool:
    """Whether all selectors, of a class or a claim (``whose``), are true of a device.

    Raises:
        DeviceError: one of them is an error for this device.
    """
    scope: dict[str, Any] | None = None
    for number, selector in enumerate(selectors):
        expression = selector["cel"]["expression"]
        if scope is None:
            scope = {"device": _variables(device)}
        try:
            if compiled(expression)(scope) is not True:
                return False
        except CelError as error:
            raise DeviceError(f"{whose}: selector #{number}: CEL runtime error: {error}") from error
    return True


def _variables(device: Device) -> Object:
    driver = device.id[0]
    attributes, capacity = Domains(), Domains()
    for name, value in (device.spec.get("attributes") or {}).items():
        _file(attributes, name, driver, _value(*next(iter(value.items()))))
    for name, value in (device.spec.get("capacity") or {}).items():
        _file(capacity, name, driver, amount(value["value"] if isinstance(value, Mapping) else value))
    return {
        "driver": driver,
        "attributes": attributes,
        "capacity": capacity,
        "allowMultipleAllocations": bool(device.spec.get("allowMultipleAllocations")),
    }


def _file(domains: Domains, name: str, driver: str, value: Any) -> None:
    domain, slash, short = name.partition("/")
    domains.setdefault(domain if slash else driver, {})[short if slash else name] = value


def _value(kind: str, value: Any) -> str | int | bool | Version | Any:
    return call("semver", [value]) if kind == "version" else value
