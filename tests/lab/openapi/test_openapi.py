"""OpenAPI documents against what a real server recorded, and what its clients look for in them."""

import json
from pathlib import Path
from timeit import timeit
from typing import Any

import pytest

from stoker.lab.openapi import CustomKind, OpenApi, etag
from stoker.lab.resources import BUILTIN, SUBRESOURCES, Resource

STATUS, SCALE = SUBRESOURCES["status"], SUBRESOURCES["scale"]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A widget.",
    "required": ["spec"],
    "properties": {
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "properties": {
                "port": {"x-kubernetes-int-or-string": True},
                "size": {"type": "integer", "default": 1, "minimum": 0, "nullable": True},
                "template": {"type": "object", "x-kubernetes-embedded-resource": True},
                "free": {
                    "type": "object",
                    "x-kubernetes-preserve-unknown-fields": True,
                    "properties": {"a": {"type": "string"}},
                },
            },
        },
    },
}


def custom(
    group: str, version: str, kind: str, *, namespaced: bool = True, parts: Any = (STATUS,)
) -> Resource:
    plural = f"{kind.lower()}s"
    return Resource(
        group,
        version,
        kind,
        plural,
        kind.lower(),
        namespaced,
        subresources=parts,
        list_kind=f"{kind}List",
    )


KEDA = [
    CustomKind(
        custom("keda.sh", "v1alpha1", kind, namespaced=not kind.startswith("Cluster")), {"type": "object"}
    )
    for kind in ("ScaledJob", "ScaledObject", "TriggerAuthentication", "ClusterTriggerAuthentication")
]
WIDGET = CustomKind(custom("example.com", "v1", "Widget", parts=(STATUS, SCALE)), SCHEMA, (".spec.size",))
SERVED = OpenApi(BUILTIN, [*KEDA, WIDGET])


def document(key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SERVED.document(key))
    return found


def recorded(shared: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared / "oracle" / "api" / f"{name}.json").read_bytes())[
        "steps"
    ]
    return found


def test_schemas_of_the_core_group_are_those_of_the_real_server(shared: Path) -> None:
    [step] = recorded(shared, "openapi-v3-core-schemas")
    schemas = document("api/v1")["components"]["schemas"]
    for kind, expected in step["response"]["body"].items():
        assert expected == schemas[f"io.k8s.api.core.v1.{kind}"]


def test_a_built_in_groups_document_is_that_of_the_real_server(shared: Path) -> None:
    expected = recorded(shared, "openapi-v3")[1]["response"]["body"]
    actual = document("apis/scheduling.k8s.io/v1")
    assert (
        expected["PriorityClass"] == actual["components"]["schemas"]["io.k8s.api.scheduling.v1.PriorityClass"]
    )
    assert expected["schemas"] == list(actual["components"]["schemas"])
    assert expected["paths"] == list(actual["paths"])
    assert (expected["openapi"], expected["info"]) == (actual["openapi"], actual["info"])


def test_a_custom_groups_document_is_that_of_the_real_server(shared: Path) -> None:
    expected = recorded(shared, "openapi-v3")[2]["response"]["body"]
    actual = document("apis/keda.sh/v1alpha1")
    schemas = actual["components"]["schemas"]
    # The recording keeps the first twelve paths and twenty schemas.
    assert expected["paths"] == list(actual["paths"])[:12]
    assert expected["schemas"] == list(schemas)[:20]
    assert expected["gvk"] == schemas["sh.keda.v1alpha1.ScaledObject"]["x-kubernetes-group-version-kind"]


def test_the_version_document_is_that_of_the_real_server(shared: Path) -> None:
    assert recorded(shared, "openapi-v3")[4]["response"]["full"] == document("version")


def test_the_index_names_the_documents_that_the_real_server_names(shared: Path) -> None:
    expected = recorded(shared, "openapi-v3")[0]["response"]["body"]
    actual = {
        key: f"{one['serverRelativeURL'].partition('=')[0]}=<hash>"
        for key, one in SERVED.index()["paths"].items()
    }
    known = {key: url for key, url in expected.items() if key in actual}
    assert known == {key: url for key, url in actual.items() if "example.com" not in key}
    assert {"api", "api/v1", "apis", "apis/apps", "apis/apps/v1", "version", "openid/v1/jwks"} <= set(known)


def test_a_document_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        SERVED.document("apis/nope/v1")
    with pytest.raises(KeyError):
        SERVED.hash_of("apis/nope/v1")


def test_every_document_refers_only_to_what_it_holds() -> None:
    for key in SERVED.keys:
        found = document(key)
        text = json.dumps(found)
        wanted = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert wanted <= set(found["components"].get("schemas", {})), key


def test_operations_have_names_of_their_own() -> None:
    names = [
        operation["operationId"]
        for key in SERVED.keys
        for item in document(key)["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(set(names)) == len(names)


def test_kubectl_finds_field_validation_at_the_patch_of_every_kind() -> None:
    """As queryParamVerifierV3 of cli-runtime looks: among the parameters of the operation, not of its path."""
    for resource in [*BUILTIN, WIDGET.resource]:
        if "patch" not in resource.verbs:
            continue
        root = f"apis/{resource.group}" if resource.group else "api"
        kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        patches = [
            item["patch"]
            for item in document(f"{root}/{resource.version}")["paths"].values()
            if item.get("patch", {}).get("x-kubernetes-group-version-kind") == kind
        ]
        assert patches
        for patch in patches:
            assert "fieldValidation" in {one["name"] for one in patch["parameters"] if one["in"] == "query"}


def test_a_custom_kind_has_what_every_object_has() -> None:
    found = document("apis/example.com/v1")["components"]["schemas"]["com.example.v1.Widget"]
    meta = {"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    assert [meta] == found["properties"]["metadata"]["allOf"]
    assert found["properties"]["kind"]["description"].startswith(
        "Kind is a string value representing the REST"
    )
    assert found["properties"]["apiVersion"]["description"].startswith(
        "APIVersion defines the versioned schema"
    )
    assert [{"fieldPath": ".spec.size"}] == found["x-kubernetes-selectable-fields"]
    inside = found["properties"]["spec"]["properties"]
    assert [{"type": "integer"}, {"type": "string"}] == inside["port"]["anyOf"]
    assert ["kind", "apiVersion"] == inside["template"]["required"]
    assert {"apiVersion", "kind", "metadata"} == set(inside["template"]["properties"])
    assert SCHEMA["properties"]["spec"]["properties"]["size"] == inside["size"]
    # The CustomResourceDefinition's own schema stays as it was.
    assert "anyOf" not in SCHEMA["properties"]["spec"]["properties"]["port"]
    assert {"type": "object"} == SCHEMA["properties"]["metadata"]


def test_a_custom_kinds_scale_is_kubernetes_own() -> None:
    found = document("apis/example.com/v1")
    get = found["paths"]["/apis/example.com/v1/namespaces/{namespace}/widgets/{name}/scale"]["get"]
    answer = get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert "#/components/schemas/io.k8s.api.autoscaling.v1.Scale" == answer
    assert "readExampleComV1NamespacedWidgetScale" == get["operationId"]


def test_a_hash_changes_with_the_schema_and_not_with_the_object() -> None:
    key = "apis/example.com/v1"
    other = CustomKind(WIDGET.resource, SCHEMA | {"description": "Another."})
    assert SERVED.hash_of(key) == OpenApi(BUILTIN, [WIDGET]).hash_of(key)
    assert SERVED.hash_of(key) != OpenApi(BUILTIN, [other]).hash_of(key)
    assert SERVED.hash_of("api/v1") == OpenApi(BUILTIN).hash_of("api/v1")
    assert 128 == len(etag(b"x")) == len(SERVED.hash_of("api/v1"))


def test_the_older_document_says_nothing_that_kubectl_reads_wrongly() -> None:
    found = json.loads(SERVED.swagger())
    inside = found["definitions"]["com.example.v1.Widget"]["properties"]["spec"]["properties"]
    assert {"x-kubernetes-int-or-string": True} == inside["port"]
    assert {"minimum": 0} == inside["size"]
    assert {"x-kubernetes-preserve-unknown-fields": True} == inside["free"]
    assert {"type": "string"} == found["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]
    assert "default" not in json.dumps(found["definitions"]["io.k8s.api.core.v1.Pod"])
    wanted = {part.partition('"')[0] for part in json.dumps(found).split("#/definitions/")[1:]}
    assert wanted <= set(found["definitions"])
    assert "#/components" not in json.dumps(found)
    patch = found["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]
    assert ["body", "dryRun", "fieldManager", "fieldValidation", "force"] == [
        one["name"] for one in patch["parameters"]
    ]


def test_the_index_costs_next_to_nothing_before_any_document_is_built() -> None:
    # Far above what it takes (1 ms): this is to catch an index that builds documents.
    assert timeit(lambda: OpenApi(BUILTIN, KEDA).index(), number=10) / 10 < 0.05
