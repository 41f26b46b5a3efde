"""Binding: devices and volumes first, then the pod.

Sources: kubernetes pkg/scheduler/framework/plugins/volumebinding (PreBind: writes what was assumed and waits until the volume
controller has bound it), plugins/dynamicresources (PreBind: the claim's allocation and reservation).
"""

from dataclasses import dataclass

from stoker.lab.api.binding import bind_pod
from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import Object
from stoker.lab.nodes.device_claims import allocated, reserved
from stoker.lab.nodes.view import View
from stoker.lab.status import ApiError
from stoker.twin.scheduler import bind_volumes, take_devices

__all__ = ["Binder"]

Place = tuple[str, str]

_BIND_TIMEOUT_S = 600.0  # VolumeBindingArgs.bindTimeoutSeconds
_SELECTED = "volume.kubernetes.io/selected-node"
_BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"


@dataclass(frozen=True, slots=True)
class _Waiting:
    pod: Object
    node: str
    since: float
    claims: tuple[Place, ...]


class Binder:
    """Pods between a decision and their binding."""

    def __init__(self, local: Local, view: View) -> None:
        self._local = local
        self._view = view
        self._waiting: dict[Place, _Waiting] = {}

    def begin(self, pod: Object, node: str) -> bool:
        """Take the pod's room, and write what its volumes and devices shall be; whether it can be bound at once."""
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._devices(pod, node)
        unbound = self._volumes(pod, node)
        self._view.assume(pod, node)
        if not unbound:
            return True
        self._waiting[place] = _Waiting(pod, node, self._now(), unbound)
        return False

    def _now(self) -> float:
        return self._local.cluster.clock().timestamp()

    def bind(self, pod: Object, node: str) -> ApiError | None:
        try:
            metadata = pod["metadata"]
            bind_pod(self._local.cluster, metadata["namespace"], metadata["name"], node, uid=metadata["uid"])
        except ApiError as error:
            return error
        return None

    # --- pods whose volumes are being bound -----------------------------------------------------------------------

    def is_waiting(self, place: Place) -> bool:
        return place in self._waiting

    def waiting_for(self, claim: Place) -> list[Place]:
        return [place for place, one in self._waiting.items() if claim in one.claims]

    def drop(self, place: Place) -> None:
        self._waiting.pop(place, None)

    def look(self, place: Place) -> tuple[Object, str, float | None]:
        """The pod, its node, and how long its volumes may still take; None where they are bound."""
        one = self._waiting[place]
        if all(self._is_bound(claim) for claim in one.claims):
            return one.pod, one.node, None
        return one.pod, one.node, max(0.0, one.since + _BIND_TIMEOUT_S - self._now())

    def _is_bound(self, place: Place) -> bool:
        claim = self._local.get("v1", "PersistentVolumeClaim", *place)
        return claim is not None and (claim.get("status") or {}).get("phase") == "Bound"

    # --- writing --------------------------------------------------------------------------------------------------

    def _volumes(self, pod: Object, node: str) -> tuple[Place, ...]:
        """Write what was chosen for claims that waited for a pod; claims that are not bound yet."""
        state = self._view.state
        if not any(
            "persistentVolumeClaim" in one or "ephemeral" in one for one in pod["spec"].get("volumes") or ()
        ):
            return ()
        bindings, selected = dict(state.bindings), dict(state.selected)
        bind_volumes(state, pod, node)
        for claim, volume in state.bindings.items():
            if bindings.get(claim) != volume:
                self._promise(claim, volume)
        for claim, name in state.selected.items():
            if selected.get(claim) != name:
                self._select(claim, name)
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        named = [
            (one.get("persistentVolumeClaim") or {}).get("claimName") or f"{name}-{one['name']}"
            for one in pod["spec"]["volumes"]
            if "persistentVolumeClaim" in one or "ephemeral" in one
        ]
        return tuple((namespace, one) for one in named if not self._is_bound((namespace, one)))

    def _promise(self, claim: Place, name: str) -> None:
        volume = self._local.get("v1", "PersistentVolume", "", name)
        found = self._local.get("v1", "PersistentVolumeClaim", *claim)
        if volume is None or found is None or (volume["spec"].get("claimRef") or {}).get("uid"):
            return
        volume["spec"]["claimRef"] = {
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": claim[0],
            "name": claim[1],
            "uid": found["metadata"]["uid"],
            "resourceVersion": found["metadata"]["resourceVersion"],
        }
        volume["metadata"].setdefault("annotations", {})[_BOUND_BY_CONTROLLER] = "yes"
        self._local.update(volume)

    def _select(self, claim: Place, node: str) -> None:
        found = self._local.get("v1", "PersistentVolumeClaim", *claim)
        if found is not None:
            found["metadata"].setdefault("annotations", {})[_SELECTED] = node
            self._local.update(found)

    def _devices(self, pod: Object, node: str) -> None:
        if not pod["spec"].get("resourceClaims"):
            return
        state = self._view.state
        before = dict(state.allocations)
        take_devices(state, pod, node)
        place = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for key in state.held.get(place, ()):
            claim = self._local.get("resource.k8s.io/v1", "ResourceClaim", *key)
            if claim is None:
                continue
            known = key in before
            new = reserved(claim, pod) if known else allocated(claim, state.allocations[key], pod)
            self._local.update_status(new)
