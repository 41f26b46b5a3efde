"""NetworkPolicies: nothing is open but the paths that serving needs."""

from typing import Final
from urllib.parse import urlsplit

from stoker.platform.autoscaling import Wake
from stoker.platform.serving import ServingMode
from stoker.platform.storage import ObjectStorage
from stoker.sizing.resolved import Delivery, DeliveryKind, ResolvedModel, ResolvedPlatform, ResolvedTenant
from stoker.upgrades.objects import PLATFORM_NAMESPACE, Emitted, Object, Upgrade, Wave, emit
from stoker.upgrades.storage.tools import DOWNLOAD_LABEL

__all__ = ["compile_network"]

_NAMESPACE: Final = "kubernetes.io/metadata.name"
_ANYWHERE: Final = ({"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}})
# NodeLocal DNSCache answers on this link-local address (kubernetes.io/docs/tasks/administer-cluster/nodelocaldns).
_NODE_LOCAL_DNS: Final = {"ipBlock": {"cidr": "169.254.20.10/32"}}
_HTTPS: Final = 443
_API_SERVER: Final = 6443
# Envoy Gateway runs its proxies in its own namespace, not in the Gateway's (gateway.envoyproxy.io, deployment modes).
_ENVOY: Final = "envoy-gateway-system"
_KNATIVE: Final = ("knative-serving", "kourier-system", "istio-system")
_DOWNLOADS: Final = frozenset((DeliveryKind.HUB, DeliveryKind.OBJECT_STORE))
_EPP_METRICS: Final = 9090  # metrics of the endpoint picker (gateway-api-inference-extension)
_EPP: Final = {"app.kubernetes.io/component": "llminferenceservice-router-scheduler"}


def compile_network(platform: ResolvedPlatform) -> list[Emitted]:
    """Policies of every tenant's namespace and of the platform's own; none where the user runs without them."""
    if not platform.spec.tenancy.network_policies:
        return []
    found = [_platform_policy(platform)]
    graphs = _graph_callers(platform)
    for tenant in platform.tenants.values():
        models = platform.models_of(tenant.name)
        found += [
            _deny(platform, tenant),
            _same_namespace(platform, tenant),
            _dns(platform, tenant),
        ]
        if models:
            found.append(_callers(platform, tenant, models, graphs.get(tenant.namespace, ())))
            found.append(_prometheus(platform, tenant, models))
        elif tenant.spec.network.allow_from:
            found.append(_callers(platform, tenant, models, ()))
        found += _egress(platform, tenant, models)
    return found


def _platform_policy(platform: ResolvedPlatform) -> Emitted:
    monitoring = _namespaces([platform.spec.observability.namespace])
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": monitoring}]}
    return emit(
        platform,
        Upgrade.TENANCY,
        Wave.POLICY,
        "Only Prometheus speaks to the platform's own pods",
        _object("stoker-default-deny", PLATFORM_NAMESPACE, spec),
    )


def _deny(platform: ResolvedPlatform, tenant: ResolvedTenant) -> Emitted:
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    reason = f"Nothing enters or leaves {tenant.namespace} but what another policy allows: /metrics and the API have no login"
    return _emit(platform, tenant, "stoker-default-deny", spec, reason)


def _same_namespace(platform: ResolvedPlatform, tenant: ResolvedTenant) -> Emitted:
    here: list[Object] = [{"podSelector": {}}]
    spec = {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": here}],
        "egress": [{"to": here}],
    }
    reason = "Pods of one team reach each other: transformer and model, router and model, ranks of a multi-node group"
    return _emit(platform, tenant, "stoker-same-namespace", spec, reason)


def _dns(platform: ResolvedPlatform, tenant: ResolvedTenant) -> Emitted:
    to = [*_namespaces(["kube-system"]), _NODE_LOCAL_DNS]
    ports = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to, "ports": ports}]}
    return _emit(platform, tenant, "stoker-dns", spec, "Names resolve")


def _callers(
    platform: ResolvedPlatform, tenant: ResolvedTenant, models: list[ResolvedModel], graphs: tuple[str, ...]
) -> Emitted:
    gateway = platform.spec.serving.gateway
    names: list[str] = []
    if models:
        names.append(gateway.namespace)
        if "envoy" in gateway.class_name or gateway.class_name == "eg":
            names.append(_ENVOY)
    if any(model.mode is ServingMode.KNATIVE for model in models):
        names += _KNATIVE
    if any(model.scaling.wake is Wake.HTTP_ADDON for model in models):
        names.append(platform.spec.autoscaling.keda_namespace)
    names += [*graphs, *tenant.spec.network.allow_from]
    sources = [name for name in dict.fromkeys(names) if name != tenant.namespace]
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": _namespaces(sources)}]}
    reason = f"Requests reach {tenant.namespace} from {', '.join(sources)}"
    return _emit(platform, tenant, "stoker-callers", spec, reason)


def _prometheus(platform: ResolvedPlatform, tenant: ResolvedTenant, models: list[ResolvedModel]) -> Emitted:
    ports = {model.port for model in models}
    ports |= {model.spec.transformer.port for model in models if model.spec.transformer}
    if any(model.mode is ServingMode.LLM_INFERENCE_SERVICE for model in models):
        ports.add(_EPP_METRICS)
    rule = {"from": _namespaces([platform.spec.observability.namespace]), "ports": _tcp(ports)}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return _emit(
        platform, tenant, "stoker-prometheus", spec, "Prometheus scrapes the engines, on their ports only"
    )


def _egress(platform: ResolvedPlatform, tenant: ResolvedTenant, models: list[ResolvedModel]) -> list[Emitted]:
    found: list[Emitted] = []
    if tenant.spec.network.internet_egress:
        rule: Object = {"to": list(_ANYWHERE)}
        spec: Object = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
        found.append(
            _emit(platform, tenant, "stoker-internet", spec, f"{tenant.name} asked for internetEgress")
        )
    else:
        found += _downloads(platform, tenant, models)
    if any(model.mode is ServingMode.LLM_INFERENCE_SERVICE for model in models):
        rule = {"to": list(_ANYWHERE), "ports": _tcp({_HTTPS, _API_SERVER})}
        spec = {"podSelector": {"matchLabels": _EPP}, "policyTypes": ["Egress"], "egress": [rule]}
        reason = "The endpoint picker watches pods and pools through the API server"
        found.append(_emit(platform, tenant, "stoker-endpoint-picker", spec, reason))
    abroad = _graph_targets(platform, tenant)
    if abroad:
        spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": _namespaces(abroad)}]}
        found.append(
            _emit(platform, tenant, "stoker-graphs", spec, "Graph routers call models of other tenants")
        )
    return found


def _downloads(
    platform: ResolvedPlatform, tenant: ResolvedTenant, models: list[ResolvedModel]
) -> list[Emitted]:
    """The way out for pods that fetch weights: copy jobs by their label, engines that download at start by their own."""
    found: list[Emitted] = []
    copied = [delivery for model in models for delivery in _deliveries(model) if delivery.copy]
    if copied:
        spec = _way_out({DOWNLOAD_LABEL: "true"}, _store_ports(copied))
        reason = "Jobs that copy weights into the shared volume reach their source"
        found.append(_emit(platform, tenant, "stoker-downloads", spec, reason))
    for model in models:
        direct = [delivery for delivery in _deliveries(model) if delivery.kind in _DOWNLOADS]
        if direct or model.spec.lora:
            spec = _way_out(dict(model.pod_labels), _store_ports(direct))
            reason = f"Pods of {model.name} fetch weights or adapters when they start"
            found.append(_emit(platform, tenant, f"stoker-downloads-{model.name}", spec, reason))
    return found


def _deliveries(model: ResolvedModel) -> list[Delivery]:
    return [model.delivery, *([model.canary.delivery] if model.canary else [])]


def _store_ports(deliveries: list[Delivery]) -> set[int]:
    ports = {_HTTPS}
    for delivery in deliveries:
        if isinstance(delivery.entry, ObjectStorage) and delivery.entry.endpoint:
            url = urlsplit(delivery.entry.endpoint)
            ports.add(url.port or (80 if url.scheme == "http" else _HTTPS))
    return ports


def _way_out(labels: dict[str, str], ports: set[int]) -> Object:
    # The store may also stand in this cluster, and some network plugins match pods by selector only.
    rule = {"to": [*_ANYWHERE, {"namespaceSelector": {}}], "ports": _tcp(ports)}
    return {"podSelector": {"matchLabels": labels}, "policyTypes": ["Egress"], "egress": [rule]}


def _graph_calls(platform: ResolvedPlatform) -> list[tuple[str, str]]:
    """(namespace of the graph's router, namespace of the model) of every step that leaves its namespace."""
    calls = []
    for graph in platform.spec.graphs:
        targets = [platform.models[step.model] for step in graph.steps if step.model]
        if not targets:
            continue
        own = platform.tenants[graph.tenant].namespace if graph.tenant else targets[0].namespace
        calls += [(own, model.namespace) for model in targets if model.namespace != own]
    return calls


def _graph_callers(platform: ResolvedPlatform) -> dict[str, tuple[str, ...]]:
    callers: dict[str, tuple[str, ...]] = {}
    for source, target in _graph_calls(platform):
        callers[target] = (*callers.get(target, ()), source)
    return callers


def _graph_targets(platform: ResolvedPlatform, tenant: ResolvedTenant) -> list[str]:
    return list(
        dict.fromkeys(target for source, target in _graph_calls(platform) if source == tenant.namespace)
    )


def _namespaces(names: list[str]) -> list[Object]:
    return [{"namespaceSelector": {"matchLabels": {_NAMESPACE: name}}} for name in names]


def _tcp(ports: set[int]) -> list[Object]:
    return [{"protocol": "TCP", "port": port} for port in sorted(ports)]


def _object(name: str, namespace: str, spec: Object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _emit(
    platform: ResolvedPlatform, tenant: ResolvedTenant, name: str, spec: Object, reason: str
) -> Emitted:
    obj = _object(name, tenant.namespace, spec)
    return emit(platform, Upgrade.TENANCY, Wave.POLICY, reason, obj, tenant=tenant)
