"""One request to the API, understood: which verb on which resource, by whom."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from stoker.lab.resources import Resource, Subresource
from stoker.lab.status import ApiError

__all__ = ["Answer", "Call", "Route", "User", "no_such_resource", "split_path"]


@dataclass(frozen=True, slots=True)
class User:
    """Who asks. ``extra`` carries such things as the pod that a service account's token is bound to."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """What a path under ``/api`` or ``/apis`` names. ``is_watch`` marks the old ``/watch/`` prefix."""

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str
    rest: str
    is_watch: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A request with its resource found and its user known."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: Subresource | None
    query: dict[str, str]
    accept: str
    content_type: str
    body: bytes
    user: User
    user_agent: str = ""
    rest: str = ""

    @property
    def manager(self) -> str:
        """Who owns the fields of this write: the query's word, or the client's own name."""
        return self.query.get("fieldManager") or self.user_agent.partition("/")[0][:128] or "unknown"

    @property
    def is_dry_run(self) -> bool:
        return "dryRun" in self.query

    @property
    def subresource_name(self) -> str:
        return self.subresource.name if self.subresource is not None else ""


@dataclass(slots=True)
class Answer:
    """An answer: an object, text that is JSON already, or a stream of text that comes as it comes."""

    document: Any = None
    code: int = 200
    text: bytes | None = None
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None


def no_such_resource() -> ApiError:
    """A group that is served, and no resource of it."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def split_path(path: str) -> Route | None:
    """The parts of a resource path; None where the path names none, such as ``/version`` or ``/apis/apps/v1``."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    is_watch = rest[0] == "watch" and len(rest) > 1
    if is_watch:
        rest = rest[1:]
    namespace = ""
    # A namespace itself is a resource, and so are its subresources: /namespaces/x, /namespaces/x/status.
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
    plural = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    return Route(group, version, namespace, plural, name, subresource, "/".join(rest[3:]), is_watch)
