"""Names of objects and of kinds: what a path, a record and a message need."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Object", "Ref", "ref_of"]

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """One object by name.

    Attributes:
        api_version: group and version, such as ``apps/v1``; ``v1`` for the core group.
        namespace: empty for a cluster-scoped object.
    """

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def resource(self) -> str:
        """``Deployment.apps``, ``Pod``: kind and group, whatever the version."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def ref_of(obj: Mapping[str, Any]) -> Ref:
    """The name of an object that has apiVersion, kind and metadata.name."""
    metadata = obj["metadata"]
    return Ref(obj["apiVersion"], obj["kind"], metadata.get("namespace") or "", metadata["name"])
