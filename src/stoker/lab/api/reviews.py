"""Questions that are answered and forgotten: may I, may she, who am I, whose token is this."""

from datetime import timedelta
from typing import Any

from stoker.lab.access.rbac import Attributes, Authorizer
from stoker.lab.access.tokens import Tokens
from stoker.lab.api.bodies import check_options, decode, read_object
from stoker.lab.api.call import Answer, Call, User
from stoker.lab.api.cluster import Cluster, timestamp
from stoker.lab.api.ownership import own_fields
from stoker.lab.api.served import Kind
from stoker.lab.kinds.strategy import Object
from stoker.lab.status import ApiError, bad_request, not_found

__all__ = ["answer_review", "issue_token"]


def answer_review(cluster: Cluster, kind: Kind, call: Call, authorizer: Authorizer, tokens: Tokens) -> Answer:
    """POST of a review of the authentication and authorization groups."""
    check_options(call, "CreateOptions")
    value, duplicates = decode(call.body, call.content_type)
    obj, _ = read_object(call, kind, value, duplicates)
    obj = {"kind": kind.resource.kind, "apiVersion": kind.resource.api_version, **obj}
    spec = obj.get("spec") or {}
    metadata = obj.setdefault("metadata", {})
    match kind.resource.kind:
        case "SelfSubjectReview":
            obj["metadata"] = {"creationTimestamp": cluster.now()}
            obj["status"] = {"userInfo": _user_info(call.user)}
            return Answer(obj, 201)
        case "TokenReview":
            obj["status"] = _token_status(cluster, tokens, str(spec.get("token") or ""))
        case "SelfSubjectRulesReview":
            obj["status"] = _rules_status(authorizer, call.user, str(spec.get("namespace") or ""))
        case "SelfSubjectAccessReview":
            obj["status"] = _access_status(authorizer, call.user, spec)
        case _:
            user = User(str(spec.get("user") or ""), tuple(spec.get("groups") or ()))
            if not user.name and not user.groups:
                raise bad_request("at least one of user or group must be specified")
            obj["status"] = _access_status(authorizer, user, spec)
    before = {key: value for key, value in obj.items() if key != "status"} | {"metadata": dict(metadata)}
    own_fields(cluster, kind, call.manager, None, before)
    managed = before["metadata"].get("managedFields")
    if managed:
        metadata["managedFields"] = managed
    return Answer(obj, 201)


def _user_info(user: User) -> dict[str, Any]:
    found = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": user.extra}
    return {key: value for key, value in found.items() if value}


def _token_status(cluster: Cluster, tokens: Tokens, token: str) -> Object:
    try:
        user = tokens.user(f"Bearer {token}", cluster.clock())
    except ApiError:
        return {"user": {}, "error": "invalid bearer token"}
    return {
        "authenticated": True,
        "user": _user_info(user),
        "audiences": ["https://kubernetes.default.svc.cluster.local"],
    }


def _rules_status(authorizer: Authorizer, user: User, namespace: str) -> Object:
    rules = authorizer.rules_of(user, namespace)
    return {
        "resourceRules": [rule for rule in rules if "resources" in rule],
        "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
        "incomplete": False,
    }


def _access_status(authorizer: Authorizer, user: User, spec: Object) -> Object:
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if asked is not None:
        attributes = Attributes(
            asked.get("verb", ""), asked.get("group", ""), asked.get("resource", ""), asked.get("subresource", ""),
            asked.get("namespace", ""), asked.get("name", ""),
        )  # fmt: skip
    elif path is not None:
        attributes = Attributes(path.get("verb", ""), path=path.get("path", ""))
    else:
        raise bad_request("exactly one of nonResourceAttributes or resourceAttributes must be specified")
    allowed, why = authorizer.allows(user, attributes)
    return {"allowed": allowed, **({"reason": why} if why else {})}


def issue_token(cluster: Cluster, call: Call, tokens: Tokens) -> Answer:
    """POST of ``serviceaccounts/token``: a token for an hour, or for as long as was asked."""
    account = cluster.get("serviceaccounts", call.namespace, call.name)
    if account is None:
        raise not_found("", "serviceaccounts", call.name)
    value, _ = decode(call.body, call.content_type)
    spec = (value.get("spec") or {}) if isinstance(value, dict) else {}
    seconds = int(spec.get("expirationSeconds") or 3600)
    if seconds < 600:
        raise bad_request("may not specify a duration less than 10 minutes")
    token, end = tokens.issue(account, seconds, list(spec.get("audiences") or ()), cluster.clock())
    return Answer(
        {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {
                "name": call.name,
                "namespace": call.namespace,
                "creationTimestamp": cluster.now(),
            },
            "spec": {
                "audiences": spec.get("audiences") or ["https://kubernetes.default.svc.cluster.local"],
                "expirationSeconds": seconds,
                "boundObjectRef": spec.get("boundObjectRef"),
            },
            "status": {"token": token, "expirationTimestamp": timestamp(end + timedelta(0))},
        },
        201,
    )
