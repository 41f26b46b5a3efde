"""From a call to the function that answers it."""

from stoker.lab.access.rbac import Authorizer
from stoker.lab.access.tokens import Tokens
from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.deleting import delete, delete_collection
from stoker.lab.api.logs import log_answer
from stoker.lab.api.ownership import warning
from stoker.lab.api.patching import patch
from stoker.lab.api.reading import get, list_objects
from stoker.lab.api.reviews import answer_review, issue_token
from stoker.lab.api.served import Kind
from stoker.lab.api.subresources import bind, evict, finalize, get_scale, write_scale, write_status
from stoker.lab.api.writing import create, update
from stoker.lab.status import ApiError, method_not_allowed

__all__ = ["dispatch"]

_PLAIN = {
    "get": get,
    "list": list_objects,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": delete_collection,
}
# Subresources that read and write the whole object.
_WHOLE = frozenset(("status", "ephemeralcontainers", "resize", "approval"))


def dispatch(cluster: Cluster, kind: Kind, call: Call, authorizer: Authorizer, tokens: Tokens) -> Answer:
    """Answer a call that has been authorized.

    Raises:
        ApiError: every refusal.
    """
    told = kind.custom.warning if kind.custom is not None else ""
    try:
        answer = _answer(cluster, kind, call, authorizer, tokens)
    except ApiError as error:
        if told:
            error.headers["Warning"] = warning(told)
        raise
    if told:
        answer.headers.insert(0, ("Warning", warning(told)))
    return answer


def _answer(cluster: Cluster, kind: Kind, call: Call, authorizer: Authorizer, tokens: Tokens) -> Answer:
    if kind.shelf in cluster.answers:
        return Answer(cluster.answers[kind.shelf](call))
    if not kind.resource.is_stored:
        return answer_review(cluster, kind, call, authorizer, tokens)
    if call.subresource is None:
        return _PLAIN[call.verb](cluster, kind, call)
    answer = _part(cluster, kind, call, tokens)
    if answer is None:
        raise method_not_allowed(
            kind.resource.group, f"{kind.resource.plural}/{call.subresource.name}", call.verb
        )
    return answer


def _part(cluster: Cluster, kind: Kind, call: Call, tokens: Tokens) -> Answer | None:
    """The answer to a call on a subresource; None where that has no such verb here."""
    match call.subresource_name, call.verb:
        case "scale", "get":
            return get_scale(cluster, kind, call)
        case "scale", _:
            return write_scale(cluster, kind, call)
        case name, "get" if name in _WHOLE:
            return get(cluster, kind, call)
        case name, "update" | "patch" if name in _WHOLE:
            return write_status(cluster, kind, call)
        case "binding", "create":
            return bind(cluster, call)
        case "eviction", "create":
            return evict(cluster, kind, call)
        case "token", "create":
            return issue_token(cluster, call, tokens)
        case "finalize", "update":
            return finalize(cluster, kind, call)
        case "log", "get":
            return _log(cluster, kind, call)
    return None


def _log(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """Lines of a container, as text."""
    get(cluster, kind, call)
    if cluster.logs is None:
        raise ApiError(400, "BadRequest", f'no node keeps logs of pod "{call.name}"')
    return log_answer(cluster, call, cluster.logs)
