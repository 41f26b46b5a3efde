"""Knative's pod autoscaler: every two seconds the open requests of a revision, and the replicas that follow.

Sources: knative/serving v1.23 pkg/reconciler/autoscaling/kpa/{kpa,scaler}.go. The algorithm is the twin's
(`stoker.twin.autoscaler.knative`). Requests are those of the revision that the lab's ingress holds or waits for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from stoker.errors import StokerError
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.platform.conditions import set_knative, summarise
from stoker.lab.platform.knative_routes import revision_rule, routes_to
from stoker.lab.platform.owned import mentions
from stoker.lab.platform.scales import Place, write_replicas
from stoker.lab.platform.signals import Signals
from stoker.lab.store import Change
from stoker.twin.autoscaler.knative import KpaSpec, KpaState, decide
from stoker.twin.autoscaler.kpa import TICK_S

__all__ = ["PodAutoscalers"]

Object = dict[str, Any]

_API = "autoscaling.internal.knative.dev/v1alpha1"


class PodAutoscalers:
    """One decision a tick for each PodAutoscaler."""

    name = "knative-kpa"
    shelves: Sequence[str] = ("podautoscalers.autoscaling.internal.knative.dev", "deployments.apps")

    def __init__(self, local: Local, signals: Signals) -> None:
        self._local = local
        self._signals = signals
        self._states: dict[str, tuple[KpaState, float]] = {}

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == self.shelves[0]:
            return [(change.key.namespace, change.key.name)]
        if not mentions(change, "serving.knative.dev/revision"):
            return []
        labels = change.record.object()["metadata"].get("labels") or {}
        revision = labels.get("serving.knative.dev/revision")
        return [(change.key.namespace, revision)] if revision else []

    def reconcile(self, target: Target) -> float | None:
        obj = self._local.get(_API, "PodAutoscaler", *target)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            return None
        place = Place(
            "apps/v1", "Deployment", target[0], (obj["spec"].get("scaleTargetRef") or {}).get("name", "")
        )
        deployment = self._local.get(*place)
        if deployment is None:
            return TICK_S
        now = self._local.cluster.clock().timestamp()
        current = int(deployment["spec"].get("replicas", 1))
        ready = int((deployment.get("status") or {}).get("readyReplicas") or 0)
        uid = obj["metadata"]["uid"]
        state, due = self._states.get(uid) or (_first(obj, ready, now), 0.0)
        wanted = current
        if now >= due:
            wanted, due = self._decide(obj, state, ready, current, now), now + TICK_S
            if wanted != current:
                write_replicas(self._local, place, wanted)
        elif ready > 0 and not state.initialized:
            state.initialized = True
        self._states[uid] = (state, due)
        self._tell(obj, state, wanted, ready)
        return max(0.0, due - now) or TICK_S

    def _decide(self, obj: Object, state: KpaState, ready: int, current: int, now: float) -> int:
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        routes = list(routes_to(self._local, namespace, name))
        open_requests = sum(self._signals.requests(revision_rule(namespace, route, name)) for route in routes)
        annotations = obj["metadata"].get("annotations") or {}
        try:
            spec = KpaSpec.from_annotations(annotations, int(obj["spec"].get("containerConcurrency") or 0))
        except StokerError:
            return current  # it scales by what the twin does not count: its count stays
        if not routes and state.initialized:
            # No route leads to the revision any more; it goes to zero whatever its bounds say.
            spec = replace(spec, reachable=False)
        return decide(spec, state, open_requests, ready, current, now)

    def _tell(self, obj: Object, state: KpaState, wanted: int, ready: int) -> None:
        status = obj.setdefault("status", {})
        conditions = status.setdefault("conditions", [])
        now = self._local.cluster.now()
        text = {
            "active": ("True", "", ""),
            "activating": (
                "Unknown",
                "Queued",
                "Requests to the target are being buffered as resources are provisioned.",
            ),
            "inactive": ("False", "NoTraffic", "The target is not receiving traffic."),
        }[state.phase or "activating"]
        set_knative(conditions, "Active", text[0], now=now, reason=text[1], message=text[2])
        set_knative(conditions, "SKSReady", "True" if ready else "Unknown", now=now)
        if state.initialized:
            set_knative(conditions, "ScaleTargetInitialized", "True", now=now)
        else:
            set_knative(conditions, "ScaleTargetInitialized", "Unknown", now=now)
        summarise(conditions, ("Active", "SKSReady", "ScaleTargetInitialized"), now=now)
        name = obj["metadata"]["name"]
        status |= {
            "desiredScale": wanted,
            "actualScale": ready,
            "serviceName": name,
            "metricsServiceName": f"{name}-private",
            "observedGeneration": int(obj["metadata"].get("generation") or 0),
        }
        self._local.update_status(obj)


def _first(obj: Object, ready: int, now: float) -> KpaState:
    """What is remembered of a revision that is seen first: a new one has not reached its initial scale."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    known = any(one["type"] == "ScaleTargetInitialized" and one["status"] == "True" for one in conditions)
    state = KpaState.started(ready, now)
    state.initialized = known
    if not known:
        state.phase, state.phase_s = "activating", now
    return state
