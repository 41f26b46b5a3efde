"""DynamicResources: ResourceClaims of pods, and extended resources that a DeviceClass stands for.

Source: kubernetes 1.36 pkg/scheduler/framework/plugins/dynamicresources (dynamicresources.go, extendeddynamicresources.go).
Not looked at: binding conditions of devices, DeviceTaintRules, pod groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.kube.selectors import node_fits
from stoker.twin.scheduler.allocation import Ask, Chosen, Wanted, search
from stoker.twin.scheduler.devices import pools_of
from stoker.twin.scheduler.pods import PodInfo, parse_pod
from stoker.twin.scheduler.state import Allocation, ClaimKey, ClusterState, NodeInfo, Taken

__all__ = ["claims_gated", "claims_problem", "device_reason", "device_scores", "take_devices", "uses_devices"]

Object = Mapping[str, Any]

_MOST_PODS: Final = 256  # ResourceClaimReservedForMaxSize
_MOST_ALTERNATIVES: Final = 8  # FirstAvailableDeviceRequestMaxSize
_BEST: Final = 100


@dataclass(frozen=True, slots=True)
class _Result:
    """New allocations by claim, or why there are none."""

    reason: str
    allocations: Mapping[ClaimKey, Allocation]
    score: int = 0


def uses_devices(state: ClusterState, pod: PodInfo) -> bool:
    """Whether the plugin has anything to do for the pod."""
    return bool(pod.resource_claims) or (
        bool(state.extended) and any(state.extended.get(name) and n for name, n in pod.requests.items())
    )


def claims_gated(state: ClusterState, pod: PodInfo) -> bool:
    """Whether a claim of the pod is not there yet, or going: it is not in the queue at all (PreEnqueue)."""
    if pod.unclaimed:
        return True
    for name in pod.resource_claims:
        claim = state.resource_claims.get((pod.namespace, name))
        if claim is None or claim["metadata"].get("deletionTimestamp"):
            return True
    return False


def claims_problem(state: ClusterState, pod: PodInfo) -> str:
    """Why the claims keep the pod off every node (PreFilter)."""
    for name in pod.resource_claims:
        key = (pod.namespace, name)
        if key in state.allocations:
            holders = sum(key in keys for keys in state.held.values())
            if holders >= _MOST_PODS and key not in state.held.get(pod.key, ()):
                return "resourceclaim in use"
            continue
        for asks in _requests(state, state.resource_claims[key]):
            for ask in asks:
                class_name = ask.spec.get("deviceClassName", "")
                if class_name not in state.device_classes:
                    return f"request {ask.name}: device class {class_name} does not exist"
    return ""


def device_reason(state: ClusterState, pod: PodInfo, node: NodeInfo) -> str:
    """Why the node's devices do not do; empty where they do."""
    result = _allocate(state, pod, node)
    if result.reason:
        return result.reason
    for name in pod.resource_claims:
        allocation = state.allocations.get((pod.namespace, name))
        if allocation is not None and not _reaches(allocation, node):
            return "resourceclaim not available on the node"
    return ""


def device_scores(state: ClusterState, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[int]:
    """Better alternatives of prioritized lists are better; everything else is alike."""
    if not pod.resource_claims:
        return [0] * len(nodes)
    raw = [_allocate(state, pod, node).score for node in nodes]
    most = max(raw, default=0)
    return [_BEST * score // most if most else 0 for score in raw]


def take_devices(state: ClusterState, pod: Object, node: str) -> None:
    """Note which devices the claims of a pod hold on the node that it is bound to."""
    info = parse_pod(pod)
    if uses_devices(state, info) and not claims_gated(state, info):
        allocations = _allocate(state, info, state.nodes[node]).allocations
        state.allocations.update(allocations)
        own = tuple((info.namespace, name) for name in info.resource_claims)
        state.held[info.key] = tuple(dict.fromkeys((*own, *allocations)))


def _requests(state: ClusterState, claim: Object) -> list[list[Ask]]:
    found = []
    for request in ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ():
        options = request.get("firstAvailable")
        if options:
            asks = [
                Ask(
                    f"{request['name']}/{option['name']}",
                    request["name"],
                    option,
                    state.device_classes.get(option.get("deviceClassName", "")) or {},
                    _MOST_ALTERNATIVES - rank,
                )
                for rank, option in enumerate(options)
            ]
        else:
            spec = request.get("exactly") or request
            name = spec.get("deviceClassName", "")
            asks = [Ask(request["name"], "", spec, state.device_classes.get(name) or {})]
        found.append(asks)
    return found


def _allocate(state: ClusterState, pod: PodInfo, node: NodeInfo) -> _Result:
    wanted = [
        Wanted(
            key,
            _requests(state, state.resource_claims[key]),
            (state.resource_claims[key]["spec"].get("devices") or {}).get("constraints") or (),
        )
        for key in ((pod.namespace, name) for name in pod.resource_claims)
        if key not in state.allocations
    ]
    extended = _extended(state, pod, node)
    if extended:
        wanted.append(Wanted((pod.namespace, f"{pod.name}-extended-resources-"), extended, ()))
    if not wanted:
        return _Result("", {})
    pools = pools_of(state.slices, node)
    taken = [each for allocation in state.allocations.values() for each in allocation.taken if not each.admin]
    chosen = search(wanted, pools, node, taken)
    if chosen is None:
        invalid = any(pool.invalid for pool in pools)
        return _Result(
            "invalid resource pools were encountered" if invalid else "cannot allocate all claims", {}
        )
    return _Result(
        "",
        {claim.key: _allocation(state, number, chosen) for number, claim in enumerate(wanted)},
        sum({(each.claim, each.ask.name): each.ask.rank for each in chosen}.values()),
    )


def _extended(state: ClusterState, pod: PodInfo, node: NodeInfo) -> list[list[Ask]]:
    """Requests for extended resources that the node has no device plugin for."""
    return [
        [Ask(name, "", {"deviceClassName": state.extended[name], "count": count}, found)]
        for name, count in sorted(pod.requests.items() if state.extended else ())
        if count and name in state.extended and not node.allocatable.get(name)
        if (found := state.device_classes.get(state.extended[name])) is not None
    ]


def _allocation(state: ClusterState, claim: int, chosen: list[Chosen]) -> Allocation:
    mine = [each for each in chosen if each.claim == claim]
    pools = {each.device.id[:2] for each in mine}
    places: list[Object] = [each.device.spec for each in mine if each.device.per_device]
    places += [
        item["spec"]
        for item in state.slices
        if (item["spec"]["driver"], item["spec"]["pool"]["name"]) in pools
        and not item["spec"].get("perDeviceNodeSelection")
        and not item["spec"].get("sharedCounters")
    ]
    return Allocation(
        tuple(Taken(each.device.id, each.consumed, each.ask.admin) for each in mine),
        next((str(place["nodeName"]) for place in places if place.get("nodeName")), ""),
        tuple(place["nodeSelector"] for place in places if place.get("nodeSelector")),
    )


def _reaches(allocation: Allocation, node: NodeInfo) -> bool:
    if allocation.node not in {"", node.name}:
        return False
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    return all(
        node_fits({"affinity": {"nodeAffinity": {required: selector}}}, node.name, node.labels)
        for selector in allocation.selectors
    )
