"""Deployments: ReplicaSets by template, rolled from one to the next.

Source: kubernetes pkg/controller/deployment/deployment_controller.go.
"""

from collections.abc import Iterable, Sequence

from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.cache import Caches
from stoker.lab.controllers.claims import candidates, claim
from stoker.lab.controllers.deployment_rollout import Rollout
from stoker.lab.controllers.deployment_rules import number
from stoker.lab.controllers.objects import Object, controller_of, is_terminal
from stoker.lab.controllers.replicasets import is_terminating_namespace
from stoker.lab.status import ApiError
from stoker.lab.store import Change

__all__ = ["Deployments"]


class Deployments:
    """The Deployment controller."""

    name = "deployment"
    shelves: Sequence[str] = ("deployments.apps", "replicasets.apps", "pods")

    def __init__(self, local: Local, caches: Caches) -> None:
        self._local = local
        self._caches = caches
        self._deployments = caches("apps/v1", "Deployment")
        self._sets = caches("apps/v1", "ReplicaSet")
        self._pods = caches.pods

    def targets(self, change: Change) -> Iterable[Target]:
        match change.key.resource:
            case "deployments.apps":
                return [(change.key.namespace, change.key.name)]
            case "replicasets.apps":
                found = self._caches.controllers_of(change, "Deployment")
                if not change.is_delete and controller_of(self._caches.now_and_before(change)[0]) is None:
                    found |= self._caches.selecting(change, self._deployments)
                return found
        return self._of_gone_pod(change) if change.is_delete else ()

    def _of_gone_pod(self, change: Change) -> Iterable[Target]:
        """A Deployment that recreates waits for the last of its old pods."""
        for namespace, name in self._caches.controllers_of(change, "ReplicaSet"):
            one = self._sets.get(namespace, name)
            owner = controller_of(one) if one is not None else None
            if owner is not None and owner["kind"] == "Deployment":
                yield namespace, owner["name"]

    def reconcile(self, target: Target) -> float | None:
        deployment = self._local.get("apps/v1", "Deployment", *target)
        if deployment is None:
            return None
        rollout = Rollout(self._local, deployment)
        if not deployment["spec"].get("selector"):
            rollout.warn_of_everything()
            return None
        sets = claim(self._local, deployment, candidates(self._sets, deployment))
        try:
            self._sync(rollout, sets)
        except ApiError as error:
            if is_terminating_namespace(error):
                return None
            raise
        return rollout.seconds_to_deadline()

    def _sync(self, rollout: Rollout, sets: list[Object]) -> None:
        deployment = rollout.deployment
        if deployment["metadata"].get("deletionTimestamp"):
            rollout.look(sets)
            rollout.write_status(rollout.plain_status())
            return
        rollout.check_paused()
        is_paused = bool(deployment["spec"].get("paused"))
        rollout.look(sets)
        if is_paused or rollout.is_scaled():
            rollout.scale()
            if is_paused:
                rollout.clean_up()
            rollout.write_status(rollout.plain_status())
        elif (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            rollout.recreate(lambda: self._has_old_pods(rollout))
        else:
            rollout.roll()

    def _has_old_pods(self, rollout: Rollout) -> bool:
        if any(number(one, "replicas") for one in rollout.old):
            return True
        return any(
            not is_terminal(pod) for one in rollout.old for pod in self._pods.owned(one["metadata"]["uid"])
        )
