"""Ingress and IngressClass (pkg/apis/networking/validation/validation.go, pkg/registry/networking/ingress/strategy.go)."""

from stoker.lab.kinds.config_checks import (
    domain_prefixed_path,
    each,
    port_name,
    port_number,
    wildcard_subdomain,
)
from stoker.lab.kinds.metadata import immutable, is_dns_label, is_dns_subdomain, is_path_segment
from stoker.lab.kinds.networking_addresses import ip_warnings, parse_ip
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, forbidden_field, invalid_value, required, too_long, unsupported

__all__ = ["INGRESS", "INGRESS_CLASS"]

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_SUFFIXES = ("/..", "/.")
_SCOPES = ("Cluster", "Namespace")


# --- Ingress ------------------------------------------------------------------------------------------------------


def _prepare_create(ingress: Object) -> None:
    ingress["status"] = {"loadBalancer": {}}


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {"loadBalancer": {}})


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old.get("spec", {})


def _validate(ingress: Object) -> list[Cause]:
    spec = ingress.get("spec", {})
    rules, causes = spec.get("rules", []), []
    if not rules and "defaultBackend" not in spec:
        text = "either `defaultBackend` or `rules` must be specified"
        causes.append(invalid_value("spec", None, text))
    if "defaultBackend" in spec:
        causes += _backend_causes(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(rules):
        causes += _rule_causes(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls", ())):
        path = f"spec.tls[{index}]"
        for at, host in enumerate(tls.get("hosts", ())):
            check = wildcard_subdomain if "*" in host else is_dns_subdomain
            causes += each(f"{path}.hosts[{at}]", host, check)
        if tls.get("secretName"):
            causes += each(f"{path}.secretName", tls["secretName"], is_dns_subdomain)
    name = spec.get("ingressClassName")
    if name is None:
        return causes
    causes += each("spec.ingressClassName", name, is_dns_subdomain)
    annotated = ingress["metadata"].get("annotations", {}).get(_CLASS_ANNOTATION, name)
    if annotated != name and not ingress["metadata"].get("resourceVersion"):  # asked of creates only
        text = "must match `ingressClassName` when both are specified"
        causes.append(invalid_value(f"annotations.{_CLASS_ANNOTATION}", annotated, text))
    return causes


def _rule_causes(rule: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    host = rule.get("host", "")
    if host:
        if parse_ip(host) is not None:
            text = "must be a DNS name, not an IP address"
            causes.append(invalid_value(f"{path}.host", host, text))
        causes += each(f"{path}.host", host, wildcard_subdomain if "*" in host else is_dns_subdomain)
    if "http" in rule:
        paths = rule["http"].get("paths") or ()
        if not paths:
            causes.append(required(f"{path}.http.paths"))
        for index, one in enumerate(paths):
            causes += _path_causes(one, f"{path}.http.paths[{index}]")
    return causes


def _path_causes(found: Object, path: str) -> list[Cause]:
    kind, text = found.get("pathType"), found.get("path", "")
    if kind is None:
        return [required(f"{path}.pathType", "pathType must be specified")]
    causes = []
    if kind not in _PATH_TYPES:
        causes.append(unsupported(f"{path}.pathType", kind, _PATH_TYPES))
    elif (text or kind != "ImplementationSpecific") and not text.startswith("/"):
        causes.append(invalid_value(f"{path}.path", text, "must be an absolute path"))
    if kind in {"Exact", "Prefix"}:
        problems = [f"must not contain '{part}'" for part in _SEQUENCES if part in text]
        problems += [f"cannot end with '{part}'" for part in _SUFFIXES if text.endswith(part)]
        causes += [invalid_value(f"{path}.path", text, problem) for problem in problems]
    return causes + _backend_causes(found.get("backend", {}), f"{path}.backend")


def _backend_causes(backend: Object, path: str) -> list[Cause]:
    if "resource" in backend and "service" in backend:
        return [invalid_value(path, "", "cannot set both resource and service backends")]
    if "resource" in backend:
        return _reference_causes(backend["resource"], f"{path}.resource")
    if "service" not in backend:
        return [invalid_value(path, "", "resource or service backend is required")]
    service = backend["service"]
    name = service.get("name", "")
    where = f"{path}.service.name"
    causes = each(where, name, is_dns_label) if name else [required(where)]
    port = service.get("port", {})
    port_named, number = port.get("name", ""), port.get("number", 0)
    if port_named and number:
        causes.append(invalid_value(path, "", "cannot set both port name & port number"))
    elif port_named:
        causes += each(f"{path}.service.port.name", port_named, port_name)
    elif number:
        causes += each(f"{path}.service.port.number", number, port_number)
    else:
        causes.append(required(path, "port name or number is required"))
    return causes


def _reference_causes(reference: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    if reference.get("apiGroup") is not None:
        causes += each(f"{path}.apiGroup", reference["apiGroup"], is_dns_subdomain)
    for part in ("kind", "name"):
        value, where = reference.get(part, ""), f"{path}.{part}"
        causes += each(where, value, is_path_segment) if value else [required(where)]
    return causes


def _warnings(ingress: Object) -> list[str]:
    found = []
    annotations, spec = ingress["metadata"].get("annotations", {}), ingress.get("spec", {})
    is_new = not ingress["metadata"].get("resourceVersion")
    if is_new and _CLASS_ANNOTATION in annotations and "ingressClassName" not in spec:
        found.append(
            f"annotation \"{_CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"
        )
    balancer = ingress.get("status", {}).get("loadBalancer", {})
    for index, one in enumerate(balancer.get("ingress", ())):
        found += ip_warnings(f"status.loadBalancer.ingress[{index}]", one.get("ip", ""))
    return found


INGRESS = Strategy(
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate,
    warnings=_warnings,
    has_generation=True,
)


# --- IngressClass -------------------------------------------------------------------------------------------------


def _default_class(found: Object) -> None:
    parameters = found.get("spec", {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def _validate_class(found: Object) -> list[Cause]:
    spec = found.get("spec", {})
    controller = spec.get("controller", "")
    causes = [too_long("spec.controller", 250)] if len(controller) > 250 else []
    causes += domain_prefixed_path("spec.controller", controller)
    parameters = spec.get("parameters")
    return causes if parameters is None else causes + _parameters_causes(parameters, "spec.parameters")


def _parameters_causes(parameters: Object, path: str) -> list[Cause]:
    causes = _reference_causes(parameters, path)
    scope, namespace = parameters.get("scope", ""), parameters.get("namespace")
    where = f"{path}.namespace"
    if scope not in _SCOPES:
        causes.append(unsupported(f"{path}.scope", scope, _SCOPES))
    elif scope == "Namespace":
        if namespace is None:
            causes.append(required(where, "`parameters.scope` is set to 'Namespace'"))
        else:
            causes += each(where, namespace, is_dns_label)
    elif namespace is not None:
        causes.append(forbidden_field(where, "`parameters.scope` is set to 'Cluster'"))
    return causes


def _validate_class_update(new: Object, old: Object) -> list[Cause]:
    now, then = (one.get("spec", {}).get("controller", "") for one in (new, old))
    return immutable("spec.controller", now, then)


INGRESS_CLASS = Strategy(
    default=_default_class,
    validate=_validate_class,
    validate_update=_validate_class_update,
    has_generation=True,
)
