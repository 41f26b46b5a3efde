"""Roles and bindings (pkg/apis/rbac/validation/validation.go, pkg/apis/rbac/v1/defaults.go)."""

from stoker.lab.kinds.canonical_internal import go_text, invalid_text
from stoker.lab.kinds.config_checks import each
from stoker.lab.kinds.config_golang import go_value
from stoker.lab.kinds.metadata import is_dns_subdomain, is_path_segment, label_selector_causes
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.status import Cause, invalid_value, required, unsupported

__all__ = ["CLUSTER_ROLE", "CLUSTER_ROLE_BINDING", "GROUP", "ROLE", "ROLE_BINDING"]

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


# --- roles --------------------------------------------------------------------------------------------------------


def _rule_causes(rule: Object, path: str, *, is_namespaced: bool) -> list[Cause]:
    causes = []
    if not rule.get("verbs"):
        causes.append(required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = rule.get("nonResourceURLs")
    if urls:
        if is_namespaced:
            text = "namespaced rules cannot apply to non-resource URLs"
            causes.append(invalid_value(f"{path}.nonResourceURLs", urls, text))
        if any(rule.get(name) for name in ("apiGroups", "resources", "resourceNames")):
            text = "rules cannot apply to both regular resources and non-resource URLs"
            causes.append(invalid_value(f"{path}.nonResourceURLs", urls, text))
        return causes
    if not rule.get("apiGroups"):
        causes.append(required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not rule.get("resources"):
        causes.append(required(f"{path}.resources", "resource rules must supply at least one resource"))
    return causes


def _rules_causes(role: Object, *, is_namespaced: bool) -> list[Cause]:
    return [
        cause
        for index, rule in enumerate(role.get("rules") or ())
        for cause in _rule_causes(rule, f"rules[{index}]", is_namespaced=is_namespaced)
    ]


def _validate_role(role: Object) -> list[Cause]:
    return _rules_causes(role, is_namespaced=True)


def _validate_cluster_role(role: Object) -> list[Cause]:
    causes = _rules_causes(role, is_namespaced=False)
    aggregation = role.get("aggregationRule")
    if aggregation is None:
        return causes
    path = "aggregationRule.clusterRoleSelectors"
    selectors = aggregation.get("clusterRoleSelectors", ())
    if not selectors:
        text = "at least one clusterRoleSelector required if aggregationRule is non-nil"
        causes.append(required(path, text))
    for index, selector in enumerate(selectors):
        causes += label_selector_causes(selector, f"{path}[{index}]")
    return causes


ROLE = Strategy(validate=_validate_role, allows_create_on_update=True)
CLUSTER_ROLE = Strategy(validate=_validate_cluster_role, allows_create_on_update=True)


# --- bindings -----------------------------------------------------------------------------------------------------


def _default_binding(binding: Object) -> None:
    reference = binding.setdefault("roleRef", {})
    if not reference.get("apiGroup"):
        reference["apiGroup"] = GROUP
    for subject in binding.get("subjects", ()):
        if not subject.get("apiGroup") and subject.get("kind") in {"User", "Group"}:
            subject["apiGroup"] = GROUP


def _reference_causes(reference: Object, kinds: tuple[str, ...]) -> list[Cause]:
    causes = []
    if reference.get("apiGroup") != GROUP:
        causes.append(unsupported("roleRef.apiGroup", reference.get("apiGroup", ""), (GROUP,)))
    if reference.get("kind") not in kinds:
        causes.append(unsupported("roleRef.kind", reference.get("kind", ""), kinds))
    name = reference.get("name", "")
    return causes + (each("roleRef.name", name, is_path_segment) if name else [required("roleRef.name")])


def _subject_causes(subject: Object, path: str, *, is_namespaced: bool) -> list[Cause]:
    kind, name, group = (subject.get(key, "") for key in ("kind", "name", "apiGroup"))
    causes = [] if name else [required(f"{path}.name")]
    if kind == "ServiceAccount":
        if name:
            causes += each(f"{path}.name", name, is_dns_subdomain)
        if group:
            causes.append(unsupported(f"{path}.apiGroup", group, ("",)))
        if not is_namespaced and not subject.get("namespace"):
            causes.append(required(f"{path}.namespace"))
    elif kind in {"User", "Group"}:
        if group != GROUP:
            causes.append(unsupported(f"{path}.apiGroup", group, (GROUP,)))
    else:
        causes.append(unsupported(f"{path}.kind", kind, _SUBJECTS))
    return causes


def _subjects_causes(binding: Object, *, is_namespaced: bool) -> list[Cause]:
    return [
        cause
        for index, subject in enumerate(binding.get("subjects", ()))
        for cause in _subject_causes(subject, f"subjects[{index}]", is_namespaced=is_namespaced)
    ]


def _validate_binding(binding: Object) -> list[Cause]:
    causes = _reference_causes(binding.get("roleRef", {}), ("Role", "ClusterRole"))
    return causes + _subjects_causes(binding, is_namespaced=True)


def _validate_cluster_binding(binding: Object) -> list[Cause]:
    causes = _reference_causes(binding.get("roleRef", {}), ("ClusterRole",))
    return causes + _subjects_causes(binding, is_namespaced=False)


def _validate_binding_update(new: Object, old: Object) -> list[Cause]:
    if new.get("roleRef") == old.get("roleRef"):
        return []
    printed = go_text(go_value("RoleRef", new.get("roleRef")))
    return [invalid_text("roleRef", printed, "cannot change roleRef")]


ROLE_BINDING = Strategy(
    default=_default_binding,
    validate=_validate_binding,
    validate_update=_validate_binding_update,
    allows_create_on_update=True,
)
CLUSTER_ROLE_BINDING = Strategy(
    default=_default_binding,
    validate=_validate_cluster_binding,
    validate_update=_validate_binding_update,
    allows_create_on_update=True,
)
