"""How far a rolling update goes in one step: the Deployment controller's arithmetic as a pure function."""

from typing import NamedTuple

__all__ = ["RollingStep", "rolling_step"]


class RollingStep(NamedTuple):
    """Replicas to make of the new version, and to stop: old ones that are not ready, old ready ones, new ones."""

    create: int
    stop_unready: int
    stop_ready: int
    stop_new: int


def rolling_step(
    *, desired: int, surge: int, unavailable: int, old_ready: int, old_unready: int, new: int, new_ready: int
) -> RollingStep:
    """Say what a RollingUpdate with ``maxSurge`` and ``maxUnavailable`` does next.

    Source: kubernetes 1.36 pkg/controller/deployment/rolling.go (reconcileNewReplicaSet, reconcileOldReplicaSets,
    cleanupUnhealthyReplicas, scaleDownOldReplicaSetsForRollingUpdate) and util/deployment_util.go (NewRSNewReplicas;
    ResolveFenceposts: two zeros mean one unavailable).
    """
    if surge == 0 and unavailable == 0:
        unavailable = 1
    total = old_ready + old_unready + new
    create = max(0, min(desired + surge - total, desired - new))
    stop_new = max(0, new - desired)
    if create or stop_new:
        return RollingStep(create, 0, 0, stop_new)
    least = desired - unavailable
    most = total - least - (new - new_ready)
    if most <= 0:
        return RollingStep(0, 0, 0, 0)
    stop_unready = min(old_unready, most)
    stop_ready = max(0, min(old_ready, old_ready + new_ready - least))
    return RollingStep(0, stop_unready, stop_ready, 0)
