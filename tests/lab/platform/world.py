"""A cluster with the platform's definitions and controllers; tests say what its signals say, and play kubelet and scheduler."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.controllers.world import World, make_world

from stoker.lab.control import LabClock, Manager
from stoker.lab.controllers import controllers as kubernetes
from stoker.lab.crds import install
from stoker.lab.platform import ExternalMetrics, controllers, plugins
from stoker.lab.platform.signals import Answer

Object = dict[str, Any]


@dataclass
class Told:
    """Signals that say what a test puts into them."""

    queries: dict[str, Answer | None] = field(default_factory=dict)
    queues: dict[str, Answer | None] = field(default_factory=dict)
    open: dict[str, float] = field(default_factory=dict)

    def prometheus(self, server: str, query: str) -> Answer | None:
        del server
        return self.queries.get(query, Answer())

    def queue(self, kind: str, metadata: Mapping[str, str]) -> Answer | None:
        del metadata
        return self.queues.get(kind, Answer(error=f"{kind} is silent"))

    def requests(self, name: str) -> float:
        return self.open.get(name, 0.0)


@dataclass
class Platform:
    """The cluster, and what the world outside tells it."""

    world: World
    told: Told

    def __getattr__(self, name: str) -> Any:
        return getattr(self.world, name)

    def run_pods(self) -> None:
        self.world.run_pods(node="n")

    def status(self, kind: str, name: str) -> Object:
        return self.world.fetch(kind, name).get("status") or {}

    def conditions(self, kind: str, name: str) -> dict[str, tuple[str, str]]:
        """By type the status and the reason."""
        return {
            one["type"]: (one["status"], one.get("reason", ""))
            for one in self.status(kind, name).get("conditions") or ()
        }

    def refusal(self, make: Callable[[], Any]) -> str:
        from stoker.lab.status import ApiError

        try:
            make()
        except ApiError as error:
            return error.message
        return ""


def make_platform(*sets: str) -> Platform:
    world = make_world()
    install(world.local, *sets)
    told = Told()
    mine = [
        *kubernetes(world.local, ExternalMetrics(world.local, told)),
        *controllers(world.local, told),
    ]
    manager = Manager(world.store, LabClock(), mine)
    manager.begin()
    world.manager = manager
    world.cluster.plugins = (*world.cluster.plugins, *plugins())
    world.local.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    manager.settle()
    return Platform(world, told)
