"""Plain Deployment and Service: an engine without KServe."""

from stoker.sizing.resolved import ResolvedCanary, ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.scheduling.placement import rolling_update
from stoker.upgrades.serving.pods import engine_pod, pod_labels
from stoker.upgrades.tenancy.queues import queue_labels

__all__ = ["compile_deployment", "service_object"]

_STABLE = "stable"


def compile_deployment(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    """Deployment and Service of the model, and of its canary."""
    objects = _version(platform, model, None)
    return objects + (_version(platform, model, model.canary) if model.canary else [])


def _version(
    platform: ResolvedPlatform, model: ResolvedModel, canary: ResolvedCanary | None
) -> list[Emitted]:
    version = canary.name if canary else _STABLE
    name = canary.workload if canary else model.workload
    service = canary.service if canary else model.service
    labels = pod_labels(model, version)
    replicas = canary.replicas if canary else model.min_replicas
    owned = model.scaling.enabled and canary is None
    share = f", {canary.traffic_percent}% of requests" if canary else ""
    deployment: Object = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": model.namespace},
        "spec": {
            # With a ScaledObject the count is its own: a manifest that also states it would fight every apply.
            "replicas": None if owned else replicas,
            "selector": {"matchLabels": labels},
            "strategy": rolling_update(model),
            "progressDeadlineSeconds": max(600, 3 * model.startup_seconds),
            "revisionHistoryLimit": 5,
            "template": {
                "metadata": {"labels": {**labels, **queue_labels(platform, model)}},
                "spec": engine_pod(platform, model, canary).pod_spec("engine"),
            },
        },
    }
    return [
        emit(
            platform,
            Upgrade.SERVING,
            Wave.WORKLOADS,
            f"Runs the {version} version of {model.name}{share}",
            deployment,
            model=model,
        ),
        service_object(platform, model, service, labels, f"Address of the {version} version of {model.name}"),
    ]


def service_object(
    platform: ResolvedPlatform, model: ResolvedModel, name: str, selector: dict[str, str], reason: str
) -> Emitted:
    """A ClusterIP Service in front of one version; the metrics port is named where it is another."""
    ports: list[Object] = [
        {
            "name": "http",
            "port": model.service_port,
            "targetPort": model.port,
            "protocol": "TCP",
            "appProtocol": "http",
        }
    ]
    if model.release.metrics_port != model.release.port:
        port = model.release.metrics_port
        ports.append({"name": "metrics", "port": port, "targetPort": port, "protocol": "TCP"})
    return emit(
        platform,
        Upgrade.SERVING,
        Wave.WORKLOADS,
        reason,
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": model.namespace},
            "spec": {"selector": selector, "ports": ports},
        },
        model=model,
    )
