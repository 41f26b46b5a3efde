"""RuntimeClass admission: overhead, node selector and tolerations of a pod's runtime (plugin/pkg/admission/runtimeclass)."""

from collections.abc import Mapping
from typing import Any

from stoker.twin.admission.amounts import amounts_of

__all__ = ["with_runtime"]

Object = Mapping[str, Any]

_MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"


def with_runtime(pod: Object, classes: Mapping[str, Object]) -> Object | str:
    """The pod with what its runtime class adds, or the words of the refusal."""
    spec = dict(pod["spec"])
    name = spec.get("runtimeClassName")
    if name is not None and name not in classes:
        return f'pod rejected: RuntimeClass "{name}" not found'
    found: Object = classes[name] if name is not None else {}
    overhead = (found.get("overhead") or {}).get("podFixed")
    if overhead:
        if spec.get("overhead") and amounts_of(spec["overhead"]) != amounts_of(overhead):
            return _MISMATCH
        spec["overhead"] = overhead
    elif spec.get("overhead") is not None:
        return "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    scheduling = found.get("scheduling") or {}
    selector = dict(spec.get("nodeSelector") or {})
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.setdefault(key, value) != value:
            return (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
    if selector:
        spec["nodeSelector"] = selector
    if scheduling.get("tolerations"):
        own = list(spec.get("tolerations") or ())
        spec["tolerations"] = own + [each for each in scheduling["tolerations"] if each not in own]
    return {**pod, "spec": spec}
