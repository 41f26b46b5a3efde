"""ResourceQuota: what a namespace may have altogether.

Source: staging/src/k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go. A write is weighed against the status
that the quota has, and raises it. Where the real server raises it before the write and the controller repairs it if the
write fails, here it is raised when the store has the object: one process does both, and nothing can come between.
"""

from stoker.lab.admission.requests import refusal
from stoker.lab.admission.usage import (
    PODS,
    amount_texts,
    counted_names,
    in_scope,
    is_counted,
    recalculate,
    usage,
)
from stoker.lab.api.cluster import Cluster, Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.lab.merge.apply import track_update
from stoker.lab.store import Key
from stoker.twin.admission.amounts import NOTHING, Amounts, amounts_of
from stoker.twin.admission.quota import exceeded, unspecified

__all__ = ["RESOURCE_QUOTA", "refresh", "write_status"]

_SHELF = "resourcequotas"
_CONTROLLER = "kube-controller-manager"
_SERVER = "kube-apiserver"
# Beside creations: what an update can change the count of.
_UPDATED = frozenset(("services", "persistentvolumeclaims", "resourceclaims.resource.k8s.io"))


def _validate(review: Review) -> None:
    resource = review.kind.resource
    if not review.namespace or not resource.namespaced or not is_counted(resource.qualified):
        return
    if _handles(review):
        quotas = list(review.cluster.objects(_SHELF, review.namespace))
        if quotas:
            _charge(review, quotas)
    if resource.qualified == _SHELF and not review.subresource and not review.is_dry_run:
        _follow(review)


def _handles(review: Review) -> bool:
    """Whether a write can change what is counted (Evaluator.Handles)."""
    name = review.kind.resource.qualified
    if review.subresource:
        return review.operation == "UPDATE" and (
            (name == PODS and review.subresource == "resize")
            or (name == "persistentvolumeclaims" and review.subresource == "status")
        )
    if review.operation == "UPDATE" and review.old is not None:
        return name in _UPDATED or (name == PODS and _is_bounded(review.obj) != _is_bounded(review.old))
    return review.operation == "CREATE"


def _is_bounded(pod: Object) -> bool:
    return int((pod.get("spec") or {}).get("activeDeadlineSeconds", -1)) >= 0


def _charge(review: Review, quotas: list[Object]) -> None:
    cluster, resource = review.cluster, review.kind.resource.qualified
    pertinent = [quota for quota in quotas if _is_pertinent(review, quota)]
    if not pertinent:
        return
    whole = usage(cluster, resource, review.obj)
    more = whole if review.old is None else _difference(whole, usage(cluster, resource, review.old))
    for quota in pertinent:
        # An object that enters the quota's scope by this update counts whole.
        was_in = review.old is None or in_scope(quota, resource, review.old)
        _raise(review, quota, more if was_in else whole)


def _difference(after: Amounts, before: Amounts) -> Amounts:
    """What was added; what became less is left to the controller (SubtractWithNonNegativeResult)."""
    found = {name: value - before.get(name, NOTHING) for name, value in after.items()}
    return {name: value for name, value in found.items() if value.value > 0}


def _is_pertinent(review: Review, quota: Object) -> bool:
    """Whether a quota counts the object.

    Raises:
        ApiError: it does, and the object does not state what it must, or nobody knows how much is used.
    """
    resource = review.kind.resource.qualified
    status = quota.get("status") or {}
    names = counted_names(review.cluster, resource, status.get("hard") or ())
    if not names or not in_scope(quota, resource, review.obj):
        return False
    if resource == PODS:
        refused = unspecified(_as_spec(quota), review.obj.get("spec") or {})
        if refused:
            raise refusal(review, refused)
    if any(name not in (status.get("used") or {}) for name in names):
        raise refusal(
            review, f"status unknown for quota: {quota['metadata']['name']}, resources: {','.join(names)}"
        )
    return True


def _as_spec(quota: Object) -> Object:
    """The quota with the limits that are in force, which are those of its status."""
    return {"metadata": quota["metadata"], "spec": {"hard": (quota.get("status") or {}).get("hard") or {}}}


def _raise(review: Review, quota: Object, more: Amounts) -> None:
    hard = quota["status"]["hard"]
    wanted = {name: value for name, value in more.items() if name in hard and value}
    if not wanted:
        return
    used = amounts_of(quota["status"].get("used"))
    if review.subresource != "status":
        refused = exceeded(_as_spec(quota), used, wanted)
        if refused:
            raise refusal(review, refused)
    if review.is_dry_run:
        return
    name = quota["metadata"]["name"]
    review.on_success.append(lambda: _add(review.cluster, review.namespace, name, wanted))


def _add(cluster: Cluster, namespace: str, name: str, wanted: Amounts) -> None:
    quota = cluster.get(_SHELF, namespace, name)
    if quota is None:
        return
    status = quota.get("status") or {}
    used = amounts_of(status.get("used"))
    for key, value in wanted.items():
        used[key] = used.get(key, NOTHING) + value
    write_status(cluster, quota, {**status, "used": amount_texts(used)}, _SERVER)


# --- quotas themselves --------------------------------------------------------------------------------------------


def _follow(review: Review) -> None:
    """Count for a quota that is new or has other limits: at once, where the real controller does a moment later."""
    if review.operation == "DELETE":
        return
    if review.old is not None and _hard(review.old) == _hard(review.obj):
        return
    name = review.obj["metadata"].get("name") or review.name

    def count() -> None:
        refresh(review.cluster, review.namespace, name)

    review.on_success.append(count)


def _hard(quota: Object) -> Object:
    found: Object = (quota.get("spec") or {}).get("hard") or {}
    return found


def refresh(cluster: Cluster, namespace: str, name: str) -> bool:
    """Count what a quota has in use and write it where it differs; whether it did. A missing quota is no error."""
    quota = cluster.get(_SHELF, namespace, name)
    if quota is None:
        return False
    status = recalculate(cluster, quota)
    before = quota.get("status") or {}
    if all(amounts_of(status.get(field)) == amounts_of(before.get(field)) for field in ("hard", "used")):
        return False
    write_status(cluster, quota, status, _CONTROLLER)
    return True


def write_status(cluster: Cluster, quota: Object, status: Object, manager: str) -> None:
    """Store a quota with a new status that belongs to ``manager``."""
    kind = cluster.served.find("", "v1", _SHELF)
    if kind is None:
        raise KeyError(_SHELF)
    new = {**quota, "metadata": dict(quota["metadata"]), "status": status}
    new["metadata"]["managedFields"] = track_update(
        quota, new, kind.node, manager, "v1", now=cluster.now(), subresource="status"
    )
    cluster.store.put(Key(_SHELF, quota["metadata"]["namespace"], quota["metadata"]["name"]), new)


RESOURCE_QUOTA = Plugin("ResourceQuota", validate=_validate)
