"""The scale subresource, as components use it: what a workload is asked for, what it has, which pods are its."""

import json
from dataclasses import dataclass

from stoker.lab.api.call import Call, User, no_such_resource
from stoker.lab.api.served import Kind
from stoker.lab.api.subresources import get_scale, write_scale
from stoker.lab.control.local import Local
from stoker.lab.resources import SUBRESOURCES

__all__ = ["Scale", "qualified_kind", "read_scale", "write_replicas"]


@dataclass(frozen=True, slots=True)
class Scale:
    """``replicas`` that are asked for, ``current`` that there are; ``selector`` as text."""

    replicas: int
    current: int
    selector: str


def qualified_kind(api_version: str, kind: str) -> str:
    """``apps/v1.Deployment``, as KEDA writes a group, version and kind."""
    return f"{api_version}.{kind}"


def read_scale(local: Local, api_version: str, kind: str, namespace: str, name: str) -> Scale:
    """The scale of an object.

    Raises:
        ApiError: there is no such object, or objects of its kind have no scale.
    """
    call = _call(local, "get", api_version, kind, namespace, name, b"")
    found = get_scale(local.cluster, _kind(local, api_version, kind), call).document
    return Scale(
        int(found["spec"].get("replicas") or 0),
        int(found["status"].get("replicas") or 0),
        found["status"].get("selector") or "",
    )


def write_replicas(
    local: Local, api_version: str, kind: str, namespace: str, name: str, replicas: int
) -> None:
    """Ask for so many replicas.

    Raises:
        ApiError: as for everybody.
    """
    body = json.dumps({"spec": {"replicas": replicas}}).encode()
    call = _call(local, "patch", api_version, kind, namespace, name, body)
    write_scale(local.cluster, _kind(local, api_version, kind), call)


def _kind(local: Local, api_version: str, kind: str) -> Kind:
    found = local.kind(api_version, kind)
    if found is None or found.resource.subresource("scale") is None:
        raise no_such_resource()
    return found


def _call(
    local: Local, verb: str, api_version: str, kind: str, namespace: str, name: str, body: bytes
) -> Call:
    user = User(f"system:{local.manager}", ("system:masters", "system:authenticated"))
    return Call(
        verb, _kind(local, api_version, kind).resource, namespace, name, SUBRESOURCES["scale"], {}, "",
        "application/merge-patch+json", body, user, local.manager,
    )  # fmt: skip
