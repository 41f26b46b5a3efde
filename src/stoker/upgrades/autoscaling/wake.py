"""What starts the first replica of a tier at zero: something that exists while no engine does.

* http-addon: KEDA's HTTP add-on holds the request in its interceptor and pushes "active" to KEDA. An InterceptorRoute says
  which hosts and how many requests one replica should hold; the ScaledObject's external-push trigger names it.
  Requests must pass the interceptor (Service ``keda-add-ons-http-interceptor-proxy`` in KEDA's namespace, port 8080).
  Source: kedacore/http-add-on v0.15.0 operator/apis/http/v1beta1/interceptorroute_types.go, scaler/handlers.go
  (metadata key ``interceptorRoute``), test/helpers/env.go (scaler address).
* gateway: the endpoint picker of an LLMInferenceService holds requests in its flow-control queue when the pool has no
  endpoint (an empty pool counts as saturated), and reports their number. It needs the picker's ``flowControl`` feature
  gate. llm-d renamed the series; both names are read, and ``or`` keeps the first where both are exported.
  Source: gateway-api-inference-extension v1.5.0 pkg/epp/metrics/metrics.go, saturationdetector/utilization/detector.go.
  A plain Gateway has no such series: Envoy Gateway answers a route without endpoints itself (envoyproxy/gateway
  issue 8288), so no cluster of Envoy counts the request. Other modes therefore wake through the HTTP add-on.
* broker: messages wait in a queue of the user's.
* cron: the warm-up windows only.
"""

from typing import Final

from stoker.platform.autoscaling import CronWindow, Wake
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.autoscaling.brokers import broker_trigger
from stoker.upgrades.objects import Object

__all__ = [
    "QUEUE_SERIES",
    "broker_triggers",
    "cron_triggers",
    "effective_wake",
    "interceptor_route",
    "wake_trigger",
]

_SCALER: Final = "keda-add-ons-http-external-scaler"
_SCALER_PORT: Final = 9090
QUEUE_SERIES: Final = ("llm_d_epp_flow_control_queue_size", "inference_extension_flow_control_queue_size")


def effective_wake(model: ResolvedModel) -> Wake | None:
    """The wake that can work for the model's mode; None for a tier that is never at zero."""
    wake = model.scaling.wake
    if model.min_replicas > 0 or wake is None:
        return None
    if wake is Wake.GATEWAY and model.mode is ServingMode.LLM_INFERENCE_SERVICE:
        return wake
    if wake is Wake.BROKER and model.scaling.broker is not None:
        return wake
    if wake is Wake.CRON and model.scaling.warm_up:
        return wake
    return Wake.HTTP_ADDON


def wake_trigger(platform: ResolvedPlatform, model: ResolvedModel) -> Object | None:
    """The trigger that exists at zero; None for cron, whose windows are triggers already."""
    wake = effective_wake(model)
    if wake is Wake.HTTP_ADDON:
        return {
            "type": "external-push",
            "name": "held-requests",
            "metricType": "AverageValue",
            "metadata": {
                "scalerAddress": f"{_SCALER}.{platform.spec.autoscaling.keda_namespace}:{_SCALER_PORT}",
                "interceptorRoute": model.name,
            },
        }
    if wake is Wake.GATEWAY:
        return _flow_control(platform, model)
    return None


def _flow_control(platform: ResolvedPlatform, model: ResolvedModel) -> Object:
    selector = f'namespace="{model.namespace}",inference_pool="{model.name}-inference-pool"'
    series = " or ".join(f"{name}{{{selector}}}" for name in QUEUE_SERIES)
    tuning = platform.spec.autoscaling
    trigger: Object = {
        "type": "prometheus",
        "name": "held-requests",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": tuning.prometheus_address,
            "query": f"sum({series})",
            "threshold": str(model.scaling.target_concurrency),
            "activationThreshold": "0",
            # The series is born with the first request: before that, nothing is held.
            "ignoreNullValues": "true",
        },
    }
    if tuning.prometheus_auth is not None:
        trigger["authenticationRef"] = {
            "name": tuning.prometheus_auth,
            "kind": "ClusterTriggerAuthentication",
        }
    return trigger


def broker_triggers(model: ResolvedModel) -> list[Object]:
    """The backlog scales a model whether or not it also wakes it."""
    return [broker_trigger(model, model.scaling.broker)] if model.scaling.broker is not None else []


def cron_triggers(model: ResolvedModel) -> list[Object]:
    """One trigger for each window; beyond the maximum a window asks for what there is."""
    return [_cron(index, window, model.max_replicas) for index, window in enumerate(model.scaling.warm_up)]


def _cron(index: int, window: CronWindow, most: int) -> Object:
    return {
        "type": "cron",
        "name": f"warm-up-{index}",
        "metricType": "AverageValue",
        "metadata": {
            "timezone": window.timezone,
            "start": window.start,
            "end": window.end,
            "desiredReplicas": str(min(window.replicas, most)),
        },
    }


def interceptor_route(platform: ResolvedPlatform, model: ResolvedModel) -> Object:
    """Route of the HTTP add-on: the model's hosts to its Service, held while the first replica loads."""
    domain = platform.spec.serving.gateway.domain
    inside = f"{model.service}.{model.namespace}"
    patience = max(model.scaling.cooldown_seconds, model.startup_seconds)
    return {
        "apiVersion": "http.keda.sh/v1beta1",
        "kind": "InterceptorRoute",
        "metadata": {"name": model.name, "namespace": model.namespace},
        "spec": {
            "target": {"service": model.service, "port": model.service_port},
            "rules": [{"hosts": [f"{model.name}.{domain}", inside, f"{inside}.svc.cluster.local"]}],
            "scalingMetric": {"concurrency": {"targetValue": model.scaling.target_concurrency}},
            "timeouts": {"readiness": f"{patience}s"},
        },
    }
