"""What a pod asks for, as the scheduler adds it up (component-helpers resource/helpers.go PodRequests)."""

from collections.abc import Mapping
from typing import Any, Final

from stoker.kube.quantities import parse

__all__ = ["requests_of", "resources_of"]

Object = Mapping[str, Any]

# What a container without requests counts for in scores (pkg/scheduler/util/pod_resources.go).
_DEFAULT_MILLICORES: Final = 100
_DEFAULT_MEMORY: Final = 200 * 1024 * 1024


def _amount(name: str, quantity: object) -> int:
    value = parse(quantity)
    if value is None:
        raise ValueError(f"{name}: no quantity: {quantity!r}")
    # Rounded up, as Quantity.MilliValue and Quantity.Value do.
    return int(-(-(value * 1000 if name == "cpu" else value) // 1))


def resources_of(amounts: Object | None) -> dict[str, int]:
    """A ResourceList in the scheduler's units."""
    return {name: _amount(name, quantity) for name, quantity in (amounts or {}).items()}


def _pair(container: Object) -> tuple[dict[str, int], dict[str, int]]:
    resources = container.get("resources") or {}
    # The API server fills requests from limits; objects that never met one may lack it.
    asked = resources_of({**(resources.get("limits") or {}), **(resources.get("requests") or {})})
    scored = {
        **asked,
        "cpu": asked.get("cpu", _DEFAULT_MILLICORES),
        "memory": asked.get("memory", _DEFAULT_MEMORY),
    }
    return asked, scored


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _most(total: dict[str, int], other: Mapping[str, int]) -> None:
    for name, value in other.items():
        total[name] = max(total.get(name, 0), value)


def requests_of(spec: Object) -> tuple[dict[str, int], dict[str, int]]:
    """What the pod asks for, and what it counts for in scores.

    Containers and sidecars together, or what an init container needs beside the sidecars started before it, if that is
    more; what the pod asks for as a whole goes before; plus overhead.
    """
    totals: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for container in spec.get("containers") or ():
        for total, amounts in zip(totals, _pair(container), strict=True):
            _add(total, amounts)
    sidecars: tuple[dict[str, int], dict[str, int]] = ({}, {})
    peaks: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for container in spec.get("initContainers") or ():
        pair = _pair(container)
        for total, sidecar, peak, amounts in zip(totals, sidecars, peaks, pair, strict=True):
            if container.get("restartPolicy") == "Always":
                _add(total, amounts)
                _add(sidecar, amounts)
                _most(peak, sidecar)
            else:
                needed = dict(amounts)
                _add(needed, sidecar)
                _most(peak, needed)
    for total, peak in zip(totals, peaks, strict=True):
        _most(total, peak)
    whole = _whole(spec, totals[0]) if spec.get("resources") else {}
    overhead = resources_of(spec.get("overhead"))
    for total in totals:
        total.update(whole)
        _add(total, overhead)
    return totals


def _whole(spec: Object, containers: Mapping[str, int]) -> dict[str, int]:
    """Requests of the pod as a whole, filled from its limits as the API server does (defaults.go defaultPodRequests)."""
    requests = resources_of(spec["resources"].get("requests"))
    limits = resources_of(spec["resources"].get("limits"))
    if limits:
        filled = {name: containers[name] for name in ("cpu", "memory") if name in containers}
        requests = {**limits, **filled, **requests}
    return {
        name: amount
        for name, amount in requests.items()
        if name in {"cpu", "memory"} or name.startswith("hugepages-")
    }
