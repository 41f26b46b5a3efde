"""What controllers read: objects decoded once, found by name, namespace or owner.

As client-go's informers are for the real controllers. A cache follows the store write by write, so it is never behind; its
objects belong to everybody and nobody changes them, and they lack ``managedFields``. Whoever writes reads the object afresh
through `Local`.
"""

from collections.abc import Iterator

from stoker.kube.selectors import matches
from stoker.lab.api.convert import from_storage
from stoker.lab.control.local import Local
from stoker.lab.controllers.objects import Object, controller_of
from stoker.lab.store import Change, Record

__all__ = ["Cache", "Caches", "Decoded"]

Place = tuple[str, str]


class Cache:
    """One kind of object."""

    def __init__(self, local: Local, api_version: str, kind: str, decoded: "Decoded") -> None:
        found = local.kind(api_version, kind)
        if found is None:
            raise KeyError(f"{api_version} {kind} is not served")
        self.shelf = found.shelf
        self._kind = found
        self._decoded = decoded
        self._objects: dict[Place, Object] = {}
        self._namespaces: dict[str, dict[Place, None]] = {}
        self._owners: dict[str, dict[Place, None]] = {}
        store = local.cluster.store
        self._subscription = store.subscribe(self.shelf, store.revision, self._follow)
        for place, record in store.scan(self.shelf):
            self._put(place, record)

    def get(self, namespace: str, name: str) -> Object | None:
        return self._objects.get((namespace, name))

    def all(self, namespace: str = "") -> Iterator[Object]:
        """Objects of a namespace, or all, in no particular order."""
        if not namespace:
            return iter(list(self._objects.values()))
        return iter([self._objects[place] for place in self._namespaces.get(namespace, ())])

    def owned(self, uid: str) -> list[Object]:
        """Objects that refer to an owner."""
        return [self._objects[place] for place in self._owners.get(uid, ())]

    def __len__(self) -> int:
        return len(self._objects)

    def _follow(self) -> None:
        changes = self._subscription.changes
        while changes:
            self._take(changes.popleft())

    def _take(self, change: Change) -> None:
        place = (change.key.namespace, change.key.name)
        self._drop(place)
        if not change.is_delete:
            self._put(place, change.record)

    def _put(self, place: Place, record: Record) -> None:
        obj = from_storage(self._kind, self._decoded(record))
        self._objects[place] = obj
        self._namespaces.setdefault(place[0], {})[place] = None
        for owner in obj["metadata"].get("ownerReferences") or ():
            self._owners.setdefault(owner["uid"], {})[place] = None

    def _drop(self, place: Place) -> None:
        obj = self._objects.pop(place, None)
        if obj is None:
            return
        _forget(self._namespaces, place[0], place)
        for owner in obj["metadata"].get("ownerReferences") or ():
            _forget(self._owners, owner["uid"], place)


def _forget(index: dict[str, dict[Place, None]], key: str, place: Place) -> None:
    places = index.get(key)
    if places is None:
        return
    places.pop(place, None)
    if not places:
        del index[key]


class Decoded:
    """The newest objects, decoded once for all who look at a change; nobody changes them."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._objects: dict[int, Object] = {}

    def __call__(self, record: Record) -> Object:
        obj = self._objects.get(record.revision)
        if obj is None:
            obj = record.object()
            obj["metadata"].pop("managedFields", None)
            if len(self._objects) >= self._most:
                del self._objects[next(iter(self._objects))]
            self._objects[record.revision] = obj
        return obj


class Caches:
    """The caches of one set of controllers; each is made when it is first asked for."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.decoded = Decoded()
        self._caches: dict[Place, Cache] = {}

    def __call__(self, api_version: str, kind: str) -> Cache:
        found = self._caches.get((api_version, kind))
        if found is None:
            found = self._caches[api_version, kind] = Cache(self._local, api_version, kind, self.decoded)
        return found

    @property
    def pods(self) -> Cache:
        return self("v1", "Pod")

    # --- what a change concerns -----------------------------------------------------------------------------------

    def now_and_before(self, change: Change) -> list[Object]:
        """The object after a change and before it, in the version of storage; without what is not there."""
        found = [] if change.is_delete else [self.decoded(change.record)]
        if change.before is not None:
            found.append(self.decoded(change.before))
        return found

    def controllers_of(self, change: Change, kind: str) -> set[Place]:
        """Namespace and name of the owner of one kind that manages the object, or did before the change."""
        found = set()
        for obj in self.now_and_before(change):
            owner = controller_of(obj)
            if owner is not None and owner["kind"] == kind:
                found.add((change.key.namespace, owner["name"]))
        return found

    def selecting(self, change: Change, cache: Cache) -> set[Place]:
        """Those objects of a kind whose label selector matches the changed object, or did."""
        labels = [obj["metadata"].get("labels") or {} for obj in self.now_and_before(change)]
        return {
            (change.key.namespace, one["metadata"]["name"])
            for one in cache.all(change.key.namespace)
            if any(matches(one["spec"].get("selector"), some) for some in labels)
        }
