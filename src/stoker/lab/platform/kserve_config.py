"""KServe's configuration: the ConfigMap ``inferenceservice-config`` of the namespace ``kserve``, or what Stoker installs it with.

Source: kserve/kserve v0.20.0 config/configmap/inferenceservice.yaml, pkg/apis/serving/v1beta1/configmap.go.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from stoker.lab.api.cluster import Cluster

__all__ = ["KServeConfig", "read_config"]

Object = dict[str, Any]


def _resources() -> Object:
    return {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}


@dataclass(frozen=True)
class KServeConfig:
    """What of the ConfigMap counts here. Requests reach models through Gateway API unless the ConfigMap says otherwise.

    Attributes:
        resources: filled in where a predictor's container has none of its own.
        gateway: ``namespace/name``.
        has_gateway_api: HTTPRoutes are made; without, no route is.
    """

    mode: str = "Knative"
    resources: Object = field(default_factory=_resources)
    gateway: str = "kserve/kserve-ingress-gateway"
    domain: str = "example.com"
    scheme: str = "http"
    template: str = "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}"
    has_gateway_api: bool = True
    creates_ingress: bool = True
    has_timeouts: bool = True
    is_istio: bool = False
    storage_image: str = "kserve/storage-initializer:latest"

    def host(self, name: str, namespace: str) -> str:
        """A component's host name (ingress/domain.go)."""
        text = self.template
        for key, value in (("Name", name), ("Namespace", namespace), ("IngressDomain", self.domain)):
            text = text.replace("{{ ." + key + " }}", value).replace("{{." + key + "}}", value)
        return text


def read_config(cluster: Cluster) -> KServeConfig:
    """The configuration now; entries that are no JSON are left at their defaults."""
    found = cluster.get("configmaps", "kserve", "inferenceservice-config")
    data = (found or {}).get("data") or {}
    own = KServeConfig()
    ingress, deploy = _entry(data, "ingress"), _entry(data, "deploy")
    resource = _entry(data, "inferenceService").get("resource") or {}
    mode = str(deploy.get("defaultDeploymentMode") or own.mode)
    resources = own.resources
    if resource:
        resources = {
            "requests": {
                "cpu": resource.get("cpuRequest", "1"),
                "memory": resource.get("memoryRequest", "2Gi"),
            },
            "limits": {"cpu": resource.get("cpuLimit", "1"), "memory": resource.get("memoryLimit", "2Gi")},
        }
    return KServeConfig(
        mode={"Serverless": "Knative", "RawDeployment": "Standard"}.get(mode, mode),
        resources=resources,
        gateway=ingress.get("kserveIngressGateway") or own.gateway,
        domain=ingress.get("ingressDomain") or own.domain,
        scheme=ingress.get("urlScheme") or own.scheme,
        template=ingress.get("domainTemplate") or own.template,
        has_gateway_api=bool(ingress.get("enableGatewayApi", own.has_gateway_api)),
        creates_ingress=not ingress.get("disableIngressCreation", False),
        has_timeouts=not ingress.get("disableHTTPRouteTimeout", False),
        is_istio=bool(ingress) and not ingress.get("disableIstioVirtualHost", False),
        storage_image=_entry(data, "storageInitializer").get("image") or own.storage_image,
    )


def _entry(data: Object, name: str) -> Object:
    try:
        found = json.loads(data.get(name) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
