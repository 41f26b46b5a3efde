"""InferenceService: mode, runtime, format, resources, and the autoscaler that comes with it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stoker.audit.finding import Area, Fix, Hit, Severity, add, replace
from stoker.audit.rule import rule
from stoker.audit.view.scaling import autoscaler_class, deployment_mode
from stoker.audit.view.serving import find_model
from stoker.audit.view.view import View
from stoker.audit.view.workloads import Workload
from stoker.errors import nearest
from stoker.kube.snapshot import Item

ISVC: Final = "InferenceService.serving.kserve.io"
MODE: Final = "serving.kserve.io/deploymentMode"
CLASS: Final = "serving.kserve.io/autoscalerClass"
_CONSTANTS: Final = "kserve 0.20.0 pkg/constants/constants.go:257-299,562-590"
_PREDICTOR: Final = "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/components/predictor.go:337-388"
# Formats of the runtimes that KServe ships (kserve 0.20.0 config/runtimes); KServe compares them with their case.
RUNTIMES: Final[Mapping[str, frozenset[str]]] = {
    "kserve-vllmserver": frozenset(("vLLM",)),
    "kserve-huggingfaceserver": frozenset(("huggingface",)),
    "kserve-huggingfaceserver-multinode": frozenset(("huggingface",)),
    "kserve-tritonserver": frozenset(("tensorrt", "tensorflow", "onnx", "pytorch", "triton")),
    "kserve-torchserve": frozenset(("pytorch",)),
    "kserve-tensorflow-serving": frozenset(("tensorflow",)),
    "kserve-mlserver": frozenset(("sklearn", "xgboost", "lightgbm", "mlflow")),
    "kserve-openvino": frozenset(("openvino", "onnx", "tensorflow", "huggingface")),
    "kserve-sklearnserver": frozenset(("sklearn",)),
    "kserve-xgbserver": frozenset(("xgboost",)),
    "kserve-lgbserver": frozenset(("lightgbm",)),
    "kserve-paddleserver": frozenset(("paddle",)),
    "kserve-pmmlserver": frozenset(("pmml",)),
    "kserve-autogluonserver": frozenset(("autogluon",)),
    "kserve-predictiveserver": frozenset(("sklearn", "xgboost", "lightgbm")),
}  # fmt: skip


def services(view: View) -> tuple[Item, ...]:
    return view.of(ISVC)


def predictors(view: View) -> Iterator[Workload]:
    """Predictors and canaries that ask for GPUs."""
    for workload in view.gpu_workloads:
        if workload.item.resource == ISVC and (
            workload.part == "predictor" or workload.part.startswith("canary")
        ):
            yield workload


def models(view: View) -> Iterator[tuple[Item, tuple[str | int, ...], Mapping[str, Any]]]:
    """Every model of every InferenceService, with its path."""
    for item in services(view):
        model = item.section("spec", "predictor").get("model")
        if model is not None:
            yield item, ("spec", "predictor", "model"), model
        for index, canary in enumerate(item.spec.get("canary") or []):
            if "model" in (canary.get("predictor") or {}):
                yield item, ("spec", "canary", index, "predictor", "model"), canary["predictor"]["model"]


def made_runtime(view: View, namespace: str, name: str) -> Item | None:
    return view.snapshot.get("ServingRuntime.serving.kserve.io", namespace, name) or view.snapshot.get(
        "ClusterServingRuntime.serving.kserve.io", "", name
    )


@rule(
    "kserve-mode-legacy",
    Area.SERVING,
    Severity.INFO,
    title="InferenceService names its deployment mode by the old word",
    why="RawDeployment and Serverless are rewritten by KServe's webhook: what you read in Git is not what the cluster says, and GitOps shows a drift for ever.",
    fix="Write Standard for RawDeployment and Knative for Serverless.",
    references=(_CONSTANTS,),
    on=lambda view: (item for item in services(view) if MODE in item.annotations),
)
def _kserve_mode_legacy(item: Item, view: View) -> Iterator[Hit]:
    mode = item.annotations[MODE]
    new = {"RawDeployment": "Standard", "Serverless": "Knative"}.get(mode)
    path = ("metadata", "annotations", MODE)
    if new:
        yield Hit(item, path, f"{mode} is called {new} now", mode, Fix(f"Write {new}", (replace(path, new),)))


@rule(
    "kserve-runtime-unknown",
    Area.SERVING,
    Severity.ERROR,
    title="InferenceService names a runtime that does not exist",
    why="The controller reports RuntimeNotRecognized and makes no Deployment: the model never starts, and kubectl apply was content.",
    fix="Name a runtime that is installed: kserve-vllmserver, kserve-huggingfaceserver, or one of your own beside it.",
    references=(_PREDICTOR, "kserve 0.20.0 config/runtimes"),
    on=lambda view: (entry for entry in models(view) if entry[2].get("runtime")),
)
def _kserve_runtime_unknown(
    subject: tuple[Item, tuple[str | int, ...], Mapping[str, Any]], view: View
) -> Iterator[Hit]:
    item, path, model = subject
    name = str(model["runtime"])
    if name in RUNTIMES or made_runtime(view, item.namespace, name) is not None:
        return
    known = view.knows("ServingRuntime.serving.kserve.io", item.namespace) and view.knows(
        "ClusterServingRuntime.serving.kserve.io"
    )
    # A bare engine name is what tutorials write for the runtimes that KServe ships under other names.
    shipped = {"vllm": "kserve-vllmserver", "huggingface": "kserve-huggingfaceserver", "triton": "kserve-tritonserver",
               "torchserve": "kserve-torchserve", "vllmserver": "kserve-vllmserver"}.get(name.lower())  # fmt: skip
    near = (
        [shipped] if shipped else [n for n in nearest(name, RUNTIMES, limit=1) if abs(len(n) - len(name)) < 3]
    )
    if known or near:
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Hit(
            item, (*path, "runtime"), f"there is no ServingRuntime {name}, and KServe ships none{hint}", name
        )


@rule(
    "kserve-format-unsupported",
    Area.SERVING,
    Severity.ERROR,
    title="No runtime serves the model's format",
    why="The controller reports NoSupportingRuntime, or picks a server that cannot load the model: pytorch is TorchServe's format, and no LLM engine's.",
    fix="Use modelFormat vLLM or huggingface for a language model.",
    references=(_PREDICTOR, "kserve 0.20.0 config/runtimes/kserve-torchserve.yaml"),
    on=lambda view: (entry for entry in models(view) if (entry[2].get("modelFormat") or {}).get("name")),
)
def _kserve_format_unsupported(
    subject: tuple[Item, tuple[str | int, ...], Mapping[str, Any]], view: View
) -> Iterator[Hit]:
    item, path, model = subject
    form, runtime = str(model["modelFormat"]["name"]), str(model.get("runtime") or "")
    where = (*path, "modelFormat", "name")
    made = made_runtime(view, item.namespace, runtime) if runtime else None
    formats = (
        {str(f.get("name")) for f in made.spec.get("supportedModelFormats") or []}
        if made is not None
        else RUNTIMES.get(runtime, frozenset())
    )
    if formats and form not in formats:
        near = next((name for name in sorted(formats) if name.casefold() == form.casefold()), None)
        fix = Fix(f"Write {near}", (replace(where, near),)) if near else None
        told = f"{near}, and the case counts" if near else ", ".join(sorted(formats))
        yield Hit(item, where, f"runtime {runtime} serves {told}, not {form}", form, fix)
        return
    if made is not None:
        return
    llm = (
        find_model(str(model.get("storageUri") or "")) is not None
        or "vllm" in runtime.lower()
        or _vllm_flags(model)
    )
    if form.lower() == "pytorch" and llm:
        ops = (replace(where, "vLLM"),)
        yield Hit(
            item,
            where,
            "pytorch is TorchServe's format; a language model on vLLM has the format vLLM or huggingface",
            form,
            Fix("Write vLLM", ops),
        )


def _vllm_flags(model: Mapping[str, Any]) -> bool:
    return any(
        str(arg).startswith(("--tensor-parallel-size", "--max-model-len", "--gpu-memory-utilization"))
        for arg in model.get("args") or []
    )


@rule(
    "kserve-scales-on-cpu",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="KServe makes a CPU autoscaler for a GPU predictor",
    why=(
        "In Standard mode the autoscaler class is hpa unless said otherwise: an HPA on 80 % CPU. A model server's CPU says nothing "
        "of its queue, so replicas come too late or for nothing; beside a ScaledObject of your own, both fight."
    ),
    fix="Annotate autoscalerClass external (with your own ScaledObject), keda (with autoScaling.metrics) or none.",
    references=(
        _CONSTANTS,
        "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/hpa/hpa_reconciler.go:153",
    ),
    on=lambda view: (
        w
        for w in predictors(view)
        if w.part == "predictor" and deployment_mode(w.item, view.snapshot) == "Standard"
    ),
)
def _kserve_scales_on_cpu(workload: Workload, view: View) -> Iterator[Hit]:
    if autoscaler_class(workload.item) != "hpa" or workload.pod.get("workerSpec"):
        return
    metric = str(workload.pod.get("scaleMetric") or "cpu")
    custom = (workload.pod.get("autoScaling") or {}).get("metrics")
    if (
        metric in {"cpu", "memory"}
        and not custom
        and (workload.maximum > workload.minimum or "maxReplicas" in workload.pod)
    ):
        path = ("metadata", "annotations", CLASS)
        yield Hit(
            workload.item,
            path,
            f"autoscalerClass is hpa by default: {workload.minimum} to {workload.maximum} replicas by {metric}",
            None,
        )


@rule(
    "kserve-minimum-ignored",
    Area.AUTOSCALING,
    Severity.WARNING,
    title="minReplicas 0 where KServe cannot go to zero",
    why="In Standard mode with the class hpa KServe raises 0 to 1: the idle GPU that was to be saved is paid for.",
    fix="Use autoscalerClass keda or external with a signal that exists at zero, or Knative mode.",
    references=(
        "kserve 0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/hpa/hpa_reconciler.go:153",
    ),
    on=lambda view: (w for w in predictors(view) if w.part == "predictor" and "minReplicas" in w.pod),
)
def _kserve_minimum_ignored(workload: Workload, view: View) -> Iterator[Hit]:
    if (
        workload.pod["minReplicas"] == 0
        and deployment_mode(workload.item, view.snapshot) == "Standard"
        and autoscaler_class(workload.item) == "hpa"
    ):
        yield Hit(
            workload.item,
            (*workload.path, "minReplicas"),
            "the class hpa keeps one replica whatever minReplicas says",
            0,
        )


@rule(
    "kserve-autoscaler-class-unknown",
    Area.AUTOSCALING,
    Severity.ERROR,
    title="InferenceService names an autoscaler class that KServe does not have",
    why="The webhook refuses the object: the change that carries it is not applied.",
    fix="Use hpa, keda, external or none.",
    references=(_CONSTANTS,),
    on=lambda view: (item for item in services(view) if CLASS in item.annotations),
)
def _kserve_autoscaler_class_unknown(item: Item, view: View) -> Iterator[Hit]:
    value = item.annotations[CLASS]
    if value not in {"hpa", "keda", "external", "none"}:
        path = ("metadata", "annotations", CLASS)
        near = nearest(value, ("hpa", "keda", "external", "none"))
        metrics = (item.section("spec", "predictor").get("autoScaling") or {}).get("metrics")
        usable = near and (near[0] != "keda" or metrics)  # keda without metrics is the next error
        fix = Fix(f"Write {near[0]}", (replace(path, near[0]),)) if usable else None
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Hit(item, path, f"{value} is no autoscaler class{hint}", value, fix)


@rule(
    "kserve-replicas-reversed",
    Area.SERVING,
    Severity.ERROR,
    title="InferenceService asks for more replicas than it allows",
    why="KServe's webhook refuses the object, so the version before it keeps running.",
    fix="Raise maxReplicas or lower minReplicas.",
    references=(
        "kserve 0.20.0 pkg/apis/serving/v1beta1/component.go (MinReplicas cannot be greater than MaxReplicas)",
    ),
    on=lambda view: (item for item in services(view) if "maxReplicas" in item.section("spec", "predictor")),
)
def _kserve_replicas_reversed(item: Item, view: View) -> Iterator[Hit]:
    spec = item.section("spec", "predictor")
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    if 0 < most < least:
        yield Hit(
            item,
            ("spec", "predictor", "minReplicas"),
            f"minReplicas {least} exceeds maxReplicas {most}",
            least,
        )


@rule(
    "kserve-modelmesh",
    Area.SERVING,
    Severity.WARNING,
    title="ModelMesh or TrainedModel serves models",
    why="ModelMesh is no longer maintained and packs small models; an LLM server takes its share of the GPU at start, so there is nothing to pack.",
    fix="Use LoRA adapters, MIG slices or sleep mode for many models on few GPUs.",
    references=("kserve/modelmesh-serving issue 542", "kserve/kserve issue 3758"),
    on=lambda view: (*services(view), *view.of("TrainedModel.serving.kserve.io")),
)
def _kserve_modelmesh(item: Item, view: View) -> Iterator[Hit]:
    if item.kind == "TrainedModel":
        yield Hit(item, (), "TrainedModel is to be deprecated")
    elif item.annotations.get(MODE) == "ModelMesh":
        yield Hit(item, ("metadata", "annotations", MODE), "ModelMesh is not maintained", "ModelMesh")


@rule(
    "kserve-worker-refused",
    Area.SERVING,
    Severity.ERROR,
    title="Multi-node InferenceService that KServe's webhook refuses",
    why="The object is not admitted: multi-node serving never starts.",
    fix="Use a pvc or oci storageUri and annotate autoscalerClass none.",
    references=("kserve 0.20.0 pkg/apis/serving/v1beta1/inference_service_validation.go:395-445",),
    on=lambda view: (item for item in services(view) if "workerSpec" in item.section("spec", "predictor")),
)
def _kserve_worker_refused(item: Item, view: View) -> Iterator[Hit]:
    model = item.section("spec", "predictor", "model")
    uri = str(model.get("storageUri") or "")
    if model and not uri:
        yield Hit(item, ("spec", "predictor", "model", "storageUri"), "workerSpec needs a storageUri", None)
    if uri and not uri.startswith(("pvc://", "oci://")):
        yield Hit(
            item,
            ("spec", "predictor", "model", "storageUri"),
            f"{uri.partition('://')[0]}:// is refused with workerSpec; pvc and oci are taken",
            uri,
        )
    chosen = item.annotations.get(CLASS)
    if model and chosen != "none":
        path = ("metadata", "annotations", CLASS)
        told = f"autoscalerClass {chosen}" if chosen else "an absent autoscalerClass"
        fix = Fix("Use none", (add(path, "none"),))
        yield Hit(item, path, f"{told} is refused with workerSpec; none is taken", chosen, fix)
    for index, entry in enumerate(model.get("env") or []):
        if entry.get("name") in {"TENSOR_PARALLEL_SIZE", "PIPELINE_PARALLEL_SIZE"}:
            yield Hit(
                item,
                ("spec", "predictor", "model", "env", index, "name"),
                f"{entry['name']} is refused; set it in workerSpec",
                entry["name"],
            )
