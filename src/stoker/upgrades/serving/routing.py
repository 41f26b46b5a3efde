"""The gateway, and the routes that no controller makes for us."""

from typing import Final

from stoker.platform.autoscaling import Wake
from stoker.platform.serving import ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, emit

__all__ = ["compile_gateway", "compile_route", "hostname", "route_name"]

_API: Final = "gateway.networking.k8s.io/v1"
_INTERCEPTOR: Final = "keda-add-ons-http-interceptor-proxy"
_INTERCEPTOR_PORT: Final = 8080
# KServe's own HTTPRoutes name the Gateway of its ConfigMap, and stay without a parent where that is not there.
_GATEWAY_ROUTES: Final = frozenset((ServingMode.STANDARD, ServingMode.LLM_INFERENCE_SERVICE))
_OWN_ROUTES: Final = frozenset((ServingMode.KNATIVE, ServingMode.LLM_INFERENCE_SERVICE))


def hostname(platform: ResolvedPlatform, model: ResolvedModel) -> str:
    """Host name of the model's own route; KServe's are ``NAME-NAMESPACE.DOMAIN``, so that the two never clash."""
    return f"{model.name}.{platform.spec.serving.gateway.domain}"


def route_name(model: ResolvedModel) -> str:
    """Name of the model's own HTTPRoute.

    In Standard mode KServe writes one of the InferenceService's name, whoever made it, and sends everything to the first
    predictor (kserve v0.20.0 reconcilers/ingress/httproute_reconciler.go): ours must have another.
    """
    return f"{model.name}-shares" if model.mode is ServingMode.STANDARD else model.name


def compile_gateway(platform: ResolvedPlatform) -> list[Emitted]:
    """The Gateway, where a route refers to it: ours, or one that KServe makes."""
    models = platform.models.values()
    if not any(_needs_route(model) or model.mode in _GATEWAY_ROUTES for model in models):
        return []
    gateway = platform.spec.serving.gateway
    allowed = {
        "namespaces": {
            "from": "Selector",
            "selector": {"matchLabels": {"app.kubernetes.io/part-of": platform.spec.name}},
        }
    }
    listener: Object = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": allowed}
    if gateway.tls_secret:
        listener = {
            "name": "https",
            "port": 443,
            "protocol": "HTTPS",
            "tls": {"mode": "Terminate", "certificateRefs": [{"kind": "Secret", "name": gateway.tls_secret}]},
            "allowedRoutes": allowed,
        }
    return [
        emit(
            platform,
            Upgrade.SERVING,
            Wave.RUNTIMES,
            "One way in to all models; only this platform's namespaces may attach routes",
            {
                "apiVersion": _API,
                "kind": "Gateway",
                "metadata": {"name": gateway.name, "namespace": gateway.namespace},
                "spec": {"gatewayClassName": gateway.class_name, "listeners": [listener]},
            },
        )
    ]


def compile_route(platform: ResolvedPlatform, model: ResolvedModel) -> list[Emitted]:
    """HTTPRoute of a model: by weight between the stable Service and the canary's."""
    if not _needs_route(model):
        return []
    if model.scaling.wake is Wake.HTTP_ADDON:
        return [_held_route(platform, model), _interceptor_grant(platform, model)]
    backends: list[Object] = [{"name": model.service, "port": model.service_port, "weight": 100}]
    split = ""
    if model.canary is not None:
        percent = model.canary.traffic_percent
        backends[0]["weight"] = 100 - percent
        backends.append({"name": model.canary.service, "port": model.service_port, "weight": percent})
        split = f", {percent}% of them to {model.canary.name}"
    reason = f"Leads requests for {hostname(platform, model)} to {model.name}{split}; no time limit cuts a long stream"
    return [_route(platform, model, backends, reason)]


def _route(platform: ResolvedPlatform, model: ResolvedModel, backends: list[Object], reason: str) -> Emitted:
    gateway = platform.spec.serving.gateway
    return emit(
        platform,
        Upgrade.SERVING,
        Wave.ROUTING,
        reason,
        {
            "apiVersion": _API,
            "kind": "HTTPRoute",
            "metadata": {"name": route_name(model), "namespace": model.namespace},
            "spec": {
                "parentRefs": [{"name": gateway.name, "namespace": gateway.namespace}],
                "hostnames": [hostname(platform, model)],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                        "backendRefs": backends,
                        # 0s switches the limit off (gateway-api v1.6 HTTPRouteTimeouts).
                        "timeouts": {"request": "0s", "backendRequest": "0s"},
                    }
                ],
            },
        },
        model=model,
    )


def _held_route(platform: ResolvedPlatform, model: ResolvedModel) -> Emitted:
    """The way through KEDA's HTTP add-on, which holds a request while the first replica loads.

    The interceptor tells models apart by host name, as the InterceptorRoute of upgrade 3 says
    (kedacore/http-add-on v0.15.0, Service keda-add-ons-http-interceptor-proxy).
    """
    keda = platform.spec.autoscaling.keda_namespace
    backend = {"name": _INTERCEPTOR, "namespace": keda, "port": _INTERCEPTOR_PORT, "weight": 100}
    reason = f"Leads requests for {hostname(platform, model)} through KEDA's interceptor, which wakes {model.name} from zero"
    return _route(platform, model, [backend], reason)


def _interceptor_grant(platform: ResolvedPlatform, model: ResolvedModel) -> Emitted:
    """Gateway API refuses a backend in another namespace unless that namespace allows it."""
    return emit(
        platform,
        Upgrade.SERVING,
        Wave.RUNTIMES,
        f"Lets routes of {model.namespace} name KEDA's interceptor as their backend",
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "ReferenceGrant",
            "metadata": {
                "name": f"stoker-{model.name}",
                "namespace": platform.spec.autoscaling.keda_namespace,
            },
            "spec": {
                "from": [
                    {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": model.namespace}
                ],
                "to": [{"group": "", "kind": "Service", "name": _INTERCEPTOR}],
            },
        },
        model=model,
    )


def _needs_route(model: ResolvedModel) -> bool:
    """Whether the route is ours: everything but what KServe routes itself."""
    if model.mode is ServingMode.DEPLOYMENT or model.scaling.wake is Wake.HTTP_ADDON:
        return True
    if model.nodes_per_replica > 1:
        return model.mode is not ServingMode.LLM_INFERENCE_SERVICE
    return model.mode not in _OWN_ROUTES and model.canary is not None
