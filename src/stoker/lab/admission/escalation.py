"""Nobody grants what he does not hold: roles and bindings are checked against their writer's own rules.

Sources: pkg/registry/rbac/{role,clusterrole,rolebinding,clusterrolebinding}/policybased/storage.go,
pkg/registry/rbac/validation/{rule,policy_compact}.go, component-helpers auth/rbac/validation/policy_comparator.go. In the
real server the storage does this, behind mutating admission and before validation: here it is the last that mutates.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from stoker.lab.access.rbac import Attributes, Authorizer
from stoker.lab.api.cluster import Plugin, Review
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import ApiError, forbidden, not_found, printed

__all__ = ["role_escalation"]

GROUP = "rbac.authorization.k8s.io"
_MASTERS = "system:masters"
_EVERYTHING = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]
_ORDER = (
    ("apiGroups", "APIGroups"),
    ("resources", "Resources"),
    ("nonResourceURLs", "NonResourceURLs"),
    ("resourceNames", "ResourceNames"),
    ("verbs", "Verbs"),
)
# What the garbage collector changes.
_COLLECTED = ("ownerReferences", "finalizers", "selfLink", "managedFields")


def role_escalation(authorizer: Authorizer) -> Plugin:
    """The check, with the authorizer that knows everybody's rules."""

    def mutate(review: Review) -> None:
        resource = review.kind.resource
        if resource.group != GROUP or review.operation not in {"CREATE", "UPDATE"} or review.subresource:
            return
        if _MASTERS in review.user.groups:
            return
        if resource.plural in {"roles", "clusterroles"}:
            _check_role(authorizer, review)
        else:
            _check_binding(authorizer, review)

    return Plugin("RoleEscalation", mutate=mutate)


def _check_role(authorizer: Authorizer, review: Review) -> None:
    plural = review.kind.resource.plural
    # The name counts where it stands in the path, which it does not in a create.
    name = review.name if review.operation == "UPDATE" else ""
    asked = Attributes("escalate", GROUP, plural, namespace=review.namespace, name=name)
    if authorizer.allows(review.user, asked)[0] or _is_for_collector(review):
        return
    error = _escalation(authorizer, review, review.obj.get("rules") or ())
    if error is not None:
        raise error
    if plural != "clusterroles" or not any(_aggregates(one) for one in (review.obj, review.old)):
        return
    if _escalation(authorizer, review, _EVERYTHING) is not None:
        raise _forbidden(review, "must have cluster-admin privileges to use the aggregationRule")


def _aggregates(role: Object | None) -> bool:
    return bool(((role or {}).get("aggregationRule") or {}).get("clusterRoleSelectors"))


def _check_binding(authorizer: Authorizer, review: Review) -> None:
    if _is_for_collector(review):
        return
    reference = review.obj.get("roleRef") or {}
    kind, name = reference.get("kind", ""), reference.get("name", "")
    plural = {"ClusterRole": "clusterroles", "Role": "roles"}.get(kind)
    if plural is None:
        return  # validation refuses it
    asked = Attributes("bind", reference.get("apiGroup", ""), plural, namespace=review.namespace, name=name)
    if authorizer.allows(review.user, asked)[0]:
        return
    role = review.cluster.get(f"{plural}.{GROUP}", "" if kind == "ClusterRole" else review.namespace, name)
    if role is None:
        raise not_found(GROUP, plural, name)
    error = _escalation(authorizer, review, role.get("rules") or ())
    if error is not None:
        raise error


def _is_for_collector(review: Review) -> bool:
    """Whether an update changes nothing but what the garbage collector does (IsOnlyMutatingGCFields)."""
    if review.old is None:
        return False
    return _without_collected(review.obj) == _without_collected(review.old)


def _without_collected(obj: Object) -> Object:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _COLLECTED}
    return {
        **{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}},
        "metadata": metadata,
    }


def _forbidden(review: Review, why: str) -> ApiError:
    return forbidden(*review.kind.error_names(), review.obj["metadata"].get("name") or "", why)


def _escalation(authorizer: Authorizer, review: Review, rules: Sequence[Object]) -> ApiError | None:
    """The refusal where the writer lacks any right of the rules (ConfirmNoEscalation)."""
    user = review.user
    held = authorizer.rules_of(user, review.namespace)
    missing = [one for rule in rules for one in _pieces(rule) if not any(_covers(own, one) for own in held)]
    if not missing:
        return None
    told = "\n".join(sorted({_text(rule) for rule in _compact(missing)}))
    groups = " ".join(printed(group) for group in user.groups)
    return _forbidden(
        review,
        f"user {printed(user.name)} (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:\n{told}",
    )


def _pieces(rule: Object) -> Iterator[dict[str, list[str]]]:
    """A rule as rules of one verb on one thing each."""
    verbs = rule.get("verbs") or ()
    names = rule.get("resourceNames") or ()
    for group in rule.get("apiGroups") or ():
        for resource in rule.get("resources") or ():
            for verb in verbs:
                one = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
                if names:
                    yield from ({**one, "resourceNames": [name]} for name in names)
                else:
                    yield one
    for path in rule.get("nonResourceURLs") or ():
        yield from ({"nonResourceURLs": [path], "verbs": [verb]} for verb in verbs)


def _covers(own: Object, piece: dict[str, list[str]]) -> bool:
    """Whether a rule contains a rule of one verb on one thing; a star is contained in a star only."""
    if not _has(own.get("verbs"), piece["verbs"]):
        return False
    if "nonResourceURLs" in piece:
        path = piece["nonResourceURLs"][0]
        # A rule that names resources names covers nothing that has none.
        return not own.get("resourceNames") and any(
            one == path or (one.endswith("*") and path.startswith(one.rstrip("*")))
            for one in own.get("nonResourceURLs") or ()
        )
    names = own.get("resourceNames") or ()
    if names and not set(piece.get("resourceNames", ())) & set(names):
        return False
    return _has(own.get("apiGroups"), piece["apiGroups"]) and _covers_resource(
        own.get("resources") or (), piece["resources"][0]
    )


def _has(own: Any, wanted: list[str]) -> bool:
    return any(one in {"*", wanted[0]} for one in own or ())


def _covers_resource(own: Sequence[str], resource: str) -> bool:
    _, slash, subresource = resource.partition("/")
    return "*" in own or resource in own or (bool(slash) and f"*/{subresource}" in own)


def _compact(missing: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    """Rules that differ in their verbs only, as one."""
    found: dict[tuple[str, ...], dict[str, list[str]]] = {}
    rest = []
    for rule in missing:
        if "nonResourceURLs" in rule:
            rest.append(rule)
            continue
        key = (rule["apiGroups"][0], rule["resources"][0], *rule.get("resourceNames", ()))
        known = found.get(key)
        if known is None:
            found[key] = {**rule, "verbs": list(rule["verbs"])}
        else:
            known["verbs"] += rule["verbs"]
    return [*rest, *found.values()]


def _text(rule: dict[str, list[str]]) -> str:
    parts = (
        f"{word}:[{' '.join(printed(one) for one in rule[field])}]" for field, word in _ORDER if field in rule
    )
    return "{" + ", ".join(parts) + "}"
