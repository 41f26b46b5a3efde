"""Create and update: from the body of a request to the store.

Ownership of fields is computed before admission changes the object, so that nobody owns what admission added
(apiserver pkg/endpoints/handlers/{create,update}.go).
"""

import copy

from stoker.lab.api.bodies import check_options, decode, read_object
from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.ownership import own_fields, warning_headers
from stoker.lab.api.served import Kind
from stoker.lab.api.storing import key_of, store_new, write
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import bad_request, not_found

__all__ = ["create", "update"]


def create(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """POST to a collection."""
    check_options(call, "CreateOptions")
    value, duplicates = decode(call.body, call.content_type, takes_protobuf=not kind.is_custom)
    obj, warnings = read_object(call, kind, value, duplicates)
    _place(kind, call, obj)
    own_fields(cluster, kind, call.manager, None, obj)
    stored, more = store_new(cluster, kind, call, obj)
    return Answer(stored, 201, headers=warning_headers(warnings + more))


def _place(kind: Kind, call: Call, obj: Object) -> None:
    """The namespace of the path counts; another one in the body is an error."""
    metadata = obj["metadata"]
    if not kind.resource.namespaced:
        metadata.pop("namespace", None)
        return
    named = metadata.get("namespace")
    if named and named != call.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = call.namespace


def update(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """PUT of an object or of its status."""
    check_options(call, "UpdateOptions")
    value, duplicates = decode(call.body, call.content_type, takes_protobuf=not kind.is_custom)
    obj, warnings = read_object(call, kind, value, duplicates)
    _place(kind, call, obj)
    name = obj["metadata"].get("name")
    if name != call.name:
        if not name:
            obj["metadata"]["name"] = call.name
        else:
            raise bad_request(
                f"the name of the object ({name}) does not match the name on the URL ({call.name})"
            )
    if cluster.store.get(key_of(kind, call.namespace, call.name)) is None:
        if kind.strategy.allows_create_on_update and not call.subresource_name:
            own_fields(cluster, kind, call.manager, None, obj)
            stored, more = store_new(cluster, kind, call, obj)
            return Answer(stored, 201, headers=warning_headers(warnings + more))
        raise not_found(*kind.error_names(), call.name)

    def replace(old: Object) -> Object:
        new = copy.deepcopy(obj)
        own_fields(cluster, kind, call.manager, old, new, call.subresource_name)
        return new

    stored, more = write(cluster, kind, call, replace)
    return Answer(stored, headers=warning_headers(warnings + more))
