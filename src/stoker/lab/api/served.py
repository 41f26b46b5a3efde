"""The kinds that are served: Kubernetes' own, and one for every version of every CustomResourceDefinition."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from stoker.lab.kinds.registry import strategy
from stoker.lab.kinds.strategy import Object, Strategy
from stoker.lab.resources import BUILTIN, SUBRESOURCES, Resource
from stoker.lab.schema.builtin import definition, definition_name
from stoker.lab.schema.node import Node
from stoker.lab.schema.structural import custom_node
from stoker.lab.tables import CustomColumns, custom_columns

__all__ = ["Custom", "Kind", "Served"]

# (group, plural) -> the version in which objects are kept, where a group serves a resource in several.
_STORAGE_VERSIONS = {("autoscaling", "horizontalpodautoscalers"): "v2"}
# Events are one store behind two groups (pkg/registry/core/rest/storage_core.go).
_SHELVES = {("events.k8s.io", "events"): "events"}


@dataclass(frozen=True, slots=True)
class Custom:
    """What a CustomResourceDefinition says of one version beside its schema."""

    definition: str
    schema: dict[str, Any] | None
    has_status: bool
    scale: dict[str, str] | None
    columns: CustomColumns
    selectable: tuple[str, ...]
    warning: str
    preserves_unknown: bool


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One resource in one version, with everything that the API server must know of it.

    Attributes:
        shelf: name under which the store keeps the objects, whatever the version.
        storage_version: ``apiVersion`` that they are kept in.
    """

    resource: Resource
    node: Node
    strategy: Strategy
    shelf: str
    storage_version: str
    custom: Custom | None = None
    siblings: tuple[str, ...] = field(default=())

    @property
    def is_custom(self) -> bool:
        return self.custom is not None

    @property
    def has_status(self) -> bool:
        return self.resource.subresource("status") is not None

    def error_names(self) -> tuple[str, str]:
        """Group and plural, as errors name the resource."""
        return self.resource.group, self.resource.plural


class Served:
    """A table of kinds that CustomResourceDefinitions add to and take from."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self._by_kind: dict[tuple[str, str], Kind] = {}
        self._by_definition: dict[str, list[tuple[str, str, str]]] = {}
        for resource in BUILTIN:
            self._add(_builtin(resource))

    def _add(self, kind: Kind) -> None:
        resource = kind.resource
        self._kinds[resource.group, resource.version, resource.plural] = kind
        self._by_kind[resource.api_version, resource.kind] = kind

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._kinds.get((group, version, plural))

    def find_kind(self, api_version: str, kind: str) -> Kind | None:
        """By ``apiVersion`` and ``kind``, as they stand in an object."""
        return self._by_kind.get((api_version, kind))

    def serves(self, group: str, version: str) -> bool:
        return any(key[:2] == (group, version) for key in self._kinds)

    def resources(self) -> list[Resource]:
        return [kind.resource for kind in self._kinds.values()]

    def __iter__(self) -> Iterator[Kind]:
        return iter(list(self._kinds.values()))

    def stored(self) -> list[Kind]:
        """One kind a shelf, in the version of storage."""
        found: dict[str, Kind] = {}
        for kind in self._kinds.values():
            if kind.resource.is_stored and kind.resource.api_version == kind.storage_version:
                found.setdefault(kind.shelf, kind)
        return list(found.values())

    def extend(self, kind: Kind) -> None:
        """Serve a kind that somebody answers for without storing it: an aggregated API."""
        self._add(kind)

    # --- custom resources -----------------------------------------------------------------------------------------

    def define(self, definition_object: Object) -> None:
        """Serve what an established CustomResourceDefinition describes, in place of what it described before."""
        name = definition_object["metadata"]["name"]
        self.undefine(name)
        for kind in _customs(definition_object):
            self._add(kind)
            resource = kind.resource
            self._by_definition.setdefault(name, []).append(
                (resource.group, resource.version, resource.plural)
            )

    def undefine(self, name: str) -> None:
        for key in self._by_definition.pop(name, ()):
            gone = self._kinds.pop(key)
            self._by_kind.pop((gone.resource.api_version, gone.resource.kind), None)


def _builtin(resource: Resource) -> Kind:
    name = definition_name(resource.group, resource.version, resource.kind)
    if name is None:
        raise KeyError(f"{resource.api_version} {resource.kind} has no schema")
    stored = _STORAGE_VERSIONS.get((resource.group, resource.plural), resource.version)
    shelf = _SHELVES.get((resource.group, resource.plural), resource.qualified)
    group = "" if shelf == "events" else resource.group
    storage_version = f"{group}/{stored}" if group else stored
    return Kind(resource, definition(name), strategy(resource.group, resource.kind), shelf, storage_version)


def _customs(definition_object: Object) -> Iterator[Kind]:
    spec = definition_object["spec"]
    names = (definition_object.get("status") or {}).get("acceptedNames") or spec["names"]
    group = spec["group"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        subresources = version.get("subresources") or {}
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {"type": "object"}
        resource = Resource(
            group,
            version["name"],
            names["kind"],
            names["plural"],
            names.get("singular") or names["kind"].lower(),
            spec["scope"] == "Namespaced",
            ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"),
            tuple(names.get("shortNames") or ()),
            tuple(names.get("categories") or ()),
            tuple(SUBRESOURCES[one] for one in ("status", "scale") if one in subresources),
            names.get("listKind") or f"{names['kind']}List",
        )
        warning = ""
        if version.get("deprecated"):
            warning = (
                version.get("deprecationWarning") or f"{resource.api_version} {resource.kind} is deprecated"
            )
        yield Kind(
            resource,
            custom_node(schema),
            _custom_strategy(has_status="status" in subresources),
            resource.qualified,
            f"{group}/{storage}",
            Custom(
                definition_object["metadata"]["name"],
                (version.get("schema") or {}).get("openAPIV3Schema"),
                "status" in subresources,
                subresources.get("scale"),
                custom_columns(version.get("additionalPrinterColumns")),
                tuple(one["jsonPath"] for one in version.get("selectableFields") or ()),
                warning,
                bool(spec.get("preserveUnknownFields")),
            ),
        )


def _custom_strategy(*, has_status: bool) -> Strategy:
    """Strategy of a custom resource (apiextensions pkg/registry/customresource/strategy.go)."""
    plain = Strategy(has_generation=True, allows_unconditional_update=False)
    if not has_status:
        return plain

    def without_status(new: Object) -> None:
        new.pop("status", None)

    def keep_status(new: Object, old: Object) -> None:
        if "status" in old:
            new["status"] = old["status"]
        else:
            new.pop("status", None)

    def keep_the_rest(new: Object, old: Object) -> None:
        status = new.get("status")
        metadata = new["metadata"]
        managed, labels = metadata.get("managedFields"), metadata
        new.clear()
        new.update(old)
        new["metadata"] = {**old["metadata"], "resourceVersion": labels.get("resourceVersion", "")}
        if managed is not None:
            new["metadata"]["managedFields"] = managed
        if status is not None:
            new["status"] = status
        else:
            new.pop("status", None)

    return replace(
        plain, prepare_create=without_status, prepare_update=keep_status, prepare_status=keep_the_rest
    )
