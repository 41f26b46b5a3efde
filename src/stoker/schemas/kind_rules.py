"""Validation that belongs to one kind and that no schema carries.

Sources: kubernetes/kubernetes pkg/apis/{apps,batch,core,policy,scheduling,rbac,admissionregistration}/validation (1.36);
kedacore/keda apis/keda/v1alpha1/scaledobject_webhook.go and scaledobject_types.go (v2.20.2).
"""

import re
from collections.abc import Iterator
from typing import Any

from stoker.kube.quantities import parse
from stoker.schemas.metadata_rules import is_qualified_name
from stoker.schemas.pod_rules import is_port_name, selector_problems

# Prefix of findings that a bare API server does not make: a controller's webhook would, or the field has no effect.
STRICTER = "beyond the API server: "

_PLAIN_QUOTA = {
    "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage", "pods", "services", "replicationcontrollers", "resourcequotas", "secrets",
    "configmaps", "persistentvolumeclaims", "services.nodeports", "services.loadbalancers", "requests.storage",
}  # fmt: skip
_COUNTS = _PLAIN_QUOTA & {
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
}  # fmt: skip
_SCOPES = {"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
           "VolumeAttributesClass"}  # fmt: skip
_ACCESS = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"}
_HIGHEST_USER_PRIORITY = 1_000_000_000


def kind_problems(obj: dict[str, Any]) -> Iterator[str]:
    """Everything wrong that is peculiar to the kind."""
    rule = _RULES.get((obj["apiVersion"].split("/")[0] if "/" in obj["apiVersion"] else "", obj["kind"]))
    if rule is not None:
        yield from rule(obj)


def _workload(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not selector or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        yield "spec.selector: Required value"
    elif any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        yield "spec.template.metadata.labels: selector does not match template labels"
    yield from selector_problems(selector, "spec.selector")
    rolling = (spec.get("strategy") or {}).get("rollingUpdate")
    if rolling is not None:
        if (spec.get("strategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
            yield "spec.strategy.rollingUpdate: may not be specified with Recreate"
        if rolling.get("maxSurge") in {0, "0%"} and rolling.get("maxUnavailable") in {0, "0%"}:
            yield "spec.strategy.rollingUpdate.maxUnavailable: may not be 0 when maxSurge is 0"


def _job(obj: dict[str, Any]) -> Iterator[str]:
    policy = obj.get("spec", {}).get("template", {}).get("spec", {}).get("restartPolicy")
    if policy not in {"OnFailure", "Never"}:
        yield "spec.template.spec.restartPolicy: want OnFailure or Never"


def _quota(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    for name, amount in (spec.get("hard") or {}).items():
        where = f"spec.hard[{name}]"
        value = parse(amount)
        if value is None:
            yield f"{where}: {amount!r} is no quantity"
        elif value < 0:
            yield f"{where}: must be greater than or equal to 0"
        elif (name in _COUNTS or name.startswith("count/")) and value != int(value):
            yield f"{where}: must be an integer"
        elif name.startswith("requests.nvidia.com/") and value != int(value):
            yield f"{STRICTER}{where}: half a GPU is no ceiling"
        if name not in _PLAIN_QUOTA and not ("/" in name and is_qualified_name(name)):
            yield f"{where}: must be a standard resource type or fully qualified"
        # Accepted, never enforced: pkg/quota/v1/evaluator/core/pods.go (facts 1e).
        if re.match(r"^(limits\.)?(nvidia|amd)\.com/", name):
            yield f"{STRICTER}{where}: accepted and never enforced, write requests.{name.removeprefix('limits.')}"
    scopes = set(spec.get("scopes") or [])
    scopes |= {e.get("scopeName") for e in (spec.get("scopeSelector") or {}).get("matchExpressions") or []}
    if scopes - _SCOPES:
        yield f"spec.scopes: unsupported scope {sorted(scopes - _SCOPES)}"
    if {"BestEffort", "NotBestEffort"} <= scopes or {"Terminating", "NotTerminating"} <= scopes:
        yield "spec.scopes: conflicting scopes"


def _limit_range(obj: dict[str, Any]) -> Iterator[str]:
    for item in obj.get("spec", {}).get("limits", []):
        given = {field: item.get(field) or {} for field in ("min", "defaultRequest", "default", "max")}
        for field, amounts in given.items():
            yield from (
                f"limits.{field}[{n}]: {a!r} is no quantity" for n, a in amounts.items() if parse(a) is None
            )
        if item.get("type") == "Pod" and (given["default"] or given["defaultRequest"]):
            yield "limits.default: may not be specified when type is Pod"
        for name in set().union(*given.values()):
            values = {field: parse(amounts[name]) for field, amounts in given.items() if name in amounts}
            order = [
                values[field]
                for field in ("min", "defaultRequest", "default", "max")
                if values.get(field) is not None
            ]
            if order != sorted(v for v in order if v is not None):
                yield f"limits[{name}]: want min <= defaultRequest <= default <= max"
            extended = "/" in name
            if extended and values.get("default") != values.get("defaultRequest"):
                yield f"limits[{name}]: default must equal defaultRequest"
            injected = values.get("default", values.get("max"))
            if extended and item.get("type") == "Container" and injected:
                yield f"{STRICTER}limits[{name}]: every container would be given {injected} of it"


def _priority_class(obj: dict[str, Any]) -> Iterator[str]:
    if obj.get("value", 0) > _HIGHEST_USER_PRIORITY:
        yield "value: maximum allowed value of a user defined priority is 1000000000"
    if obj["metadata"]["name"].startswith("system-"):
        yield "metadata.name: names with 'system-' are reserved"
    if obj.get("preemptionPolicy", "Never") not in {"Never", "PreemptLowerPriority"}:
        yield f"preemptionPolicy: {obj['preemptionPolicy']!r}"


def _disruption_budget(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        yield "spec: minAvailable and maxUnavailable cannot be both set"
    if spec.get("unhealthyPodEvictionPolicy", "AlwaysAllow") not in {"AlwaysAllow", "IfHealthyBudget"}:
        yield "spec.unhealthyPodEvictionPolicy"
    yield from selector_problems(spec.get("selector"), "spec.selector")


def _claim(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    modes = set(spec.get("accessModes") or [])
    if not modes or modes - _ACCESS:
        yield f"spec.accessModes: {sorted(modes)}"
    amount = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if amount is None:
        yield "spec.resources[storage]: Required value"
    elif not parse(amount):
        yield f"spec.resources[storage]: {amount!r}"


def _volume(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if set(spec.get("accessModes") or []) - _ACCESS or not spec.get("accessModes"):
        yield "spec.accessModes"
    if not (spec.get("capacity") or {}).get("storage"):
        yield "spec.capacity: Required value"
    if "local" in spec and not (spec.get("nodeAffinity") or {}).get("required"):
        yield "spec.nodeAffinity: Local volume requires node affinity"


def _service(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    ports = spec.get("ports") or []
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        yield "spec.ports: Required value"
    for port in ports:
        if len(ports) > 1 and not port.get("name"):
            yield "spec.ports.name: Required value"
        if not 1 <= port.get("port", 0) <= 65535:
            yield f"spec.ports.port: {port.get('port')}"
        target = port.get("targetPort")
        if isinstance(target, str) and not is_port_name(target):
            yield f"spec.ports.targetPort: {target!r}"
        if "nodePort" in port and not 30000 <= port["nodePort"] <= 32767:
            yield f"spec.ports.nodePort: {port['nodePort']} is not in 30000-32767"


def _policy(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    yield from selector_problems(spec.get("podSelector"), "spec.podSelector")
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or []:
            for peer in rule.get("from" if direction == "ingress" else "to") or []:
                if not peer or ("ipBlock" in peer and len(peer) > 1):
                    yield f"spec.{direction}: a peer is an ipBlock, or selectors"
                for field in ("podSelector", "namespaceSelector"):
                    yield from selector_problems(peer.get(field), f"spec.{direction}.{field}")
    for kind in spec.get("policyTypes") or []:
        if kind not in {"Ingress", "Egress"}:
            yield f"spec.policyTypes: {kind!r}"


def _config_map(obj: dict[str, Any]) -> Iterator[str]:
    data = {**(obj.get("data") or {}), **(obj.get("binaryData") or {})}
    for key in data:
        if not re.match(r"^[-._a-zA-Z0-9]{1,253}$", key) or key in {".", ".."}:
            yield f"data[{key}]: no key"
    if sum(len(str(value).encode()) for value in data.values()) > 1024 * 1024:
        yield "data: more than 1 MiB"


def _binding(obj: dict[str, Any]) -> Iterator[str]:
    reference = obj.get("roleRef") or {}
    if reference.get("apiGroup") != "rbac.authorization.k8s.io" or reference.get("kind") not in {
        "Role",
        "ClusterRole",
    }:
        yield "roleRef: want a Role or ClusterRole of rbac.authorization.k8s.io"
    for subject in obj.get("subjects") or []:
        if subject["kind"] == "ServiceAccount":
            if subject.get("apiGroup") or not subject.get("namespace"):
                yield "subjects: a ServiceAccount has a namespace and no apiGroup"
        elif subject.get("apiGroup") != "rbac.authorization.k8s.io":
            yield f"subjects: {subject['kind']} wants apiGroup rbac.authorization.k8s.io"


def _admission_policy(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        yield "spec: validations or auditAnnotations must be specified"
    if not (spec.get("matchConstraints") or {}).get("resourceRules"):
        yield "spec.matchConstraints.resourceRules: Required value"
    for validation in spec.get("validations") or []:
        if not (validation.get("expression") or "").strip():
            yield "spec.validations.expression: Required value"
        message = validation.get("message")
        if message is not None and ("\n" in message or not message.strip()):
            yield "spec.validations.message: one line, not empty"
    for variable in spec.get("variables") or []:
        if not re.match(r"^[A-Za-z_][A-Za-z0-9_]*$", variable.get("name") or ""):
            yield f"spec.variables.name: {variable.get('name')!r}"


def _admission_binding(obj: dict[str, Any]) -> Iterator[str]:
    actions = set((obj.get("spec") or {}).get("validationActions") or [])
    if not actions or actions - {"Deny", "Warn", "Audit"} or {"Deny", "Warn"} <= actions:
        yield "spec.validationActions: Deny or Warn, and Audit"


def _device_request(requests: list[dict[str, Any]], where: str) -> Iterator[str]:
    for request in requests:
        if ("exactly" in request) == ("firstAvailable" in request):
            yield f"{where}: exactly one of exactly or firstAvailable is required"


def _resource_claim(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if obj["kind"] == "ResourceClaimTemplate":
        spec = spec.get("spec") or {}
    if obj["apiVersion"] != "resource.k8s.io/v1beta1":
        yield from _device_request((spec.get("devices") or {}).get("requests") or [], "spec.devices.requests")


def _scaled_object(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    least, idle = spec.get("minReplicaCount", 0), spec.get("idleReplicaCount")
    if least > spec.get("maxReplicaCount", 100):
        yield "spec: minReplicaCount must be less than or equal to maxReplicaCount"
    if idle is not None and idle >= least:
        yield f"{STRICTER}spec.idleReplicaCount: must be less than minReplicaCount"
    triggers = spec.get("triggers") or []
    cached = any(trigger.get("useCachedMetrics") for trigger in triggers)
    if least > 0 and idle is None:
        if "pollingInterval" in spec and not cached:
            yield f"{STRICTER}spec.pollingInterval: warned about, not relevant with minReplicaCount > 0"
        if "cooldownPeriod" in spec:
            yield f"{STRICTER}spec.cooldownPeriod: warned about, not relevant with minReplicaCount > 0"
    names = [trigger["name"] for trigger in triggers if "name" in trigger]
    if len(names) != len(set(names)):
        yield f"{STRICTER}spec.triggers: names must be unique"
    for trigger in triggers:
        if "metricName" in trigger.get("metadata", {}):
            yield f"{STRICTER}spec.triggers.metadata.metricName: removed in 2.12"


def _interceptor_route(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    target = spec.get("target") or {}
    if ("port" in target) == ("portName" in target):
        yield "spec.target: exactly one of port or portName must be set"
    if not spec.get("scalingMetric"):
        yield "spec.scalingMetric: at least one of concurrency or requestRate must be set"


def _autoscaler(obj: dict[str, Any]) -> Iterator[str]:
    spec = obj.get("spec") or {}
    if spec.get("minReplicas", 1) > spec.get("maxReplicas", 0):
        yield "spec.maxReplicas: must be greater than or equal to minReplicas"


def _cluster_queue(obj: dict[str, Any]) -> Iterator[str]:
    for group in (obj.get("spec") or {}).get("resourceGroups") or []:
        covered = group.get("coveredResources") or []
        for flavor in group.get("flavors") or []:
            if [resource["name"] for resource in flavor.get("resources") or []] != covered:
                yield "spec.resourceGroups: flavors must list the covered resources in order"


def _inference_pool(obj: dict[str, Any]) -> Iterator[str]:
    reference = (obj.get("spec") or {}).get("endpointPickerRef") or {}
    if reference.get("kind", "Service") == "Service" and "port" not in reference:
        yield "spec.endpointPickerRef: port is required when kind is 'Service'"


_RULES = {
    ("apps", "Deployment"): _workload,
    ("apps", "DaemonSet"): _workload,
    ("apps", "StatefulSet"): _workload,
    ("batch", "Job"): _job,
    ("", "ResourceQuota"): _quota,
    ("", "LimitRange"): _limit_range,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "PersistentVolume"): _volume,
    ("", "Service"): _service,
    ("", "ConfigMap"): _config_map,
    ("scheduling.k8s.io", "PriorityClass"): _priority_class,
    ("policy", "PodDisruptionBudget"): _disruption_budget,
    ("networking.k8s.io", "NetworkPolicy"): _policy,
    ("rbac.authorization.k8s.io", "RoleBinding"): _binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _binding,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"): _admission_policy,
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"): _admission_binding,
    ("resource.k8s.io", "ResourceClaim"): _resource_claim,
    ("resource.k8s.io", "ResourceClaimTemplate"): _resource_claim,
    ("autoscaling", "HorizontalPodAutoscaler"): _autoscaler,
    ("keda.sh", "ScaledObject"): _scaled_object,
    ("http.keda.sh", "InterceptorRoute"): _interceptor_route,
    ("kueue.x-k8s.io", "ClusterQueue"): _cluster_queue,
    ("inference.networking.k8s.io", "InferencePool"): _inference_pool,
}
