"""CustomResourceDefinitions: the shipped ones pass; common mistakes are named as the server names them."""

import copy
from pathlib import Path
from typing import Any

import yaml

from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.custom_definitions_names import established_status, is_established
from stoker.lab.kinds.registry import strategy
from stoker.lab.schema.builtin import definition, definition_name

Object = dict[str, Any]
DEFINITION = strategy("apiextensions.k8s.io", "CustomResourceDefinition")
NOW = "2026-01-01T00:00:00Z"


class _Loader(yaml.CSafeLoader):
    """Takes ``=`` for the text that it is in an enum."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _loader, node: str(node.value))
_LARGE = 300_000  # bytes; larger ones add minutes of YAML and no new kind of schema


def _definition(schema: Object | None = None, **spec: Any) -> Object:
    version = {"name": "v1", "served": True, "storage": True}
    whole = {"type": "object"} if schema is None else schema
    found: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{**version, "schema": {"openAPIV3Schema": whole}}],
            **spec,
        },
    }
    DEFINITION.default(found)
    DEFINITION.prepare_create(found)
    return found


def _texts(found: Object) -> list[str]:
    return [str(cause) for cause in DEFINITION.validate(found)]


def test_every_shipped_definition_is_accepted(shared: Path) -> None:
    name = definition_name("apiextensions.k8s.io", "v1", "CustomResourceDefinition")
    assert name is not None
    seen = 0
    for path in sorted((shared / "crds").rglob("*.y*ml")):
        if path.stat().st_size > _LARGE:
            continue
        for document in yaml.load_all(path.read_bytes(), Loader=_Loader):
            if not document or document.get("kind") != "CustomResourceDefinition":
                continue
            found: Object = canonical(document, definition(name))
            DEFINITION.default(found)
            DEFINITION.prepare_create(found)
            assert [] == _texts(found), path.name
            seen += 1
    assert seen > 20


def test_names_are_filled_and_the_storage_version_noted() -> None:
    found = _definition()
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    assert names == found["spec"]["names"]
    assert {"strategy": "None"} == found["spec"]["conversion"]
    assert ["v1"] == found["status"]["storedVersions"]


def test_a_name_that_is_not_plural_and_group_is_refused() -> None:
    found = _definition()
    found["metadata"]["name"] = "thing.example.com"
    assert [
        'metadata.name: Invalid value: "thing.example.com": must be spec.names.plural+"."+spec.group'
    ] == _texts(found)


def test_a_version_without_a_schema_is_refused() -> None:
    found = _definition()
    del found["spec"]["versions"][0]["schema"]
    assert ["spec.versions[0].schema.openAPIV3Schema: Required value"] == _texts(found)


def test_two_storage_versions_print_the_internal_versions() -> None:
    found = _definition()
    second = {**copy.deepcopy(found["spec"]["versions"][0]), "name": "v2"}
    found["spec"]["versions"].append(second)
    found["status"]["storedVersions"] = ["v1", "v2"]
    printed = ",".join(
        f'{{"Name":"{name}","Served":true,"Storage":true,"Deprecated":false,"DeprecationWarning":null,"Schema":null,'
        '"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}'
        for name in ("v1", "v2")
    )
    text = (
        f"spec.versions: Invalid value: [{printed}]: must have exactly one version marked as storage version"
    )
    assert [text] == _texts(found)


def test_a_schema_that_is_not_structural_is_refused_where_the_server_keeps_it() -> None:
    properties = {"a": {"description": "no type"}, "b": {"type": "array"}}
    nested = {"properties": {"c": {"type": "string"}}}
    path = "spec.validation.openAPIV3Schema"
    assert [
        f"{path}.anyOf[0].properties[c].type: Forbidden: must be empty to be structural",
        f"{path}.properties[a].type: Required value: must not be empty for specified object fields",
        f"{path}.properties[b].items: Required value: must be specified",
        f"{path}.properties[c]: Required value: because it is defined in {path}.anyOf[0].properties[c]",
    ] == _texts(_definition({"type": "object", "properties": properties, "anyOf": [nested]}))


def test_the_keys_of_an_associative_list_must_be_there() -> None:
    items = {"type": "object", "properties": {"name": {"type": "string"}}}
    listed = {"type": "array", "items": items, "x-kubernetes-list-type": "map"}
    path = "spec.validation.openAPIV3Schema.properties[l]"

    def texts(**more: Any) -> list[str]:
        return _texts(_definition({"type": "object", "properties": {"l": {**listed, **more}}}))

    empty = "must not be empty if x-kubernetes-list-type is map"
    assert [f"{path}.x-kubernetes-list-map-keys: Required value: {empty}"] == texts()
    needed = (
        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
    )
    keys = {"x-kubernetes-list-map-keys": ["name"]}
    assert [f"{path}.items.properties[name].default: Required value: {needed}"] == texts(**keys)


def test_scope_and_kind_are_fixed_once_established() -> None:
    old = _definition()
    old["metadata"]["resourceVersion"] = "1"
    new = copy.deepcopy(old)
    new["spec"]["scope"] = "Cluster"
    assert [] == DEFINITION.validate_update(new, old)
    old["status"] = established_status(old, [], NOW)
    assert is_established(old)
    DEFINITION.prepare_update(new, old)
    assert ['spec.scope: Invalid value: "Cluster": field is immutable'] == [
        str(cause) for cause in DEFINITION.validate_update(new, old)
    ]


def test_a_kind_that_another_definition_has_is_not_accepted() -> None:
    other = _definition(names={"plural": "stuff", "kind": "Thing"})
    other["metadata"]["name"] = "stuff.example.com"
    other["status"] = established_status(other, [], NOW)
    status = established_status(_definition(), [other], NOW)
    conditions = {one["type"]: (one["status"], one["reason"], one["message"]) for one in status["conditions"]}
    assert {
        "NamesAccepted": ("False", "ListKindConflict", '"ThingList" is already in use'),
        "Established": ("False", "NotAccepted", "not all names are accepted"),
    } == conditions


def test_a_group_of_the_community_needs_its_approval() -> None:
    found = _definition(group="x.k8s.io")
    found["metadata"]["name"] = "things.x.k8s.io"
    path = "metadata.annotations[api-approved.kubernetes.io]"
    assert [path] == [cause.field for cause in DEFINITION.validate(found)]
    found["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a trial"}
    assert [] == _texts(found)
