"""Rules of pod validation that the schemas do not carry.

Source: kubernetes/kubernetes pkg/apis/core/validation/validation.go (1.36), pkg/apis/core/v1/helper.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from stoker.kube.quantities import parse
from stoker.schemas.metadata_rules import annotation_problems, is_dns_label, is_qualified_name, label_problems
from stoker.schemas.pods import PodSpec

_PORT_NAME = re.compile(r"^(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
_ENV_NAME = re.compile(r"^[^=\x00-\x1f\x7f-\uffff]+$")
_NATIVE = {"cpu", "memory", "ephemeral-storage"}
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HANDLERS = ("httpGet", "exec", "tcpSocket", "grpc")
_RESTART = {
    "Deployment": {"Always"},
    "DaemonSet": {"Always"},
    "StatefulSet": {"Always"},
    "Job": {"OnFailure", "Never"},
}


def pod_problems(pod: PodSpec, kind: str) -> Iterator[str]:
    """Everything wrong with one pod specification in an object of ``kind``."""
    spec, path = pod.spec, pod.path
    yield from label_problems(pod.labels, f"{path}: template labels")
    yield from annotation_problems(pod.annotations, f"{path}: template annotations")
    containers = [
        (f"{path}.{field}[{index}]", container, field == "initContainers")
        for field in ("initContainers", "containers")
        for index, container in enumerate(spec.get(field) or [])
    ]
    if pod.complete and not spec.get("containers"):
        yield f"{path}.containers: Required value"
    yield from _duplicates([c.get("name") for _, c, _ in containers], f"{path}: container name")
    volumes = [volume.get("name") for volume in spec.get("volumes") or []]
    yield from _duplicates(volumes, f"{path}.volumes: name")
    claims = [claim.get("name") for claim in spec.get("resourceClaims") or []]
    for where, container, init in containers:
        yield from _container(where, container, init=init, complete=pod.complete)
        for mount in container.get("volumeMounts") or []:
            if pod.complete and mount.get("name") not in volumes:
                yield f"{where}.volumeMounts: no volume {mount.get('name')!r}"
        for claim in (container.get("resources") or {}).get("claims") or []:
            if claim.get("name") not in claims:
                yield f"{where}.resources.claims: no claim {claim.get('name')!r}"
    yield from _volumes(spec, path)
    yield from _claims(spec, path)
    yield from _scheduling(spec, path)
    policy = spec.get("restartPolicy", "Always")
    if kind in _RESTART and policy not in _RESTART[kind]:
        yield f"{path}.restartPolicy: {policy} is not allowed in a {kind}"


def _container(where: str, container: dict[str, Any], *, init: bool, complete: bool) -> Iterator[str]:
    name = container.get("name", "")
    if not is_dns_label(name):
        yield f"{where}.name: {name!r} is not an RFC 1123 label"
    if complete and not container.get("image"):
        yield f"{where}.image: Required value"
    env = container.get("env") or []
    yield from _duplicates([item.get("name") for item in env], f"{where}.env: name")
    for item in env:
        if not _ENV_NAME.match(item.get("name") or ""):
            yield f"{where}.env: {item.get('name')!r} is no variable name"
        if item.get("value") and item.get("valueFrom"):
            yield f"{where}.env[{item['name']}]: value and valueFrom"
    ports = container.get("ports") or []
    yield from _duplicates([port["name"] for port in ports if "name" in port], f"{where}.ports: name")
    yield from _duplicates(
        [(port.get("containerPort"), port.get("protocol", "TCP")) for port in ports], f"{where}.ports: port"
    )
    for port in ports:
        if "name" in port and not is_port_name(port["name"]):
            yield f"{where}.ports: {port['name']!r} is not a port name (15 characters, IANA_SVC_NAME)"
        if not 1 <= port.get("containerPort", 0) <= 65535:
            yield f"{where}.ports: {port.get('containerPort')} is no port"
    yield from _duplicates(
        [m.get("mountPath") for m in container.get("volumeMounts") or []], f"{where}: mountPath"
    )
    yield from resource_problems(f"{where}.resources", container.get("resources") or {})
    yield from _probes(where, container, ports, init=init)


def is_port_name(name: str) -> bool:
    """IsValidPortName: at most 15 characters, lower case, a letter in it, no double hyphen."""
    return len(name) <= 15 and "--" not in name and bool(_PORT_NAME.match(name))


def resource_problems(where: str, resources: dict[str, Any]) -> Iterator[str]:  # noqa: C901  # one rule a branch
    """Requests and limits of a container: they parse, they agree, extended resources are whole and equal."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            value = parse(amount)
            if value is None:
                yield f"{where}.{field}[{name}]: {amount!r} is no quantity"
            elif value < 0:
                yield f"{where}.{field}[{name}]: {amount!r} is negative"
            elif "/" in name and value != int(value):
                yield f"{where}.{field}[{name}]: {amount!r} must be an integer"
            if name not in _NATIVE and not name.startswith("hugepages-") and "/" not in name:
                yield f"{where}.{field}[{name}]: must be a standard resource or fully qualified"
            elif not is_qualified_name(name):
                yield f"{where}.{field}[{name}]: no resource name"
    for name, amount in requests.items():
        if "/" in name and name not in limits:
            yield f"{where}.limits[{name}]: Limit must be set for non overcommitable resources"
        elif "/" in name and parse(amount) != parse(limits[name]):
            yield f"{where}.requests[{name}]: must be equal to the limit"
        elif name in limits and (parse(amount) or 0) > (parse(limits[name]) or 0):
            yield f"{where}.requests[{name}]: {amount} is above the limit {limits[name]}"


def _probes(
    where: str, container: dict[str, Any], ports: list[dict[str, Any]], *, init: bool
) -> Iterator[str]:
    sidecar = container.get("restartPolicy") == "Always"
    names = {port.get("name") for port in ports}
    for field in _PROBES:
        probe = container.get(field)
        if probe is None:
            continue
        if init and not sidecar:
            yield f"{where}.{field}: not allowed in an init container"
        handlers = [handler for handler in _HANDLERS if handler in probe]
        if len(handlers) != 1:
            yield f"{where}.{field}: want one handler, found {handlers}"
        if field != "readinessProbe" and probe.get("successThreshold", 1) != 1:
            yield f"{where}.{field}.successThreshold: must be 1"
        port = (probe.get("httpGet") or probe.get("tcpSocket") or {}).get("port")
        if isinstance(port, str) and names and port not in names:
            yield f"{where}.{field}: no port named {port!r}"
        for key in ("periodSeconds", "timeoutSeconds", "failureThreshold"):
            if probe.get(key, 1) < 1:
                yield f"{where}.{field}.{key}: must be at least 1"
        if field == "readinessProbe" and "terminationGracePeriodSeconds" in probe:
            yield f"{where}.{field}.terminationGracePeriodSeconds: not for readiness probes"


def _volumes(spec: dict[str, Any], path: str) -> Iterator[str]:
    for volume in spec.get("volumes") or []:
        where = f"{path}.volumes[{volume.get('name')}]"
        if not is_dns_label(volume.get("name") or ""):
            yield f"{where}: name is not an RFC 1123 label"
        sources = [key for key in volume if key != "name"]
        if len(sources) > 1:
            yield f"{where}: more than one source: {sources}"
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit is not None and (parse(limit) is None or (parse(limit) or 0) < 0):
            yield f"{where}.emptyDir.sizeLimit: {limit!r} is no quantity"
        if "persistentVolumeClaim" in volume and not volume["persistentVolumeClaim"].get("claimName"):
            yield f"{where}.persistentVolumeClaim.claimName: Required value"
        if "hostPath" in volume and ".." in volume["hostPath"].get("path", ""):
            yield f"{where}.hostPath.path: must not contain '..'"


def _claims(spec: dict[str, Any], path: str) -> Iterator[str]:
    claims = spec.get("resourceClaims") or []
    yield from _duplicates([claim.get("name") for claim in claims], f"{path}.resourceClaims: name")
    for claim in claims:
        if ("resourceClaimName" in claim) == ("resourceClaimTemplateName" in claim):
            yield f"{path}.resourceClaims[{claim.get('name')}]: one of resourceClaimName, resourceClaimTemplateName"


def _scheduling(spec: dict[str, Any], path: str) -> Iterator[str]:  # noqa: C901, PLR0912  # one rule a branch
    for toleration in spec.get("tolerations") or []:
        yield from _toleration(toleration, f"{path}.tolerations")
    for constraint in spec.get("topologySpreadConstraints") or []:
        where = f"{path}.topologySpreadConstraints"
        if constraint.get("maxSkew", 0) < 1:
            yield f"{where}.maxSkew: must be greater than zero"
        if not constraint.get("topologyKey"):
            yield f"{where}.topologyKey: can not be empty"
        if constraint.get("whenUnsatisfiable") not in {"DoNotSchedule", "ScheduleAnyway"}:
            yield f"{where}.whenUnsatisfiable: {constraint.get('whenUnsatisfiable')!r}"
        if "matchLabelKeys" in constraint and "labelSelector" not in constraint:
            yield f"{where}.matchLabelKeys: forbidden without labelSelector"
        yield from selector_problems(constraint.get("labelSelector"), where)
    affinity = spec.get("affinity") or {}
    node = affinity.get("nodeAffinity") or {}
    required = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    terms = [] if required is None else required.get("nodeSelectorTerms") or []
    if required is not None and not terms:
        yield f"{path}.affinity.nodeAffinity: must have at least one node selector term"
    terms += [
        item["preference"] for item in node.get("preferredDuringSchedulingIgnoredDuringExecution") or []
    ]
    for term in terms:
        for expression in term.get("matchExpressions") or []:
            yield from _expression(expression, f"{path}.affinity.nodeAffinity", node=True)
    for field in ("podAffinity", "podAntiAffinity"):
        section = affinity.get(field) or {}
        pods = list(section.get("requiredDuringSchedulingIgnoredDuringExecution") or [])
        for item in section.get("preferredDuringSchedulingIgnoredDuringExecution") or []:
            pods.append(item["podAffinityTerm"])
            if not 1 <= item.get("weight", 0) <= 100:
                yield f"{path}.affinity.{field}: weight must be in 1-100"
        for term in pods:
            if not term.get("topologyKey"):
                yield f"{path}.affinity.{field}.topologyKey: can not be empty"
            yield from selector_problems(term.get("labelSelector"), f"{path}.affinity.{field}")


def _toleration(toleration: dict[str, Any], where: str) -> Iterator[str]:
    operator = toleration.get("operator", "Equal")
    if operator not in {"Equal", "Exists"}:  # Lt and Gt: alpha in 1.35
        yield f"{where}.operator: {operator!r}"
    if operator == "Exists" and toleration.get("value"):
        yield f"{where}.value: must be empty when operator is Exists"
    if not toleration.get("key") and operator != "Exists":
        yield f"{where}.operator: must be Exists when key is empty"
    effect = toleration.get("effect", "")
    if effect not in {"", "NoSchedule", "PreferNoSchedule", "NoExecute"}:
        yield f"{where}.effect: {effect!r}"
    if "tolerationSeconds" in toleration and effect != "NoExecute":
        yield f"{where}.effect: must be NoExecute where tolerationSeconds is set"


def selector_problems(selector: dict[str, Any] | None, where: str) -> Iterator[str]:
    """A label selector: values are labels, operators have the values they need."""
    if selector is None:
        return
    yield from label_problems(selector.get("matchLabels") or {}, f"{where}.matchLabels")
    for expression in selector.get("matchExpressions") or []:
        yield from _expression(expression, f"{where}.matchExpressions", node=False)


def _expression(expression: dict[str, Any], where: str, *, node: bool) -> Iterator[str]:
    operator, values = expression.get("operator"), expression.get("values") or []
    if not is_qualified_name(expression.get("key") or ""):
        yield f"{where}.key: {expression.get('key')!r}"
    if operator in {"In", "NotIn"} and not values:
        yield f"{where}.values: must be specified with {operator}"
    elif operator in {"Exists", "DoesNotExist"} and values:
        yield f"{where}.values: may not be specified with {operator}"
    elif node and operator in {"Gt", "Lt"} and not (len(values) == 1 and re.match(r"^-?\d+$", values[0])):
        yield f"{where}.values: one integer with {operator}"
    elif operator not in {"In", "NotIn", "Exists", "DoesNotExist", *(("Gt", "Lt") if node else ())}:
        yield f"{where}.operator: {operator!r}"


def _duplicates(values: Iterable[Any], what: str) -> Iterator[str]:
    for value, count in Counter(values).items():
        if count > 1:
            yield f"{what} {value!r}: duplicate"
