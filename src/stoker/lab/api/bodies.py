"""Bodies of writes: bytes to objects of the kind that the path names, and the options that come with them."""

from typing import Any

import yaml

from stoker.lab.api.call import Call
from stoker.lab.api.served import Kind
from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.quantity_text import QuantityError
from stoker.lab.kinds.strategy import Object
from stoker.lab.merge.options import patch_option_causes, write_option_causes
from stoker.lab.schema.decode import WrongTypeError, drop_unknown, parse
from stoker.lab.schema.protobuf import MEDIA_TYPE as PROTOBUF
from stoker.lab.schema.protobuf import ProtobufError, decode_protobuf
from stoker.lab.schema.structural import fill_defaults
from stoker.lab.status import (
    ApiError,
    Cause,
    bad_request,
    invalid,
    invalid_value,
    unsupported,
    unsupported_media_type,
)

__all__ = [
    "LARGEST_BODY",
    "check_options",
    "check_patch_options",
    "decode",
    "delete_options",
    "finish",
    "media_type",
    "read_object",
]

LARGEST_BODY = 3 * 1024 * 1024  # apiserver's MaxRequestBodyBytes
_TEXTS = ("application/json", "application/yaml")
_POLICIES = ("Foreground", "Background", "Orphan")


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower() or "application/json"


def check_options(call: Call, kind: str) -> None:
    """Refuse options of a write that mean nothing.

    Raises:
        ApiError: 422, as `CreateOptions` and `UpdateOptions` are validated.
    """
    causes = write_option_causes(
        call.query.get("fieldManager", ""), _dry_run(call), call.query.get("fieldValidation", "")
    )
    if causes:
        raise invalid("meta.k8s.io", kind, "", causes)


def check_patch_options(call: Call, *, is_apply: bool) -> None:
    """The same for `PatchOptions`: an apply needs a manager, and only an apply can be forced.

    Raises:
        ApiError: 422.
    """
    force = call.query.get("force")
    causes = patch_option_causes(
        is_apply=is_apply,
        force=None if force is None else force in {"true", "1"},
        field_manager=call.query.get("fieldManager", ""),
        dry_run=_dry_run(call),
        field_validation=call.query.get("fieldValidation", ""),
    )
    if causes:
        raise invalid("meta.k8s.io", "PatchOptions", "", causes)


def _dry_run(call: Call) -> list[str]:
    return [call.query["dryRun"]] if call.query.get("dryRun") else []


def decode(body: bytes, content_type: str, *, takes_protobuf: bool = True) -> tuple[Any, list[str]]:
    """The value of a body and the fields that stand in it twice.

    Args:
        body: what the client sent.
        content_type: what it says that it is.
        takes_protobuf: no for custom resources, whose messages nobody knows.

    Raises:
        ApiError: 415 for another media type, 400 for text that is not what it says it is.
    """
    kind = media_type(content_type)
    if kind == PROTOBUF and takes_protobuf:
        return _decode_protobuf(body), []
    if kind not in _TEXTS:
        raise unsupported_media_type([*_TEXTS, PROTOBUF] if takes_protobuf else _TEXTS)
    try:
        return parse(body, is_yaml=kind == "application/yaml")
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(
            f"the object provided is unrecognized (must be of type APIVersion/Kind): couldn't get version/kind; json parse error: {error}"
        ) from error


def _decode_protobuf(body: bytes) -> dict[str, Any]:
    try:
        return decode_protobuf(body)
    except ProtobufError as error:
        if error.kind:
            lead = f'{error.kind} in version "{error.version}" cannot be handled as a {error.kind}'
            raise bad_request(f"{lead}: {error}") from error
        shown = body[:30].hex() + " ..." * (len(body) > 30) if body else "<empty>"
        raise bad_request(
            f"the object provided is unrecognized (must be of type APIVersion/Kind): {error} ({shown})"
        ) from error


def read_object(call: Call, kind: Kind, value: Any, duplicates: list[str]) -> tuple[Object, list[str]]:
    """The object in a decoded body, with unknown fields gone and defaults filled, and warnings about them.

    Raises:
        ApiError: another kind, a wrong type, or unknown fields under ``fieldValidation=Strict``.
    """
    resource = kind.resource
    if not isinstance(value, dict):
        raise bad_request(
            "the object provided is unrecognized (must be of type APIVersion/Kind): couldn't get version/kind; json parse error: "
            "json: cannot unmarshal value into Go value of type struct { APIVersion string; Kind string }"
        )
    found_version, found_kind = value.get("apiVersion"), value.get("kind")
    if found_kind is None and found_version is None:
        value = {"kind": resource.kind, "apiVersion": resource.api_version, **value}
    elif (found_version, found_kind) != (resource.api_version, resource.kind):
        raise _another_kind(kind, found_version, found_kind)
    if value.get("metadata") is None:
        value["metadata"] = {}
    return finish(call, kind, value, duplicates)


def _another_kind(kind: Kind, version: Any, name: Any) -> ApiError:
    resource = kind.resource
    if not isinstance(name, str) or not name:
        return bad_request("Object 'Kind' is missing in 'unstructured object has no kind'")
    wanted = f"{resource.group}/{resource.version}, Kind={resource.kind}"
    group, _, number = str(version or "").rpartition("/")
    return bad_request(
        f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        f"the API version in the data ({group}/{number}, Kind={name}) does not match the expected API version ({wanted})"
        if name == resource.kind
        else f"the object in the body ({group}/{number}, Kind={name}) does not match the resource ({wanted})"
    )


def finish(
    call: Call, kind: Kind, value: Object, duplicates: list[str] | None = None
) -> tuple[Object, list[str]]:
    """As `read_object`, for an object whose kind is known: the outcome of a patch."""
    resource = kind.resource
    lead = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'
    if not isinstance(value.get("metadata"), dict):
        raise bad_request(
            f"{lead}: json: cannot unmarshal {_go_kind(value.get('metadata'))} into Go struct field {resource.kind}.metadata of "
            "type v1.ObjectMeta"
        )
    try:
        unknown = drop_unknown(value, kind.node, is_typed=not kind.is_custom)
        if kind.is_custom:
            drop_unknown(value["metadata"], kind.node.properties["metadata"], is_typed=True)
    except WrongTypeError as error:
        raise bad_request(f"{lead}: {error}") from error
    problems = [f'duplicate field "{path}"' for path in duplicates or ()]
    problems += [f'unknown field "{path}"' for path in unknown]
    validation = call.query.get("fieldValidation") or "Warn"
    if problems and validation == "Strict":
        raise bad_request(f"{lead}: strict decoding error: {', '.join(problems)}")
    try:
        value = _complete(kind, value)
    except QuantityError as error:
        raise bad_request(f"{lead}: {error}") from error
    return value, (problems if validation == "Warn" else [])


def _complete(kind: Kind, value: Object) -> Object:
    if kind.is_custom:
        value["metadata"] = canonical(value["metadata"], kind.node.properties["metadata"])
        fill_defaults(value, kind.node)
        return value
    value = canonical(value, kind.node)
    value.setdefault("metadata", {})
    kind.strategy.default(value)
    return value


def _go_kind(value: Any) -> str:
    return {str: "string", bool: "bool", list: "array"}.get(type(value), "number")


# --- deleting -----------------------------------------------------------------------------------------------------


def delete_options(call: Call) -> dict[str, Any]:
    """DeleteOptions from the body or, where there is none, from the query.

    Raises:
        ApiError: 422 for options that contradict themselves, 400 for a body that is none.
    """
    options = _body_options(call) if call.body.strip() else _query_options(call)
    causes: list[Cause] = []
    policy = options.get("propagationPolicy")
    if policy is not None and options.get("orphanDependents") is not None:
        causes.append(
            invalid_value(
                "propagationPolicy", policy, "orphanDependents and deletionPropagation cannot be both set"
            )
        )
    if policy is not None and policy not in _POLICIES:
        causes.append(unsupported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    if any(one != "All" for one in options.get("dryRun") or ()):
        causes.append(unsupported("dryRun", options["dryRun"], ["All"]))
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)
    grace = options.get("gracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
        raise bad_request(
            "json: cannot unmarshal value into Go struct field DeleteOptions.gracePeriodSeconds of type int64"
        )
    return options


def _body_options(call: Call) -> dict[str, Any]:
    value, _ = decode(call.body, call.content_type)
    if not isinstance(value, dict):
        raise bad_request("json: cannot unmarshal value into Go value of type v1.DeleteOptions")
    if value.get("kind", "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"{value['kind']} is no DeleteOptions")
    return {key: item for key, item in value.items() if item is not None}


def _query_options(call: Call) -> dict[str, Any]:
    query = call.query
    options: dict[str, Any] = {}
    if "gracePeriodSeconds" in query:
        options["gracePeriodSeconds"] = _number(query["gracePeriodSeconds"])
    if "propagationPolicy" in query:
        options["propagationPolicy"] = query["propagationPolicy"]
    if "orphanDependents" in query:
        options["orphanDependents"] = query["orphanDependents"] == "true"
    if "dryRun" in query:
        options["dryRun"] = [query["dryRun"]]
    return options


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
