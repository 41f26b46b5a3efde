"""Endpoints and EndpointSlice (pkg/apis/{core,discovery}/validation/validation.go; their defaults.go and strategies)."""

from typing import Any

from stoker.lab.kinds.config_checks import each, port_number
from stoker.lab.kinds.metadata import (
    immutable,
    is_dns_label,
    is_dns_subdomain,
    is_label_value,
    is_qualified_name,
)
from stoker.lab.kinds.networking_addresses import (
    endpoint_address,
    ip_warnings,
    is_ipv6,
    legacy_ip,
    strict_ip,
)
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, duplicate, invalid_value, required, unsupported

__all__ = ["ENDPOINTS", "ENDPOINT_SLICE", "too_many"]

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_CONTROLLERS = {"endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"}


def too_many(path: str, count: int, limit: int) -> Cause:
    """``field.TooMany``."""
    text = f"Too many: {count}: must have at most {limit} item{'s' if limit != 1 else ''}"
    return Cause("FieldValueTooMany", text, path)


# --- Endpoints ----------------------------------------------------------------------------------------------------


def _default_endpoints(found: Object) -> None:
    for subset in found.get("subsets", ()):
        for port in subset.get("ports", ()):
            port.setdefault("protocol", "TCP")


def _validate_endpoints(found: Object) -> list[Cause]:
    causes: list[Cause] = []
    for index, subset in enumerate(found.get("subsets", ())):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            causes.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for at, address in enumerate(subset.get(field, ())):
                causes += _address_causes(address, f"{path}.{field}[{at}]")
        ports = subset.get("ports", ())
        for at, port in enumerate(ports):
            causes += _port_causes(port, f"{path}.ports[{at}]", name_required=len(ports) > 1)
    return causes


def _address_causes(address: Object, path: str) -> list[Cause]:
    ip = address.get("ip", "")
    causes = legacy_ip(f"{path}.ip", ip)
    if address.get("hostname"):
        causes += each(f"{path}.hostname", address["hostname"], is_dns_label)
    if "nodeName" in address:
        causes += each(f"{path}.nodeName", address["nodeName"], is_dns_subdomain)
    return causes + endpoint_address(f"{path}.ip", ip)


def _port_causes(port: Object, path: str, *, name_required: bool) -> list[Cause]:
    causes: list[Cause] = []
    if name_required and not port.get("name"):
        causes.append(required(f"{path}.name"))
    elif port.get("name"):
        causes += each(f"{path}.name", port["name"], is_dns_label)
    causes += each(f"{path}.port", port.get("port", 0), port_number)
    protocol = port.get("protocol", "")
    if not protocol:
        causes.append(required(f"{path}.protocol"))
    elif protocol not in _PROTOCOLS:
        causes.append(unsupported(f"{path}.protocol", protocol, _PROTOCOLS))
    if "appProtocol" in port:
        causes += each(f"{path}.appProtocol", port["appProtocol"], is_qualified_name)
    return causes


def _endpoints_warnings(found: Object) -> list[str]:
    if found["metadata"].get("labels", {}).get("endpoints.kubernetes.io/managed-by") == "endpoint-controller":
        return []
    return [
        warning
        for index, subset in enumerate(found.get("subsets", ()))
        for field in ("addresses", "notReadyAddresses")
        for at, address in enumerate(subset.get(field, ()))
        for warning in ip_warnings(f"subsets[{index}].{field}[{at}].ip", address.get("ip", ""))
    ]


ENDPOINTS = Strategy(
    default=_default_endpoints,
    validate=_validate_endpoints,
    warnings=_endpoints_warnings,
    allows_create_on_update=True,
)


# --- EndpointSlice ------------------------------------------------------------------------------------------------


def _default_slice(found: Object) -> None:
    for port in found.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _drop_topology(found: Object, old: Object | None = None) -> None:
    """``dropTopologyOnV1``: labels of old survive only where the endpoints are as they were."""
    endpoints = found.get("endpoints")
    if old is not None and endpoints == old.get("endpoints"):
        return
    for endpoint in endpoints or ():
        endpoint.pop("deprecatedTopology", None)


def _prepare_slice_update(new: Object, old: Object) -> None:
    """Generation counts every change but of metadata, and changes of labels."""
    _drop_topology(new, old)
    parts = ("addressType", "endpoints", "ports")
    labels = [one["metadata"].get("labels", {}) for one in (new, old)]
    if any(new.get(part) != old.get(part) for part in parts) or labels[0] != labels[1]:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1


def _validate_slice(found: Object) -> list[Cause]:
    kind = found.get("addressType", "")
    causes: list[Cause] = []
    if not kind:
        causes.append(required("addressType"))
    elif kind not in _ADDRESS_TYPES:
        causes.append(unsupported("addressType", kind, _ADDRESS_TYPES))
    causes += _slice_ports_causes(found.get("ports") or [])
    endpoints = found.get("endpoints") or []
    if len(endpoints) > 1000:
        return [*causes, too_many("endpoints", len(endpoints), 1000)]
    for index, endpoint in enumerate(endpoints):
        causes += _endpoint_causes(endpoint, kind, f"endpoints[{index}]")
    return causes


def _slice_ports_causes(ports: list[Object]) -> list[Cause]:
    if len(ports) > 20000:
        return [too_many("ports", len(ports), 20000)]
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"ports[{index}]", port.get("name", "")
        if name:
            causes += each(f"{path}.name", name, is_dns_label)
        if name in seen:
            causes.append(duplicate(f"{path}.name", name))
        seen.add(name)
        protocol = port.get("protocol")
        if protocol is None:
            causes.append(required(f"{path}.protocol"))
        elif protocol not in _PROTOCOLS:
            causes.append(unsupported(f"{path}.protocol", protocol, _PROTOCOLS))
        if "appProtocol" in port:
            causes += each(f"{path}.appProtocol", port["appProtocol"], is_qualified_name)
    return causes


def _endpoint_causes(endpoint: Object, kind: str, path: str) -> list[Cause]:
    addresses = endpoint.get("addresses") or []
    where = f"{path}.addresses"
    causes: list[Cause] = []
    if not addresses:
        causes.append(required(where, "must contain at least 1 address"))
    elif len(addresses) > 100:
        causes.append(too_many(where, len(addresses), 100))
    for index, address in enumerate(addresses):
        causes += _slice_address_causes(address, kind, where, f"{where}[{index}]")
    if "nodeName" in endpoint:
        causes += each(f"{path}.nodeName", endpoint["nodeName"], is_dns_subdomain)
    if "hostname" in endpoint:
        causes += each(f"{path}.hostname", endpoint["hostname"], is_dns_label)
    hints = endpoint.get("hints", {})
    return causes + _hint_causes(hints, f"{path}.hints")


def _slice_address_causes(address: str, kind: str, parent: str, path: str) -> list[Cause]:
    if kind == "FQDN":
        return _domain_causes(address, path)
    if kind not in {"IPv4", "IPv6"}:
        return []
    causes = legacy_ip(path, address) if kind == "IPv4" else strict_ip(path, address)
    if causes:
        return causes
    if is_ipv6(address) != (kind == "IPv6"):
        causes.append(invalid_value(parent, address, f"must be an {kind} address"))
    return causes + endpoint_address(path, address)


def _domain_causes(address: str, path: str) -> list[Cause]:
    """``IsFullyQualifiedDomainName``."""
    if not address:
        return [required(path)]
    name = address.removesuffix(".")
    messages = is_dns_subdomain(name)
    if messages:
        return [invalid_value(path, name, ",".join(messages))]
    labels = name.split(".")
    if len(labels) < 2:
        text = "should be a domain with at least two segments separated by dots"
        return [invalid_value(path, name, text)]
    wrong = next((label for label in labels if is_dns_label(label)), None)
    return [] if wrong is None else [invalid_value(path, wrong, ",".join(is_dns_label(wrong)))]


def _hint_causes(hints: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    checks: tuple[tuple[str, Any], ...] = (("forZones", is_label_value), ("forNodes", is_dns_subdomain))
    for field, check in checks:
        found = hints.get(field, [])
        if len(found) > 8:
            return [*causes, too_many(f"{path}.{field}", len(found), 8)]
        names = [one.get("name", "") for one in found]
        for index, name in enumerate(names):
            where = f"{path}.{field}[{index}].name"
            if name in names[:index]:
                causes.append(duplicate(where, name))
            causes += each(where, name, check)
    return causes


def _validate_slice_update(new: Object, old: Object) -> list[Cause]:
    return immutable("addressType", new.get("addressType", ""), old.get("addressType", ""))


def _slice_warnings(found: Object) -> list[str]:
    warnings = []
    is_new = not found["metadata"].get("resourceVersion")
    if is_new and found.get("addressType") == "FQDN":
        warnings.append("spec.addressType: FQDN endpoints are deprecated")
    if found["metadata"].get("labels", {}).get(_MANAGED_BY) in _CONTROLLERS:
        return warnings
    return warnings + [
        warning
        for index, endpoint in enumerate(found.get("endpoints") or ())
        for at, address in enumerate(endpoint.get("addresses") or ())
        for warning in ip_warnings(f"endpoints[{index}].addresses[{at}]", address)
    ]


ENDPOINT_SLICE = Strategy(
    default=_default_slice,
    prepare_create=_drop_topology,
    prepare_update=_prepare_slice_update,
    validate=_validate_slice,
    validate_update=_validate_slice_update,
    warnings=_slice_warnings,
    has_generation=True,
)
