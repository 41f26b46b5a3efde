"""Objects around the models that no part of the document speaks of."""

from typing import Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.names import managed
from stoker.adopt.tenants import Namespaces
from stoker.audit.view.view import View
from stoker.kube.snapshot import owners

__all__ = ["tell_what_is_left"]

_OWN: Final = "Stoker makes its own from the platform file"
# Kinds whose part Stoker plays by itself, and kinds that it does not touch.
_KINDS: Final = {
    "Service": f"{_OWN}: clients that use this address need the new one",
    "Ingress.networking.k8s.io": "the platform file has a Gateway, no Ingress: keep it, or move clients to the gateway",
    "HTTPRoute.gateway.networking.k8s.io": _OWN,
    "InferencePool.inference.networking.k8s.io": _OWN,
    "InferencePool.inference.networking.x-k8s.io": _OWN,
    "PodDisruptionBudget.policy": _OWN,
    "PodMonitor.monitoring.coreos.com": _OWN,
    "ServiceMonitor.monitoring.coreos.com": _OWN,
    "NetworkPolicy.networking.k8s.io": f"{_OWN}: only callers from whole namespaces are carried over",
    "LocalModelCache.serving.kserve.io": _OWN,
    "ScaledObject.keda.sh": "it scales nothing that is carried over",
    "HorizontalPodAutoscaler.autoscaling": "it scales nothing that is carried over",
    "HTTPScaledObject.http.keda.sh": "it scales nothing that is carried over",
    "ConfigMap": "it stays as it is: the platform file holds no configuration of others",
    "PersistentVolumeClaim": "it stays as it is: models refer to claims by pvc://",
}


def tell_what_is_left(view: View, namespaces: Namespaces, ledger: Ledger) -> None:
    """A note for each workload and each object of the tenants' namespaces that is not in the document."""
    for workload in view.workloads:
        item = workload.item
        if ledger.used(item) or managed(item) or workload.template or item.kind == "Pod":
            continue
        if workload.uses_gpu:
            ledger.note(
                item,
                workload.path,
                f"a GPU workload that serves no known model is not carried over: it takes {workload.gpu_count} GPUs a pod of its pool",
            )
        elif item.namespace in namespaces.names:
            ledger.note(item, (), "it serves no model and stays as it is")
    for resource, message in _KINDS.items():
        for item in view.of(resource):
            inside = item.namespace in namespaces.names
            if (
                inside
                and not ledger.used(item)
                and not managed(item)
                and not owners(item)
                and item.name != "kube-root-ca.crt"
            ):
                ledger.note(item, (), message)
    for unread in view.snapshot.unread:
        if not unread.harmless:
            ledger.note_text(unread.what, unread.line, f"was not read: {unread.reason}")
