"""Whether a pod spec is right, in the server's order: ValidatePodSpec of pkg/apis/core/validation/validation.go, 1.36."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.metadata import (
    format_causes,
    in_range,
    is_dns_label,
    is_dns_subdomain,
    is_dns_subdomain_with_underscore,
    is_qualified_name,
    labels_causes,
)
from stoker.lab.kinds.pod_containers import (
    Surroundings,
    containers_causes,
    ephemeral_containers_causes,
    init_containers_causes,
)
from stoker.lab.kinds.pod_resources import overhead_causes, pod_resources_causes
from stoker.lab.kinds.pod_scheduling import affinity_causes, gates_causes, spread_causes, tolerations_causes
from stoker.lab.kinds.pod_security import host_users_causes, pod_security_causes, visit
from stoker.lab.kinds.pod_volumes import volumes_causes
from stoker.lab.kinds.pod_windows import os_causes
from stoker.lab.status import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    not_found_value,
    required,
    too_long,
    unsupported,
)

__all__ = ["allows_restart_container", "ip_causes", "pod_spec_causes"]

_RESTARTS = ("Always", "OnFailure", "Never")
_DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_PREEMPTIONS = ("PreemptLowerPriority", "Never")
_LEADING_ZERO = re.compile(r"(^|\.)0\d", re.ASCII)


def pod_spec_causes(
    spec: Mapping[str, Any],
    path: str,
    pod: Mapping[str, Any] | None = None,
    old: Mapping[str, Any] | None = None,
) -> list[Cause]:
    """Causes of a pod spec.

    Args:
        spec: the spec.
        path: where it stands.
        pod: the pod; None for the spec of a template.
        old: the spec that is replaced, what it did stays allowed.
    """
    get = spec.get
    grace = get("terminationGracePeriodSeconds")
    found = [required(f"{path}.terminationGracePeriodSeconds")] if grace is None else []
    meta = (pod or {}).get("metadata") or {}
    is_pod = pod is not None
    volumes: dict[str, Mapping[str, Any]] = {}
    if get("volumes"):
        volumes, causes = volumes_causes(spec["volumes"], meta.get("name"), f"{path}.volumes", is_pod=is_pod)
        found += causes
    claims = get("resourceClaims") or ()
    if claims:
        found += _claims_causes(claims, meta, f"{path}.resourceClaims")
    around = Surroundings(
        spec,
        volumes,
        frozenset(one["name"] for one in claims if one.get("name")),
        get("hostUsers") is not False,
        grace,
        get("restartPolicy", ""),
        allows_restart_container(old),
    )
    found += containers_causes(around, f"{path}.containers")
    found += init_containers_causes(around, f"{path}.initContainers")
    found += ephemeral_containers_causes(around, f"{path}.ephemeralContainers")
    found += pod_resources_causes(spec, around.claims, path)
    if get("hostNetwork"):
        found += _host_network_causes(spec, path, is_pod=is_pod)
    found += _choice(spec, "restartPolicy", _RESTARTS, path)
    found += _choice(spec, "dnsPolicy", _DNS, path)
    found += labels_causes(get("nodeSelector"), f"{path}.nodeSelector")
    found += pod_security_causes(spec, path)
    found += affinity_causes(get("affinity"), f"{path}.affinity")
    if get("dnsConfig") is not None or get("dnsPolicy") == "None":
        found += _dns_config_causes(get("dnsConfig"), get("dnsPolicy"), f"{path}.dnsConfig")
    return found + _rest(spec, path)


def _rest(  # noqa: C901, PLR0912  one rule after the other, in the server's order
    spec: Mapping[str, Any], path: str
) -> list[Cause]:
    get = spec.get
    found: list[Cause] = []
    for index, gate in enumerate(get("readinessGates") or ()):
        at = f"{path}.readinessGates[{index}].conditionType"
        found += format_causes(at, gate.get("conditionType", ""), is_qualified_name)
    if get("schedulingGates"):
        found += gates_causes(spec["schedulingGates"], f"{path}.schedulingGates")
    if get("topologySpreadConstraints"):
        found += spread_causes(spec["topologySpreadConstraints"], f"{path}.topologySpreadConstraints")
    found += host_users_causes(spec, path)
    if get("hostnameOverride") is not None:
        found += _hostname_override_causes(spec, f"{path}.hostnameOverride")
    for key in ("serviceAccountName", "nodeName"):
        if get(key):
            found += format_causes(f"{path}.{key}", spec[key], is_dns_subdomain)
    deadline = get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline < 2**31:
        found.append(invalid_value(f"{path}.activeDeadlineSeconds", deadline, in_range(1, 2**31 - 1)))
    for key in ("hostname", "subdomain"):
        if get(key):
            found += format_causes(f"{path}.{key}", spec[key], is_dns_label)
    if get("tolerations"):
        found += tolerations_causes(spec["tolerations"], f"{path}.tolerations")
    for index, alias in enumerate(get("hostAliases") or ()):
        at = f"{path}.hostAliases[{index}]"
        found += ip_causes(alias.get("ip", ""), f"{at}.ip")
        for place, name in enumerate(alias.get("hostnames") or ()):
            found += format_causes(f"{at}.hostnames[{place}]", name, is_dns_subdomain)
    if get("priorityClassName"):
        found += format_causes(f"{path}.priorityClassName", spec["priorityClassName"], is_dns_subdomain)
    if get("runtimeClassName") is not None:
        found += format_causes(f"{path}.runtimeClassName", spec["runtimeClassName"], is_dns_subdomain)
    if get("preemptionPolicy") is not None:
        found += _choice(spec, "preemptionPolicy", _PREEMPTIONS, path)
    if get("overhead"):
        found += overhead_causes(spec["overhead"], f"{path}.overhead")
    if get("os") is not None:
        found += os_causes(spec, path)
    return found + _file_key_causes(spec, path)


def _choice(spec: Mapping[str, Any], key: str, known: tuple[str, ...], path: str) -> list[Cause]:
    value = spec.get(key, "")
    if value in known:
        return []
    return [unsupported(f"{path}.{key}", value, known) if value else required(f"{path}.{key}")]


def allows_restart_container(old: Mapping[str, Any] | None) -> bool:
    """Whether the spec that is replaced already asks for a restart of an init container when it is resized."""
    return any(
        policy.get("restartPolicy") == "RestartContainer"
        for container in (old or {}).get("initContainers") or ()
        if container.get("restartPolicy") != "Always"
        for policy in container.get("resizePolicy") or ()
    )


def _claims_causes(claims: Iterable[Mapping[str, Any]], meta: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    keys = ("resourceClaimName", "resourceClaimTemplateName")
    for index, claim in enumerate(claims):
        if "kubernetes.io/config.mirror" in (meta.get("annotations") or {}):
            found.append(forbidden_field("", "static pods do not support resource claims"))
            continue
        at, name = f"{path}[{index}]", claim.get("name", "")
        if not name:
            found.append(required(f"{at}.name"))
        elif name in seen:
            found.append(duplicate(f"{at}.name", name))
        else:
            found += format_causes(f"{at}.name", name, is_dns_label)
            seen.add(name)
        given = [claim[key] for key in keys if claim.get(key) is not None]
        if len(given) != 1:
            shown = go_text(
                {
                    "Name": name,
                    "ResourceClaimName": claim.get(keys[0]),
                    "ResourceClaimTemplateName": claim.get(keys[1]),
                }
            )
            text = (
                "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
                if given
                else "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            )
            found.append(invalid_text(at, shown, text))
        for key in keys:
            if claim.get(key) is not None:
                found += format_causes(f"{at}.{key}", claim[key], is_dns_subdomain)
    return found


def _host_network_causes(spec: Mapping[str, Any], path: str, *, is_pod: bool) -> list[Cause]:
    """Ports of the host are the pod's own ports; a template may leave them out."""
    found: list[Cause] = []
    for index, container in enumerate(spec.get("containers") or ()):
        for place, port in enumerate(container.get("ports") or ()):
            host, own = port.get("hostPort", 0), port.get("containerPort", 0)
            if (is_pod or host) and host != own:
                text = "must match `containerPort` when `hostNetwork` is true"
                at = f"{path}.containers[{index}].ports[{place}].hostPort"
                found.append(invalid_value(at, host, text))
    return found


def ip_causes(value: str, path: str) -> list[Cause]:
    """IsValidIPForLegacyField; strict, as StrictIPCIDRValidation is by default."""
    plain = re.sub(r"(^|\.)0+(?=\d)", r"\1", value) if ":" not in value else value
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return [invalid_value(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    if _LEADING_ZERO.search(value) and ":" not in value:
        return [invalid_value(path, value, "must not have leading 0s")]
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return [invalid_value(path, value, "must not be an IPv4-mapped IPv6 address")]
    return []


def _dns_config_causes(config: Mapping[str, Any] | None, policy: str | None, path: str) -> list[Cause]:
    if policy == "None":
        if config is None:
            return [required(path, "must provide `dnsConfig` when `dnsPolicy` is None")]
        if not config.get("nameservers"):
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            return [required(f"{path}.nameservers", text)]
    found: list[Cause] = []
    servers, searches = (config or {}).get("nameservers") or [], (config or {}).get("searches") or []
    if len(servers) > 3:
        text = "must not have more than 3 nameservers"
        found.append(invalid_text(f"{path}.nameservers", go_text(servers), text))
    for index, one in enumerate(servers):
        found += ip_causes(one, f"{path}.nameservers[{index}]")
    for is_wrong, text in (
        (len(searches) > 32, "must not have more than 32 search paths"),
        (
            len(" ".join(searches)) > 2048,
            "must not have more than 2048 characters (including spaces) in the search list",
        ),
    ):
        if is_wrong:
            found.append(invalid_text(f"{path}.searches", go_text(searches), text))
    for index, one in enumerate(searches):
        if one != ".":
            at = f"{path}.searches[{index}]"
            found += format_causes(at, one.removesuffix("."), is_dns_subdomain_with_underscore)
    return found + [
        required(f"{path}.options[{index}]", "must not be empty")
        for index, option in enumerate((config or {}).get("options") or ())
        if not option.get("name")
    ]


def _hostname_override_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    name = spec["hostnameOverride"]
    found = [
        forbidden_field(path, f"may not be specified when {key} is true")
        for key in ("setHostnameAsFQDN", "hostNetwork")
        if spec.get(key)
    ]
    if len(name) > 64:
        found.append(too_long(path, 64))
    return found + format_causes(path, name, is_dns_subdomain)


def _file_key_causes(spec: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    volumes: dict[str, Mapping[str, Any]] | None = None
    for container, at in visit(spec, path):
        for index, env in enumerate(container.get("env") or ()):
            reference = (env.get("valueFrom") or {}).get("fileKeyRef")
            if reference is None:
                continue
            if volumes is None:
                volumes = {one.get("name", ""): one for one in spec.get("volumes") or ()}
            name, where = (
                reference.get("volumeName", ""),
                f"{at}.env[{index}].valueFrom.fileKeyRef.volumeName",
            )
            if name not in volumes:
                found.append(not_found_value(where, name))
            elif "emptyDir" not in volumes[name]:
                found.append(invalid_value(where, name, "referenced volume must be of type emptyDir"))
    return found
