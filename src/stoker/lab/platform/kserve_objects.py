"""What KServe makes of a component in Standard mode, and the Knative Service of the other mode. Pure.

Sources: kserve/kserve v0.20.0 pkg/controller/v1beta1/inferenceservice/reconcilers/{deployment,service,hpa,keda,knative}/*.go,
reconcilers/ingress/httproute_reconciler.go, components/predictor.go.
"""

from typing import Any

from stoker.lab.platform.kserve_admission import SOURCE_ANNOTATION
from stoker.lab.platform.kserve_config import KServeConfig

__all__ = [
    "autoscaler_class",
    "canary_predictor",
    "canary_replicas",
    "component_meta",
    "component_name",
    "deployment",
    "horizontal",
    "http_route",
    "knative_service",
    "scaled_object",
    "service",
]

Object = dict[str, Any]

_GROUP = "serving.kserve.io"
_AUTOSCALER = f"{_GROUP}/autoscalerClass"
_KEPT_OUT = frozenset(
    (
        "autoscaling.knative.dev/min-scale",
        "autoscaling.knative.dev/max-scale",
        "internal.serving.kserve.io/storage-initializer-sourceuri",
        "kubectl.kubernetes.io/last-applied-configuration",
    )
)


def component_name(name: str, component: str, predictor: str = "") -> str:
    """``llm-predictor``, or ``llm-v2-predictor`` for a named predictor."""
    return f"{name}-{predictor}-{component}" if predictor else f"{name}-{component}"


def component_meta(obj: Object, kind: str, component: Object, runtime: Object | None) -> Object:
    """Name, labels and annotations of a component's objects: its own over the service's over the runtime's."""
    metadata = obj["metadata"]
    spec = (runtime or {}).get("spec") or {}
    annotations = {
        key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _KEPT_OUT
    }
    uri = (component.get("model") or {}).get("storageUri")
    if uri:
        annotations[SOURCE_ANNOTATION] = uri
    return {
        "name": component_name(metadata["name"], kind, component.get("name") or ""),
        "namespace": metadata["namespace"],
        "labels": {
            **(spec.get("labels") or {}),
            **(metadata.get("labels") or {}),
            **(component.get("labels") or {}),
            f"{_GROUP}/inferenceservice": metadata["name"],
            "component": kind,
        },
        "annotations": {
            **(spec.get("annotations") or {}),
            **annotations,
            **(component.get("annotations") or {}),
        },
    }


def autoscaler_class(meta: Object) -> str:
    return str(meta["annotations"].get(_AUTOSCALER, "hpa"))


def _app(meta: Object) -> str:
    return f"isvc.{meta['name']}"


def deployment(meta: Object, pod: Object, component: Object) -> Object:
    """The Deployment; its count is another's unless the autoscaler's class is ``none``."""
    labels = {**meta["labels"], "app": _app(meta)}
    spec: Object = {
        "selector": {"matchLabels": {"app": _app(meta)}},
        "template": {
            "metadata": {"labels": labels, "annotations": dict(meta["annotations"])},
            "spec": pod,
        },
        "strategy": component.get("deploymentStrategy")
        or {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
    }
    if autoscaler_class(meta) == "none" and component.get("minReplicas") is not None:
        spec["replicas"] = component["minReplicas"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**meta, "labels": labels},
        "spec": spec,
    }


def service(meta: Object, pod: Object) -> Object:
    """The Service: port 80 leads to the first port of the serving container, further ports to themselves."""
    containers = pod["containers"]
    served = next((one for one in containers if one["name"] == "transformer-container"), containers[0])
    ports: list[Object] = []
    for number, port in enumerate(served.get("ports") or ()):
        entry: Object = {
            "port": port["containerPort"] if number else 80,
            "targetPort": port["containerPort"],
            "protocol": port.get("protocol") or "TCP",
        }
        name = port.get("name") or ""
        if name:
            entry["name"] = name
        if "grpc" in name or "h2c" in name:
            entry["appProtocol"] = "kubernetes.io/h2c"
        ports.append(entry)
    if not ports:
        ports = [{"name": meta["name"], "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": dict(meta),
        "spec": {"selector": {"app": _app(meta)}, "ports": ports},
    }


def _bounds(component: Object, *, least: int) -> tuple[int, int]:
    minimum = component.get("minReplicas")
    minimum = max(least, 1 if minimum is None else int(minimum))
    return minimum, max(minimum, int(component.get("maxReplicas") or 0))


def horizontal(meta: Object, component: Object) -> Object:
    """The HPA of class ``hpa``: on CPU at 80 % where nothing else is said."""
    minimum, maximum = _bounds(component, least=1)
    metrics = [
        {"type": "Resource", "resource": _resource_metric(one["resource"])}
        for one in (component.get("autoScaling") or {}).get("metrics") or ()
        if one.get("resource")
    ]
    if not component.get("autoScaling"):
        name = component.get("scaleMetric") or "cpu"
        target = component.get("scaleTarget") or (80 if name == "cpu" else None)
        if target is not None:
            utilization = {"type": "Utilization", "averageUtilization": target}
            metrics = [{"type": "Resource", "resource": {"name": name, "target": utilization}}]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": dict(meta),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"]},
            "minReplicas": minimum,
            "maxReplicas": maximum,
            "metrics": metrics,
            "behavior": {},
        },
    }


def _resource_metric(resource: Object) -> Object:
    target = resource.get("target") or {}
    kind = target.get("type") or "Utilization"
    if resource["name"] == "cpu" or kind == "Utilization":
        used = target.get("averageUtilization", 80 if resource["name"] == "cpu" else None)
        return {
            "name": resource["name"],
            "target": {"type": "Utilization", "averageUtilization": used},
        }
    return {"name": resource["name"], "target": {"type": kind, "averageValue": target.get("averageValue")}}


def scaled_object(meta: Object, component: Object) -> Object:
    """The ScaledObject of class ``keda``: of a metric only server, query and threshold reach KEDA."""
    minimum, maximum = _bounds(component, least=0)
    scaling = component.get("autoScaling") or {}
    triggers = []
    for one in scaling.get("metrics") or ():
        if one["type"] == "Resource":
            target = one["resource"].get("target") or {}
            kind = target.get("type") or "Utilization"
            value = (
                target.get("averageUtilization", 80)
                if kind == "Utilization"
                else target.get("averageValue", "0")
            )
            triggers.append(
                {"type": one["resource"]["name"], "metricType": kind, "metadata": {"value": str(value)}}
            )
        elif one["type"] == "External":
            triggers.append(_external_trigger(one["external"]))
    spec: Object = {
        "scaleTargetRef": {"name": meta["name"]},
        "triggers": triggers,
        "minReplicaCount": minimum,
        "maxReplicaCount": maximum,
    }
    behavior = {
        direction: {"stabilizationWindowSeconds": rules["stabilizationWindowSeconds"]}
        for direction, rules in (scaling.get("behavior") or {}).items()
        if rules.get("stabilizationWindowSeconds") is not None
    }
    if behavior:
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": behavior}}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": dict(meta),
        "spec": spec,
    }


def _external_trigger(external: Object) -> Object:
    metric = external["metric"]
    metadata = {
        "serverAddress": metric.get("serverAddress") or "",
        "query": metric.get("query") or "",
        "threshold": str((external.get("target") or {}).get("value", "0")),
    }
    if metric.get("namespace"):
        metadata["namespace"] = metric["namespace"]
    found: Object = {"type": metric.get("backend") or "prometheus", "metadata": metadata}
    authentication = external.get("authenticationRef") or {}
    if authentication.get("authModes"):
        metadata["authModes"] = authentication["authModes"]
    if (authentication.get("authenticationRef") or {}).get("name"):
        found["authenticationRef"] = {"name": authentication["authenticationRef"]["name"]}
    return found


# --- canaries -------------------------------------------------------------------------------------------------------


def canary_replicas(stable: Object, canary: Object) -> int:
    """Its own minimum, or its share of the stable one's, rounded up."""
    own = canary["predictor"].get("minReplicas")
    if own is not None:
        return int(own)
    least = stable.get("minReplicas")
    return -(-(1 if least is None else int(least)) * int(canary["trafficPercent"]) // 100)


def canary_predictor(stable: Object, canary: Object) -> Object:
    """The stable predictor with the canary's fields over it; what scales it is taken out."""

    def over(base: Any, patch: Any) -> Any:
        if isinstance(base, dict) and isinstance(patch, dict):
            return {**base, **{key: over(base.get(key), value) for key, value in patch.items()}}
        return patch

    found: Object = over(stable, canary["predictor"])
    for field in ("maxReplicas", "scaleTarget", "scaleMetric", "autoScaling"):
        found.pop(field, None)
    found["minReplicas"] = canary_replicas(stable, canary)
    return found


# --- ways in --------------------------------------------------------------------------------------------------------


def http_route(obj: Object, name: str, backends: list[tuple[str, str]], config: KServeConfig, seconds: int | None) -> Object:  # fmt: skip
    """An HTTPRoute of KServe's: paths as regular expressions, and headers that name the service.

    Args:
        obj: the InferenceService.
        name: of the route; its host name is made of it.
        backends: path and Service, in the order of the rules.
        config: KServe's.
        seconds: the component's own time limit.
    """
    metadata = obj["metadata"]
    space, gateway = config.gateway.split("/", 1)
    filters = [
        {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {
                "set": [
                    {"name": "KServe-Isvc-Name", "value": metadata["name"]},
                    {"name": "KServe-Isvc-Namespace", "value": metadata["namespace"]},
                ]
            },
        }
    ]
    rules = []
    for path, backend in backends:
        rule: Object = {
            "matches": [{"path": {"type": "RegularExpression", "value": path}}],
            "filters": filters,
            "backendRefs": [
                {
                    "group": "",
                    "kind": "Service",
                    "name": backend,
                    "namespace": metadata["namespace"],
                    "port": 80,
                    "weight": 1,
                }
            ],
        }
        if config.has_timeouts:
            rule["timeouts"] = {"request": f"{60 if seconds is None else seconds}s"}
        rules.append(rule)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": {
                key: value
                for key, value in (metadata.get("annotations") or {}).items()
                if key not in _KEPT_OUT
            },
        },
        "spec": {
            "hostnames": [config.host(name, metadata["namespace"])],
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": gateway,
                    "namespace": space,
                }
            ],
            "rules": rules,
        },
    }


def knative_service(meta: Object, pod: Object, component: Object, rolled_out: str) -> Object:
    """The Knative Service: traffic split between the newest revision and the last that was rolled out."""
    annotations = dict(meta["annotations"])
    for field, key, default in (
        ("minReplicas", "min-scale", 1),
        ("maxReplicas", "max-scale", None),
        ("scaleTarget", "target", None),
        ("scaleMetric", "metric", None),
    ):
        value = component.get(field, default)
        if value is not None:
            annotations.setdefault(f"autoscaling.knative.dev/{key}", str(value))
    annotations.setdefault("autoscaling.knative.dev/class", "kpa.autoscaling.knative.dev")
    canary = component.get("canaryTrafficPercent")
    latest: Object = {"latestRevision": True, "percent": 100}
    traffic = [latest]
    if annotations.get(f"{_GROUP}/enable-tag-routing") == "true":
        latest["tag"] = "latest"
    if canary is not None and rolled_out:
        latest["percent"] = canary
        if canary < 100:
            traffic.append(
                {
                    "revisionName": rolled_out,
                    "latestRevision": False,
                    "percent": 100 - canary,
                    "tag": "prev",
                }
            )
    own = {
        "serving.knative.dev/rollout-duration": annotations.pop("serving.knative.dev/rollout-duration", None)
    }
    spec = {key: value for key, value in pod.items() if key != "terminationGracePeriodSeconds"}
    for field, key in (("timeout", "timeoutSeconds"), ("containerConcurrency", "containerConcurrency")):
        if component.get(field) is not None:
            spec[key] = component[field]
    if component.get("timeout") is not None:
        spec["responseStartTimeoutSeconds"] = component["timeout"]
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {**meta, "annotations": {key: value for key, value in own.items() if value is not None}},
        "spec": {
            "template": {
                "metadata": {"labels": dict(meta["labels"]), "annotations": annotations},
                "spec": spec,
            },
            "traffic": traffic,
        },
    }
