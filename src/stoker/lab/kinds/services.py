"""Services: defaults, what an update releases, warnings.

Upstream: pkg/apis/core/v1/defaults.go, pkg/registry/core/service/{strategy.go,storage/storage.go}, pkg/api/service/warnings.go.
Numbers and addresses are given out by the pipeline (`services_allocation`), after admission and before it stores.
"""

import json

from stoker.lab.kinds.networking_addresses import cidr_warnings, ip_warnings
from stoker.lab.kinds.services_validation import validate_service, validate_service_update
from stoker.lab.kinds.strategy import Object, Strategy

__all__ = ["SERVICE"]

_PORT_TYPES = {"NodePort", "LoadBalancer"}
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"


def _externally_accessible(spec: Object) -> bool:
    return spec.get("type") in _PORT_TYPES or (
        spec.get("type") == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def _default(service: Object) -> None:  # noqa: C901  # one rule a branch
    spec = service.setdefault("spec", {})
    affinity = spec.setdefault("sessionAffinity", "None")
    if affinity == "None":
        spec.pop("sessionAffinityConfig", None)
    elif affinity == "ClientIP":
        config = spec.get("sessionAffinityConfig", {}).get("clientIP", {})
        if "timeoutSeconds" not in config:
            spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    if _externally_accessible(spec):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind in {"ClusterIP", "NodePort", "LoadBalancer"}:
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
        for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress", ()):
            if ingress.get("ip"):
                ingress.setdefault("ipMode", "VIP")


def _prepare_create(service: Object) -> None:
    service["status"] = {"loadBalancer": {}}


def _prepare_update(service: Object, old: Object) -> None:
    service["status"] = old.get("status", {"loadBalancer": {}})
    _drop_what_the_type_lost(service, old)


def _drop_what_the_type_lost(service: Object, old: Object) -> None:  # noqa: C901  # one rule a branch
    """``dropTypeDependentFields``: a changed type releases what only the old type may hold and the user left as it was."""
    spec, before = service["spec"], old["spec"]

    def drop(*names: str) -> None:
        if all(spec.get(name) == before.get(name) for name in names):
            for name in names:
                spec.pop(name, None)

    kind, old_kind = spec.get("type"), before.get("type")
    if old_kind != "ExternalName" and kind == "ExternalName":
        drop("clusterIP", "clusterIPs")
        drop("ipFamilies")
        drop("ipFamilyPolicy")
    if old_kind in _PORT_TYPES and kind not in _PORT_TYPES:
        held = {port["nodePort"] for port in before.get("ports", ()) if "nodePort" in port}
        if {port["nodePort"] for port in spec.get("ports", ()) if "nodePort" in port} <= held:
            for port in spec.get("ports", ()):
                port.pop("nodePort", None)
    if needs_health_check(before) and not needs_health_check(spec):
        drop("healthCheckNodePort")
    if old_kind == "LoadBalancer" and kind != "LoadBalancer":
        drop("allocateLoadBalancerNodePorts")
        drop("loadBalancerClass")
    if _externally_accessible(before) and not _externally_accessible(spec):
        drop("externalTrafficPolicy")
    if kind != "LoadBalancer":
        service["status"] = {**service["status"], "loadBalancer": {}}


def needs_health_check(spec: Object) -> bool:
    """``NeedsHealthCheck``."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _prepare_status(service: Object, old: Object) -> None:
    service["spec"] = old["spec"]


def _warnings(service: Object) -> list[str]:  # noqa: C901, PLR0912  # one rule a branch
    spec = service.get("spec", {})
    external, addresses = spec.get("externalIPs", ()), spec.get("clusterIPs", ())
    is_headless, kind = addresses == ["None"], spec.get("type")
    found: list[str] = []
    if _HINTS in service["metadata"].get("annotations", {}):
        found.append(f"annotation {_HINTS} is deprecated, please use {_MODE} instead")
    if spec.get("clusterIP", "None") != "None":
        for index, address in enumerate(addresses):
            found += ip_warnings(f"spec.clusterIPs[{index}]", address)
    if is_headless:
        if spec.get("loadBalancerIP"):
            found.append("spec.loadBalancerIP is ignored for headless services")
        if external:
            found.append("spec.externalIPs is ignored for headless services")
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    for index, address in enumerate(external):
        found += ip_warnings(f"spec.externalIPs[{index}]", address)
    if external and not is_headless and kind != "ExternalName":
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    found += ip_warnings("spec.loadBalancerIP", spec.get("loadBalancerIP", ""))
    for index, network in enumerate(spec.get("loadBalancerSourceRanges", ())):
        found += cidr_warnings(f"spec.loadBalancerSourceRanges[{index}]", network)
    if kind == "ExternalName" and external:
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != "ExternalName" and spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        old, new = json.dumps("PreferClose"), json.dumps("PreferSameZone")
        found.append(f"spec.trafficDistribution: {old} is deprecated; use {new}")
    return found


SERVICE = Strategy(
    default=_default,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=validate_service,
    validate_update=validate_service_update,
    warnings=_warnings,
    allows_create_on_update=True,
)
