"""References between the objects of one platform: each must lead somewhere.

Secrets are the user's and excluded. Objects that controllers make (KServe's Deployments and Services, ServiceAccounts of
Kubernetes, ClusterRoles of Kubernetes, runtimes that KServe ships) count as existing where their maker exists.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from stoker.schemas.pods import pods_of

Object = dict[str, Any]
Key = tuple[str, str, str]  # kind, namespace or empty, name

_BUILT_IN: set[Key] = {
    *{
        ("ClusterRole", "", name)
        for name in ("admin", "edit", "view", "cluster-admin", "system:auth-delegator")
    },
    *{("ClusterRole", "", f"system:{name}") for name in ("kube-scheduler", "volume-scheduler")},
    ("Role", "kube-system", "extension-apiserver-authentication-reader"),
    *{("PriorityClass", "", name) for name in ("system-node-critical", "system-cluster-critical")},
}
# kserve v0.20.0 config/runtimes
_SHIPPED_RUNTIMES = {
    "kserve-vllmserver", "kserve-huggingfaceserver", "kserve-huggingfaceserver-multinode", "kserve-tritonserver",
}  # fmt: skip


def unresolved(objects: Iterable[Object], external: Iterable[Key] = ()) -> list[str]:
    """Every reference of the objects that leads nowhere, as text; ``external`` is what the user says exists."""
    items = list(objects)
    known = {*_BUILT_IN, *external, *(key for obj in items for key in _makes(obj))}
    return [
        f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}: no {key[0]} {key[1]}/{key[2]}"
        for obj in items
        for key in _references(obj)
        if key not in known
    ]


def _makes(obj: Object) -> Iterator[Key]:  # noqa: C901  # one kind a branch
    kind, namespace, name = obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
    yield kind, namespace, name
    if kind == "Namespace":
        yield "ServiceAccount", name, "default"
    if obj["apiVersion"].startswith("serving.kserve.io/") and kind == "InferenceService":
        versions = [name, *(f"{name}-{item['predictor']['name']}" for item in obj["spec"].get("canary", []))]
        for version in versions:
            yield "Deployment", namespace, f"{version}-predictor"
            yield "Service", namespace, f"{version}-predictor"
        yield "Service", namespace, name
        for part in ("transformer", "explainer"):
            if part in obj["spec"]:
                yield "Service", namespace, f"{name}-{part}"
    if kind == "LLMInferenceService":
        yield "Deployment", namespace, f"{name}-kserve"
        yield "LeaderWorkerSet", namespace, f"{name}-kserve-mn"
        yield "Service", namespace, f"{name}-kserve-workload-svc"
        yield "InferencePool", namespace, f"{name}-inference-pool"
    if kind == "InferenceGraph":
        yield "Service", namespace, name
    if kind == "LocalModelCache":  # claims that KServe makes in the namespaces of its users
        yield "LocalModelCache", "", name
    if kind == "StatefulSet":
        for claim in obj["spec"].get("volumeClaimTemplates", []):
            yield "PersistentVolumeClaim", namespace, claim["metadata"]["name"]


def _references(obj: Object) -> Iterator[Key]:  # noqa: C901, PLR0912  # one kind a branch
    kind, namespace, spec = obj["kind"], obj["metadata"].get("namespace", ""), obj.get("spec") or {}
    if namespace:
        yield "Namespace", "", namespace
    for pod in pods_of(obj):
        yield from _pod(pod.spec, namespace)
    if kind == "ScaledObject":
        target = spec["scaleTargetRef"]
        yield target.get("kind", "Deployment"), namespace, target["name"]
        for trigger in spec["triggers"]:
            reference = trigger.get("authenticationRef")
            if reference and reference.get("kind", "TriggerAuthentication") == "TriggerAuthentication":
                yield "TriggerAuthentication", namespace, reference["name"]
            if "interceptorRoute" in trigger["metadata"]:
                yield "InterceptorRoute", namespace, trigger["metadata"]["interceptorRoute"]
    elif kind == "InterceptorRoute":
        yield "Service", namespace, spec["target"]["service"]
    elif kind in {"RoleBinding", "ClusterRoleBinding"}:
        role = obj["roleRef"]
        yield role["kind"], namespace if role["kind"] == "Role" else "", role["name"]
        for subject in obj.get("subjects", []):
            if subject["kind"] == "ServiceAccount":
                yield "ServiceAccount", subject["namespace"], subject["name"]
    elif kind == "ValidatingAdmissionPolicyBinding":
        yield "ValidatingAdmissionPolicy", "", spec["policyName"]
    elif kind == "LocalQueue":
        yield "ClusterQueue", "", spec["clusterQueue"]
    elif kind == "ClusterQueue":
        for group in spec.get("resourceGroups", []):
            for flavor in group["flavors"]:
                yield "ResourceFlavor", "", flavor["name"]
    elif kind == "InferenceService":
        runtime = spec["predictor"].get("model", {}).get("runtime")
        if runtime and runtime not in _SHIPPED_RUNTIMES:
            yield "ServingRuntime", namespace, runtime
    elif kind == "HTTPRoute":
        yield from _route(spec, namespace)
    elif kind == "LocalModelCache":
        for group in spec.get("nodeGroups", []):
            yield "LocalModelNodeGroup", "", group
    elif kind == "InferenceGraph":
        for node in spec["nodes"].values():
            for step in node["steps"]:
                if "serviceName" in step:
                    yield "InferenceService", namespace, step["serviceName"]


def _route(spec: Object, namespace: str) -> Iterator[Key]:
    for parent in spec.get("parentRefs", []):
        yield parent.get("kind", "Gateway"), parent.get("namespace", namespace), parent["name"]
    for rule in spec.get("rules", []):
        for backend in rule.get("backendRefs", []):
            yield backend.get("kind", "Service"), backend.get("namespace", namespace), backend["name"]


def _pod(spec: Object, namespace: str) -> Iterator[Key]:  # noqa: C901  # one kind a branch
    if spec.get("priorityClassName"):
        yield "PriorityClass", "", spec["priorityClassName"]
    if spec.get("serviceAccountName"):
        yield "ServiceAccount", namespace, spec["serviceAccountName"]
    for volume in spec.get("volumes") or []:
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", namespace, volume["persistentVolumeClaim"]["claimName"]
        if "configMap" in volume and not volume["configMap"].get("optional"):
            yield "ConfigMap", namespace, volume["configMap"]["name"]
    for claim in spec.get("resourceClaims") or []:
        if "resourceClaimTemplateName" in claim:
            yield "ResourceClaimTemplate", namespace, claim["resourceClaimTemplateName"]
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        for source in container.get("envFrom") or []:
            if "configMapRef" in source:
                yield "ConfigMap", namespace, source["configMapRef"]["name"]
        for env in container.get("env") or []:
            reference = (env.get("valueFrom") or {}).get("configMapKeyRef")
            if reference:
                yield "ConfigMap", namespace, reference["name"]
