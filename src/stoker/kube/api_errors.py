"""What an API server refused, in its own words.

    StokerError
    ├── ApiError              exit 2   a Status of the server
    │   ├── NotFoundError     404: the object, or its kind
    │   ├── ConflictError     409 of an update, or of server-side apply: other managers own the fields
    │   ├── AlreadyExistsError  409 of a create
    │   ├── ForbiddenError    403: RBAC, quota or admission; `ApiError.reason` and its message say which
    │   ├── InvalidError      422 and the 500 with which server-side apply meets an unknown field
    │   └── ExpiredError      410: a resourceVersion too old to go on from
    └── UnreachableError      exit 3   no answer, no credentials, or still refused after all tries

Source of reasons: k8s.io/apimachinery/pkg/apis/meta/v1/types.go, StatusReason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stoker.errors import StokerError

__all__ = [
    "AlreadyExistsError",
    "ApiError",
    "Cause",
    "ConflictError",
    "ExpiredError",
    "ForbiddenError",
    "InvalidError",
    "NotFoundError",
    "api_error",
]


@dataclass(frozen=True, slots=True)
class Cause:
    """One of ``status.details.causes``.

    Attributes:
        reason: such as ``FieldManagerConflict`` or ``FieldValueInvalid``.
        field: path such as ``.spec.replicas``.
    """

    reason: str
    field: str
    message: str


class ApiError(StokerError):
    """A Status that the server answered.

    Attributes:
        code: the HTTP status.
        reason: the Status' reason, such as ``Forbidden``; empty where the answer was no Status.
        what: the request, such as ``PATCH /apis/apps/v1/...``.
        retry_after: seconds the server asks for; None where it asks for nothing.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        what: str,
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, fix=_FIXES.get(code, ""))
        self.code, self.reason, self.what = code, reason, what
        self.causes, self.retry_after = causes, retry_after


class NotFoundError(ApiError):
    pass


class ConflictError(ApiError):
    pass


class AlreadyExistsError(ApiError):
    pass


class ForbiddenError(ApiError):
    pass


class InvalidError(ApiError):
    pass


class ExpiredError(ApiError):
    pass


_FIXES: Final = {
    403: "`stoker rbac` prints the rights that each command needs",
    404: "`kubectl api-resources` lists the kinds that the cluster serves; `stoker components` the charts that bring them",
}
_TYPES: Final[Mapping[int, type[ApiError]]] = {
    400: InvalidError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    422: InvalidError,
}
# The server answers 500 where a document does not fit the schema of a server-side apply (recorded on 1.36).
_UNTYPED: Final = "failed to create typed patch object"


def api_error(code: int, body: Any, *, what: str, retry_after: str | None = None) -> ApiError:
    """The error for an answer that is no success; ``body`` is its JSON, or its text where it was none."""
    status = body if isinstance(body, dict) and body.get("kind") == "Status" else {}
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or (body if isinstance(body, str) else "")).strip()
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    causes = tuple(
        Cause(str(c.get("reason") or ""), str(c.get("field") or ""), str(c.get("message") or ""))
        for c in details.get("causes") or ()
        if isinstance(c, dict)
    )
    kind = _TYPES.get(code, ApiError)
    if reason == "AlreadyExists":
        kind = AlreadyExistsError
    elif _UNTYPED in message:
        kind = InvalidError
    seconds = details.get("retryAfterSeconds") if retry_after is None else retry_after
    try:
        after = float(seconds) if seconds is not None else None
    except (TypeError, ValueError):  # an HTTP date: our own back-off does
        after = None
    return kind(
        code,
        reason,
        message or f"the server answered {code}",
        what=what,
        causes=causes,
        retry_after=after,
    )
