"""Bodies in protobuf: what an encoder of the same table makes comes back, and nothing that is sent does harm."""

import re
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lab.schema.protobuf_encoder import (
    NAMED,
    SCHEMA,
    TYPES,
    body_of,
    encoded,
    field_bytes,
    number_bytes,
    part,
    sample,
    table,
    without_names,
)

from stoker.lab.resources import BUILTIN
from stoker.lab.schema.builtin import definition, definitions
from stoker.lab.schema.node import Node
from stoker.lab.schema.protobuf import ProtobufError, decode_protobuf


def _there_and_back(name: str, obj: dict[str, Any]) -> dict[str, Any]:
    return without_names(decode_protobuf(body_of(name, encoded(name, obj))))


def test_every_type_with_every_field_comes_back_from_its_bytes() -> None:
    rng = Random(1)  # noqa: S311  # no secret
    wrong = []
    for name in TYPES:
        expected = without_names(sample(name, rng, 2, 1.0))
        if expected != _there_and_back(name, expected):
            wrong.append(name)
    assert wrong == []
    assert len(TYPES) > 500


@given(name=st.sampled_from(TYPES), rng=st.randoms(use_true_random=True), share=st.floats(0.1, 0.6))
def test_any_object_comes_back_without_the_zeros_that_go_writes(name: str, rng: Random, share: float) -> None:
    expected = without_names(sample(name, rng, 1, share))
    assert expected == _there_and_back(name, expected)


def test_every_kind_that_the_server_takes_has_its_message() -> None:
    kinds = {(one.api_version, one.kind) for one in BUILTIN}
    kinds |= {
        (f"{sub.group}/{sub.version}", sub.kind) for one in BUILTIN for sub in one.subresources if sub.group
    }
    missing = [kind for kind in sorted(kinds) if not _reads(*kind)]
    assert missing == []


def _reads(api_version: str, kind: str) -> bool:
    meta = part(1, part(1, api_version.encode()) + part(2, kind.encode()))
    return decode_protobuf(b"k8s\0" + meta) == {"apiVersion": api_version, "kind": kind}


_PACKAGES = {
    "meta.v1": "io.k8s.apimachinery.pkg.apis.meta.v1",
    "apiextensions.v1": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "apiregistration.v1": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
}
_JSON_TYPES = {"s": "string", "y": "string", "i": "integer", "l": "integer", "b": "boolean", "f": "number"}


def test_the_table_has_the_keys_and_types_of_the_openapi_schemas() -> None:
    wrong = []
    for name in TYPES:
        package, _, kind = name.rpartition(".")
        full = f"{_PACKAGES.get(package, f'io.k8s.api.{package}')}.{kind}"
        if full in definitions():
            expected = _shape(full)
            found = _table_shape(name)
            if {key: found.get(key) for key in expected} != expected or found.keys() - expected.keys():
                wrong.append((name, expected, found))
    assert wrong == []


def _shape(full: str) -> dict[str, str]:
    """By key of an OpenAPI schema its type, as far as both sides tell it."""
    return {
        key: _form(node)
        for key, node in definition(full).properties.items()
        if key not in NAMED or "x-kubernetes-group-version-kind" not in definitions()[full]
    }


def _form(node: Node) -> str:
    if node.items is not None:
        return f"[{_form(node.items)}"
    if node.additional is not None:
        return f"{{{_form(node.additional)}"
    return node.type if node.type in _JSON_TYPES.values() and not node.name else ""


def _table_shape(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, _, kind in table()[name]:
        if not key:
            found |= _table_shape(kind)
            continue
        bare = kind.lstrip("[{").removesuffix("!")
        lead = kind[: len(kind) - len(kind.lstrip("[{"))]
        found[key] = f"{lead}[string" if bare == "v" else f"{lead}{_JSON_TYPES.get(bare, '')}"
    return found


# --- the envelope -------------------------------------------------------------------------------------------------


def test_options_of_a_deletion_may_come_in_any_group() -> None:
    raw = encoded("meta.v1.DeleteOptions", {"gracePeriodSeconds": 0, "orphanDependents": False})
    meta = part(1, b"policy/v1") + part(2, b"DeleteOptions")
    assert decode_protobuf(b"k8s\0" + part(1, meta) + part(2, raw)) == {
        "apiVersion": "policy/v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "orphanDependents": False,
    }


def test_a_body_without_a_kind_is_of_the_kind_that_the_caller_expects() -> None:
    body = b"k8s\0" + part(2, encoded("core.v1.ConfigMap", {"data": {"a": "b"}, "immutable": False}))
    assert decode_protobuf(body, "v1", "ConfigMap") == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "data": {"a": "b"},
        "immutable": False,
    }


def test_json_in_the_envelope_is_read_as_json() -> None:
    body = body_of(
        "core.v1.ConfigMap", b'{"kind":"ConfigMap","apiVersion":"v1","data":{}}', "application/json"
    )
    assert decode_protobuf(body) == {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}


def test_unknown_fields_are_skipped_and_the_last_scalar_counts() -> None:
    group = (
        number_bytes(900 << 3 | 3)
        + number_bytes(901 << 3 | 3)
        + number_bytes(901 << 3 | 4)
        + number_bytes(900 << 3 | 4)
    )
    strangers = (
        part(999, b"x" * 200)
        + number_bytes(998 << 3)
        + number_bytes(1 << 40)
        + number_bytes(997 << 3 | 1)
        + bytes(8)
    )
    first = part(1, part(1, b"first") + part(3, b"space") + strangers)
    raw = first + group + part(1, part(1, b"last") + part(3, b""))
    expected = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "last"}}
    assert expected == decode_protobuf(body_of("core.v1.Namespace", raw))


def test_packed_numbers_are_a_list() -> None:
    raw = part(4, number_bytes(1000) + number_bytes(3)) + field_bytes(4, "l", 5)
    found = decode_protobuf(body_of("core.v1.PodSecurityContext", raw))
    assert [1000, 3, 5] == found["supplementalGroups"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "empty data"),
        (b"k8s\0", "empty body"),
        (
            b'{"kind":1}',
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        ),
        (b"k8s\0\x12", "unexpected EOF"),
        (b"k8s\0\x0a\x00", "Object 'Kind' is missing in 'runtime.TypeMeta{APIVersion:\"\", Kind:\"\"}'"),
        (b"k8s\0" + b"\xff" * 11, "proto: integer overflow"),
        (b"k8s\0\x0c", "proto: Unknown: wiretype end group for non-group"),
        (b"k8s\0\x00\x01", "proto: Unknown: illegal tag 0 (wire type 0)"),
        (b"k8s\0\x08\x01", "proto: wrong wireType = 0 for field TypeMeta"),
        (b"k8s\0\x2f", "proto: illegal wireType 7"),
        (b"k8s\0\x12" + b"\xff" * 9 + b"\x01", "proto: negative length found during unmarshaling"),
    ],
)
def test_what_is_no_message_is_told_in_kubernetes_words(body: bytes, expected: str) -> None:
    with pytest.raises(ProtobufError) as told:
        decode_protobuf(body)
    assert (str(told.value), told.value.kind) == (expected, "")


def test_an_error_within_the_object_names_its_kind() -> None:
    with pytest.raises(ProtobufError) as told:
        decode_protobuf(body_of("apps.v1.Deployment", b"\x0a\x05"))
    assert (str(told.value), told.value.version, told.value.kind) == ("unexpected EOF", "v1", "Deployment")


@pytest.mark.parametrize(
    ("name", "raw", "expected"),
    [
        ("core.v1.Secret", part(1, part(8, field_bytes(1, "l", 2**62))), "Time: seconds are out of range"),
        ("core.v1.ServicePort", part(4, field_bytes(1, "l", 2)), "impossible IntOrString.Type"),
        ("apps.v1.ControllerRevision", part(2, part(1, b"{")), "json: "),
        ("apps.v1.ControllerRevision", part(2, part(1, b"NaN")), "json: NaN is no JSON number"),
        ("apps.v1.ControllerRevision", part(2, part(1, b"[" * 100_000)), "json: "),
        ("apps.v1.ControllerRevision", part(2, part(1, b"\xff")), "json: "),
        ("apps.v1.Missing", b"", 'no kind "Missing" is registered for version "apps/v1"'),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_refused(name: str, raw: bytes, expected: str) -> None:
    with pytest.raises(ProtobufError, match=re.escape(expected)):
        decode_protobuf(body_of(name, raw))


# --- hostile bytes ------------------------------------------------------------------------------------------------


def _survives(body: bytes) -> bool:
    """Whether the outcome is an object or a ValueError."""
    try:
        return isinstance(decode_protobuf(body), dict)
    except ValueError:
        return True


def test_messages_in_each_other_end_somewhere() -> None:
    raw = b""
    for _ in range(3000):
        raw = part(28, raw)  # JSONSchemaProps.not
    with pytest.raises(ProtobufError, match="more than 100 messages in each other"):
        decode_protobuf(body_of(SCHEMA, raw))


def test_groups_in_each_other_need_no_stack() -> None:
    raw = number_bytes(900 << 3 | 3) * 100_000 + number_bytes(900 << 3 | 4) * 100_000
    assert decode_protobuf(body_of("core.v1.Namespace", raw)) == {"apiVersion": "v1", "kind": "Namespace"}


@cache
def _whole_bodies() -> list[bytes]:
    rng = Random(2)  # noqa: S311  # no secret
    names = (
        "core.v1.Pod",
        "apps.v1.Deployment",
        "apiextensions.v1.CustomResourceDefinition",
        "core.v1.Event",
    )
    return [body_of(name, encoded(name, sample(name, rng, 1, 0.4))) for name in names]


def test_a_body_cut_off_anywhere_is_an_error_or_an_object() -> None:
    bad = [
        (body[:end])
        for body in _whole_bodies()
        for end in range(min(len(body), 3000))
        if not _survives(body[:end])
    ]
    assert bad == []


@given(name=st.sampled_from(TYPES), raw=st.binary(max_size=200))
def test_any_bytes_are_an_error_or_an_object(name: str, raw: bytes) -> None:
    assert _survives(body_of(name, raw))
    assert _survives(b"k8s\0" + raw)
    assert _survives(raw)


@given(rng=st.randoms(use_true_random=True))
def test_a_body_with_bytes_changed_is_an_error_or_an_object(rng: Random) -> None:
    body = bytearray(rng.choice(_whole_bodies()))
    for _ in range(rng.randint(1, 20)):
        body[rng.randrange(len(body))] = rng.randrange(256)
    assert _survives(bytes(body))
