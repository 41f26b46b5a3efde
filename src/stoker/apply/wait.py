"""Wait until objects are ready, kind by kind, or until one cannot become so."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import Final

from stoker.apply.events import Progress, WaitingFor
from stoker.apply.look import LABEL, each
from stoker.apply.readiness import Around, Failed, Readiness, Ready, Waiting, readiness
from stoker.kube.api_errors import ForbiddenError
from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object, Ref, ref_of

__all__ = ["around", "wait_ready"]

_FIRST: Final = 0.1  # wall seconds between looks, doubled up to
_MOST: Final = 2.0
_LIST_FROM: Final = 4
_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"


def around(cluster: Cluster, objects: Iterable[Object]) -> Around:
    """The StorageClasses, where an object's readiness depends on them and they may be read."""
    if not any(obj["kind"] == "PersistentVolumeClaim" for obj in objects):
        return Around()
    try:
        classes = cluster.objects("storage.k8s.io/v1", "StorageClass")
    except ForbiddenError:
        return Around()
    late = frozenset(
        c["metadata"]["name"] for c in classes if c.get("volumeBindingMode") == "WaitForFirstConsumer"
    )
    default = next(
        (
            c["metadata"]["name"]
            for c in classes
            if (c["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"
        ),
        "",
    )
    return Around(late, default)


def wait_ready(
    cluster: Cluster,
    objects: Collection[Object],
    *,
    seconds: float,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
) -> dict[Ref, Readiness]:
    """Look at ``objects`` again and again until all are ready; what is not after ``seconds`` of the cluster's time is told.

    Args:
        cluster: where they are.
        objects: as they were seen last.
        seconds: of the cluster's time.
        progress: hears what is waited for, when that changes.
        check: called at each look; may raise to end the wait.

    Returns:
        What is not ready: `Failed`, or `Waiting` where the time was up. Empty where all are ready. One that has failed ends
        the wait.
    """
    found = around(cluster, objects)
    state = {ref_of(obj): readiness(obj, found) for obj in objects}
    deadline = time.monotonic() + seconds / cluster.clock.speed
    pause, told = _FIRST, None
    while True:
        open_: dict[Ref, Readiness] = {
            ref: state_ for ref, state_ in state.items() if not isinstance(state_, Ready)
        }
        words = tuple((ref, one.why) for ref, one in sorted(open_.items()))
        if words != told and (words or told):
            progress(WaitingFor(words))
            told = words
        if not open_ or any(isinstance(one, Failed) for one in open_.values()) or time.monotonic() > deadline:
            return open_
        check()
        time.sleep(pause)
        pause = min(pause * 1.5, _MOST)
        for ref, obj in _again(cluster, list(open_)).items():
            state[ref] = Waiting("it is gone") if obj is None else readiness(obj, found)


def _again(cluster: Cluster, refs: list[Ref]) -> dict[Ref, Object | None]:
    kinds: dict[tuple[str, str], list[Ref]] = defaultdict(list)
    for ref in refs:
        kinds[ref.api_version, ref.kind].append(ref)
    seen: dict[Ref, Object | None] = {}
    for (api_version, kind), wanted in kinds.items():
        if len(wanted) >= _LIST_FROM:
            listed = {ref_of(obj): obj for obj in cluster.objects(api_version, kind, labels=LABEL)}
            seen.update((ref, listed[ref]) for ref in wanted if ref in listed)
    rest = [ref for ref in refs if ref not in seen]
    seen.update(zip(rest, each(cluster.get, rest), strict=True))
    return seen
