"""Which kinds a cluster serves, and at which paths: from aggregated discovery, two requests in all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from stoker.kube.refs import Ref

__all__ = ["DISCOVERY", "Resource", "Resources", "read_resources"]

# Kubernetes 1.30 and later serve it (KEP-3352).
DISCOVERY: Final = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind in one version.

    Attributes:
        api_version: group and version.
        plural: as in paths, such as ``deployments``.
        namespaced: whether its objects live in namespaces.
        verbs: such as ``list``; subresources: such as ``status``, ``scale``.
    """

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str] = frozenset()
    subresources: frozenset[str] = frozenset()

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def key(self) -> str:
        """``Deployment.apps``, ``Pod``."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Path of a collection, an object or a subresource. Names are quoted: none can leave its place."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


@dataclass(frozen=True)
class Resources:
    """Every kind of a cluster, each group's preferred version first."""

    all: tuple[Resource, ...]

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The kind in exactly that version."""
        return self._by_version.get((api_version, kind))

    def preferred(self, key: str) -> Resource | None:
        """``Deployment.apps`` in the version that the server names first."""
        return self._by_key.get(key)

    @cached_property
    def _by_version(self) -> dict[tuple[str, str], Resource]:
        return {(resource.api_version, resource.kind): resource for resource in reversed(self.all)}

    @cached_property
    def _by_key(self) -> dict[str, Resource]:
        return {resource.key: resource for resource in reversed(self.all)}

    def of(self, ref: Ref) -> Resource | None:
        return self.find(ref.api_version, ref.kind)


def read_resources(get: Callable[[str, str], Any]) -> Resources:
    """Read them by ``get(path, accept)``, which answers the body's JSON."""
    return Resources(tuple(r for root in ("/api", "/apis") for r in _of_document(get(root, DISCOVERY))))


def _of_document(document: Any) -> Iterator[Resource]:
    for group in document.get("items") or [] if isinstance(document, dict) else []:
        name = str((group.get("metadata") or {}).get("name") or "")
        for version in group.get("versions") or []:
            api_version = f"{name}/{version['version']}" if name else str(version["version"])
            for entry in version.get("resources") or []:
                kind = str((entry.get("responseKind") or {}).get("kind") or "")
                if kind:
                    yield Resource(
                        api_version,
                        kind,
                        str(entry["resource"]),
                        entry.get("scope") == "Namespaced",
                        frozenset(entry.get("verbs") or ()),
                        frozenset(str(sub["subresource"]) for sub in entry.get("subresources") or ()),
                    )
