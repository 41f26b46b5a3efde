"""Rules of where a pod may run: affinity, tolerations, spread, gates.

Source: pkg/apis/core/validation/validation.go, 1.36.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from stoker.lab.kinds.metadata import (
    format_causes,
    is_dns_label,
    is_dns_subdomain,
    is_label_value,
    is_qualified_name,
    label_selector_causes,
)
from stoker.lab.status import Cause, duplicate, forbidden_field, invalid_value, required, unsupported

__all__ = [
    "affinity_causes",
    "gates_causes",
    "node_requirement_causes",
    "spread_causes",
    "taint_effect_causes",
    "tolerations_causes",
]

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_WEIGHT = "must be in the range 1-100"
_NOT_AN_OPERATOR = "not a valid selector operator"
_NO_SELECTOR = "must not be specified when labelSelector is not set"


def taint_effect_causes(effect: str, path: str) -> list[Cause]:
    """Of a taint, where an effect must be there."""
    if not effect:
        return [required(path)]
    return [] if effect in _EFFECTS else [unsupported(path, effect, _EFFECTS)]


def tolerations_causes(tolerations: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(tolerations):
        at = f"{path}[{index}]"
        key, operator = one.get("key", ""), one.get("operator", "")
        value, effect = one.get("value", ""), one.get("effect", "")
        if key:
            if is_qualified_name(key):
                found += format_causes(f"{at}.key", key, is_qualified_name)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(invalid_value(f"{at}.operator", operator, text))
        if one.get("tolerationSeconds") is not None and effect != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(invalid_value(f"{at}.effect", effect, text))
        found += _operator_causes(operator, value, f"{at}.operator")
        if effect and effect not in _EFFECTS:
            found.append(unsupported(f"{at}.effect", effect, _EFFECTS))
    return found


def _operator_causes(operator: str, value: str, path: str) -> list[Cause]:
    if operator in {"Equal", ""}:
        messages = is_label_value(value)
        return [invalid_value(path, value, ";".join(messages))] if messages else []
    if operator == "Exists":
        text = "value must be empty when `operator` is 'Exists'"
        return [invalid_value(path, value, text)] if value else []
    known = ("Equal", "Exists", "Lt", "Gt") if operator in {"Lt", "Gt"} else ("Equal", "Exists")
    return [unsupported(path, operator, known)]


def gates_causes(gates: Iterable[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        name = gate.get("name", "")
        found += format_causes(f"{path}[{index}]", name, is_qualified_name)
        if name in seen:
            found.append(duplicate(f"{path}[{index}]", name))
        seen.add(name)
    return found


# --- affinity -----------------------------------------------------------------------------------------------------


def affinity_causes(affinity: Mapping[str, Any] | None, path: str) -> list[Cause]:
    if not affinity:
        return []
    found: list[Cause] = []
    if affinity.get("nodeAffinity"):
        found += _node_affinity_causes(affinity["nodeAffinity"], f"{path}.nodeAffinity")
    for key in ("podAffinity", "podAntiAffinity"):
        one = affinity.get(key) or {}
        for index, term in enumerate(one.get(_REQUIRED) or ()):
            found += _pod_term_causes(term, f"{path}.{key}.{_REQUIRED}[{index}]")
        for index, weighted in enumerate(one.get(_PREFERRED) or ()):
            at, weight = f"{path}.{key}.{_PREFERRED}[{index}]", weighted.get("weight", 0)
            if not 0 < weight <= 100:
                found.append(invalid_value(f"{at}.weight", weight, _WEIGHT))
            found += _pod_term_causes(weighted.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return found


def _node_affinity_causes(affinity: Mapping[str, Any], path: str) -> list[Cause]:
    found: list[Cause] = []
    needed = affinity.get(_REQUIRED)
    if needed is not None:
        at = f"{path}.{_REQUIRED}.nodeSelectorTerms"
        terms = needed.get("nodeSelectorTerms") or ()
        if not terms:
            found.append(required(at, "must have at least one node selector term"))
        for index, term in enumerate(terms):
            found += _node_term_causes(term, f"{at}[{index}]", are_values_checked=True)
    for index, one in enumerate(affinity.get(_PREFERRED) or ()):
        at, weight = f"{path}.{_PREFERRED}[{index}]", one.get("weight", 0)
        if not 0 < weight <= 100:
            found.append(invalid_value(f"{at}.weight", weight, _WEIGHT))
        found += _node_term_causes(one.get("preference") or {}, f"{at}.preference", are_values_checked=False)
    return found


def _node_term_causes(term: Mapping[str, Any], path: str, *, are_values_checked: bool) -> list[Cause]:
    """ValidateNodeSelectorRequirement."""
    found: list[Cause] = []
    for index, one in enumerate(term.get("matchExpressions") or ()):
        found += node_requirement_causes(
            one, f"{path}.matchExpressions[{index}]", are_values_checked=are_values_checked
        )
    for index, one in enumerate(term.get("matchFields") or ()):
        found += _field_causes(one, f"{path}.matchFields[{index}]")
    return found


def node_requirement_causes(one: Mapping[str, Any], path: str, *, are_values_checked: bool) -> list[Cause]:
    operator, values = one.get("operator", ""), one.get("values") or ()
    found: list[Cause] = []
    if operator in {"In", "NotIn"}:
        if not values:
            found.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif operator in {"Exists", "DoesNotExist"}:
        if values:
            text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            found.append(forbidden_field(f"{path}.values", text))
    elif operator in {"Gt", "Lt"}:
        if len(values) != 1:
            text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            found.append(required(f"{path}.values", text))
    else:
        found.append(invalid_value(f"{path}.operator", operator, _NOT_AN_OPERATOR))
    found += format_causes(f"{path}.key", one.get("key", ""), is_qualified_name)
    if are_values_checked:
        for index, value in enumerate(values):
            found += format_causes(f"{path}.values[{index}]", value, is_label_value)
    return found


def _field_causes(one: Mapping[str, Any], path: str) -> list[Cause]:
    operator, key, values = one.get("operator", ""), one.get("key", ""), one.get("values") or ()
    found: list[Cause] = []
    if operator not in {"In", "NotIn"}:
        found.append(invalid_value(f"{path}.operator", operator, _NOT_AN_OPERATOR))
    elif len(values) != 1:
        text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        found.append(required(f"{path}.values", text))
    if key != "metadata.name":
        return [*found, invalid_value(f"{path}.key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        found += format_causes(f"{path}.values[{index}]", value, is_dns_subdomain)
    return found


def _pod_term_causes(term: Mapping[str, Any], path: str) -> list[Cause]:
    selector, key = term.get("labelSelector"), term.get("topologyKey", "")
    found = label_selector_causes(selector, f"{path}.labelSelector")
    found += label_selector_causes(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or ():
        found += format_causes(f"{path}.namespace", name, is_dns_label)
    found += _label_keys_causes(term, path)
    if not key:
        found.append(required(f"{path}.topologyKey", "can not be empty"))
    return found + format_causes(f"{path}.topologyKey", key, is_qualified_name)


def _label_keys_causes(one: Mapping[str, Any], path: str) -> list[Cause]:
    """ValidateMatchLabelKeysAndMismatchLabelKeys."""
    matched, mismatched = one.get("matchLabelKeys") or [], one.get("mismatchLabelKeys") or []
    if not matched and not mismatched:
        return []
    selector = one.get("labelSelector")
    found: list[Cause] = []
    for field, keys in (("matchLabelKeys", matched), ("mismatchLabelKeys", mismatched)):
        if keys and selector is None:
            found.append(forbidden_field(f"{path}.{field}", _NO_SELECTOR))
            continue
        for index, key in enumerate(keys):
            found += format_causes(f"{path}.{field}[{index}]", key, is_qualified_name)
    if selector is not None:
        places = {key: index for index, key in enumerate(matched)}
        seen = set(selector.get("matchLabels") or {})
        for expression in selector.get("matchExpressions") or ():
            key = expression.get("key", "")
            if key in places and key in seen:
                text = "exists in both matchLabelKeys and labelSelector"
                found.append(invalid_value(f"{path}[{places[key]}]", key, text))
            seen.add(key)
    for index, key in enumerate(matched):
        if key in mismatched:
            text = "exists in both matchLabelKeys and mismatchLabelKeys"
            found.append(invalid_value(f"{path}.matchLabelKeys[{index}]", key, text))
    return found


# --- topology spread ----------------------------------------------------------------------------------------------


def spread_causes(constraints: list[Mapping[str, Any]], path: str) -> list[Cause]:
    found: list[Cause] = []
    for index, one in enumerate(constraints):
        at = f"{path}[{index}]"
        skew, key, action = (
            one.get("maxSkew", 0),
            one.get("topologyKey", ""),
            one.get("whenUnsatisfiable", ""),
        )
        if skew <= 0:
            found.append(invalid_value(f"{at}.maxSkew", skew, "must be greater than zero"))
        if not key:
            found.append(required(f"{at}.topologyKey", "can not be empty"))
        if action not in {"DoNotSchedule", "ScheduleAnyway"}:
            known = ("DoNotSchedule", "ScheduleAnyway")
            found.append(unsupported(f"{at}.whenUnsatisfiable", action, known))
        if any(
            key == other.get("topologyKey", "") and action == other.get("whenUnsatisfiable", "")
            for other in constraints[index + 1 :]
        ):
            found.append(duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {action}}}"))
        found += _min_domains_causes(one.get("minDomains"), action, f"{at}.minDomains")
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if one.get(field) not in {None, "Honor", "Ignore"}:
                found.append(unsupported(f"{at}.{field}", one[field], ("Honor", "Ignore")))
        found += _label_keys_causes(one, at)
        found += label_selector_causes(one.get("labelSelector"), f"{at}.labelSelector")
    return found


def _min_domains_causes(count: int | None, action: str, path: str) -> list[Cause]:
    if count is None:
        return []
    found = [invalid_value(path, count, "must be greater than zero")] if count <= 0 else []
    if action != "DoNotSchedule":
        text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        found.append(invalid_value(path, count, text))
    return found
