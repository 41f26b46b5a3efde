"""KServe InferenceGraphs: pipelines over models."""

from typing import Final

from stoker.platform.serving import Graph, GraphStep, ServingMode
from stoker.sizing.resolved import ResolvedModel, ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import Emitted, Object, Upgrade, Wave, compact, emit

__all__ = ["compile_graphs"]

_KSERVE: Final = frozenset((ServingMode.STANDARD, ServingMode.KNATIVE))


def compile_graphs(platform: ResolvedPlatform) -> list[Emitted]:
    """One InferenceGraph for each graph of the platform file."""
    return [_graph(platform, graph) for graph in platform.spec.graphs]


def _graph(platform: ResolvedPlatform, graph: Graph) -> Emitted:
    tenant = _tenant(platform, graph)
    mode = ServingMode.KNATIVE if platform.spec.serving.mode is ServingMode.KNATIVE else ServingMode.STANDARD
    steps = [_step(platform, tenant, step) for step in graph.steps]
    resources = {"cpu": "500m", "memory": "512Mi"}
    return emit(
        platform,
        Upgrade.SERVING,
        Wave.ROUTING,
        f"Routes one request through {len(steps)} step(s) as a {graph.type}",
        {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "InferenceGraph",
            "metadata": {
                "name": graph.name,
                "namespace": tenant.namespace,
                "annotations": {"serving.kserve.io/deploymentMode": mode.value},
            },
            "spec": {
                "minReplicas": 2,
                "resources": {"requests": dict(resources), "limits": dict(resources)},
                "nodes": {"root": {"routerType": graph.type, "steps": steps}},
            },
        },
        tenant=tenant,
    )


def _tenant(platform: ResolvedPlatform, graph: Graph) -> ResolvedTenant:
    if graph.tenant is not None:
        return platform.tenants[graph.tenant]
    first = next((step.model for step in graph.steps if step.model is not None), None)
    return platform.models[first].tenant if first is not None else next(iter(platform.tenants.values()))


def _step(platform: ResolvedPlatform, tenant: ResolvedTenant, step: GraphStep) -> Object:
    target: Object = {"serviceUrl": step.url}
    if step.model is not None:
        target = _target(platform.models[step.model], tenant)
    built: Object = compact(
        {
            "name": step.name or step.model,
            **target,
            # Every step reads the original request unless told otherwise; KServe's default is the previous response.
            "data": step.data,
            "weight": step.weight,
            "condition": step.condition,
        }
    )
    return built


def _target(model: ResolvedModel, tenant: ResolvedTenant) -> Object:
    """A KServe service by name; anything else by address.

    By name the router calls the V1 or V2 path of a service in its own namespace (kserve v0.20.0 GetPredictorEndpoint),
    which an OpenAI server does not have.
    """
    by_name = model.mode in _KSERVE and model.spec.protocol != "openai" and model.nodes_per_replica == 1
    if by_name and model.namespace == tenant.namespace:
        return {"serviceName": model.name}
    port = "" if model.service_port == 80 else f":{model.service_port}"
    address = f"http://{model.service}.{model.namespace}.svc.cluster.local{port}"
    if model.spec.protocol == "openai":
        return {"serviceUrl": f"{address}{model.release.openai_prefix}/chat/completions"}
    path = (
        f"/v1/models/{model.name}:predict"
        if model.spec.protocol == "v1"
        else f"/v2/models/{model.name}/infer"
    )
    return {"serviceUrl": f"{address}{path}"}
