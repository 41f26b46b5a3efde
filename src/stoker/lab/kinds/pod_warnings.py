"""Warnings about pods and templates: pkg/api/pod/warnings.go, pkg/api/node/util.go (1.36)."""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.metadata import is_dns_label, is_label_value
from stoker.lab.kinds.pod_annotations import APPARMOR, SECCOMP_CONTAINER, SECCOMP_POD, apparmor_field
from stoker.lab.kinds.pod_security import visit
from stoker.lab.kinds.pod_warnings_volumes import volume_warnings
from stoker.lab.kinds.quantity_text import NANO, nano
from stoker.lab.kinds.strategy import Object

__all__ = ["NODE_LABELS", "pod_warnings", "template_warnings"]

NODE_LABELS = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": (
        'deprecated since v1.17; use "topology.kubernetes.io/region" instead'
    ),
    "failure-domain.beta.kubernetes.io/zone": (
        'deprecated since v1.17; use "topology.kubernetes.io/zone" instead'
    ),
    "beta.kubernetes.io/instance-type": (
        'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead'
    ),
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": (
        "deprecated since v1.22; use Taints and Tolerations instead"
    ),
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_ANNOTATIONS = {
    "scheduler.alpha.kubernetes.io/critical-pod": (
        'non-functional in v1.16+; use the "priorityClassName" field instead'
    ),
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": (
        'non-functional in v1.11+; use the "sysctls" field instead'
    ),
}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_SELECTOR = "a null labelSelector results in matching no pod"


def pod_warnings(pod: Object) -> list[str]:
    """Of the create of a pod; an update of a pod warns of nothing."""
    found: list[str] = []
    messages = is_dns_label((pod.get("metadata") or {}).get("name", ""))
    if messages:
        text = (
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is"
            " recommended"
        )
        found.append(f"{text}: [{' '.join(messages)}]")
    found += _apparmor_warnings(pod)
    return found + template_warnings(pod, "")


def _apparmor_warnings(pod: Object) -> list[str]:
    """Those that making the fields out of the annotations gives (applyAppArmorVersionSkew)."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    spec = pod.get("spec") or {}
    whole = (spec.get("securityContext") or {}).get("appArmorProfile")
    found: list[str] = []
    for container, _ in visit(spec, "spec"):
        key = f"{APPARMOR}{container.get('name', '')}"
        if key not in annotations:
            continue
        profile = apparmor_field(annotations[key])
        own = (container.get("securityContext") or {}).get("appArmorProfile")
        if (own is None or own == profile) and (profile is None or profile != whole):
            text = 'deprecated since v1.30; use the "appArmorProfile" field instead'
            found.append(f"metadata.annotations[{key}]: {text}")
    return found


def template_warnings(template: Mapping[str, Any], path: str) -> list[str]:
    """Of a template, or with an empty path of a pod."""
    spec = template.get("spec") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    dot = f"{path}." if path else ""
    at = f"{dot}spec"
    found = _label_warnings(spec, at)
    found += [
        f"{dot}metadata.annotations[{key}]: {text}"
        for key, text in _ANNOTATIONS.items()
        if key in annotations
    ]
    if spec.get("volumes"):
        found += volume_warnings(spec["volumes"], f"{at}.volumes")
    found += _duplicates(spec, "hostAliases", "ip", at) + _duplicates(spec, "imagePullSecrets", "name", at)
    for index, one in enumerate(spec.get("imagePullSecrets") or ()):
        if not one.get("name"):
            found.append(f'{at}.imagePullSecrets[{index}].name: invalid empty name ""')
    found += _fraction_warnings(spec.get("overhead"), f"{at}.overhead")
    if annotations:
        found += _seccomp_warnings(spec, annotations, dot)
    for container, where in visit(spec, at):
        if path and annotations:
            found += _template_apparmor(container, spec, annotations, dot)
        resources = container.get("resources") or {}
        if resources:
            found += _container_fractions(resources, where)
        if len(container.get("env") or ()) > 1:
            found += _env_warnings(container["env"], f"{where}.env")
    found += _port_warnings(spec, at)
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and grace < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        found.append(f"{at}.terminationGracePeriodSeconds: {text}")
    return found + _affinity_warnings(spec.get("affinity") or {}, f"{at}.affinity")


def _label_warnings(spec: Mapping[str, Any], path: str) -> list[str]:
    """Labels of nodes that go away."""
    found = [
        f"{path}.nodeSelector[{key}]: {NODE_LABELS[key]}"
        for key in spec.get("nodeSelector") or ()
        if key in NODE_LABELS
    ]
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    at = f"{path}.affinity.nodeAffinity"
    terms = (affinity.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ()
    for index, term in enumerate(terms):
        found += _term_warnings(
            term, f"{at}.{_REQUIRED}.nodeSelectorTerms[{index}]", are_values_checked=False
        )
    for index, one in enumerate(affinity.get(_PREFERRED) or ()):
        where = f"{at}.{_PREFERRED}[{index}].preference"
        found += _term_warnings(one.get("preference") or {}, where, are_values_checked=True)
    for index, one in enumerate(spec.get("topologySpreadConstraints") or ()):
        key, where = one.get("topologyKey", ""), f"{path}.topologySpreadConstraints[{index}]"
        if key in NODE_LABELS:
            found.append(f"{where}.topologyKey: {key} is {NODE_LABELS[key]}")
        if one.get("labelSelector") is None:
            found.append(f"{where}.labelSelector: {_NO_SELECTOR}")
    return found


def _term_warnings(term: Mapping[str, Any], path: str, *, are_values_checked: bool) -> list[str]:
    found: list[str] = []
    for index, one in enumerate(term.get("matchExpressions") or ()):
        key, at = one.get("key", ""), f"{path}.matchExpressions[{index}]"
        if key in NODE_LABELS:
            found.append(f"{at}.key: {key} is {NODE_LABELS[key]}")
        if are_values_checked:
            for place, value in enumerate(one.get("values") or ()):
                found += [
                    f"{at}.values[{place}]: {value} is invalid, {text}" for text in is_label_value(value)
                ]
    return found


def _duplicates(spec: Mapping[str, Any], field: str, key: str, path: str) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for index, one in enumerate(spec.get(field) or ()):
        value = one.get(key, "")
        if value in seen:
            found.append(f'{path}.{field}[{index}].{key}: duplicate {key} "{value}"')
        seen.add(value)
    return found


def _fraction_warnings(values: Mapping[str, str] | None, path: str) -> list[str]:
    return [
        f'{path}[{name}]: fractional byte value "{values[name]}" is invalid, must be an integer'
        for name in ("memory", "ephemeral-storage")
        if values and name in values and nano(values[name]) % NANO
    ]


def _container_fractions(resources: Mapping[str, Any], path: str) -> list[str]:
    found: list[str] = []
    for name in ("memory", "ephemeral-storage"):
        for side in ("limits", "requests"):
            values = resources.get(side)
            if values and name in values:
                found += _fraction_warnings({name: values[name]}, f"{path}.resources.{side}")
    return found


def _seccomp_warnings(spec: Mapping[str, Any], annotations: Mapping[str, str], dot: str) -> list[str]:
    text = 'non-functional in v1.27+; use the "seccompProfile" field instead'
    found: list[str] = []
    if SECCOMP_POD in annotations and not (spec.get("securityContext") or {}).get("seccompProfile"):
        found.append(f"{dot}metadata.annotations[{SECCOMP_POD}]: {text}")
    for container, _ in visit(spec, ""):
        key = f"{SECCOMP_CONTAINER}{container.get('name', '')}"
        if key in annotations and not (container.get("securityContext") or {}).get("seccompProfile"):
            found.append(f"{dot}metadata.annotations[{key}]: {text}")
    return found


def _template_apparmor(
    container: Mapping[str, Any], spec: Mapping[str, Any], annotations: Mapping[str, str], dot: str
) -> list[str]:
    key = f"{APPARMOR}{container.get('name', '')}"
    if key not in annotations or (container.get("securityContext") or {}).get("appArmorProfile"):
        return []
    whole = (spec.get("securityContext") or {}).get("appArmorProfile")
    if whole is not None and whole == apparmor_field(annotations[key]):
        return []
    text = 'deprecated since v1.30; use the "appArmorProfile" field instead'
    return [f"{dot}metadata.annotations[{key}]: {text}"]


def _env_warnings(variables: Iterable[Mapping[str, Any]], path: str) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for index, one in enumerate(variables):
        name, value = one.get("name", ""), one.get("value", "")
        if name in seen:
            reference = f"$({name})"
            if one.get("valueFrom") is not None or value == reference or reference not in value:
                text = f'hides previous definition of "{name}", which may be dropped when using apply'
                found.append(f"{path}[{index}]: {text}")
        seen.add(name)
    return found


def _port_warnings(spec: Mapping[str, Any], path: str) -> list[str]:
    found: list[str] = []
    known: dict[tuple[int, str], list[tuple[str, Mapping[str, Any]]]] = {}
    names: dict[str, str] = {}
    name_warnings: list[str] = []
    for container, where in visit(spec, path):
        for index, port in enumerate(container.get("ports") or ()):
            at = f"{where}.ports[{index}]"
            if port.get("hostIP") and not port.get("hostPort"):
                found.append(f"{at}: hostIP set without hostPort: {_go_port(port)}")
            others = known.setdefault((port.get("containerPort", 0), port.get("protocol", "")), [])
            for other_at, other in others:
                text = _overlap(port, other)
                if text:
                    found.append(f"{at}: {text} port definition with {other_at}")
            others.append((at, port))
            name = port.get("name")
            if name and name in names:
                other_at = names[name]
                text = f'duplicate port name "{name}" with {other_at}, services and probes that select ports by name'
                name_warnings.append(f"{at}: {text} will use {other_at}")
            elif name:
                names[name] = at
    return found + name_warnings


def _overlap(port: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    ip, other_ip = port.get("hostIP", ""), other.get("hostIP", "")
    host, other_host = port.get("hostPort", 0), other.get("hostPort", 0)
    if (ip, host) == (other_ip, other_host):
        return "duplicate"
    if not host or not other_host:
        return "overlapping"
    return "dangerously ambiguous" if host == other_host and bool(ip) != bool(other_ip) else ""


def _go_port(port: Mapping[str, Any]) -> str:
    """A port as ``%+v`` prints it."""
    return (
        f"{{Name:{port.get('name', '')} HostPort:{port.get('hostPort', 0)} ContainerPort:{port.get('containerPort', 0)}"
        f" Protocol:{port.get('protocol', '')} HostIP:{port.get('hostIP', '')}}}"
    )


def _affinity_warnings(affinity: Mapping[str, Any], path: str) -> list[str]:
    found: list[str] = []
    for key in ("podAffinity", "podAntiAffinity"):
        one = affinity.get(key) or {}
        for index, term in enumerate(one.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                found.append(f"{path}.{key}.{_REQUIRED}[{index}].labelSelector: {_NO_SELECTOR}")
        for index, weighted in enumerate(one.get(_PREFERRED) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                at = f"{path}.{key}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector"
                found.append(f"{at}: {_NO_SELECTOR}")
    return found
