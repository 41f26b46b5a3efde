"""Discovery document by document, as clients before 1.27 read it and `kubectl api-resources` falls back to.

Upstream: staging/src/k8s.io/apiserver/pkg/endpoints/discovery and installer.go,
staging/src/k8s.io/kube-aggregator/pkg/apiserver/handler_apis.go,
staging/src/k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_discovery_controller.go.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stoker.lab.discovery.order import group_priority, group_versions, is_builtin, stored_hash
from stoker.lab.resources import Resource, Subresource

__all__ = ["CUSTOM_VERBS", "api_versions", "group", "group_list", "resource_list"]

Document = dict[str, Any]
_OWN_GROUP = "apiregistration.k8s.io"
# Written out upstream in this order, whatever the verbs' order of built-in kinds.
CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


def api_versions(server_address: str) -> Document:
    """``/api``; the address is the server's own, such as ``127.0.0.1:6443``."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def group_list(resources: Iterable[Resource]) -> Document:
    """``/apis``: the aggregator's group first, then by priority, then by the name of the first version's APIService."""
    versions = group_versions(resources)
    versions.pop("", None)

    def place(name: str) -> tuple[bool, int, str]:
        first = min(f"{version}.{name}" for version in versions[name])
        return (name != _OWN_GROUP, -group_priority(name), first)

    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions[name]) for name in sorted(versions, key=place)],
    }


def group(resources: Iterable[Resource], name: str) -> Document | None:
    """``/apis/<group>``; None where there is no such group."""
    versions = group_versions(one for one in resources if one.group == name)
    if not name or not versions:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions[name])}


def _group(name: str, versions: Sequence[str]) -> Document:
    told = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": told, "preferredVersion": told[0]}


def resource_list(
    resources: Iterable[Resource],
    group: str,
    version: str,
    storage_versions: Mapping[str, str] | None = None,
) -> Document | None:
    """``/api/v1`` and ``/apis/<group>/<version>``; None where there is no such version.

    Built-in resources come by name, custom ones in the order given.

    Args:
        resources: what is served.
        group: empty for the core group.
        version: such as ``v1``.
        storage_versions: version in which a custom resource is stored, by ``plural.group``.
    """
    found = [one for one in resources if (one.group, one.version) == (group, version)]
    if not found:
        return None
    told = [entry for one in found for entry in _entries(one, storage_versions or {})]
    if is_builtin(found[0]):
        told.sort(key=lambda entry: str(entry["name"]))
    document: Document = {"kind": "APIResourceList"}
    if group:
        document["apiVersion"] = "v1"  # the core group answers as it did before documents had a version
    return document | {"groupVersion": found[0].api_version, "resources": told}


def _entries(resource: Resource, storage_versions: Mapping[str, str]) -> Iterable[Document]:
    custom = not is_builtin(resource)
    main: Document = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": told_verbs(resource),
    }
    if resource.short_names:
        main["shortNames"] = list(resource.short_names)
    if resource.categories:
        main["categories"] = list(resource.categories)
    if resource.is_stored:
        main["storageVersionHash"] = stored_hash(resource, storage_versions)
    yield main
    for one in told_subresources(resource):
        entry: Document = {
            "name": f"{resource.plural}/{one.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
        }
        if one.version and (custom or (one.group, one.version) != (resource.group, resource.version)):
            entry |= {"group": one.group, "version": one.version}
        yield entry | {"kind": one.kind or resource.kind, "verbs": list(one.verbs)}


def told_verbs(resource: Resource) -> list[str]:
    """Verbs in the order in which discovery tells them."""
    if is_builtin(resource):
        return list(resource.verbs)
    return [verb for verb in CUSTOM_VERBS if verb in resource.verbs]


def told_subresources(resource: Resource) -> list[Subresource]:
    """Subresources by name; of a custom resource status before scale."""
    return sorted(resource.subresources, key=lambda one: one.name, reverse=not is_builtin(resource))
