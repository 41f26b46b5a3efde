"""Rows of nodes, namespaces, events, configuration, access, admission and devices.

Upstream: pkg/printers/internalversion/printers.go.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from stoker.lab.tables.duration import age, human_duration
from stoker.lab.tables.texts import NONE, UNSET

__all__ = ["CLUSTER"]

Object = dict[str, Any]
_NO: Object = {}
_ROLE_PREFIX = "node-role.kubernetes.io/"
_UNKNOWN = "<unknown>"


def _name(obj: Object) -> str:
    return str(obj.get("metadata", _NO).get("name", ""))


def _age(obj: Object, now: datetime) -> str:
    return age(obj.get("metadata", _NO).get("creationTimestamp"), now)


def _named(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), _age(obj, now)]


def _node(obj: Object, now: datetime) -> list[Any]:
    status = obj.get("status", _NO)
    ready = {one.get("type"): one.get("status") for one in status.get("conditions", ())}.get("Ready")
    words = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if obj.get("spec", _NO).get("unschedulable"):
        words.append("SchedulingDisabled")
    info = status.get("nodeInfo", _NO)
    kernel = info.get("kernelVersion") or _UNKNOWN
    if info.get("architecture"):
        kernel = f"{kernel} ({info['architecture']})"
    return [
        _name(obj),
        ",".join(words),
        ",".join(_roles(obj.get("metadata", _NO).get("labels", _NO))) or NONE,
        _age(obj, now),
        info.get("kubeletVersion", ""),
        _address(status, "InternalIP"),
        _address(status, "ExternalIP"),
        info.get("osImage") or _UNKNOWN,
        kernel,
        info.get("containerRuntimeVersion") or _UNKNOWN,
    ]


def _roles(labels: dict[str, str]) -> list[str]:
    found = {key.removeprefix(_ROLE_PREFIX) for key in labels if key.startswith(_ROLE_PREFIX)}
    return sorted(role for role in found | {labels.get("kubernetes.io/role", "")} if role)


def _address(status: Object, kind: str) -> str:
    return next((str(one["address"]) for one in status.get("addresses", ()) if one.get("type") == kind), NONE)


def _namespace(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("status", _NO).get("phase", ""), _age(obj, now)]


def _event(obj: Object, now: datetime) -> list[Any]:
    """An event of either group: the newer one has other names for the same fields."""
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime")
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if series := obj.get("series"):
        last, count = series.get("lastObservedTime"), series.get("count", 0)
    about = obj.get("involvedObject") or obj.get("regarding") or _NO
    kind = about.get("kind", "").lower()
    source = obj.get("source") or obj.get("deprecatedSource") or _NO
    component = (
        source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    )
    host = source.get("host") or obj.get("reportingInstance") or ""
    return [
        age(last, now),
        obj.get("type", ""),
        obj.get("reason", ""),
        f"{kind}/{about['name']}" if about.get("name") else kind,
        about.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        (obj.get("message") or obj.get("note") or "").strip(),
        age(first, now),
        count,
        _name(obj),
    ]


def _secret(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("type", ""), len(obj.get("data", ())), _age(obj, now)]


def _config_map(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("data", ())) + len(obj.get("binaryData", ())), _age(obj, now)]


def _component_status(obj: Object, _: datetime) -> list[Any]:
    found = next((one for one in obj.get("conditions", ()) if one.get("type") == "Healthy"), None)
    if found is None:
        return [_name(obj), "Unknown", "", ""]
    word = "Healthy" if found.get("status") == "True" else "Unhealthy"
    return [_name(obj), word, found.get("message", ""), found.get("error", "")]


def _resource_quota(obj: Object, now: datetime) -> list[Any]:
    status = obj.get("status", _NO)
    used = status.get("used", _NO)
    requests: list[str] = []
    limits: list[str] = []
    for resource, hard in sorted(status.get("hard", _NO).items()):
        column = limits if resource.startswith("limits.") else requests
        column.append(f"{resource}: {used.get(resource, '0')}/{hard}")
    return [_name(obj), ", ".join(requests), ", ".join(limits), _age(obj, now)]


def _binding(obj: Object, now: datetime) -> list[Any]:
    role = obj.get("roleRef", _NO)
    users: list[str] = []
    groups: list[str] = []
    accounts: list[str] = []
    for subject in obj.get("subjects", ()):
        match subject.get("kind"):
            case "User":
                users.append(subject["name"])
            case "Group":
                groups.append(subject["name"])
            case "ServiceAccount":
                accounts.append(f"{subject.get('namespace', '')}/{subject['name']}")
    return [
        _name(obj),
        f"{role.get('kind', '')}/{role.get('name', '')}",
        _age(obj, now),
        ", ".join(users),
        ", ".join(groups),
        ", ".join(accounts),
    ]


def _signing_request(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj.get("spec", _NO), obj.get("status", _NO)
    met = {one.get("type") for one in status.get("conditions", ())}
    word = "Denied" if "Denied" in met else "Approved" if "Approved" in met else "Pending"
    word += ",Failed" if "Failed" in met else ""
    word += ",Issued" if status.get("certificate") else ""
    expiry = spec.get("expirationSeconds")
    return [
        _name(obj),
        _age(obj, now),
        spec.get("signerName") or NONE,
        spec.get("username", ""),
        NONE if expiry is None else human_duration(timedelta(seconds=expiry)),
        word,
    ]


def _lease(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("spec", _NO).get("holderIdentity", ""), _age(obj, now)]


def _runtime_class(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), obj.get("handler", ""), _age(obj, now)]


def _webhooks(obj: Object, now: datetime) -> list[Any]:
    return [_name(obj), len(obj.get("webhooks", ())), _age(obj, now)]


def _policy(field: str) -> Callable[[Object, datetime], list[Any]]:
    def cells(obj: Object, now: datetime) -> list[Any]:
        spec = obj.get("spec", _NO)
        param = spec.get("paramKind")
        kind = UNSET if param is None else f"{param.get('apiVersion', '')}/{param.get('kind', '')}"
        return [_name(obj), len(spec.get(field, ())), kind, _age(obj, now)]

    return cells


def _policy_binding(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    reference = spec.get("paramRef", _NO)
    param = UNSET
    if reference.get("name"):
        param = f"{reference.get('namespace') or '*'}/{reference['name']}"
    elif "selector" in reference:
        param = _go_selector(reference["selector"])
    return [_name(obj), spec.get("policyName", ""), param, _age(obj, now)]


def _go_selector(selector: Object) -> str:
    """A LabelSelector as Go prints the struct (apimachinery pkg/apis/meta/v1/generated.pb.go)."""
    labels = "".join(f"{key}: {value}," for key, value in sorted(selector.get("matchLabels", _NO).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one['key']},Operator:{one['operator']},"
        f"Values:[{' '.join(one.get('values', ()))}],}},"
        for one in selector.get("matchExpressions", ())
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


def _flow_schema(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    conditions = obj.get("status", _NO).get("conditions", ())
    dangling = next((one.get("status", "") for one in conditions if one.get("type") == "Dangling"), "?")
    return [
        _name(obj),
        spec.get("priorityLevelConfiguration", _NO).get("name", ""),
        spec.get("matchingPrecedence", 0),
        spec.get("distinguisherMethod", _NO).get("type", NONE),
        _age(obj, now),
        dangling,
    ]


def _priority_level(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    limited = spec.get("limited")
    cells: list[Any] = [NONE] * 4
    if limited is not None:
        cells[0] = limited.get("nominalConcurrencyShares", 0)
        queuing = limited.get("limitResponse", _NO).get("queuing")
        if queuing is not None:
            cells[1:] = [queuing.get(key, 0) for key in ("queues", "handSize", "queueLengthLimit")]
    return [_name(obj), spec.get("type", ""), *cells, _age(obj, now)]


def _resource_claim(obj: Object, now: datetime) -> list[Any]:
    status, is_deleted = obj.get("status", _NO), bool(obj.get("metadata", _NO).get("deletionTimestamp"))
    states = ["deleted"] if is_deleted else []
    if "allocation" in status:
        states += ["allocated", "reserved"] if status.get("reservedFor") else ["allocated"]
    elif not is_deleted:
        states.append("pending")
    return [_name(obj), ",".join(states), _age(obj, now)]


def _resource_slice(obj: Object, now: datetime) -> list[Any]:
    spec = obj.get("spec", _NO)
    pool = spec.get("pool", _NO).get("name", "")
    return [_name(obj), spec.get("nodeName", ""), spec.get("driver", ""), pool, _age(obj, now)]


def _api_service(obj: Object, now: datetime) -> list[Any]:
    service = obj.get("spec", _NO).get("service")
    place = "Local" if service is None else f"{service.get('namespace', '')}/{service.get('name', '')}"
    status = "Unknown"
    for one in obj.get("status", _NO).get("conditions", ()):
        if one.get("type") == "Available":
            status = one.get("status", "")
            if status != "True" and one.get("reason"):
                status = f"{status} ({one['reason']})"
            break
    return [_name(obj), place, status, _age(obj, now)]


_ADMISSION = "admissionregistration.k8s.io"
CLUSTER: dict[tuple[str, str], Callable[[Object, datetime], list[Any]]] = {
    ("", "Node"): _node,
    ("", "Namespace"): _namespace,
    ("", "Event"): _event,
    ("events.k8s.io", "Event"): _event,
    ("", "Secret"): _secret,
    ("", "ConfigMap"): _config_map,
    ("", "ServiceAccount"): _named,
    ("", "ComponentStatus"): _component_status,
    ("", "ResourceQuota"): _resource_quota,
    ("rbac.authorization.k8s.io", "RoleBinding"): _binding,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): _binding,
    ("certificates.k8s.io", "CertificateSigningRequest"): _signing_request,
    ("coordination.k8s.io", "Lease"): _lease,
    ("node.k8s.io", "RuntimeClass"): _runtime_class,
    (_ADMISSION, "MutatingWebhookConfiguration"): _webhooks,
    (_ADMISSION, "ValidatingWebhookConfiguration"): _webhooks,
    (_ADMISSION, "ValidatingAdmissionPolicy"): _policy("validations"),
    (_ADMISSION, "MutatingAdmissionPolicy"): _policy("mutations"),
    (_ADMISSION, "ValidatingAdmissionPolicyBinding"): _policy_binding,
    (_ADMISSION, "MutatingAdmissionPolicyBinding"): _policy_binding,
    ("flowcontrol.apiserver.k8s.io", "FlowSchema"): _flow_schema,
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"): _priority_level,
    ("resource.k8s.io", "DeviceClass"): _named,
    ("resource.k8s.io", "ResourceClaimTemplate"): _named,
    ("resource.k8s.io", "ResourceClaim"): _resource_claim,
    ("resource.k8s.io", "ResourceSlice"): _resource_slice,
    ("apiregistration.k8s.io", "APIService"): _api_service,
}
