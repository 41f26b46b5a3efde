"""Managed fields of every recorded write of a real API server come out of our functions.

The recordings hold objects as they were stored: what the registry and admission add after ownership was decided is taken away
first (`before_admission`), and what controllers wrote between two recorded steps is taken from the later one
(`with_what_controllers_wrote`).
"""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from stoker.lab.merge.apply import apply, track_update
from stoker.lab.merge.facts import CUSTOM_MAIN, CUSTOM_STATUS, Reset
from stoker.lab.merge.scale import from_scale, to_scale
from stoker.lab.schema.builtin import definition, definition_name
from stoker.lab.schema.node import Node
from stoker.lab.status import ApiError

NOW = "<time>"
Object = dict[str, Any]
CONTROLLERS = {"kube-controller-manager", "kube-scheduler"}


def steps(shared: Path) -> Iterator[tuple[str, Object, Object, Object | None]]:
    """Where, request, response, and the object as it was recorded before."""
    for file in sorted((shared / "oracle" / "api").glob("*.json")):
        seen: dict[tuple[Any, ...], Object] = {}
        text = re.sub(r"<(uid-\d+|rand)>", r"\1", file.read_text())  # brackets would be escaped inside keys
        for position, step in enumerate(json.loads(text)["steps"]):
            request, response = step["request"], step["response"]
            full = response.get("full") or response.get("body")
            yield (
                f"{file.name}#{position}",
                request,
                {**response, "full": full},
                seen.get(identity(request, full)),
            )
            if response["status"] < 300 and "dryRun" not in (request.get("query") or {}) and is_object(full):
                seen[identity(request, full)] = full


def identity(request: Object, full: Any) -> tuple[Any, ...]:
    metadata = full.get("metadata", {}) if isinstance(full, dict) else {}
    if not metadata.get("name"):  # an error: the name is in the path
        return ("path", request["path"].split("/"))[:1]
    return full.get("apiVersion"), full.get("kind"), metadata.get("namespace"), metadata["name"]


def is_object(full: Any) -> bool:
    return (
        isinstance(full, dict)
        and "name" in full.get("metadata", {})
        and full["kind"] not in {"Status", "Scale"}
    )


def schema_of(found: Object, shared: Path) -> Node | None:
    group, _, version = found["apiVersion"].rpartition("/")
    name = definition_name(group, version, found["kind"])
    if name is not None:
        return definition(name)
    for crd in custom_definitions(shared):
        if crd["spec"]["group"] == group and crd["spec"]["names"]["kind"] == found["kind"]:
            for one in crd["spec"]["versions"]:
                if one["name"] == version:
                    return Node(one["schema"]["openAPIV3Schema"], lambda _: {})
    return None


class _Loader(yaml.CSafeLoader):
    """Reads a lone ``=``, which some CRDs list as a value, as a text."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: str(node.value))
_DEFINITIONS: list[Object] = []


def custom_definitions(shared: Path) -> list[Object]:
    if not _DEFINITIONS:
        for file in sorted((shared / "crds").rglob("*.y*ml")):
            documents = yaml.load_all(file.read_text(), Loader=_Loader)  # a safe loader
            _DEFINITIONS.extend(
                one for one in documents if one and one.get("kind") == "CustomResourceDefinition"
            )
    return _DEFINITIONS


def reset_of(schema: Node, subresource: str) -> Reset | None:
    if schema.name:
        return None
    return CUSTOM_STATUS if subresource == "status" else CUSTOM_MAIN


def subresource_of(request: Object) -> str:
    last = str(request["path"]).rstrip("/").rpartition("/")[2]
    return last if last in {"status", "resize", "ephemeralcontainers"} else ""


def manager_of(request: Object) -> str:
    return str((request.get("query") or {}).get("fieldManager", "oracle"))


def content_type(request: Object) -> str:
    return next((v for k, v in (request.get("headers") or {}).items() if k.lower() == "content-type"), "")


def unowned(found: Object) -> Object:
    metadata = {k: v for k, v in found["metadata"].items() if k not in {"managedFields", "uid"}}
    return {**deepcopy(found), "metadata": metadata}


ADDED_LATER: dict[str, str] = {
    "Namespace": "spec",
    "PersistentVolumeClaim": "metadata.finalizers",
    "Service": "spec.clusterIP spec.clusterIPs spec.ipFamilies spec.ipFamilyPolicy",
    "Job": "metadata.labels spec.selector spec.template.metadata.labels",
    "Pod": (
        "spec.priority spec.preemptionPolicy spec.priorityClassName spec.serviceAccount spec.serviceAccountName "
        "spec.tolerations spec.volumes"
    ),
    "SelfSubjectAccessReview": "status",
    "SelfSubjectReview": "status",
    "SubjectAccessReview": "status",
}


def before_admission(found: Object, body: Object) -> Object:
    """A recorded object without what the registry and admission added to what was sent."""
    left = unowned(found)
    for dotted in ADDED_LATER.get(found["kind"], "").split():
        path = dotted.split(".")
        place, sent = left, body
        for step in path[:-1]:
            place, sent = place.get(step) or {}, sent.get(step) or {}
        if path[-1] in sent:
            place[path[-1]] = keep_sent(place[path[-1]], sent[path[-1]])
        elif path[-1] in place:
            del place[path[-1]]
    if found["kind"] == "Pod":
        drop_limit_range(left, body)
    return left


def drop_limit_range(pod: Object, body: Object) -> None:
    """Takes mounts of the token and resources that a LimitRange filled in away from the containers."""
    if "annotations" not in body["metadata"]:
        pod["metadata"].pop("annotations", None)
    for key in ("containers", "initContainers"):
        for one, sent in zip(pod["spec"].get(key, []), body["spec"].get(key, []), strict=True):
            if "volumeMounts" not in sent:
                one.pop("volumeMounts", None)
            names = {name for amounts in sent.get("resources", {}).values() for name in amounts}
            kept = {
                part: {name: amount for name, amount in amounts.items() if name in names}
                for part, amounts in one["resources"].items()
            }
            one["resources"] = {part: amounts for part, amounts in kept.items() if amounts}


def keep_sent(found: Any, sent: Any) -> Any:
    if isinstance(found, list) and isinstance(sent, list):
        return found[: len(sent)]
    return found


def test_creates_are_owned_as_recorded(shared: Path) -> None:
    count = 0
    for where, request, response, _ in steps(shared):
        full = response["full"]
        if request["method"] != "POST" or response["status"] != 201 or not isinstance(full, dict):
            continue
        if "managedFields" not in full.get("metadata", {}) or "generateName" in full["metadata"]:
            continue
        schema = schema_of(full, shared)
        if schema is None:
            continue
        new = before_admission(full, request["body"])
        reset = reset_of(schema, "")
        found = track_update(None, new, schema, "oracle", full["apiVersion"], now=NOW, reset=reset)
        assert readable(full["metadata"]["managedFields"]) == readable(found), where
        count += 1
    assert count > 150


def with_what_controllers_wrote(old: Object, full: Object) -> Object:
    theirs = [one for one in full["metadata"].get("managedFields", []) if one["manager"] in CONTROLLERS]
    entries = [one for one in old["metadata"].get("managedFields", []) if one["manager"] not in CONTROLLERS]
    metadata = {**old["metadata"], "managedFields": entries + theirs}
    if "annotations" in full["metadata"] and full["kind"] == "Deployment":
        metadata["annotations"] = full["metadata"]["annotations"]
    return {**old, "metadata": metadata, **({"status": full["status"]} if theirs else {})}


def written(shared: Path) -> Iterator[tuple[str, Object, Object, Object | None, Node]]:
    for where, request, response, old in steps(shared):
        full = response["full"]
        if request["method"] not in {"PATCH", "PUT"} or response["status"] >= 300 or not is_object(full):
            continue
        schema = schema_of(full, shared)
        if schema is not None:
            yield where, request, full, old and with_what_controllers_wrote(old, full), schema


def test_updates_and_patches_are_owned_as_recorded(shared: Path) -> None:
    count = 0
    for where, request, full, old, schema in written(shared):
        if old is None or "apply-patch" in content_type(request):
            continue
        part = subresource_of(request)
        new = {**full, "metadata": {**full["metadata"], "managedFields": None}}
        found = track_update(
            old,
            new,
            schema,
            manager_of(request),
            full["apiVersion"],
            now=NOW,
            subresource=part,
            reset=reset_of(schema, part),
        )
        assert readable(full["metadata"].get("managedFields", [])) == readable(found), where
        count += 1
    assert count > 20


def test_applies_give_the_recorded_owners_and_fields(shared: Path) -> None:
    count = 0
    for where, request, full, old, schema in written(shared):
        if "apply-patch" not in content_type(request):
            continue
        part = subresource_of(request)
        force = str((request.get("query") or {}).get("force")).lower() == "true"
        found = apply(
            old,
            request["body"],
            schema,
            manager_of(request),
            full["apiVersion"],
            force=force,
            now=NOW,
            subresource=part,
            reset=reset_of(schema, part),
        )
        assert readable(full["metadata"]["managedFields"]) == readable(found["metadata"]["managedFields"]), (
            where
        )
        if old is not None and not part:
            assert full.get("data") == (found.get("data") or None), where
            assert full.get("spec") == found.get("spec"), where
        count += 1
    assert count >= 11


def test_conflicts_are_refused_in_the_recorded_words(shared: Path) -> None:
    count = 0
    live: dict[str, Object] = {}
    for where, request, response, _ in steps(shared):
        full = response["full"]
        path = request["path"]
        if is_object(full) and response["status"] < 300 and "dryRun" not in (request.get("query") or {}):
            live[path] = full
        if "apply-patch" not in content_type(request) or response["status"] != 409:
            continue
        schema = schema_of(request["body"], shared)
        assert schema is not None
        with pytest.raises(ApiError) as refused:
            apply(
                live[path],
                request["body"],
                schema,
                manager_of(request),
                request["body"]["apiVersion"],
                force=False,
                now=NOW,
            )
        assert response["body"] == refused.value.document(), where
        count += 1
    assert count >= 3


def test_a_scaled_deployment_is_owned_as_recorded(shared: Path) -> None:
    recorded = json.loads((shared / "oracle" / "api" / "deployment-scale.json").read_bytes())["steps"]
    before, after = (recorded[at]["response"]["full"]["metadata"]["managedFields"] for at in (1, 5))
    paths = {"apps/v1": ("spec", "replicas")}
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "d", "uid": "u", "managedFields": to_scale(before, paths)},
        "spec": {"replicas": 1},
        "status": {"replicas": 0},
    }
    changed = track_update(
        scale,
        {**scale, "spec": {"replicas": 3}},
        definition("io.k8s.api.autoscaling.v1.Scale"),
        "oracle",
        "autoscaling/v1",
        now=NOW,
        subresource="scale",
    )
    found = from_scale(before, changed, "apps/v1", paths)
    expected = [one for one in after if one["manager"] not in CONTROLLERS]
    assert readable(expected) == readable(found)


def readable(entries: list[Object]) -> list[str]:
    """Every entry as text, sorted: recorded times are all the same placeholder. Key order counts."""
    return sorted(json.dumps(one) for one in entries)
