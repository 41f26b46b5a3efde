"""From a call to the function that answers it."""

from stoker.lab.access.rbac import Authorizer
from stoker.lab.access.tokens import Tokens
from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.deleting import delete, delete_collection
from stoker.lab.api.reading import get, list_objects
from stoker.lab.api.reviews import answer_review, issue_token
from stoker.lab.api.served import Kind
from stoker.lab.api.subresources import bind, evict, finalize, get_scale, write_scale, write_status
from stoker.lab.api.writing import create, patch, update, warning
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
    try:
        return _answer(cluster, kind, call, authorizer, tokens)
    except ApiError as error:
        if kind.custom is not None and kind.custom.warning:
            error.headers["Warning"] = warning(kind.custom.warning)
        raise


def _answer(cluster: Cluster, kind: Kind, call: Call, authorizer: Authorizer, tokens: Tokens) -> Answer:
    if not kind.resource.is_stored:
        return answer_review(cluster, kind, call, authorizer, tokens)
    if call.subresource is None:
        return _PLAIN[call.verb](cluster, kind, call)
    name = call.subresource.name
    if name == "scale":
        return get_scale(cluster, kind, call) if call.verb == "get" else write_scale(cluster, kind, call)
    if name in _WHOLE:
        return get(cluster, kind, call) if call.verb == "get" else write_status(cluster, kind, call)
    if call.verb == "create":
        if name == "binding":
            return bind(cluster, kind, call)
        if name == "eviction":
            return evict(cluster, kind, call)
        if name == "token":
            return issue_token(cluster, call, tokens)
    if name == "finalize" and call.verb == "update":
        return finalize(cluster, kind, call)
    if name == "log":
        return _log(cluster, kind, call)
    raise method_not_allowed(kind.resource.group, f"{kind.resource.plural}/{name}", call.verb)


def _log(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """Logs of a container; what the emulated workloads write is kept by the node that runs them."""
    get(cluster, kind, call)
    raise ApiError(
        400, "BadRequest", f'container "{call.query.get("container", "")}" in pod "{call.name}" keeps no log'
    )
