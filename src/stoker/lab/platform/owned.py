"""Objects that a controller keeps for another object: made, brought in order, taken away."""

from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import controller_of, controller_reference
from stoker.lab.platform.scales import Place
from stoker.lab.store import Change

__all__ = ["drop", "ensure", "mentions", "owners_of"]

Object = dict[str, Any]


def ensure(local: Local, owner: Object | None, wanted: Object, *, keep: tuple[str, ...] = ()) -> Object:
    """Create an object, or make the one that is there as it should be; as it is stored then.

    Labels and annotations of others stay. ``keep`` names fields of the specification that are others' once the object is
    there, such as replicas or a cluster address.

    Raises:
        ApiError: as for everybody.
    """
    metadata = wanted["metadata"]
    namespace = metadata.get("namespace", "")
    found = local.get(wanted["apiVersion"], wanted["kind"], namespace, metadata["name"])
    if found is None:
        made = {**wanted, "metadata": dict(metadata)}
        if owner is not None:
            made["metadata"]["ownerReferences"] = [controller_reference(owner)]
        return local.create(made)
    for field in ("labels", "annotations"):
        if metadata.get(field):
            found["metadata"][field] = {**(found["metadata"].get(field) or {}), **metadata[field]}
    for field, value in wanted.items():
        if field in {"apiVersion", "kind", "metadata", "status"}:
            continue
        if field == "spec":
            kept = {name: found["spec"][name] for name in keep if name in found["spec"]}
            found["spec"] = {**value, **kept}
        else:
            found[field] = value
    return local.update(found)


def drop(local: Local, owner: Object, place: Place) -> None:
    """Delete an object if ``owner`` manages it."""
    found = local.get(*place)
    if found is None:
        return
    manager = controller_of(found)
    if manager is not None and manager["uid"] == owner["metadata"]["uid"]:
        local.delete(found)


def mentions(change: Change, word: str) -> bool:
    """Whether an object may concern a controller at all: a look at its text costs nothing, decoding every pod does."""
    return word.encode() in change.record.text


def owners_of(obj: Object, kind: str) -> set[str]:
    """Names of owners of one kind."""
    return {one["name"] for one in obj["metadata"].get("ownerReferences") or () if one["kind"] == kind}
