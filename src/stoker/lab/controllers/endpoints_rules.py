"""Where a Service's traffic may go, as Endpoints say it. Pure.

Source: kubernetes pkg/controller/endpoint/endpoints_controller.go, pkg/api/v1/endpoints/util.go.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.controllers.endpoint_rules import (
    HEADLESS,
    addresses_of,
    belongs,
    families,
    has_hostname,
    is_headless,
    ports_key,
    ports_of,
    target_of,
)
from stoker.lab.controllers.objects import Object, is_ready

__all__ = ["MANAGED_BY", "endpoints_of"]

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
_CONTROLLER = "endpoint-controller"
_OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
# maxCapacity: addresses in one Endpoints.
_MOST_IN_ENDPOINTS = 1000


def endpoints_of(service: Object, pods: Iterable[Object], before: Object | None) -> Object | None:
    """The Endpoints of a Service; None where they are right as they are."""
    subsets = _subsets(service, pods)
    metadata = service["metadata"]
    labels = dict(metadata.get("labels") or {})
    labels.pop(HEADLESS, None)
    if is_headless(service):
        labels[HEADLESS] = ""
    labels[MANAGED_BY] = _CONTROLLER
    found: Object = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "labels": labels},
    }
    if before is not None:
        found["metadata"] = {**before["metadata"], "labels": labels}
        if (before.get("subsets") or []) == subsets and before["metadata"].get("labels") == labels:
            return None
    annotations = dict(found["metadata"].get("annotations") or {})
    annotations.pop(_OVER_CAPACITY, None)
    if _truncate(subsets):
        annotations[_OVER_CAPACITY] = "truncated"
    if annotations:
        found["metadata"]["annotations"] = annotations
    if subsets:
        found["subsets"] = subsets
    return found


def _subsets(service: Object, pods: Iterable[Object]) -> list[Object]:
    """Addresses with the same ports together, ready ones and others (RepackSubsets)."""
    publishes = bool(service["spec"].get("publishNotReadyAddresses"))
    groups: dict[str, tuple[list[Object], dict[str, list[Object]]]] = {}
    family = families(service)[0]
    for pod in pods:
        if not belongs(pod, includes_terminating=publishes):
            continue
        addresses = addresses_of(pod, family)
        ports = ports_of(service, pod)
        if not addresses or (not ports and (service["spec"].get("ports") or not is_headless(service))):
            continue
        address: Object = {"ip": addresses[0]}
        if has_hostname(pod, service):
            address["hostname"] = pod["spec"]["hostname"]
        if pod["spec"].get("nodeName"):
            address["nodeName"] = pod["spec"]["nodeName"]
        address["targetRef"] = target_of(pod)
        group = groups.setdefault(ports_key(ports), (ports, {}))[1]
        state = "addresses" if publishes or is_ready(pod) else "notReadyAddresses"
        group.setdefault(state, []).append(address)
    found = []
    for ports, states in groups.values():
        subset: Object = {
            state: sorted(states[state], key=_by_address)
            for state in ("addresses", "notReadyAddresses")
            if state in states
        }
        if ports:
            subset["ports"] = [_endpoints_port(port) for port in ports]
        found.append(subset)
    return found


def _endpoints_port(port: Mapping[str, Any]) -> Object:
    return {key: value for key, value in port.items() if key != "name" or value}


def _by_address(address: Object) -> tuple[bytes, str]:
    return ipaddress.ip_address(address["ip"]).packed, address["targetRef"]["uid"]


def _truncate(subsets: list[Object]) -> bool:
    """Leave out what is more than Endpoints may hold: ready addresses are kept first."""
    left = _MOST_IN_ENDPOINTS
    is_cut = False
    for state in ("addresses", "notReadyAddresses"):
        for subset in subsets:
            addresses = subset.get(state) or []
            if len(addresses) > left:
                is_cut = True
                subset[state] = addresses[:left]
            left -= len(subset.get(state) or ())
    return is_cut
