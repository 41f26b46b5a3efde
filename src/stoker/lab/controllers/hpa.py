"""HorizontalPodAutoscalers: replicas that follow metrics.

Source: kubernetes pkg/controller/podautoscaler/horizontal.go. What is decided is the twin's algorithm
(`stoker.twin.autoscaler`), which is held against upstream's own tables; here are the object, its conditions and events, and
the scale that is written.
"""

import copy
import json
from collections.abc import Iterable, Sequence

from stoker.lab.api.call import Call, User
from stoker.lab.api.selectors import label_selector
from stoker.lab.api.served import Kind
from stoker.lab.api.subresources import get_scale, write_scale
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.events import record
from stoker.lab.controllers.hpa_readings import Asked, Found, count_ready, read
from stoker.lab.controllers.metrics import MetricsSource
from stoker.lab.controllers.objects import Object
from stoker.lab.status import ApiError
from stoker.lab.store import Change
from stoker.twin.autoscaler.controller import HpaDecision, HpaState, Reading, sync
from stoker.twin.autoscaler.hpa import HpaSpec, Metric, parse_hpa

__all__ = ["Autoscalers", "set_condition"]

_COMPONENT = "horizontal-pod-autoscaler"
_API, _KIND = "autoscaling/v2", "HorizontalPodAutoscaler"
# --horizontal-pod-autoscaler-sync-period.
_PERIOD_S = 15.0
_DEFAULT_METRICS = (
    {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
    },
)
_LIMITED = {
    "DesiredWithinRange": "the desired count is within the acceptable range",
    "ScaleUpLimit": "the desired replica count is increasing faster than the maximum scale rate",
    "ScaleDownLimit": "the desired replica count is decreasing faster than the maximum scale rate",
    "TooManyReplicas": "the desired replica count is more than the maximum replica count",
    "TooFewReplicas": "the desired replica count is less than the minimum replica count",
}
_STABILIZED = {
    "ScaleUpStabilized": "recent recommendations were lower than current one, applying the lowest recent recommendation",
    "ScaleDownStabilized": "recent recommendations were higher than current one, applying the highest recent recommendation",
}


def set_condition(conditions: list[Object], kind: str, word: str, told: tuple[str, str], at: str) -> None:
    """Put a condition in its place; its time is that of its last change of status (setConditionInList).

    Args:
        conditions: changed.
        kind: of the condition.
        word: its status: ``True`` or ``False``.
        told: its reason and its message.
        at: now.
    """
    found = next((one for one in conditions if one["type"] == kind), None)
    if found is None:
        found = {"type": kind}
        conditions.append(found)
    if found.get("status") != word:
        found["lastTransitionTime"] = at
    found.update(status=word, reason=told[0], message=told[1])


class Autoscalers:
    """The HPA controller: each autoscaler every fifteen seconds."""

    name = "horizontalpodautoscaler"
    shelves: Sequence[str] = ("horizontalpodautoscalers.autoscaling",)

    def __init__(self, local: Local, caches: Caches, metrics: MetricsSource) -> None:
        self._local = local
        self._caches = caches
        self._metrics = metrics
        self._states: dict[Target, tuple[str, HpaState]] = {}

    def targets(self, change: Change) -> Iterable[Target]:
        found = self._caches.now_and_before(change)
        if len(found) == 2 and not change.is_delete and found[0]["spec"] == found[1]["spec"]:
            # Its own status; the next look comes in its time.
            return ()
        return [(change.key.namespace, change.key.name)]

    def reconcile(self, target: Target) -> float | None:
        autoscaler = self._local.get(_API, _KIND, *target)
        if autoscaler is None:
            self._states.pop(target, None)
            return None
        uid = autoscaler["metadata"]["uid"]
        known = self._states.get(target)
        if known is None or known[0] != uid:
            known = self._states[target] = (uid, HpaState())
        _Sync(self._local, self._caches, self._metrics, autoscaler, known[1]).run()
        return _PERIOD_S


class _Sync:
    """One look at one autoscaler."""

    def __init__(
        self, local: Local, caches: Caches, metrics: MetricsSource, autoscaler: Object, state: HpaState
    ) -> None:
        self._local = local
        self._caches = caches
        self._metrics = metrics
        self._autoscaler = autoscaler
        self._state = state
        self._before = copy.deepcopy(autoscaler.get("status") or {})
        self._status: Object = autoscaler.setdefault("status", {})
        self._conditions: list[Object] = self._status.setdefault("conditions", [])
        self._at = local.cluster.now()
        self._namespace = autoscaler["metadata"]["namespace"]
        self._ready: int | None = None

    def run(self) -> None:
        target = self._autoscaler["spec"]["scaleTargetRef"]
        try:
            kind, scale = self._scale(target)
        except ApiError as error:
            self._tell("Warning", "FailedGetScale", error.message)
            text = f"the HPA controller was unable to get the target's current scale: {error.message}"
            self._set("AbleToScale", False, "FailedGetScale", text)
            self._write()
            return
        text = "the HPA controller was able to get the target's current scale"
        self._set("AbleToScale", True, "SucceededGetScale", text)
        current = int(scale["spec"].get("replicas") or 0)
        spec = parse_hpa(self._autoscaler)
        found = self._read_all(spec, scale, current)
        decision = self._decide(spec, current, found, int(scale["status"].get("replicas") or 0))
        if _is_unreadable(decision, current):
            self._give_up(spec, current, found)
            return
        self._carry_out(kind, scale, (spec, current, decision), found)

    # --- the target -----------------------------------------------------------------------------------------------

    def _scale(self, target: Object) -> tuple[Kind, Object]:
        api_version = target.get("apiVersion") or "v1"
        kind = self._local.kind(api_version, target["kind"])
        if kind is None or kind.resource.subresource("scale") is None:
            group = api_version.rpartition("/")[0]
            name = f"{target['kind']}.{group}" if group else target["kind"]
            if kind is None:
                raise ApiError(404, "NotFound", f'no matches for kind "{target["kind"]}" in group "{group}"')
            raise ApiError(404, "NotFound", f"the server could not find the requested resource ({name})")
        call = self._call(kind, "get", target["name"], b"")
        scale: Object = get_scale(self._local.cluster, kind, call).document
        return kind, scale

    def _call(self, kind: Kind, verb: str, name: str, body: bytes) -> Call:
        user = User(f"system:{self._local.manager}", ("system:masters", "system:authenticated"))
        part = kind.resource.subresource("scale")
        return Call(
            verb,
            kind.resource,
            self._namespace,
            name,
            part,
            {},
            "",
            "application/json",
            body,
            user,
            self._local.manager,
        )

    def _pods(self, scale: Object) -> list[Object]:
        selector = label_selector(scale["status"].get("selector") or "")
        pods = [pod for pod in self._caches.pods.all(self._namespace) if selector.matches(pod)]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    # --- metrics --------------------------------------------------------------------------------------------------

    def _read_all(self, spec: HpaSpec, scale: Object, current: int) -> list[Found]:
        """What the metrics say; nothing where the count alone decides."""
        if not 0 < current <= spec.max_replicas or current < spec.min_replicas:
            return []
        if not scale["status"].get("selector"):
            self._tell("Warning", "SelectorRequired", "selector is required")
            self._set(
                "ScalingActive", False, "InvalidSelector", "the HPA target's scale is missing a selector"
            )
            return []
        entries = self._autoscaler["spec"].get("metrics") or _DEFAULT_METRICS
        self._ready = count_ready(pods := self._pods(scale))
        asked = Asked(
            self._metrics,
            pods,
            current,
            int(scale["status"].get("replicas") or 0),
            self._namespace,
            self._local.cluster.clock(),
        )
        return [read(entry, spec, metric, asked) for entry, metric in zip(entries, spec.metrics, strict=True)]

    def _decide(self, spec: HpaSpec, current: int, found: list[Found], status: int) -> HpaDecision:
        by_metric = dict(zip((id(metric) for metric in spec.metrics), found, strict=False))

        def reading(metric: Metric) -> Reading:
            one = by_metric.get(id(metric))
            return one.reading if one is not None else Reading(error="selector is required")

        now = self._local.cluster.clock().timestamp()
        return sync(spec, self._state, current, reading, now, ready=self._ready, status=status)

    def _give_up(self, spec: HpaSpec, current: int, found: list[Found]) -> None:
        """A metric cannot be read, and the others must not scale down."""
        failed = [(metric, one) for metric, one in zip(spec.metrics, found, strict=False) if one.error]
        for metric, one in failed:
            self._tell("Warning", f"FailedGet{metric.kind}Metric", one.error)
        if failed:
            metric, one = failed[0]
            text = f"the HPA was unable to compute the replica count: {one.error}"
            self._set("ScalingActive", False, f"FailedGet{metric.kind}Metric", text)
        self._set_counts(current, int(self._before.get("desiredReplicas") or 0), found)
        self._write()
        if failed:
            text = (
                f"invalid metrics ({len(failed)} invalid out of {len(spec.metrics)}), first error is: "
                f"{failed[0][1].told}"
            )
            self._tell("Warning", "FailedComputeMetricsReplicas", text)
        else:
            self._tell("Warning", "FailedComputeMetricsReplicas", "selector is required")

    # --- what is done ---------------------------------------------------------------------------------------------

    def _carry_out(
        self, kind: Kind, scale: Object, wanted: tuple[HpaSpec, int, HpaDecision], found: list[Found]
    ) -> None:
        spec, current, decision = wanted
        best = max(
            (one for one in found if one.proposal is not None),
            key=lambda one: one.proposal or 0,
            default=None,
        )
        self._tell_conditions(spec, current, decision, best)
        for metric, one in zip(spec.metrics, found, strict=False):
            if one.error:
                self._tell("Warning", f"FailedGet{metric.kind}Metric", one.error)
        replicas = decision.replicas
        reason = _reason(spec, current, decision, best)
        if replicas != current:
            try:
                self._rescale(kind, scale, replicas)
            except ApiError as error:
                text = f"New size: {replicas}; reason: {reason}; error: {error.message}"
                self._tell("Warning", "FailedRescale", text)
                text = f"the HPA controller was unable to update the target scale: {error.message}"
                self._set("AbleToScale", False, "FailedUpdateScale", text)
                self._set_counts(current, int(self._before.get("desiredReplicas") or 0), found)
                self._write()
                return
            text = f"the HPA controller was able to update the target scale to {replicas}"
            self._set("AbleToScale", True, "SucceededRescale", text)
            self._tell("Normal", "SuccessfulRescale", f"New size: {replicas}; reason: {reason}")
            self._status["lastScaleTime"] = self._at
        self._set_counts(current, replicas, found)
        self._write()

    def _tell_conditions(
        self, spec: HpaSpec, current: int, decision: HpaDecision, best: Found | None
    ) -> None:
        if decision.reason == "ScalingDisabled":
            text = "scaling is disabled since the replica count of the target is zero"
            self._set("ScalingActive", False, "ScalingDisabled", text)
            return
        if decision.proposed is None:
            return
        name = best.name if best is not None else ""
        text = f"the HPA was able to successfully calculate a replica count from {name}"
        self._set("ScalingActive", True, "ValidMetricFound", text)
        if decision.stabilized:
            is_up = spec.has_behavior and decision.proposed >= current
            reason = "ScaleUpStabilized" if is_up else "ScaleDownStabilized"
            self._set("AbleToScale", True, reason, _STABILIZED[reason])
        else:
            self._set("AbleToScale", True, "ReadyForNewScale", "recommended size matches current size")
        reason = decision.limited_reason
        self._set("ScalingLimited", decision.limited, reason, _LIMITED[reason])

    def _rescale(self, kind: Kind, scale: Object, replicas: int) -> None:
        body = {**scale, "spec": {"replicas": replicas}}
        call = self._call(kind, "update", scale["metadata"]["name"], json.dumps(body).encode())
        write_scale(self._local.cluster, kind, call)

    def _set(self, kind: str, status: bool, reason: str, message: str) -> None:  # noqa: FBT001
        set_condition(self._conditions, kind, str(status), (reason, message), self._at)

    def _set_counts(self, current: int, desired: int, found: list[Found]) -> None:
        self._status["currentReplicas"] = current
        self._status["desiredReplicas"] = desired
        # One entry for each metric; those that could not be read have no type.
        metrics = [one.status or {"type": ""} for one in found]
        if metrics:
            self._status["currentMetrics"] = metrics
        else:
            self._status.pop("currentMetrics", None)

    def _write(self) -> None:
        if {key: value for key, value in self._status.items() if value} == {
            key: value for key, value in self._before.items() if value
        }:
            return
        self._local.update_status(self._autoscaler)

    def _tell(self, kind: str, reason: str, message: str) -> None:
        record(self._local, self._autoscaler, kind, reason, message, _COMPONENT)


def _is_unreadable(decision: HpaDecision, current: int) -> bool:
    """Whether metrics that cannot be read keep the count where it is."""
    return not decision.active and decision.reason != "ScalingDisabled" and decision.replicas == current


def _reason(spec: HpaSpec, current: int, decision: HpaDecision, best: Found | None) -> str:
    """Why the count changes, as the event says it."""
    if current > spec.max_replicas:
        return "Current number of replicas above Spec.MaxReplicas"
    if 0 < current < spec.min_replicas:
        return "Current number of replicas below Spec.MinReplicas"
    if decision.proposed is not None and decision.proposed > current:
        return f"{best.name if best is not None else ''} above target"
    if decision.proposed is not None and decision.proposed < current:
        return "All metrics below target"
    return ""
