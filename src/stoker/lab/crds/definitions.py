"""CustomResourceDefinitions of the systems that the five upgrades rely on, made of our own short descriptions in ``data/``.

They have the names, versions, scopes, subresources and columns of the released ones (see each file's head), and of their fields
those that Stoker emits and reads, and what the lab's controllers write. Fields that they do not have are pruned.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from stoker.kube.yaml_text import Loader
from stoker.lab.crds.notation import schema

__all__ = ["GROUPS", "definitions"]

Object = dict[str, Any]

GROUPS = ("keda", "gateway", "kserve", "knative", "monitoring", "kueue", "lws")
"""Names of the sets, in the order in which they are installed."""

_AGE = ["Age", "date", ".metadata.creationTimestamp"]


@cache
def _file(name: str) -> Any:
    return yaml.load(files(__package__).joinpath(f"data/{name}.yaml").read_text(), Loader)  # noqa: S506 - a safe loader


def definitions(*sets: str) -> list[Object]:
    """The definitions of some sets, or of all: anew for every caller."""
    return [one for name in sets or GROUPS for one in _definitions(name)]


def _definitions(name: str) -> Iterator[Object]:
    document = _file(name)
    named = {**_file("common"), **document.get("schemas", {})}
    for short in document["kinds"]:
        yield _definition(short, named)


def _definition(short: Object, named: Object) -> Object:
    kind, group = short["kind"], short["group"]
    names: Object = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": short["plural"],
        "singular": kind.lower(),
    }
    for field, own in (("shortNames", "short"), ("categories", "categories")):
        if short.get(own):
            names[field] = list(short[own])
    versions = [_version(one, short, named) for one in short["versions"]]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{short['plural']}.{group}",
            "annotations": dict(short.get("annotations") or {}),
        },
        "spec": {
            "group": group,
            "names": names,
            "scope": "Cluster" if short.get("cluster") else "Namespaced",
            "versions": versions,
        },
    }


def _version(text: str, short: Object, named: Object) -> Object:
    """``v1``, ``v1+`` for the one that is stored, ``v1beta1-`` for one that is deprecated."""
    name = text.rstrip("+-")
    found: Object = {"name": name, "served": True, "storage": text.endswith("+")}
    if text.endswith("-"):
        found["deprecated"] = True
        found["deprecationWarning"] = short["deprecation"]
    fields = {
        "apiVersion": "s",
        "kind": "s",
        "metadata": {},
        **short["fields"],
        **(short.get("differs") or {}).get(name, {}),
    }
    found["schema"] = {"openAPIV3Schema": schema(fields, named)}
    subresources: Object = {} if short.get("status") is False else {"status": {}}
    if short.get("scale"):
        spec, status, selector = short["scale"]
        subresources["scale"] = {
            "specReplicasPath": spec,
            "statusReplicasPath": status,
            "labelSelectorPath": selector,
        }
    if subresources:
        found["subresources"] = subresources
    columns = (short.get("columns_of") or {}).get(name) or short.get("columns") or ()
    if columns:
        found["additionalPrinterColumns"] = [_column(one) for one in columns]
    return found


def _column(short: Any) -> Object:
    if short == "Age":
        short = _AGE
    if isinstance(short, str):
        # A condition's status, or its reason: ``Ready`` and ``Ready.reason``.
        kind, _, part = short.partition(".")
        quoted = f"'{kind}'" if kind.startswith("~") else f'"{kind}"'
        path = f".status.conditions[?(@.type=={quoted.replace('~', '')})].{part or 'status'}"
        return {"name": part.title() or kind.lstrip("~"), "type": "string", "jsonPath": path}
    name, kind, path, *priority = short
    found = {"name": name, "type": kind, "jsonPath": path}
    return {**found, "priority": priority[0]} if priority else found
