"""The API from within: what controllers, scheduler and kubelets call, without a wire and without text.

It is the same pipeline that requests from outside go through: admission, validation, ownership of fields, conflicts.
"""

import copy
from collections.abc import Iterator
from typing import Any

from stoker.lab.api.call import Call, User
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.convert import from_storage
from stoker.lab.api.deleting import remove
from stoker.lab.api.ownership import own_fields
from stoker.lab.api.served import Kind
from stoker.lab.api.storing import key_of, store_new, write
from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.strategy import Object
from stoker.lab.schema.structural import fill_defaults
from stoker.lab.status import ApiError, conflict

__all__ = ["Local"]

_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Local:
    """A client of one component. ``manager`` is the name under which it owns fields, such as ``kube-controller-manager``."""

    def __init__(self, cluster: Cluster, manager: str) -> None:
        self.cluster = cluster
        self.manager = manager
        self._user = User(f"system:{manager}", ("system:masters", "system:authenticated"))

    # --- reading: copies in the version that the api_version names --------------------------------------------------

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """None where no such kind is served: a CRD that is not installed."""
        return self.cluster.served.find_kind(api_version, kind)

    def get(self, api_version: str, kind: str, namespace: str, name: str) -> Object | None:
        found = self.kind(api_version, kind)
        if found is None:
            return None
        record = self.cluster.store.get(key_of(found, namespace, name))
        return None if record is None else _typed(found, record.object())

    def list(self, api_version: str, kind: str, namespace: str = "") -> Iterator[Object]:
        found = self.kind(api_version, kind)
        if found is None:
            return
        for _, record in self.cluster.store.scan(found.shelf, namespace):
            yield _typed(found, record.object())

    # --- writing --------------------------------------------------------------------------------------------------

    def create(self, obj: Object) -> Object:
        """Create; the object is completed as a body of a request would be.

        Raises:
            ApiError: as for everybody: it exists, is refused, is not valid.
        """
        kind = self._kind_of(obj)
        obj = self._finished(kind, copy.deepcopy(obj))
        call = self._call(
            kind, "create", obj["metadata"].get("namespace", ""), obj["metadata"].get("name", "")
        )
        own_fields(self.cluster, kind, self.manager, None, obj)
        return store_new(self.cluster, kind, call, obj)[0]

    def update(self, obj: Object, subresource: str = "") -> Object:
        """Replace an object, or its status. Its resourceVersion must still be the newest.

        Raises:
            ApiError: 409 where somebody was faster, 404 where it is gone.
        """
        kind = self._kind_of(obj)
        metadata = obj["metadata"]
        call = self._call(kind, "update", metadata.get("namespace", ""), metadata["name"], subresource)

        def change(old: Object) -> Object:
            if metadata.get("resourceVersion") != old["metadata"]["resourceVersion"]:
                raise conflict(*kind.error_names(), metadata["name"], _MODIFIED)
            new = self._finished(kind, copy.deepcopy(obj))
            own_fields(self.cluster, kind, self.manager, old, new, subresource)
            return new

        return write(self.cluster, kind, call, change)[0]

    def update_status(self, obj: Object) -> Object:
        return self.update(obj, "status")

    def delete(self, obj: Object, **options: Any) -> bool:
        """Delete an object if it is still the same one (by uid); whether there was anything to delete.

        Options are those of DeleteOptions: ``gracePeriodSeconds``, ``propagationPolicy``.
        """
        kind = self._kind_of(obj)
        metadata = obj["metadata"]
        call = self._call(kind, "delete", metadata.get("namespace", ""), metadata["name"])
        try:
            remove(self.cluster, kind, call, {"preconditions": {"uid": metadata["uid"]}, **options})
        except ApiError as error:
            if error.code in {404, 409}:
                return False
            raise
        return True

    def _kind_of(self, obj: Object) -> Kind:
        found = self.kind(obj["apiVersion"], obj["kind"])
        if found is None:
            raise ApiError(
                404, "NotFound", f'no matches for kind "{obj["kind"]}" in version "{obj["apiVersion"]}"'
            )
        return found

    def _finished(self, kind: Kind, obj: Object) -> Object:
        if kind.is_custom:
            fill_defaults(obj, kind.node)
            return obj
        obj = canonical(obj, kind.node)
        kind.strategy.default(obj)
        return obj

    def _call(self, kind: Kind, verb: str, namespace: str, name: str, subresource: str = "") -> Call:
        part = kind.resource.subresource(subresource) if subresource else None
        return Call(verb, kind.resource, namespace, name, part, {}, "", "", b"", self._user, self.manager)


def _typed(kind: Kind, stored: Object) -> Object:
    """An object as a controller's Go types hold it: a custom resource has a spec, given or not."""
    obj = from_storage(kind, stored)
    if kind.is_custom:
        obj.setdefault("spec", {})
    return obj
