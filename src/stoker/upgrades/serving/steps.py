"""Containers of the user's around a model: transformer, explainer, outlier detector."""

from typing import Final

from stoker.platform.models import PipelineStep
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit
from stoker.upgrades.serving.environment import merged_environment, user_environment

__all__ = ["compile_detector", "detector_url", "explainer", "transformer"]

_COMPONENT: Final = "app.kubernetes.io/component"


def transformer(model: ResolvedModel) -> Object | None:
    """``spec.transformer`` of an InferenceService."""
    return _component(model, model.spec.transformer)


def explainer(model: ResolvedModel) -> Object | None:
    """``spec.explainer`` of an InferenceService."""
    return _component(model, model.spec.explainer)


def _component(model: ResolvedModel, step: PipelineStep | None) -> Object | None:
    if step is None:
        return None
    knative = model.mode is ServingMode.KNATIVE
    built: Object = compact(
        {
            "minReplicas": step.replicas,
            "maxReplicas": step.replicas,
            # The service's class `external` leaves a component at one replica; `none` makes its count its own.
            "annotations": None if knative else {"serving.kserve.io/autoscalerClass": "none"},
            **_pod_fields(model),
            "containers": [{"name": "kserve-container", **_container(model, step)}],
        }
    )
    return built


def detector_name(model: ResolvedModel) -> str:
    return f"{model.name}-outliers"


def detector_url(model: ResolvedModel) -> str:
    """Where KServe's logger sends a copy of every request and response."""
    return f"http://{detector_name(model)}.{model.namespace}.svc.cluster.local"


def compile_detector(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    """The outlier detector's Deployment and Service; KServe has a logger for it but no component of that kind."""
    step = model.spec.outlier_detector
    if step is None or model.mode not in (ServingMode.STANDARD, ServingMode.KNATIVE):
        return []
    name = detector_name(model)
    selector = {"app.kubernetes.io/instance": model.name, _COMPONENT: "outlier-detector"}
    labels = {**selector, "app.kubernetes.io/name": "outlier-detector"}
    deployment: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": model.namespace, "labels": labels},
        "spec": {
            "replicas": step.replicas,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    **_pod_fields(model),
                    "containers": [{"name": "detector", **_container(model, step)}],
                },
            },
        },
    }
    service: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": model.namespace, "labels": labels},
        "spec": {
            "selector": selector,
            "ports": [{"name": "http", "port": 80, "targetPort": step.port, "protocol": "TCP"}],
        },
    }
    reason = f"Sees a copy of every request to {model.name} and flags outliers"
    return [
        emit(platform, Upgrade.SERVING, Wave.RUNTIMES, reason, deployment, model=model),
        emit(
            platform,
            Upgrade.SERVING,
            Wave.RUNTIMES,
            f"Address that {model.name}'s logger posts to",
            service,
            model=model,
        ),
    ]


def _pod_fields(model: ResolvedModel) -> Object:
    restricted = model.tenant.spec.pod_security == "restricted"
    return {
        "priorityClassName": model.tenant.priority_class,
        "automountServiceAccountToken": False,
        "securityContext": compact(
            {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True if restricted else None}
        ),
    }


def _container(model: ResolvedModel, step: PipelineStep) -> Object:
    name = "http1" if model.mode is ServingMode.KNATIVE else "http"
    resources = {"cpu": step.cpu, "memory": step.memory}
    built: Object = compact(
        {
            "image": step.image,
            "args": list(step.args) or None,
            "env": merged_environment(user_environment(step.env)) or None,
            "ports": [{"name": name, "containerPort": step.port, "protocol": "TCP"}],
            "readinessProbe": {"tcpSocket": {"port": step.port}, "periodSeconds": 10},
            "resources": {"requests": dict(resources), "limits": dict(resources)},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    )
    return built
