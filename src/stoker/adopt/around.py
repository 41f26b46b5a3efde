"""What is around the models: cluster, gateway, graphs, tenancy, observability, components."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from stoker.adopt.ledger import Ledger
from stoker.adopt.names import free, managed, name_of, plain_labels
from stoker.adopt.planned import PlannedModel
from stoker.adopt.tenants import Namespaces
from stoker.audit.view.view import View
from stoker.kube.quantities import parse
from stoker.kube.snapshot import Item

__all__ = ["cluster", "components", "gateway", "graphs", "tenancy"]

_SUPPORTED: Final = range(33, 38)  # minors of Kubernetes that the platform file takes
_ENFORCED: Final = "pod-security.kubernetes.io/enforce-version"
_HOST: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_CONTROLLERS: Final = {
    "keda-operator": "keda",
    "keda-add-ons-http-interceptor": "keda-http-add-on",
    "kserve-controller-manager": "kserve",
    "llmisvc-controller-manager": "kserve-llmisvc",
    "gpu-operator": "gpu-operator",
    "cert-manager": "cert-manager",
    "lws-controller-manager": "leader-worker-set",
    "kueue-controller-manager": "kueue",
    "envoy-gateway": "envoy-gateway",
    "knative-operator": "knative-operator",
    "kube-prometheus-stack-operator": "kube-prometheus-stack",
    "prometheus-operator": "kube-prometheus-stack",
}


def cluster(view: View, ledger: Ledger) -> dict[str, Any]:
    """Kubernetes' version and who brings the GPU stack."""
    found: dict[str, Any] = {}
    minors = list(_minors(view))
    if minors:
        minor = min(minors)
        near = min(max(minor, _SUPPORTED[0]), _SUPPORTED[-1])
        if near != minor:
            ledger.note_text(
                "cluster",
                0,
                f"Kubernetes 1.{minor} is outside what the platform file takes: 1.{near} is written",
            )
        found["version"] = f"1.{near}"
    else:
        ledger.assume(
            "cluster.version", "1.35", "no Node and no server's version was read: the schema's default"
        )
    plugin = next((item for item in view.of("DaemonSet.apps") if _plain_plugin(item)), None)
    if plugin is not None:
        ledger.use(plugin)
        found["gpuStack"] = "device-plugin"
    return found


def _minors(view: View) -> Iterator[int]:
    texts = [view.snapshot.kubernetes]
    texts += [str(node.section("status", "nodeInfo").get("kubeletVersion") or "") for node in view.of("Node")]
    if not any(texts):
        texts = [item.labels.get(_ENFORCED, "") for item in view.of("Namespace")]
    for text in texts:
        match = re.match(r"^v?1\.(\d{1,2})\b", text)
        if match:
            yield int(match[1])


def _plain_plugin(item: Item) -> bool:
    if (
        item.section("metadata").get("ownerReferences")
        or item.labels.get("app.kubernetes.io/managed-by") == "gpu-operator"
    ):
        return False
    specs = item.section("spec", "template", "spec").get("containers") or []
    return (
        any("k8s-device-plugin" in str(spec.get("image") or "") for spec in specs)
        and "operator" not in item.namespace
    )


def components(view: View) -> dict[str, Any]:
    """Components whose controllers run already: nothing is rendered for them."""
    found = {_CONTROLLERS[item.name] for item in view.of("Deployment.apps") if item.name in _CONTROLLERS}
    return {"installed": sorted(found)} if found else {}


def gateway(view: View, namespaces: Namespaces, ledger: Ledger) -> dict[str, Any]:
    """The one Gateway that models are reached by, where one was read."""
    routes = [r for r in view.of("HTTPRoute.gateway.networking.k8s.io") if r.namespace in namespaces.names]
    parents = [
        str(ref.get("name"))
        for route in routes
        for ref in route.spec.get("parentRefs") or []
        if ref.get("name")
    ]
    gateways = view.of("Gateway.gateway.networking.k8s.io")
    wanted = [item for item in gateways if item.name in parents] or (
        list(gateways) if len(gateways) == 1 else []
    )
    found: dict[str, Any] = {}
    if wanted and wanted[0].namespace not in {"", *namespaces.names}:
        item = wanted[0]
        ledger.use(item)
        found = {"name": item.name[:63], "namespace": item.namespace}
        if _HOST.match(str(item.spec.get("gatewayClassName") or "")):
            found["className"] = item.spec["gatewayClassName"]
        secret = _tls(item)
        if secret:
            found["tlsSecret"] = secret
    hosts = [str(h) for r in (*routes, *wanted) for h in _hosts(r)]
    domains = Counter(host.partition(".")[2] for host in hosts if host.count(".") > 1)
    if domains and _HOST.match(domains.most_common(1)[0][0]):
        found["domain"] = domains.most_common(1)[0][0]
    return {
        key: found[key] for key in ("name", "namespace", "className", "domain", "tlsSecret") if key in found
    }


def _hosts(item: Item) -> list[Any]:
    listed = item.spec.get("hostnames")
    listeners = item.spec.get("listeners")
    found = list(listed) if isinstance(listed, list) else []
    if isinstance(listeners, list):
        found += [
            entry["hostname"]
            for entry in listeners
            if isinstance(entry, dict) and isinstance(entry.get("hostname"), str)
        ]
    return found


def _tls(item: Item) -> str | None:
    for listener in item.spec.get("listeners") or []:
        tls = listener.get("tls")
        references = tls.get("certificateRefs") if isinstance(tls, dict) else None
        for reference in references if isinstance(references, list) else []:
            name = reference.get("name") if isinstance(reference, dict) else None
            if isinstance(name, str) and name == name_of(name, "", most=63):
                return name
    return None


def graphs(
    view: View, models: list[PlannedModel], namespaces: Namespaces, ledger: Ledger
) -> list[dict[str, Any]]:
    """InferenceGraphs over models that are served as InferenceServices."""
    found: list[dict[str, Any]] = []
    for item in view.of("InferenceGraph.serving.kserve.io"):
        if item.namespace not in namespaces.names:
            ledger.note(item, (), "it routes to no model that is carried over")
            continue
        nodes = item.section("spec", "nodes")
        root = nodes.get("root") or {}
        if len(nodes) > 1:
            ledger.note(
                item,
                ("spec", "nodes"),
                "only the root node is carried over: the platform file has no nodes below it",
            )
        steps = [
            step
            for i, raw in enumerate(root.get("steps") or [])
            if (step := _step(item, i, raw, models, ledger))
        ]
        kind = root.get("routerType")
        if not steps or kind not in {"Sequence", "Splitter", "Ensemble", "Switch"}:
            ledger.note(item, ("spec", "nodes"), "a graph without a root node and steps is not carried over")
            continue
        ledger.use(item)
        name = free(
            name_of(item.name, "graph", letter=True),
            [*(m.name for m in models), *(str(g["name"]) for g in found)],
            "graph",
        )
        found.append(
            {"name": name, "tenant": namespaces.tenant_of(item.namespace), "type": kind, "steps": steps[:32]}
        )
    return found


def _step(
    item: Item, index: int, raw: dict[str, Any], models: list[PlannedModel], ledger: Ledger
) -> dict[str, Any] | None:
    url = str(raw.get("serviceUrl") or "")
    host = re.sub(r"^https?://", "", url).partition("/")[0].partition(":")[0].partition(".")[0]
    wanted = raw.get("serviceName") or host.removesuffix("-predictor")
    own = next((m for m in models if m.namespace == item.namespace and m.server.item.name == wanted), None)
    step: dict[str, Any] = {}
    if own is not None and own.entry.get("serving") in {"Standard", "Knative"}:
        step["model"] = own.name
    elif re.fullmatch(r"https?://[^\s@]{1,500}", url):
        step["url"] = url
    else:
        ledger.note(
            item,
            ("spec", "nodes", "root", "steps", index),
            "this step leads to no model or service that is carried over",
        )
        return None
    if raw.get("data") in {"$request", "$response"}:
        step["data"] = raw["data"]
    if isinstance(raw.get("weight"), int) and 0 <= raw["weight"] <= 100:
        step["weight"] = raw["weight"]
    if isinstance(raw.get("condition"), str) and raw["condition"]:
        step["condition"] = raw["condition"][:512]
    return step


def tenancy(view: View, namespaces: Namespaces, models: list[PlannedModel], ledger: Ledger) -> dict[str, Any]:
    """What would refuse something that runs today stays off; Kueue where it is in use."""
    found: dict[str, Any] = {}
    adopted = {id(model.server.item) for model in models}
    foreign = next(
        (w for w in view.workloads if w.namespace in namespaces.names and id(w.item) not in adopted and not w.template
         and w.pod.get("priorityClassName") and not managed(w.item)), None,
    )  # fmt: skip
    if foreign is not None:
        found["guardPriorities"] = False
        ledger.assume(
            "tenancy.guardPriorities", "false", f"{foreign} names a PriorityClass that Stoker does not make"
        )
    if not any(item.namespace in namespaces.names for item in view.of("NetworkPolicy.networking.k8s.io")):
        found["networkPolicies"] = False
        ledger.assume(
            "tenancy.networkPolicies",
            "false",
            "there are none today: name the callers in tenants[].network, then turn them on",
        )
    kueue = _kueue(view, ledger)
    if kueue:
        found["kueue"] = kueue
    return found


def _kueue(view: View, ledger: Ledger) -> dict[str, Any]:
    queues = view.of("ClusterQueue.kueue.x-k8s.io")
    if not queues:
        return {}
    cohorts = Counter(str(q.spec.get("cohortName") or q.spec.get("cohort") or "") for q in queues)
    found: dict[str, Any] = {"enabled": True}
    cohort = cohorts.most_common(1)[0][0]
    if cohort and cohort != "gpus" and cohort == name_of(cohort, ""):
        found["cohort"] = cohort
    shares: list[int] = []
    for queue in queues:
        for entry in (
            r
            for g in queue.spec.get("resourceGroups") or []
            for f in g.get("flavors") or []
            for r in f.get("resources") or []
        ):
            nominal, lent = parse(entry.get("nominalQuota", "")), parse(entry.get("lendingLimit", ""))
            if nominal and lent is not None and 0 <= lent <= nominal:
                shares.append(round(100 * lent / nominal))
        if managed(queue):
            ledger.use(queue)
        else:
            ledger.note(
                queue,
                ("spec", "resourceGroups"),
                "Kueue stays on; nominal quotas follow the tenants' quotas here",
            )
    if shares:
        found["lend"] = min(shares)
    return found


def labels_of(item: Item) -> dict[str, str]:
    """Labels of an object that Stoker or a chart did not write by itself."""
    own = re.compile(
        r"^(app\.kubernetes\.io/|stoker\.dev/|helm\.sh/|app$|chart$|heritage$|component$|jobLabel$)"
    )
    return {key: value for key, value in plain_labels(item.labels).items() if not own.match(key)}
