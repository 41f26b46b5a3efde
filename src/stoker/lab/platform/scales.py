"""The scale subresource, as components use it: what a workload is asked for, what it has, which pods are its."""

import json
from dataclasses import dataclass
from typing import NamedTuple

from stoker.lab.api.call import Call, User, no_such_resource
from stoker.lab.api.served import Kind
from stoker.lab.api.subresources import get_scale, write_scale
from stoker.lab.control.local import Local
from stoker.lab.resources import SUBRESOURCES

__all__ = ["Place", "Scale", "read_scale", "write_replicas"]


class Place(NamedTuple):
    """Which object."""

    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Scale:
    """``replicas`` that are asked for, ``current`` that there are; ``selector`` as text."""

    replicas: int
    current: int
    selector: str


def read_scale(local: Local, place: Place) -> Scale:
    """The scale of an object.

    Raises:
        ApiError: there is no such object, or objects of its kind have no scale.
    """
    kind = _kind(local, place)
    found = get_scale(local.cluster, kind, _call(local, kind, place, "get")).document
    return Scale(
        int(found["spec"].get("replicas") or 0),
        int(found["status"].get("replicas") or 0),
        found["status"].get("selector") or "",
    )


def write_replicas(local: Local, place: Place, replicas: int) -> None:
    """Ask for so many replicas.

    Raises:
        ApiError: as for everybody.
    """
    kind = _kind(local, place)
    body = json.dumps({"spec": {"replicas": replicas}}).encode()
    write_scale(local.cluster, kind, _call(local, kind, place, "patch", body))


def _kind(local: Local, place: Place) -> Kind:
    found = local.kind(place.api_version, place.kind)
    if found is None or found.resource.subresource("scale") is None:
        raise no_such_resource()
    return found


def _call(local: Local, kind: Kind, place: Place, verb: str, body: bytes = b"") -> Call:
    user = User(f"system:{local.manager}", ("system:masters", "system:authenticated"))
    return Call(
        verb, kind.resource, place.namespace, place.name, SUBRESOURCES["scale"], {}, "",
        "application/merge-patch+json", body, user, local.manager,
    )  # fmt: skip
