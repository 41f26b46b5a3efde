"""Which runtime serves a model, and the pods that come of it.

Sources: kserve/kserve v0.20.0 pkg/apis/serving/v1beta1/predictor_model.go (GetSupportingRuntimes),
pkg/controller/v1beta1/inferenceservice/components/predictor.go (reconcileModel, buildPodSpec), utils/utils.go (merging, image tags).
"""

import copy
import json
import re
from collections.abc import Sequence
from typing import Any

from stoker.lab.control.local import Local
from stoker.lab.merge.strategic import strategic_merge
from stoker.lab.schema.builtin import definition

__all__ = ["RuntimeRefusedError", "pod_spec", "runtime_of"]

Object = dict[str, Any]

_API = "serving.kserve.io/v1alpha1"
SERVED = "kserve-container"
_VERSIONS = {"v1": 1, "v2": 2, "grpc-v1": 3, "grpc-v2": 4}
_TAG = re.compile(r":([\w.\-_]*)$")
_GPU_TAGS = frozenset(("tensorflow-serving", "torchserve", "huggingfaceserver"))
_POD_FIELDS = (
    "nodeSelector", "affinity", "tolerations", "imagePullSecrets", "hostIPC", "volumes", "schedulerName",
)  # fmt: skip
_NOT_POD = frozenset(
    (
        "model", "name", "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling",
        "containerConcurrency", "timeout", "canaryTrafficPercent", "logger", "batcher", "labels", "annotations",
        "deploymentStrategy", "storageUris", "storageContainerName", "workerSpec", "containers",
    )
)  # fmt: skip


class RuntimeRefusedError(Exception):
    """No runtime serves a model as it is asked for: the reason and the message of the status, and the error's text."""

    def __init__(self, reason: str, message: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.message = message


def runtime_of(local: Local, model: Object, namespace: str) -> tuple[Object, bool]:
    """The runtime that a model names, or the first that serves its format; and whether it is the cluster's.

    Raises:
        RuntimeRefusedError: there is none, or it does not do what the model asks for.
    """
    name = model.get("runtime")
    if not name:
        return _selected(local, model, namespace)
    found = local.get(_API, "ServingRuntime", namespace, name)
    is_cluster = found is None
    if found is None:
        found = local.get(_API, "ClusterServingRuntime", "", name)
    if found is None:
        raise RuntimeRefusedError(
            "RuntimeNotRecognized",
            "Waiting for runtime to become available",
            f"No ServingRuntimes or ClusterServingRuntimes with the name: {name}",
        )
    spec = found["spec"]
    if spec.get("disabled"):
        raise RuntimeRefusedError(
            "RuntimeDisabled", "Specified runtime is disabled", f"specified runtime {name} is disabled"
        )
    protocol = model.get("protocolVersion")
    if protocol and not _speaks(spec, protocol):
        raise RuntimeRefusedError(
            "NoSupportingRuntime",
            "Specified runtime does not support specified protocol version",
            f"specified runtime {name} does not support specified protocol version",
        )
    if not _serves(spec, model, is_named=True):
        raise RuntimeRefusedError(
            "NoSupportingRuntime",
            "Specified runtime does not support specified framework/version",
            f"specified runtime {name} does not support specified framework/version",
        )
    return found, is_cluster


def _selected(local: Local, model: Object, namespace: str) -> tuple[Object, bool]:
    for found, is_cluster in (
        (local.list(_API, "ServingRuntime", namespace), False),
        (local.list(_API, "ClusterServingRuntime"), True),
    ):
        fitting = [
            one
            for one in sorted(found, key=_order)
            if not one["spec"].get("disabled")
            and not one["spec"].get("multiModel")
            and not one["spec"].get("workerSpec")
            and _serves(one["spec"], model, is_named=False)
            and _speaks(one["spec"], model.get("protocolVersion") or "v1")
        ]
        if fitting:
            name = model["modelFormat"]["name"]
            return max(fitting, key=lambda one: _priority(one["spec"], name)), is_cluster
    format_ = model.get("modelFormat") or {}
    raise RuntimeRefusedError(
        "NoSupportingRuntime",
        "No runtime found to support specified framework/version",
        f"no runtime found to support predictor with model type: {{{format_.get('name', '')} <nil>}}",
    )


def _order(runtime: Object) -> tuple[Any, ...]:
    """The lowest protocol first, the newest first, then by name."""
    protocols = [_VERSIONS.get(one, 0) for one in runtime["spec"].get("protocolVersions") or ()]
    created = runtime["metadata"]["creationTimestamp"]
    newest = tuple(-ord(letter) for letter in created)
    return (min(protocols, default=0), newest, runtime["metadata"]["name"])


def _speaks(spec: Object, protocol: str) -> bool:
    protocols = spec.get("protocolVersions")
    return not protocols or protocol in protocols


def _serves(spec: Object, model: Object, *, is_named: bool) -> bool:
    wanted = model.get("modelFormat") or {}
    return any(
        one["name"] == wanted.get("name")
        and (is_named or one.get("autoSelect"))
        and wanted.get("version") in {None, one.get("version")}
        for one in spec.get("supportedModelFormats") or ()
    )


def _priority(spec: Object, name: str) -> int:
    return max(
        (
            int(one.get("priority") or 0)
            for one in spec.get("supportedModelFormats") or ()
            if one["name"] == name and one.get("autoSelect")
        ),
        default=0,
    )


# --- pods -----------------------------------------------------------------------------------------------------------


def pod_spec(obj: Object, component: Object, runtime: Object | None) -> Object:
    """The PodSpec of a component: its own fields over those of the runtime.

    Raises:
        RuntimeRefusedError: the runtime has no container to serve with.
    """
    own = {key: value for key, value in component.items() if key not in _NOT_POD}
    containers: Sequence[Object] = component.get("containers") or ()
    model = component.get("model")
    if model is None or runtime is None:
        found = {**own, "containers": [copy.deepcopy(one) for one in containers]}
        if found["containers"]:
            found["containers"][0].setdefault("name", SERVED)
        return _with_names(obj, found)
    spec = runtime["spec"]
    base = next((one for one in spec["containers"] if one["name"] == SERVED), None)
    if base is None:
        raise RuntimeRefusedError(
            "InvalidPredictorSpec",
            f"failed to find {SERVED} in ServingRuntime containers",
            f"failed to find {SERVED} in ServingRuntime containers",
        )
    served = _merged(base, model)
    served = json.loads(_placed(json.dumps(served), obj["metadata"]))
    _retag(served, model, runtime)
    shared = {key: spec[key] for key in _POD_FIELDS if key in spec}
    found = strategic_merge(
        {**copy.deepcopy(shared), "containers": []}, own, definition("io.k8s.api.core.v1.PodSpec")
    )
    others = [one for one in spec["containers"] if one["name"] != SERVED]
    found["containers"] = [served, *copy.deepcopy(others), *copy.deepcopy(list(containers))]
    return _with_names(obj, found)


def _merged(base: Object, model: Object) -> Object:
    """The runtime's container under the model's; arguments follow one another."""
    patch = {
        key: value
        for key, value in model.items()
        if key
        not in {
            "modelFormat",
            "runtime",
            "runtimeVersion",
            "protocolVersion",
            "storageUri",
            "storage",
            "name",
        }
    }
    merged: Object = strategic_merge(
        copy.deepcopy(base), copy.deepcopy(patch), definition("io.k8s.api.core.v1.Container")
    )
    args = [*(base.get("args") or ()), *(model.get("args") or ())]
    if args:
        merged["args"] = args
    return merged


def _placed(text: str, metadata: Object) -> str:
    """``{{.Name}}``, labels and annotations of the InferenceService in a runtime's container."""
    for word, field in ((".Name", "name"), (".Namespace", "namespace")):
        text = text.replace("{{" + word + "}}", str(metadata[field]))
    return re.sub(
        r"\{\{\s*(?:index )?\.(Labels|Annotations)(?:\.|\s+\\\")([\w./-]+)(?:\\\")?\s*\}\}",
        lambda found: str((metadata.get(found[1].lower()) or {}).get(found[2], "")),
        text,
    )


def _retag(container: Object, model: Object, runtime: Object) -> None:
    """UpdateImageTag: the version that is asked for; images for CPUs or GPUs of known servers."""
    image = container.get("image") or ""
    if "@sha256:" in image:
        return
    version = model.get("runtimeVersion")
    if version:
        container["image"] = _TAG.sub("", image) + f":{version}"
        return
    annotations = runtime["metadata"].get("annotations") or {}
    name = runtime["metadata"]["name"].removeprefix("kserve-")
    server = annotations.get("serving.kserve.io/server-type") or name
    tag = _TAG.search(image)
    if tag is None:
        return
    resources = container.get("resources") or {}
    amounts = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    has_gpu = any("gpu" in one or one.startswith("nvidia.com/mig") for one in amounts)
    if has_gpu and server in _GPU_TAGS and not image.endswith("-gpu"):
        container["image"] = f"{image}-gpu"
    elif not has_gpu and server == "vllmserver" and not image[: tag.start()].endswith("-cpu"):
        container["image"] = f"{image[: tag.start()]}-cpu{tag[0]}"


def _with_names(obj: Object, found: Object) -> Object:
    """Every container knows its InferenceService; the serving ones are ready when their port is open."""
    for one in found["containers"]:
        env = one.setdefault("env", [])
        if not any(entry["name"] == "INFERENCE_SERVICE_NAME" for entry in env):
            env.append({"name": "INFERENCE_SERVICE_NAME", "value": obj["metadata"]["name"]})
        if one["name"] in {SERVED, "transformer-container"} and "readinessProbe" not in one:
            ports = one.get("ports") or [{"containerPort": 8080}]
            one["readinessProbe"] = {
                "tcpSocket": {"port": ports[0]["containerPort"]},
                "timeoutSeconds": 1,
                "periodSeconds": 10,
                "successThreshold": 1,
                "failureThreshold": 3,
            }
        one.setdefault("imagePullPolicy", "IfNotPresent")
    return found
