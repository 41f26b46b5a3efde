"""Objects that fit the schema and make no sense: every rule answers with causes, none with an exception."""

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stoker.lab.kinds.canonical import canonical
from stoker.lab.kinds.workload_strategies import STATUS_CAUSES, STRATEGIES
from stoker.lab.schema.builtin import definition, definition_name
from stoker.lab.schema.node import Node

Object = dict[str, Any]
_TEXTS = [
    " ",
    "a",
    "A_",
    "x/y",
    "1",
    "-1",
    "10%",
    "Always",
    "Never",
    "In",
    "Exists",
    "metadata.name",
    "nvidia.com/gpu",
    "cpu",
    "memory",
    "localhost/x",
    "../a",
    "a..b",
    "TZ=0",
    "* * * * *",
    "Localhost",
    "Indexed",
    "é",
    "RollingUpdate",
    "10.0.0.1",
    "::1",
    "kubernetes",
]
_QUANTITIES = ("1", "0", "-1", "500m", "1Gi", "1.5", "04", "3n")


def _value(node: Node, depth: int, draw: random.Random) -> Any:
    if node.is_quantity:
        return draw.choice(_QUANTITIES)
    if node.name.endswith("Time"):
        return "2026-01-01T00:00:00Z"
    if node.is_int_or_string:
        return draw.choice([0, 1, -1, "10%", "x", 70000])
    if node.type in {"string", "boolean", "integer", "number"}:
        plain: dict[str, list[Any]] = {"string": ["", *_TEXTS], "boolean": [True, False]}
        return draw.choice(plain.get(node.type, [0, 1, -1, 5, 70000, 2**31]))
    if node.items is not None:
        return [_value(node.items, depth + 1, draw) for _ in range(draw.choice([0, 1, 2]))]
    if node.additional is not None:
        count = draw.choice([0, 1, 2])
        return {
            draw.choice([*_TEXTS, "hugepages-2Mi"]): _value(node.additional, depth + 1, draw)
            for _ in range(count)
        }
    return _struct(node, depth, draw)


def _struct(node: Node, depth: int, draw: random.Random) -> Object:
    found: Object = {}
    for key, child in node.properties.items():
        is_deep = key in {"spec", "template", "containers", "name", "image"}
        chance = 0.8 if depth < 2 else 0.6 if is_deep else max(0.08, 0.35 - depth * 0.03)
        if draw.random() < chance:
            found[key] = _value(child, depth + 1, draw) if draw.random() > 0.03 else None
    return found


def _object(key: tuple[str, str], draw: random.Random) -> Object:
    name = definition_name(key[0], "v1", key[1])
    assert name is not None
    node = definition(name)
    made = _struct(node, 0, draw) | {"apiVersion": f"{key[0]}/v1".lstrip("/"), "kind": key[1]}
    obj: Object = canonical(made, node)
    obj["metadata"].pop("resourceVersion", None)
    STRATEGIES[key].default(obj)
    return obj


@pytest.mark.parametrize("key", sorted(STRATEGIES))
@given(draw=st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_an_object_that_makes_no_sense_is_judged_and_never_raises(
    key: tuple[str, str], draw: random.Random
) -> None:
    strategy = STRATEGIES[key]
    old = _object(key, draw)
    again = copy.deepcopy(old)
    strategy.default(again)
    assert old == again  # defaults are given once
    strategy.prepare_create(old)
    assert all(cause.message for cause in strategy.validate(old))
    assert all(strategy.warnings(old))
    new = _object(key, draw)
    new["metadata"]["resourceVersion"] = "1"
    status = copy.deepcopy(new)
    strategy.prepare_update(new, old)
    assert all(cause.message for cause in strategy.validate_update(new, old))
    strategy.prepare_status(status, old)
    if key in STATUS_CAUSES:
        assert all(cause.message for cause in STATUS_CAUSES[key](status, old))
