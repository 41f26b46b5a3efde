"""LLMInferenceService: what its webhook refuses, and a template that is not merged with KServe's own."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, remove, replace
from stoker.audit.rule import rule
from stoker.audit.view.images import parse_image
from stoker.audit.view.view import View
from stoker.audit.view.workloads import gpu_resource
from stoker.kube.paths import Path
from stoker.kube.snapshot import Item

Part = tuple[Item, Path, Mapping[str, Any]]

_LLM: Final = "LLMInferenceService.serving.kserve.io"
_CONFIG: Final = "LLMInferenceServiceConfig.serving.kserve.io"
_TYPES: Final = "kserve 0.20.0 pkg/apis/serving/v1alpha2/llm_inference_service_types.go"
_VALIDATION: Final = "kserve 0.20.0 pkg/apis/serving/v1alpha2/llm_inference_service_validation.go"
_PRESET: Final = "kserve 0.20.0 config/llmisvcconfig/config-llm-template.yaml"
_DRA: Final = "serving.kserve.io/exp-dra-"
_MAIN: Final = "main"


def _parts(view: View) -> Iterator[Part]:
    """Decode and prefill of every LLMInferenceService, with their paths."""
    for item in view.of(_LLM):
        yield item, ("spec",), item.spec
        if "prefill" in item.spec:
            yield item, ("spec", "prefill"), item.spec["prefill"]


def _scaled(view: View) -> Iterator[Part]:
    yield from (part for part in _parts(view) if "scaling" in part[2])


@rule(
    "llmisvc-replicas-and-scaling",
    Area.SERVING,
    Severity.ERROR,
    title="LLMInferenceService sets replicas and scaling at once",
    why="The CRD's own rule refuses the object: `replicas and scaling are mutually exclusive`, and the change is not applied.",
    fix="Delete replicas where the service scales, or scaling where it does not.",
    references=(f"{_TYPES}:129", f"{_VALIDATION}:572"),
    on=_scaled,
)
def _llmisvc_replicas_and_scaling(part: Part, view: View) -> Iterator[Hit]:
    item, base, spec = part
    if "replicas" in spec:
        path = (*base, "replicas")
        fix = Fix("Delete replicas", (remove(path),))
        yield Hit(
            item, path, f"replicas is {spec['replicas']}, and scaling is set too", spec["replicas"], fix
        )


@rule(
    "llmisvc-scaling-refused",
    Area.SERVING,
    Severity.ERROR,
    title="LLMInferenceService whose scaling the API server refuses",
    why="The object is not admitted: the change that carries it is not applied, and the pipeline that applied it may not notice.",
    fix="Set maxReplicas, a minReplicas from 1 to maxReplicas, and exactly one of hpa and keda below wva.",
    references=(f"{_TYPES}:495-560", f"{_VALIDATION}:560-650"),
    on=_scaled,
)
def _llmisvc_scaling_refused(part: Part, view: View) -> Iterator[Hit]:
    item, base, spec = part
    scaling: Mapping[str, Any] = spec["scaling"]
    where = (*base, "scaling")
    least, most = scaling.get("minReplicas"), scaling.get("maxReplicas")
    if least is not None and least < 1:
        yield Hit(item, (*where, "minReplicas"), f"minReplicas is {least}, and 1 is the least", least)
    if most is None:
        yield Hit(item, (*where, "maxReplicas"), "maxReplicas is required")
    elif most < 1:
        yield Hit(item, (*where, "maxReplicas"), f"maxReplicas is {most}, and 1 is the least", most)
    elif least is not None and least > most:
        yield Hit(item, (*where, "minReplicas"), f"minReplicas {least} exceeds maxReplicas {most}", least)
    wva = scaling.get("wva")
    if wva is None:
        if "keda" not in scaling:  # KServe after 0.20 takes keda without wva
            yield Hit(item, (*where, "wva"), "wva, which says how to scale, is required")
        return
    given = [name for name in ("hpa", "keda") if name in wva]
    if len(given) != 1:
        told = "hpa and keda exclude each other" if given else "either hpa or keda is required"
        yield Hit(item, (*where, "wva"), told, given or None)


@rule(
    "llmisvc-parallelism-refused",
    Area.SERVING,
    Severity.ERROR,
    title="LLMInferenceService whose parallelism KServe's webhook refuses",
    why="The object is not admitted: multi-node serving never starts.",
    fix="Set pipeline, or data together with dataLocal, and never both ways.",
    references=(f"{_VALIDATION}:251-330",),
    on=lambda view: (part for part in _parts(view) if "parallelism" in part[2] or "worker" in part[2]),
)
def _llmisvc_parallelism_refused(part: Part, view: View) -> Iterator[Hit]:
    item, base, spec = part
    if item.spec.get("baseRefs") and "parallelism" not in spec:
        return  # the webhook looks at this object alone, but a person who shares settings knows why
    given: Mapping[str, Any] = spec.get("parallelism") or {}
    where = (*base, "parallelism")
    pipelined, spread = "pipeline" in given, "data" in given or "dataLocal" in given
    if "worker" in spec and not pipelined and not spread:
        told = "worker needs parallelism.pipeline, or parallelism.data with dataLocal"
        yield Hit(item, (*base, "worker"), told)
    if pipelined and spread:
        yield Hit(item, where, "pipeline and data parallelism exclude each other", dict(given))
    elif ("data" in given) != ("dataLocal" in given):
        absent = "dataLocal" if "data" in given else "data"
        yield Hit(item, (*where, absent), f"{absent} is required with the other of the two")


@rule(
    "llmisvc-container-not-main",
    Area.SERVING,
    Severity.ERROR,
    title="LLMInferenceService's template has no container called main",
    why=(
        "KServe merges its own template by container name: yours becomes a second container beside main, which runs the server "
        "without your GPUs, flags and memory."
    ),
    fix="Call the server's container main.",
    references=(_PRESET, "kserve 0.20.0 pkg/controller/v1alpha2/llmisvc/config_merge.go:760-816"),
    on=lambda view: (part for part in _parts(view) if (part[2].get("template") or {}).get("containers")),
)
def _llmisvc_container_not_main(part: Part, view: View) -> Iterator[Hit]:
    item, base, spec = part
    names = [str(container.get("name") or "") for container in spec["template"]["containers"]]
    if _MAIN in names or not names[0]:
        return
    path = (*base, "template", "containers", 0, "name")
    fix = Fix("Call it main", (replace(path, _MAIN),)) if len(names) == 1 else None
    yield Hit(item, path, f"the containers are {', '.join(names)}, and none is main", names[0], fix)


@rule(
    "llmisvc-old-version",
    Area.SERVING,
    Severity.INFO,
    title="LLMInferenceService in its first API version",
    why="KServe stores v1alpha2 and converts v1alpha1 at every read and write: a GitOps tool may see a drift, and the old version goes first.",
    fix="Write apiVersion: serving.kserve.io/v1alpha2.",
    references=(
        f"{_TYPES}:45 (storage version)",
        "kserve 0.20.0 pkg/apis/serving/v1alpha1/llm_inference_service_conversion.go",
    ),
    on=lambda view: view.of(_LLM, _CONFIG),
)
def _llmisvc_old_version(item: Item, view: View) -> Iterator[Hit]:
    if item.version == "v1alpha1" and not item.live:
        yield Hit(item, ("apiVersion",), f"{item.kind} of {item.api_version}", item.api_version)


def _alone(view: View) -> Iterator[Part]:
    """Parts whose template is written out here: no other configuration that could bring GPUs is referred to."""
    for item, base, spec in _parts(view):
        dra = any(key.startswith(_DRA) for key in item.annotations)
        template = spec.get("template") or {}
        if item.spec.get("baseRefs") or dra or template.get("resourceClaims"):
            continue
        yield item, base, spec


@rule(
    "llmisvc-without-gpu",
    Area.SERVING,
    Severity.ERROR,
    title="LLMInferenceService runs KServe's CUDA image without a GPU",
    why=(
        "KServe's own template names a CUDA image and asks for no GPU: the pod lands anywhere, vLLM finds no device and restarts "
        "for ever, while the object waits for Ready."
    ),
    fix="Set resources.limits nvidia.com/gpu on the container main, or an image for CPUs.",
    references=(_PRESET,),
    on=_alone,
)
def _llmisvc_without_gpu(part: Part, view: View) -> Iterator[Hit]:
    item, base, spec = part
    for name in ("template", "worker"):
        if name == "worker" and name not in spec:
            continue
        containers = (spec.get(name) or {}).get("containers") or []
        own = [index for index, container in enumerate(containers) if container.get("name") == _MAIN]
        main = containers[own[0]] if own else {}
        image = parse_image(str(main.get("image") or ""))
        # Another image may be for a CPU, a TPU, or a simulator: only KServe's own is known to want CUDA.
        if image.repository or (containers and not own):
            continue
        asked = {
            key for side in (main.get("resources") or {}).values() if isinstance(side, dict) for key in side
        }
        accelerated = any(gpu_resource(key) or "/" in key for key in asked)
        if not accelerated and not (main.get("resources") or {}).get("claims"):
            path = (*base, name, "containers", own[0], "resources", "limits") if own else (*base, name)
            yield Hit(item, path, f"{item} asks for no GPU, and its image is KServe's for CUDA")
