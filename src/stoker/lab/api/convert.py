"""Between the version that a client asks for and the one that is stored."""

from stoker.lab.api.served import Kind
from stoker.lab.kinds.autoscaling_conversion import v1_to_v2, v2_to_v1
from stoker.lab.kinds.events_conversion import event_to_core, event_to_events_v1
from stoker.lab.kinds.strategy import Object

__all__ = ["from_storage", "to_storage"]


def to_storage(kind: Kind, obj: Object) -> Object:
    """The object as it is stored; the same one where the versions are the same."""
    resource = kind.resource
    if resource.api_version == kind.storage_version:
        return obj
    if resource.group == "autoscaling":
        return v1_to_v2(obj)
    if resource.group == "events.k8s.io":
        return event_to_core(obj)
    return {**obj, "apiVersion": kind.storage_version}


def from_storage(kind: Kind, obj: Object) -> Object:
    """A stored object in the version of ``kind``."""
    resource = kind.resource
    if resource.api_version == kind.storage_version:
        return obj
    if resource.group == "autoscaling":
        return v2_to_v1(obj)
    if resource.group == "events.k8s.io":
        return event_to_events_v1(obj)
    # Custom resources without a conversion webhook: only the version differs (spec.conversion.strategy None).
    return {**obj, "apiVersion": resource.api_version}
