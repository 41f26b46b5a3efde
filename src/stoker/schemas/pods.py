"""Where pods hide in objects: templates of core workloads and of the custom kinds that embed a pod specification."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

_WORKLOADS = {"Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job"}


@dataclass(frozen=True)
class PodSpec:
    """One pod specification in an object.

    Attributes:
        path: where it stands.
        labels, annotations: metadata of the template.
        spec: the specification.
        complete: False where a controller adds containers, images or volumes later.
    """

    path: str
    labels: dict[str, Any]
    annotations: dict[str, Any]
    spec: dict[str, Any]
    complete: bool = True


def pods_of(obj: dict[str, Any]) -> Iterator[PodSpec]:
    kind, spec = obj["kind"], obj.get("spec") or {}
    api = obj["apiVersion"]
    if kind == "Pod" and api == "v1":
        yield PodSpec("spec", {}, {}, spec)
    elif kind in _WORKLOADS and api in {"apps/v1", "batch/v1"}:
        yield _template(spec.get("template") or {}, "spec.template")
    elif kind == "CronJob":
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or {}
        yield _template(template, "spec.jobTemplate.spec.template")
    elif api == "leaderworkerset.x-k8s.io/v1":
        group = spec.get("leaderWorkerTemplate", {})
        for field in ("leaderTemplate", "workerTemplate"):
            if field in group:
                yield _template(group[field], f"spec.leaderWorkerTemplate.{field}")
    elif api.startswith("serving.kserve.io/"):
        yield from _kserve(kind, spec)
    elif api == "serving.knative.dev/v1" and kind == "Service":
        # Knative names the container itself.
        template = _template(spec.get("template") or {}, "spec.template")
        containers = [{"name": "user-container", **item} for item in template.spec.get("containers") or []]
        yield replace(template, spec={**template.spec, "containers": containers}, complete=False)


def _template(template: dict[str, Any], path: str) -> PodSpec:
    metadata = template.get("metadata") or {}
    return PodSpec(
        f"{path}.spec",
        metadata.get("labels") or {},
        metadata.get("annotations") or {},
        template.get("spec") or {},
    )


def _kserve(kind: str, spec: dict[str, Any]) -> Iterator[PodSpec]:
    if kind == "InferenceService":
        for part in ("predictor", "transformer", "explainer"):
            if part in spec:
                yield PodSpec(f"spec.{part}", {}, {}, _with_model(spec[part]), complete=False)
        for index, canary in enumerate(spec.get("canary", [])):
            path = f"spec.canary[{index}].predictor"
            yield PodSpec(path, {}, {}, _with_model(canary["predictor"]), complete=False)
    elif kind in {"ServingRuntime", "ClusterServingRuntime"}:
        yield PodSpec("spec", spec.get("labels", {}), spec.get("annotations", {}), spec, complete=False)
    elif kind == "LLMInferenceService":
        for field in ("template", "worker"):
            if field in spec:
                yield PodSpec(f"spec.{field}", {}, {}, spec[field], complete=False)


def _with_model(component: dict[str, Any]) -> dict[str, Any]:
    """A component whose ``model`` is a container in all but name, seen as a container."""
    if "model" not in component:
        return component
    return {
        **component,
        "containers": [*component.get("containers", []), {"name": "kserve-container", **component["model"]}],
    }
