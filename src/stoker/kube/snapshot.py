"""What a command knows of a cluster: plain objects with their origin, immutable and indexed.

A snapshot never claims more than was read. `Snapshot.knows` tells whether a kind was read in whole, so that "there is none"
can be told from "none was shown to us"; `Snapshot.unread` lists what could not be read and why.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

__all__ = ["Item", "Malformed", "Origin", "Snapshot", "Source", "Unread"]

Object = dict[str, Any]

_KSERVE: Final = frozenset({"InferenceService", "LLMInferenceService"})


class Origin(StrEnum):
    FILES = "files"  # manifests: what is meant to be
    DUMP = "dump"  # `kubectl get -o json|yaml`: what was, as far as it was asked for
    LIVE = "live"  # an API server


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was read.

    Attributes:
        file: name as given, ``-`` for standard input, the API path for a live object.
        line: 1-based first line of the object; 0 where there is none.
        document: 0-based index of the YAML document in the file.
        within: path of the object in its document: empty, or ``("items", 3)`` in a List.
        remarks: comments of the document that speak to Stoker (``# stoker:ignore …``), with their lines.
    """

    file: str = ""
    line: int = 0
    document: int = 0
    within: tuple[str | int, ...] = ()
    remarks: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Malformed:
    """A field whose type no API server takes; it was left out of `Item.obj`."""

    path: tuple[str | int, ...]
    found: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that was there and could not be looked at.

    Attributes:
        what: a file, a kind, an API path.
        reason: why, with what to do about it.
        line: 1-based line, 0 where there is none.
        harmless: it is no cluster state at all (a chart's values, a README); told, but no gap.
    """

    what: str
    reason: str
    line: int = 0
    harmless: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One object and where it came from.

    Attributes:
        group, version: of ``apiVersion``; the core group is empty.
        namespace: empty for cluster-scoped kinds and where a manifest leaves it to ``kubectl -n``.
        obj: the object with nulls and malformed fields left out: a field whose type is declared in
            `kube.shapes` has that type.
        live: an API server has seen it (it has a uid).
        malformed: fields that were left out.
    """

    group: str
    version: str
    kind: str
    namespace: str
    name: str
    obj: Object
    source: Source
    live: bool = False
    malformed: tuple[Malformed, ...] = ()

    @property
    def item(self) -> "Item":
        """Itself: rules take whatever has an item."""
        return self

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """``Deployment.apps``, ``Pod``: kind and group, whatever the version."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def spec(self) -> Object:
        return self.section("spec")

    @property
    def status(self) -> Object:
        return self.section("status")

    @property
    def labels(self) -> dict[str, str]:
        return self.section("metadata", "labels")

    @property
    def annotations(self) -> dict[str, str]:
        return self.section("metadata", "annotations")

    @property
    def uid(self) -> str:
        uid = self.section("metadata").get("uid")
        return uid if isinstance(uid, str) else ""

    @property
    def by_kserve(self) -> bool:
        """Whether KServe made it: its webhook adds weights to its pods, and its InferenceService stands for it."""
        return any(owner.get("kind") in _KSERVE for owner in owners(self))

    def section(self, *path: str) -> dict[str, Any]:
        """The mapping at ``path``, empty where there is none."""
        value: Any = self.obj
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value if isinstance(value, dict) else {}

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Every object that was read.

    Attributes:
        items: in the order read.
        unread: what could not be read.
        origin: where it is from.
        listed: for a live cluster, the kinds (``Pod``, ``Deployment.apps``) that were listed in whole.
        kubernetes: minor version of the server, such as ``1.35``; empty where unknown.
        closed: the user says that this is all there is.
    """

    items: tuple[Item, ...]
    unread: tuple[Unread, ...] = ()
    origin: Origin = Origin.FILES
    listed: frozenset[str] = frozenset()
    kubernetes: str = ""
    closed: bool = False

    @cached_property
    def _by_kind(self) -> Mapping[str, tuple[Item, ...]]:
        index: dict[str, list[Item]] = defaultdict(list)
        for item in self.items:
            index[item.resource].append(item)
        return {kind: tuple(found) for kind, found in index.items()}

    @cached_property
    def _by_namespace(self) -> Mapping[tuple[str, str], tuple[Item, ...]]:
        index: dict[tuple[str, str], list[Item]] = defaultdict(list)
        for item in self.items:
            index[item.resource, item.namespace].append(item)
        return {key: tuple(found) for key, found in index.items()}

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str, str], Item]:
        return {(item.resource, item.namespace, item.name): item for item in self.items}

    @cached_property
    def _by_uid(self) -> Mapping[str, Item]:
        return {item.uid: item for item in self.items if item.uid}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Every kind read, sorted."""
        return tuple(sorted(self._by_kind))

    def of(self, *resources: str) -> tuple[Item, ...]:
        """Objects of the kinds, such as ``of("Pod", "Deployment.apps")``, in the order read within a kind."""
        if len(resources) == 1:
            return self._by_kind.get(resources[0], ())
        return tuple(item for resource in resources for item in self._by_kind.get(resource, ()))

    def within(self, resource: str, namespace: str) -> tuple[Item, ...]:
        """Objects of a kind in one namespace."""
        return self._by_namespace.get((resource, namespace), ())

    def get(self, resource: str, namespace: str, name: str) -> Item | None:
        """The object of that name; of several definitions of it, the last."""
        return self._by_name.get((resource, namespace, name))

    def owner(self, item: Item) -> Item | None:
        """The controller of ``item`` where it was read too."""
        for owner in owners(item):
            if owner.get("controller") and owner.get("uid") in self._by_uid:
                return self._by_uid[owner["uid"]]
        return None

    def knows(self, resource: str, namespace: str = "") -> bool:
        """Whether an object of this kind that is not here is not in the cluster either.

        True for a kind listed from a live API and for a source that the user calls complete. A dump knows the kinds it
        holds objects of: in their namespaces, and everywhere once it holds them of two. Manifests know nothing.
        """
        if self.closed:
            return True
        if self.origin is Origin.LIVE:
            return resource in self.listed
        if self.origin is Origin.DUMP:
            found = [item for item in self.of(resource) if item.live]
            namespaces = {item.namespace for item in found}
            return namespace in namespaces or len(namespaces) > 1
        return False


def owners(item: Item) -> list[dict[str, Any]]:
    """``metadata.ownerReferences``, of whatever type it has."""
    found = item.section("metadata").get("ownerReferences")
    return [owner for owner in found if isinstance(owner, dict)] if isinstance(found, list) else []
