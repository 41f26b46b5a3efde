"""ValidatingAdmissionPolicy and its binding as objects (pkg/apis/admissionregistration/validation/validation.go).

What their expressions decide is the admission's; here only the shape of the objects is looked at.
"""

from typing import Any

from stoker.lab.kinds.admission_policies_rules import (
    default_match_resources,
    match_condition_causes,
    match_resources_causes,
)
from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.devices_cel import expression_problem
from stoker.lab.kinds.metadata import (
    is_dns1035_label,
    is_dns_subdomain,
    is_path_segment,
    is_qualified_name,
    label_selector_causes,
)
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)

__all__ = ["ADMISSION_POLICY", "ADMISSION_POLICY_BINDING"]

_FAILURES = ("Fail", "Ignore")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_ACTIONS = ("Audit", "Deny", "Warn")
_NOTHING = "validations or auditAnnotations must contain at least one item"
_BOTH = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and"
_RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)


# --- policies -----------------------------------------------------------------------------------------------------


def _default_policy(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if "matchConstraints" in spec:
        default_match_resources(spec["matchConstraints"])


def _prepare_create(policy: Object) -> None:
    policy["status"] = {}


def _prepare_update(new: Object, old: Object) -> None:
    new["status"] = old.get("status", {})


def _prepare_status(new: Object, old: Object) -> None:
    new["spec"] = old["spec"]
    for name in ("labels", "annotations", "finalizers", "ownerReferences"):
        new["metadata"].pop(name, None)
        if name in old["metadata"]:
            new["metadata"][name] = old["metadata"][name]


def _validate_policy(policy: Object) -> list[Cause]:
    spec = policy.get("spec", {})
    causes = []
    failure = spec.get("failurePolicy")
    if failure is None:
        causes.append(required("spec.failurePolicy"))
    elif failure not in _FAILURES:
        causes.append(unsupported("spec.failurePolicy", failure, _FAILURES))
    if "paramKind" in spec:
        causes += _param_kind_causes(spec["paramKind"], "spec.paramKind")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        causes.append(required("spec.matchConstraints"))
    else:
        causes += match_resources_causes(constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            causes.append(required("spec.matchConstraints.resourceRules"))
    causes += match_condition_causes(spec.get("matchConditions", ()), "spec.matchConditions")
    for index, variable in enumerate(spec.get("variables", ())):
        causes += _variable_causes(variable, f"spec.variables[{index}]")
    validations, annotations = spec.get("validations", ()), spec.get("auditAnnotations", ())
    if not validations and not annotations:
        return [
            *causes,
            *(required(f"spec.{name}", _NOTHING) for name in ("validations", "auditAnnotations")),
        ]
    for index, validation in enumerate(validations):
        causes += _validation_causes(validation, f"spec.validations[{index}]")
    return causes + _annotation_causes(annotations, policy["metadata"].get("name", ""))


def _param_kind_causes(kind: Object, path: str) -> list[Cause]:
    version, where, causes = kind.get("apiVersion", ""), f"{path}.apiVersion", []
    group, _, name = version.rpartition("/")
    if not version:
        causes.append(required(where))
    elif version.count("/") > 1:
        text = f"unexpected GroupVersion string: {version}"
        causes.append(invalid_value(where, version, text))
    else:
        wrong = is_dns_subdomain(group) if group else ()
        causes += [invalid_value(where, group, ",".join(wrong))] if wrong else []
        wrong = is_dns1035_label(name) if name else ()
        causes += [invalid_value(where, name, ",".join(wrong))] if wrong else []
        if not name:
            causes.append(invalid_value(where, version, "version must be specified"))
    found = kind.get("kind", "")
    wrong = is_dns1035_label(found.lower()) if found else ()
    if not found:
        causes.append(required(f"{path}.kind"))
    elif wrong:
        text = f"may have mixed case, but should otherwise match: {','.join(wrong)}"
        causes.append(invalid_value(f"{path}.kind", found, text))
    return causes


def _expression_causes(expression: str, path: str) -> list[Cause]:
    problem = expression_problem(expression)
    return [invalid_value(path, expression, problem)] if problem else []


def _variable_causes(variable: Object, path: str) -> list[Cause]:
    name, expression, causes = variable.get("name", ""), variable.get("expression", ""), []
    if not name.strip():
        causes.append(required(f"{path}.name", "name is not specified"))
    elif not (name.isascii() and name.isidentifier()) or name in _RESERVED:
        causes.append(invalid_value(f"{path}.name", name, "must be a valid CEL identifier"))
    if not expression.strip():
        return [*causes, required(f"{path}.expression", "expression is not specified")]
    return causes + _expression_causes(expression, f"{path}.expression")


def _validation_causes(validation: Object, path: str) -> list[Cause]:
    expression, causes = validation.get("expression", ""), []
    if not expression.strip():
        causes.append(required(f"{path}.expression", "expression is not specified"))
    else:
        causes += _expression_causes(expression, f"{path}.expression")
    worded = validation.get("messageExpression", "")
    if worded and not worded.strip():
        text = "must be non-empty if specified"
        causes.append(invalid_value(f"{path}.messageExpression", worded, text))
    elif worded:
        causes += _expression_causes(worded, f"{path}.messageExpression")
    message = validation.get("message", "")
    if message and not message.strip():
        causes.append(invalid_value(f"{path}.message", message, "must be non-empty if specified"))
    elif {"\n", "\r"} & set(message.strip()):
        causes.append(invalid_value(f"{path}.message", message, "must not contain line breaks"))
    reason = validation.get("reason")
    if reason is not None and reason not in _REASONS:
        causes.append(unsupported(f"{path}.reason", reason, _REASONS))
    return causes


def _annotation_causes(annotations: Any, name: str) -> list[Cause]:
    causes: list[Cause] = []
    if len(annotations) > 20:
        text = "must not have more than 20 auditAnnotations"
        causes.append(invalid_value("spec.auditAnnotations", annotations, text))
    keys: set[str] = set()
    for index, annotation in enumerate(annotations):
        path, key = f"spec.auditAnnotations[{index}]", annotation.get("key", "")
        if name:
            causes += each(f"{path}.key", f"{name}/{key}", is_qualified_name)
        else:
            causes.append(invalid_value(f"{path}.key", key, "requires metadata.name be non-empty"))
        where, expression = f"{path}.valueExpression", annotation.get("valueExpression", "")
        if not expression.strip():
            causes.append(required(where, "valueExpression is not specified"))
        elif len(expression.strip().encode()) > 5 * 1024:
            causes.append(required(where, "must not exceed 5120 bytes in length"))
        else:
            causes += _expression_causes(expression, where)
        if key in keys:
            causes.append(duplicate(f"{path}.key", key))
        keys.add(key)
    return causes


ADMISSION_POLICY = Strategy(
    default=_default_policy,
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    prepare_status=_prepare_status,
    validate=_validate_policy,
    has_generation=True,
    allows_unconditional_update=False,
)


# --- bindings -----------------------------------------------------------------------------------------------------


def _default_binding(binding: Object) -> None:
    spec = binding.setdefault("spec", {})
    if "matchResources" in spec:
        default_match_resources(spec["matchResources"])


def _validate_binding(binding: Object) -> list[Cause]:
    spec = binding.get("spec", {})
    name = spec.get("policyName", "")
    causes = each("spec.policyName", name, is_dns_subdomain) if name else [required("spec.policyName")]
    if "paramRef" in spec:
        causes += _param_ref_causes(spec["paramRef"], "spec.paramRef")
    if "matchResources" in spec:
        causes += match_resources_causes(spec["matchResources"], "spec.matchResources")
    return causes + _action_causes(spec.get("validationActions", []), "spec.validationActions")


def _param_ref_causes(reference: Object, path: str) -> list[Cause]:
    name, selector, causes = reference.get("name", ""), reference.get("selector"), []
    exclusive = "name and selector are mutually exclusive"
    if name:
        causes += each(f"{path}.name", name, is_path_segment)
        if selector is not None:
            causes.append(forbidden_field(f"{path}.name", exclusive))
    if selector is not None:
        causes += label_selector_causes(selector, f"{path}.selector")
        if name:
            causes.append(forbidden_field(f"{path}.selector", exclusive))
    if not name and selector is None:
        causes.append(required(path, "one of name or selector must be specified"))
    action = reference.get("parameterNotFoundAction")
    if not action:
        causes.append(required(f"{path}.parameterNotFoundAction"))
    elif action not in {"Deny", "Allow"}:
        causes.append(unsupported(f"{path}.parameterNotFoundAction", action, ("Deny", "Allow")))
    return causes


def _action_causes(actions: list[str], path: str) -> list[Cause]:
    causes = []
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            causes.append(unsupported(f"{path}[{index}]", action, _ACTIONS))
        if action in actions[:index]:
            causes.append(duplicate(f"{path}[{index}]", action))
    if {"Deny", "Warn"} <= set(actions):
        causes.append(invalid_value(path, actions, f"{_BOTH} headers serves no purpose)"))
    if not actions:
        causes.append(required(path, "at least one validation action is required"))
    return causes


ADMISSION_POLICY_BINDING = Strategy(
    default=_default_binding,
    validate=_validate_binding,
    has_generation=True,
    allows_unconditional_update=False,
)
