"""One round of KEDA's own loop: what its triggers say, the scale that follows, and what the status says of it.

Source: kedacore/keda v2.20.2 pkg/scaling/scale_handler.go (checkScalers, getScaledObjectState),
pkg/scaling/executor/scale_scaledobjects.go (RequestScale, checkHPAHealth). The count is the twin's `poll`.
"""

from collections.abc import Sequence
from typing import Any

from stoker.kube.selectors import matches
from stoker.lab.api.cluster import timestamp
from stoker.lab.control.local import Local
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import condition_of, is_ready
from stoker.lab.platform.keda_objects import remember, set_keda, state_of
from stoker.lab.platform.scales import Place, read_scale, write_replicas
from stoker.lab.platform.triggers import metric_name
from stoker.lab.status import ApiError
from stoker.twin.autoscaler.keda import KedaState, ScaledObject, TriggerReading, poll
from stoker.twin.autoscaler.scaledobject import RESOURCES

__all__ = ["Poll", "replicas_of", "target_of"]

Object = dict[str, Any]

_COMPONENT = "keda-operator"
_READY = "ScaledObject is defined correctly and is ready for scaling"
_INACTIVE = "Scaling is not performed because triggers are not active"


def target_of(obj: Object) -> Place:
    """What a ScaledObject scales."""
    reference = obj["spec"]["scaleTargetRef"]
    return Place(
        reference.get("apiVersion") or "apps/v1",
        reference.get("kind") or "Deployment",
        obj["metadata"]["namespace"],
        reference["name"],
    )


def replicas_of(local: Local, obj: Object) -> tuple[int, int]:
    """Replicas that the target is asked for, and pods of it that are ready (fallback.getReadyReplicasCount)."""
    try:
        scale = read_scale(local, target_of(obj))
    except ApiError:
        return 0, 0
    wanted = dict(part.partition("=")[::2] for part in scale.selector.split(",") if "=" in part)
    ready = sum(
        1
        for pod in local.list("v1", "Pod", obj["metadata"]["namespace"])
        if wanted
        and matches({"matchLabels": wanted}, pod["metadata"].get("labels") or {})
        and (pod.get("status") or {}).get("phase") == "Running"
        and is_ready(pod)
    )
    return scale.replicas, ready


class Poll:
    """Changes the status of ``obj`` in place; the caller writes it."""

    def __init__(
        self, local: Local, obj: Object, scaled: ScaledObject, readings: Sequence[TriggerReading]
    ) -> None:
        self._local = local
        self._obj = obj
        self._scaled = scaled
        self._readings = readings
        self._status: Object = obj["status"]
        self._namespace: str = obj["metadata"]["namespace"]

    def run(self) -> None:
        scaled, now = self._scaled, self._local.cluster.clock()
        state = state_of(self._obj, scaled)
        was_active = state.last_active_s
        try:
            current, ready = read_scale(self._local, target_of(self._obj)).replicas, None
        except ApiError as error:
            text = f"Error getting current replicas count for ScaleTarget: {error.message}"
            self._set("Ready", "False", "ErrorGettingCurrentReplicas", text)
            return
        if any(one.error for one in self._readings):
            ready = replicas_of(self._local, self._obj)[1]
        wanted = poll(scaled, state, self._readings, current, now.timestamp(), ready=ready)
        active, failed, is_falling_back = self._tell_triggers(state)
        self._tell_fallback(state, is_falling_back=is_falling_back)
        is_active = bool(active) or scaled.force_activation or (scaled.only_resources and not failed)
        if self._scale(current, wanted, active, is_active=is_active) and state.last_active_s != was_active:
            self._status["lastActiveTime"] = timestamp(now)
        self._tell_activity(current, wanted, is_active=is_active, failed=failed)
        self._tell_hpa()

    def _tell_triggers(self, state: KedaState) -> tuple[list[str], bool, bool]:
        """Names of active metrics, whether a trigger failed, and whether one falls back."""
        scaled = self._scaled
        active: list[str] = []
        failed = is_falling_back = False
        activity: Object = {}
        for trigger, reading in zip(scaled.triggers, self._readings, strict=True):
            if trigger.kind in RESOURCES:
                continue
            name = metric_name(trigger, self._namespace)
            limit = None if scaled.fallback is None else scaled.fallback.threshold
            falls_back = (
                bool(reading.error) and limit is not None and state.failures.get(trigger.index, 0) > limit
            )
            if reading.error and not falls_back:
                failed = True
                self._say("Warning", "KEDAScalerFailed", reading.error)
            is_active = falls_back or (not reading.error and reading.value > trigger.activation)
            if is_active:
                active.append(name)
            is_falling_back = is_falling_back or falls_back
            activity[name] = {"isActive": is_active}
        if activity:
            self._status["triggersActivity"] = activity
        else:
            self._status.pop("triggersActivity", None)
        return active, failed, is_falling_back

    def _tell_fallback(self, state: KedaState, *, is_falling_back: bool) -> None:
        was = (condition_of(self._obj, "Fallback") or {}).get("status") == "True"
        remember(self._status, self._scaled, state, self._namespace)
        if is_falling_back and not was:
            self._say("Normal", "ScaledObjectFallbackActivated", "ScaledObject fallback is active")
        elif was and not is_falling_back:
            self._say(
                "Normal", "ScaledObjectFallbackDeactivated", "ScaledObject fallback is no longer active"
            )

    def _scale(self, current: int, wanted: int, active: Sequence[str], *, is_active: bool) -> bool:
        """Write a new count; whether it was written, or none was needed."""
        if wanted == current:
            return True
        where = (
            f"{self._status.get('scaleTargetKind')} {self._namespace}/{target_of(self._obj).name} "
            f"from {current} to {wanted}"
        )
        is_written = True
        try:
            write_replicas(self._local, target_of(self._obj), wanted)
        except ApiError:
            is_written = False
        if is_active:
            why = f"triggered by {';'.join(active)}"
            if self._scaled.force_activation:
                why = "caused by forced activation annotation"
            if is_written:
                self._say("Normal", "KEDAScaleTargetActivated", f"Scaled {where}, {why}")
            else:
                self._say("Warning", "KEDAScaleTargetActivationFailed", f"Failed to scale {where}")
        elif wanted < current:
            if is_written:
                self._say("Normal", "KEDAScaleTargetDeactivated", f"Deactivated {where}")
            else:
                self._say("Warning", "KEDAScaleTargetDeactivationFailed", f"Failed to deactivate {where}")
        return is_written

    def _tell_activity(self, current: int, wanted: int, *, is_active: bool, failed: bool) -> None:
        scaled = self._scaled
        self._set("Ready", "True", "ScaledObjectReady", _READY)
        if is_active:
            why = (
                "activation is being forced by annotation"
                if scaled.force_activation
                else "triggers are active"
            )
            self._set("Active", "True", "ScalerActive", f"Scaling is performed because {why}")
            if failed and wanted == current:
                self._set(
                    "Ready",
                    "Unknown",
                    "PartialTriggerError",
                    "Some triggers defined in ScaledObject are not working correctly",
                )
            return
        self._set("Active", "False", "ScalerNotActive", _INACTIVE)
        if failed and scaled.fallback is None:
            self._set(
                "Ready",
                "False",
                "TriggerError",
                "Triggers defined in ScaledObject are not working correctly",
            )
        elif not (failed and scaled.fallback is not None and scaled.fallback.replicas):
            rests = scaled.idle is not None and current > scaled.idle
            if (
                wanted == current
                and not scaled.paused_in
                and (rests or (current > 0 and scaled.min_replicas == 0))
            ):
                self._set(
                    "Active",
                    "False",
                    "ScalerCooldown",
                    "Scaler cooling down because triggers are not active",
                )

    def _tell_hpa(self) -> None:
        """HPAActive mirrors the HPA's ScalingActive; it stays as it is where there is nothing to see."""
        hpa = self._local.get(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            self._namespace,
            self._status.get("hpaName") or "",
        )
        found = None if hpa is None else condition_of(hpa, "ScalingActive")
        if found is None:
            return
        reason, message = found.get("reason") or "", found.get("message") or ""
        if found["status"] == "True":
            self._set("HPAActive", "True", "HPAActive", "HPA is actively scaling")
        elif reason == "ScalingDisabled":
            self._set("HPAActive", "True", "ScalingDisabled", message)
        else:
            self._set(
                "HPAActive",
                "False",
                reason or "HPAMetricsUnavailable",
                f"HPA is not actively scaling: {message}",
            )

    def _set(self, kind: str, status: str, reason: str, message: str) -> None:
        set_keda(self._status["conditions"], kind, status, reason, message)

    def _say(self, kind: str, reason: str, message: str) -> None:
        record(self._local, self._obj, kind, reason, message, _COMPONENT)
