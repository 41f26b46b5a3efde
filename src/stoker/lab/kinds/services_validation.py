"""What the server refuses of Services (pkg/apis/core/validation/validation.go, `ValidateServiceCreate` and `…Update`)."""

from typing import Any

from stoker.lab.kinds.config_checks import each, port_name, port_number
from stoker.lab.kinds.config_golang import go_value
from stoker.lab.kinds.metadata import is_dns_label, is_dns_subdomain, is_qualified_name, labels_causes
from stoker.lab.kinds.networking_addresses import endpoint_address, is_ipv6, legacy_cidr, legacy_ip, parse_ip
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, duplicate, forbidden_field, invalid_value, required, unsupported

__all__ = [
    "balancer_status_causes",
    "cluster_ip_causes",
    "service_port_causes",
    "validate_service",
    "validate_service_update",
]

_PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITIES = ("ClientIP", "None")
_POLICIES = ("Cluster", "Local")
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"


def validate_service(service: Object) -> list[Cause]:
    spec = service.get("spec", {})
    annotations = service["metadata"].get("annotations", {})
    causes: list[Cause] = []
    if _MODE in annotations and annotations.get(_HINTS, annotations[_MODE]) != annotations[_MODE]:
        message = f"must match annotations[{_HINTS}] when both are specified"
        causes.append(invalid_value(f"metadata.annotations[{_MODE}]", annotations[_MODE], message))
    causes += _type_causes(spec)
    names: set[str] = set()
    ports = spec.get("ports", ())
    for index, port in enumerate(ports):
        causes += service_port_causes(port, f"spec.ports[{index}]", names, name_required=len(ports) > 1)
    causes += labels_causes(spec.get("selector", {}), "spec.selector")
    causes += _affinity_causes(spec)
    causes += cluster_ip_causes(spec)
    for index, address in enumerate(spec.get("externalIPs", ())):
        path = f"spec.externalIPs[{index}]"
        causes += legacy_ip(path, address) or endpoint_address(path, address)
    causes += _one_of("spec.type", spec.get("type", ""), _TYPES)
    causes += _port_sharing_causes(spec)
    causes += _source_range_causes(spec, annotations)
    causes += _load_balancer_causes(spec)
    causes += _traffic_causes(spec)
    return causes


def _one_of(path: str, value: str, known: tuple[str, ...]) -> list[Cause]:
    if not value:
        return [required(path)]
    return [] if value in known else [unsupported(path, value, known)]


def _is_headless(spec: Object) -> bool:
    return bool(spec.get("clusterIPs") == ["None"])


def _type_causes(spec: Object) -> list[Cause]:
    kind = spec.get("type")
    causes = []
    if not spec.get("ports") and not _is_headless(spec) and kind != "ExternalName":
        causes.append(required("spec.ports"))
    if kind in {"LoadBalancer", "NodePort"} and _is_headless(spec):
        causes.append(
            invalid_value("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
        )
    if kind == "ExternalName":
        causes += [
            forbidden_field(f"spec.{name}", "may not be set for ExternalName services")
            for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
            if spec.get(name)
        ]
        name = spec.get("externalName", "").removesuffix(".")
        causes += (
            each("spec.externalName", name, is_dns_subdomain) if name else [required("spec.externalName")]
        )
    return causes


def service_port_causes(port: Object, path: str, names: set[str], *, name_required: bool) -> list[Cause]:
    """Causes of one port; `names` gathers the names seen so far."""
    causes: list[Cause] = []
    name = port.get("name", "")
    if name_required and not name:
        causes.append(required(f"{path}.name"))
    elif name:
        causes += each(f"{path}.name", name, is_dns_label)
        if name in names:
            causes.append(duplicate(f"{path}.name", name))
        names.add(name)
    causes += each(f"{path}.port", port.get("port", 0), port_number)
    causes += _one_of(f"{path}.protocol", port.get("protocol", ""), _PROTOCOLS)
    target = port.get("targetPort", 0)
    causes += each(f"{path}.targetPort", target, port_name if isinstance(target, str) else port_number)
    if "appProtocol" in port:
        causes += each(f"{path}.appProtocol", port["appProtocol"], is_qualified_name)
    return causes


def _affinity_causes(spec: Object) -> list[Cause]:
    path = "spec.sessionAffinityConfig"
    affinity = spec.get("sessionAffinity", "")
    causes = _one_of("spec.sessionAffinity", affinity, _AFFINITIES)
    if affinity == "ClientIP":
        timeout = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds")
        if timeout is None:
            causes.append(required(path, "when session affinity type is ClientIP"))
        elif not 0 < timeout <= 86400:
            message = "must be greater than 0 and less than 86400"
            causes.append(invalid_value(f"{path}.clientIP.timeoutSeconds", timeout, message))
    elif affinity == "None" and "sessionAffinityConfig" in spec:
        causes.append(forbidden_field(path, "must not be set when session affinity is None"))
    return causes


def cluster_ip_causes(spec: Object) -> list[Cause]:  # noqa: C901  # one rule a branch
    """``ValidateServiceClusterIPsRelatedFields``; allocation asks it again after it filled in the family policy."""
    if spec.get("type") == "ExternalName":
        return []
    path, addresses, families = "spec.clusterIPs", spec.get("clusterIPs", []), spec.get("ipFamilies", [])
    causes: list[Cause] = []
    if spec.get("clusterIP"):
        if not addresses:
            causes.append(required(path))
        elif addresses[0] != spec["clusterIP"]:
            causes.append(invalid_value(path, addresses, "first value must match `clusterIP`"))
    elif addresses:
        causes.append(invalid_value(path, addresses, "must be empty when `clusterIP` is not specified"))
    for index, family in enumerate(families):
        where = f"spec.ipFamilies[{index}]"
        if family not in _FAMILIES:
            causes.append(unsupported(where, family, _FAMILIES))
        if family in families[:index]:
            causes.append(duplicate(where, family))
    policy = spec.get("ipFamilyPolicy")
    if policy is not None and policy not in _FAMILY_POLICIES:
        causes.append(unsupported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES))
    wrong = _address_causes(path, addresses)
    causes += wrong
    if len(addresses) > 2:
        causes.append(invalid_value(path, addresses, "may only hold up to 2 values"))
    if not wrong:
        causes += _family_causes(path, addresses, families)
    return causes


def _address_causes(path: str, addresses: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    for index, address in enumerate(addresses):
        if index == 0 and address == "None":
            if len(addresses) > 1:
                causes.append(invalid_value(path, addresses, "'None' must be the first and only value"))
            continue
        causes += legacy_ip(f"{path}[{index}]", address)
    return causes


def _family_causes(path: str, addresses: list[str], families: list[str]) -> list[Cause]:
    causes = []
    kinds = {is_ipv6(address) for address in addresses}
    if len(addresses) > 1 and len(kinds) < 2:
        message = "may specify no more than one IP for each IP family"
        causes.append(invalid_value(path, addresses, message))
    if addresses != ["None"]:
        for index, (address, family) in enumerate(zip(addresses, families, strict=False)):
            if family in _FAMILIES and (family == "IPv6") != is_ipv6(address):
                message = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
                causes.append(invalid_value(f"{path}[{index}]", address, message))
    return causes


def _port_sharing_causes(spec: Object) -> list[Cause]:
    """Node ports where none may be, and two entries for one port."""
    ports = spec.get("ports", ())
    causes: list[Cause] = []
    if spec.get("type") == "ClusterIP":
        causes += [
            forbidden_field(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
            for index, port in enumerate(ports)
            if port.get("nodePort")
        ]
    seen: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("nodePort"))
        if key[1]:
            if key in seen:
                causes.append(duplicate(f"spec.ports[{index}].nodePort", key[1]))
            seen.add(key)
    seen = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol", ""), port.get("port", 0))
        if key in seen:
            printed = go_value("ServicePort", {"protocol": key[0], "port": key[1]})
            causes.append(duplicate(f"spec.ports[{index}]", printed))
        seen.add(key)
    return causes


def _source_range_causes(spec: Object, annotations: dict[str, str]) -> list[Cause]:
    is_load_balancer = spec.get("type") == "LoadBalancer"
    ranges = spec.get("loadBalancerSourceRanges")
    if ranges:
        path = "spec.LoadBalancerSourceRanges"
        causes = [] if is_load_balancer else [forbidden_field(path, _ONLY_LOAD_BALANCER)]
        for index, value in enumerate(ranges):
            causes += legacy_cidr(f"{path}[{index}]", value.strip())
        return causes
    if _RANGES not in annotations:
        return []
    path = f"metadata.annotations[{_RANGES}]"
    causes = [] if is_load_balancer else [forbidden_field(path, _ONLY_LOAD_BALANCER)]
    text = annotations[_RANGES].strip()
    for value in text.split(",") if text else ():
        causes += legacy_cidr(path, value.strip())
    return causes


def _load_balancer_causes(spec: Object) -> list[Cause]:
    is_load_balancer = spec.get("type") == "LoadBalancer"
    causes: list[Cause] = []
    if "allocateLoadBalancerNodePorts" in spec:
        if not is_load_balancer:
            causes.append(forbidden_field("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER))
    elif is_load_balancer:
        causes.append(required("allocateLoadBalancerNodePorts"))
    return causes + _class_causes(spec)


def _class_causes(spec: Object) -> list[Cause]:
    path, name = "spec.loadBalancerClass", spec.get("loadBalancerClass")
    if name is None:
        return []
    if spec.get("type") == "LoadBalancer":
        return each(path, name, is_qualified_name)
    return [forbidden_field(path, _ONLY_LOAD_BALANCER)]


def _traffic_causes(spec: Object) -> list[Cause]:
    kind, external = spec.get("type"), spec.get("externalTrafficPolicy", "")
    causes: list[Cause] = []
    if kind in {"NodePort", "LoadBalancer"} or (kind == "ClusterIP" and spec.get("externalIPs")):
        causes += _one_of("spec.externalTrafficPolicy", external, _POLICIES)
    elif external:
        message = "may only be set for externally-accessible services"
        causes.append(invalid_value("spec.externalTrafficPolicy", external, message))
    path, number = "spec.healthCheckNodePort", spec.get("healthCheckNodePort", 0)
    if kind == "LoadBalancer" and external == "Local":
        # a number that is missing here is given out by allocation, which comes first on a server
        causes += each(path, number, port_number) if number else []
    elif number:
        message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        causes.append(invalid_value(path, number, message))
    internal = spec.get("internalTrafficPolicy")
    if internal is None:
        if kind in {"NodePort", "LoadBalancer", "ClusterIP"}:
            causes.append(required("spec.internalTrafficPolicy"))
    elif internal not in _POLICIES:
        causes.append(unsupported("spec.internalTrafficPolicy", internal, _POLICIES))
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        causes.append(unsupported("spec.trafficDistribution", distribution, _DISTRIBUTIONS))
    return causes


def balancer_status_causes(service: Object) -> list[Cause]:
    """``ValidateLoadBalancerStatus``."""
    found = service.get("status", {}).get("loadBalancer", {}).get("ingress", ())
    path = "status.loadBalancer.ingress"
    if found and service["spec"].get("type") != "LoadBalancer":
        return [forbidden_field(path, "may only be used when `spec.type` is 'LoadBalancer'")]
    return [cause for index, one in enumerate(found) for cause in _ingress_causes(one, f"{path}[{index}]")]


def _ingress_causes(found: Object, path: str) -> list[Cause]:
    address, mode, host = found.get("ip", ""), found.get("ipMode"), found.get("hostname", "")
    causes = legacy_ip(f"{path}.ip", address) if address else []
    where = f"{path}.ipMode"
    if mode is None:
        causes += [required(where, "must be specified when `ip` is set")] if address else []
    elif not address:
        causes.append(forbidden_field(where, "may not be specified when `ip` is not set"))
    elif mode not in {"Proxy", "VIP"}:
        causes.append(unsupported(where, mode, ("Proxy", "VIP")))
    if host:
        causes += each(f"{path}.hostname", host, is_dns_subdomain)
        if parse_ip(host) is not None:
            text = "must be a DNS name, not an IP address"
            causes.append(invalid_value(f"{path}.hostname", host, text))
    return causes


# --- updates ------------------------------------------------------------------------------------------------------


def validate_service_update(service: Object, old: Object) -> list[Cause]:
    spec, before = service.get("spec", {}), old.get("spec", {})
    causes: list[Cause] = []
    if "ExternalName" not in {spec.get("type"), before.get("type")}:
        is_headless, was_headless = _is_headless(spec), _is_headless(before)
        if not (is_headless and was_headless):
            causes += _moved(spec, before, "clusterIPs", "clusterIP")
        if not is_headless and not was_headless:
            causes += _moved(spec, before, "ipFamilies", "ipFamily")
    if spec.get("type") == before.get("type") == "LoadBalancer":
        name = spec.get("loadBalancerClass")
        if name != before.get("loadBalancerClass"):
            causes.append(invalid_value("spec.loadBalancerClass", name, "may not change once set"))
    causes += _class_causes(spec)
    if _checks_health(spec) and _checks_health(before):
        path = "healthCheckNodePort"
        if spec.get(path) != before.get(path):
            causes.append(forbidden_field(f"spec.{path}", "field is immutable"))
    return causes


def _checks_health(spec: Object) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _moved(spec: Object, before: Object, name: str, singular: str) -> list[Cause]:
    """The first address or family stays for good; the second may come, and go with a policy that says so."""
    now, then = spec.get(name, []), before.get(name, [])
    path = f"spec.{name}[0]"
    changed = "may not change once set"
    if len(now) == len(then):
        is_family = name == "ipFamilies"
        return [
            invalid_value(path if is_family else f"spec.{name}[{index}]", now, changed)
            for index, (one, other) in enumerate(zip(then, now, strict=True))
            if one != other
        ]
    causes = []
    if len(now) < len(then) and not (now if name == "clusterIPs" else spec.get("clusterIPs")):
        causes.append(invalid_value(path, now or None, f"primary {singular} can not be unset"))
    if now and then and now[0] != then[0]:
        causes.append(invalid_value(path, spec.get("clusterIPs"), changed))
    if len(now) == 1 < len(then) and spec.get("ipFamilyPolicy") != "SingleStack":
        message = f"must be set to 'SingleStack' when releasing the secondary {singular}"
        causes.append(invalid_value("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), message))
    return causes
