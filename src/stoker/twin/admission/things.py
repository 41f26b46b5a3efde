"""What objects other than pods count for in quotas.

Sources: kubernetes 1.36 pkg/quota/v1/evaluator/core/{persistent_volume_claims,services,resource_claims}.go and
staging/src/k8s.io/apiserver/pkg/quota/v1/generic/evaluator.go.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from stoker.twin.admission.amounts import ONE, Amount, Amounts, add, amounts_of

__all__ = ["resource_of", "usage_of"]

Object = Mapping[str, Any]

# Kinds that are counted under their plain name as well.
_PLAIN: Final = frozenset(
    (
        "configmaps",
        "persistentvolumeclaims",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "services",
    )
)
_MOST_DEVICES: Final = 32  # AllocationResultsMaxSize: what a request for all devices counts for


def resource_of(item: Object) -> str:
    """``deployments.apps``: the resource that quotas and refusals call an object by."""
    kind = str(item["kind"]).lower()
    plural = (
        kind + "es"
        if kind.endswith(("s", "x", "ch"))
        else kind[:-1] + "ies"
        if kind.endswith("y")
        else kind + "s"
    )
    group, slash, _ = str(item.get("apiVersion") or "").partition("/")
    return f"{plural}.{group}" if slash else plural


def usage_of(item: Object) -> Amounts:
    """Everything that an object counts for, under every name that a quota can use for it."""
    resource = resource_of(item)
    found: Amounts = {f"count/{resource}": ONE}
    if resource in _PLAIN:
        found[resource] = ONE
    if resource == "services":
        found |= _service(item.get("spec") or {})
    elif resource == "persistentvolumeclaims":
        found |= _claim(item.get("spec") or {})
    elif resource == "resourceclaims.resource.k8s.io":
        found |= _devices(item.get("spec") or {})
    return found


def _service(spec: Object) -> Amounts:
    ports = spec.get("ports") or ()
    balanced = spec.get("type") == "LoadBalancer"
    if spec.get("type") not in {"NodePort", "LoadBalancer"}:
        return {}
    if balanced and spec.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    found = {"services.nodeports": Amount(Decimal(len(ports)))}
    return {**found, "services.loadbalancers": ONE} if balanced else found


def _claim(spec: Object) -> Amounts:
    name = spec.get("storageClassName")
    storage = amounts_of((spec.get("resources") or {}).get("requests")).get("storage")
    found: Amounts = {}
    if storage is not None:
        found["requests.storage"] = Amount(-(-storage.value // 1), storage.binary)
    if name:
        suffix = f"{name}.storageclass.storage.k8s.io"
        found |= {f"{suffix}/{key}": value for key, value in found.items()}
        found[f"{suffix}/persistentvolumeclaims"] = ONE
    return found


def _devices(spec: Object) -> Amounts:
    total: Amounts = {}
    for request in (spec.get("devices") or {}).get("requests") or ():
        # Of alternatives the worst case is counted, class by class.
        worst: dict[str, int] = {}
        for one in request.get("firstAvailable") or [request.get("exactly") or request]:
            count = _MOST_DEVICES if one.get("allocationMode") == "All" else int(one.get("count") or 1)
            name = str(one.get("deviceClassName") or "")
            worst[name] = max(worst.get(name, 0), count)
        # Under the name that a pod's request for the class would have, too.
        implicit = {
            f"requests.deviceclass.resource.kubernetes.io/{n}": Amount(Decimal(c)) for n, c in worst.items()
        }
        add(total, implicit)
        add(
            total,
            {f"{name}.deviceclass.resource.k8s.io/devices": Amount(Decimal(n)) for name, n in worst.items()},
        )
    return total
