"""PodMonitors: every replica is scraped by itself. A Service would answer for one replica at random."""

from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit

__all__ = ["compile_monitors", "target_labels"]


def compile_monitors(platform: ResolvedPlatform) -> list[Emitted]:
    """One a model whose engine has metrics, in the model's namespace."""
    return [_monitor(platform, model) for model in platform.models.values() if model.release.metrics]


def target_labels(model: ResolvedModel) -> dict[str, str]:
    """Labels that every series of the model's pods carries besides those of the scrape."""
    return {"model": model.name, "tenant": model.tenant.name}


def _monitor(platform: ResolvedPlatform, model: ResolvedModel) -> Emitted:
    seen = platform.spec.observability
    selector = dict(model.pod_labels)
    if model.nodes_per_replica > 1 and model.mode is not ServingMode.LLM_INFERENCE_SERVICE:
        selector["stoker.dev/role"] = "leader"  # workers of a group serve no HTTP
    return emit(
        platform,
        Upgrade.OBSERVABILITY,
        Wave.OBSERVABILITY,
        f"Scrapes every replica of {model.name} by itself, so that no counter jumps and KEDA sees all of them",
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PodMonitor",
            "metadata": {
                "name": model.name,
                "namespace": model.namespace,
                "labels": dict(seen.selector_labels),
            },
            "spec": {
                "selector": {"matchLabels": selector},
                "podMetricsEndpoints": [
                    {
                        **_port(model),
                        "path": model.release.metrics_path,
                        "interval": seen.scrape_interval,
                        "relabelings": _relabelings(model),
                    }
                ],
            },
        },
        model=model,
    )


def _port(model: ResolvedModel) -> Object:
    # By number: names differ between modes (Knative allows http1 and h2c only).
    if model.release.metrics_port != model.release.port:
        return {"portNumber": model.release.metrics_port}
    return {"portNumber": model.port}


def _relabelings(model: ResolvedModel) -> list[Object]:
    fixed: list[Object] = [
        {"targetLabel": label, "replacement": value, "action": "replace"}
        for label, value in target_labels(model).items()
    ]
    version = {
        "sourceLabels": ["__meta_kubernetes_pod_label_stoker_dev_version"],
        "targetLabel": "version",
        "action": "replace",
    }
    return [*fixed, version]
