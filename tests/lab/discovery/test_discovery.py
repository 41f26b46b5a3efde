"""Discovery against what a real server recorded."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stoker.lab.discovery import (
    aggregated_core,
    aggregated_groups,
    api_versions,
    etag,
    group,
    group_list,
    resource_list,
    version_document,
    version_key,
    wants_aggregated,
)
from stoker.lab.resources import BUILTIN, SUBRESOURCES, Resource, Subresource

STATUS, SCALE = SUBRESOURCES["status"], SUBRESOURCES["scale"]


def custom(group: str, version: str, kind: str, *short: str, namespaced: bool = True) -> Resource:
    plural = f"{kind.lower()}s"
    return Resource(
        group, version, kind, plural, kind.lower(), namespaced, short_names=short, subresources=(STATUS,)
    )


KEDA = (
    custom("keda.sh", "v1alpha1", "ScaledJob", "sj"),
    custom("keda.sh", "v1alpha1", "TriggerAuthentication", "ta", "triggerauth"),
    custom(
        "keda.sh", "v1alpha1", "ClusterTriggerAuthentication", "cta", "clustertriggerauth", namespaced=False
    ),
    custom("keda.sh", "v1alpha1", "ScaledObject", "so"),
)
SERVED = (*BUILTIN, *KEDA)


def recorded(shared: Path, name: str) -> dict[str, dict[str, Any]]:
    document = json.loads((shared / "oracle" / "api" / f"{name}.json").read_bytes())
    return {step["request"]["path"]: step["response"] for step in document["steps"]}


def whole_core() -> list[Resource]:
    """The core group with what a real server has besides: whatever of it resources.py lacks is added."""
    proxies = ("create", "delete", "get", "patch", "update")
    found = [one for one in BUILTIN if not one.group]
    for index, one in enumerate(found):
        if one.plural in {"nodes", "pods", "services"} and one.subresource("proxy") is None:
            proxy = Subresource("proxy", proxies, f"{one.kind}ProxyOptions")
            found[index] = replace(one, subresources=(*one.subresources, proxy))
    for plural, singular, kind, verbs, short in (
        ("bindings", "binding", "Binding", ("create",), ()),
        ("componentstatuses", "componentstatus", "ComponentStatus", ("get", "list"), ("cs",)),
    ):
        if not any(one.plural == plural for one in found):
            found.append(
                Resource(
                    "",
                    "v1",
                    kind,
                    plural,
                    singular,
                    namespaced=kind == "Binding",
                    verbs=verbs,
                    short_names=short,
                    is_stored=False,
                )
            )
    return found


def test_the_core_version_is_told_as_the_real_server_tells_it(shared: Path) -> None:
    expected = recorded(shared, "discovery-legacy")["/api/v1"]["full"]
    assert expected == resource_list(whole_core(), "", "v1")


def test_a_group_of_built_in_kinds_is_told_as_the_real_server_tells_it(shared: Path) -> None:
    real = recorded(shared, "discovery-legacy")
    assert real["/apis/apps/v1"]["full"] == resource_list(SERVED, "apps", "v1")
    assert real["/apis/apps"]["body"] == group(SERVED, "apps")


def test_a_group_of_custom_kinds_is_told_as_the_real_server_tells_it(shared: Path) -> None:
    real = recorded(shared, "discovery-legacy")
    assert real["/apis/keda.sh/v1alpha1"]["full"] == resource_list(SERVED, "keda.sh", "v1alpha1")
    services = [
        custom("serving.kserve.io", version, "InferenceService", "isvc")
        for version in ("v1beta1", "v1alpha1")
    ]
    assert real["/apis/serving.kserve.io/v1beta1"]["body"] == resource_list(
        services, "serving.kserve.io", "v1beta1"
    )


def test_the_groups_come_in_the_real_servers_order(shared: Path) -> None:
    expected = recorded(shared, "discovery-legacy")["/apis"]["full"]
    every = [
        Resource(one["name"], version["version"], "K", "ks", "k", namespaced=True)
        for one in reversed(expected["groups"])
        for version in reversed(one["versions"])
    ]
    assert expected == group_list(every)


def test_the_root_of_the_core_group_tells_the_address(shared: Path) -> None:
    assert recorded(shared, "discovery-legacy")["/api"]["body"] == api_versions("127.0.0.1:36443")


def test_the_aggregated_core_group_is_the_real_servers_to_the_last_byte(shared: Path) -> None:
    expected = recorded(shared, "discovery-aggregated")["/api"]
    actual = aggregated_core(whole_core())
    assert expected["full"] == actual
    assert expected["headers"]["Etag"] == etag(actual)


def test_an_aggregated_custom_group_is_told_as_the_real_server_tells_it(shared: Path) -> None:
    [expected] = recorded(shared, "discovery-aggregated")["/apis"]["body"]["keda"]
    assert expected == aggregated_groups(SERVED)["items"][-1]


def test_a_document_tells_scale_after_status_and_whose_kind_it_is() -> None:
    one = Resource("example.com", "v1", "C", "cs", "c", namespaced=True, subresources=(SCALE, STATUS))
    told = resource_list([one], "example.com", "v1")
    assert told is not None
    assert ["cs", "cs/status", "cs/scale"] == [entry["name"] for entry in told["resources"]]
    assert ("autoscaling", "v1", "Scale") == tuple(
        told["resources"][2][key] for key in ("group", "version", "kind")
    )


def test_kinds_of_two_versions_tell_the_hash_of_the_one_they_are_stored_in() -> None:
    hashes = set()
    for version in ("v1", "v2"):
        told = resource_list(SERVED, "autoscaling", version)
        assert told is not None
        hashes.add(told["resources"][0]["storageVersionHash"])
    assert {"qwQve8ut294="} == hashes
    events = resource_list(SERVED, "events.k8s.io", "v1")
    assert events is not None
    assert "r2yiGXH7wu8=" == events["resources"][0]["storageVersionHash"]


def test_what_is_not_served_is_not_told() -> None:
    assert group(SERVED, "nope") is None
    assert resource_list(SERVED, "apps", "v2") is None


def test_versions_are_preferred_by_maturity_then_number() -> None:
    mixed = ["foo10", "v1", "v12alpha1", "v10", "foo1", "v3beta1", "v2", "v11beta2"]
    expected = ["v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "foo1", "foo10"]
    assert expected == sorted(mixed, key=version_key)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json", True),
        ("application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io", True),
        ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", False),
        ("application/json,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_the_first_form_that_the_server_knows_is_given(accept: str, *, expected: bool) -> None:
    assert expected == wants_aggregated(accept)


def test_an_etag_changes_with_the_content() -> None:
    first, second = etag(aggregated_groups(BUILTIN)), etag(aggregated_groups(SERVED))
    assert first != second
    assert (130, '"', '"') == (len(first), first[0], first[-1])
    assert first.upper() == first


def test_the_version_is_that_of_the_release() -> None:
    told = version_document("v1.36.2")
    assert ("1", "36", "35", "v1.36.2") == tuple(
        told[key] for key in ("major", "minor", "minCompatibilityMinor", "gitVersion")
    )
