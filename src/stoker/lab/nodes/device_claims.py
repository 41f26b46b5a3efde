"""ResourceClaims between the API and the twin's scheduler: what is allocated already, and what it has allocated. Pure.

Source: k8s.io/api resource/v1 types.go (AllocationResult), pkg/scheduler/framework/plugins/dynamicresources.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from stoker.kube.quantities import parse
from stoker.twin.scheduler.state import Allocation, ClaimKey, Taken

__all__ = ["allocated", "allocations_of", "reserved"]

Object = dict[str, Any]


def allocations_of(
    claims: Iterable[Object],
) -> tuple[dict[ClaimKey, Allocation], dict[tuple[str, str], tuple[ClaimKey, ...]]]:
    """Allocations that claims have, and which claims each pod holds."""
    found: dict[ClaimKey, Allocation] = {}
    held: dict[tuple[str, str], tuple[ClaimKey, ...]] = {}
    for claim in claims:
        metadata, status = claim["metadata"], claim.get("status") or {}
        key = (metadata.get("namespace", ""), metadata["name"])
        allocation = status.get("allocation")
        if allocation is None:
            continue
        found[key] = _read(allocation)
        for consumer in status.get("reservedFor") or ():
            if consumer.get("resource") == "pods":
                pod = (key[0], consumer["name"])
                held[pod] = (*held.get(pod, ()), key)
    return found, held


def _read(allocation: Mapping[str, Any]) -> Allocation:
    results = (allocation.get("devices") or {}).get("results") or ()
    selector = allocation.get("nodeSelector")
    node = ""
    for term in (selector or {}).get("nodeSelectorTerms") or ():
        for one in term.get("matchFields") or ():
            if one.get("key") == "metadata.name" and one.get("operator") == "In":
                node = one["values"][0]
    return Allocation(
        tuple(
            Taken(
                (one["driver"], one["pool"], one["device"]),
                {
                    name: parse(value) or Decimal(0)
                    for name, value in (one.get("consumedCapacity") or {}).items()
                },
                bool(one.get("adminAccess")),
            )
            for one in results
        ),
        node,
        (selector,) if selector and not node else (),
    )


def allocated(claim: Object, allocation: Allocation, pod: Object) -> Object:
    """The claim with devices that were chosen for it, reserved for a pod."""
    requests = ((claim["spec"].get("devices") or {}).get("requests")) or [{"name": ""}]
    names = _request_names(requests, len(allocation.taken))
    results = [
        {"request": name, "driver": taken.device[0], "pool": taken.device[1], "device": taken.device[2]}
        for name, taken in zip(names, allocation.taken, strict=True)
    ]
    status: Object = {**(claim.get("status") or {}), "allocation": {"devices": {"results": results}}}
    if allocation.node:
        status["allocation"]["nodeSelector"] = {
            "nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [allocation.node]}]}
            ]
        }
    elif allocation.selectors:
        status["allocation"]["nodeSelector"] = dict(allocation.selectors[0])
    return reserved({**claim, "status": status}, pod)


def _request_names(requests: list[Object], count: int) -> list[str]:
    """Which request each device answers: the search takes them in the order of the requests."""
    names: list[str] = []
    for request in requests:
        exactly = request.get("exactly") or request
        wanted = exactly.get("count") or 1
        names += [request["name"]] * int(wanted)
    last = requests[-1]["name"]
    return (names + [last] * count)[:count]


def reserved(claim: Object, pod: Object) -> Object:
    """The claim with a pod among those that it is reserved for."""
    status = claim.get("status") or {}
    metadata = pod["metadata"]
    mine = {"resource": "pods", "name": metadata["name"], "uid": metadata["uid"]}
    consumers = [one for one in status.get("reservedFor") or () if one.get("uid") != metadata["uid"]]
    return {**claim, "status": {**status, "reservedFor": [*consumers, mine]}}
