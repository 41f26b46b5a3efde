"""Role-based access control, as the RBAC authorizer decides (plugin/pkg/auth/authorizer/rbac, pkg/registry/rbac/validation)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stoker.lab.api.call import User
from stoker.lab.store import Store

__all__ = ["Attributes", "Authorizer", "rules_cover", "subject_text"]

Object = dict[str, Any]

_ROLES = "roles.rbac.authorization.k8s.io"
_CLUSTER_ROLES = "clusterroles.rbac.authorization.k8s.io"
_BINDINGS = "rolebindings.rbac.authorization.k8s.io"
_CLUSTER_BINDINGS = "clusterrolebindings.rbac.authorization.k8s.io"
_MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What somebody wants to do: a verb on a resource, or on a path that is no resource."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def full_resource(self) -> str:
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


def subject_text(attributes: Attributes, user: User) -> str:
    """The sentence of a refusal, without its subject."""
    if attributes.path:
        return f'User "{user.name}" cannot {attributes.verb} path "{attributes.path}"'
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return (
        f'User "{user.name}" cannot {attributes.verb} resource "{attributes.full_resource}" in API group '
        f'"{attributes.group}" {where}'
    )


def _any(allowed: Iterable[str], wanted: str) -> bool:
    return any(one in {"*", wanted} for one in allowed)


def _resource_matches(rule: Object, attributes: Attributes) -> bool:
    for one in rule.get("resources") or ():
        if one in {"*", attributes.full_resource}:
            return True
        if attributes.subresource and one == f"*/{attributes.subresource}":
            return True
    return False


def _allows(rule: Object, attributes: Attributes) -> bool:
    if not _any(rule.get("verbs") or (), attributes.verb):
        return False
    if attributes.path:
        return any(
            one in {"*", attributes.path} or (one.endswith("*") and attributes.path.startswith(one[:-1]))
            for one in rule.get("nonResourceURLs") or ()
        )
    names = rule.get("resourceNames") or ()
    return (
        _any(rule.get("apiGroups") or (), attributes.group)
        and _resource_matches(rule, attributes)
        and (not names or attributes.name in names)
    )


def rules_cover(held: Sequence[Object], wanted: Object) -> bool:
    """Whether rules that somebody holds cover everything in one rule (component-helpers auth/rbac/validation Covers)."""
    for verb in wanted.get("verbs") or ():
        for path in wanted.get("nonResourceURLs") or ():
            if not any(_allows(rule, Attributes(verb, path=path)) for rule in held):
                return False
        for group in wanted.get("apiGroups") or ():
            for full in wanted.get("resources") or ():
                resource, _, subresource = full.partition("/")
                for name in wanted.get("resourceNames") or ("",):
                    asked = Attributes(verb, group, resource, subresource, name=name)
                    if not any(_allows(rule, asked) for rule in held):
                        return False
    return True


class Authorizer:
    """Decides from the roles and bindings in a store; what it reads is kept until they change."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._at = -1
        self._roles: dict[tuple[str, str], list[Object]] = {}
        self._bindings: dict[str, list[Object]] = {}

    def allows(self, user: User, attributes: Attributes) -> tuple[bool, str]:
        """Whether ``user`` may, and why (empty for members of system:masters, who may everything)."""
        if _MASTERS in user.groups:
            return True, ""
        self._refresh()
        for rules, why in self._granted(user, attributes.namespace):
            if any(_allows(rule, attributes) for rule in rules):
                return True, why
        return False, ""

    def rules_of(self, user: User, namespace: str) -> list[Object]:
        """Every rule that ``user`` holds in a namespace."""
        if _MASTERS in user.groups:
            return [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
                {"verbs": ["*"], "nonResourceURLs": ["*"]},
            ]
        self._refresh()
        return [rule for rules, _ in self._granted(user, namespace) for rule in rules]

    def role_rules(self, reference: Object, namespace: str) -> list[Object]:
        """Rules of the role that a binding refers to; none where it is not there."""
        self._refresh()
        place = (
            ("", reference["name"]) if reference["kind"] == "ClusterRole" else (namespace, reference["name"])
        )
        return self._roles.get(place, [])

    def _granted(self, user: User, namespace: str) -> Iterator[tuple[list[Object], str]]:
        for binding in self._bindings.get("", ()):
            subject = _subject_of(binding, user, "")
            if subject is not None:
                reference = binding["roleRef"]
                yield (
                    self._roles.get(("", reference["name"]), []),
                    _why("ClusterRoleBinding", binding["metadata"]["name"], reference, subject),
                )
        if not namespace:
            return
        for binding in self._bindings.get(namespace, ()):
            subject = _subject_of(binding, user, namespace)
            if subject is not None:
                reference = binding["roleRef"]
                place = (
                    ("", reference["name"])
                    if reference["kind"] == "ClusterRole"
                    else (namespace, reference["name"])
                )
                yield (
                    self._roles.get(place, []),
                    _why("RoleBinding", f"{binding['metadata']['name']}/{namespace}", reference, subject),
                )

    def _refresh(self) -> None:
        at = max(
            self._store.changed(shelf) for shelf in (_ROLES, _CLUSTER_ROLES, _BINDINGS, _CLUSTER_BINDINGS)
        )
        if at == self._at:
            return
        self._at = at
        self._roles = {}
        for shelf in (_ROLES, _CLUSTER_ROLES):
            for place, record in self._store.scan(shelf):
                self._roles[place] = record.object().get("rules") or []
        self._bindings = {}
        for shelf in (_BINDINGS, _CLUSTER_BINDINGS):
            for place, record in self._store.scan(shelf):
                self._bindings.setdefault(place[0], []).append(record.object())


def _why(kind: str, name: str, reference: Object, subject: str) -> str:
    return f'RBAC: allowed by {kind} "{name}" of {reference["kind"]} "{reference["name"]}" to {subject}'


def _subject_of(binding: Object, user: User, namespace: str) -> str | None:
    """The subject of a binding that a user is, as the reason prints it."""
    for subject in binding.get("subjects") or ():
        kind, name = subject["kind"], subject["name"]
        if kind == "User" and name == user.name:
            return f'User "{name}"'
        if kind == "Group" and name in user.groups:
            return f'Group "{name}"'
        if kind == "ServiceAccount":
            home = subject.get("namespace") or namespace
            if user.name == f"system:serviceaccount:{home}:{name}":
                return f'ServiceAccount "{name}/{home}"'
    return None
