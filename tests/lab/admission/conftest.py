"""A cluster in memory with every admission plugin, and writes that go through them."""

import json
import random
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stoker.lab.access.rbac import Authorizer
from stoker.lab.admission import plugins
from stoker.lab.api.call import User
from stoker.lab.api.cluster import Cluster, Plugin, Review
from stoker.lab.api.served import Kind
from stoker.lab.store import Key, Store

Object = dict[str, Any]
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
ADMIN = User("admin", ("system:masters", "system:authenticated"))


@dataclass
class World:
    """A cluster, and what a test does with it."""

    cluster: Cluster
    plugins: dict[str, Plugin]
    user: User = ADMIN
    made: int = field(default=0)

    def kind(self, api_version: str, kind: str) -> Kind:
        found = self.cluster.served.find_kind(api_version, kind)
        assert found is not None
        return found

    def review(
        self,
        obj: Object,
        operation: str = "CREATE",
        *,
        old: Object | None = None,
        subresource: str = "",
        is_dry_run: bool = False,
    ) -> Review:
        """A write of an object; it is copied first."""
        kind = self.kind(obj["apiVersion"], obj["kind"])
        obj = deepcopy(obj)
        namespace = obj["metadata"].get("namespace", "")
        return Review(
            self.cluster, kind, operation, namespace, obj["metadata"].get("name", ""), subresource, obj, old, self.user,
            is_dry_run,
        )  # fmt: skip

    def mutate(self, name: str, obj: Object, operation: str = "CREATE", **more: Any) -> Review:
        review = self.review(obj, operation, **more)
        mutate = self.plugins[name].mutate
        assert mutate is not None
        mutate(review)
        return review

    def validate(self, name: str, obj: Object, operation: str = "CREATE", **more: Any) -> Review:
        review = self.review(obj, operation, **more)
        validate = self.plugins[name].validate
        assert validate is not None
        validate(review)
        return review

    def put(self, obj: Object) -> Object:
        """Store an object as it is, past admission."""
        kind = self.kind(obj["apiVersion"], obj["kind"])
        self.made += 1
        metadata = {
            "uid": f"u{self.made}",
            "creationTimestamp": self.cluster.now(),
            **obj["metadata"],
        }
        stored = {**deepcopy(obj), "metadata": metadata}
        self.cluster.store.put(Key(kind.shelf, metadata.get("namespace", ""), metadata["name"]), stored)
        return stored

    def admit(
        self, obj: Object, operation: str = "CREATE", *, old: Object | None = None, **more: Any
    ) -> Review:
        """Through all plugins and into the store, as the pipeline does without its validation."""
        review = self.review(obj, operation, old=old, **more)
        for plugin in self.cluster.plugins:
            if plugin.mutate is not None:
                plugin.mutate(review)
        for plugin in self.cluster.plugins:
            if plugin.validate is not None:
                plugin.validate(review)
        if not review.is_dry_run:
            self.put(review.obj)
            for done in review.on_success:
                done()
        return review

    def namespace(
        self, name: str = "n", labels: dict[str, str] | None = None, phase: str = "Active"
    ) -> Object:
        return self.put(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": labels or {}},
                "status": {"phase": phase},
            }
        )

    def quota_status(self, name: str = "q", namespace: str = "n") -> Object:
        found = self.cluster.get("resourcequotas", namespace, name)
        assert found is not None
        status: Object = found.get("status") or {}
        return status


@pytest.fixture
def world() -> World:
    """A cluster with the namespace ``n``."""
    store = Store(None)
    found = plugins(Authorizer(store))
    cluster = Cluster(store, clock=lambda: NOW, rng=random.Random(1), plugins=found)  # noqa: S311  # names in a test
    made = World(cluster, {plugin.name: plugin for plugin in found})
    made.namespace()
    return made


@pytest.fixture
def pod() -> Callable[..., Object]:
    """Pods of one container each, and more where it is said."""

    def build(
        name: str = "p", *, resources: Object | None = None, annotations: Object | None = None, **spec: Any
    ) -> Object:
        containers = [{"name": "c", "image": "x", "resources": resources or {}}]
        metadata: Object = {"name": name, "namespace": "n"}
        if annotations:
            metadata["annotations"] = annotations
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {"containers": containers, **spec},
            "status": {"phase": "Pending"},
        }

    return build


@pytest.fixture
def recorded(shared: Path) -> Callable[[str], list[Object]]:
    """The steps of a recording."""

    def read(name: str) -> list[Object]:
        steps: list[Object] = json.loads((shared / "oracle" / "api" / f"{name}.json").read_bytes())["steps"]
        return steps

    return read
