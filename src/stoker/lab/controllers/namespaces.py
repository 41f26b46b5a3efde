"""Namespaces: what a new one has, and how one goes.

Sources: kubernetes pkg/controller/serviceaccount/serviceaccounts_controller.go,
pkg/controller/certificates/rootcacertpublisher/publisher.go,
pkg/controller/namespace/deletion/{namespaced_resources_deleter.go,status_condition_utils.go}.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stoker.lab.api.served import Kind
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.objects import Object, is_terminal, moment
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["CA_FACT", "Namespaces", "Remains", "namespace_conditions", "prepare_namespace"]

CA_FACT = "ca.crt"
_FINALIZER = "kubernetes"
_SHELF = "namespaces"
# What comes back when somebody deletes it.
_OWN = {("serviceaccounts", "default"), ("configmaps", "kube-root-ca.crt")}
# namespaceDeletionGracePeriod: others hear of the deletion before its content goes.
_GRACE_S = 5.0
# finalizerEstimateSeconds: how long finalizers are given before the content is looked at again.
_FINALIZERS_S = 15.0
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)
# In the order in which they are written: type, and reason and message where nothing is wrong.
_CONDITIONS = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


# --- a new namespace ----------------------------------------------------------------------------------------------


def prepare_namespace(local: Local, name: str) -> None:
    """Give a namespace its service account ``default`` and the certificate that its pods trust, where it has none.

    Args:
        local: of any component; what is made belongs to kube-controller-manager.
        name: of the namespace.
    """
    writer = Local(local.cluster, "kube-controller-manager")
    certificate = local.cluster.fact(CA_FACT) or ""
    wanted: tuple[Object, ...] = (
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": name},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "kube-root-ca.crt",
                "namespace": name,
                "annotations": {"kubernetes.io/description": _DESCRIPTION},
            },
            "data": {"ca.crt": certificate},
        },
    )
    for obj in wanted:
        if writer.get("v1", obj["kind"], name, obj["metadata"]["name"]) is not None:
            continue
        try:
            writer.create(obj)
        except ApiError as error:
            # A namespace that is going, or gone, needs nothing.
            if error.reason not in {"Forbidden", "NotFound", "AlreadyExists"}:
                raise


# --- decisions ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Remains:
    """What is left in a namespace: objects by ``plural.group``, finalizers that hold them, deletions that failed."""

    resources: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


def namespace_conditions(before: Iterable[Object], remains: Remains, at: str) -> list[Object]:
    """The conditions of a namespace that is going (namespaceConditionUpdater)."""
    wrong: dict[str, tuple[str, str]] = {}
    if remains.errors:
        wrong["NamespaceDeletionContentFailure"] = (
            "ContentDeletionFailed",
            f"Failed to delete all resource types, {len(remains.errors)} remaining: {', '.join(sorted(remains.errors))}",
        )
    if remains.resources:
        told = sorted(f"{name} has {count} resource instances" for name, count in remains.resources.items())
        text = f"Some resources are remaining: {', '.join(told)}"
        wrong["NamespaceContentRemaining"] = ("SomeResourcesRemain", text)
    if remains.finalizers:
        told = sorted(f"{name} in {count} resource instances" for name, count in remains.finalizers.items())
        text = f"Some content in the namespace has finalizers remaining: {', '.join(told)}"
        wrong["NamespaceFinalizersRemaining"] = ("SomeFinalizersRemain", text)
    found = [dict(one) for one in before]
    for kind, fine in _CONDITIONS.items():
        reason, message = wrong.get(kind, fine)
        status = "True" if kind in wrong else "False"
        new = {
            "type": kind,
            "status": status,
            "lastTransitionTime": at,
            "reason": reason,
            "message": message,
        }
        old = next((one for one in found if one["type"] == kind), None)
        if old is None:
            found.append(new)
            continue
        if old["status"] == status:
            new["lastTransitionTime"] = old["lastTransitionTime"]
        old.update(new)
    return found


# --- the controller -----------------------------------------------------------------------------------------------


class Namespaces:
    """Empties namespaces that are being deleted, then lets them go."""

    name = "namespace"

    def __init__(self, local: Local) -> None:
        self._local = local
        self._going: set[str] = set()
        # Namespaces, and every kind that lives in them.
        self.shelves: Sequence[str] = (_SHELF, *sorted({kind.shelf for kind in self._content()}))

    def _content(self) -> list[Kind]:
        return [kind for kind in self._local.cluster.served.stored() if kind.resource.namespaced]

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == _SHELF:
            return [("", change.key.name)]
        if change.is_delete and (change.key.resource, change.key.name) in _OWN:
            return [("", change.key.namespace)]
        # Content that goes may have been the last.
        return [("", change.key.namespace)] if change.key.namespace in self._going else []

    def reconcile(self, target: Target) -> float | None:
        name = target[1]
        namespace = self._local.get("v1", "Namespace", "", name)
        if namespace is None:
            self._going.discard(name)
            return None
        if not namespace["metadata"].get("deletionTimestamp"):
            prepare_namespace(self._local, name)
            return None
        self._going.add(name)
        if not (namespace.get("spec") or {}).get("finalizers"):
            return None
        since = moment(namespace["metadata"]["deletionTimestamp"])
        left = _GRACE_S - (self._local.cluster.clock() - since).total_seconds()
        if left > 0:
            return left
        remains, wait = self._empty(name, since)
        namespace = self._report(namespace, remains)
        if wait:
            return wait / 2 + 1
        if remains.errors or remains.resources:
            return 1.0
        self._finalize(namespace)
        return None

    def _report(self, namespace: Object, remains: Remains) -> Object:
        status = namespace.setdefault("status", {})
        before = list(status.get("conditions") or ())
        conditions = namespace_conditions(before, remains, self._local.cluster.now())
        if conditions == before and status.get("phase") == "Terminating":
            return namespace
        status.update(phase="Terminating", conditions=conditions)
        return self._local.update_status(namespace)

    def _empty(self, name: str, since: datetime) -> tuple[Remains, float]:
        """Delete everything in a namespace; what is left, and seconds that it may take."""
        remains, wait = Remains(), 0.0
        pods_wait = self._pods_wait(name, since)
        for kind in self._content():
            if "delete" not in kind.resource.verbs:
                continue
            if kind.resource.qualified == "pods":
                self._delete_all(kind, name, remains)
                wait = max(wait, pods_wait if remains.resources["pods."] else 0.0)
            else:
                self._delete_all(kind, name, remains)
        remains.resources = +remains.resources
        if remains.finalizers:
            wait = max(wait, _FINALIZERS_S)
        return remains, wait

    def _delete_all(self, kind: Kind, name: str, remains: Remains) -> None:
        resource = kind.resource
        for obj in list(self._local.list(resource.api_version, resource.kind, name)):
            try:
                self._local.delete(obj, propagationPolicy="Background")
            except ApiError as error:
                remains.errors.append(error.message)
        for obj in self._local.list(resource.api_version, resource.kind, name):
            remains.resources[f"{resource.plural}.{resource.group}"] += 1
            remains.finalizers.update(obj["metadata"].get("finalizers") or ())

    def _pods_wait(self, name: str, since: datetime) -> float:
        """The longest grace of a pod that runs; none where the namespace has been going for longer than that."""
        grace = max(
            (
                float(pod["spec"].get("terminationGracePeriodSeconds") or 0)
                for pod in self._local.list("v1", "Pod", name)
                if not is_terminal(pod)
            ),
            default=0.0,
        )
        passed = (self._local.cluster.clock() - since).total_seconds()
        return 0.0 if passed >= grace else grace

    def _finalize(self, namespace: Object) -> None:
        spec = namespace["spec"]
        spec["finalizers"] = [one for one in spec.get("finalizers") or () if one != _FINALIZER]
        self._local.update(namespace, "finalize")
