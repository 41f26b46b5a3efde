"""LimitRanger: defaults and bounds that a namespace sets for containers, pods and claims.

Source: plugin/pkg/admission/limitranger/admission.go. What breaks a bound is found by `twin.admission.limits`; here
objects are changed in place and the pod is told what was set.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from stoker.lab.admission.requests import Kept, refusal, spec_of, together
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.twin.admission.limits import Limit, claim_problems, limit_problems, parse_limits

__all__ = ["limit_ranger"]

_ANNOTATION = "kubernetes.io/limit-ranger"
_FIELDS = (("containers", "container"), ("initContainers", "init container"))
Ranges = dict[str, list[tuple[Limit, ...]]]


def limit_ranger() -> Plugin:
    """The plugin; it keeps the limit ranges that it has read."""
    kept: Kept[Ranges] = Kept("limitranges", _by_namespace)

    def mutate(review: Review) -> None:
        if _concerns(review) and review.kind.resource.plural == "pods":
            for limits in kept.of(review.cluster).get(review.namespace, ()):
                _set_defaults(review, limits)

    def validate(review: Review) -> None:
        if not _concerns(review):
            return
        find = limit_problems if review.kind.resource.plural == "pods" else claim_problems
        for limits in kept.of(review.cluster).get(review.namespace, ()):
            problems = find(review.obj, limits)
            if problems:
                raise refusal(review, together(problems))

    return Plugin("LimitRanger", mutate, validate)


def _by_namespace(objects: Iterator[Object]) -> Ranges:
    found: Ranges = {}
    for item in objects:
        found.setdefault(item["metadata"]["namespace"], []).append(parse_limits(item))
    return found


def _concerns(review: Review) -> bool:
    """Pods when they are new or resized, claims whenever they are written; nothing that is being deleted."""
    name = review.kind.resource.qualified
    if review.operation not in {"CREATE", "UPDATE"} or name not in {"pods", "persistentvolumeclaims"}:
        return False
    if review.old is not None and review.old["metadata"].get("deletionTimestamp"):
        return False
    if review.subresource == "resize":
        return name == "pods"
    return not review.subresource and (name != "pods" or review.operation == "CREATE")


def _set_defaults(review: Review, limits: tuple[Limit, ...]) -> None:
    items = [limit.amounts for limit in limits if limit.kind == "Container"]
    # Of several items the last counts.
    defaults = {
        field: {name: str(value) for item in items for name, value in item[source].items()}
        for field, source in (("requests", "defaultRequest"), ("limits", "default"))
    }
    told: list[str] = []
    for field, word in _FIELDS:
        for container in spec_of(review).get(field) or ():
            told += _default_container(container, defaults, f"{word} {container.get('name', '')}")
    if told:
        metadata = review.obj["metadata"]
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            _ANNOTATION: f"LimitRanger plugin set: {'; '.join(told)}",
        }


def _default_container(
    container: dict[str, Any], defaults: Mapping[str, Mapping[str, str]], whose: str
) -> Iterator[str]:
    resources = container.get("resources") or {}
    for field, values in defaults.items():
        own = resources.get(field) or {}
        missing = sorted(set(values) - set(own))
        if missing:
            resources[field] = dict(sorted({**values, **own}.items()))
            yield f"{', '.join(missing)} {field.removesuffix('s')} for {whose}"
    container["resources"] = resources
