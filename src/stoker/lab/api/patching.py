"""Patch, in any of the four ways (apiserver pkg/endpoints/handlers/patch.go)."""

import copy
from typing import Any

from stoker.lab.api.bodies import check_patch_options, decode, finish, media_type
from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.ownership import own_fields, reset_of, set_owners, warning_headers
from stoker.lab.api.served import Kind
from stoker.lab.api.storing import key_of, store_new, write
from stoker.lab.kinds.strategy import Object
from stoker.lab.merge.apply import apply
from stoker.lab.merge.patches import check_json_patch, check_merge_patch, compact, json_patch, merge_patch
from stoker.lab.merge.strategic import strategic_merge
from stoker.lab.status import ApiError, bad_request, invalid, invalid_value, not_found, unsupported_media_type

__all__ = ["patch"]

_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


def patch(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """PATCH of an object or of its status, in any of the four ways."""
    way = media_type(call.content_type)
    if way not in _PATCHES:
        raise unsupported_media_type(_PATCHES)
    if kind.is_custom and way == "application/strategic-merge-patch+json":
        raise unsupported_media_type([one for one in _PATCHES if "strategic" not in one])
    is_apply = way == "application/apply-patch+yaml"
    check_patch_options(call, is_apply=is_apply)
    if is_apply:
        return _apply(cluster, kind, call)
    value = _patch_value(call, way)
    warnings: list[str] = []

    def change(old: Object) -> Object:
        new, told = _patched(call, kind, _merged(way, copy.deepcopy(old), value, kind))
        warnings.extend(told)
        own_fields(cluster, kind, call.manager, old, new, call.subresource_name)
        return new

    stored, more = write(cluster, kind, call, change, is_forced=True)
    return Answer(stored, headers=warning_headers(warnings + more))


def _patch_value(call: Call, way: str) -> Any:
    try:
        value, _ = decode(call.body, "application/json")
    except ApiError as error:
        raise bad_request(error.message.rpartition("json parse error: ")[2]) from error
    if way == "application/json-patch+json":
        check_json_patch(value, is_lenient=call.query.get("fieldValidation") == "Ignore")
    elif way == "application/merge-patch+json":
        check_merge_patch(value)
    elif not isinstance(value, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        )
    return value


def _merged(way: str, old: Object, value: Any, kind: Kind) -> Any:
    if way == "application/json-patch+json":
        return json_patch(old, value)
    if way == "application/merge-patch+json":
        return merge_patch(old, value)
    return strategic_merge(old, value, kind.node)


def _patched(call: Call, kind: Kind, new: Any) -> tuple[Object, list[str]]:
    resource = kind.resource
    if not isinstance(new, dict) or (new.get("apiVersion"), new.get("kind")) != (
        resource.api_version,
        resource.kind,
    ):
        raise bad_request("the patch changes the apiVersion or kind of the object")
    text = compact(new)
    try:
        found, warnings = finish(call, kind, new)
    except ApiError as error:
        if error.code != 400:
            raise
        # The server decodes the outcome of a patch again, and tells the whole of it where that fails.
        detail = error.message.partition(f" cannot be handled as a {resource.kind}: ")[2] or error.message
        raise invalid("", "", "", [invalid_value("patch", text, detail)]) from error
    metadata = found["metadata"]
    if metadata.get("name") != call.name:
        raise bad_request(
            f"the name of the object ({metadata.get('name', '')}) does not match the name on the URL ({call.name})"
        )
    if resource.namespaced and metadata.get("namespace") != call.namespace:
        raise bad_request(
            f"the namespace of the object ({metadata.get('namespace', '')}) does not match the namespace on the URL ({call.namespace})"
        )
    return found, warnings


def _place(kind: Kind, call: Call, value: Object) -> None:
    """Name and namespace of a configuration are those of the path; others are an error."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = value["metadata"] = {}
    name = metadata.setdefault("name", call.name)
    if name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")
    if not kind.resource.namespaced:
        return
    if not metadata.get("namespace"):
        metadata["namespace"] = call.namespace
    elif metadata["namespace"] != call.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _apply(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    manager = call.query.get("fieldManager", "")
    try:
        value, _ = decode(call.body, "application/yaml")
    except ApiError as error:
        raise bad_request(
            f"error decoding YAML: {error.message.rpartition('json parse error: ')[2]}"
        ) from error
    resource = kind.resource
    if not isinstance(value, dict):
        raise bad_request("error decoding YAML: the patch is no object")
    if (value.get("apiVersion"), value.get("kind")) != (resource.api_version, resource.kind):
        raise bad_request(
            f"incorrect version specified in apply patch. Specified patch version: {value.get('apiVersion')}, expected: "
            f"{resource.api_version}"
        )
    _place(kind, call, value)
    warnings: list[str] = []

    def applied(old: Object | None) -> Object:
        new = apply(
            old, copy.deepcopy(value), kind.node, manager, resource.api_version,
            force=call.query.get("force") in {"true", "1"}, now=cluster.now(), subresource=call.subresource_name,
            reset=reset_of(kind, call.subresource_name),
        )  # fmt: skip
        managed = new["metadata"].get("managedFields")
        found, told = finish(call, kind, new)
        warnings.extend(told)
        set_owners(found, managed or [])
        return found

    if cluster.store.get(key_of(kind, call.namespace, call.name)) is None:
        if call.subresource_name:
            raise not_found(*kind.error_names(), call.name)
        obj = applied(None)
        stored, more = store_new(cluster, kind, call, obj)
        return Answer(stored, 201, headers=warning_headers(warnings + more))
    stored, more = write(cluster, kind, call, applied, is_forced=True)
    return Answer(stored, headers=warning_headers(warnings + more))
