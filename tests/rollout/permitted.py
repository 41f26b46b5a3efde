"""Requests as an API server's RBAC sees them, held against the roles that `stoker rbac` prints."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import httpx2

from stoker.cli.rights import commands
from stoker.kube.cluster import Cluster

__all__ = ["Asked", "asked", "denied", "recorded", "within_rights"]

_PATH: Final = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Asked(NamedTuple):
    """What the authorizer is asked."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


def asked(method: str, url: str, *, watch: bool = False) -> Asked | None:
    """None for what needs no right of ours: discovery, what a lab lets everybody read, a lab's own switches."""
    found = _PATH.match(url)
    if found is None or found["namespace"] == "kube-public":
        return None
    resource, name = found["resource"], found["name"] or ""
    if found["sub"]:
        resource = f"{resource}/{found['sub']}"
        name = name.partition(":")[0]
    verb = _VERBS.get(method) or ("watch" if watch else "get" if name else "list")
    return Asked(verb, found["group"] or "", resource, found["namespace"] or "", name)


def _allows(rule: dict[str, Any], one: Asked) -> bool:
    return (
        ("*" in rule["apiGroups"] or one.group in rule["apiGroups"])
        and ("*" in rule["resources"] or one.resource in rule["resources"])
        and one.verb in rule["verbs"]
        and ("resourceNames" not in rule or one.name in rule["resourceNames"])
    )


def denied(requests: Sequence[Asked], command: str) -> list[Asked]:
    """Requests that the roles of a command do not allow."""
    roles = [role for role in commands()[command].roles(()) if "rules" in role]
    return sorted(
        {
            one
            for one in requests
            if not any(
                _allows(rule, one)
                for role in roles
                if role["metadata"].get("namespace") in {None, one.namespace}
                for rule in role["rules"]
            )
        }
    )


@contextmanager
def recorded(cluster: Cluster) -> Iterator[list[Asked]]:
    """Everything that is asked of the API server meanwhile, by this connection and those made from it."""
    seen: list[Asked] = []

    def hear(request: httpx2.Request) -> None:
        one = asked(request.method, request.url.path, watch="watch" in request.url.params)
        if one is not None:
            seen.append(one)

    def listening(client: httpx2.Client) -> httpx2.Client:
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "request": [*hooks["request"], hear]}
        return client

    client, opener = cluster._sender.client, cluster._opener
    assert opener is not None
    before = client.event_hooks
    listening(client)
    cluster._opener = lambda: listening(opener())
    try:
        yield seen
    finally:
        client.event_hooks, cluster._opener = before, opener


@contextmanager
def within_rights(cluster: Cluster, command: str = "rollout gate") -> Iterator[None]:
    """Nothing is asked for meanwhile that the roles of a command do not allow."""
    with recorded(cluster) as seen:
        yield
    assert [] == denied(seen, command)
