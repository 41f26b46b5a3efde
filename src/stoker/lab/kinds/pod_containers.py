"""Rules of containers: names, ports, environment, mounts, probes, hooks, restarts.

Source: pkg/apis/core/validation/validation.go (validateContainers, validateInitContainers, validateEphemeralContainers),
feature gates as they are by default in 1.36.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stoker.lab.kinds.metadata import format_causes, in_range, is_dns_label
from stoker.lab.kinds.pod_environment import env_causes, env_from_causes
from stoker.lab.kinds.pod_mounts import device_causes, mount_causes
from stoker.lab.kinds.pod_probes import lifecycle_causes, port_messages, probes_causes
from stoker.lab.kinds.pod_resources import resources_causes
from stoker.lab.kinds.pod_security import security_context_causes
from stoker.lab.status import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    not_found_value,
    required,
    unsupported,
)

__all__ = [
    "Surroundings",
    "containers_causes",
    "ephemeral_containers_causes",
    "image_space_causes",
    "init_containers_causes",
    "pull_policy_causes",
    "too_many",
]

_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_RESTARTS = ("Always", "Never", "OnFailure")
_ACTIONS = ("Restart", "RestartAllContainers")
_PORT_RANGE = in_range(1, 65535)
_INIT_FORBIDS = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
# fields that validateFieldAllowList does not find in allowedEphemeralContainerFields, in the order of the struct
_EPHEMERAL_FORBIDS = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
]


@dataclass(slots=True)
class Surroundings:
    """What a container's rules see of the pod."""

    spec: Mapping[str, Any]
    volumes: Mapping[str, Mapping[str, Any]]
    claims: frozenset[str]
    is_host_users: bool
    grace: int | None
    restart_policy: str = ""
    allows_restart_container: bool = field(default=False)


def containers_causes(around: Surroundings, path: str) -> list[Cause]:
    containers = around.spec.get("containers") or ()
    if not containers:
        return [required(path)]
    found: list[Cause] = []
    names: set[str] = set()
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        found += _common(container, around, at)
        name = container.get("name", "")
        if name in names:
            found.append(duplicate(f"{at}.name", name))
        names.add(name)
        if "lifecycle" in container:
            found += lifecycle_causes(container["lifecycle"], around.grace, f"{at}.lifecycle")
        found += probes_causes(container, around.grace, at)
        if "restartPolicy" in container or "restartPolicyRules" in container:
            found += _restart_causes(container, at)
    return found + _host_port_conflicts(containers, path)


def init_containers_causes(around: Surroundings, path: str) -> list[Cause]:
    containers = around.spec.get("initContainers")
    if not containers:
        return []
    found: list[Cause] = []
    names = {one.get("name", "") for one in around.spec.get("containers") or ()}
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        found += _common(container, around, at)
        is_sidecar = container.get("restartPolicy") == "Always"
        found += _init_restart_causes(container, at)
        name = container.get("name", "")
        if name in names:
            found.append(duplicate(f"{at}.name", name))
        elif name:
            names.add(name)
        # upstream gives the path of the list here, so the index is of the one container it looks at
        found += _host_port_conflicts([container], path)
        if is_sidecar:
            if "lifecycle" in container:
                found += lifecycle_causes(container["lifecycle"], around.grace, f"{at}.lifecycle")
            found += probes_causes(container, around.grace, at)
        else:
            text = "may not be set for init containers without restartPolicy=Always"
            found += [forbidden_field(f"{at}.{key}", text) for key in _INIT_FORBIDS if key in container]
            if not around.allows_restart_container:
                found += _init_resize_causes(container, at)
    return found


def _init_resize_causes(container: Mapping[str, Any], path: str) -> list[Cause]:
    text = "must not be set to 'RestartContainer' for non-sidecar initContainers"
    return [
        invalid_value(f"{path}.resizePolicy[{index}].restartPolicy", "RestartContainer", text)
        for index, one in enumerate(container.get("resizePolicy") or ())
        if one.get("restartPolicy") == "RestartContainer"
    ]


def ephemeral_containers_causes(around: Surroundings, path: str) -> list[Cause]:
    containers = around.spec.get("ephemeralContainers")
    if not containers:
        return []
    found: list[Cause] = []
    others = {
        one.get("name", "")
        for one in (*(around.spec.get("containers") or ()), *(around.spec.get("initContainers") or ()))
    }
    names = set(others)
    text = "cannot be set for an Ephemeral Container"
    for index, container in enumerate(containers):
        at = f"{path}[{index}]"
        found += _common(container, around, at)
        found += image_space_causes(container, at)
        name, target = container.get("name", ""), container.get("targetContainerName", "")
        if name in names:
            found.append(duplicate(f"{at}.name", name))
        names.add(name)
        if target and target not in others:
            found.append(not_found_value(f"{at}.targetContainerName", target))
        found += [forbidden_field(f"{at}.{key}", text) for key in _EPHEMERAL_FORBIDS if container.get(key)]
        for place, mount in enumerate(container.get("volumeMounts") or ()):
            found += [
                forbidden_field(f"{at}.volumeMounts[{place}].{key}", text)
                for key in ("subPath", "subPathExpr")
                if mount.get(key)
            ]
    return found


def image_space_causes(container: Mapping[str, Any], path: str) -> list[Cause]:
    """Templates may hold an image with spaces around it, pods may not."""
    image = container.get("image", "")
    if image == image.strip():
        return []
    return [invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace")]


def _common(  # noqa: C901  one rule after the other, in the server's order
    container: Mapping[str, Any], around: Surroundings, path: str
) -> list[Cause]:
    """What every container must keep (upstream validateContainerCommon)."""
    get = container.get
    found: list[Cause] = []
    name = get("name", "")
    if not name:
        found.append(required(f"{path}.name"))
    elif is_dns_label(name):
        found += format_causes(f"{path}.name", name, is_dns_label)
    if not get("image"):
        found.append(required(f"{path}.image"))
    policy = get("terminationMessagePolicy", "")
    if policy not in {"File", "FallbackToLogsOnError"}:
        at = f"{path}.terminationMessagePolicy"
        found.append(unsupported(at, policy, ("File", "FallbackToLogsOnError")) if policy else required(at))
    mounts, devices = get("volumeMounts"), get("volumeDevices")
    if get("ports"):
        found += _port_causes(container["ports"], f"{path}.ports")
    if get("env"):
        found += env_causes(container["env"], f"{path}.env")
    if get("envFrom"):
        found += env_from_causes(container["envFrom"], f"{path}.envFrom")
    if mounts:
        found += mount_causes(mounts, devices or (), around.volumes, container, f"{path}.volumeMounts")
    if devices:
        found += device_causes(devices, mounts or (), around.volumes, f"{path}.volumeDevices")
    found += pull_policy_causes(get("imagePullPolicy", ""), f"{path}.imagePullPolicy")
    found += resources_causes(get("resources"), around.claims, f"{path}.resources")
    if get("resizePolicy"):
        found += _resize_causes(container["resizePolicy"], around.restart_policy, f"{path}.resizePolicy")
    if "securityContext" in container:
        found += security_context_causes(
            container["securityContext"], f"{path}.securityContext", is_host_users=around.is_host_users
        )
    return found


def pull_policy_causes(policy: str, path: str) -> list[Cause]:
    if policy in _POLICIES:
        return []
    return [unsupported(path, policy, _POLICIES) if policy else required(path)]


def _port_causes(ports: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        at = f"{path}[{index}]"
        name, number, host = port.get("name", ""), port.get("containerPort", 0), port.get("hostPort", 0)
        if name:
            messages = port_messages(name)
            found += [invalid_value(f"{at}.name", name, one) for one in messages]
            if not messages and name in names:
                found.append(duplicate(f"{at}.name", name))
            elif not messages:
                names.add(name)
        if not number:
            found.append(required(f"{at}.containerPort"))
        elif not 1 <= number <= 65535:
            found.append(invalid_value(f"{at}.containerPort", number, _PORT_RANGE))
        if host and not 1 <= host <= 65535:
            found.append(invalid_value(f"{at}.hostPort", host, _PORT_RANGE))
        protocol = port.get("protocol", "")
        if protocol not in _PROTOCOLS:
            where = f"{at}.protocol"
            found.append(unsupported(where, protocol, _PROTOCOLS) if protocol else required(where))
    return found


def _host_port_conflicts(containers: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, container in enumerate(containers):
        for place, port in enumerate(container.get("ports") or ()):
            number = port.get("hostPort", 0)
            if number:
                text = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{number}"
                if text in seen:
                    found.append(duplicate(f"{path}[{index}].ports[{place}].hostPort", text))
                seen.add(text)
    return found


def _resize_causes(policies: Iterable[Mapping[str, Any]], restart_policy: str, path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, one in enumerate(policies):
        name, policy = one.get("resourceName", ""), one.get("restartPolicy", "")
        if name in seen:
            found.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
        for value, known in ((name, ("cpu", "memory")), (policy, ("NotRequired", "RestartContainer"))):
            if value not in known:
                found.append(unsupported(path, value, known) if value else required(path))
        if restart_policy == "Never" and policy != "NotRequired":
            text = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
            found.append(invalid_value(path, policy, text))
    return found


def _init_restart_causes(container: Mapping[str, Any], path: str) -> list[Cause]:
    if "restartPolicy" not in container and not container.get("restartPolicyRules"):
        return []
    return _restart_causes(container, path)


def _restart_causes(container: Mapping[str, Any], path: str) -> list[Cause]:
    """Restart policies of single containers (upstream validateContainerRestartPolicy)."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or ()
    found: list[Cause] = []
    if policy is None:
        if not rules:
            return []
        text = "must specify restartPolicy when restart rules are used"
        found.append(required(f"{path}.restartPolicy", text))
    elif policy not in _RESTARTS:
        found.append(unsupported(f"{path}.restartPolicy", policy, _RESTARTS))
    if len(rules) > 20:
        found.append(too_many(f"{path}.restartPolicyRules", len(rules), 20))
    for index, rule in enumerate(rules):
        found += _rule_causes(rule, f"{path}.restartPolicyRules[{index}]")
    return found


def _rule_causes(rule: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    if rule.get("action", "") not in _ACTIONS:
        found.append(unsupported(f"{path}.action", rule.get("action", ""), _ACTIONS))
    codes = rule.get("exitCodes")
    if codes is None:
        return [*found, required(f"{path}.exitCodes", "must be specified")]
    if codes.get("operator", "") not in {"In", "NotIn"}:
        found.append(unsupported(f"{path}.exitCodes.operator", codes.get("operator", ""), ("In", "NotIn")))
    if len(codes.get("values") or ()) > 255:
        found.append(too_many(f"{path}.exitCodes.values", len(codes["values"]), 255))
    return found


def too_many(path: str, count: int, limit: int) -> Cause:
    """field.TooMany."""
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", path)
