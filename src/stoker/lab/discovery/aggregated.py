"""Discovery in one document: all groups, or the core group.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/discovery/aggregated (handler.go, negotiation.go, etag.go),
ConvertGroupVersionIntoToDiscovery in pkg/endpoints/installer.go, and apiextensions' customresource_discovery_controller.go.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stoker.lab.discovery.legacy import told_subresources, told_verbs
from stoker.lab.discovery.order import group_priority, group_versions, is_builtin
from stoker.lab.resources import Resource

__all__ = ["AGGREGATED", "aggregated_core", "aggregated_groups", "etag", "wants_aggregated"]

Document = dict[str, Any]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_LEGACY_TYPES = {
    "*/*",
    "application/*",
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
}


def wants_aggregated(accept: str) -> bool:
    """Whether an Accept header asks for the aggregated document before it asks for the old one.

    Since 1.33 a server does not know ``v2beta1``: a client that asks for it gets the next form that it accepts.
    """
    for clause in accept.split(","):
        kind, *parameters = (part.strip() for part in clause.split(";"))
        named = dict(part.partition("=")[::2] for part in parameters)
        if named.get("as") or named.get("g") or named.get("v"):
            wanted = (named.get("g"), named.get("v"), named.get("as"))
            if kind == "application/json" and wanted == (
                "apidiscovery.k8s.io",
                "v2",
                "APIGroupDiscoveryList",
            ):
                return True
        elif kind in _LEGACY_TYPES:
            return False
    return False


def aggregated_core(resources: Iterable[Resource]) -> Document:
    """``/api``."""
    return _list([_group("", found) for found in [_of_group(resources).get("", [])] if found])


def aggregated_groups(resources: Iterable[Resource]) -> Document:
    """``/apis``: by priority, then by name."""
    groups = _of_group(resources)
    groups.pop("", None)
    return _list(
        [
            _group(name, groups[name])
            for name in sorted(groups, key=lambda name: (-group_priority(name), name))
        ]
    )


def etag(document: Mapping[str, Any]) -> str:
    """The document's Etag, quoted as the header has it.

    Upstream hashes the list before kind and version are added to it; the recorded Etag of the core group comes out the same.
    """
    content = {key: value for key, value in document.items() if key not in {"kind", "apiVersion"}}
    digest = hashlib.sha512(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
    return f'"{digest.upper()}"'


def _of_group(resources: Iterable[Resource]) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for one in resources:
        found.setdefault(one.group, []).append(one)
    return found


def _list(groups: list[Document]) -> Document:
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": groups,
    }


def _group(name: str, resources: Sequence[Resource]) -> Document:
    versions = [
        {
            "version": version,
            "resources": [
                _resource(one)
                for one in sorted(resources, key=lambda one: one.plural)
                if one.version == version
            ],
            "freshness": "Current",
        }
        for version in group_versions(resources)[name]
    ]
    return {"metadata": {"name": name} if name else {}, "versions": versions}


def _resource(resource: Resource) -> Document:
    builtin = is_builtin(resource)
    own = {
        # Built-in kinds leave group and version out, for they are those of the document's place.
        "group": "" if builtin else resource.group,
        "version": "" if builtin else resource.version,
        "kind": resource.kind,
    }
    document: Document = {
        "resource": resource.plural,
        "responseKind": own,
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": told_verbs(resource),
    }
    if resource.short_names:
        document["shortNames"] = list(resource.short_names)
    if resource.categories:
        document["categories"] = list(resource.categories)
    if resource.subresources:
        document["subresources"] = [
            {
                "subresource": one.name,
                "responseKind": {"group": one.group, "version": one.version, "kind": one.kind}
                if one.version
                else own | {"kind": one.kind or resource.kind},
                "verbs": list(one.verbs),
            }
            for one in told_subresources(resource)
        ]
    return document
