"""KEDA's HTTP add-on: its routes are ready at once, and an HTTPScaledObject keeps a ScaledObject.

Source: kedacore/http-add-on operator/controllers/http/{interceptorroute_controller,httpscaledobject_controller,scaled_object}.go.
Requests are held by the lab's own interceptor (`listeners`).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.platform.conditions import set_condition
from stoker.lab.platform.owned import ensure
from stoker.lab.store import Change

__all__ = ["HttpScaledObjects", "InterceptorRoutes"]

Object = dict[str, Any]

_SCALER = "keda-add-ons-http-external-scaler.keda:9090"


class InterceptorRoutes:
    """Says that a route is ready."""

    name = "http-interceptorroute"
    shelves: Sequence[str] = ("interceptorroutes.http.keda.sh",)

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        return [(change.key.namespace, change.key.name)]

    def reconcile(self, target: Target) -> float | None:
        route = self._local.get("http.keda.sh/v1beta1", "InterceptorRoute", *target)
        if route is None or route["metadata"].get("deletionTimestamp"):
            return None
        set_condition(
            route.setdefault("status", {}).setdefault("conditions", []), "Ready", "True", "Reconciled",
            "InterceptorRoute reconciled", now=self._local.cluster.now(),
            generation=int(route["metadata"].get("generation") or 0),
        )  # fmt: skip
        self._local.update_status(route)
        return None


class HttpScaledObjects:
    """Keeps the ScaledObject of an HTTPScaledObject."""

    name = "http-httpscaledobject"
    shelves: Sequence[str] = ("httpscaledobjects.http.keda.sh",)

    def __init__(self, local: Local) -> None:
        self._local = local

    def targets(self, change: Change) -> Iterable[Target]:
        return [(change.key.namespace, change.key.name)]

    def reconcile(self, target: Target) -> float | None:
        obj = self._local.get("http.keda.sh/v1alpha1", "HTTPScaledObject", *target)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        spec, name = obj["spec"], obj["metadata"]["name"]
        reference, replicas = spec.get("scaleTargetRef") or {}, spec.get("replicas") or {}
        wanted: Object = {
            "scaleTargetRef": {
                "apiVersion": reference.get("apiVersion") or "apps/v1",
                "kind": reference.get("kind") or "Deployment",
                "name": reference.get("name") or name,
            },
            "pollingInterval": 15,
            "cooldownPeriod": 300 if spec.get("scaledownPeriod") is None else spec["scaledownPeriod"],
            "minReplicaCount": int(replicas.get("min") or 0),
            "maxReplicaCount": int(replicas.get("max") or 100),
            "advanced": {"restoreToOriginalReplicaCount": True},
            "triggers": [
                {"type": "external-push", "metadata": {"scalerAddress": _SCALER, "httpScaledObject": name}}
            ],
        }
        metadata = {"name": name, "namespace": obj["metadata"]["namespace"]}
        ensure(
            self._local, obj,
            {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": wanted},
        )  # fmt: skip
        status = obj.setdefault("status", {})
        status["targetWorkload"] = "{apiVersion}/{kind}/{name}".format(**wanted["scaleTargetRef"])
        status["targetService"] = (
            f"{reference.get('service') or ''}:{reference.get('port') or reference.get('portName') or ''}"
        )
        set_condition(
            status.setdefault("conditions", []), "Ready", "True", "Reconciled",
            "ScaledObject created and configured", now=self._local.cluster.now(),
        )  # fmt: skip
        self._local.update_status(obj)
        return None
