"""Objects of the API and the model's view of them, in both directions, for the four kinds that the soak uses.

ConfigMaps are plain; marks are custom resources; pods have grace periods and a kubelet that writes too; of pod templates
strategic patches change a list inside a list.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
from tests.lab.soak.history import Change, Key, Manager, Path, Selector, State, Version

__all__ = [
    "CRD",
    "FORMS",
    "HOLD",
    "Form",
    "body_of",
    "content_type",
    "query_of",
    "selector_query",
    "version_of",
]

Object = dict[str, Any]

HOLD = "soak.test/hold"
_encode = msgspec.json.Encoder(order="sorted").encode
_PREFIX = "soak.test/"
# Those that clients change; a pod gets its node's topology as well.
_LABELS = frozenset(("soak", "tier"))

CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "marks.soak.test"},
    "spec": {
        "group": "soak.test",
        "scope": "Namespaced",
        "names": {"plural": "marks", "singular": "mark", "kind": "Mark", "listKind": "MarkList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "cells": {"type": "object", "additionalProperties": {"type": "string"}}
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Form:
    """A kind, where its cells are, and what can be asked of it.

    Attributes:
        cells: path of the map that holds them; empty for pod templates, whose cells are variables of a container.
        prefix: of a cell's name in that map.
        verbs: of changes.
        is_free: a PUT may leave out the resourceVersion.
    """

    resource: str
    api: str
    version: str
    kind: str
    cells: tuple[str, ...]
    verbs: tuple[str, ...]
    prefix: str = ""
    is_free: bool = True
    names: tuple[str, ...] = tuple(f"n{number}" for number in range(8))

    def path(self, namespace: str = "", name: str = "") -> str:
        part = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.api}{part}/{self.resource}" + (f"/{name}" if name else "")


FORMS: dict[str, Form] = {
    form.resource: form
    for form in (
        Form("configmaps", "/api/v1", "v1", "ConfigMap", ("data",), ("put", "json", "merge", "strategic", "apply")),
        Form("marks", "/apis/soak.test/v1", "soak.test/v1", "Mark", ("spec", "cells"), ("put", "json", "merge", "apply"),
             is_free=False),
        Form("pods", "/api/v1", "v1", "Pod", ("metadata", "annotations"), ("put", "json", "merge", "strategic", "apply"),
             prefix=_PREFIX, is_free=False, names=("p0", "p1", "p2")),
        Form("podtemplates", "/api/v1", "v1", "PodTemplate", (), ("put", "strategic")),
    )
}  # fmt: skip


# --- from the API to the model ------------------------------------------------------------------------------------


def version_of(form: Form, obj: Object) -> Version:
    """An object as the model sees it."""
    metadata = obj["metadata"]
    state = State(
        _fields(form, obj),
        _managers(form, metadata.get("managedFields") or ()) if form.cells else None,
        frozenset(metadata.get("finalizers") or ()),
        frozenset(one["uid"] for one in metadata.get("ownerReferences") or ()),
        bool(metadata.get("deletionTimestamp")),
        int(metadata.get("deletionGracePeriodSeconds") or 0),
        metadata["uid"],
    )
    key = Key(form.resource, metadata.get("namespace", ""), metadata["name"])
    # Items of lists do not say what they are.
    content = {name: value for name, value in obj.items() if name not in {"kind", "apiVersion"}}
    digest = hashlib.blake2b(_encode(content), digest_size=16).digest()
    return Version(key, int(metadata["resourceVersion"]), state, digest, metadata["creationTimestamp"])


def _fields(form: Form, obj: Object) -> dict[Path, str]:
    found: dict[Path, str] = {}
    for name, value in (obj["metadata"].get("labels") or {}).items():
        if name in _LABELS:
            found["label", name] = value
    for name, value in _map(form, obj).items():
        if name.startswith(form.prefix):
            found["cell", name.removeprefix(form.prefix)] = value
    return found


def _map(form: Form, obj: Object) -> dict[str, str]:
    if not form.cells:
        return {one["name"]: one.get("value", "") for one in _container(obj).get("env") or ()}
    value: Any = obj
    for part in form.cells:
        value = (value or {}).get(part)
    return value or {}


def _container(obj: Object) -> Object:
    containers = ((obj.get("template") or {}).get("spec") or {}).get("containers") or [{}]
    found: Object = containers[0]
    return found


def _managers(form: Form, entries: Any) -> dict[Path, frozenset[Manager]]:
    found: dict[Path, set[Manager]] = {}
    for entry in entries:
        manager = (entry["manager"], entry["operation"])
        for kind, place, prefix in (("label", ("metadata", "labels"), ""), ("cell", form.cells, form.prefix)):
            node: Any = entry.get("fieldsV1") or {}
            for part in place:
                node = node.get(f"f:{part}") or {}
            for name in node:
                is_ours = (
                    name.removeprefix("f:") in _LABELS if kind == "label" else name.startswith(f"f:{prefix}")
                )
                if is_ours:
                    found.setdefault((kind, name.removeprefix(f"f:{prefix}")), set()).add(manager)
    return {path: frozenset(managers) for path, managers in found.items()}


# --- from the model to the API ------------------------------------------------------------------------------------


def content_type(change: Change) -> str:
    return {
        "json": "application/json-patch+json",
        "merge": "application/merge-patch+json",
        "strategic": "application/strategic-merge-patch+json",
        "apply": "application/apply-patch+yaml",
    }.get(change.verb, "application/json")


def query_of(change: Change) -> dict[str, str]:
    found = {} if change.verb == "delete" else {"fieldManager": change.manager}
    if change.is_dry:
        found["dryRun"] = "All"
    if change.verb == "apply":
        found["force"] = "true" if change.is_forced else "false"
    return found


def body_of(form: Form, name: str, change: Change, owners: list[Object], base: Object | None) -> Any:
    """The body of a request.

    Args:
        form: of the object.
        name: of it.
        change: what it wants.
        owners: its ownerReferences, for a create.
        base: what a PUT is made from.
    """
    match change.verb:
        case "create" | "apply":
            return _whole(form, name, change, owners)
        case "put":
            assert base is not None
            return _replaced(form, change, base)
        case "json":
            return _json_patch(form, change)
        case "delete":
            return _delete_options(change)
    return _patch(form, change)


def _split(change: Change) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and cells that a change sets."""
    return (
        {name: value for (kind, name), value in change.fields.items() if kind == "label"},
        {name: value for (kind, name), value in change.fields.items() if kind == "cell"},
    )


def _with_cells(form: Form, obj: Object, cells: dict[str, Any]) -> None:
    if not form.cells:
        env = [{"name": key, "value": value} for key, value in cells.items()]
        container = {"name": "main", "image": "registry.k8s.io/pause:3.10", "env": env}
        obj["template"] = {"spec": {"containers": [container]}}
        return
    node = obj
    for part in form.cells[:-1]:
        node = node.setdefault(part, {})
    here = node.setdefault(form.cells[-1], {})
    for key in [key for key in here if key.startswith(form.prefix)]:
        del here[key]
    here.update({form.prefix + key: value for key, value in cells.items()})


def _whole(form: Form, name: str, change: Change, owners: list[Object]) -> Object:
    labels, cells = _split(change)
    metadata: Object = {"name": name}
    if labels:
        metadata["labels"] = labels
    if change.finalizers:
        metadata["finalizers"] = sorted(change.finalizers)
    if owners:
        metadata["ownerReferences"] = owners
    obj: Object = {"apiVersion": form.version, "kind": form.kind, "metadata": metadata}
    if form.resource == "pods":
        obj["spec"] = {
            "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
            "terminationGracePeriodSeconds": 20,
        }
    _with_cells(form, obj, cells)
    return obj


def _replaced(form: Form, change: Change, base: Object) -> Object:
    labels, cells = _split(change)
    obj: Object = msgspec.json.decode(msgspec.json.encode(base))
    metadata = obj["metadata"]
    # Ownership that a client sends back would count instead of what is stored.
    metadata.pop("managedFields", None)
    if change.revision is None:
        metadata.pop("resourceVersion", None)
    others = {name: value for name, value in (metadata.get("labels") or {}).items() if name not in _LABELS}
    metadata["labels"] = others | labels
    metadata["finalizers"] = sorted(change.finalizers or ())
    _with_cells(form, obj, cells)
    return obj


def _json_patch(form: Form, change: Change) -> list[Object]:
    def pointer(path: Path) -> str:
        kind, name = path
        parts = ("metadata", "labels", name) if kind == "label" else (*form.cells, form.prefix + name)
        return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)

    found: list[Object] = []
    if change.expects is not None:
        found.append({"op": "test", "path": pointer(change.expects[0]), "value": change.expects[1]})
    found += [{"op": "remove", "path": pointer(path)} for path in sorted(change.drop)]
    found += [{"op": "add", "path": pointer(path), "value": value} for path, value in change.fields.items()]
    if change.finalizers is not None:
        found.append({"op": "add", "path": "/metadata/finalizers", "value": sorted(change.finalizers)})
    return found


def _patch(form: Form, change: Change) -> Object:
    """A merge or a strategic patch."""
    labels: dict[str, str | None] = {}
    cells: dict[str, str | None] = {}
    for (kind, name), value in change.fields.items():
        (labels if kind == "label" else cells)[name] = value
    for kind, name in change.drop:
        (labels if kind == "label" else cells)[name] = None
    metadata: Object = {}
    if labels:
        metadata["labels"] = labels
    if change.revision is not None:
        metadata["resourceVersion"] = str(change.revision)
    if change.finalizers is not None:
        metadata["finalizers"] = sorted(change.finalizers) or None
    if change.add_finalizers:
        metadata["finalizers"] = sorted(change.add_finalizers)
    if change.drop_finalizers:
        metadata["$deleteFromPrimitiveList/finalizers"] = sorted(change.drop_finalizers)
    obj: Object = {"metadata": metadata} if metadata else {}
    if form.cells:
        _with_cells(form, obj, cells)
    else:
        env = [
            {"name": key, "$patch": "delete"} if value is None else {"name": key, "value": value}
            for key, value in cells.items()
        ]
        obj["template"] = {"spec": {"containers": [{"name": "main", "env": env}]}}
    return obj


def _delete_options(change: Change) -> Object:
    found: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if change.grace is not None:
        found["gracePeriodSeconds"] = change.grace
    if change.policy is not None:
        found["propagationPolicy"] = change.policy
    wanted = {}
    if change.uid is not None:
        wanted["uid"] = change.uid
    if change.revision is not None:
        wanted["resourceVersion"] = str(change.revision)
    if wanted:
        found["preconditions"] = wanted
    return found


def selector_query(selector: Selector) -> dict[str, str]:
    """Of a list or a watch."""
    label = {
        "=": f"{selector.label}={selector.value}",
        "!=": f"{selector.label}!={selector.value}",
        "exists": selector.label,
        "absent": f"!{selector.label}",
        "": "",
    }[selector.operator]
    found = {"labelSelector": label} if label else {}
    if selector.name:
        found["fieldSelector"] = f"metadata.name={selector.name}"
    return found
