"""ValidatingAdmissionPolicy: rules in CEL that the cluster's owners write.

Sources: apiserver pkg/admission/plugin/policy/validating/{dispatcher,validator}.go, policy/generic/policy_dispatcher.go,
webhook/matchconditions/matcher.go. There is no ``authorizer`` in expressions and no audit log: what needs either is passed
over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stoker.kube.selectors import matches as selects
from stoker.lab.admission.expressions import Failure, Names, Unsupported
from stoker.lab.admission.policy_matching import Write, match, write_of
from stoker.lab.admission.requests import Kept, refusal, together
from stoker.lab.api.cluster import Cluster, Plugin, Review
from stoker.lab.api.convert import from_storage, to_storage
from stoker.lab.api.served import Kind
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import ApiError

__all__ = ["validating_admission_policy"]

_GROUP = "admissionregistration.k8s.io"
_POLICIES = f"validatingadmissionpolicies.{_GROUP}"
_BINDINGS = f"validatingadmissionpolicybindings.{_GROUP}"
# Nobody can lock himself out by a policy on policies.
_EXEMPT = frozenset(
    f"{one}.{_GROUP}"
    for one in (
        "validatingwebhookconfigurations",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    )
)
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}
_LONGEST_MESSAGE = 5 * 1024


@dataclass(frozen=True, slots=True)
class _Denial:
    message: str
    reason: str = "Invalid"


@dataclass(frozen=True, slots=True)
class _Sight:
    """A write as all policies see it."""

    review: Review
    write: Write
    known: dict[Kind, Names]

    def names(self, kind: Kind) -> Names:
        """Names of expressions that see the object in the version of ``kind``."""
        found = self.known.get(kind)
        if found is None:
            found = self.known[kind] = _names(self.review, self.write, kind)
        return found


class _ConfigurationError(Exception):
    """A policy or binding that cannot be applied as it stands."""


def validating_admission_policy() -> Plugin:
    """The plugin; it keeps the policies and bindings that it has read."""
    policies: Kept[list[Object]] = Kept(_POLICIES, list)
    bindings: Kept[dict[str, list[Object]]] = Kept(_BINDINGS, _by_policy)

    def validate(review: Review) -> None:
        known = policies.of(review.cluster)
        if not known or review.kind.resource.qualified in _EXEMPT:
            return
        bound = bindings.of(review.cluster)
        if not bound:
            return
        sight = _Sight(review, write_of(review), {})
        denials: list[tuple[Object, Object, _Denial]] = []
        for policy in known:
            for binding, denial in _apply(sight, policy, bound.get(policy["metadata"]["name"], ())):
                denials.append((policy, binding, denial))
        if denials:
            raise _refused(review, *denials[0])

    return Plugin("ValidatingAdmissionPolicy", validate=validate)


def _by_policy(objects: Iterator[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for item in objects:
        found.setdefault(item["spec"]["policyName"], []).append(item)
    return found


def _refused(review: Review, policy: Object, binding: Object, denial: _Denial) -> ApiError:
    text = (
        f"ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding '{binding['metadata']['name']}' denied request: "
        f"{denial.message}"
    )
    error = refusal(review, text)
    error.reason = denial.reason
    error.code = _CODES.get(denial.reason, 422)
    error.details = {**(error.details or {}), "causes": [{"message": text}]}
    return error


def _apply(sight: _Sight, policy: Object, bindings: Any) -> Iterator[tuple[Object, _Denial]]:
    """Denials by a policy through its bindings; warnings are added on the way."""
    review, write = sight.review, sight.write
    kind = match(write, policy["spec"].get("matchConstraints")) if bindings else None
    if kind is None:
        return
    for binding in bindings:
        if match(write, binding["spec"].get("matchResources")) is None:
            continue
        try:
            params = _params(
                review.cluster, policy["spec"].get("paramKind"), binding["spec"].get("paramRef"), write
            )
        except _ConfigurationError as error:
            if policy["spec"].get("failurePolicy") != "Ignore":
                yield binding, _Denial(f"failed to configure binding: {error}")
            continue
        for param in params:
            for denial in _decide(sight.names(kind), policy["spec"], param):
                yield from _act(review, policy, binding, denial)


def _act(
    review: Review, policy: Object, binding: Object, denial: _Denial
) -> Iterator[tuple[Object, _Denial]]:
    for action in binding["spec"].get("validationActions") or ():
        if action == "Deny":
            yield binding, denial
        elif action == "Warn":
            review.warnings.append(
                f"Validation failed for ValidatingAdmissionPolicy '{policy['metadata']['name']}' with binding "
                f"'{binding['metadata']['name']}': {denial.message}"
            )


# --- parameters ---------------------------------------------------------------------------------------------------


def _params(
    cluster: Cluster, param_kind: Object | None, reference: Object | None, write: Write
) -> list[Object | None]:
    """The objects with which a policy is evaluated, once for each (CollectParams)."""
    if param_kind is None or reference is None:
        return [None]
    kind = cluster.served.find_kind(param_kind.get("apiVersion", ""), param_kind.get("kind", ""))
    if kind is None:
        printed = (
            f"&ParamKind{{APIVersion:{param_kind.get('apiVersion', '')},Kind:{param_kind.get('kind', '')},}}"
        )
        raise _ConfigurationError(f"paramKind kind `{printed}` not known")
    namespace = ""
    if kind.resource.namespaced:
        namespace = reference.get("namespace") or write.namespace
        if not namespace:
            raise _ConfigurationError(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    elif reference.get("namespace"):
        raise _ConfigurationError("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    found: list[Object | None]
    if reference.get("name"):
        one = cluster.get(kind.shelf, namespace, reference["name"])
        found = [] if one is None else [one]
    else:
        found = [
            one
            for one in cluster.objects(kind.shelf, namespace)
            if selects(reference.get("selector"), one["metadata"].get("labels") or {})
        ]
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise _ConfigurationError("no params found for policy binding with `Deny` parameterNotFoundAction")
    return [None if one is None else from_storage(kind, one) for one in found]


# --- expressions --------------------------------------------------------------------------------------------------


def _decide(names: Names, spec: Object, param: Object | None) -> list[_Denial]:
    """What the validations of a policy find wrong."""
    is_strict = spec.get("failurePolicy", "Fail") != "Ignore"
    names.compose(spec.get("variables") or (), param)
    try:
        if not _meets(spec.get("matchConditions") or (), names):
            return []
    except Failure as error:
        return [_Denial(str(error))] if is_strict else []
    found: list[_Denial] = []
    for validation in spec.get("validations") or ():
        try:
            if names.value(validation["expression"]) is not True:
                found.append(_Denial(_message(validation, names), validation.get("reason") or "Invalid"))
        except Failure as error:
            if is_strict:
                found.append(_Denial(str(error)))
        except Unsupported:
            continue
    return found


def _meets(conditions: Any, names: Names) -> bool:
    """Whether no condition is false; they see no namespace.

    Raises:
        Failure: none is false, and some ended in errors.
    """
    if not conditions:
        return True
    failures: list[str] = []
    namespace = names.hide_namespace()
    try:
        for condition in conditions:
            try:
                if names.value(condition["expression"]) is False:
                    return False
            except Failure as error:
                failures.append(str(error))
            except Unsupported:
                return False
    finally:
        names.show_namespace(namespace)
    if failures:
        raise Failure(together(failures))
    return True


def _message(validation: Object, names: Names) -> str:
    message = ""
    if validation.get("messageExpression"):
        try:
            told = names.value(validation["messageExpression"])
        except (Failure, Unsupported):
            told = None
        if isinstance(told, str):
            message = told.strip()
            if len(message.encode()) > _LONGEST_MESSAGE or "\n" in message:
                message = ""
    expression = validation["expression"].strip()
    return message or (validation.get("message") or "").strip() or f"failed expression: {expression}"


def _names(review: Review, write: Write, kind: Kind) -> Names:
    """What the names in expressions stand for, with the object in the version of ``kind``."""
    namespace = None
    if write.namespace and not write.is_namespace:
        found = review.cluster.get("namespaces", "", write.namespace)
        namespace = _plain_namespace(found) if found is not None else None
    return Names(
        {
            "object": _in_version(write.new, write.kind, kind),
            "oldObject": _in_version(write.old, write.kind, kind),
            "namespaceObject": namespace,
            "request": _request(review, write, kind),
        }
    )


def _in_version(obj: Object | None, written: Kind, seen: Kind) -> Object | None:
    if obj is None:
        return None
    if written is not seen:
        obj = from_storage(seen, to_storage(written, obj))
    return {**obj, "kind": seen.resource.kind, "apiVersion": seen.resource.api_version}


def _plain_namespace(namespace: Object) -> Object:
    """What of a namespace expressions may see: not who owns which field (CreateNamespaceObject)."""
    hidden = {"managedFields", "ownerReferences", "selfLink"}
    metadata = {key: value for key, value in namespace["metadata"].items() if key not in hidden}
    return {key: value for key, value in namespace.items() if key not in {"kind", "apiVersion"}} | {
        "metadata": metadata
    }


def _request(review: Review, write: Write, kind: Kind) -> Object:
    seen, sent, user = kind.resource, write.kind.resource, review.user
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    if user.extra:
        info["extra"] = user.extra
    found: Object = {
        "uid": "",
        "kind": {"group": seen.group, "version": seen.version, "kind": seen.kind},
        "resource": {"group": seen.group, "version": seen.version, "resource": seen.plural},
        "requestKind": {"group": sent.group, "version": sent.version, "kind": sent.kind},
        "requestResource": {"group": sent.group, "version": sent.version, "resource": sent.plural},
        "operation": write.operation,
        "userInfo": info,
        "object": None,
        "oldObject": None,
        "dryRun": review.is_dry_run,
        "options": None,
    }
    if write.subresource:
        found |= {"subResource": write.subresource, "requestSubResource": write.subresource}
    if write.name:
        found["name"] = write.name
    if write.namespace:
        found["namespace"] = write.namespace
    return found
