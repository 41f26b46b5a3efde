"""Adoption and release: which objects a workload manages, by its selector and their controller reference.

Source: kubernetes pkg/controller/controller_ref_manager.go. An object with another controller is left alone; one without any
that the selector matches is adopted; one of ours that it no longer matches is released.
"""

from collections.abc import Callable, Iterable

from stoker.kube.selectors import matches
from stoker.lab.control.local import Local
from stoker.lab.controllers.cache import Cache
from stoker.lab.controllers.objects import Object, controller_of, controller_reference
from stoker.lab.status import ApiError

__all__ = ["candidates", "claim", "owns"]


def owns(owner: Object, obj: Object) -> bool:
    """Whether ``owner`` is the controller of ``obj``."""
    found = controller_of(obj)
    return found is not None and found["uid"] == owner["metadata"]["uid"]


def candidates(cache: Cache, owner: Object) -> list[Object]:
    """What an owner manages, and what nobody manages, in its namespace."""
    mine = [one for one in cache.owned(owner["metadata"]["uid"]) if owns(owner, one)]
    selector = owner["spec"].get("selector")
    orphans = (
        one
        for one in cache.all(owner["metadata"]["namespace"])
        if not one["metadata"].get("ownerReferences") or controller_of(one) is None
    )
    return mine + [one for one in orphans if matches(selector, one["metadata"].get("labels") or {})]


def claim(
    local: Local,
    owner: Object,
    found: Iterable[Object],
    is_mine: Callable[[Object], bool] | None = None,
    finalizer: str = "",
) -> list[Object]:
    """Those of ``found`` that the owner manages when this is done.

    Args:
        local: through which references are written.
        owner: the workload; one that is being deleted adopts and releases nothing.
        found: as `candidates` finds them.
        is_mine: a further condition beside the selector.
        finalizer: what adopted objects get and released ones lose.
    """
    is_going = bool(owner["metadata"].get("deletionTimestamp"))
    claimed = []
    for one in found:
        fits = matches(owner["spec"].get("selector"), one["metadata"].get("labels") or {}) and (
            is_mine is None or is_mine(one)
        )
        controller = controller_of(one)
        if controller is not None:
            if controller["uid"] != owner["metadata"]["uid"]:
                continue
            if fits:
                claimed.append(one)
            elif not is_going:
                _release(local, owner, one, finalizer)
            continue
        if fits and not is_going and not one["metadata"].get("deletionTimestamp"):
            adopted = _adopt(local, owner, one, finalizer)
            if adopted is not None:
                claimed.append(adopted)
    return claimed


def _adopt(local: Local, owner: Object, obj: Object, finalizer: str) -> Object | None:
    fresh = _fresh(local, obj)
    if fresh is None or controller_of(fresh) is not None:
        return None
    metadata = fresh["metadata"]
    metadata["ownerReferences"] = [*(metadata.get("ownerReferences") or ()), controller_reference(owner)]
    if finalizer and finalizer not in (metadata.get("finalizers") or ()):
        metadata["finalizers"] = [*(metadata.get("finalizers") or ()), finalizer]
    return local.update(fresh)


def _release(local: Local, owner: Object, obj: Object, finalizer: str) -> None:
    fresh = _fresh(local, obj)
    if fresh is None:
        return
    metadata = fresh["metadata"]
    uid = owner["metadata"]["uid"]
    metadata["ownerReferences"] = [one for one in metadata.get("ownerReferences") or () if one["uid"] != uid]
    if finalizer:
        metadata["finalizers"] = [one for one in metadata.get("finalizers") or () if one != finalizer]
    try:
        local.update(fresh)
    except ApiError as error:
        # NotFound: it is gone. Invalid: its owner was not ours any more; upstream ignores both.
        if error.reason not in {"NotFound", "Invalid"}:
            raise


def _fresh(local: Local, obj: Object) -> Object | None:
    metadata = obj["metadata"]
    found = local.get(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])
    return found if found is not None and found["metadata"]["uid"] == metadata["uid"] else None
