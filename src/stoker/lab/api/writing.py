"""Create, update, patch: from a decoded body to the store.

The order is the real server's (apiserver pkg/endpoints/handlers/{create,update,patch}.go, pkg/registry/generic/registry):
ownership of fields is computed before admission changes the object, so that nobody owns what admission added; then
mutating admission, what the strategy takes back, validation, validating admission, the store.
"""

import copy
from collections.abc import Callable
from typing import Any

from stoker.lab.api.bodies import check_options, check_patch_options, decode, finish, media_type, read_object
from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster, Review
from stoker.lab.api.convert import from_storage, to_storage
from stoker.lab.api.effects import Effects
from stoker.lab.api.served import Kind
from stoker.lab.kinds.metadata import is_dns_subdomain, object_meta_causes, object_meta_update_causes
from stoker.lab.kinds.registry import status_causes
from stoker.lab.kinds.strategy import Object
from stoker.lab.merge.apply import apply, keep_timestamps, track_update
from stoker.lab.merge.facts import CUSTOM_MAIN, CUSTOM_STATUS
from stoker.lab.merge.patches import check_json_patch, check_merge_patch, compact, json_patch, merge_patch
from stoker.lab.merge.strategic import strategic_merge
from stoker.lab.schema.structural import validate_custom
from stoker.lab.status import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    invalid,
    invalid_value,
    not_found,
    required,
    unsupported_media_type,
)
from stoker.lab.store import Key

__all__ = ["create", "key_of", "own_fields", "patch", "store_new", "update", "warning", "write"]

_MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
_PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
_NONE = Effects()


def key_of(kind: Kind, namespace: str, name: str) -> Key:
    return Key(kind.shelf, namespace if kind.resource.namespaced else "", name)


# --- create -------------------------------------------------------------------------------------------------------


def create(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """POST to a collection."""
    check_options(call, "CreateOptions")
    value, duplicates = decode(call.body, call.content_type)
    obj, warnings = read_object(call, kind, value, duplicates)
    _place(kind, call, obj)
    own_fields(cluster, kind, call.manager, None, obj)
    stored, more = store_new(cluster, kind, call, obj)
    return Answer(stored, 201, headers=_warn(kind, warnings + more))


def own_fields(
    cluster: Cluster, kind: Kind, manager: str, old: Object | None, new: Object, subresource: str = ""
) -> None:
    """Write into ``new`` who owns which of its fields, now that ``manager`` has made it of ``old``."""
    managed = track_update(
        old, new, kind.node, manager, kind.resource.api_version, now=cluster.now(), subresource=subresource,
        reset=reset_of(kind, subresource),
    )  # fmt: skip
    _own(new, managed)


def reset_of(kind: Kind, subresource: str) -> Any:
    """Fields that a path cannot change; built-in kinds have theirs in a table of their own."""
    if not kind.is_custom or not kind.has_status:
        return None
    return CUSTOM_STATUS if subresource == "status" else CUSTOM_MAIN


def _place(kind: Kind, call: Call, obj: Object) -> None:
    """The namespace of the path counts; another one in the body is an error."""
    metadata = obj["metadata"]
    if not kind.resource.namespaced:
        metadata.pop("namespace", None)
        return
    named = metadata.get("namespace")
    if named and named != call.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    metadata["namespace"] = call.namespace


def _own(obj: Object, managed: list[dict[str, Any]]) -> None:
    if managed:
        obj["metadata"]["managedFields"] = managed
    else:
        obj["metadata"].pop("managedFields", None)


def _warn(kind: Kind, texts: list[str]) -> list[tuple[str, str]]:
    if kind.custom is not None and kind.custom.warning:
        texts = [kind.custom.warning, *texts]
    return [("Warning", warning(text)) for text in dict.fromkeys(texts)]


def warning(text: str) -> str:
    """A ``Warning`` header (RFC 7234, code 299), as net.NewWarningHeader of apimachinery writes it."""
    clean = "".join(letter for letter in text if letter.isprintable())
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'


def store_new(cluster: Cluster, kind: Kind, call: Call, obj: Object) -> tuple[Object, list[str]]:
    """Admit, validate and store a new object; returns it as stored, and warnings.

    Raises:
        ApiError: it is refused, or there is one of that name.
    """
    return _undone_unless_stored(cluster, kind, call, lambda: _store_new(cluster, kind, call, obj))


def _undone_unless_stored(
    cluster: Cluster, kind: Kind, call: Call, attempt: Callable[[], tuple[Object, list[str]]]
) -> tuple[Object, list[str]]:
    """What a write took before it was stored, such as an address, is given back where it was not."""
    undo = cluster.effects.get(kind.shelf, _NONE).undo
    is_kept = False
    try:
        found = attempt()
        is_kept = not call.is_dry_run
        return found
    finally:
        if undo is not None and not is_kept:
            undo()


def _store_new(cluster: Cluster, kind: Kind, call: Call, obj: Object) -> tuple[Object, list[str]]:
    resource, strategy = kind.resource, kind.strategy
    metadata = obj["metadata"]
    review = Review(
        cluster, kind, "CREATE", metadata.get("namespace", ""), metadata.get("name", ""), "", obj, None,
        call.user, call.is_dry_run,
    )  # fmt: skip
    for plugin in cluster.plugins:
        if plugin.mutate is not None:
            plugin.mutate(review)
    obj = review.obj
    _fill_new(cluster, kind, obj)
    metadata = obj["metadata"]
    review.name = metadata["name"]
    effects = cluster.effects.get(kind.shelf, _NONE)
    causes = effects.before_create(obj) if effects.before_create is not None else []
    if causes:
        raise invalid(resource.group, resource.kind, metadata["name"], causes)
    strategy.prepare_create(obj)
    if kind.is_custom:
        causes = object_meta_causes(obj, resource.namespaced, is_dns_subdomain)
        causes += validate_custom(obj, kind.node)
    else:
        causes = strategy.validate(obj)
    if causes:
        raise invalid(resource.group, resource.kind, metadata["name"], causes)
    for plugin in cluster.plugins:
        if plugin.validate is not None:
            plugin.validate(review)
    warnings = review.warnings + strategy.warnings(obj)
    key = key_of(kind, metadata.get("namespace", ""), metadata["name"])
    if cluster.store.get(key) is not None:
        raise already_exists(*kind.error_names(), metadata["name"])
    if not call.is_dry_run:
        stored = to_storage(kind, obj)
        cluster.store.put(key, stored)
        metadata["resourceVersion"] = stored["metadata"]["resourceVersion"]
        for done in review.on_success:
            done()
        if effects.after_create is not None:
            effects.after_create(stored)
    return _ordered(kind, obj), warnings


def _fill_new(cluster: Cluster, kind: Kind, obj: Object) -> None:
    metadata = obj["metadata"]
    if metadata.get("resourceVersion"):
        raise bad_request("resourceVersion should not be set on objects to be created")
    for name in (
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "uid",
        "generation",
        "resourceVersion",
    ):
        metadata.pop(name, None)
    if not metadata.get("name"):
        prefix = metadata.get("generateName")
        if not prefix:
            resource = kind.resource
            raise invalid(
                resource.group,
                resource.kind,
                "",
                [required("metadata.name", "name or generateName is required")],
            )
        metadata["name"] = prefix[:58] + cluster.new_suffix()
    metadata["uid"] = cluster.new_uid()
    metadata["creationTimestamp"] = cluster.now()
    if kind.strategy.has_generation:
        metadata["generation"] = 1


def _ordered(kind: Kind, obj: Object) -> Object:
    """The object with its kind first, as the server writes it."""
    return {
        "kind": kind.resource.kind,
        "apiVersion": kind.resource.api_version,
        **{key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}},
    }


# --- update -------------------------------------------------------------------------------------------------------


def update(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """PUT of an object or of its status."""
    check_options(call, "UpdateOptions")
    value, duplicates = decode(call.body, call.content_type)
    obj, warnings = read_object(call, kind, value, duplicates)
    _place(kind, call, obj)
    name = obj["metadata"].get("name")
    if name != call.name:
        if not name:
            obj["metadata"]["name"] = call.name
        else:
            raise bad_request(
                f"the name of the object ({name}) does not match the name on the URL ({call.name})"
            )
    if cluster.store.get(key_of(kind, call.namespace, call.name)) is None:
        if kind.strategy.allows_create_on_update and not call.subresource_name:
            own_fields(cluster, kind, call.manager, None, obj)
            stored, more = store_new(cluster, kind, call, obj)
            return Answer(stored, 201, headers=_warn(kind, warnings + more))
        raise not_found(*kind.error_names(), call.name)

    def replace(old: Object) -> Object:
        new = copy.deepcopy(obj)
        own_fields(cluster, kind, call.manager, old, new, call.subresource_name)
        return new

    stored, more = write(cluster, kind, call, replace)
    return Answer(stored, headers=_warn(kind, warnings + more))


def write(
    cluster: Cluster, kind: Kind, call: Call, change: Callable[[Object], Object], *, is_forced: bool = False
) -> tuple[Object, list[str]]:
    """Change a stored object: ``change`` gets a copy of it in the version of ``kind`` and returns the new one.

    Args:
        is_forced: whether a missing resourceVersion is no matter, as in a patch.

    Raises:
        ApiError: the object is not there, was changed meanwhile, or the change is refused.
    """
    return _undone_unless_stored(
        cluster, kind, call, lambda: _write(cluster, kind, call, change, is_forced=is_forced)
    )


def _write(
    cluster: Cluster, kind: Kind, call: Call, change: Callable[[Object], Object], *, is_forced: bool
) -> tuple[Object, list[str]]:
    key = key_of(kind, call.namespace, call.name)
    record = cluster.store.get(key)
    if record is None:
        raise not_found(*kind.error_names(), call.name)
    old = from_storage(kind, record.object())
    new = change(copy.deepcopy(old))
    _check_version(kind, call, old, new, is_forced=is_forced)
    review = Review(
        cluster, kind, "UPDATE", call.namespace, call.name, call.subresource_name, new, old, call.user, call.is_dry_run
    )  # fmt: skip
    for plugin in cluster.plugins:
        if plugin.mutate is not None:
            plugin.mutate(review)
    new = review.obj
    effects = cluster.effects.get(kind.shelf, _NONE)
    causes = []
    if effects.before_update is not None and not call.subresource_name:
        causes = effects.before_update(new, old)
    causes = causes or _prepare_and_validate(kind, call, old, new)
    resource = kind.resource
    if causes:
        raise invalid(resource.group, resource.kind, call.name, causes)
    for plugin in cluster.plugins:
        if plugin.validate is not None:
            plugin.validate(review)
    warnings = review.warnings + (kind.strategy.warnings(new) if not call.subresource_name else [])
    new = _ordered(kind, new)
    keep_timestamps(new, old)
    metadata = new["metadata"]
    if new == old or call.is_dry_run:
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        return new, warnings
    stored = to_storage(kind, new)
    is_finished = _is_finished(metadata)
    if is_finished:
        cluster.store.delete(key, stored)
    else:
        cluster.store.put(key, stored)
    metadata["resourceVersion"] = stored["metadata"]["resourceVersion"]
    for done in review.on_success:
        done()
    if is_finished and effects.after_delete is not None:
        effects.after_delete(stored)
    elif not is_finished and effects.after_update is not None:
        effects.after_update(stored, old)
    return new, warnings


def _check_version(kind: Kind, call: Call, old: Object, new: Object, *, is_forced: bool) -> None:
    wanted = new["metadata"].get("resourceVersion") or ""
    current = old["metadata"]["resourceVersion"]
    group, plural = kind.error_names()
    if not wanted:
        if not (is_forced or kind.strategy.allows_unconditional_update):
            raise invalid(
                group, plural, call.name,
                [invalid_value("metadata.resourceVersion", 0, "must be specified for an update")],
            )  # fmt: skip
    elif wanted != current:
        if not wanted.isdigit():
            raise invalid(
                kind.resource.group, kind.resource.kind, call.name,
                [invalid_value("metadata.resourceVersion", wanted, f'strconv.ParseUint: parsing "{wanted}": invalid syntax')],
            )  # fmt: skip
        raise conflict(group, plural, call.name, _MODIFIED)
    uid = new["metadata"].get("uid")
    if uid and uid != old["metadata"]["uid"]:
        raise conflict(
            group, plural, call.name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}",
        )  # fmt: skip


_KEPT = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
    "selfLink",
    "generateName",
)


def _prepare_and_validate(kind: Kind, call: Call, old: Object, new: Object) -> list[Cause]:
    metadata = new["metadata"]
    for name in _KEPT:
        if name in old["metadata"]:
            if name != "generateName":
                metadata[name] = old["metadata"][name]
        else:
            metadata.pop(name, None)
    strategy = kind.strategy
    if call.subresource_name == "status":
        strategy.prepare_status(new, old)
    else:
        strategy.prepare_update(new, old)
    metadata = new["metadata"]
    if strategy.has_generation and _spec_of(kind, new) != _spec_of(kind, old):
        metadata["generation"] = int(old["metadata"].get("generation") or 0) + 1
    if kind.is_custom:
        causes = object_meta_update_causes(new, old)
        return causes + validate_custom(new, kind.node, old)
    resource = kind.resource
    if call.subresource_name == "status":
        return status_causes(resource.group, resource.kind)(new, old)
    return strategy.validate_update(new, old)


def _spec_of(kind: Kind, obj: Object) -> Any:
    if kind.is_custom:
        dropped = {"metadata", "apiVersion", "kind"} | ({"status"} if kind.has_status else set())
        return {key: value for key, value in obj.items() if key not in dropped}
    return obj.get("spec")


def _is_finished(metadata: Object) -> bool:
    """An object that waited for its finalizers goes with the last of them."""
    return bool(
        metadata.get("deletionTimestamp")
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
    )


# --- patch --------------------------------------------------------------------------------------------------------


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
    return Answer(stored, headers=_warn(kind, warnings + more))


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
        raise bad_request("error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}")
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


def _apply(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    manager = call.query.get("fieldManager", "")
    try:
        value, _ = decode(call.body, "application/yaml")
    except ApiError as error:
        raise bad_request(f"error decoding YAML: {error.message.rpartition('json parse error: ')[2]}") from error
    resource = kind.resource
    if not isinstance(value, dict):
        raise bad_request("error decoding YAML: the patch is no object")
    if (value.get("apiVersion"), value.get("kind")) != (resource.api_version, resource.kind):
        raise bad_request(
            f"incorrect version specified in apply patch. Specified patch version: {value.get('apiVersion')}, expected: "
            f"{resource.api_version}"
        )
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        metadata = value["metadata"] = {}
    name = metadata.setdefault("name", call.name)
    if name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")
    if resource.namespaced and metadata.get("namespace") in {None, ""}:
        metadata["namespace"] = call.namespace
    if resource.namespaced and metadata["namespace"] != call.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
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
        _own(found, managed or [])
        return found

    if cluster.store.get(key_of(kind, call.namespace, call.name)) is None:
        if call.subresource_name:
            raise not_found(*kind.error_names(), call.name)
        obj = applied(None)
        stored, more = store_new(cluster, kind, call, obj)
        return Answer(stored, 201, headers=_warn(kind, warnings + more))
    stored, more = write(cluster, kind, call, applied, is_forced=True)
    return Answer(stored, headers=_warn(kind, warnings + more))
