"""KServe's webhooks: what they fill in, and what they refuse in their words.

Sources: kserve/kserve v0.20.0 pkg/apis/serving/v1beta1/{inference_service_defaults,inference_service_validation,component}.go,
pkg/webhook/admission/pod/storage_initializer_injector.go, pkg/utils/storage.go. Left out: blocked environment variables,
confidential models, several storage URIs, multi-node, OCI images of models (modelcars), credentials.
"""

import re
from collections.abc import Iterator
from typing import Any

from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.platform.kserve_config import KServeConfig, read_config
from stoker.lab.platform.webhooks import denied, plugin_of

__all__ = ["SOURCE_ANNOTATION", "plugin"]

Object = dict[str, Any]

MODE = "serving.kserve.io/deploymentMode"
_AUTOSCALER = "serving.kserve.io/autoscalerClass"
SOURCE_ANNOTATION = "internal.serving.kserve.io/storage-initializer-sourceuri"
_VALIDATOR = "inferenceservice.kserve-webhook-server.validator"
_NAME = "[a-z]([-a-z0-9]*[a-z0-9])?"
_FRAMEWORKS = (
    "sklearn", "tensorflow", "xgboost", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm", "paddle",
)  # fmt: skip
_V2 = frozenset(("triton", "onnx", "huggingface"))
_CLASSES = ("hpa", "external", "keda", "none")
_MOUNT = "/mnt/models"
_SCHEMES = ("gs://", "s3://", "pvc://", "file://", "https://", "http://", "hdfs://", "webhdfs://", "oci://", "oci+native://", "hf://", "modelscope://", "git://")  # fmt: skip


def plugin() -> Plugin:
    """The webhooks for InferenceServices and for the pods that serve them."""
    return plugin_of(
        "KServe",
        mutate={"inferenceservices.serving.kserve.io": _default, "pods": _inject},
        validate={"inferenceservices.serving.kserve.io": _validate},
    )


# --- defaults -------------------------------------------------------------------------------------------------------


def _default(review: Review) -> None:
    """As DefaultInferenceService."""
    obj, config = review.obj, read_config(review.cluster)
    predictor = obj["spec"].get("predictor")
    if not isinstance(predictor, dict):
        return
    annotations: dict[str, str] = obj["metadata"].get("annotations") or {}
    mode = annotations.get(MODE)
    if mode is None and config.mode == "Standard":
        mode = "Standard"
    if mode is not None:
        annotations[MODE] = {"RawDeployment": "Standard", "Serverless": "Knative"}.get(mode, mode)
    _name_the_format(predictor)
    model: Object = predictor.get("model") or {}
    name = (model.get("modelFormat") or {}).get("name", "")
    if name in {"triton", "vLLM"}:
        model.setdefault("protocolVersion", "v2")
    if name:
        annotations.setdefault("modelFormat", name)
    if annotations:
        obj["metadata"]["annotations"] = annotations
    for component in ("predictor", "transformer", "explainer"):
        if obj["spec"].get(component):
            _fill_resources(obj["spec"][component], config)


def _name_the_format(predictor: Object) -> None:
    """The old fields, one a framework, become a model of that format."""
    for name in _FRAMEWORKS:
        if name in predictor:
            model = {"modelFormat": {"name": name}, **predictor.pop(name)}
            if name in _V2:
                model.setdefault("protocolVersion", "v2")
            predictor["model"] = model
            return


def _fill_resources(component: Object, config: KServeConfig) -> None:
    """Limits and requests of the serving container; of a model that is the container itself."""
    containers = component.get("containers") or ()
    served = component.get("model") or (containers[0] if containers else None)
    if served is None:
        return
    if "model" in component and "name" in component["model"] and not component["model"]["name"]:
        component["model"].pop("name")
    resources = served.setdefault("resources", {})
    for kind in ("requests", "limits"):
        resources[kind] = {**config.resources[kind], **(resources.get(kind) or {})}


# --- refusals -------------------------------------------------------------------------------------------------------


def _validate(review: Review) -> None:
    obj, old = review.obj, review.old
    if old is not None and obj["metadata"].get("deletionTimestamp"):
        return
    for why in _errors(obj, old):
        raise denied(_VALIDATOR, why)


def _errors(obj: Object, old: Object | None) -> Iterator[str]:
    """Why an InferenceService is refused; the first counts."""
    metadata, spec = obj["metadata"], obj["spec"]
    annotations = metadata.get("annotations") or {}
    if old is not None:
        known = (old.get("status") or {}).get("deploymentMode")
        if known and annotations.get(MODE, known) != known:
            yield f"update rejected: deploymentMode cannot be changed from '{known}' to '{annotations[MODE]}'"
    name = metadata["name"]
    if not re.fullmatch(_NAME, name):
        yield (
            f'the InferenceService "{name}" is invalid: a InferenceService name must consist of lower case alphanumeric '
            'characters or \'-\', and must start with alphabetical character. (e.g. "my-name" or "abc-123", regex used '
            f"for validation is '{_NAME}')"
        )
    chosen = annotations.get(_AUTOSCALER)
    if chosen is not None and chosen not in _CLASSES:
        yield f"[{chosen}] is not a supported autoscaler class type"
    predictor = spec.get("predictor") or {}
    if (predictor.get("model") or {}).get("name"):
        yield "the 'name' field is not allowed in standard predictor"
    yield from _component_errors("predictor", predictor, annotations)
    for component in ("transformer", "explainer"):
        if spec.get(component):
            yield from _component_errors(component, spec[component], annotations)
    yield from _canary_errors(spec, annotations)


def _component_errors(kind: str, component: Object, annotations: Object) -> Iterator[str]:
    model = component.get("model")
    if model is None and not component.get("containers"):
        yield (
            f"exactly one of [Custom, ONNX, Model, SKLearn, XGBoost, Tensorflow, PyTorch, Triton, PMML, LightGBM, Paddle] "
            f"must be specified in {kind.title()}Spec"
        )
    uri = (model or {}).get("storageUri")
    if uri and not uri.startswith(_SCHEMES) and "://" in uri:
        listed = "gs://, s3://, pvc://, file://, https://, http://, hdfs://, webhdfs://, oci://, hf://"
        yield (
            f"storageUri, must be one of: [{listed}] or match https://{{}}.blob.core.windows.net/{{}}/{{}} or be an absolute "
            f"or relative local path. StorageUri [{uri}] is not supported"
        )
    yield from _count_errors(component)
    if annotations.get(MODE) == "Standard":
        if annotations.get(_AUTOSCALER, "hpa") == "hpa":
            yield from _hpa_errors(component)
        elif annotations.get(_AUTOSCALER) == "keda":
            yield from _keda_errors(component)
    elif component.get("deploymentStrategy"):
        yield "customizing deploymentStrategy is only supported for raw deployment mode"


def _count_errors(component: Object) -> Iterator[str]:
    least, most = component.get("minReplicas"), component.get("maxReplicas") or 0
    if least is not None and least < 0:
        yield "'MinReplicas' cannot be less than 0"
    if most < 0:
        yield "'MaxReplicas' cannot be less than 0"
    if least is not None and most and least > most:
        yield "'MinReplicas' cannot be greater than MaxReplicas"
    if (component.get("containerConcurrency") or 0) < 0:
        yield "parallelism cannot be less than 0"


def _hpa_errors(component: Object) -> Iterator[str]:
    metric = component.get("scaleMetric") or "cpu"
    if metric not in {"cpu", "memory"}:
        yield f"[{metric}] is not a supported metric"
    target = component.get("scaleTarget")
    if target is not None and ((metric == "cpu" and target < 1) or target > 100):
        yield "the target utilization percentage should be a [1-100] integer"
    for one in (component.get("autoScaling") or {}).get("metrics") or ():
        if one["type"] != "Resource":
            yield (
                f"invalid HPA metric source type with value [{one['type']}],valid metric source types are Resource"
            )


def _keda_errors(component: Object) -> Iterator[str]:
    if component.get("scaleMetric"):
        yield "ScaleMetric is not supported for KEDA"
    for one in (component.get("autoScaling") or {}).get("metrics") or ():
        if one["type"] != "External":
            continue
        if not one.get("external"):
            yield "metricSpec.External is not set for external metric source type"
            continue
        if not one["external"]["metric"].get("query"):
            yield "the query should not be empty"
        if one["external"]["target"].get("value") is None:
            yield "the target threshold value should not be empty"


def _canary_errors(spec: Object, annotations: Object) -> Iterator[str]:
    """As validateCanarySpecs."""
    canaries = spec.get("canary") or ()
    if not canaries:
        return
    if annotations.get(MODE) != "Standard":
        yield "canary is only supported in Standard deployment mode"
    stable = spec["predictor"]
    names: set[str] = set()
    for place, canary in enumerate(canaries):
        name = canary["predictor"].get("name") or ""
        if not name:
            yield f"canary[{place}] predictor.name is required"
        if name in names:
            yield f'canary predictor.name "{name}" is duplicated'
        names.add(name)
        yield from _canary_error(stable, canary)
    total = sum(one["trafficPercent"] for one in canaries)
    if total > 100:
        yield f"sum of canary trafficPercent values ({total}) must be <= 100"


def _canary_error(stable: Object, canary: Object) -> Iterator[str]:
    predictor, percent = canary["predictor"], canary["trafficPercent"]
    name = predictor.get("name") or ""
    quoted = f'canary "{name}"'
    if name == (stable.get("name") or ""):
        yield f'canary predictor.name "{name}" conflicts with stable predictor name'
    if not 0 <= percent <= 100:
        yield f"{quoted} trafficPercent must be between 0 and 100, got {percent}"
    if predictor.get("workerSpec"):
        yield f"{quoted} must not set workerSpec (multi-node is not yet supported for canary)"
    for field in ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"):
        if predictor.get(field):
            yield f"{quoted} must not set {field} (canary uses fixed replicas)"
    least = stable.get("minReplicas", 1)
    if (predictor.get("minReplicas") or 0) > least:
        yield f"{quoted} minReplicas ({predictor['minReplicas']}) must not exceed stable predictor minReplicas ({least})"


# --- pods -----------------------------------------------------------------------------------------------------------


def _inject(review: Review) -> None:
    """InjectStorageInitializer: a volume of the claim, or a container that downloads before the server starts."""
    pod = review.obj
    uri = (pod["metadata"].get("annotations") or {}).get(SOURCE_ANNOTATION)
    if review.operation != "CREATE" or uri is None or uri.startswith(("oci://", "oci+native://")):
        return
    spec = pod["spec"]
    served = [
        one for one in spec["containers"] if one["name"] in {"kserve-container", "transformer-container"}
    ]
    is_claim = uri.startswith("pvc://")
    volume = "kserve-pvc-source" if is_claim else "kserve-provision-location"
    if not served or any(one["name"] == volume for one in spec.get("volumes") or ()):
        return
    mount: Object = {"name": volume, "mountPath": _MOUNT, "readOnly": True}
    source: Object = {"emptyDir": {}}
    if is_claim:
        claim, _, path = uri.removeprefix("pvc://").partition("/")
        source = {"persistentVolumeClaim": {"claimName": claim, "readOnly": False}}
        if path:
            mount["subPath"] = path
    else:
        spec.setdefault("initContainers", []).append(_downloader(review, uri, volume))
    spec.setdefault("volumes", []).append({"name": volume, **source})
    for one in served:
        one.setdefault("volumeMounts", []).append(dict(mount))
    review.kind.strategy.default(pod)


def _downloader(review: Review, uri: str, volume: str) -> Object:
    return {
        "name": "storage-initializer",
        "image": read_config(review.cluster).storage_image,
        "args": [uri, _MOUNT],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "limits": {"cpu": "1", "memory": "1Gi"},
            "requests": {"cpu": "100m", "memory": "100Mi"},
        },
        "volumeMounts": [{"name": volume, "mountPath": _MOUNT}],
    }
