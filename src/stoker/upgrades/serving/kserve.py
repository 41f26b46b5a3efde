"""KServe InferenceService over Deployments (Standard), and the ServingRuntimes both KServe modes name."""

import re
from typing import Final

from stoker.platform.models import EngineName
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedCanary, ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit
from stoker.upgrades.scheduling.placement import rolling_update
from stoker.upgrades.serving.engine import Launch, launch_of
from stoker.upgrades.serving.pods import engine_pod, engine_security
from stoker.upgrades.serving.steps import detector_url, explainer, transformer
from stoker.upgrades.tenancy.queues import queue_labels

__all__ = ["compile_runtimes", "compile_standard", "model_spec", "predictor_base", "runtime_name"]

_SERVICE_API: Final = "serving.kserve.io/v1beta1"
_RUNTIME_API: Final = "serving.kserve.io/v1alpha1"
_MODE: Final = "serving.kserve.io/deploymentMode"
_AUTOSCALER: Final = "serving.kserve.io/autoscalerClass"
_FORMATS: Final = {EngineName.VLLM: "vLLM"}  # KServe's spelling; the other engines are spelt as we spell them
_CONTAINER: Final = "kserve-container"


def runtime_name(launch: Launch) -> str:
    """One runtime an engine release; a custom image is one of its own."""
    if launch.release.engine == EngineName.CUSTOM:
        return f"stoker-custom-{launch.model.name}"
    version = re.sub(r"[^a-z0-9]+", "-", launch.release.version.lower()).strip("-")
    return f"stoker-{launch.release.engine}-{version}"


def model_format(launch: Launch) -> str:
    engine = EngineName(launch.release.engine)
    return _FORMATS.get(engine, engine.value)


def compile_runtimes(platform: ResolvedPlatform) -> list[Emitted]:
    """The ServingRuntimes that models name, in each namespace that needs them.

    Ours and not KServe's: those pull unpinned images, cap a container at 1 CPU and 2Gi unless told otherwise, and for
    some engines the controller rewrites the image tag (kserve v0.20.0 UpdateImageTag); a runtime without their names and
    without a server-type annotation is left as it is.
    """
    found: dict[tuple[str, str], Launch] = {}
    for model in platform.models.values():
        if model.mode not in (ServingMode.STANDARD, ServingMode.KNATIVE) or model.nodes_per_replica > 1:
            continue
        for canary in (None, *([model.canary] if model.canary else [])):
            launch = launch_of(model, canary)
            found.setdefault((model.namespace, runtime_name(launch)), launch)
    return [_runtime(platform, name, launch) for (_, name), launch in found.items()]


def _runtime(platform: ResolvedPlatform, name: str, launch: Launch) -> Emitted:
    model = launch.model
    image = launch.release.image_ref or launch.image
    protocols = {} if model.spec.protocol == "openai" else {"protocolVersions": ["v1", "v2"]}
    return emit(
        platform,
        Upgrade.SERVING,
        Wave.RUNTIMES,
        f"Runs {launch.release.engine} {launch.release.version} from a pinned image; no built-in runtime's limits or tags apply",
        {
            "apiVersion": _RUNTIME_API,
            "kind": "ServingRuntime",
            "metadata": {"name": name, "namespace": model.namespace},
            "spec": {
                "supportedModelFormats": [
                    {"name": model_format(launch), "version": "1", "autoSelect": False}
                ],
                **protocols,
                "containers": [
                    {"name": _CONTAINER, "image": image, "securityContext": engine_security(model)}
                ],
            },
        },
        tenant=model.tenant,
    )


def compile_standard(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    """One InferenceService, its canary in ``spec.canary[]`` (since v0.20.0).

    KServe v0.20.0 runs the canary's pods but splits no traffic (the weights came with kserve/kserve pull 5912 after that
    release): the split is our HTTPRoute over the two Services, see `routing`.
    """
    canary = model.canary
    predictor = {
        **predictor_base(platform, model),
        "minReplicas": _min_replicas(model),
        "maxReplicas": max(model.max_replicas, 1) + (canary.replicas if canary else 0),
        "deploymentStrategy": rolling_update(model),
        "logger": {"mode": "all", "url": detector_url(model)} if model.spec.outlier_detector else None,
    }
    spec: Object = {
        "predictor": predictor,
        "transformer": transformer(model),
        "explainer": explainer(model),
        "canary": [_canary(platform, model, canary)] if canary else None,
    }
    scaler = "external" if model.scaling.enabled else "none"
    return [
        emit(
            platform,
            Upgrade.SERVING,
            Wave.WORKLOADS,
            f"Serves {model.name} with KServe over a Deployment; "
            + (
                "its replica count belongs to our ScaledObject"
                if model.scaling.enabled
                else "its replica count is fixed"
            ),
            {
                "apiVersion": _SERVICE_API,
                "kind": "InferenceService",
                "metadata": {
                    "name": model.name,
                    "namespace": model.namespace,
                    "annotations": {_MODE: "Standard", _AUTOSCALER: scaler},
                },
                "spec": spec,
            },
            model=model,
        )
    ]


def predictor_base(
    platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None = None
) -> Object:
    """What the predictors of both KServe modes share, for the model or its canary."""
    pod = engine_pod(platform, model, canary)
    built: Object = compact(
        {
            **pod.fields,
            "labels": {
                "stoker.dev/version": canary.name if canary else "stable",
                **queue_labels(platform, model),
            },
            "model": model_spec(launch_of(model, canary), pod.container),
            "initContainers": pod.init_containers or None,
            "volumes": pod.volumes,
        }
    )
    return built


def model_spec(launch: Launch, container: Object) -> Object:
    """``predictor.model``: the runtime by name, the weights by URI, and the container's fields inlined."""
    protocol = launch.model.spec.protocol
    fields = dict(container)
    if launch.image == launch.release.image_ref:
        del fields["image"]  # the runtime's
    built: Object = compact(
        {
            "modelFormat": {"name": model_format(launch), "version": "1"},
            "runtime": runtime_name(launch),
            "protocolVersion": None if protocol == "openai" else protocol,
            "storageUri": launch.delivery.serve_uri,
            **fields,
            "args": [literal(argument) for argument in container.get("args", [])] or None,
        }
    )
    return built


def literal(argument: str) -> str:
    """An argument that KServe's placeholder templates leave alone (kserve v0.20.0 ReplacePlaceholders)."""
    return argument.replace("{{", "{{`{{`}}")


def _min_replicas(model: ResolvedModel) -> int:
    # KServe takes the canary's replicas out of the stable ones, and refuses a canary larger than the stable version
    # (kserve v0.20.0 reconcileRawDeployment, validateCanarySpecs): the sum keeps the stable version at its own count.
    return model.min_replicas + (model.canary.replicas if model.canary else 0)


def _canary(platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary) -> Object:
    base = predictor_base(platform, model, canary)
    # The CRD demands a container name here, which the webhook forbids in the stable predictor; KServe merges by it.
    base["model"] = {"name": _CONTAINER, **base["model"]}
    predictor = {
        "name": canary.name,
        **base,
        "minReplicas": canary.replicas,
        # The controller applies a fixed count only under class none; under the stable version's it would stay at one.
        "annotations": {_AUTOSCALER: "none"},
    }
    return {"trafficPercent": canary.traffic_percent, "predictor": predictor}
