"""Carry out one change: apply, replace, delete. What others changed meanwhile is met, never overwritten unasked."""

import random
import time
from collections.abc import Callable
from typing import Any, Final

from stoker.apply.changes import Action, Change
from stoker.apply.fields import applied_fields, leaves, value_at
from stoker.errors import StokerError, UnsafeError
from stoker.kube.api_errors import ConflictError
from stoker.kube.cluster import FIELD_MANAGER, Cluster
from stoker.kube.refs import Object, Ref

__all__ = ["ChangedMeanwhileError", "await_gone", "carry_out", "force_over"]

_TRIES: Final = 40
_PAUSE: Final = 0.05  # wall seconds, at random up to twice as long
_GONE_WITHIN: Final = 600.0  # of the cluster's time, and

_GONE_LEAST: Final = 20.0  # of the wall's


class ChangedMeanwhileError(UnsafeError):
    """Somebody changed the object since the plan was shown, so that carrying the plan out would lose what they did."""


def carry_out(cluster: Cluster, change: Change, live: Object | None) -> Object:
    """Apply or replace; the object as the server has it then.

    Args:
        cluster: where.
        change: to be done; none of its conflicts is open.
        live: the object as it was recorded just now; None where it was not there.

    Raises:
        ChangedMeanwhileError: a conflict that the plan did not show.
        ApiError: the server refused.
    """
    wanted = change.wanted or {}
    if change.action is Action.REPLACE and live is not None:
        uid = str(live["metadata"]["uid"])
        cluster.delete(change.ref, uid=uid, propagation="Foreground")
        await_gone(cluster, change.ref, uid)
        return cluster.apply(wanted)
    if change.forced and live is not None:
        applied = applied_fields(change.after or {"metadata": {}}, FIELD_MANAGER)
        paths = list(leaves(applied[1])) if applied else [c.path for c in change.fields]
        return force_over(
            cluster, live, lambda _: wanted, same=lambda now: all(value_at(now, p) == value_at(live, p) for p in paths)
        )  # fmt: skip
    try:
        return cluster.apply(wanted)
    except ConflictError as error:
        causes = "; ".join(f"{cause.field}: {cause.message}" for cause in error.causes) or error.message
        raise ChangedMeanwhileError(
            f"{change.ref} was changed by others since the plan was made: {causes}",
            fix="run the same command again: it shows the new state first",
        ) from error


def force_over(
    cluster: Cluster,
    live: Object,
    wanted: Callable[[Object], Object],
    *,
    same: Callable[[Object], bool],
    manager: str = FIELD_MANAGER,
) -> Object:
    """Apply by force, only over a state in which what matters is as it was recorded.

    The resourceVersion guards it: whatever changes in between leads to another look, never to a lost change.

    Raises:
        ChangedMeanwhileError: ``same`` no longer holds, or others write without end.
    """
    metadata = live["metadata"]
    ref = Ref(live["apiVersion"], live["kind"], metadata.get("namespace") or "", metadata["name"])
    now: Object | None = live
    for _ in range(_TRIES):
        if now is None or now["metadata"].get("uid") != metadata.get("uid") or not same(now):
            raise ChangedMeanwhileError(
                f"{ref} was changed by others since the plan was made",
                fix="run the same command again: it shows the new state first",
            )
        body: dict[str, Any] = wanted(now)
        guarded = {"uid": metadata["uid"], "resourceVersion": now["metadata"]["resourceVersion"]}
        body = {**body, "metadata": {**body["metadata"], **guarded}}
        try:
            return cluster.apply(body, force=True, manager=manager)
        except ConflictError:
            time.sleep(_PAUSE * (1 + random.random()))  # noqa: S311  # spreads writers, guards nothing
            now = cluster.get(ref)
    raise ChangedMeanwhileError(
        f"{ref} changes faster than it can be written: {_TRIES} tries",
        fix="stop what else writes it, and run again",
    )


def await_gone(cluster: Cluster, ref: Ref, uid: str) -> None:
    """Wait until the object of that uid is gone.

    Raises:
        StokerError: a finalizer keeps it.
    """
    pause = 0.02
    deadline = time.monotonic() + max(_GONE_LEAST, _GONE_WITHIN / cluster.clock.speed)
    while True:
        found = cluster.get(ref)
        if found is None or found["metadata"].get("uid") != uid:
            return
        if time.monotonic() > deadline:
            held = ", ".join(found["metadata"].get("finalizers") or ()) or "nothing that it names"
            raise StokerError(
                f"{ref} does not go away; it is held by {held}",
                fix="mend what its finalizer waits for, and run again",
            )
        time.sleep(pause)
        pause = min(pause * 2, 1.0)
