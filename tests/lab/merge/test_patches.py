"""JSON patch and JSON merge patch."""

from typing import Any

import pytest

from stoker.lab.merge.patches import (
    check_json_patch,
    check_merge_patch,
    compact,
    json_patch,
    merge_patch,
)
from stoker.lab.status import ApiError

LIVE: dict[str, Any] = {"metadata": {"labels": {"a": "1"}}, "spec": {"list": [1, 2, 3], "n": 1, "none": None}}


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([{"op": "add", "path": "/spec/x", "value": 1}], {"list": [1, 2, 3], "n": 1, "none": None, "x": 1}),
        ([{"op": "add", "path": "/spec/list/-", "value": 4}], {"list": [1, 2, 3, 4], "n": 1, "none": None}),
        ([{"op": "add", "path": "/spec/list/1", "value": 9}], {"list": [1, 9, 2, 3], "n": 1, "none": None}),
        ([{"op": "add", "path": "/spec/list/-1", "value": 9}], {"list": [1, 2, 3, 9], "n": 1, "none": None}),
        ([{"op": "remove", "path": "/spec/list/-1"}], {"list": [1, 2], "n": 1, "none": None}),
        (
            [{"op": "replace", "path": "/spec/new", "value": 1}],
            {"list": [1, 2, 3], "n": 1, "none": None, "new": 1},
        ),
        ([{"op": "move", "from": "/spec/n", "path": "/spec/m"}], {"list": [1, 2, 3], "none": None, "m": 1}),
        (
            [{"op": "copy", "from": "/spec/list", "path": "/spec/again"}],
            {"list": [1, 2, 3], "n": 1, "none": None, "again": [1, 2, 3]},
        ),
        (
            [{"op": "test", "path": "/spec/missing", "value": None}, {"op": "remove", "path": "/spec/n"}],
            {"list": [1, 2, 3], "none": None},
        ),
    ],
)
def test_operations_change_the_document(operations: list[Any], expected: Any) -> None:
    before = compact(LIVE)
    assert expected == json_patch(LIVE, operations)["spec"]
    assert before == compact(LIVE)


def test_slashes_and_tildes_are_escaped() -> None:
    found = json_patch(LIVE, [{"op": "add", "path": "/metadata/labels/a~1b~0c", "value": "x"}])
    assert {"a": "1", "a/b~c": "x"} == found["metadata"]["labels"]


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ({"op": "test", "path": "/spec/n", "value": 2}, "testing value /spec/n failed: test failed"),
        ({"op": "test", "path": "/spec/n", "value": True}, "testing value /spec/n failed: test failed"),
        (
            {"op": "remove", "path": "/spec/q"},
            "error in remove for path: '/spec/q': Unable to remove nonexistent key: q: missing value",
        ),
        (
            {"op": "add", "path": "/nope/q", "value": 1},
            'add operation does not apply: doc is missing path: "/nope/q": missing value',
        ),
        (
            {"op": "add", "path": "/spec/list/9", "value": 1},
            "error in add for path: '/spec/list/9': Unable to access invalid index: 9: invalid index referenced",
        ),
        (
            {"op": "add", "path": "/spec/list/x", "value": 1},
            (
                "error in add for path: '/spec/list/x': value was not a proper array index: 'x': "
                'strconv.Atoi: parsing "x": invalid syntax'
            ),
        ),
        (
            {"op": "replace", "path": "/spec/list/7", "value": 1},
            "replace operation does not apply: doc is missing key: /spec/list/7: missing value",
        ),
        ({"op": "nope", "path": "/spec"}, "Unexpected kind: nope"),
        ({"path": "/spec"}, "Unexpected kind: unknown"),
        ({"op": "add"}, "add operation failed to decode path: missing value"),
    ],
)
def test_an_operation_that_does_not_apply_is_unprocessable(operation: dict[str, Any], reason: str) -> None:
    with pytest.raises(ApiError) as refused:
        json_patch(LIVE, [operation])
    expected = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "the server rejected our request due to an error in our request",
        "reason": "Invalid",
        "details": {},
        "code": 422,
    }
    assert expected == refused.value.document()
    assert [reason] == refused.value.__notes__


@pytest.mark.parametrize(
    ("patch", "is_lenient", "message"),
    [
        (
            {},
            False,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        ({}, True, "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
        (
            ["a"],
            False,
            "error decoding patch: json: cannot unmarshal string into Go value of type handlers.jsonPatchOp",
        ),
        (
            [{"op": 1}],
            False,
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
    ],
)
def test_a_body_that_is_no_list_of_operations_is_refused(patch: Any, is_lenient: bool, message: str) -> None:  # noqa: FBT001
    with pytest.raises(ApiError) as refused:
        check_json_patch(patch, is_lenient=is_lenient)
    assert (400, message) == (refused.value.code, refused.value.message)


def test_unknown_fields_of_operations_are_told() -> None:
    found = check_json_patch(
        [{"op": "add", "path": "/a", "value": 1}, {"op": "remove", "path": "/a", "why": "x"}]
    )
    assert ['json patch unknown field "[1].why"'] == found


def test_a_patch_has_at_most_ten_thousand_operations() -> None:
    with pytest.raises(ApiError) as refused:
        check_json_patch([{"op": "remove", "path": "/a"}] * 10_001)
    assert 413 == refused.value.code
    assert refused.value.message.endswith(
        "The allowed maximum operations in a JSON patch is 10000, got 10001"
    )


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": None, "z": 3}}, {"a": {"y": 2, "z": 3}}),
        ({"a": [1]}, {"a": [None]}, {"a": [None]}),
        ({}, {"a": {"b": None, "c": [{"d": None}]}}, {"a": {"c": [{}]}}),
        ({"a": {}}, {"a": [{"d": None}]}, {"a": [{"d": None}]}),
        ({"a": "x"}, {"a": {"b": None}}, {"a": {}}),
    ],
)
def test_merge_patches_follow_the_server(document: Any, patch: Any, expected: Any) -> None:
    assert expected == merge_patch(document, patch)


def test_touched_levels_are_sorted_and_others_are_not() -> None:
    document = {
        "kind": "K",
        "apiVersion": "v1",
        "spec": {"z": {"b": 1, "a": 2}, "y": 1},
        "status": {"d": 1, "c": 1},
    }
    expected = (
        '{"apiVersion":"v1","kind":"K","spec":{"x":"\\u003c","y":1,"z":{"b":1,"a":2}},"status":{"d":1,"c":1}}'
    )
    assert expected == compact(merge_patch(document, {"spec": {"x": "<"}}))


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (
            [],
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            "a",
            "error decoding patch: json: cannot unmarshal string into Go value of type map[string]interface {}",
        ),
        (None, "Invalid JSON Patch"),
    ],
)
def test_a_merge_patch_that_is_no_object_is_refused(patch: Any, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_merge_patch(patch)
    assert (400, message) == (refused.value.code, refused.value.message)
