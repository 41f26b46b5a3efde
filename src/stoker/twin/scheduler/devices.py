"""DynamicResources, as far as the twin needs it: free devices of a node for the claims of a pod.

Only the class of a request and its count are looked at. CEL selectors of a class that compare ``device.driver`` with a
name are understood; every other selector is taken to be true, which admits more than the real scheduler would.
"""

import re
from collections.abc import Iterator

from stoker.twin.scheduler.pods import PodInfo
from stoker.twin.scheduler.state import ClusterState, NodeInfo

__all__ = ["claims_missing", "devices_for"]

Device = tuple[str, str, str]  # driver, pool, name

_DRIVER = re.compile(r"""device\.driver\s*==\s*['"]([^'"]+)['"]""")


def claims_missing(state: ClusterState, pod: PodInfo) -> str:
    """The first claim of the pod that does not exist, in the words of the plugin; empty where all do."""
    for name in pod.resource_claims:
        if (pod.namespace, name) not in state.resource_claims:
            return f'waiting for dynamic resource controller to create the resourceclaim "{name}"'
    return ""


def devices_for(state: ClusterState, pod: PodInfo, node: NodeInfo) -> tuple[Device, ...] | None:
    """Devices on the node for all claims of the pod; None where there are too few."""
    taken = {device for devices in state.devices_taken.values() for device in devices}
    chosen: list[Device] = []
    for name in pod.resource_claims:
        claim = state.resource_claims[pod.namespace, name]
        for request in claim["spec"]["devices"].get("requests") or ():
            exactly = request.get("exactly") or request
            driver = _driver(state, exactly.get("deviceClassName", ""))
            free = [d for d in _devices(state, node, driver) if d not in taken and d not in chosen]
            count = int(exactly.get("count") or 1)
            if len(free) < count:
                return None
            chosen += free[:count]
    return tuple(chosen)


def _driver(state: ClusterState, name: str) -> str:
    for selector in (state.device_classes.get(name, {}).get("spec") or {}).get("selectors") or ():
        found = _DRIVER.search((selector.get("cel") or {}).get("expression", ""))
        if found:
            return found.group(1)
    return ""


def _devices(state: ClusterState, node: NodeInfo, driver: str) -> Iterator[Device]:
    for item in state.slices:
        spec = item["spec"]
        if spec.get("nodeName") == node.name and driver in {"", spec["driver"]}:
            for device in spec.get("devices") or ():
                yield spec["driver"], spec["pool"]["name"], device["name"]
