"""Selectors of query strings, in the words of apimachinery where they cannot be read."""

from typing import Any

import pytest

from stoker.lab.api.selectors import field_selector, label_selector
from stoker.lab.resources import BUILTIN
from stoker.lab.status import ApiError

_RESOURCES = {resource.qualified: resource for resource in BUILTIN}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["plain", "prod", "dev"]),
        ("tier=prod", ["prod"]),
        ("tier==prod", ["prod"]),
        ("tier!=prod", ["plain", "dev"]),
        ("tier in (prod, dev)", ["prod", "dev"]),
        ("tier notin (prod)", ["plain", "dev"]),
        ("tier", ["prod", "dev"]),
        ("!tier", ["plain"]),
        ("i>2", ["dev"]),
        ("i<3", ["prod"]),
        ("tier=prod,i=1", ["prod"]),
        ("tier=", []),
    ],
)
def test_label_selectors_select(text: str, expected: list[str]) -> None:
    objects: dict[str, dict[str, Any]] = {
        "plain": {"metadata": {"name": "plain"}},
        "prod": {"metadata": {"name": "prod", "labels": {"tier": "prod", "i": "1"}}},
        "dev": {"metadata": {"name": "dev", "labels": {"tier": "dev", "i": "3"}}},
    }
    selector = label_selector(text)

    assert expected == [name for name, obj in objects.items() if selector.matches(obj)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tier in prod", "unable to parse requirement: found 'prod' expected: '('"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("=a", "unable to parse requirement: found '=', expected: identifier"),
    ],
)
def test_a_label_selector_that_cannot_be_read_is_a_bad_request(text: str, expected: str) -> None:
    with pytest.raises(ApiError) as caught:
        label_selector(text)

    assert (400, expected) == (caught.value.code, caught.value.message)


def test_field_selectors_select_by_what_the_kind_can_be_selected_by() -> None:
    pods = [
        {
            "metadata": {"name": "a", "namespace": "x"},
            "spec": {"nodeName": "n1"},
            "status": {"phase": "Running"},
        },
        {"metadata": {"name": "b", "namespace": "x"}, "spec": {}, "status": {"phase": "Pending"}},
    ]

    def names(text: str) -> list[str]:
        selector = field_selector(text, _RESOURCES["pods"])
        return [pod["metadata"]["name"] for pod in pods if selector.matches(pod)]

    assert ["a"] == names("spec.nodeName=n1")
    assert ["b"] == names("spec.nodeName=")
    assert ["b"] == names("status.phase!=Running,metadata.namespace=x")
    assert "a" == field_selector("metadata.name=a", _RESOURCES["pods"]).name


@pytest.mark.parametrize(
    ("resource", "text", "expected"),
    [
        ("pods", "spec.priority=0", "field label not supported: spec.priority"),
        (
            "configmaps",
            "data.a=1",
            '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ("jobs.batch", "spec.x=1", 'field label "spec.x" not supported for Job'),
    ],
)
def test_a_field_that_cannot_be_selected_by_is_a_bad_request(resource: str, text: str, expected: str) -> None:
    with pytest.raises(ApiError) as caught:
        field_selector(text, _RESOURCES[resource])

    assert (400, expected) == (caught.value.code, caught.value.message)
