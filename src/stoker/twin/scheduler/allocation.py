"""Which devices the claims of a pod get on a node: an exhaustive search, the first solution is taken.

Source: staging/src/k8s.io/dynamic-resource-allocation/structured/internal/incubating/allocator_incubating.go,
constraint.go, consumable_capacity.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from stoker.twin.scheduler.devices import Device, DeviceError, Pool, amount, on_node, selected
from stoker.twin.scheduler.state import ClaimKey, DeviceId, NodeInfo, Taken

__all__ = ["Ask", "Chosen", "Wanted", "search"]

Object = Mapping[str, Any]

_MOST: Final = 32  # AllocationResultsMaxSize


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """A request, or one of its alternatives: ``rank`` is its place among them."""

    name: str
    parent: str
    spec: Object
    device_class: Object
    rank: int = 0

    @property
    def admin(self) -> bool:
        return bool(self.spec.get("adminAccess"))


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """An unallocated claim: its requests with their alternatives, and what must hold between devices."""

    key: ClaimKey
    requests: Sequence[Sequence[Ask]]
    constraints: Sequence[Object]


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A device given to a request."""

    claim: int
    ask: Ask
    device: Device
    consumed: Mapping[str, Decimal]


def search(
    wanted: Sequence[Wanted], pools: Sequence[Pool], node: NodeInfo, taken: Sequence[Taken]
) -> list[Chosen] | None:
    """Devices for all claims; None where there are none.

    Raises:
        DeviceError: a selector or a request that cannot be worked with.
    """
    found = _Search(wanted, pools, node, taken)
    return found.chosen if found.claim(0) else None


class _Search:
    """One attempt, with what it has chosen so far."""

    def __init__(
        self, wanted: Sequence[Wanted], pools: Sequence[Pool], node: NodeInfo, taken: Sequence[Taken]
    ) -> None:
        self.wanted = wanted
        self.node = node
        self.pools = pools
        self.homes = {device.id: pool for pool in pools for device in pool.everyone}
        self.devices = [device for pool in pools for device in pool.devices]
        self.taken = taken
        self.in_use = {each.device for each in taken if not each.consumed}
        self.chosen: list[Chosen] = []
        self._fits: dict[tuple[int, DeviceId], bool] = {}

    def claim(self, number: int) -> bool:
        return number >= len(self.wanted) or self._request(number, 0)

    def _request(self, claim: int, request: int) -> bool:
        requests = self.wanted[claim].requests
        if request >= len(requests):
            return self.claim(claim + 1)
        return any(self._alternative(claim, request, ask) for ask in requests[request])

    def _alternative(self, claim: int, request: int, ask: Ask) -> bool:
        if ask.spec.get("allocationMode") == "All":
            every = self._everything(claim, ask)
            return bool(every) and self._give(claim, request, ask, every, len(every), exact=True)
        return self._give(claim, request, ask, self.devices, int(ask.spec.get("count") or 1), exact=False)

    def _everything(self, claim: int, ask: Ask) -> list[Device]:
        for pool in self.pools:
            if pool.incomplete or pool.invalid:
                namespace, name = self.wanted[claim].key
                state = "being updated" if pool.incomplete else "invalid"
                raise DeviceError(
                    f"claim {namespace}/{name}, request {ask.name}: asks for all devices, but a resource pool is "
                    f"currently {state}"
                )
        return [device for device in self.devices if self._matches(claim, ask, device)]

    def _give(
        self, claim: int, request: int, ask: Ask, devices: Sequence[Device], count: int, *, exact: bool
    ) -> bool:
        """Give ``count`` of the devices, in their order, and go on; ``exact``: all of them or nothing."""
        if count == 0:
            return self._request(claim, request + 1)
        if sum(each.claim == claim for each in self.chosen) + count > _MOST:
            return False
        for at, device in enumerate(devices):
            given = self._try(claim, ask, device)
            if given is not None:
                self.chosen.append(given)
                if self._holds(claim) and self._give(
                    claim, request, ask, devices[at + 1 :], count - 1, exact=exact
                ):
                    return True
                self.chosen.pop()
            if exact:
                return False
        return False

    def _try(self, claim: int, ask: Ask, device: Device) -> Chosen | None:
        multiple = bool(device.spec.get("allowMultipleAllocations"))
        if ask.admin:
            if any(each.claim == claim and each.device.id == device.id for each in self.chosen):
                return None
        elif device.id in self.in_use or (
            not multiple and any(each.device.id == device.id for each in self.chosen)
        ):
            return None
        if not self._matches(claim, ask, device) or not _tolerated(device, ask):
            return None
        consumed = self._consumed(ask, device)
        if consumed is None or not self._counters(device):
            return None
        return Chosen(claim, ask, device, consumed if multiple else {})

    def _matches(self, claim: int, ask: Ask, device: Device) -> bool:
        key = (id(ask), device.id)
        if key not in self._fits:
            namespace, name = self.wanted[claim].key
            device_class = ask.device_class
            self._fits[key] = (
                selected(
                    device,
                    (device_class.get("spec") or {}).get("selectors") or (),
                    f"class {device_class['metadata']['name']}",
                )
                and selected(device, ask.spec.get("selectors") or (), f"claim {namespace}/{name}")
                and (not device.per_device or on_node(device.spec, self.node))
            )
        return self._fits[key]

    def _consumed(self, ask: Ask, device: Device) -> Mapping[str, Decimal] | None:
        """What of its capacities a device gives; None where it has not enough left."""
        asked = (ask.spec.get("capacity") or {}).get("requests") or {}
        capacities = device.spec.get("capacity") or {}
        if any(name not in capacities for name in asked):
            return None
        multiple = bool(device.spec.get("allowMultipleAllocations"))
        found = {}
        for name, capacity in capacities.items() if multiple or asked else ():
            part = _part(asked.get(name), capacity)
            if part is None:
                return None
            used = Decimal(0)
            if multiple:
                used = sum((t.consumed.get(name, used) for t in self.taken if t.device == device.id), used)
                used += sum(
                    (c.consumed.get(name, Decimal(0)) for c in self.chosen if c.device.id == device.id),
                    Decimal(0),
                )
            if used + part > amount(capacity["value"]):
                return None
            found[name] = part
        return found

    def _counters(self, device: Device) -> bool:
        """Whether the counters that the device shares with others have enough left."""
        uses = device.spec.get("consumesCounters")
        if not uses:
            return True
        pool = self.homes[device.id]
        busy = {each.device for each in self.taken} | {each.device.id for each in self.chosen}
        left = {name: dict(counters) for name, counters in (pool.counters or {}).items()}
        for other in (*(each for each in pool.everyone if each.id in busy and each.id != device.id), device):
            for use in other.spec.get("consumesCounters") or ():
                for name, counter in (use.get("counters") or {}).items():
                    left[use["counterSet"]][name] -= amount(counter["value"])
        return all(left[use["counterSet"]][name] >= 0 for use in uses for name in use.get("counters") or {})

    def _holds(self, claim: int) -> bool:
        """Whether the constraints of a claim hold between the devices chosen for it."""
        for constraint in self.wanted[claim].constraints:
            about = set(constraint.get("requests") or ())
            name = constraint.get("matchAttribute") or constraint.get("distinctAttribute") or ""
            values = [
                each.device.attribute(name)
                for each in self.chosen
                if each.claim == claim and (not about or {each.ask.name, each.ask.parent} & about)
            ]
            if None in values:
                return False
            different = len({repr(value) for value in values})
            if constraint.get("matchAttribute") and different > 1:
                return False
            if constraint.get("distinctAttribute") and different < len(values):
                return False
        return True


def _part(asked: object, capacity: Object) -> Decimal | None:
    """The amount that a request takes of a capacity under its policy; None where the policy forbids it."""
    policy = capacity.get("requestPolicy") or {}
    default = policy.get("default")
    if asked is None:
        return amount(capacity["value"] if default is None else default)
    part = amount(asked)
    span = policy.get("validRange") or {}
    values = [amount(each) for each in policy.get("validValues") or ()]
    if values:
        return next((each for each in values if part <= each), None)
    if span.get("min") is not None:
        least, step = amount(span["min"]), amount(span.get("step") or 0)
        part = max(part, least)
        if step:
            part = least + -(-(part - least) // step) * step
    return None if span.get("max") is not None and part > amount(span["max"]) else part


def _tolerated(device: Device, ask: Ask) -> bool:
    """Taints of the device that keep requests off (devicetoleration.go ToleratesTaint)."""
    return all(
        any(_tolerates(toleration, taint) for toleration in ask.spec.get("tolerations") or ())
        for taint in device.spec.get("taints") or ()
        if taint.get("effect") in {"NoSchedule", "NoExecute"}
    )


def _tolerates(toleration: Object, taint: Object) -> bool:
    if toleration.get("effect") not in {None, "", taint.get("effect")}:
        return False
    if toleration.get("key") not in {None, "", taint.get("key")}:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return (toleration.get("value") or "") == (taint.get("value") or "")
