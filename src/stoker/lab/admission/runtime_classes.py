"""RuntimeClass: overhead, node selector and tolerations of a pod's runtime (plugin/pkg/admission/runtimeclass)."""

from typing import Any

from stoker.lab.admission.requests import is_write_of, refusal, spec_of
from stoker.lab.admission.tolerations import merged_tolerations
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.twin.admission.amounts import amounts_of

__all__ = ["RUNTIME_CLASS"]

_MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"


def _mutate(review: Review) -> None:
    found = _class(review) if is_write_of(review, "pods", "CREATE") else None
    if found is None:
        return
    spec = spec_of(review)
    if found.get("overhead") is not None:
        fixed = found["overhead"].get("podFixed") or {}
        if spec.get("overhead") and amounts_of(spec["overhead"]) != amounts_of(fixed):
            raise refusal(review, _MISMATCH)
        if fixed:
            spec["overhead"] = dict(fixed)
    scheduling = found.get("scheduling")
    if scheduling is not None:
        _set_scheduling(review, spec, scheduling)


def _set_scheduling(review: Review, spec: dict[str, Any], scheduling: Object) -> None:
    selector = dict(spec.get("nodeSelector") or {})
    for key, value in sorted((scheduling.get("nodeSelector") or {}).items()):
        if selector.setdefault(key, value) != value:
            raise refusal(
                review,
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = "
                f"{selector[key]}",
            )
    if selector:
        spec["nodeSelector"] = dict(sorted(selector.items()))
    tolerations = merged_tolerations(spec.get("tolerations") or (), scheduling.get("tolerations") or ())
    if tolerations:
        spec["tolerations"] = tolerations


def _validate(review: Review) -> None:
    if not is_write_of(review, "pods", "CREATE"):
        return
    found, spec = _class(review), spec_of(review)
    if found is not None and found.get("overhead") is not None:
        if amounts_of(found["overhead"].get("podFixed")) != amounts_of(spec.get("overhead")):
            raise refusal(review, _MISMATCH)
    elif spec.get("overhead") is not None:
        raise refusal(
            review, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
        )


def _class(review: Review) -> Object | None:
    name = spec_of(review).get("runtimeClassName")
    if name is None:
        return None
    found = review.cluster.get("runtimeclasses.node.k8s.io", "", name)
    if found is None:
        raise refusal(review, f'pod rejected: RuntimeClass "{name}" not found')
    return found


RUNTIME_CLASS = Plugin("RuntimeClass", _mutate, _validate)
