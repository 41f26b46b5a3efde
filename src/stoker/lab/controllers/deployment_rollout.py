"""One look at a Deployment: its ReplicaSets are made, sized and cleared away, its status is written.

Source: kubernetes pkg/controller/deployment/{sync.go,rolling.go,recreate.go,progress.go}.
"""

import copy
from collections.abc import Callable, Sequence

from stoker.lab.control.local import Local
from stoker.lab.controllers import deployment_rules as rules
from stoker.lab.controllers.deployment_rules import number, replicas
from stoker.lab.controllers.events import record
from stoker.lab.controllers.hashes import template_hash
from stoker.lab.controllers.objects import (
    Object,
    condition_of,
    controller_of,
    controller_reference,
    moment,
)
from stoker.lab.controllers.replicasets import is_terminating_namespace
from stoker.lab.status import ApiError

__all__ = ["Rollout"]

_COMPONENT = "deployment-controller"
_LONGEST_NAME = 253


class Rollout:
    """One look at a Deployment, its ReplicaSets, and what is written of them."""

    def __init__(self, local: Local, deployment: Object) -> None:
        self.deployment = deployment
        self.new: Object | None = None
        self.old: list[Object] = []
        self._local = local
        self._claimed: list[Object] = []

    @property
    def _all(self) -> list[Object]:
        return [*self.old, self.new] if self.new is not None else list(self.old)

    def _tell(self, kind: str, reason: str, message: str) -> None:
        record(self._local, self.deployment, kind, reason, message, _COMPONENT)

    # --- status -----------------------------------------------------------------------------------------------

    def write_status(self, status: Object) -> None:
        before = self.deployment.get("status") or {}
        if _counts(before) == _counts(status):
            return
        self.deployment["status"] = status
        self._write()

    def _write(self) -> None:
        self.deployment = self._local.update_status(self.deployment)

    def _say(self, kind: str, status: str, reason: str, message: str) -> None:
        found = rules.condition(kind, status, reason, message, self._local.cluster.now())
        holder = self.deployment.setdefault("status", {})
        holder["conditions"] = rules.set_condition(list(holder.get("conditions") or ()), found)

    def plain_status(self) -> Object:
        return rules.calculate_status(self.deployment, self._all, self.new, self._local.cluster.now())

    def _report(self) -> None:
        cluster = self._local.cluster
        self.write_status(
            rules.progress(self.deployment, self._all, self.new, cluster.clock(), cluster.now())
        )

    def warn_of_everything(self) -> None:
        self._tell(
            "Warning",
            "SelectingAll",
            "This deployment is selecting all pods. A non-empty selector is required.",
        )
        generation = int(self.deployment["metadata"].get("generation") or 0)
        if number(self.deployment, "observedGeneration") < generation:
            self.deployment.setdefault("status", {})["observedGeneration"] = generation
            self._write()

    def check_paused(self) -> None:
        """Say that the Deployment is paused or goes on; no deadline runs while it is."""
        if not rules.has_deadline(self.deployment):
            return
        found = condition_of(self.deployment, "Progressing")
        reason = found.get("reason") if found is not None else ""
        if reason == "ProgressDeadlineExceeded":
            return
        is_paused = bool(self.deployment["spec"].get("paused"))
        if is_paused and reason != "DeploymentPaused":
            self._say("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused")
        elif not is_paused and reason == "DeploymentPaused":
            self._say("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed")
        else:
            return
        self._write()

    def seconds_to_deadline(self) -> float | None:
        found = condition_of(self.deployment, "Progressing")
        status = self.deployment.get("status") or {}
        if not rules.has_deadline(self.deployment) or found is None:
            return None
        if rules.is_complete(self.deployment, status) or found["reason"] == "ProgressDeadlineExceeded":
            return None
        if self.deployment["spec"].get("paused"):
            return None
        passed = (self._local.cluster.clock() - moment(found["lastUpdateTime"])).total_seconds()
        return max(0.0, int(self.deployment["spec"]["progressDeadlineSeconds"]) - passed) + 1.0

    # --- ReplicaSets ------------------------------------------------------------------------------------------

    def look(self, sets: list[Object]) -> None:
        """Find the ReplicaSet of the template among those of the Deployment, and keep its revision."""
        self._claimed = rules.by_age(sets)
        found = rules.newest_of(self.deployment, self._claimed)
        self.old = [one for one in self._claimed if one is not found]
        self.new = found
        if found is not None:
            self._keep_revision(found)

    def _keep_revision(self, found: Object) -> None:
        annotations = dict(found["metadata"].get("annotations") or {})
        revision = max((rules.revision_of(one) for one in self.old), default=0) + 1
        min_ready = int(self.deployment["spec"].get("minReadySeconds") or 0)
        changed = rules.annotate_new(self.deployment, annotations, revision)
        if changed or int(found["spec"].get("minReadySeconds") or 0) != min_ready:

            def change(obj: Object) -> None:
                obj["metadata"]["annotations"] = annotations
                obj["spec"]["minReadySeconds"] = min_ready

            # Upstream comes back to the Deployment when it sees this write; we go on with what it made.
            self.new = found = self._rewrite(found, change)
        is_news = self._set_revision(annotations.get(rules.REVISION, ""))
        if rules.has_deadline(self.deployment) and condition_of(self.deployment, "Progressing") is None:
            name = found["metadata"]["name"]
            self._say("Progressing", "True", "FoundNewReplicaSet", f'Found new replica set "{name}"')
            is_news = True
        if is_news:
            self._write()

    def _set_revision(self, revision: str) -> bool:
        annotations = self.deployment["metadata"].setdefault("annotations", {})
        if annotations.get(rules.REVISION) == revision:
            return False
        annotations[rules.REVISION] = revision
        return True

    def _rewrite(self, obj: Object, change: Callable[[Object], None]) -> Object:
        metadata = obj["metadata"]
        fresh = self._local.get("apps/v1", "ReplicaSet", metadata["namespace"], metadata["name"])
        if fresh is None or fresh["metadata"]["uid"] != metadata["uid"]:
            raise ApiError(404, "NotFound", f'replicasets.apps "{metadata["name"]}" not found')
        change(fresh)
        return self._local.update(fresh)

    def _make_new(self) -> None:
        """Create the ReplicaSet of the template; with another hash where its name is taken by another template."""
        revision = max((rules.revision_of(one) for one in self.old), default=0) + 1
        wanted = self._new_set(revision)
        name = wanted["metadata"]["name"]
        try:
            self.new = self._local.create(wanted)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                self._resolve_collision(error, name)
            elif not is_terminating_namespace(error):
                text = f'Failed to create new replica set "{name}": {error.message}'
                if rules.has_deadline(self.deployment):
                    self._say("Progressing", "False", "ReplicaSetCreateError", text)
                    self._write()
                self._tell("Warning", "ReplicaSetCreateError", text)
                raise
            else:
                raise
            is_new = False
        else:
            is_new = True
        size = replicas(wanted)
        if is_new and size:
            self._tell("Normal", "ScalingReplicaSet", f"Scaled up replica set {name} from 0 to {size}")
        is_news = self._set_revision(str(revision))
        if is_new and rules.has_deadline(self.deployment):
            self._say("Progressing", "True", "NewReplicaSetCreated", f'Created new replica set "{name}"')
            is_news = True
        if is_news:
            self._write()

    def _new_set(self, revision: int) -> Object:
        metadata, spec = self.deployment["metadata"], self.deployment["spec"]
        template = copy.deepcopy(spec["template"])
        collisions = (self.deployment.get("status") or {}).get("collisionCount")
        digest = template_hash(template, collisions)
        labels = {**((template.get("metadata") or {}).get("labels") or {}), rules.HASH: digest}
        template.setdefault("metadata", {})["labels"] = labels
        selector = copy.deepcopy(spec["selector"])
        selector.setdefault("matchLabels", {})[rules.HASH] = digest
        annotations: dict[str, str] = {}
        rules.annotate_new(self.deployment, annotations, revision)
        rules.set_counts(self.deployment, annotations)
        found: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{metadata['name'][: _LONGEST_NAME - 1 - len(digest)]}-{digest}",
                "namespace": metadata["namespace"],
                "ownerReferences": [controller_reference(self.deployment)],
                "labels": dict(labels),
                "annotations": annotations,
            },
            "spec": {
                "replicas": rules.new_replicas(self.deployment, self.old, 0),
                "selector": selector,
                "template": template,
            },
        }
        if spec.get("minReadySeconds"):
            found["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        return found

    def _resolve_collision(self, error: ApiError, name: str) -> None:
        there = self._local.get("apps/v1", "ReplicaSet", self.deployment["metadata"]["namespace"], name)
        owner = controller_of(there) if there is not None else None
        if (
            there is not None
            and owner is not None
            and owner["uid"] == self.deployment["metadata"]["uid"]
            and rules.newest_of(self.deployment, [there]) is not None
        ):
            self.new = there
            return
        status = self.deployment.setdefault("status", {})
        status["collisionCount"] = int(status.get("collisionCount") or 0) + 1
        self._write()
        raise error

    # --- scaling ----------------------------------------------------------------------------------------------

    def is_scaled(self) -> bool:
        """Whether somebody changed the Deployment's replicas since the ReplicaSets were last told of them."""
        for one in self._all:
            desired = (one["metadata"].get("annotations") or {}).get(rules.DESIRED, "")
            if replicas(one) > 0 and desired.isdigit() and int(desired) != replicas(self.deployment):
                return True
        return False

    def _resize(self, obj: Object, size: int, *, is_forced: bool = False) -> bool:
        """Give a ReplicaSet a size; whether it has another one now."""
        before = replicas(obj)
        annotations = dict(obj["metadata"].get("annotations") or {})
        if before == size and not (is_forced and rules.set_counts(self.deployment, annotations)):
            return False
        rules.set_counts(self.deployment, annotations)

        def change(fresh: Object) -> None:
            fresh["spec"]["replicas"] = size
            fresh["metadata"]["annotations"] = annotations

        self._replace(obj, self._rewrite(obj, change))
        if before == size:
            return False
        way = "up" if before < size else "down"
        name = obj["metadata"]["name"]
        self._tell("Normal", "ScalingReplicaSet", f"Scaled {way} replica set {name} from {before} to {size}")
        return True

    def _replace(self, obj: Object, by: Object) -> None:
        if self.new is not None and obj["metadata"]["uid"] == self.new["metadata"]["uid"]:
            self.new = by
        self.old = [by if one["metadata"]["uid"] == by["metadata"]["uid"] else one for one in self.old]

    def scale(self) -> None:
        """Follow a change of replicas, in proportion where a rollout is under way."""
        active = [one for one in self._all if replicas(one) > 0]
        if len(active) <= 1:
            latest = active or ([self.new] if self.new is not None else list(reversed(self.old))[:1])
            if latest:
                self._resize(latest[0], replicas(self.deployment))
            return
        if rules.is_saturated(self.deployment, self.new):
            for one in [one for one in self.old if replicas(one) > 0]:
                self._resize(one, 0)
            return
        if (self.deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            return
        for one, size in rules.proportions(self.deployment, active):
            self._resize(one, size, is_forced=True)

    # --- rollouts ---------------------------------------------------------------------------------------------

    def roll(self) -> None:
        """One step of a rolling update."""
        if self.new is None:
            self._make_new()
        is_quiet = not self._grow_new() and not self._shrink_old()
        if is_quiet and rules.is_complete(self.deployment, self.deployment.get("status") or {}):
            self.clean_up()
        self._report()

    def _grow_new(self) -> bool:
        if self.new is None:
            return False
        size, wanted = replicas(self.new), replicas(self.deployment)
        if size == wanted:
            return False
        if size > wanted:
            return self._resize(self.new, wanted)
        return self._resize(self.new, rules.new_replicas(self.deployment, self._all, size))

    def _shrink_old(self) -> bool:
        old = [one for one in self.old if replicas(one) > 0]
        if not old or self.new is None:
            return False
        least = replicas(self.deployment) - rules.max_unavailable(self.deployment)
        missing = replicas(self.new) - number(self.new, "availableReplicas")
        most = sum(replicas(one) for one in self._all) - least - missing
        if most <= 0:
            return False
        # First what does not work anyway, then as many as availability allows.
        cleaned = self._take(old, most, lambda one: max(0, replicas(one) - number(one, "availableReplicas")))
        surplus = rules.available(self._all) - least
        old = [one for one in self.old if replicas(one) > 0]
        return self._take(old, surplus, replicas) + cleaned > 0

    def _take(self, sets: Sequence[Object], most: int, spare: Callable[[Object], int]) -> int:
        taken = 0
        for one in rules.by_age(sets):
            count = min(most - taken, spare(one))
            if count > 0:
                self._resize(one, replicas(one) - count)
                taken += count
        return taken

    def recreate(self, has_old_pods: Callable[[], bool]) -> None:
        """All old pods go, then the new ones come."""
        shrunk = [self._resize(one, 0) for one in list(self.old) if replicas(one) > 0]
        if not any(shrunk) and not has_old_pods():
            if self.new is None:
                self._make_new()
            if self.new is not None:
                self._resize(self.new, replicas(self.deployment))
            if rules.is_complete(self.deployment, self.deployment.get("status") or {}):
                self.clean_up()
        self._report()

    def clean_up(self) -> None:
        """Delete the oldest ReplicaSets beyond `revisionHistoryLimit`; only those that are empty and settled."""
        limit = self.deployment["spec"].get("revisionHistoryLimit")
        if limit is None or int(limit) == 2**31 - 1:
            return
        alive = [one for one in self.old if not one["metadata"].get("deletionTimestamp")]
        surplus = len(alive) - int(limit)
        for one in sorted(rules.by_age(alive), key=rules.revision_of)[: max(0, surplus)]:
            is_settled = int(one["metadata"].get("generation") or 0) <= number(one, "observedGeneration")
            if not number(one, "replicas") and not replicas(one) and is_settled:
                self._local.delete(one)


def _counts(status: Object) -> Object:
    """A status for comparison: what is zero is not there, but for the count of what terminates, which may be unknown."""
    return {key: value for key, value in status.items() if value or key == "terminatingReplicas"}
