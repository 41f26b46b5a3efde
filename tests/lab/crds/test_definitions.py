"""Our CustomResourceDefinitions against the released ones, and against everything that Stoker makes."""

import copy
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.matrix.matrix import compiled

from stoker.kube.yaml_text import Loader
from stoker.lab.api.cluster import Cluster
from stoker.lab.api.standard_effects import DEFINITIONS, definition_effects
from stoker.lab.control import Local
from stoker.lab.crds import GROUPS, definitions, install
from stoker.lab.crds.notation import schema
from stoker.lab.store import Store

Object = dict[str, Any]

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.yaml"))
# Kinds whose released definitions are not beside the checkout; they were held against their repositories when written.
ABSENT = {
    "httpscaledobjects.http.keda.sh",
    "interceptorroutes.http.keda.sh",
    "inferenceobjectives.inference.networking.x-k8s.io",
    "leaderworkersets.leaderworkerset.x-k8s.io",
}
# What a field says, but for texts and rules in CEL.
COMPARED = (
    "type", "format", "enum", "default", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties", "nullable", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type", "x-kubernetes-int-or-string",
)  # fmt: skip
# Those that a field may not lack where the released one has them.
NEEDED = frozenset(
    (
        "type",
        "format",
        "enum",
        "default",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    )
)


@cache
def released(folder: Path) -> dict[str, Object]:
    found: dict[str, Object] = {}
    for path in sorted(folder.glob("*/*.yaml")):
        if any(one in path.parent.name for one in ("v2.13", "v0.13", "runtimes")):
            continue
        for document in yaml.load_all(path.read_text(), Loader):
            if document and document["kind"] == "CustomResourceDefinition":
                found[document["metadata"]["name"]] = document
    return found


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    store = Store(None)
    made = Cluster(store, clock=lambda: datetime(2026, 1, 5, tzinfo=UTC), rng=random.Random(1))  # noqa: S311 - names
    made.effects[DEFINITIONS] = definition_effects(made)
    install(Local(made, "test"))
    return made


def is_open(field: Object) -> bool:
    return bool(field.get("x-kubernetes-preserve-unknown-fields")) and "properties" not in field


def differences(ours: Object, theirs: Object, path: str) -> Iterator[str]:
    """Where a field of ours is not as the released one; what is left open says nothing."""
    for key in COMPARED:
        if key in ours and ours[key] != theirs.get(key):
            yield f"{path} {key}: {ours[key]!r}, released {theirs.get(key)!r}"
        elif key in NEEDED and key not in ours and key in theirs and not is_open(ours):
            yield f"{path} {key}: absent, released {theirs[key]!r}"
    if not is_open(ours) and set(ours.get("required", ())) != set(theirs.get("required", ())):
        yield f"{path} required: {ours.get('required')}, released {theirs.get('required')}"
    for name, child in ours.get("properties", {}).items():
        other = theirs.get("properties", {}).get(name)
        if other is not None:
            yield from differences(child, other, f"{path}.{name}")
        elif not theirs.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}: released has none"
    for key in ("items", "additionalProperties"):
        child, other = ours.get(key), theirs.get(key)
        if isinstance(child, dict):
            yield from differences(child, other if isinstance(other, dict) else {}, f"{path}[]")


@pytest.mark.parametrize("ours", definitions(), ids=lambda one: str(one["metadata"]["name"]))
def test_a_definition_has_the_names_versions_and_fields_of_the_released_one(
    ours: Object, shared: Path
) -> None:
    name = ours["metadata"]["name"]
    theirs = released(shared / "crds").get(name)
    if theirs is None:
        assert name in ABSENT
        return
    for key in ("kind", "plural", "singular", "shortNames", "categories"):
        assert theirs["spec"]["names"].get(key) == ours["spec"]["names"].get(key)
    assert (theirs["spec"]["group"], theirs["spec"]["scope"]) == (
        ours["spec"]["group"],
        ours["spec"]["scope"],
    )
    versions = {one["name"]: one for one in theirs["spec"]["versions"]}
    for version in ours["spec"]["versions"]:
        other = versions[version["name"]]
        for key in ("served", "storage"):
            assert (key, other[key]) == (key, version[key])
        assert columns(other) == columns(version)
        assert (other.get("subresources") or {}) == (version.get("subresources") or {})
        own, real = (one["schema"]["openAPIV3Schema"] for one in (version, other))
        assert list(differences(own, real, version["name"])) == []


def columns(version: Object) -> list[tuple[Any, ...]]:
    return [
        (one["name"], one["type"], one["jsonPath"], one.get("priority", 0))
        for one in version.get("additionalPrinterColumns") or ()
    ]


def test_every_version_that_a_release_serves_is_served_but_for_kueue_s_old_one(shared: Path) -> None:
    missing: list[str] = []
    theirs = released(shared / "crds")
    for ours in definitions():
        name = ours["metadata"]["name"]
        own = {one["name"] for one in ours["spec"]["versions"]}
        real = {
            one["name"]
            for one in theirs.get(name, {"spec": {"versions": []}})["spec"]["versions"]
            if one["served"]
        }
        missing.extend(f"{name} {one}" for one in sorted(real - own) if "kueue" not in name)
    assert missing == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_everything_that_stoker_makes_of_an_example_is_taken_whole(path: Path, cluster: Cluster) -> None:
    from stoker.lab.schema.decode import drop_unknown
    from stoker.lab.schema.structural import fill_defaults, validate_custom

    seen = 0
    for item in compiled(path):
        kind = cluster.served.find_kind(item.object["apiVersion"], item.object["kind"])
        assert kind is not None, f"{item.object['apiVersion']} {item.object['kind']} is not served"
        if not kind.is_custom:
            continue
        seen += 1
        obj = copy.deepcopy(item.object)
        assert drop_unknown(obj, kind.node, is_typed=False) == []
        fill_defaults(obj, kind.node)
        assert [str(one) for one in validate_custom(obj, kind.node)] == []
    assert seen > 0


def test_a_field_that_nobody_knows_is_pruned(cluster: Cluster) -> None:
    from stoker.lab.schema.decode import drop_unknown

    kind = cluster.served.find_kind("keda.sh/v1alpha1", "ScaledObject")
    assert kind is not None
    obj = {"spec": {"scaleTargetRef": {"name": "d"}, "triggers": [], "coolDown": 3}}
    assert drop_unknown(obj, kind.node, is_typed=False) == ["spec.coolDown"]


def test_all_definitions_are_there_in_less_than_half_a_second() -> None:
    store = Store(None)
    made = Cluster(store, clock=lambda: datetime(2026, 1, 5, tzinfo=UTC), rng=random.Random(1))  # noqa: S311 - names
    made.effects[DEFINITIONS] = definition_effects(made)
    local = Local(made, "test")
    before = len(list(made.served))
    install(local)
    versions = sum(len(one["spec"]["versions"]) for one in definitions())
    assert len(list(made.served)) - before == versions
    # The figure itself is the benchmark's business; here only that nothing runs away.
    started = time.process_time()
    for name in GROUPS:
        definitions(name)
    assert time.process_time() - started < 5


def test_a_short_schema_says_what_a_long_one_does() -> None:
    short = {
        "name!": "s 1..63 /^[a-z]+$/",
        "replicas": "i32 0.. =1",
        "ports@name": [{"name!": "s"}, "1..8"],
        "kind": "s A|B",
    }
    assert schema(short, {}) == {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 63, "pattern": "^[a-z]+$"},
            "replicas": {"type": "integer", "format": "int32", "minimum": 0, "default": 1},
            "ports": {
                "type": "array",
                "minItems": 1,
                "maxItems": 8,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
            "kind": {"type": "string", "enum": ["A", "B"]},
        },
    }


def test_a_word_that_is_no_type_is_told() -> None:
    with pytest.raises(ValueError, match="no type is called string"):
        schema("string", {})
