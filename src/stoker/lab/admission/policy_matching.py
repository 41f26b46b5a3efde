"""Which writes a policy is about.

Sources: apiserver pkg/admission/plugin/policy/matching/matching.go, pkg/admission/plugin/webhook/predicates.
"""

from dataclasses import dataclass
from typing import Any

from stoker.kube.selectors import matches as selects
from stoker.lab.api.cluster import Review
from stoker.lab.api.served import Kind
from stoker.lab.kinds.strategy import Object

__all__ = ["Write", "match", "write_of"]

# Parts that are created, not updated, whatever becomes of the object.
_CREATED = frozenset(("binding", "eviction", "token"))


@dataclass(frozen=True, slots=True)
class Write:
    """A write as policies see it: a deletion has an old object only, a namespace is in itself."""

    kind: Kind
    operation: str
    subresource: str
    namespace: str
    name: str
    new: Object | None
    old: Object | None
    siblings: tuple[Kind, ...]
    """The same resource in the other versions that are served."""
    labels: dict[str, str] | None
    """Labels of the namespace; None for objects of no namespace."""

    @property
    def is_namespace(self) -> bool:
        return self.kind.resource.qualified == "namespaces"


def write_of(review: Review) -> Write:
    kind, cluster = review.kind, review.cluster
    is_deletion = review.operation == "DELETE"
    name = review.name
    namespace = name if kind.resource.qualified == "namespaces" else review.namespace
    labels: dict[str, str] | None = None
    if kind.resource.qualified == "namespaces" and not review.subresource and not is_deletion:
        labels = review.obj["metadata"].get("labels") or {}
    elif namespace:
        found = cluster.get("namespaces", "", namespace)
        labels = ((found or {}).get("metadata") or {}).get("labels") or {}
    siblings = tuple(
        one
        for one in cluster.served
        if one.shelf == kind.shelf and one is not kind and one.resource.is_stored
    )
    return Write(
        kind,
        "CREATE" if review.subresource in _CREATED else review.operation,
        review.subresource,
        namespace,
        name,
        None if is_deletion else review.obj,
        review.old,
        siblings,
        labels,
    )


def match(write: Write, criteria: Object | None) -> Kind | None:
    """The kind in which the policy sees the object; None where it is not about it."""
    if criteria is None:
        return write.kind
    if not _namespace_matches(write, criteria.get("namespaceSelector")) or not _object_matches(
        write, criteria.get("objectSelector")
    ):
        return None
    is_equivalent = criteria.get("matchPolicy", "Equivalent") == "Equivalent"
    if _by_rules(write, criteria.get("excludeResourceRules") or (), is_equivalent=is_equivalent) is not None:
        return None
    rules = criteria.get("resourceRules") or ()
    return _by_rules(write, rules, is_equivalent=is_equivalent) if rules else write.kind


def _namespace_matches(write: Write, selector: Object | None) -> bool:
    if not selector or write.labels is None:
        return True
    return selects(selector, write.labels)


def _object_matches(write: Write, selector: Object | None) -> bool:
    if not selector:
        return True
    return any(
        obj is not None and selects(selector, obj["metadata"].get("labels") or {})
        for obj in (write.new, write.old)
    )


def _by_rules(write: Write, rules: Any, *, is_equivalent: bool) -> Kind | None:
    for kind in (write.kind, *(write.siblings if is_equivalent else ())):
        for rule in rules:
            names = rule.get("resourceNames") or ()
            if _rule_matches(write, kind, rule) and (not names or write.name in names):
                return kind
    return None


def _rule_matches(write: Write, kind: Kind, rule: Object) -> bool:
    resource = kind.resource
    scope = rule.get("scope", "*")
    is_namespaced = bool(write.namespace) and not write.is_namespace
    return (
        scope in {"*", "Namespaced" if is_namespaced else "Cluster"}
        and _any(rule.get("operations"), write.operation)
        and _any(rule.get("apiGroups"), resource.group)
        and _any(rule.get("apiVersions"), resource.version)
        and any(_names(one, resource.plural, write.subresource) for one in rule.get("resources") or ())
    )


def _any(allowed: Any, wanted: str) -> bool:
    return any(one in {"*", wanted} for one in allowed or ())


def _names(pattern: str, plural: str, subresource: str) -> bool:
    resource, _, part = pattern.partition("/")
    return resource in {"*", plural} and part in {"*", subresource}
