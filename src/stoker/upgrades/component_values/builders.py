"""Values of the charts that run anywhere, and the table of all builders."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from stoker.upgrades.component_values.context import ComponentContext
from stoker.upgrades.component_values.gpu import amd_gpu, dcgm_exporter, gpu_operator, nvidia_device_plugin

__all__ = ["values"]

Values = dict[str, Any]


def values(name: str, context: ComponentContext) -> Values:
    """Helm values of a component; empty where the chart's defaults serve."""
    builder = _BUILDERS.get(name)
    return builder(context) if builder else {}


def _cert_manager(context: ComponentContext) -> Values:
    monitor: Values = {"enabled": context.prometheus_operator}
    if context.prometheus_operator:
        monitor["labels"] = dict(context.monitor_labels)
    return {
        "crds": {"enabled": True, "keep": True},
        "webhook": {"replicaCount": 2},  # a webhook that is away refuses every certificate
        "prometheus": {"servicemonitor": monitor},
    }


def _gateway_crds(_: ComponentContext) -> Values:
    return {
        "crds": {"gatewayAPI": {"enabled": True, "channel": "standard"}, "envoyGateway": {"enabled": True}}
    }


def _envoy_gateway(_: ComponentContext) -> Values:
    return {"crds": {"enabled": False}, "deployment": {"replicas": 2}}


def _kserve(context: ComponentContext) -> Values:
    standard = context.deployment_mode == "Standard"
    gateway: Values = {
        "domain": context.domain,
        "disableIstioVirtualHost": standard,
        "ingressGateway": {
            "enableGatewayApi": standard,
            "kserveGateway": context.gateway,
            "className": context.gateway_class,
            "createGateway": False,  # the platform's own objects hold it
        },
    }
    return {"kserve": {"controller": {"deploymentMode": context.deployment_mode, "gateway": gateway}}}


def _kserve_llmisvc(context: ComponentContext) -> Values:
    shared = not context.kserve_controller
    kserve: Values = {"createSharedResources": shared, "llmisvc": {"createGIECRDs": True}}
    if shared:
        ingress = {
            "enableGatewayApi": True,
            "kserveGateway": context.gateway,
            "className": context.gateway_class,
        }
        kserve["controller"] = {
            "deploymentMode": context.deployment_mode,
            "gateway": {"domain": context.domain, "ingressGateway": ingress},
        }
    return {"kserve": kserve}


def _kserve_runtime_configs(_: ComponentContext) -> Values:
    # Its ClusterServingRuntimes carry unpinned images and 1 CPU / 2Gi; the platform renders runtimes of its own.
    return {"kserve": {"llmisvcConfigs": {"enabled": True}, "servingruntime": {"enabled": False}}}


def _kserve_localmodel(context: ComponentContext) -> Values:
    agent = {"tolerations": [dict(item) for item in context.tolerations]}
    return {"kserve": {"createSharedResources": False, "localmodel": {"enabled": True, "agent": agent}}}


def _keda(context: ComponentContext) -> Values:
    metrics: Values = {"enabled": True}
    if context.prometheus_operator:
        metrics["serviceMonitor"] = {"enabled": True, "additionalLabels": dict(context.monitor_labels)}
    parts = {
        part: {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1000Mi"}}
        for part in ("operator", "metricServer", "webhooks")
    }
    return {
        "operator": {"replicaCount": 2},  # one leads, one stands by
        "webhooks": {"replicaCount": 2},
        "podDisruptionBudget": {
            part: {"maxUnavailable": 1} for part in ("operator", "metricServer", "webhooks")
        },
        "resources": parts,
        "prometheus": {part: dict(metrics) for part in ("operator", "metricServer", "webhooks")},
    }


def _keda_http(_: ComponentContext) -> Values:
    return {"interceptor": {"replicas": {"min": 2}, "pdb": {"enabled": True, "maxUnavailable": 1}}}


def _prometheus(_: ComponentContext) -> Values:
    kinds = ("podMonitor", "serviceMonitor", "rule", "probe", "scrapeConfig")
    return {
        # True would select only what carries the chart's release label, and so none of the tenants' monitors.
        "prometheus": {"prometheusSpec": {f"{kind}SelectorNilUsesHelmValues": False for kind in kinds}},
        "alertmanager": {
            "alertmanagerSpec": {
                # The default adds namespace=<its own> to every route, which drops the alerts of tenant namespaces.
                "alertmanagerConfigMatcherStrategy": {"type": "OnNamespaceExceptForAlertmanagerNamespace"}
            }
        },
        "grafana": {
            "sidecar": {
                "dashboards": {
                    "enabled": True,
                    "searchNamespace": "ALL",
                    # Values of the Grafana subchart: dashboards land in the folder that their annotation names.
                    "folderAnnotation": "grafana_folder",
                    "provider": {"foldersFromFilesStructure": True},
                }
            }
        },
    }


def _kueue(context: ComponentContext) -> Values:
    manager = {"replicas": 2, "podDisruptionBudget": {"enabled": True, "minAvailable": 1}}
    return {"enablePrometheus": context.prometheus_operator, "controllerManager": manager}


def _lws(context: ComponentContext) -> Values:
    return {"replicaCount": 2, "enablePrometheus": context.prometheus_operator}


_BUILDERS: Final[Mapping[str, Callable[[ComponentContext], Values]]] = MappingProxyType(
    {
        "amd-gpu": amd_gpu,
        "cert-manager": _cert_manager,
        "dcgm-exporter": dcgm_exporter,
        "envoy-gateway": _envoy_gateway,
        "gateway-api-crds": _gateway_crds,
        "gpu-operator": gpu_operator,
        "keda": _keda,
        "keda-http-add-on": _keda_http,
        "kserve": _kserve,
        "kserve-llmisvc": _kserve_llmisvc,
        "kserve-localmodel": _kserve_localmodel,
        "kserve-runtime-configs": _kserve_runtime_configs,
        "kube-prometheus-stack": _prometheus,
        "kueue": _kueue,
        "leader-worker-set": _lws,
        "nvidia-device-plugin": nvidia_device_plugin,
    }
)
