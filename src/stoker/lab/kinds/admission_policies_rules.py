"""Which requests a policy or a webhook is asked about (pkg/apis/admissionregistration/validation/validation.go)."""

from typing import Any

from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.devices_cel import expression_problem
from stoker.lab.kinds.metadata import is_path_segment, is_qualified_name, label_selector_causes
from stoker.lab.kinds.services_endpoints import too_many
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import Cause, duplicate, invalid_value, required, unsupported

__all__ = [
    "default_match_resources",
    "default_rules",
    "match_condition_causes",
    "match_resources_causes",
    "rule_causes",
]

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_MATCHES = ("Equivalent", "Exact")


def default_rules(rules: Any) -> None:
    for rule in rules:
        rule.setdefault("scope", "*")


def default_match_resources(found: Object) -> None:
    """``SetDefaults_MatchResources``."""
    found.setdefault("matchPolicy", "Equivalent")
    found.setdefault("namespaceSelector", {})
    found.setdefault("objectSelector", {})
    for name in ("resourceRules", "excludeResourceRules"):
        default_rules(found.get(name, ()))


def match_resources_causes(found: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    policy = found.get("matchPolicy")
    if policy is None:
        causes.append(required(f"{path}.matchPolicy"))
    elif policy not in _MATCHES:
        causes.append(unsupported(f"{path}.matchPolicy", policy, _MATCHES))
    for name in ("namespaceSelector", "objectSelector"):
        if name in found:
            causes += label_selector_causes(found[name], f"{path}.{name}")
        else:
            causes.append(required(f"{path}.{name}"))
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(found.get(name, ())):
            causes += _named_rule_causes(rule, f"{path}.{name}[{index}]")
    return causes


def _named_rule_causes(rule: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    names = rule.get("resourceNames", [])
    for index, name in enumerate(names):
        where = f"{path}.resourceNames[{index}]"
        causes += each(where, name, is_path_segment)
        if name in names[:index]:
            causes.append(duplicate(where, name))
    return causes + rule_causes(rule, path)


def rule_causes(rule: Object, path: str) -> list[Cause]:
    """``validateRuleWithOperations``."""
    operations = rule.get("operations", [])
    causes = _wildcard_causes(operations, f"{path}.operations", "operations")
    causes += [
        unsupported(f"{path}.operations[{index}]", operation, _OPERATIONS)
        for index, operation in enumerate(operations)
        if operation not in _OPERATIONS
    ]
    causes += _wildcard_causes(rule.get("apiGroups", []), f"{path}.apiGroups", "API groups")
    versions = rule.get("apiVersions", [])
    causes += _wildcard_causes(versions, f"{path}.apiVersions", "API versions")
    causes += [
        required(f"{path}.apiVersions[{index}]") for index, version in enumerate(versions) if not version
    ]
    causes += _resource_causes(rule.get("resources", []), f"{path}.resources")
    scope = rule.get("scope", "*")
    if scope not in _SCOPES:
        causes.append(unsupported(f"{path}.scope", scope, _SCOPES))
    return causes


def _wildcard_causes(values: list[str], path: str, what: str) -> list[Cause]:
    if not values:
        return [required(path)]
    if len(values) > 1 and "*" in values:
        return [invalid_value(path, values, f"if '*' is present, must not specify other {what}")]
    return []


def _resource_causes(resources: list[str], path: str) -> list[Cause]:
    causes = [] if resources else [required(path)]
    whole: set[str] = set()
    part_of_all: set[str] = set()
    has_plain = False
    for index, found in enumerate(resources):
        where = f"{path}[{index}]"
        if not found:
            causes.append(required(where))
            continue
        resource, slash, part = found.partition("/")
        if not slash:
            has_plain = found != "*"
            continue
        if resource in whole:
            text = f"if '{resource}/*' is present, must not specify {found}"
            causes.append(invalid_value(where, found, text))
        if part in part_of_all:
            text = f"if '*/{part}' is present, must not specify {found}"
            causes.append(invalid_value(where, found, text))
        if part == "*":
            whole.add(resource)
        if resource == "*":
            part_of_all.add(part)
    if len(resources) > 1 and "*/*" in resources:
        text = "if '*/*' is present, must not specify other resources"
        causes.append(invalid_value(path, resources, text))
    if "*" in resources and has_plain:
        text = "if '*' is present, must not specify other resources without subresources"
        causes.append(invalid_value(path, resources, text))
    return causes


def match_condition_causes(conditions: Any, path: str) -> list[Cause]:
    causes = [too_many(path, len(conditions), 64)] if len(conditions) > 64 else []
    names: set[str] = set()
    for index, condition in enumerate(conditions):
        where = f"{path}[{index}]"
        expression = condition.get("expression", "").strip()
        problem = expression_problem(expression)
        if not expression:
            causes.append(required(f"{where}.expression"))
        elif problem:
            causes.append(invalid_value(f"{where}.expression", expression, problem))
        name = condition.get("name", "")
        if name:
            causes += each(f"{where}.name", name, is_qualified_name)
            if name in names:
                causes.append(duplicate(f"{where}.name", name))
            names.add(name)
        else:
            causes.append(required(f"{where}.name"))
    return causes
