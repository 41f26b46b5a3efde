"""Requests and limits: names, amounts, quality of service.

Sources: pkg/apis/core/validation (validateResourceRequirements), pkg/apis/core/helper, component-helpers/resource (1.36).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.metadata import NOT_NEGATIVE, format_causes, is_dns_label, is_qualified_name
from stoker.lab.kinds.metadata_memory import remembered
from stoker.lab.kinds.quantity_text import NANO, Quantity, QuantityError, nano, parse, text_of
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, duplicate, forbidden_field, invalid_value, required, unsupported

__all__ = [
    "aggregate",
    "is_extended",
    "is_hugepages",
    "is_overcommit_allowed",
    "is_pod_level",
    "overhead_causes",
    "pod_resources_causes",
    "qos_class",
    "quantity_causes",
    "resources_causes",
]

_STANDARD = frozenset(
    [
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "storage",
        "requests.storage",
        "services.nodeports",
        "services.loadbalancers",
    ]
)
_INTEGER = frozenset(
    [
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    ]
)
_OF_CONTAINERS = frozenset({"cpu", "memory", "ephemeral-storage"})
_QOS = ("cpu", "memory")
_HUGEPAGES = "hugepages-"


def is_hugepages(name: str) -> bool:
    return name.startswith(_HUGEPAGES)


def is_pod_level(name: str) -> bool:
    """Whether a whole pod may have the resource."""
    return name in _QOS or is_hugepages(name)


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_overcommit_allowed(name: str) -> bool:
    return _is_native(name) and not is_hugepages(name)


@remembered
def is_extended(name: str) -> bool:
    """Whether the resource is a device plugin's, such as ``nvidia.com/gpu``."""
    if _is_native(name) or name.startswith("requests."):
        return False
    return not is_qualified_name(f"requests.{name}")


@remembered
def _is_integer(name: str) -> bool:
    return name in _INTEGER or is_extended(name)


def quantity_causes(path: str, name: str, text: str) -> list[Cause]:
    """ValidateResourceQuantityValue."""
    amount = nano(text)
    found = [invalid_value(path, text, NOT_NEGATIVE)] if amount < 0 else []
    if _is_integer(name) and -(-amount // (NANO // 1000)) % 1000:
        found.append(invalid_value(path, text, "must be an integer"))
    return found


@remembered
def _name_messages(name: str) -> tuple[str, ...]:
    """What is wrong with the name of a resource: validateResourceName."""
    found = is_qualified_name(name)
    if found:
        return found
    is_known = name in _STANDARD or is_hugepages(name) or name.startswith("requests.hugepages-")
    return () if "/" in name or is_known else ("must be a standard resource type or fully qualified",)


@remembered
def _container_name_messages(name: str) -> tuple[str, ...]:
    found = _name_messages(name)
    parts = name.split("/")
    if len(parts) == 1:
        if name not in _OF_CONTAINERS and not is_hugepages(name):
            found += ("must be a standard resource for containers",)
    elif not _is_native(name) and not is_extended(name):
        found += ("doesn't follow extended resource name standard",)
    return found


def _name_causes(path: str, name: str, *, is_pod: bool) -> list[Cause]:
    if not is_pod:
        return [invalid_value(path, name, one) for one in _container_name_messages(name)]
    found = [invalid_value(path, name, one) for one in _name_messages(name)]
    if not found and not is_pod_level(name):
        found.append(unsupported(path, name, ("cpu", _HUGEPAGES, "memory")))
    return found


def _hugepages_causes(path: str, name: str, text: str) -> list[Cause]:
    try:
        page = parse(name.removeprefix(_HUGEPAGES)).amount
    except QuantityError:
        page = 0
    if page > 0 and page % NANO == 0 and -(-nano(text) // NANO) % (page // NANO) == 0:
        return []
    return [invalid_value(path, text, f"{text} is not positive integer multiple of {name}")]


def resources_causes(
    resources: Mapping[str, Any] | None, claim_names: Iterable[str], path: str, *, is_pod: bool = False
) -> list[Cause]:
    """ValidateContainerResourceRequirements."""
    if not resources:
        return []
    found: list[Cause] = []
    limits: Mapping[str, str] = resources.get("limits") or {}
    requests: Mapping[str, str] = resources.get("requests") or {}
    for name, value in limits.items():
        found += _value_causes(f"{path}.limits[{name}]", name, value, is_pod=is_pod)
        if is_hugepages(name):
            found += _hugepages_causes(f"{path}.limits[{name}]", name, value)
    for name, value in requests.items():
        found += _value_causes(f"{path}.requests[{name}]", name, value, is_pod=is_pod)
        found += _against_limit(path, name, value, limits.get(name))
        if is_hugepages(name):
            found += _hugepages_causes(f"{path}.requests[{name}]", name, value)
    names = {*limits, *requests}
    if any(map(is_hugepages, names)) and not names & set(_QOS):
        found.append(forbidden_field(path, "HugePages require cpu or memory"))
    if resources.get("claims"):
        found += _claims_causes(resources["claims"], claim_names, f"{path}.claims")
    return found


def _value_causes(path: str, name: str, value: str, *, is_pod: bool) -> list[Cause]:
    return _name_causes(path, name, is_pod=is_pod) + quantity_causes(path, name, value)


def _against_limit(path: str, name: str, request: str, limit: str | None) -> list[Cause]:
    if limit is None:
        if is_overcommit_allowed(name):
            return []
        return [required(f"{path}.limits", "Limit must be set for non overcommitable resources")]
    amount, most = nano(request), nano(limit)
    if amount != most and not is_overcommit_allowed(name):
        return [invalid_value(f"{path}.requests", request, f"must be equal to {name} limit of {limit}")]
    if amount > most:
        text = f"must be less than or equal to {name} limit of {limit}"
        return [invalid_value(f"{path}.requests", request, text)]
    return []


def _claims_causes(claims: Iterable[Mapping[str, Any]], known: Iterable[str], path: str) -> list[Cause]:
    """validateResourceClaimNames: what a container takes of the pod's claims."""
    found: list[Cause] = []
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        name, request, at = claim.get("name", ""), claim.get("request", ""), f"{path}[{index}]"
        if not name:
            found.append(required(at))
            continue
        if name in seen:
            found.append(duplicate(at, name))
        else:
            key = f"{name}/{request}" if request else name
            if request:
                found += format_causes(f"{at}.request", request, is_dns_label)
            if key in seen:
                found.append(duplicate(at, key))
            elif not request:
                found += [duplicate(at, name) for one in seen if one.startswith(f"{name}/")]
            seen.add(key)
        if name not in known:
            listed = f": {', '.join(sorted(known))}" if known else " which is empty"
            text = f'Not found: "{name}": must be one of the names in pod.spec.resourceClaims{listed}'
            found.append(Cause("FieldValueNotFound", text, at))
    return found


def overhead_causes(overhead: Mapping[str, str], path: str) -> list[Cause]:
    return resources_causes({"limits": overhead}, (), path)


# --- whole pods -----------------------------------------------------------------------------------------------------


def _add(total: dict[str, Quantity], more: Mapping[str, str]) -> None:
    for name, text in more.items():
        value, old = parse(text), total.get(name)
        if old is None:
            total[name] = value
        else:  # a sum keeps the form of the first, unless that is zero
            total[name] = Quantity(old.amount + value.amount, old.form if old.amount else value.form)


def _maximum(total: dict[str, Quantity], other: Mapping[str, Quantity]) -> None:
    for name, value in other.items():
        if name not in total or value.amount > total[name].amount:
            total[name] = value


def aggregate(spec: Mapping[str, Any], key: str) -> dict[str, str]:
    """What all containers take together: containers and sidecars at once, each init container before them."""
    total: dict[str, Quantity] = {}
    for container in spec.get("containers") or ():
        _add(total, (container.get("resources") or {}).get(key) or {})
    sidecars: dict[str, Quantity] = {}
    most: dict[str, Quantity] = {}
    for container in spec.get("initContainers") or ():
        taken = (container.get("resources") or {}).get(key) or {}
        if container.get("restartPolicy") == "Always":
            _add(total, taken)
            _add(sidecars, taken)
            _maximum(most, sidecars)
        else:
            at_once: dict[str, Quantity] = {}
            _add(at_once, taken)
            _add(at_once, {name: text_of(value) for name, value in sidecars.items()})
            _maximum(most, at_once)
    _maximum(total, most)
    return {name: text_of(value) for name, value in total.items()}


def pod_resources_causes(spec: Mapping[str, Any], claim_names: Iterable[str], path: str) -> list[Cause]:
    """validatePodResources: resources of the pod as a whole."""
    resources = spec.get("resources")
    if resources is None:
        return []
    at = f"{path}.resources"
    if (spec.get("os") or {}).get("name") == "windows":
        return [forbidden_field(at, "may not be set for a windows pod")]
    found: list[Cause] = []
    if resources.get("claims"):
        found.append(forbidden_field(f"{at}.claims", "claims may not be set for Resources at pod-level"))
    found += resources_causes(resources, claim_names, at, is_pod=True)
    return found + _consistency_causes(spec, resources, at)


def _consistency_causes(spec: Mapping[str, Any], resources: Mapping[str, Any], at: str) -> list[Cause]:
    """The pod has at least what its containers have."""
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    found: list[Cause] = []
    for name, text in aggregate(spec, "requests").items():
        if name in requests and nano(text) > nano(requests[name]):
            why = f"must be greater than or equal to aggregate container requests of {text}"
            found.append(invalid_value(f"{at}.requests[{name}]", requests[name], why))
    for name, text in aggregate(spec, "limits").items():
        if is_hugepages(name) and name in limits and nano(text) > nano(limits[name]):
            why = f"must be greater than or equal to aggregate container limits of {text}"
            found.append(invalid_value(f"{at}.limits[{name}]", limits[name], why))
    for index, container in enumerate(spec.get("containers") or ()):
        for name, text in ((container.get("resources") or {}).get("limits") or {}).items():
            if name in limits and nano(text) > nano(limits[name]):
                why = f"must be less than or equal to pod limits of {limits[name]}"
                found.append(invalid_value(f"{at}.containers[{index}][{name}].limits", text, why))
    return found


def qos_class(pod: Object) -> str:
    """ComputePodQOS: ``Guaranteed``, ``Burstable`` or ``BestEffort``."""
    spec = pod.get("spec") or {}
    whole = spec.get("resources")
    takers = [{"resources": whole}] if whole is not None else _containers(spec)
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    is_guaranteed = True
    for container in takers:
        resources = container.get("resources") or {}
        _add_positive(requests, resources.get("requests"))
        limited = _add_positive(limits, resources.get("limits"))
        if limited < len(_QOS) and (whole is None or whole.get("limits")):
            is_guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if is_guaranteed and requests == limits else "Burstable"


def _containers(spec: Mapping[str, Any]) -> list[Object]:
    return [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]


def _add_positive(total: dict[str, int], more: Mapping[str, str] | None) -> int:
    count = 0
    if more:
        for name in _QOS:
            amount = nano(more[name]) if name in more else 0
            if amount > 0:
                total[name] = total.get(name, 0) + amount
                count += 1
    return count
