"""What objects count for in quotas: which names a quota can count them under, and how much of each.

Sources: pkg/quota/v1/evaluator/core/*.go, staging/src/k8s.io/apiserver/pkg/quota/v1/{resources.go,generic/evaluator.go}.
The amounts come from `twin.admission`; here they get what only stored objects have: status, deletion, subresources.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from stoker.lab.admission.storage_classes import class_of
from stoker.lab.api.cluster import Cluster
from stoker.lab.kinds.strategy import Object
from stoker.twin.admission.amounts import NOTHING, ONE, Amount, Amounts, add, amounts_of
from stoker.twin.admission.quota import covers, pod_usage, scopes_of
from stoker.twin.admission.things import usage_of

__all__ = ["PODS", "amount_texts", "counted_names", "in_scope", "is_counted", "recalculate", "usage"]

PODS = "pods"
_CLAIMS = "persistentvolumeclaims"
_DEVICES = "resourceclaims.resource.k8s.io"
_ALIASES = frozenset(("configmaps", "replicationcontrollers", "resourcequotas", "secrets"))
_IGNORED = frozenset(("bindings", "events", "events.events.k8s.io", "componentstatuses"))
_POD_NAMES = frozenset(
    ("count/pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
     "limits.cpu", "limits.memory", "limits.ephemeral-storage", "pods")
)  # fmt: skip
_SERVICE_NAMES = frozenset(("count/services", "services", "services.nodeports", "services.loadbalancers"))
_CLAIM_NAMES = (_CLAIMS, "requests.storage")
_BY_CLASS = ".storageclass.storage.k8s.io/"
_BY_DEVICE = ".deviceclass.resource.k8s.io/devices"
_IMPLICIT = "requests.deviceclass.resource.kubernetes.io/"
_EXTENDED_CLAIM = "resource.kubernetes.io/extended-resource-claim"
_ATTRIBUTES = "VolumeAttributesClass"


def is_counted(resource: str) -> bool:
    """Whether quotas count objects of a resource at all (pkg/quota/v1/install/registry.go)."""
    return resource not in _IGNORED


# --- names --------------------------------------------------------------------------------------------------------


def counted_names(cluster: Cluster, resource: str, hard: Iterable[str]) -> list[str]:
    """Those names of a quota under which objects of a resource are counted, sorted."""
    counts: Callable[[str], bool]
    if resource == PODS:
        counts = _counts_pods
    elif resource == "services":
        counts = _SERVICE_NAMES.__contains__
    elif resource == _CLAIMS:
        counts = _counts_claims
    elif resource == _DEVICES:
        mapped = _extended_resources(cluster)
        counts = lambda name: _counts_devices(name, mapped)  # noqa: E731  # one of five, all of one shape
    else:
        names = {f"count/{resource}"} | ({resource} if resource in _ALIASES else set())
        counts = names.__contains__
    return sorted(name for name in hard if counts(name))


def _counts_pods(name: str) -> bool:
    return name in _POD_NAMES or name.startswith(("hugepages-", "requests.hugepages-")) or _is_extended(name)


def _is_extended(name: str) -> bool:
    """Requests of a resource that is not Kubernetes' own (core/pods.go isExtendedResourceNameForQuota)."""
    return name.startswith(_IMPLICIT) or (
        name.startswith("requests.") and "/" in name and "kubernetes.io/" not in name
    )


def _counts_claims(name: str) -> bool:
    return name in {f"count/{_CLAIMS}", *_CLAIM_NAMES} or any(
        name.endswith(_BY_CLASS + one) for one in _CLAIM_NAMES
    )


def _counts_devices(name: str, mapped: dict[str, str]) -> bool:
    if name == f"count/{_DEVICES}" or name.endswith(_BY_DEVICE):
        return True
    if name.startswith(_IMPLICIT):
        return bool(mapped.get(name.removeprefix(_IMPLICIT)))
    return _is_extended(name) and name.removeprefix("requests.") in mapped.values()


def _extended_resources(cluster: Cluster) -> dict[str, str]:
    """By device class the extended resource that stands for it."""
    return {
        item["metadata"]["name"]: str(item["spec"]["extendedResourceName"])
        for item in cluster.objects("deviceclasses.resource.k8s.io")
        if (item.get("spec") or {}).get("extendedResourceName")
    }


# --- amounts ------------------------------------------------------------------------------------------------------


def usage(cluster: Cluster, resource: str, obj: Object) -> Amounts:
    """Everything that an object counts for, under every name that a quota can use for it."""
    if resource == PODS:
        return _pod(obj, cluster.clock())
    if resource == "services":
        return usage_of({**obj, "kind": "Service", "apiVersion": "v1"})
    if resource == _CLAIMS:
        return _claim(obj)
    if resource == _DEVICES:
        return _device_claim(cluster, obj)
    found: Amounts = {f"count/{resource}": ONE}
    if resource in _ALIASES:
        found[resource] = ONE
    return found


def _pod(pod: Object, now: datetime) -> Amounts:
    if _is_over(pod, now):
        return {"count/pods": ONE}
    return pod_usage(pod.get("spec") or {})


def _is_over(pod: Object, now: datetime) -> bool:
    """Whether a pod has ended, or should be long gone (core/pods.go QuotaV1Pod)."""
    if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return True
    metadata = pod["metadata"]
    since, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    if not since or grace is None:
        return False
    return now > datetime.fromisoformat(since).astimezone(UTC) + timedelta(seconds=int(grace))


def _claim(claim: Object) -> Amounts:
    spec: dict[str, Any] = claim.get("spec") or {}
    storage = amounts_of((spec.get("resources") or {}).get("requests")).get("storage")
    allocated = amounts_of((claim.get("status") or {}).get("allocatedResources")).get("storage")
    if storage is not None and allocated is not None and allocated > storage:
        storage = allocated
    requests = {} if storage is None else {"storage": str(storage)}
    return usage_of(
        {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "spec": {"storageClassName": class_of(claim), "resources": {"requests": requests}},
        }
    )


def _device_claim(cluster: Cluster, claim: Object) -> Amounts:
    """Devices by class, and the extended resources that the classes stand for (resource_claims.go addExtendedResourceQuota)."""
    found = usage_of({**claim, "kind": "ResourceClaim", "apiVersion": "resource.k8s.io/v1"})
    mapped = _extended_resources(cluster)
    extended: Amounts = {}
    for name, amount in found.items():
        if not name.endswith(_BY_DEVICE):
            continue
        device_class = name.removesuffix(_BY_DEVICE)
        extended[_IMPLICIT + device_class] = amount
        if mapped.get(device_class):
            extended[f"requests.{mapped[device_class]}"] = amount
    of_pod = _usage_of_owner(cluster, claim)
    for name, amount in extended.items():
        left = amount - of_pod.get(name, NOTHING)
        if left.value > 0:
            found[name] = left
    return found


def _usage_of_owner(cluster: Cluster, claim: Object) -> Amounts:
    """What the pod counts for that a claim was made for because of its extended resources: it is not counted twice."""
    metadata = claim["metadata"]
    if (metadata.get("annotations") or {}).get(_EXTENDED_CLAIM) != "true":
        return {}
    owner = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), None)
    if owner is None or (owner.get("kind"), owner.get("apiVersion")) != ("Pod", "v1"):
        return {}
    pod = cluster.get(PODS, metadata.get("namespace", ""), owner["name"])
    if pod is None or pod["metadata"]["uid"] != owner.get("uid"):
        return {}
    named = ((pod.get("status") or {}).get("extendedResourceClaimStatus") or {}).get("resourceClaimName")
    return _pod(pod, cluster.clock()) if named in {None, metadata["name"]} else {}


# --- scopes -------------------------------------------------------------------------------------------------------


def in_scope(quota: Object, resource: str, obj: Object) -> bool:
    """Whether an object falls under the quota's scopes. Only pods and claims can fall under any."""
    if resource == PODS:
        return covers(quota, obj.get("spec") or {})
    scopes = scopes_of(quota)
    return not scopes or (resource == _CLAIMS and all(_has_attributes(dict(scope), obj) for scope in scopes))


def _has_attributes(scope: Object, claim: Object) -> bool:
    """Whether a claim is of the volume attributes classes that a scope names (pvcMatchesScopeFunc)."""
    if scope["scopeName"] != _ATTRIBUTES:
        return False
    spec, status = claim.get("spec") or {}, claim.get("status") or {}
    names = {
        spec.get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    } - {None, ""}
    operator, values = scope.get("operator"), scope.get("values") or ()
    if operator == "Exists":
        return bool(names)
    if operator == "In":
        return any(name in values for name in names)
    if operator == "NotIn":
        return not names or any(name not in values for name in names)
    return not names


# --- a quota as a whole ---------------------------------------------------------------------------------------------


def recalculate(cluster: Cluster, quota: Object) -> Object:
    """The status of a quota as the quota controller computes it: counts everything that is there now.

    Source: pkg/controller/resourcequota/resource_quota_controller.go syncResourceQuota. What nobody can count keeps the
    value that it has.
    """
    hard = (quota.get("spec") or {}).get("hard") or {}
    used = amounts_of((quota.get("status") or {}).get("used"))
    totals: Amounts = {}
    for resource in _resources(cluster, hard):
        names = counted_names(cluster, resource, hard)
        if not names:
            continue
        for name in names:
            totals.setdefault(name, NOTHING)
        for amounts in _usages(cluster, resource, quota):
            add(totals, {name: amounts[name] for name in names if name in amounts})
    used |= totals
    status: Object = {}
    if hard:
        status["hard"] = dict(sorted(hard.items()))
    told = {name: str(used[name]) for name in sorted(hard) if name in used}
    if told:
        status["used"] = told
    return status


def _resources(cluster: Cluster, hard: Iterable[str]) -> list[str]:
    """The resources whose objects a quota may count."""
    found = [PODS, "services", _CLAIMS, _DEVICES, *sorted(_ALIASES)]
    counted = {name.removeprefix("count/") for name in hard if name.startswith("count/")} - {*found}
    if not counted:
        return found
    served = {
        kind.resource.qualified
        for kind in cluster.served
        if kind.resource.namespaced and kind.resource.is_stored and is_counted(kind.resource.qualified)
    }
    return found + sorted(counted & served)


def _usages(cluster: Cluster, resource: str, quota: Object) -> Iterable[Amounts]:
    namespace = quota["metadata"]["namespace"]
    if resource not in {PODS, "services", _CLAIMS, _DEVICES}:
        if scopes_of(quota):
            return ()
        one = usage(cluster, resource, {})
        return (one for _ in cluster.store.scan(resource, namespace))
    return (
        usage(cluster, resource, obj)
        for obj in cluster.objects(resource, namespace)
        if in_scope(quota, resource, obj)
    )


def amount_texts(amounts: dict[str, Amount]) -> dict[str, str]:
    """Amounts as a quota's status writes them."""
    return {name: str(amounts[name]) for name in sorted(amounts)}
