"""Priority: what a pod's class says of its priority; one default class only (plugin/pkg/admission/priority).

That the system's own classes stay is the registry's word upstream (pkg/registry/scheduling/priorityclass/storage).
"""

from collections.abc import Iterator

from stoker.lab.admission.requests import Kept, is_write_of, refusal, spec_of
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.twin.admission.priority import with_priority

__all__ = ["priority"]

_SHELF = "priorityclasses.scheduling.k8s.io"
_KEPT_FIELDS = ("priority", "preemptionPolicy")
_SYSTEM = frozenset(("system-node-critical", "system-cluster-critical"))
Classes = dict[str, Object]


def priority() -> Plugin:
    """The plugin; it keeps the classes that it has read."""
    kept: Kept[Classes] = Kept(_SHELF, _by_name)

    def mutate(review: Review) -> None:
        if is_write_of(review, "pods", "CREATE"):
            spec_of(review)
            found = with_priority(review.obj, kept.of(review.cluster))
            if isinstance(found, str):
                raise refusal(review, found)
            review.obj["spec"] = found["spec"]
        elif is_write_of(review, "pods", "UPDATE"):
            _keep(review)
        elif is_write_of(review, _SHELF, "DELETE") and review.name in _SYSTEM:
            raise refusal(review, "this is a system priority class and cannot be deleted")

    def validate(review: Review) -> None:
        if is_write_of(review, _SHELF, "CREATE", "UPDATE") and review.obj.get("globalDefault"):
            _refuse_second_default(review, kept.of(review.cluster))

    return Plugin("Priority", mutate, validate)


def _keep(review: Review) -> None:
    """An update that says nothing of the priority leaves it."""
    before = (review.old or {}).get("spec") or {}
    spec = spec_of(review)
    for field in _KEPT_FIELDS:
        if spec.get(field) is None and field in before:
            spec[field] = before[field]


def _refuse_second_default(review: Review, classes: Classes) -> None:
    defaults = [item for item in classes.values() if item.get("globalDefault")]
    # Of several the lowest counts.
    chosen = min(defaults, key=lambda item: int(item.get("value") or 0), default=None)
    if chosen is None:
        return
    name = chosen["metadata"]["name"]
    if review.operation == "CREATE" or name != review.obj["metadata"]["name"]:
        raise refusal(
            review, f"PriorityClass {name} is already marked as default. Only one default can exist"
        )


def _by_name(objects: Iterator[Object]) -> Classes:
    return {item["metadata"]["name"]: item for item in objects}
