"""Grafana dashboards as ConfigMaps that the sidecar of kube-prometheus-stack's Grafana loads."""

import json

from stoker.sizing.resolved import ResolvedPlatform
from stoker.upgrades.objects import Emitted, Upgrade, Wave, emit
from stoker.upgrades.observability.dashboards.content import boards, dashboards

__all__ = ["boards", "compile_dashboards", "dashboards"]


def compile_dashboards(platform: ResolvedPlatform) -> list[Emitted]:
    """One ConfigMap a dashboard; none where Grafana is left out."""
    seen = platform.spec.observability
    if not seen.grafana.enabled:
        return []
    return [
        emit(
            platform,
            Upgrade.OBSERVABILITY,
            Wave.OBSERVABILITY,
            f"Dashboard {model['title']}; Grafana's sidecar finds it by its label",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": f"{platform.spec.name}-dashboard-{name}",
                    "namespace": seen.grafana.namespace or seen.namespace,
                    "labels": {"grafana_dashboard": "1"},
                    "annotations": {"grafana_folder": seen.grafana.folder},
                },
                "data": {f"{platform.spec.name}-{name}.json": json.dumps(model, indent=2) + "\n"},
            },
        )
        for name, model in dashboards(platform).items()
    ]
