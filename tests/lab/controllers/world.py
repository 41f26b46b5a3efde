"""A cluster with all of Kubernetes' controllers, without a wire, a kubelet or a scheduler: tests play those."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from stoker.lab.access.rbac import Authorizer
from stoker.lab.admission import plugins
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.standard_effects import DEFINITIONS, definition_effects, service_effects
from stoker.lab.bootstrap import bootstrap
from stoker.lab.control import Controller, LabClock, Local, Manager
from stoker.lab.controllers import MetricsSource, controllers, prepare_namespace
from stoker.lab.store import Change, Key, Store

Object = dict[str, Any]


@dataclass
class World:
    """A cluster whose time stands still until a test moves it."""

    store: Store
    cluster: Cluster
    local: Local
    user: Local
    controllers: list[Controller]
    manager: Manager
    now: datetime

    def settle(self) -> None:
        self.manager.settle()

    def wait(self, seconds: float) -> None:
        """Let time pass, and have every controller look at everything."""
        self.now += timedelta(seconds=seconds)
        self._look_at_everything()
        self.settle()

    def _look_at_everything(self) -> None:
        for work in self.manager._work:
            for shelf in work.controller.shelves:
                for place, record in self.store.scan(shelf):
                    self.manager._enqueue(work, Change(Key(shelf, *place), record, None, is_delete=False))

    def create(self, obj: Object) -> Object:
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

    def all(self, kind: str, namespace: str = "default") -> list[Object]:
        api_version, _, word = kind.rpartition("/")
        return list(self.user.list(api_version or "v1", word, namespace))

    def names(self, kind: str, namespace: str = "default") -> list[str]:
        return sorted(obj["metadata"]["name"] for obj in self.all(kind, namespace))

    def change(self, kind: str, name: str, change: Any, namespace: str = "default", part: str = "") -> Object:
        obj = self.fetch(kind, name, namespace)
        change(obj)
        changed = self.user.update(obj, part)
        self.settle()
        return changed

    def delete(self, kind: str, name: str, namespace: str = "default", **options: Any) -> None:
        self.user.delete(self.fetch(kind, name, namespace), **options)
        self.settle()

    def run_pod(self, pod: Object, *, phase: str = "Running", ready: bool = True, node: str = "") -> None:
        """Play the kubelet: the pod is in a phase, ready or not since now."""
        if node:
            fresh = self.fetch("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
            fresh["spec"]["nodeName"] = node
            self.store.put(Key("pods", pod["metadata"]["namespace"], pod["metadata"]["name"]), fresh)
        fresh = self.fetch("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
        at = self.cluster.now()
        fresh["status"] = {
            **(fresh.get("status") or {}),
            "phase": phase,
            "podIP": "10.0.0.1",
            "podIPs": [{"ip": "10.0.0.1"}],
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": at}
            ],
        }
        self.user.update(fresh, "status")

    def run_pods(self, **how: Any) -> None:
        """Bring all pods up until nothing is left to bring up."""
        for _ in range(200):
            pending = [
                pod
                for pod in self.all("Pod")
                if (pod.get("status") or {}).get("phase", "Pending") == "Pending"
                and not pod["metadata"].get("deletionTimestamp")
            ]
            if not pending:
                return
            for pod in pending:
                self.run_pod(pod, **how)
            self.settle()

    def events(self, reason: str = "") -> list[str]:
        """Messages of events, in the order of their names."""
        return [one["message"] for one in self.all("Event") if not reason or one["reason"] == reason]


def make_world(metrics: MetricsSource | None = None) -> World:
    """A new cluster, bootstrapped and at rest; autoscalers ask ``metrics``."""
    store = Store(None)
    start = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
    cluster = Cluster(
        store,
        clock=lambda: world.now,
        rng=random.Random(7),  # noqa: S311 - names, no secrets
        plugins=(),
    )
    cluster.plugins = plugins(Authorizer(store))
    cluster.effects |= {"services": service_effects(cluster), DEFINITIONS: definition_effects(cluster)}
    local = Local(cluster, "kube-controller-manager")
    mine = controllers(local, metrics)
    manager = Manager(store, LabClock(), mine)
    world = World(store, cluster, local, Local(cluster, "test"), mine, manager, start)
    manager.begin()
    bootstrap(Local(cluster, "kube-apiserver"), prepare_namespace)
    manager.settle()
    return world


def workload(kind: str, name: str = "d", replicas: int | None = 2, **spec: Any) -> Object:
    """An apps/v1 workload with one container."""
    found: Object = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "registry/c:1"}]},
            },
            **spec,
        },
    }
    if replicas is not None:
        found["spec"]["replicas"] = replicas
    return found


def image(text: str) -> Any:
    """A change of the template's image."""

    def change(obj: Object) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = text

    return change
