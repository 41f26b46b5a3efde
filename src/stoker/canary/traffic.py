"""Shifting traffic in a cluster: the edge that makes a scene come true, and says whether it has.

Everything here may be done twice, and is: a run that was killed in the middle is finished by doing it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from stoker.canary.scene import (
    Scene,
    Split,
    capacity,
    fingerprint,
    promoted,
    reachable,
    restored,
    shifted,
)
from stoker.errors import StokerError, UnsafeError
from stoker.kube.api_errors import ConflictError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref, ref_of

__all__ = ["Outcome", "Traffic"]

STABLE: Final = "stable"
_SERVING: Final = "serving.kserve.io/v1beta1"
_REVISION: Final = "serving.knative.dev/v1"
# What a canary changes as it goes, and a difference in which is none.
_MOVES: Final = frozenset(
    ("weight", "trafficPercent", "canaryTrafficPercent", "replicas", "minReplicas", "maxReplicas")
)
_MOST_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a change is: ``done``, or why not yet. ``reachable`` as in `decide.Shifted`."""

    done: bool
    why: str = ""
    reachable: float | None = None


class Traffic:
    """The traffic of one model.

    Attributes:
        force: take fields that other managers own.
        coarse: a split by replicas may miss its share by more than half.
    """

    def __init__(self, cluster: Cluster, scene: Scene, *, force: bool = False, coarse: bool = False) -> None:
        self.cluster, self.scene = cluster, scene
        self.force, self.coarse = force, coarse

    # --- looking ------------------------------------------------------------------------------------------------------

    def pods(self, version: str) -> list[Object]:
        """Pods of a version that are not on their way out, by name."""
        labels = self.scene.labels(version)
        found = self.cluster.objects("v1", "Pod", self.scene.namespace, labels=labels)
        return sorted(
            (one for one in found if not one["metadata"].get("deletionTimestamp")),
            key=lambda one: str(one["metadata"]["name"]),
        )

    def ready(self, version: str) -> list[Object]:
        """Those of them that get requests."""
        return [one for one in self.pods(version) if _condition(one, "Ready").get("status") == "True"]

    def check(self) -> None:
        """Before a run begins: the cluster is as the platform file says, but for what a canary moves.

        Raises:
            UnsafeError: it is not, so that a canary would change more than traffic; or another manager owns fields that
                have to move.
        """
        moved = () if self.scene.split is Split.REVISIONS else self.scene.shift
        kept = [one for one in self.scene.stable if one["kind"] != "InferenceService" or not moved]
        for obj in (*moved, *kept):
            if obj["kind"] == "Service":
                continue  # its selector is what the split by replicas moves
            live = self.cluster.get(ref_of(obj))
            if live is None:
                raise UnsafeError(
                    f"{ref_of(obj)} is not in the cluster",
                    fix="apply the platform file first, canary included",
                )
            answer = self._apply(obj, dry_run=True)
            changed = [*_differences(live.get("spec"), answer.get("spec"), "spec")]
            if changed:
                raise UnsafeError(
                    f"{ref_of(obj)} is not as the platform file says: {', '.join(changed[:_MOST_SHOWN])}",
                    fix="apply the platform file first, so that the canary changes nothing but the traffic",
                )

    # --- moving -------------------------------------------------------------------------------------------------------

    def shift(self, percent: int, before: int, *, is_there: bool) -> Outcome:
        """Give the canary its pods, then its share.

        Args:
            percent: wanted.
            before: the share to keep until the pods are ready.
            is_there: the share was reached before: it is only said again.
        """
        if self.scene.split is Split.REVISIONS:
            return self._shift_revisions(percent, before, is_there=is_there)
        stable, have = len(self.ready(STABLE)), self._replicas(self.scene.canary_workload)
        if stable == 0 and not is_there:
            return Outcome(done=False, why="no pod of the stable version is ready")
        many = stable if self.scene.split is Split.REPLICAS else max(stable, self.scene.stable_replicas)
        share = reachable(self.scene, percent, stable) if stable else None
        if share is not None and not is_there:
            self._check_share(percent, share, stable)
        wanted = max(have, capacity(self.scene, percent, many))
        ready = self.ready(self.scene.canary)
        if len(ready) < wanted and not is_there:
            self._apply_all(shifted(self.scene, before, wanted))
            return Outcome(
                done=False, why=f"{len(ready)} of {wanted} pods of the canary are ready{self._pending()}"
            )
        self._apply_all(shifted(self.scene, percent, wanted))
        return Outcome(done=True, reachable=share)

    def _check_share(self, percent: int, share: float, stable: int) -> None:
        if share > 1.5 * percent and not self.coarse:
            raise UnsafeError(
                f"{percent} % cannot be reached: without the Gateway API requests are shared by pods, and one canary beside "
                f"{stable} of the stable version gets {share:.0f} %",
                fix="install the Gateway API, run more replicas, begin with a larger step, or accept it with --coarse",
            )

    def _shift_revisions(self, percent: int, before: int, *, is_there: bool) -> Outcome:
        ready = bool(self.ready(self.scene.canary))
        status = self._predictor_status()
        newest = status.get("latestCreatedRevision")
        is_up = (
            ready
            and bool(newest)
            and status.get("latestReadyRevision") == newest
            and self._version_of(str(newest)) == self.scene.canary
        )
        if not is_up and not is_there:
            self._apply_all(shifted(self.scene, before, 1))
            return Outcome(done=False, why=f"the canary's revision is not ready{self._pending()}")
        self._apply_all(shifted(self.scene, percent, 1))
        share = self._share_of_newest()
        if share != percent and not is_there:
            return Outcome(
                done=False, why=f"Knative routes {share or 0} % to the canary, not yet {percent} %"
            )
        return Outcome(done=True)

    def promote(self, percent: int) -> Outcome:
        """Make the stable version what the canary is; the share stays until its pods have rolled over, then ends."""
        if self.scene.split is Split.REVISIONS:
            self._apply_all(promoted(self.scene, 0, 1))
            share = self._share_of_newest()
            return Outcome(done=share == 100, why=f"Knative routes {share or 0} % to the new version")
        have = max(1, self._replicas(self.scene.canary_workload))
        canary = self._deployment(self.scene.canary_workload)
        stable = self._deployment(self.scene.stable_workload)
        is_same = fingerprint(stable["spec"]["template"]) == fingerprint(canary["spec"]["template"])
        if is_same and _is_rolled_out(stable):
            # Its objects once more with the share ended; the InferenceService of `shift` is the old version's.
            ended = [one for one in shifted(self.scene, 0, have) if one["kind"] != "InferenceService"]
            self._apply_all([*promoted(self.scene, 0, have), *ended])
            return Outcome(done=True)
        self._apply_all(promoted(self.scene, percent, have))
        status = stable.get("status") or {}
        told = (
            f"{status.get('updatedReplicas') or 0} of {status.get('replicas') or 0} pods"
            if is_same
            else "no pod yet"
        )
        return Outcome(done=False, why=f"the stable version rolls over to what the canary is: {told}")

    def back(self) -> tuple[bool, Outcome]:
        """All requests to the stable version: whether they are, and whether everything else is as it was.

        The canary's pods stay, so that one can look at what went wrong.
        """
        if self.scene.split is Split.REVISIONS:
            return self._back_revisions()
        have = self._replicas(self.scene.canary_workload)
        own = [one for one in self.scene.stable if one["kind"] == "Deployment"]
        self._apply_all([*shifted(self.scene, 0, have or self.scene.canary_replicas), *own])
        return True, Outcome(done=True)

    def _back_revisions(self) -> tuple[bool, Outcome]:
        status = self._predictor_status()
        newest = str(status.get("latestCreatedRevision") or "")
        is_ready = bool(newest) and status.get("latestReadyRevision") == newest
        if is_ready and self._version_of(newest) == STABLE:
            self._apply_all(restored(self.scene, pinned=False))
            share = self._share_of_newest()
            return True, Outcome(
                done=share == 100, why=f"Knative routes {share or 0} % to the stable version's revision"
            )
        if self._share_of_newest() and self._version_of(newest) != STABLE:
            self._apply_all(shifted(self.scene, 0, 1))
            return self._share_of_newest() in {0, None}, Outcome(
                done=False, why="the canary's share is being ended"
            )
        self._apply_all(restored(self.scene, pinned=True))
        return True, Outcome(
            done=False, why=f"the stable version's own revision is loading again{self._pending(STABLE)}"
        )

    # --- pieces -------------------------------------------------------------------------------------------------------

    def _apply_all(self, objects: Sequence[Object]) -> None:
        for obj in objects:
            self._apply(obj)

    def _apply(self, obj: Object, *, dry_run: bool = False) -> Object:
        try:
            return self.cluster.apply(obj, dry_run=dry_run, force=self.force)
        except ConflictError as error:
            fields = [f"{cause.field} ({cause.message})" for cause in error.causes] or [error.message]
            raise UnsafeError(
                f"{ref_of(obj)}: other managers own what has to move: {', '.join(fields[:_MOST_SHOWN])}",
                fix="let Stoker apply the platform file, or take the fields with --force-conflicts",
            ) from error

    def _deployment(self, name: str) -> Object:
        found = self.cluster.get(Ref("apps/v1", "Deployment", self.scene.namespace, name))
        if found is None:
            raise StokerError(
                f"Deployment {self.scene.namespace}/{name} is gone",
                fix="apply the platform file again, canary included",
            )
        return found

    def _replicas(self, name: str) -> int:
        found = self.cluster.get(Ref("apps/v1", "Deployment", self.scene.namespace, name))
        return int(((found or {}).get("spec") or {}).get("replicas") or 0)

    def _predictor_status(self) -> dict[str, Any]:
        found = self.cluster.get(Ref(_SERVING, "InferenceService", self.scene.namespace, self.scene.model))
        if found is None:
            raise StokerError(
                f"InferenceService {self.scene.namespace}/{self.scene.model} is gone",
                fix="apply the platform file again",
            )
        status: dict[str, Any] = ((found.get("status") or {}).get("components") or {}).get("predictor") or {}
        return status

    def _version_of(self, revision: str) -> str:
        found = (
            self.cluster.get(Ref(_REVISION, "Revision", self.scene.namespace, revision)) if revision else None
        )
        return str(
            (((found or {}).get("metadata") or {}).get("labels") or {}).get("stoker.dev/version") or ""
        )

    def _share_of_newest(self) -> int | None:
        """Percent that Knative routes to the newest ready revision; None where it says nothing."""
        traffic = self._predictor_status().get("traffic") or ()
        shares = [int(one.get("percent") or 0) for one in traffic if one.get("latestRevision")]
        return sum(shares) if shares else None

    def _pending(self, version: str = "") -> str:
        """Why pods are missing: what the quota, or the scheduler, says of the first."""
        workload = self.scene.stable_workload if version == STABLE else self.scene.canary_workload
        found = (
            self.cluster.get(Ref("apps/v1", "Deployment", self.scene.namespace, workload))
            if workload
            else None
        )
        failure = _condition(found or {}, "ReplicaFailure")
        if failure.get("status") == "True":
            return f"; {failure.get('message') or failure.get('reason')}"
        for pod in self.pods(version or self.scene.canary):
            scheduled = _condition(pod, "PodScheduled")
            if scheduled.get("status") == "False":
                return f"; {pod['metadata']['name']}: {scheduled.get('message') or scheduled.get('reason')}"
        return ""


def _condition(obj: Object, kind: str) -> dict[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {})


def _is_rolled_out(deployment: Object) -> bool:
    """As `kubectl rollout status` says it."""
    status, wanted = deployment.get("status") or {}, int(deployment["spec"].get("replicas") or 0)
    return (
        int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
        and int(status.get("updatedReplicas") or 0) >= wanted
        and int(status.get("replicas") or 0) <= int(status.get("updatedReplicas") or 0)
        and int(status.get("availableReplicas") or 0) >= int(status.get("updatedReplicas") or 0)
    )


def _differences(live: Any, wanted: Any, path: str) -> list[str]:
    """Paths at which two values differ, what a canary moves left out."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return [
            found
            for key in sorted(live.keys() | wanted.keys())
            if key not in _MOVES
            for found in _differences(live.get(key), wanted.get(key), f"{path}.{key}")
        ]
    if isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        pairs = enumerate(zip(live, wanted, strict=True))
        return [found for place, (a, b) in pairs for found in _differences(a, b, f"{path}[{place}]")]
    return [] if live == wanted else [path]
