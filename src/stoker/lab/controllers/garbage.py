"""The garbage collector: what nobody owns any more goes; what shall outlive its owner is let go of.

Source: kubernetes pkg/controller/garbagecollector/{garbagecollector.go,graph_builder.go}.

The graph follows the store write by write, so it is never behind, and needs no virtual nodes: whether an owner is there is
asked of the store.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from stoker.lab.api.served import Kind
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Target
from stoker.lab.controllers.objects import Object
from stoker.lab.store import Change, Record, Subscription

__all__ = ["GarbageCollector", "classify"]

_ORPHAN = "orphan"
_FOREGROUND = "foregroundDeletion"
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
# ignoredResources: events belong to nobody.
_IGNORED = frozenset(("events",))

_Place = tuple[str, str, str]
_LATE: Target = ("", "")
_LATE_S = 1.0


class _Metadata(msgspec.Struct, rename="camel"):
    uid: str
    owner_references: list[Object] | None = None
    finalizers: list[str] | None = None
    deletion_timestamp: str | None = None


class _Owned(msgspec.Struct):
    """All that is read of an object: a definition has a hundred thousand bytes of schema beside it."""

    metadata: _Metadata


_owned = msgspec.json.Decoder(_Owned).decode


@dataclass(frozen=True, slots=True)
class _Node:
    """What the collector keeps of an object."""

    uid: str
    owners: tuple[Object, ...]
    finalizers: tuple[str, ...]
    is_going: bool

    @property
    def waits_for_dependents(self) -> bool:
        return self.is_going and _FOREGROUND in self.finalizers


def _node_of(record: Record) -> _Node:
    metadata = _owned(record.text).metadata
    return _Node(
        metadata.uid,
        tuple(metadata.owner_references or ()),
        tuple(metadata.finalizers or ()),
        bool(metadata.deletion_timestamp),
    )


class _Graph:
    """Objects by place, and dependents by their owners' uids."""

    def __init__(self, local: Local) -> None:
        self._store = local.cluster.store
        self._served = local.cluster.served
        self._nodes: dict[_Place, _Node] = {}
        self._dependents: dict[str, dict[_Place, None]] = {}
        self._subscriptions: dict[str, Subscription] = {}
        # Changes of kinds that came after the manager began to watch.
        self.late: deque[Change] | None = None
        self.follow_kinds()
        self.late = deque()

    def follow_kinds(self) -> None:
        """Follow every kind that is served and not followed yet."""
        for kind in self._served.stored():
            if kind.shelf in self._subscriptions or kind.shelf in _IGNORED:
                continue
            for (namespace, name), record in self._store.scan(kind.shelf):
                self._put((kind.shelf, namespace, name), record)
            self._subscriptions[kind.shelf] = self._store.subscribe(
                kind.shelf, self._store.revision, self._follow(kind.shelf, self.late)
            )

    def shelves(self) -> list[str]:
        return sorted(self._subscriptions)

    def _follow(self, shelf: str, late: deque[Change] | None) -> Callable[[], None]:
        def take() -> None:
            changes = self._subscriptions[shelf].changes
            while changes:
                change = changes.popleft()
                if late is not None:
                    late.append(change)
                place = (shelf, change.key.namespace, change.key.name)
                self._drop(place)
                if not change.is_delete:
                    self._put(place, change.record)

        return take

    def _put(self, place: _Place, record: Record) -> None:
        node = _node_of(record)
        if not node.owners and not node.finalizers:
            # Nothing to decide about it; whether it is there is asked of the store.
            return
        self._nodes[place] = node
        for owner in node.owners:
            self._dependents.setdefault(owner["uid"], {})[place] = None

    def _drop(self, place: _Place) -> None:
        node = self._nodes.pop(place, None)
        if node is None:
            return
        for owner in node.owners:
            places = self._dependents.get(owner["uid"], {})
            places.pop(place, None)
            if not places:
                self._dependents.pop(owner["uid"], None)

    def get(self, place: _Place) -> _Node | None:
        return self._nodes.get(place)

    def dependents(self, uid: str) -> list[tuple[_Place, _Node]]:
        return [(place, self._nodes[place]) for place in self._dependents.get(uid, ())]


def classify(
    references: Iterable[tuple[Object, Object | None]],
) -> tuple[list[Object], list[Object], list[Object]]:
    """References to owners that hold an object, that are not there, and that wait for the object to go.

    Args:
        references: each with the owner that it names, None where there is none with that uid.
    """
    solid: list[Object] = []
    dangling: list[Object] = []
    waiting: list[Object] = []
    for reference, owner in references:
        if owner is None:
            dangling.append(reference)
        elif owner["metadata"].get("deletionTimestamp") and _FOREGROUND in (
            owner["metadata"].get("finalizers") or ()
        ):
            waiting.append(reference)
        else:
            solid.append(reference)
    return solid, dangling, waiting


class GarbageCollector:
    """The controller. Its targets are ``(shelf, namespace/name)``."""

    name = "garbagecollector"

    def __init__(self, local: Local) -> None:
        self._local = local
        self._graph = _Graph(local)
        self.shelves: Sequence[str] = self._graph.shelves()

    def targets(self, change: Change) -> Iterator[Target]:
        if change.key.resource == _DEFINITIONS:
            self._graph.follow_kinds()
            yield _LATE
        yield from self._targets(change)
        yield from self._late()

    def _late(self) -> Iterator[Target]:
        late = self._graph.late
        while late:
            yield from self._targets(late.popleft())

    def _targets(self, change: Change) -> Iterator[Target]:
        place = (change.key.resource, change.key.namespace, change.key.name)
        now = None if change.is_delete else _node_of(change.record)
        before = None if change.before is None else _node_of(change.before)
        if now is not None and (now.owners or (now.is_going and now.finalizers)):
            yield _target(place)
        if now is not None and now.is_going and (before is None or before != now):
            for dependent, _ in self._graph.dependents(now.uid):
                yield _target(dependent)
        if before is None or now == before:
            return
        if now is None:
            for dependent, _ in self._graph.dependents(before.uid):
                yield _target(dependent)
        # An owner may have waited for this one to go, or to let it go.
        for owner in before.owners:
            kind = self._local.kind(owner.get("apiVersion", ""), owner.get("kind", ""))
            if kind is not None:
                namespace = change.key.namespace if kind.resource.namespaced else ""
                yield _target((kind.shelf, namespace, owner["name"]))

    def reconcile(self, target: Target) -> float | None:
        if target == _LATE:
            # The manager watches the kinds that it knew; what others do is looked at now and then.
            for one in list(self._late()):
                self.reconcile(one)
            return _LATE_S
        place = _place(target)
        node = self._graph.get(place)
        if node is not None:
            self._look(place, node)
        return None

    def _look(self, place: _Place, node: _Node) -> None:
        if node.is_going and _ORPHAN in node.finalizers:
            self._orphan(place, node)
        elif node.waits_for_dependents:
            self._wait_for_dependents(place, node)
        elif not node.is_going and node.owners:
            self._judge(place, node)

    # --- owners that go -------------------------------------------------------------------------------------------

    def _orphan(self, place: _Place, node: _Node) -> None:
        for dependent, _ in self._graph.dependents(node.uid):
            self._without_owners(dependent, {node.uid})
        self._without_finalizer(place, _ORPHAN)

    def _wait_for_dependents(self, place: _Place, node: _Node) -> None:
        dependents = self._graph.dependents(node.uid)
        if not any(_blocks(one, node.uid) for _, one in dependents):
            self._without_finalizer(place, _FOREGROUND)
            return
        for dependent, one in dependents:
            if not one.is_going:
                self._judge(dependent, one)

    # --- dependents -----------------------------------------------------------------------------------------------

    def _judge(self, place: _Place, node: _Node) -> None:
        """Delete an object that no owner holds; take away references to owners that are not there."""
        owners = [(reference, self._owner(place, reference)) for reference in node.owners]
        if any(owner is _UNKNOWN for _, owner in owners):
            # Nobody knows the owner's kind, or it lives where it cannot own this: not ours to decide.
            return
        solid, dangling, waiting = classify(owners)
        if solid:
            if dangling or waiting:
                self._without_owners(place, {one["uid"] for one in dangling + waiting})
            return
        obj = self._object(place)
        if obj is None:
            return
        dependents = self._graph.dependents(node.uid)
        if waiting and dependents:
            if any(one.waits_for_dependents for _, one in dependents):
                # A circle of owners that wait for each other would never end.
                obj = self._unblock(obj)
            self._local.delete(obj, propagationPolicy="Foreground")
            return
        policy = "Background"
        if _ORPHAN in node.finalizers:
            policy = "Orphan"
        elif _FOREGROUND in node.finalizers:
            policy = "Foreground"
        self._local.delete(obj, propagationPolicy=policy)

    def _owner(self, place: _Place, reference: Object) -> Object | None:
        kind = self._local.kind(reference.get("apiVersion", ""), reference.get("kind", ""))
        if kind is None or (kind.resource.namespaced and not place[1]):
            return _UNKNOWN
        namespace = place[1] if kind.resource.namespaced else ""
        owner = self._local.get(reference["apiVersion"], reference["kind"], namespace, reference["name"])
        return owner if owner is not None and owner["metadata"]["uid"] == reference["uid"] else None

    # --- writes ---------------------------------------------------------------------------------------------------

    def _kind(self, shelf: str) -> Kind | None:
        return next((kind for kind in self._local.cluster.served.stored() if kind.shelf == shelf), None)

    def _object(self, place: _Place) -> Object | None:
        kind = self._kind(place[0])
        if kind is None:
            return None
        return self._local.get(kind.resource.api_version, kind.resource.kind, place[1], place[2])

    def _without_owners(self, place: _Place, uids: set[str]) -> None:
        obj = self._object(place)
        if obj is None:
            return
        references = obj["metadata"].get("ownerReferences") or []
        left = [one for one in references if one["uid"] not in uids]
        if len(left) != len(references):
            _set(obj["metadata"], "ownerReferences", left)
            self._local.update(obj)

    def _without_finalizer(self, place: _Place, finalizer: str) -> None:
        obj = self._object(place)
        if obj is None:
            return
        finalizers = obj["metadata"].get("finalizers") or []
        if finalizer in finalizers:
            _set(obj["metadata"], "finalizers", [one for one in finalizers if one != finalizer])
            self._local.update(obj)

    def _unblock(self, obj: Object) -> Object:
        for one in obj["metadata"].get("ownerReferences") or ():
            if one.get("blockOwnerDeletion"):
                one["blockOwnerDeletion"] = False
        return self._local.update(obj)


_UNKNOWN: Object = {}


def _set(metadata: Object, name: str, values: list[object]) -> None:
    if values:
        metadata[name] = values
    else:
        metadata.pop(name, None)


def _blocks(node: _Node, uid: str) -> bool:
    return any(one["uid"] == uid and one.get("blockOwnerDeletion") for one in node.owners)


def _target(place: _Place) -> Target:
    return place[0], f"{place[1]}/{place[2]}"


def _place(target: Target) -> _Place:
    namespace, _, name = target[1].partition("/")
    return target[0], namespace, name
