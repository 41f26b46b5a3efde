"""KEDA 2.20: ScaledObjects with their HPAs, their own loop between zero and one, and the metrics that HPAs read.

Sources: kedacore/keda v2.20.2 controllers/keda/{scaledobject_controller,scaledobject_finalizer,hpa}.go,
pkg/scaling/{scale_handler.go,executor/scale_scaledobjects.go}, pkg/fallback/fallback.go. What is decided is the twin's
(`stoker.twin.autoscaler.keda`), which is held against upstream's own tables; here are the objects, conditions and events.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from stoker.errors import StokerError
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.events import record
from stoker.lab.controllers.objects import condition_of
from stoker.lab.platform.keda_admission import bounds_error, trigger_error
from stoker.lab.platform.keda_objects import (
    INITIAL,
    OWNER_LABEL,
    hpa_object,
    names_of_metrics,
    set_keda,
)
from stoker.lab.platform.keda_poll import Poll, target_of
from stoker.lab.platform.keda_series import KedaSeries
from stoker.lab.platform.scales import Scale, read_scale, write_replicas
from stoker.lab.platform.signals import Signals
from stoker.lab.platform.triggers import metric_name, read, with_targets
from stoker.lab.status import ApiError, not_found
from stoker.lab.store import Change
from stoker.twin.autoscaler.keda import ScaledObject, parse_scaled_object
from stoker.twin.autoscaler.scaledobject import RESOURCES

__all__ = ["ScaledObjects"]

Object = dict[str, Any]

_API, _KIND = "keda.sh/v1alpha1", "ScaledObject"
_FINALIZER = "finalizer.keda.sh"
_COMPONENT = "keda-operator"
_READY = "ScaledObject is defined correctly and is ready for scaling"
_PAUSED = "ScaledObject is paused"
_TARGET = "ScaledObject doesn't have correct scaleTargetRef specification"
# A check that failed is made again with client-go's pauses; here every few seconds.
_AGAIN_S = 5.0
# An answer that is on its way.
_SOON_S = 0.25
# How often a push scaler says whether it is active (http-add-on scaler: streamInterval 200 ms).
_PUSH_S = 0.2
_PUSH = "external-push"


class _CheckError(Exception):
    """A ScaledObject is not as it must be: what the step is called, and why."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(f"{message}: {why}")


class ScaledObjects:
    """The operator: reconciles a ScaledObject when it changes, and polls its triggers at its interval."""

    name = "keda-scaledobject"
    shelves: Sequence[str] = ("scaledobjects.keda.sh", "horizontalpodautoscalers.autoscaling")

    def __init__(self, local: Local, signals: Signals, series: KedaSeries | None = None) -> None:
        self._local = local
        self._signals = signals
        self._series = series or KedaSeries()
        # uid -> the generation whose loop runs, and when it looks next.
        self._loops: dict[str, tuple[int, float]] = {}
        # uid -> what was checked last: nothing is checked again until that changes, or the HPA does.
        self._checked: dict[str, tuple[Any, ScaledObject]] = {}

    def targets(self, change: Change) -> Iterable[Target]:
        if change.key.resource == self.shelves[0]:
            return [(change.key.namespace, change.key.name)]
        before = None if change.before is None else change.before.object()
        now = change.record.object()
        if before is not None and not change.is_delete and before["spec"] == now["spec"]:
            return []
        owners = now["metadata"].get("ownerReferences") or ()
        for one in owners:
            self._checked.pop(one["uid"], None)
        return [(change.key.namespace, one["name"]) for one in owners if one["kind"] == _KIND]

    def reconcile(self, target: Target) -> float | None:
        obj = self._local.get(_API, _KIND, *target)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self._series.forget(target)
        if obj is None:
            return None
        if obj["metadata"].get("deletionTimestamp"):
            self._finalize(obj)
            return None
        waiting = self._waiting(obj)
        if waiting is not None:
            return waiting
        return self._reconcile(self._prepared(obj))

    def _reconcile(self, obj: Object) -> float | None:
        status = obj.setdefault("status", {})
        conditions: list[Object] = status.setdefault("conditions", [])
        if not conditions:
            conditions.extend(dict(one) for one in INITIAL)
        scaled: ScaledObject | None = None
        try:
            scaled = self._check(obj)
        except _CheckError as error:
            set_keda(conditions, "Ready", "False", "ScaledObjectCheckFailed", str(error))
            set_keda(conditions, "Active", "Unknown", "UnknownState", "ScaledObject check failed")
            self._say(obj, "Warning", "ScaledObjectCheckFailed", str(error))
        else:
            self._tell_ready(obj, scaled)
        if not obj["spec"].get("fallback"):
            text = "No fallbacks are active on this scaled object"
            set_keda(conditions, "Fallback", "False", "NoFallbackFound", text)
        again = self._loop(obj, scaled)
        self._local.update_status(obj)
        if scaled is not None and not scaled.paused:
            self._checked[obj["metadata"]["uid"]] = (_seen(obj), scaled)
        return again

    def _tell_ready(self, obj: Object, scaled: ScaledObject) -> None:
        """What the loop says of its triggers is left to the loop, but for the first time and after a failed check."""
        ready = condition_of(obj, "Ready") or {}
        if not scaled.paused and ready.get("reason") in {"TriggerError", "PartialTriggerError"}:
            return
        if ready.get("status") != "True":
            self._say(obj, "Normal", "ScaledObjectReady", "ScaledObject is ready for scaling")
        message = _PAUSED if scaled.paused else _READY
        set_keda(obj["status"]["conditions"], "Ready", "True", "ScaledObjectReady", message)

    def _waiting(self, obj: Object) -> float | None:
        """Seconds to wait where nothing has changed and nothing is due; None where there is something to do.

        A push scaler (the HTTP add-on's) does not wait for the polling interval: it wakes a sleeping target at once.
        """
        uid = obj["metadata"]["uid"]
        seen, scaled = self._checked.get(uid, (None, None))
        _, due = self._loops.get(uid, (-1, 0.0))
        now = self._local.cluster.clock()
        if scaled is None or seen != _seen(obj) or now.timestamp() >= due:
            return None
        return None if self._is_woken(obj, scaled) else _next(scaled, due - now.timestamp())

    def _is_woken(self, obj: Object, scaled: ScaledObject) -> bool:
        """Whether a push scaler says that a sleeping target has work."""
        now, namespace = self._local.cluster.clock(), obj["metadata"]["namespace"]
        for one in scaled.triggers:
            if one.kind != _PUSH:
                continue
            reading = read(one, self._signals, self._local, namespace, now)
            if reading is not None and reading.value > 0:
                return self._read(obj).replicas == 0
        return False

    # --- the object itself ------------------------------------------------------------------------------------------

    def _prepared(self, obj: Object) -> Object:
        """With the finalizer, and the label by which its metrics are found."""
        metadata = obj["metadata"]
        labels, finalizers = metadata.get("labels") or {}, metadata.get("finalizers") or []
        if _FINALIZER in finalizers and labels.get(OWNER_LABEL) == metadata["name"]:
            return obj
        metadata["finalizers"] = [*finalizers, *([] if _FINALIZER in finalizers else [_FINALIZER])]
        metadata["labels"] = {**labels, OWNER_LABEL: metadata["name"]}
        return self._local.update(obj)

    def _finalize(self, obj: Object) -> None:
        metadata = obj["metadata"]
        if _FINALIZER not in (metadata.get("finalizers") or ()):
            return
        self._stop_loop(obj)
        advanced = obj["spec"].get("advanced") or {}
        status = obj.get("status") or {}
        if advanced.get("restoreToOriginalReplicaCount") and status.get("scaleTargetGVKR"):
            with suppress(ApiError):  # the target went first; KEDA logs it and goes on
                self._write(obj, int(status.get("originalReplicaCount") or 0))
        metadata["finalizers"] = [one for one in metadata["finalizers"] if one != _FINALIZER]
        self._local.update(obj)
        self._say(obj, "Warning", "ScaledObjectDeleted", "ScaledObject was deleted")

    def _check(self, obj: Object) -> ScaledObject:
        """reconcileScaledObject: whether it can be scaled at all, and its HPA."""
        spec, status = obj["spec"], obj["status"]
        try:
            scaled = with_targets(parse_scaled_object(obj), self._local, obj["metadata"]["namespace"])
        except StokerError as error:
            why = bounds_error(spec)
            message = (
                "ScaledObject doesn't have correct Idle/Min/Max Replica Counts specification"
                if why
                else "failed to ensure HPA is correctly created for ScaledObject"
            )
            raise _CheckError(message, why or str(error)) from error
        self._pause(obj, scaled)
        if scaled.paused:
            return scaled
        self._know_target(obj)
        wrong = trigger_error(spec["triggers"])
        if wrong:
            raise _CheckError("ScaledObject doesn't have correct triggers specification", wrong)
        kinds = dict.fromkeys(one["type"] for one in spec["triggers"])
        references = dict.fromkeys(
            one["authenticationRef"]["name"] for one in spec["triggers"] if one.get("authenticationRef")
        )
        status |= {"triggersTypes": ",".join(kinds), "authenticationsTypes": ",".join(references)}
        self._keep_hpa(obj, scaled)
        return scaled

    def _pause(self, obj: Object, scaled: ScaledObject) -> None:
        status = obj["status"]
        was = (condition_of(obj, "Paused") or {}).get("status") == "True"
        metadata = obj["metadata"]
        self._series.paused((metadata["namespace"], metadata["name"]), on=scaled.paused)
        if scaled.paused or scaled.paused_in or scaled.paused_out:
            set_keda(status["conditions"], "Paused", "True", "ScaledObjectPaused", _PAUSED)
            if not was:
                self._say(obj, "Normal", "ScaledObjectPaused", _PAUSED)
        elif was:
            text = "pause annotation removed for ScaledObject"
            set_keda(status["conditions"], "Paused", "False", "ScaledObjectUnpaused", text)
            self._say(obj, "Normal", "ScaledObjectUnpaused", text)
        if not scaled.paused:
            status.pop("pausedReplicaCount", None)
            return
        self._stop_loop(obj)
        self._drop_hpa(obj, status.get("hpaName") or scaled.hpa_name)
        held: str | None = (obj["metadata"].get("annotations") or {}).get(
            "autoscaling.keda.sh/paused-replicas"
        )
        if held is None:
            return
        if scaled.paused_replicas is None:
            why = f'failed to parse paused replica count: strconv.ParseInt: parsing "{held}": invalid syntax'
            raise _CheckError("failed to scale target to paused replica count", why)
        try:
            if self._read(obj).replicas != scaled.paused_replicas:
                self._write(obj, scaled.paused_replicas)
        except ApiError as error:
            raise _CheckError(
                "failed to scale target to paused replica count",
                f"failed to get scale for target resource: {error.message}",
            ) from error
        status["pausedReplicaCount"] = scaled.paused_replicas

    def _know_target(self, obj: Object) -> None:
        """The target is there and can be scaled (checkTargetResourceIsScalable)."""
        status = obj["status"]
        api_version, kind, namespace, name = target_of(obj)
        found = self._local.kind(api_version, kind)
        if found is None:
            raise _CheckError(_TARGET, f'no matches for kind "{kind}" in version "{api_version}"')
        if self._local.get(api_version, kind, namespace, name) is None:
            self._say(obj, "Warning", "ScaledObjectCheckFailed", "Target resource doesn't exist")
            raise _CheckError(_TARGET, not_found(*found.error_names(), name).message)
        try:
            scale = self._read(obj)
        except ApiError as error:
            text = "Target resource doesn't expose /scale subresource"
            self._say(obj, "Warning", "ScaledObjectCheckFailed", text)
            raise _CheckError(_TARGET, error.message) from error
        resource = found.resource
        status["scaleTargetKind"] = f"{api_version}.{kind}"
        status["scaleTargetGVKR"] = {
            "group": resource.group,
            "kind": kind,
            "resource": resource.plural,
            "version": resource.version,
        }
        status.setdefault("originalReplicaCount", scale.replicas)

    def _keep_hpa(self, obj: Object, scaled: ScaledObject) -> None:
        api_version, kind, namespace, _ = target_of(obj)
        status = obj["status"]
        wanted = hpa_object(obj, scaled, api_version, kind)
        outside, inside = names_of_metrics(scaled, namespace)
        for field, names in (("externalMetricNames", outside), ("resourceMetricNames", inside)):
            if names:
                status[field] = names
            else:
                status.pop(field, None)
        old_name = status.get("hpaName")
        if old_name and old_name != scaled.hpa_name:
            self._drop_hpa(obj, old_name)
        try:
            found = self._local.get("autoscaling/v2", "HorizontalPodAutoscaler", namespace, scaled.hpa_name)
            if found is None:
                self._local.create(wanted)
                self._loops.pop(obj["metadata"]["uid"], None)
            else:
                found["spec"] = wanted["spec"]
                found["metadata"] |= {
                    key: value for key, value in wanted["metadata"].items() if key != "name"
                }
                if "annotations" not in wanted["metadata"]:
                    found["metadata"].pop("annotations", None)
                self._local.update(found)
        except ApiError as error:
            raise _CheckError(
                "failed to ensure HPA is correctly created for ScaledObject", error.message
            ) from error
        status["hpaName"] = scaled.hpa_name

    def _drop_hpa(self, obj: Object, name: str) -> None:
        hpa = self._local.get("autoscaling/v2", "HorizontalPodAutoscaler", obj["metadata"]["namespace"], name)
        if hpa is not None:
            self._local.delete(hpa)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def _loop(self, obj: Object, scaled: ScaledObject | None) -> float | None:
        """Poll where it is time; seconds to the next time. A changed specification starts a new loop, which looks at once."""
        if scaled is None:
            return _AGAIN_S
        if scaled.paused:
            return None
        metadata = obj["metadata"]
        uid, generation = metadata["uid"], int(metadata.get("generation") or 0)
        now = self._local.cluster.clock()
        started, due = self._loops.get(uid, (-1, 0.0))
        if started == generation and now.timestamp() < due and not self._is_woken(obj, scaled):
            return _next(scaled, due - now.timestamp())
        namespace = metadata["namespace"]
        readings = [read(one, self._signals, self._local, namespace, now) for one in scaled.triggers]
        if any(one is None for one in readings):
            return _SOON_S
        if started < 0:
            self._say(obj, "Normal", "KEDAScalersStarted", "Started scalers watch")
        answered = [one for one in readings if one is not None]
        Poll(self._local, obj, scaled, answered).run()
        names = ["" if one.kind in RESOURCES else metric_name(one, namespace) for one in scaled.triggers]
        self._series.polled((namespace, metadata["name"]), scaled, names, answered)
        self._loops[uid] = (generation, now.timestamp() + scaled.polling_s)
        return _next(scaled, float(scaled.polling_s))

    def _stop_loop(self, obj: Object) -> None:
        self._checked.pop(obj["metadata"]["uid"], None)
        if self._loops.pop(obj["metadata"]["uid"], None) is not None:
            self._say(obj, "Normal", "KEDAScalersStopped", "Stopped scalers watch")

    # --- small things -----------------------------------------------------------------------------------------------

    def _read(self, obj: Object) -> Scale:
        return read_scale(self._local, target_of(obj))

    def _write(self, obj: Object, replicas: int) -> None:
        write_replicas(self._local, target_of(obj), replicas)

    def _say(self, obj: Object, kind: str, reason: str, message: str) -> None:
        record(self._local, obj, kind, reason, message, _COMPONENT)


def _next(scaled: ScaledObject, seconds: float) -> float:
    """When to look again: a push scaler is listened to all the time."""
    return min(_PUSH_S, seconds) if any(one.kind == _PUSH for one in scaled.triggers) else seconds


def _seen(obj: Object) -> Any:
    """What of a ScaledObject decides about its HPA and its loop."""
    metadata = obj["metadata"]
    return (
        metadata.get("generation"),
        metadata.get("annotations"),
        metadata.get("labels"),
        metadata.get("finalizers"),
    )
