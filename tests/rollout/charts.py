"""What Helm charts would bring into a lab that cannot run them: objects of Prometheus, Alertmanager, KEDA's add-on and DCGM."""

from stoker.kube.cluster import Cluster
from stoker.kube.refs import Object

__all__ = ["alerting_secret", "install_charts"]

_MONITORING = "monitoring.coreos.com"


def install_charts(cluster: Cluster) -> None:
    """Apply all of it; what is there stays."""
    for obj in (*_namespaces(), *_prometheus(), _alertmanager(), *_dcgm(), *_keda()):
        cluster.apply(obj, force=True)


def _meta(name: str, namespace: str = "monitoring", **labels: str) -> Object:
    return {"name": name, "namespace": namespace, **({"labels": labels} if labels else {})}


def _namespaces() -> list[Object]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in ("monitoring", "keda", "gpu-operator")
    ]


def _prometheus() -> list[Object]:
    kinds = ("podMonitor", "serviceMonitor", "rule", "scrapeConfig")
    everything: Object = {f"{kind}{part}": {} for kind in kinds for part in ("Selector", "NamespaceSelector")}
    alerting = {
        "alertmanagers": [{"namespace": "monitoring", "name": "alertmanager-operated", "port": "web"}]
    }
    port = {"name": "web", "port": 9090}
    return [
        {
            "apiVersion": f"{_MONITORING}/v1",
            "kind": "Prometheus",
            "metadata": _meta("kube-prometheus-stack"),
            "spec": {
                "scrapeInterval": "30s",
                "evaluationInterval": "30s",
                "alerting": alerting,
                **everything,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta("prometheus-operated"),
            "spec": {
                "clusterIP": "None",
                "ports": [port],
                "selector": {"app.kubernetes.io/name": "prometheus"},
            },
        },
    ]


def _alertmanager() -> Object:
    """As `stoker components` sets it: the platform's routes take alerts of every namespace."""
    strategy = {"type": "OnNamespaceExceptForAlertmanagerNamespace"}
    every: Object = {"alertmanagerConfigSelector": {}, "alertmanagerConfigNamespaceSelector": {}}
    return {
        "apiVersion": f"{_MONITORING}/v1",
        "kind": "Alertmanager",
        "metadata": _meta("kube-prometheus-stack"),
        "spec": {"alertmanagerConfigMatcherStrategy": strategy, **every},
    }


def alerting_secret() -> Object:
    """Keys of receivers; in a lab pages go to its catcher whatever they are."""
    keys = {"pagerduty-routing-key": "pd-0123456789abcdef", "opsgenie-api-key": "og-0123456789abcdef"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _meta("alerting"), "stringData": keys}


def _dcgm() -> list[Object]:
    labels = {"app": "nvidia-dcgm-exporter"}
    container = {
        "name": "exporter",
        "image": "nvcr.io/nvidia/k8s/dcgm-exporter:4.5.3-4.8.2-ubuntu22.04",
        "ports": [{"name": "metrics", "containerPort": 9400}],
    }
    pod = {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
            "nodeSelector": {"nvidia.com/gpu.present": "true"},
        },
    }
    place = _meta("nvidia-dcgm-exporter", "gpu-operator", **labels)
    endpoint = {"port": "metrics", "honorLabels": True, "interval": "15s"}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": place,
            "spec": {"selector": {"matchLabels": labels}, "template": pod},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": place,
            "spec": {"selector": labels, "ports": [{"name": "metrics", "port": 9400}]},
        },
        {
            "apiVersion": f"{_MONITORING}/v1",
            "kind": "ServiceMonitor",
            "metadata": place,
            "spec": {"selector": {"matchLabels": labels}, "endpoints": [endpoint]},
        },
    ]


def _keda() -> list[Object]:
    name = "keda-add-ons-http-interceptor-proxy"
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _meta(name, "keda"),
            "spec": {"ports": [{"name": "proxy", "port": 8080}]},
        }
    ]
