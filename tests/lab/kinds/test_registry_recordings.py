"""Every recorded create, refusal and change of the kinds of `registry`, against the real server's answers."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.registry import strategy
from stoker.lab.kinds.services_allocation import ServicePool, allocate_create, allocate_update
from stoker.lab.resources import BUILTIN, Resource
from stoker.lab.schema.builtin import definition, definition_name

Object = dict[str, Any]
# Kinds that other tests walk.
_ELSEWHERE = {
    "Pod", "PodTemplate", "ReplicationController", "Node", "Namespace", "Deployment", "ReplicaSet", "StatefulSet",
    "DaemonSet", "ControllerRevision", "Job", "CronJob",
}  # fmt: skip
# What the pipeline and admission write, and owners: their uids are placeholders of the recording.
_PIPELINE = {
    "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "namespace", "finalizers", "selfLink",
    "ownerReferences",
}  # fmt: skip

_KEPT = ("uid", "resourceVersion", "generation", "creationTimestamp", "namespace")


def _resource(path: str) -> tuple[Resource, str, list[str]] | None:
    """The resource of a path, its namespace, and what stands behind the name."""
    parts = path.partition("?")[0].strip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    found = next(
        (one for one in BUILTIN if (one.group, one.version, one.plural) == (group, version, rest[0])), None
    )
    if found is None or not found.is_stored or found.kind in _ELSEWHERE:
        return None
    return found, namespace, rest[1:]


def _steps(shared: Path) -> Iterator[tuple[str, Resource, str, list[str], Object, Object]]:
    for path in sorted((shared / "oracle" / "api").glob("*.json")):
        for index, step in enumerate(json.loads(path.read_bytes())["steps"]):
            found = _resource(step["request"]["path"])
            if found is not None and "headers" in step["response"]:
                yield f"{path.name} step {index}", *found, step["request"], step["response"]


def _prepared(resource: Resource, namespace: str, body: Object) -> Object:
    """A body decoded and defaulted, with the metadata that the pipeline fills."""
    name = definition_name(resource.group, resource.version, resource.kind)
    assert name is not None
    obj: Object = canonical(copy.deepcopy(body), definition(name))
    if namespace:
        obj["metadata"]["namespace"] = namespace
    obj["metadata"].setdefault("name", f"{obj['metadata'].get('generateName', '')}x")
    strategy(resource.group, resource.kind).default(obj)
    return obj


def _comparable(resource: Resource, obj: Object) -> Object:
    name = definition_name(resource.group, resource.version, resource.kind)
    assert name is not None
    found: Object = canonical(obj, definition(name))
    found["metadata"] = {key: value for key, value in found["metadata"].items() if key not in _PIPELINE}
    if resource.kind == "Service":
        found["spec"] = {
            key: value for key, value in found["spec"].items() if key not in {"clusterIP", "clusterIPs"}
        }
    return found


def _answer(response: Object) -> Object:
    found: Object = response.get("full") or response["body"]
    return found


def test_every_recorded_create_is_stored_as_the_server_stored_it(shared: Path) -> None:
    seen = 0
    for where, resource, namespace, rest, request, response in _steps(shared):
        if request["method"] != "POST" or rest or response["status"] != 201:
            continue
        obj = _prepared(resource, namespace, request["body"])
        behaviour = strategy(resource.group, resource.kind)
        if resource.kind == "Service":
            assert [] == allocate_create(obj, ServicePool()), where
        behaviour.prepare_create(obj)
        assert [] == behaviour.validate(obj), where
        expected = _answer(response)
        if expected.get("kind") != resource.kind:
            continue  # recorded in part only
        obj["metadata"]["name"] = expected["metadata"]["name"]
        assert _comparable(resource, expected) == _comparable(resource, obj), where
        seen += 1
    assert seen >= 40


def _causes(response: Object) -> list[Object]:
    found: list[Object] = _answer(response)["details"]["causes"]
    return found


def test_every_recorded_refusal_of_a_create_has_the_same_causes(shared: Path) -> None:
    seen = 0
    for where, resource, namespace, rest, request, response in _steps(shared):
        if request["method"] != "POST" or rest or response["status"] != 422:
            continue
        obj = _prepared(resource, namespace, request["body"])
        behaviour = strategy(resource.group, resource.kind)
        found = allocate_create(obj, ServicePool()) if resource.kind == "Service" else []
        behaviour.prepare_create(obj)
        found = found or behaviour.validate(obj)
        assert _causes(response) == [cause.document() for cause in found], where
        seen += 1
    assert seen >= 15


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    found = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value)
    return found


def _changed(resource: Resource, namespace: str, request: Object, old: Object) -> tuple[Object, list[Object]]:
    body = request["body"]
    merged = _merged(old, body) if request["method"] == "PATCH" else body
    kept = {key: old["metadata"][key] for key in _KEPT if key in old["metadata"]}
    merged["metadata"] = merged["metadata"] | kept
    new = _prepared(resource, namespace, merged)
    behaviour = strategy(resource.group, resource.kind)
    if resource.kind == "Service":
        assert [] == allocate_update(new, old, ServicePool())
    behaviour.prepare_update(new, old)
    causes = behaviour.validate(new) + behaviour.validate_update(new, old)
    return new, [cause.document() for cause in causes]


def test_every_recorded_change_ends_as_on_the_server(shared: Path) -> None:
    stored: dict[tuple[str, str, str], Object] = {}
    refused = changed = 0
    for where, resource, namespace, rest, request, response in _steps(shared):
        answer = _answer(response)
        is_whole = answer.get("kind") == resource.kind
        if request["method"] in {"PATCH", "PUT"} and len(rest) == 1:
            old = stored.get((resource.qualified, namespace, rest[0]))
            way = request.get("headers", {}).get("Content-Type", "")
            if old is not None and (request["method"] == "PUT" or "merge-patch+json" in way):
                if response["status"] == 422:
                    _, causes = _changed(resource, namespace, copy.deepcopy(request), copy.deepcopy(old))
                    assert _causes(response) == causes, where
                    refused += 1
                elif response["status"] == 200 and is_whole:
                    new, causes = _changed(resource, namespace, copy.deepcopy(request), copy.deepcopy(old))
                    assert [] == causes, where
                    assert _comparable(resource, answer) == _comparable(resource, new), where
                    changed += 1
        if is_whole and response["status"] < 300:
            stored[resource.qualified, namespace, answer["metadata"]["name"]] = answer
    assert (refused, changed) >= (5, 5)
