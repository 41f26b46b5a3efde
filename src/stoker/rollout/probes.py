"""Objects that gates make and that never outlive them.

Each carries a label with the run that made it. They are removed when the gate ends; what a killed run left is swept by the
next run, which holds the lease; and pods end by themselves by their activeDeadlineSeconds where no run ever comes.

An object of the user's that a gate changes carries in an annotation what it was, until that is put back: by the gate, or by
the next run's sweep.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from stoker.errors import StokerError
from stoker.kube.api_errors import ApiError, ConflictError
from stoker.kube.cluster import FIELD_MANAGER, Cluster
from stoker.kube.refs import Object, Ref, ref_of

__all__ = ["CHANGED_LABEL", "KINDS", "PROBE_LABEL", "Probes", "sweep"]

PROBE_LABEL: Final = "stoker.dev/gate-run"
CHANGED_LABEL: Final = "stoker.dev/gate-changed"
_BACK: Final = "stoker.dev/gate-back"  # annotation: the merge patch that puts an object back
# Kinds whose objects own pods: deleted in the foreground they are there until the pods are gone.
_OWNERS: Final = frozenset(("InferenceService", "LLMInferenceService", "Deployment"))
_GOING: Final = 60.0  # seconds of the wall that are waited for them; a live engine may drain for minutes
_LIFE: Final = 3600  # seconds of a probe pod at most
# Kinds that gates make, owners first, so that nothing is made anew while it is swept; `stoker rbac` asks for rights on each.
KINDS: Final = (
    ("serving.kserve.io/v1beta1", "InferenceService"),
    ("serving.kserve.io/v1alpha2", "LLMInferenceService"),
    ("keda.sh/v1alpha1", "ScaledObject"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("apps/v1", "Deployment"),
    ("v1", "Pod"),
    ("v1", "Service"),
)


@dataclass
class Probes:
    """What one run of a gate made or changed.

    Attributes:
        run: the run's name, a label value.
    """

    cluster: Cluster
    run: str
    _made: list[tuple[Ref, str]] = field(default_factory=list)
    _unsure: set[Ref] = field(default_factory=set)
    _undo: list[tuple[str, Callable[[], object]]] = field(default_factory=list)
    _going: list[tuple[Ref, str]] = field(default_factory=list)

    def create(self, obj: Object) -> Object:
        """Create it, labelled; pods get an end.

        Raises:
            ForbiddenError: a quota, a LimitRange or a policy refused it: what many gates want to see.
            ValueError: a defect of ours: `sweep` does not look for its kind.
        """
        ref = ref_of(obj)
        if (ref.api_version, ref.kind) not in KINDS:
            raise ValueError(f"{ref.kind} of {ref.api_version} is not among the kinds that are swept")
        self._unsure.add(ref)  # until the server has answered it may be there or not
        try:
            made = self.cluster.create(self._labelled(obj))
        except ApiError:
            self._unsure.discard(ref)
            raise
        self._made.append((ref, made["metadata"]["uid"]))
        self._unsure.discard(ref)
        return made

    def remove(self, obj: Object) -> None:
        """Remove one of them before the gate ends."""
        ref, uid = ref_of(obj), obj["metadata"]["uid"]
        remove(self.cluster, ref, uid)
        self._made.remove((ref, uid))

    def _labelled(self, obj: Object) -> Object:
        metadata = {**obj["metadata"], "labels": {**obj["metadata"].get("labels", {}), PROBE_LABEL: self.run}}
        made = {**obj, "metadata": metadata}
        if obj["kind"] == "Pod":
            made["spec"] = {"activeDeadlineSeconds": _LIFE, **obj["spec"]}
        return made

    def change(self, ref: Ref, patch: Object, back: Object) -> None:
        """Change the specification of an object that stays; ``back`` is the merge patch that puts it back.

        Further changes of the same object keep the first one's ``back``.
        """
        found = self.cluster.get(ref) or {}
        annotations = (found.get("metadata") or {}).get("annotations") or {}
        self.undo(f"what {ref} was", lambda: put_back(self.cluster, ref))
        metadata: Object = {"labels": {CHANGED_LABEL: self.run}}
        if _BACK not in annotations:
            metadata["annotations"] = {_BACK: json.dumps(back, separators=(",", ":"))}
        self.cluster.patch(ref, {**patch, "metadata": metadata})

    def undo(self, what: str, action: Callable[[], object]) -> None:
        """Do this when the gate ends, newest first and before objects are removed: a change of something that stays."""
        self._undo.append((what, action))

    def clean(self) -> bool:
        """Put everything back; False where something is left, which `left` names.

        An interruption waits until that is done. What controllers made of an object goes with it; the next gate may need
        its room, so that is waited for, a while.
        """
        interrupted = False
        while True:
            try:
                self._clean()
            except KeyboardInterrupt:
                interrupted = True
                continue
            break
        if interrupted:
            raise KeyboardInterrupt
        return not (self._made or self._undo or self._unsure)

    def _clean(self) -> None:
        for entry in reversed(self._undo):
            if _succeeds(entry[1]):
                self._undo = [one for one in self._undo if one is not entry]
        for made in reversed(self._made):
            if _succeeds(lambda made=made: remove(self.cluster, *made)):  # type: ignore[misc]
                self._made = [one for one in self._made if one != made]
                if made[0].kind in _OWNERS:
                    self._going.append(made)
        for ref in sorted(self._unsure):
            if _succeeds(lambda ref=ref: self._remove_unsure(ref)):  # type: ignore[misc]
                self._unsure.discard(ref)
        end = time.monotonic() + _GOING
        while self._going and time.monotonic() < end:
            _succeeds(self._look_at_going)
            time.sleep(0.1 if self._going else 0)
        self._going.clear()  # the rest is being removed: that is its controllers' business

    def _look_at_going(self) -> None:
        self._going = [
            (ref, uid)
            for ref, uid in self._going
            if (found := self.cluster.get(ref)) is not None and found["metadata"]["uid"] == uid
        ]

    def _remove_unsure(self, ref: Ref) -> None:
        found = self.cluster.get(ref)
        if found and (found["metadata"].get("labels") or {}).get(PROBE_LABEL) == self.run:
            remove(self.cluster, ref, found["metadata"]["uid"])

    def left(self) -> list[str]:
        refs = [*(ref for ref, _ in self._made), *sorted(self._unsure)]
        return [*(what for what, _ in self._undo), *map(str, refs)]


def _succeeds(action: Callable[[], object]) -> bool:
    try:
        action()
    except StokerError:
        return False
    return True


def remove(cluster: Cluster, ref: Ref, uid: str) -> None:
    """Delete that very object; a pod without grace, for a probe has nothing to finish; an owner after what it owns."""
    propagation = "Foreground" if ref.kind in _OWNERS else "Background"
    try:
        cluster.delete(ref, uid=uid, propagation=propagation, grace=0 if ref.kind == "Pod" else None)
    except ConflictError:
        return  # another object has its name now


def put_back(cluster: Cluster, ref: Ref) -> None:
    """Make an object that a gate changed what it was; nothing where it is gone, or is that already."""
    found = cluster.get(ref)
    back = ((found or {}).get("metadata", {}).get("annotations") or {}).get(_BACK)
    if found is None or back is None:
        return
    metadata = {"labels": {CHANGED_LABEL: None}, "annotations": {_BACK: None}}
    found = cluster.patch(ref, {**json.loads(back), "metadata": metadata})
    # Whoever patches owns: left alone, the next `stoker apply` of another value would be in conflict with this gate.
    kept = [
        entry
        for entry in found["metadata"].get("managedFields") or ()
        if (entry.get("manager"), entry.get("operation")) != (FIELD_MANAGER, "Update")
        or entry.get("subresource")
    ]
    cluster.patch(ref, {"metadata": {"managedFields": kept}})


def sweep(cluster: Cluster, kinds: Iterable[tuple[str, str]] = KINDS) -> list[Ref]:
    """Remove what gates of runs before left, and put back what they changed; to be called by who holds the lease.

    Returns what was found.
    """
    found: list[Ref] = []
    for api_version, kind in kinds:
        for obj in cluster.objects(api_version, kind, labels=CHANGED_LABEL):
            put_back(cluster, ref_of(obj))
            found.append(ref_of(obj))
        for obj in cluster.objects(api_version, kind, labels=PROBE_LABEL):
            metadata: dict[str, Any] = obj["metadata"]
            ref = ref_of(obj)
            remove(cluster, ref, metadata["uid"])
            found.append(ref)
    return found
