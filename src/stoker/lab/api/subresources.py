"""Parts of objects with paths of their own: scale, binding, eviction, finalize, tokens, logs."""

import copy
from typing import Any

from stoker.lab.api.binding import bind_pod
from stoker.lab.api.bodies import check_options, decode, finish
from stoker.lab.api.call import Answer, Call
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.deleting import remove
from stoker.lab.api.patching import patch
from stoker.lab.api.served import Kind
from stoker.lab.api.storing import key_of, write
from stoker.lab.api.writing import update
from stoker.lab.kinds.disruption import admit_eviction, check_eviction
from stoker.lab.kinds.pods import binding_causes
from stoker.lab.kinds.strategy import Object
from stoker.lab.merge.apply import track_update
from stoker.lab.merge.patches import check_json_patch, check_merge_patch, json_patch, merge_patch
from stoker.lab.merge.scale import from_scale, to_scale
from stoker.lab.schema.builtin import definition
from stoker.lab.status import (
    bad_request,
    invalid,
    invalid_value,
    not_found,
)
from stoker.lab.store import Key

__all__ = ["bind", "evict", "finalize", "get_scale", "scale_of", "write_scale", "write_status"]

_SCALE = "io.k8s.api.autoscaling.v1.Scale"
_BUDGETS = "poddisruptionbudgets.policy"

# --- scale --------------------------------------------------------------------------------------------------------


def get_scale(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """The scale of a workload or of a custom resource that has one."""
    return Answer(scale_of(kind, _stored(cluster, kind, call)))


def _stored(cluster: Cluster, kind: Kind, call: Call) -> Object:
    record = cluster.store.get(key_of(kind, call.namespace, call.name))
    if record is None:
        raise not_found(*kind.error_names(), call.name)
    return record.object()


def _dig(obj: Object, path: str) -> Any:
    value: Any = obj
    for part in path.lstrip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _paths(kind: Kind) -> tuple[str, str, str]:
    if kind.custom is not None and kind.custom.scale is not None:
        scale = kind.custom.scale
        return scale["specReplicasPath"], scale["statusReplicasPath"], scale.get("labelSelectorPath", "")
    return ".spec.replicas", ".status.replicas", ""


def scale_of(kind: Kind, obj: Object) -> Object:
    """The Scale of an object."""
    wanted, current, selector_path = _paths(kind)
    metadata = obj["metadata"]
    status: Object = {"replicas": _dig(obj, current) or 0}
    selector = (
        _dig(obj, selector_path) if selector_path else _selector_text((obj.get("spec") or {}).get("selector"))
    )
    if selector:
        status["selector"] = selector
    replicas = _dig(obj, wanted)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            key: metadata[key]
            for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if key in metadata
        },
        "spec": {"replicas": replicas} if replicas else {},
        "status": status,
    }


def _selector_text(selector: Object | None) -> str:
    """A LabelSelector as text (metav1.LabelSelectorAsSelector, String): requirements in the order of their keys."""
    if not selector:
        return ""
    if "matchLabels" not in selector and "matchExpressions" not in selector:
        return ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    found = [(key, f"{key}={value}") for key, value in (selector.get("matchLabels") or {}).items()]
    for entry in selector.get("matchExpressions") or ():
        key, values = entry["key"], ",".join(sorted(entry.get("values") or ()))
        words = {
            "In": f"{key} in ({values})",
            "NotIn": f"{key} notin ({values})",
            "Exists": key,
            "DoesNotExist": f"!{key}",
        }
        found.append((key, words[entry["operator"]]))
    return ",".join(text for _, text in sorted(found))


def write_scale(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """PUT or PATCH of a scale: a write of the replica count, owned by the writer under the subresource ``scale``."""
    check_options(call, "UpdateOptions" if call.verb == "update" else "PatchOptions")
    wanted_path = _paths(kind)[0]
    before = scale_of(kind, _stored(cluster, kind, call))
    is_update = call.verb == "update"
    value, _ = decode(call.body, call.content_type if is_update else "application/json")
    if is_update:
        scale = value
    elif call.content_type.startswith("application/json-patch+json"):
        check_json_patch(value, is_lenient=True)
        scale = json_patch(copy.deepcopy(before), value)
    else:
        check_merge_patch(value)
        scale = merge_patch(copy.deepcopy(before), value)
    if not isinstance(scale, dict) or not isinstance(scale.get("spec") or {}, dict):
        raise bad_request("the object provided is no Scale")
    replicas = (scale.get("spec") or {}).get("replicas") or 0
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise bad_request(
            "json: cannot unmarshal value into Go struct field ScaleSpec.spec.replicas of type int32"
        )
    if replicas < 0:
        raise invalid(
            "autoscaling", "Scale", call.name,
            [invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")],
        )  # fmt: skip
    version = (scale.get("metadata") or {}).get("resourceVersion") if call.verb == "update" else None

    def change(old: Object) -> Object:
        new = copy.deepcopy(old)
        place = new
        *parents, last = wanted_path.lstrip(".").split(".")
        for part in parents:
            place = place.setdefault(part, {})
        place[last] = replicas
        if version:
            new["metadata"]["resourceVersion"] = version
        _own_scale(cluster, kind, call, old, new)
        return new

    stored, _ = write(cluster, kind, call, change, is_forced=True)
    return Answer(scale_of(kind, stored))


def _own_scale(cluster: Cluster, kind: Kind, call: Call, old: Object, new: Object) -> None:
    """Who owns the replica count, moved to the Scale that was written and back."""
    paths = {kind.resource.api_version: tuple(_paths(kind)[0].lstrip(".").split("."))}
    version = kind.resource.api_version
    shown = to_scale(old["metadata"].get("managedFields") or [], paths)
    before, after = scale_of(kind, old), scale_of(kind, new)
    before["metadata"]["managedFields"] = shown
    owners = track_update(
        before,
        after,
        definition(_SCALE),
        call.manager,
        "autoscaling/v1",
        now=cluster.now(),
        subresource="scale",
    )
    managed = from_scale(old["metadata"].get("managedFields") or [], owners, version, paths)
    if managed:
        new["metadata"]["managedFields"] = managed
    else:
        new["metadata"].pop("managedFields", None)


# --- pods ---------------------------------------------------------------------------------------------------------


def bind(cluster: Cluster, call: Call) -> Answer:
    """The scheduler's word: which node a pod runs on (registry/core/pod/storage BindingREST)."""
    value, _ = decode(call.body, call.content_type)
    if not isinstance(value, dict):
        raise bad_request("the object provided is no Binding")
    causes = binding_causes(value)
    if causes:
        raise invalid("", "Binding", call.name, causes)
    uid = (value.get("metadata") or {}).get("uid", "")
    bind_pod(cluster, call.namespace, call.name, value["target"]["name"], uid=uid)
    return Answer(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
    )


def evict(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """The eviction API: delete a pod unless a budget forbids it (registry/core/pod/storage/eviction.go)."""
    value, _ = decode(call.body, call.content_type) if call.body.strip() else ({}, [])
    if not isinstance(value, dict):
        raise bad_request("the object provided is no Eviction")
    check_eviction(call.name, {"metadata": {"name": call.name}, **value})
    options = value.get("deleteOptions") or {}
    pod = _stored(cluster, kind, call)
    is_dry_run = call.is_dry_run or bool(options.get("dryRun"))
    budgets = cluster.objects(_BUDGETS, pod["metadata"]["namespace"])
    admission = admit_eviction(pod, budgets, cluster.now())
    if admission.budget is not None and not is_dry_run:
        metadata = admission.budget["metadata"]
        cluster.store.put(Key(_BUDGETS, metadata["namespace"], metadata["name"]), admission.budget)
    remove(cluster, kind, call, options, is_dry_run=is_dry_run)
    return Answer(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
    )


# --- namespaces ---------------------------------------------------------------------------------------------------


def finalize(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """PUT of ``/finalize``: what still holds the namespace."""
    value, duplicates = decode(call.body, call.content_type)
    if not isinstance(value, dict):
        raise bad_request("the object provided is no Namespace")
    obj, _ = finish(call, kind, {**value, "apiVersion": "v1", "kind": "Namespace"}, duplicates)
    finalizers = (obj.get("spec") or {}).get("finalizers") or []

    def change(old: Object) -> Object:
        new = copy.deepcopy(old)
        spec = new.setdefault("spec", {})
        if finalizers:
            spec["finalizers"] = finalizers
        else:
            spec.pop("finalizers", None)
        return new

    stored, _ = write(cluster, kind, call, change, is_forced=True)
    return Answer(stored)


def write_status(cluster: Cluster, kind: Kind, call: Call) -> Answer:
    """PUT or PATCH of ``/status``."""
    return update(cluster, kind, call) if call.verb == "update" else patch(cluster, kind, call)
