"""KServe InferenceService over Knative: revisions, request-driven scaling, scale to zero behind the activator."""

import json
import math
from typing import Final

from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit
from stoker.upgrades.serving.kserve import predictor_base
from stoker.upgrades.serving.steps import detector_url, explainer, transformer

__all__ = ["KNATIVE_FEATURES", "compile_knative"]

# Keys of Knative's config-features that the pods need (knative serving 1.23 pkg/apis/config/features.go).
KNATIVE_FEATURES: Final = (
    "kubernetes.podspec-affinity",
    "kubernetes.podspec-fieldref",
    "kubernetes.podspec-init-containers",
    "kubernetes.podspec-persistent-volume-claim",
    "kubernetes.podspec-priorityclassname",
    "kubernetes.podspec-schedulername",
    "kubernetes.podspec-securitycontext",
    "kubernetes.podspec-tolerations",
    "kubernetes.podspec-topologyspreadconstraints",
    "kubernetes.podspec-volumes-emptydir",
)
# Upper bounds of Knative's own validation: config-defaults max-revision-timeout-seconds, and one hour for delays
# (knative.dev/pkg serving autoscaling annotation validation).
_TIMEOUT: Final = 600
_HOUR: Final = 3600


def compile_knative(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    """The stable InferenceService; a canary is the same object one step later, kept beside it.

    Under Knative a canary is not a second object: the spec carries the new version with ``canaryTrafficPercent``, the
    old one is the revision rolled out before (kserve v0.20.0 ksvc_reconciler.go). On an empty cluster there is no such
    revision and the percentage is ignored, so the stable version is what is rendered, and the next step is rendered as
    data, to be applied once the stable revision is ready.
    """
    service = _service(platform, model, canary=False)
    objects = [
        emit(
            platform,
            Upgrade.SERVING,
            Wave.WORKLOADS,
            f"Serves {model.name} with KServe over Knative, which scales it by concurrent requests",
            service,
            model=model,
        )
    ]
    if model.canary is not None:
        following = compact(_service(platform, model, canary=True))
        objects.append(
            emit(
                platform,
                Upgrade.SERVING,
                Wave.ROUTING,
                f"The next step of {model.name}: apply the document inside once the stable revision is ready, and "
                f"{model.canary.traffic_percent}% of requests reach {model.canary.name}",
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": f"{model.name}-canary-step", "namespace": model.namespace},
                    "data": {"inferenceservice.json": json.dumps(following, indent=2, sort_keys=True) + "\n"},
                },
                model=model,
            )
        )
    return objects


def _service(platform: ResolvedPlatform, model: ResolvedModel, *, canary: bool) -> Object:
    version = model.canary if canary else None
    concurrency = max(model.scaling.target_concurrency, model.max_num_seqs or model.max_sequences)
    predictor = {
        **predictor_base(platform, model, version),
        "minReplicas": model.min_replicas,
        "maxReplicas": model.max_replicas,
        "scaleMetric": "concurrency",
        "scaleTarget": model.scaling.target_concurrency,
        "containerConcurrency": concurrency,
        "timeout": _TIMEOUT,
        "annotations": _annotations(model),
        "canaryTrafficPercent": version.traffic_percent if version else None,
        "logger": {"mode": "all", "url": detector_url(model)} if model.spec.outlier_detector else None,
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": model.name,
            "namespace": model.namespace,
            "annotations": {"serving.kserve.io/deploymentMode": ServingMode.KNATIVE.value},
        },
        "spec": {"predictor": predictor, "transformer": transformer(model), "explainer": explainer(model)},
    }


def _annotations(model: ResolvedModel) -> dict[str, str]:
    deadline = max(600, math.ceil(model.startup_seconds * 2.5))
    return {
        # The target is already the share of the sized concurrency that starts the next replica.
        "autoscaling.knative.dev/target-utilization-percentage": "100",
        "autoscaling.knative.dev/scale-down-delay": f"{min(_HOUR, model.scaling.scale_down_seconds)}s",
        "autoscaling.knative.dev/scale-to-zero-pod-retention-period": f"{min(_HOUR, model.scaling.cooldown_seconds)}s",
        # A revision that is not ready by then is failed; loading a model takes longer than the default 600 s may be.
        "serving.knative.dev/progress-deadline": f"{deadline}s",
    }
