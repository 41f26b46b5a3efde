"""From an object that somebody wants to the object that is stored: admission, preparation, validation, the store.

The order is the real server's (apiserver pkg/registry/generic/registry/store.go, pkg/registry/rest): mutating admission, what
the strategy takes back, validation, validating admission.
"""

import copy
from collections.abc import Callable
from typing import Any

from stoker.lab.api.call import Call
from stoker.lab.api.cluster import Cluster, Review
from stoker.lab.api.convert import from_storage, to_storage
from stoker.lab.api.effects import Effects
from stoker.lab.api.served import Kind
from stoker.lab.kinds.metadata import is_dns_subdomain, object_meta_causes, object_meta_update_causes
from stoker.lab.kinds.namespaces import finalize_causes, prepare_finalize
from stoker.lab.kinds.pod_resize import prepare_resize, resize_causes
from stoker.lab.kinds.pod_update import ephemeral_update_causes
from stoker.lab.kinds.pods import prepare_ephemeral
from stoker.lab.kinds.registry import status_causes
from stoker.lab.kinds.strategy import Object
from stoker.lab.merge.apply import keep_timestamps
from stoker.lab.schema.structural import validate_custom
from stoker.lab.status import (
    Cause,
    already_exists,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    not_found,
    required,
)
from stoker.lab.store import Key

__all__ = ["key_of", "store_new", "write"]

_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
_NONE = Effects()
# Subresources that change a part of the object, with what they may change and what is wrong with it.
_PARTS: dict[str, tuple[Callable[[Object, Object], None], Callable[[Object, Object], list[Cause]]]] = {
    "ephemeralcontainers": (prepare_ephemeral, ephemeral_update_causes),
    "finalize": (prepare_finalize, finalize_causes),
    "resize": (prepare_resize, resize_causes),
}


def key_of(kind: Kind, namespace: str, name: str) -> Key:
    return Key(kind.shelf, namespace if kind.resource.namespaced else "", name)


def store_new(cluster: Cluster, kind: Kind, call: Call, obj: Object) -> tuple[Object, list[str]]:
    """Admit, validate and store a new object; returns it as stored, and warnings.

    Raises:
        ApiError: it is refused, or there is one of that name.
    """
    return _undone_unless_stored(cluster, kind, call, lambda: _store_new(cluster, kind, call, obj))


def _undone_unless_stored(
    cluster: Cluster, kind: Kind, call: Call, attempt: Callable[[], tuple[Object, list[str]]]
) -> tuple[Object, list[str]]:
    """What a write took before it was stored, such as an address, is given back where it was not."""
    undo = cluster.effects.get(kind.shelf, _NONE).undo
    is_kept = False
    try:
        found = attempt()
        is_kept = not call.is_dry_run
        return found
    finally:
        if undo is not None and not is_kept:
            undo()


def _store_new(cluster: Cluster, kind: Kind, call: Call, obj: Object) -> tuple[Object, list[str]]:
    resource, strategy = kind.resource, kind.strategy
    metadata = obj["metadata"]
    review = Review(
        cluster, kind, "CREATE", metadata.get("namespace", ""), metadata.get("name", ""), "", obj, None,
        call.user, call.is_dry_run,
    )  # fmt: skip
    cluster.mutate(review)
    obj = review.obj
    _fill_new(cluster, kind, obj)
    metadata = obj["metadata"]
    review.name = metadata["name"]
    effects = cluster.effects.get(kind.shelf, _NONE)
    causes = effects.before_create(obj) if effects.before_create is not None else []
    if causes:
        raise invalid(resource.group, resource.kind, metadata["name"], causes)
    strategy.prepare_create(obj)
    # Defaults that follow from what was just prepared, such as a Job's labels; nobody owns them.
    strategy.default(obj)
    causes = _new_causes(kind, obj)
    if causes:
        raise invalid(resource.group, resource.kind, metadata["name"], causes)
    review.warnings += strategy.warnings(obj)
    cluster.validate(review)
    warnings = review.warnings
    key = key_of(kind, metadata.get("namespace", ""), metadata["name"])
    if cluster.store.get(key) is not None:
        raise already_exists(*kind.error_names(), metadata["name"])
    if not call.is_dry_run:
        stored = to_storage(kind, obj)
        cluster.store.put(key, stored)
        metadata["resourceVersion"] = stored["metadata"]["resourceVersion"]
        for done in review.on_success:
            done()
        if effects.after_create is not None:
            effects.after_create(stored)
    return _ordered(kind, obj), warnings


def _new_causes(kind: Kind, obj: Object) -> list[Cause]:
    if kind.is_custom:
        causes = object_meta_causes(obj, kind.resource.namespaced, is_dns_subdomain)
        return causes + validate_custom(obj, kind.node)
    return kind.strategy.validate(obj)


def _fill_new(cluster: Cluster, kind: Kind, obj: Object) -> None:
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    for name in (
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "uid",
        "generation",
        "resourceVersion",
    ):
        metadata.pop(name, None)
    if not metadata.get("name"):
        prefix = metadata.get("generateName")
        if not prefix:
            resource = kind.resource
            raise invalid(
                resource.group,
                resource.kind,
                "",
                [required("metadata.name", "name or generateName is required")],
            )
        metadata["name"] = prefix[:58] + cluster.new_suffix()
    metadata["uid"] = cluster.new_uid()
    metadata["creationTimestamp"] = cluster.now()
    if kind.strategy.has_generation:
        metadata["generation"] = 1


def _ordered(kind: Kind, obj: Object) -> Object:
    """The object with its kind first, as the server writes it."""
    return {
        "kind": kind.resource.kind,
        "apiVersion": kind.resource.api_version,
        **{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}},
    }


# --- update ------------------------------------------------------------------------------------------------------


def write(
    cluster: Cluster, kind: Kind, call: Call, change: Callable[[Object], Object], *, is_forced: bool = False
) -> tuple[Object, list[str]]:
    """Change a stored object.

    Args:
        cluster: where it is stored.
        kind: in which version.
        call: names the object, its part and the user.
        change: gets a copy of the object in the version of ``kind`` and returns the new one.
        is_forced: whether a missing resourceVersion is no matter, as in a patch.

    Raises:
        ApiError: the object is not there, was changed meanwhile, or the change is refused.
    """
    return _undone_unless_stored(
        cluster, kind, call, lambda: _write(cluster, kind, call, change, is_forced=is_forced)
    )


def _write(
    cluster: Cluster, kind: Kind, call: Call, change: Callable[[Object], Object], *, is_forced: bool
) -> tuple[Object, list[str]]:
    key = key_of(kind, call.namespace, call.name)
    record = cluster.store.get(key)
    if record is None:
        raise not_found(*kind.error_names(), call.name)
    old = from_storage(kind, record.object())
    new = change(copy.deepcopy(old))
    _check_version(kind, call, old, new, is_forced=is_forced)
    review = Review(
        cluster, kind, "UPDATE", call.namespace, call.name, call.subresource_name, new, old, call.user, call.is_dry_run
    )  # fmt: skip
    cluster.mutate(review)
    new = review.obj
    effects = cluster.effects.get(kind.shelf, _NONE)
    causes = []
    if effects.before_update is not None and not call.subresource_name:
        causes = effects.before_update(new, old)
    causes = causes or _prepare_and_validate(kind, call, old, new)
    resource = kind.resource
    if causes:
        raise invalid(resource.group, resource.kind, call.name, causes)
    if not call.subresource_name:
        review.warnings += kind.strategy.warnings(new)
    cluster.validate(review)
    new = _ordered(kind, new)
    keep_timestamps(new, old)
    if new == old or call.is_dry_run:
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    else:
        _replace(review, key, new, old)
    return new, review.warnings


def _replace(review: Review, key: Key, new: Object, old: Object) -> None:
    """Store a changed object, or let it go where it waited for nothing but this."""
    cluster, kind = review.cluster, review.kind
    effects = cluster.effects.get(kind.shelf, _NONE)
    metadata = new["metadata"]
    stored = to_storage(kind, new)
    is_finished = _is_finished(kind, new)
    if is_finished:
        cluster.store.delete(key, stored)
    else:
        cluster.store.put(key, stored)
    metadata["resourceVersion"] = stored["metadata"]["resourceVersion"]
    for done in review.on_success:
        done()
    if is_finished and effects.after_delete is not None:
        effects.after_delete(stored)
    elif not is_finished and effects.after_update is not None:
        effects.after_update(stored, old)


def _check_version(kind: Kind, call: Call, old: Object, new: Object, *, is_forced: bool) -> None:
    wanted = new["metadata"].get("resourceVersion") or ""
    current = old["metadata"]["resourceVersion"]
    group, plural = kind.error_names()
    if not wanted:
        if not (is_forced or kind.strategy.allows_unconditional_update):
            raise invalid(
                group, plural, call.name,
                [invalid_value("metadata.resourceVersion", 0, "must be specified for an update")],
            )  # fmt: skip
    elif wanted != current:
        if not wanted.isdigit():
            raise invalid(
                kind.resource.group, kind.resource.kind, call.name,
                [invalid_value("metadata.resourceVersion", wanted, f'strconv.ParseUint: parsing "{wanted}": invalid syntax')],
            )  # fmt: skip
        raise conflict(group, plural, call.name, _MODIFIED)
    uid = new["metadata"].get("uid")
    if uid and uid != old["metadata"]["uid"]:
        raise conflict(
            group, plural, call.name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}",
        )  # fmt: skip


_KEPT = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
    "generateName",
)


def _prepare_and_validate(kind: Kind, call: Call, old: Object, new: Object) -> list[Cause]:
    metadata = new["metadata"]
    for name in _KEPT:
        if name in old["metadata"]:
            if name != "generateName":
                metadata[name] = old["metadata"][name]
        else:
            metadata.pop(name, None)
    strategy = kind.strategy
    part = _PARTS.get(call.subresource_name)
    prepare = strategy.prepare_update
    if call.subresource_name == "status":
        prepare = strategy.prepare_status
    elif part is not None:
        prepare = part[0]
    prepare(new, old)
    metadata = new["metadata"]
    counts = strategy.has_generation and call.subresource_name != "status"
    if counts and _counted(kind, new) != _counted(kind, old):
        metadata["generation"] = int(old["metadata"].get("generation") or 0) + 1
    if kind.is_custom:
        causes = object_meta_update_causes(new, old)
        return causes + validate_custom(new, kind.node, old)
    resource = kind.resource
    if call.subresource_name == "status":
        return status_causes(resource.group, resource.kind)(new, old)
    return (strategy.validate_update if part is None else part[1])(new, old)


def _counted(kind: Kind, obj: Object) -> Any:
    """What a change of raises the generation: the spec, and a Deployment's annotations."""
    if kind.is_custom:
        dropped = {"metadata", "apiVersion", "kind"} | ({"status"} if kind.has_status else set())
        return {key: value for key, value in obj.items() if key not in dropped}
    if kind.resource.qualified == "deployments.apps":
        return obj.get("spec"), obj["metadata"].get("annotations")
    return obj.get("spec")


def _is_finished(kind: Kind, obj: Object) -> bool:
    """An object that waited for its finalizers goes with the last of them; a namespace has some in its specification."""
    metadata = obj["metadata"]
    if kind.shelf == "namespaces" and (obj.get("spec") or {}).get("finalizers"):
        return False
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
    )
