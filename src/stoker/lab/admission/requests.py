"""What every admission plugin asks of the write before it, and how it refuses (apiserver pkg/admission/errors.go)."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from stoker.lab.api.cluster import Cluster, Review
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import ApiError, forbidden
from stoker.lab.store import Store

__all__ = ["Kept", "is_write_of", "namespace_of", "refusal", "spec_of", "together"]

T = TypeVar("T")


def is_write_of(review: Review, resource: str, *operations: str) -> bool:
    """Whether the object itself, no part of it, is written, in one of these ways."""
    return (
        not review.subresource
        and review.operation in operations
        and review.kind.resource.qualified == resource
    )


def refusal(review: Review, why: str) -> ApiError:
    """``pods "x" is forbidden: why``. Before a generated name is known, the prefix stands for it (NewForbidden)."""
    metadata = review.obj.get("metadata") or {}
    name = review.name or metadata.get("name") or metadata.get("generateName") or "Unknown"
    return forbidden(*review.kind.error_names(), name, why)


def together(problems: list[str]) -> str:
    """Several errors as one, each once (apimachinery pkg/util/errors Aggregate)."""
    problems = list(dict.fromkeys(problems))
    return problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"


def spec_of(review: Review) -> dict[str, Any]:
    """The object's spec; an empty one where validation is yet to find it missing."""
    spec = review.obj.get("spec")
    if not isinstance(spec, dict):
        spec = review.obj["spec"] = {}
    return spec


def namespace_of(review: Review) -> Object | None:
    """The namespace that a write goes to; None for objects of no namespace."""
    return review.cluster.get("namespaces", "", review.namespace) if review.namespace else None


class Kept(Generic[T]):
    """What is computed from all objects of a shelf: good until the shelf changes."""

    def __init__(self, shelf: str, compute: Callable[[Iterator[Object]], T]) -> None:
        self._shelf = shelf
        self._compute = compute
        self._store: Store | None = None
        self._at = -1
        self._value: T

    def of(self, cluster: Cluster) -> T:
        at = cluster.store.changed(self._shelf)
        if self._store is not cluster.store or self._at != at:
            self._value = self._compute(cluster.objects(self._shelf))
            self._store, self._at = cluster.store, at
        return self._value
