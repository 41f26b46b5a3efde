"""What the API server says when it refuses: ``Status`` errors in Kubernetes' own words.

Texts and codes are those of k8s.io/apimachinery pkg/api/errors and pkg/util/validation/field (1.36).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stoker.errors import StokerError

__all__ = [
    "ApiError",
    "Cause",
    "already_exists",
    "bad_request",
    "conflict",
    "duplicate",
    "expired",
    "forbidden",
    "forbidden_field",
    "internal",
    "invalid",
    "invalid_value",
    "method_not_allowed",
    "not_found",
    "not_found_value",
    "required",
    "too_long",
    "too_many_requests",
    "type_invalid",
    "unauthorized",
    "unsupported",
    "unsupported_media_type",
]


@dataclass(frozen=True, slots=True)
class Cause:
    """One field that is wrong: ``reason`` such as ``FieldValueInvalid``, and the message without the field's name."""

    reason: str
    message: str
    field: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message

    def document(self) -> dict[str, str]:
        found = {"reason": self.reason, "message": self.message, "field": self.field}
        return {key: value for key, value in found.items() if value}


@dataclass(eq=False)
class ApiError(StokerError):
    """An answer that is no success.

    Attributes:
        code: HTTP status.
        reason: ``NotFound``, ``Conflict``, …; empty where Kubernetes gives none.
        message: the sentence that a client prints.
        details: ``details`` of the Status, such as group, kind, name, causes; None for none.
        headers: further HTTP headers.
    """

    code: int
    reason: str
    message: str
    details: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def document(self) -> dict[str, Any]:
        """The ``Status`` object."""
        found: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            found["reason"] = self.reason
        if self.details is not None:
            found["details"] = self.details
        return found | {"code": self.code}


# --- causes -------------------------------------------------------------------------------------------------------


def required(path: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", path)


def invalid_value(path: str, value: object, detail: str) -> Cause:
    """``Invalid value: "x": must be …``, the value as Go prints it."""
    return Cause("FieldValueInvalid", f"Invalid value: {printed(value)}: {detail}", path)


def type_invalid(path: str, value: object, detail: str) -> Cause:
    return Cause("FieldValueTypeInvalid", f"Invalid value: {printed(value)}: {detail}", path)


def unsupported(path: str, value: object, known: Iterable[str]) -> Cause:
    listed = ", ".join(f'"{one}"' for one in known)
    return Cause(
        "FieldValueNotSupported", f"Unsupported value: {printed(value)}: supported values: {listed}", path
    )


def duplicate(path: str, value: object) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {printed(value)}", path)


def forbidden_field(path: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", path)


def not_found_value(path: str, value: object) -> Cause:
    return Cause("FieldValueNotFound", f"Not found: {printed(value)}", path)


def too_long(path: str, limit: int) -> Cause:
    return Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def printed(value: object) -> str:
    """A value as field.Error prints it: strings quoted, objects as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        import json

        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict | list):
        import json

        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)


# --- errors -------------------------------------------------------------------------------------------------------


def _qualified(resource: str, group: str) -> str:
    return f"{resource}.{group}" if group else resource


def _details(name: str, group: str, kind: str, **more: Any) -> dict[str, Any]:
    found = {"name": name, "group": group, "kind": kind, **more}
    return {key: value for key, value in found.items() if value}


def not_found(group: str, resource: str, name: str) -> ApiError:
    """``deployments.apps "x" not found``."""
    return ApiError(
        404, "NotFound", f'{_qualified(resource, group)} "{name}" not found', _details(name, group, resource)
    )


def already_exists(group: str, resource: str, name: str) -> ApiError:
    return ApiError(
        409,
        "AlreadyExists",
        f'{_qualified(resource, group)} "{name}" already exists',
        _details(name, group, resource),
    )


def conflict(group: str, resource: str, name: str, why: str) -> ApiError:
    """``Operation cannot be fulfilled on …``."""
    return ApiError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {_qualified(resource, group)} "{name}": {why}',
        _details(name, group, resource),
    )


def forbidden(group: str, resource: str, name: str, why: str) -> ApiError:
    """``pods "x" is forbidden: why``; without a name ``pods is forbidden: why``."""
    subject = f'{_qualified(resource, group)} "{name}"' if name else _qualified(resource, group)
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", _details(name, group, resource))


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """``Deployment.apps "x" is invalid: …``; several causes stand in brackets."""
    texts = list(dict.fromkeys(str(cause) for cause in causes))
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return ApiError(
        422,
        "Invalid",
        f'{_qualified(kind, group)} "{name}" is invalid: {text}',
        _details(name, group, kind, causes=[cause.document() for cause in causes]),
    )


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def method_not_allowed(group: str, resource: str, verb: str) -> ApiError:
    return ApiError(
        405,
        "MethodNotAllowed",
        f'{verb} is not supported on resources of kind "{_qualified(resource, group)}"',
        _details("", group, resource),
    )


def unsupported_media_type(wanted: Sequence[str]) -> ApiError:
    return ApiError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(wanted)}",
    )


def expired(message: str) -> ApiError:
    """A resourceVersion or a continue token that is too old: 410."""
    return ApiError(410, "Expired", message)


def too_many_requests(message: str, retry_after_s: int, details: dict[str, Any] | None = None) -> ApiError:
    return ApiError(429, "TooManyRequests", message, details, {"Retry-After": str(retry_after_s)})


def internal(message: str) -> ApiError:
    return ApiError(
        500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]}
    )
