"""The round trip through Kubernetes' Go types, against every object that a real server wrote."""

import json
from pathlib import Path
from typing import Any

import pytest

from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.quantity_text import QuantityError, canonical_quantity, canonical_resource, nano
from stoker.lab.schema.builtin import definition, definition_name

Object = dict[str, Any]


def written(obj: Object) -> Object:
    group, _, version = obj["apiVersion"].rpartition("/")
    name = definition_name(group, version, obj["kind"])
    assert name is not None
    found: Object = canonical(obj, definition(name))
    return found


def _objects(shared: Path) -> list[tuple[str, Object]]:
    """Every built-in object that stands whole in a recorded answer; kinds of CRDs are read elsewhere."""
    found: list[tuple[str, Object]] = []
    for path in sorted((shared / "oracle" / "api").glob("*.json")):
        for index, step in enumerate(json.loads(path.read_bytes())["steps"]):
            body = step["response"].get("full") or step["response"].get("body")
            if not isinstance(body, dict) or "apiVersion" not in body or "kind" not in body:
                continue
            group, _, version = body["apiVersion"].rpartition("/")
            name = definition_name(group, version, body["kind"])
            if (
                name
                and body["kind"] not in {"Status", "CustomResourceDefinition"}
                and not name.endswith("List")
            ):
                found.append((f"{path.stem}[{index}]", body))
    return found


def test_what_a_real_server_wrote_is_canonical_to_the_order_of_its_fields(shared: Path) -> None:
    objects = _objects(shared)
    wrong = [where for where, obj in objects if json.dumps(obj) != json.dumps(written(obj))]
    assert wrong == []
    assert len(objects) > 200


def test_fields_come_out_in_the_order_of_the_struct_whatever_the_order_they_came_in() -> None:
    spec = {"nodeName": "n", "containers": [{"image": "i", "name": "c"}], "volumes": [{"name": "v"}]}
    pod = written({"spec": spec, "kind": "Pod", "metadata": {"name": "p"}, "apiVersion": "v1"})
    assert ["kind", "apiVersion", "metadata", "spec", "status"] == list(pod)
    assert ["volumes", "containers", "nodeName"] == list(pod["spec"])
    assert ["name", "image", "resources"] == list(pod["spec"]["containers"][0])


def test_nulls_and_empty_optional_values_go_and_empty_structs_and_pointers_stay() -> None:
    spec = {
        "containers": [
            {"name": "c", "image": "", "args": [], "stdin": False, "livenessProbe": {}, "env": None}
        ],
        "nodeSelector": {},
        "priority": 0,
        "automountServiceAccountToken": False,
        "hostNetwork": False,
        "volumes": [{"name": "v", "emptyDir": {}}],
    }
    pod = written({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {}}, "spec": spec})
    expected = {
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"name": "c", "resources": {}, "livenessProbe": {}}],
        "automountServiceAccountToken": False,
        "priority": 0,
    }
    assert expected == pod["spec"]
    assert ({}, {}) == (pod["metadata"], pod["status"])


def test_a_missing_list_without_omitempty_is_null_and_a_missing_number_is_zero() -> None:
    role = written({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}})
    replicas = written({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {}, "spec": {}})
    assert role["rules"] is None
    assert replicas["status"] == {"replicas": 0}
    assert replicas["spec"] == {"selector": None, "template": {"metadata": {}, "spec": {"containers": None}}}


def test_times_are_whole_seconds_of_utc() -> None:
    meta = {"creationTimestamp": "2026-01-01T02:00:00.75+02:00"}
    pod = written({"apiVersion": "v1", "kind": "Pod", "metadata": meta})
    assert pod["metadata"] == {"creationTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1536Mi", "1536Mi"),
        ("0.5Ki", "512"),
        ("128974848", "128974848"),
        ("1000", "1k"),
        ("1e3", "1e3"),
        ("12e2", "1200"),
        ("04", "04"),
        ("0.0", "0"),
        ("00", "0"),
        ("-1500m", "-1500m"),
        ("1E", "1E"),
        ("16Ei", "9223372036854775807"),
        ("0.0000000001", "1n"),
        (1, "1"),
        (1000.0, "1k"),
        (0.25, "250m"),
    ],
)
def test_quantities_are_written_as_resource_quantity_writes_them(given: object, expected: str) -> None:
    assert expected == canonical_quantity(given)


def test_quantities_of_a_resource_list_are_rounded_up_to_thousandths() -> None:
    assert ("1m", "1001m", "-1m") == tuple(map(canonical_resource, ("5n", "1000001u", "-5u")))
    assert 1_000_000 == nano("1m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "one",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
        (
            "1GiB",
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        ("1mm", "unable to parse quantity's suffix"),
    ],
)
def test_text_that_is_no_quantity_is_refused_in_the_decoders_words(text: str, message: str) -> None:
    with pytest.raises(QuantityError) as refused:
        canonical_quantity(text)
    assert message == str(refused.value)


@pytest.mark.parametrize("text", ["1e99999999", "1e-99999999", "-9e2000000000"])
def test_a_huge_exponent_costs_nothing(text: str) -> None:
    assert text == canonical_quantity(text)
    assert abs(nano(text)) <= 10**1000


@pytest.mark.parametrize("text", ["9" * 5000, "1e" + "9" * 5000, "0." + "0" * 5000 + "1"])
def test_thousands_of_digits_are_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        canonical_quantity(text)
