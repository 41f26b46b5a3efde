"""Cluster addresses and node ports of Services (pkg/registry/core/service/storage/{storage,alloc}.go).

The pipeline calls `allocate_create` or `allocate_update` after admission and before `prepare_*` and validation, which is
where the server does it, and `release` with a Service that is gone. The cluster has one family, IPv4, as the one that was
recorded. A `ServicePool` knows what is taken; it is rebuilt from the stored Services at start.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from stoker.lab.kinds.networking_addresses import is_ipv6, parse_ip
from stoker.lab.kinds.services_validation import cluster_ip_causes
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, invalid_value

__all__ = ["ServicePool", "allocate_create", "allocate_update", "default_on_read", "release"]

_DEFAULT_NETWORK = IPv4Network("10.0.0.0/24")
_NODE_PORTS = range(30000, 32768)
_PORT_TYPES = {"NodePort", "LoadBalancer"}


@dataclass(slots=True)
class ServicePool:
    """Addresses and ports that are taken.

    Attributes:
        network: where cluster addresses come from.
        addresses: taken addresses.
        ports: taken node ports.
    """

    network: IPv4Network = _DEFAULT_NETWORK
    addresses: set[str] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    _next_address: int = 1
    _next_port: int = 0
    _recent: list[str | int] = field(default_factory=list)

    def adopt(self, services: Iterable[Object]) -> None:
        """Marks what stored Services hold."""
        for service in services:
            self.addresses |= set(_held_addresses(service["spec"]))
            self.ports |= _held_ports(service["spec"])

    def next_address(self) -> str | None:
        """A free address, each in turn; None where the range is full."""
        count = self.network.num_addresses - 2
        for _ in range(count):
            candidate = str(self.network.network_address + self._next_address)
            self._next_address = self._next_address % count + 1
            if candidate not in self.addresses:
                self._hold(candidate)
                return candidate
        return None

    def take_address(self, wanted: str) -> str:
        """Takes one address; what is wrong with it, or an empty text."""
        found = parse_ip(wanted)
        if not isinstance(found, IPv4Address) or found not in self.network:
            return "the provided network does not match the current range"
        if found in {self.network.network_address, self.network.broadcast_address}:
            return f"the provided IP ({found}) is not in the valid range. The range of valid IPs is {self.network}"
        if str(found) in self.addresses:
            return "provided IP is already allocated"
        self._hold(str(found))
        return ""

    def next_port(self) -> int | None:
        for _ in range(len(_NODE_PORTS)):
            candidate = _NODE_PORTS[self._next_port]
            self._next_port = (self._next_port + 1) % len(_NODE_PORTS)
            if candidate not in self.ports:
                self._hold(candidate)
                return candidate
        return None

    def take_port(self, wanted: int) -> str:
        if wanted not in _NODE_PORTS:
            return "provided port is not in the valid range. The range of valid ports is 30000-32767"
        if wanted in self.ports:
            return "provided port is already allocated"
        self._hold(wanted)
        return ""

    def _hold(self, taken: str | int) -> None:
        if isinstance(taken, str):
            self.addresses.add(taken)
        else:
            self.ports.add(taken)
        self._recent.append(taken)

    def begin(self) -> None:
        """From here on `undo` gives back what is taken."""
        self._recent.clear()

    def undo(self) -> None:
        for taken in self._recent:
            if isinstance(taken, str):
                self.addresses.discard(taken)
            else:
                self.ports.discard(taken)
        self._recent.clear()


def _held_addresses(spec: Object) -> list[str]:
    if spec.get("type") == "ExternalName":
        return []
    return [address for address in spec.get("clusterIPs", ()) if address != "None"]


def _held_ports(spec: Object) -> set[int]:
    found = {port["nodePort"] for port in spec.get("ports", ()) if port.get("nodePort")}
    return found | ({spec["healthCheckNodePort"]} if spec.get("healthCheckNodePort") else set())


def release(service: Object, pool: ServicePool) -> None:
    """Gives back what a Service held."""
    pool.addresses -= set(_held_addresses(service["spec"]))
    pool.ports -= _held_ports(service["spec"])


def default_on_read(service: Object) -> None:
    """What the server adds to a Service that it hands out: an ExternalName has no internal traffic policy."""
    if service["spec"].get("type") == "ExternalName":
        service["spec"].pop("internalTrafficPolicy", None)


def allocate_create(service: Object, pool: ServicePool) -> list[Cause]:
    """Fills addresses, families and node ports of a new Service; with causes nothing stays taken."""
    spec = service["spec"]
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    return _all_or_nothing(
        pool,
        lambda: _fill_families(spec, None) or _take_addresses(spec, pool) or _take_ports(spec, set(), pool),
    )


def allocate_update(service: Object, old: Object, pool: ServicePool) -> list[Cause]:
    """The same for an update: what the old Service held and the new one leaves out is kept."""
    spec, before = service["spec"], old["spec"]
    _keep_allocated(spec, before)
    _normalize_addresses(spec, before)
    is_named, was_named = spec.get("type") == "ExternalName", before.get("type") == "ExternalName"

    def take() -> list[Cause]:
        causes = _fill_families(spec, before)
        if not causes and was_named and not is_named:
            causes = _take_addresses(spec, pool)
        return causes or _take_ports(spec, _held_ports(before), pool)

    causes = _all_or_nothing(pool, take)
    if not causes:
        kept = spec if not is_named else {}
        pool.addresses -= set(_held_addresses(before)) - set(_held_addresses(kept))
        kept = spec if spec.get("type") in _PORT_TYPES else {}
        pool.ports -= _held_ports(before) - _held_ports(kept)
    return causes


def _all_or_nothing(pool: ServicePool, take: Callable[[], list[Cause]]) -> list[Cause]:
    pool.begin()
    causes = take()
    if causes:
        pool.undo()
    return causes


def _keep_allocated(spec: Object, before: Object) -> None:
    """``patchAllocatedValues``: a client that writes without the numbers keeps them."""
    if "ExternalName" not in {spec.get("type"), before.get("type")}:
        for name in ("clusterIP", "clusterIPs"):
            if not spec.get(name) and before.get(name):
                spec[name] = before[name]
    if spec.get("type") in _PORT_TYPES and before.get("type") in _PORT_TYPES:
        numbers = [
            {port["nodePort"] for port in one.get("ports", ()) if port.get("nodePort")}
            for one in (spec, before)
        ]
        used = numbers[0] & numbers[1]
        by_name = {port.get("name", ""): port.get("nodePort") for port in before.get("ports", ())}
        for port in spec.get("ports", ()):
            held = by_name.get(port.get("name", ""))
            if not port.get("nodePort") and held and held not in used:
                port["nodePort"] = held
    if _checks_health(spec) and _checks_health(before) and before.get("healthCheckNodePort"):
        spec.setdefault("healthCheckNodePort", before["healthCheckNodePort"])


def _checks_health(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _normalize_addresses(spec: Object, before: Object) -> None:
    """``normalizeClusterIPs``: clients that only know the singular field change both."""
    now, then = spec.get("clusterIP", ""), before.get("clusterIP", "")
    same = spec.get("clusterIPs", []) == before.get("clusterIPs", [])
    if now == then:
        if then and not spec.get("clusterIPs") and before.get("clusterIPs"):
            spec["clusterIPs"] = before["clusterIPs"]
    elif same:
        if then and not now:
            spec.pop("clusterIPs", None)
        else:
            spec["clusterIPs"] = [now]


def _fill_families(spec: Object, before: Object | None) -> list[Cause]:
    """``initIPFamilyFields`` of a cluster with IPv4 only."""
    if spec.get("type") == "ExternalName":
        return []
    is_selectorless = spec.get("clusterIP") == "None" and not spec.get("selector")
    if "ipFamilyPolicy" not in spec:
        known = (before or {}).get("ipFamilyPolicy")
        spec["ipFamilyPolicy"] = known or ("RequireDualStack" if is_selectorless else "SingleStack")
    causes = cluster_ip_causes(spec) or _policy_causes(spec, before)
    if causes:
        return causes
    policy, families = spec["ipFamilyPolicy"], spec.get("ipFamilies", [])
    if is_selectorless:
        families = families or ["IPv4"]
        if len(families) < 2 and policy != "SingleStack":
            families = [*families, "IPv6" if families[0] == "IPv4" else "IPv4"]
        spec["ipFamilies"] = families
        return []
    if policy == "RequireDualStack":
        message = "this cluster is not configured for dual-stack services"
        causes.append(invalid_value("spec.ipFamilyPolicy", policy, message))
    causes += [
        invalid_value(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")
        for index, family in enumerate(families)
        if family != "IPv4"
    ]
    if not causes and not families:
        spec["ipFamilies"] = ["IPv4"]
    return causes


def _policy_causes(  # noqa: C901, PLR0912  # one rule a branch
    spec: Object, before: Object | None
) -> list[Cause]:
    path, policy = "spec.ipFamilyPolicy", spec["ipFamilyPolicy"]
    fields = {"clusterIPs": "cluster IP", "ipFamilies": "IP family"}
    plural = {"clusterIPs": "cluster IPs", "ipFamilies": "IP families"}
    causes: list[Cause] = []
    if before is not None:
        for name, shown in fields.items():
            now, then = spec.get(name, []), before.get(name, [])
            if policy == "SingleStack":
                if now == then and len(now) > 1:
                    spec[name] = now[:1]
            elif now and len(now) < len(then):
                message = f"must be 'SingleStack' to release the secondary {shown}"
                causes.append(invalid_value(path, policy, message))
    if policy == "SingleStack":
        for name, shown in plural.items():
            if len(spec.get(name, ())) == 2:
                message = (
                    f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {shown} are specified"
                )
                causes.append(invalid_value(path, policy, message))
    for index, address in enumerate(spec.get("clusterIPs", ())):
        if address == "None":
            break
        families = spec.get("ipFamilies", [])
        if index >= len(families):
            if is_ipv6(address):
                message = "IPv6 is not configured on this cluster"
                causes.append(invalid_value(f"spec.clusterIPs[{index}]", spec["clusterIPs"], message))
            else:
                spec["ipFamilies"] = [*families, "IPv4"]
    return causes


def _take_addresses(spec: Object, pool: ServicePool) -> list[Cause]:
    if spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None":
        return []
    wanted = spec.get("clusterIP", "")
    if not wanted:
        found = pool.next_address()
        if found is None:
            return [invalid_value("spec.clusterIPs", [""], "failed to allocate IP: range is full")]
        spec["clusterIP"], spec["clusterIPs"] = found, [found]
        return []
    problem = pool.take_address(wanted)
    if problem:
        message = f"failed to allocate IP {wanted}: {problem}"
        return [invalid_value("spec.clusterIPs", spec["clusterIPs"], message)]
    return []


def _take_ports(spec: Object, held: set[int], pool: ServicePool) -> list[Cause]:
    """Node ports: one number serves all protocols of a port."""
    by_port: dict[int, int] = {}
    gives = spec.get("type") == "NodePort" or (
        spec.get("type") == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
    )
    ports = spec.get("ports", ()) if spec.get("type") in _PORT_TYPES else ()
    taken = set(held)
    for index, port in enumerate(ports):
        number = port.get("nodePort", 0)
        if not number and not gives:
            continue
        key = port.get("port", 0)
        if not number:
            wanted = next(
                (one["nodePort"] for one in ports if one.get("port", 0) == key and one.get("nodePort")), 0
            )
            number = by_port.get(key) or wanted or pool.next_port() or 0
            port["nodePort"] = number
            if not wanted:
                taken.add(number)
        if number not in taken:
            problem = pool.take_port(number)
            if problem:
                return [invalid_value(f"spec.ports[{index}].nodePort", number, problem)]
        taken.add(number)
        by_port.setdefault(key, number)
    if _checks_health(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = pool.next_port()
    elif _checks_health(spec) and spec["healthCheckNodePort"] not in taken:
        pool.take_port(spec["healthCheckNodePort"])
    return []
