"""Delete one object or a collection: grace, finalizers, what happens to dependents.

Sources: apiserver pkg/registry/generic/registry/store.go (Delete, BeforeDelete, deletionFinalizersForGarbageCollection),
pkg/registry/core/pod/strategy.go (CheckGracefulDelete).
"""

from datetime import timedelta
from typing import Any

from stoker.lab.api.bodies import delete_options
from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster, Review, timestamp
from stoker.lab.api.convert import from_storage, to_storage
from stoker.lab.api.reading import selection
from stoker.lab.api.served import Kind
from stoker.lab.api.storing import key_of
from stoker.lab.kinds.pods import termination_grace_s
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import conflict, forbidden, not_found
from stoker.lab.store import Key

__all__ = ["delete", "delete_collection", "remove"]

# Kinds whose deletion answers with the object (ReturnDeletedObject in upstream's registries).
_RETURNED = frozenset(
    ("pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes", "resourcequotas", "podtemplates")
)  # fmt: skip
# Kinds that orphan their dependents where nobody says otherwise.
_ORPHANING = frozenset(("jobs.batch", "replicationcontrollers"))
_PROTECTED = frozenset(("default", "kube-system", "kube-public"))
_GC_FINALIZERS = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}


def delete(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """DELETE of an object."""
    options = delete_options(call)
    is_dry_run = call.is_dry_run or bool(options.get("dryRun"))
    obj, is_gone = remove(cluster, kind, call, options, is_dry_run=is_dry_run)
    returned = kind.resource.qualified in _RETURNED
    if not is_gone or returned:
        return Answer(obj)
    resource = kind.resource
    details = {
        "name": call.name,
        "group": resource.group,
        "kind": resource.plural,
        "uid": obj["metadata"]["uid"],
    }
    return Answer(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }
    )


def delete_collection(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """DELETE of a collection: answers with the list of what was there."""
    records, metadata = selection(cluster, kind, call)
    options = delete_options(call)
    is_dry_run = call.is_dry_run or bool(options.get("dryRun"))
    items = []
    for (namespace, name), record in records:
        if cluster.store.get(Key(kind.shelf, namespace, name)) is None:
            continue
        one = Call(
            "delete", kind.resource, namespace, name, None, call.query, call.accept, call.content_type, b"", call.user
        )  # fmt: skip
        remove(cluster, kind, one, options, is_dry_run=is_dry_run)
        obj = from_storage(kind, record.object())
        if not kind.is_custom:
            obj.pop("kind", None)
            obj.pop("apiVersion", None)
        items.append(obj)
    resource = kind.resource
    return Answer(
        {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}
    )


def remove(
    cluster: Cluster, kind: Kind, call: Call, options: dict[str, Any], *, is_dry_run: bool = False
) -> tuple[Object, bool]:
    """Delete, or begin to: the object's last state, and whether it is gone.

    Raises:
        ApiError: it is not there, is another one than was meant, or may not be deleted.
    """
    key = key_of(kind, call.namespace, call.name)
    record = cluster.store.get(key)
    if record is None:
        raise not_found(*kind.error_names(), call.name)
    obj = from_storage(kind, record.object())
    _check_preconditions(kind, call, obj, options.get("preconditions") or {})
    review = Review(
        cluster, kind, "DELETE", call.namespace, call.name, "", obj, obj, call.user, is_dry_run
    )  # fmt: skip
    cluster.mutate(review)
    cluster.validate(review)
    if kind.shelf == "namespaces":
        return _remove_namespace(cluster, kind, key, obj, is_dry_run=is_dry_run)
    grace = _grace(kind, obj, options)
    changed = _set_finalizers(kind, obj, options)
    metadata = obj["metadata"]
    waits = bool(metadata.get("finalizers"))
    if metadata.get("deletionTimestamp"):
        # A deletion under way can only become faster.
        before = int(metadata.get("deletionGracePeriodSeconds") or 0)
        grace = min(grace, before)
        if grace == before and not changed and (grace or waits):
            return obj, False
    is_pod = kind.resource.qualified == "pods"
    if grace or waits or is_pod:
        _mark(cluster, kind, obj, grace)
    if grace or waits:
        if not is_dry_run:
            _put(cluster, kind, key, obj)
        return obj, False
    if not is_dry_run:
        _delete(cluster, kind, key, obj)
    return obj, True


def _mark(cluster: Cluster, kind: Kind, obj: Object, grace: int) -> None:
    """Write into an object that it is being deleted, and when it will be gone."""
    metadata = obj["metadata"]
    if kind.strategy.has_generation and "generation" in metadata and not metadata.get("deletionTimestamp"):
        metadata["generation"] = int(metadata["generation"]) + 1
    metadata["deletionTimestamp"] = timestamp(cluster.clock() + timedelta(seconds=grace))
    metadata["deletionGracePeriodSeconds"] = grace


def _delete(cluster: Cluster, kind: Kind, key: Key, obj: Object) -> None:
    stored = to_storage(kind, obj)
    cluster.store.delete(key, stored)
    obj["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
    effects = cluster.effects.get(kind.shelf)
    if effects is not None and effects.after_delete is not None:
        effects.after_delete(stored)


def _put(cluster: Cluster, kind: Kind, key: Key, obj: Object) -> None:
    stored = to_storage(kind, obj)
    cluster.store.put(key, stored)
    obj["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]


def _check_preconditions(kind: Kind, call: Call, obj: Object, wanted: dict[str, Any]) -> None:
    for field, text in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        value = wanted.get(field)
        if value is not None and value != obj["metadata"].get(field):
            raise conflict(
                *kind.error_names(),
                call.name,
                f"the {text} in the precondition ({value}) does not match the {text} in record ({obj['metadata'].get(field)}). "
                "The object might have been deleted and then recreated"
                if field == "uid"
                else f"the {text} in the precondition ({value}) does not match the {text} in record "
                f"({obj['metadata'].get(field)}). The object might have been modified",
            )


def _grace(kind: Kind, obj: Object, options: dict[str, Any]) -> int:
    """Seconds until the object goes; only pods have any."""
    if kind.resource.qualified != "pods":
        return 0
    return termination_grace_s(obj, options.get("gracePeriodSeconds"))


def _set_finalizers(kind: Kind, obj: Object, options: dict[str, Any]) -> bool:
    """Put in or take out what the garbage collector waits for; whether anything changed."""
    policy = options.get("propagationPolicy")
    if policy is None and options.get("orphanDependents") is not None:
        policy = "Orphan" if options["orphanDependents"] else "Background"
    metadata = obj["metadata"]
    before = list(metadata.get("finalizers") or ())
    if policy is None:
        if any(one in before for one in _GC_FINALIZERS.values()):
            return False
        policy = "Orphan" if kind.resource.qualified in _ORPHANING else "Background"
    after = [one for one in before if one not in _GC_FINALIZERS.values()]
    if policy in _GC_FINALIZERS:
        after.append(_GC_FINALIZERS[policy])
    if after == before:
        return False
    if after:
        metadata["finalizers"] = after
    else:
        metadata.pop("finalizers", None)
    return True


def _remove_namespace(
    cluster: Cluster, kind: Kind, key: Key, obj: Object, *, is_dry_run: bool
) -> tuple[Object, bool]:
    """A namespace terminates first; it goes when its content has gone and nobody finalizes it (registry/core/namespace)."""
    name = key.name
    if name in _PROTECTED:
        raise forbidden("", "namespaces", name, "this namespace may not be deleted")
    metadata = obj["metadata"]
    if not metadata.get("deletionTimestamp"):
        metadata["deletionTimestamp"] = cluster.now()
        obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        if not is_dry_run:
            _put(cluster, kind, key, obj)
        return obj, False
    if (obj.get("spec") or {}).get("finalizers") or metadata.get("finalizers"):
        return obj, False
    if not is_dry_run:
        _delete(cluster, kind, key, obj)
    return obj, True
