"""A cluster with nodes whose time stands still until a test moves it: the manager's timers run in the lab's time."""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from stoker.lab.access.rbac import Authorizer
from stoker.lab.admission import plugins
from stoker.lab.api.cluster import Cluster
from stoker.lab.bootstrap import bootstrap
from stoker.lab.control import Controller, LabClock, Local, Manager
from stoker.lab.controllers import controllers, prepare_namespace
from stoker.lab.nodes import NodeOptions, attach, create_nodes, nodes, parse_nodes
from stoker.lab.store import Store

Object = dict[str, Any]


@dataclass
class Time:
    now: datetime = field(default_factory=lambda: datetime(2026, 1, 5, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now


class SteppedManager(Manager):
    """A manager whose timers are kept in a heap and fire when `advance` reaches them."""

    def __init__(self, store: Store, time: Time, every: Sequence[Controller]) -> None:
        super().__init__(store, LabClock(), every)
        self.time = time
        self._due: list[tuple[datetime, int, Any, tuple[str, str]]] = []
        self._latest: dict[tuple[int, tuple[str, str]], int] = {}
        self._number = 0

    def _reconcile(self, work: Any, target: tuple[str, str]) -> None:
        self._latest.pop((id(work), target), None)
        super()._reconcile(work, target)

    def _later(self, work: Any, target: tuple[str, str], seconds: float) -> None:
        self._number += 1
        self._latest[id(work), target] = self._number
        due = self.time.now + timedelta(seconds=seconds)
        heapq.heappush(self._due, (due, self._number, work, target))

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end = self.time.now + timedelta(seconds=seconds)
        self.settle()
        self._fire(self.time.now)
        while self._due and self._due[0][0] <= end:
            self.time.now = max(self.time.now, self._due[0][0])
            self._fire(self.time.now)
        self.time.now = end
        self.settle()

    def _fire(self, now: datetime) -> None:
        while self._due and self._due[0][0] <= now:
            _, number, work, target = heapq.heappop(self._due)
            if self._latest.get((id(work), target)) == number:
                work.queue[target] = None
                self.settle()


@dataclass
class World:
    store: Store
    cluster: Cluster
    user: Local
    manager: SteppedManager
    controllers: list[Controller]

    def settle(self) -> None:
        self.manager.advance(0)

    def advance(self, seconds: float) -> None:
        self.manager.advance(seconds)

    def until(self, is_so: Callable[[], bool], most: float = 600.0) -> float:
        """Let time pass until something is so; how long it took."""
        start = self.manager.time.now
        while not is_so():
            passed = (self.manager.time.now - start).total_seconds()
            assert passed < most, "it never happened"
            self.advance(0.25)
        return (self.manager.time.now - start).total_seconds()

    def create(self, obj: Object) -> Object:
        if obj["kind"] not in {"Node", "PersistentVolume", "StorageClass", "PriorityClass", "Namespace"}:
            obj["metadata"].setdefault("namespace", "default")
        created = self.user.create(obj)
        self.settle()
        return created

    def get(self, kind: str, name: str, namespace: str = "default") -> Object | None:
        api_version, _, word = kind.rpartition("/")
        return self.user.get(api_version or "v1", word, namespace, name)

    def fetch(self, kind: str, name: str, namespace: str = "default") -> Object:
        found = self.get(kind, name, namespace)
        assert found is not None, f"no {kind} {name}"
        return found

    def node(self, name: str) -> Object:
        return self.fetch("Node", name, "")

    def pod(self, name: str) -> Object:
        return self.fetch("Pod", name)

    def pods(self) -> list[Object]:
        return list(self.user.list("v1", "Pod", "default"))

    def condition(self, obj: Object, kind: str) -> Object:
        return next(one for one in obj["status"]["conditions"] if one["type"] == kind)

    def change(self, obj: Object, change: Callable[[Object], Any], part: str = "") -> Object:
        fresh = self.user.get(
            obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        )
        assert fresh is not None
        change(fresh)
        changed = self.user.update(fresh, part)
        self.settle()
        return changed

    def delete(self, obj: Object, **options: Any) -> None:
        self.user.delete(obj, **options)
        self.settle()

    def events(self, reason: str = "", name: str = "") -> list[str]:
        found = [
            one
            for one in self.user.list("v1", "Event")
            if (not reason or one["reason"] == reason) and (not name or one["involvedObject"]["name"] == name)
        ]
        return [one["message"] for one in sorted(found, key=lambda one: one["metadata"]["resourceVersion"])]


def make_world(
    *shapes: str, options: NodeOptions | None = None, with_workloads: bool = False, **how: Any
) -> World:
    """A cluster with nodes of the given shapes."""
    store = Store(None)
    time = Time()
    cluster = Cluster(store, clock=time, rng=random.Random(7), plugins=())  # noqa: S311
    cluster.plugins = plugins(Authorizer(store))
    bootstrap(Local(cluster, "kube-apiserver"), prepare_namespace)
    if shapes:
        create_nodes(cluster, parse_nodes(shapes, **how))
    mine = nodes(cluster, options or NodeOptions())
    more = controllers(Local(cluster, "kube-controller-manager")) if with_workloads else []
    manager = SteppedManager(store, time, [*more, *mine])
    attach(mine, manager)
    world = World(store, cluster, Local(cluster, "test"), manager, mine)
    world.settle()
    return world


def reopened(world: World) -> World:
    """The same store with everything in memory forgotten, as after ``lab down`` and ``lab up``."""
    mine = nodes(world.cluster, NodeOptions())
    manager = SteppedManager(world.store, world.manager.time, mine)
    attach(mine, manager)
    again = World(world.store, world.cluster, world.user, manager, mine)
    again.settle()
    return again


def pod(name: str = "p", *, gpus: int = 0, **spec: Any) -> Object:
    """A pod with one container ``c``."""
    container: Object = {"name": "c", "image": "registry/app:1"}
    if gpus:
        container["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    container |= spec.pop("container", {})
    metadata: Object = {"name": name, "namespace": "default"} | spec.pop("metadata", {})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], **spec},
    }
