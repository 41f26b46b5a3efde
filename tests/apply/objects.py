"""Objects and their fieldsV1, as hypothesis strategies and builders."""

import json
from typing import Any

from hypothesis import strategies as st

from stoker.kube.refs import Object

__all__ = ["bodies", "config", "owned", "tree"]

_NAMES = st.text("abcdef./-", min_size=1, max_size=5)
_SCALARS = st.one_of(st.integers(-5, 5), st.text("xyz", max_size=3), st.booleans())


def _named(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    item = st.tuples(st.text("kmn", min_size=1, max_size=2), st.dictionaries(_NAMES, values, max_size=2))
    return st.lists(item, min_size=1, max_size=3, unique_by=lambda pair: pair[0]).map(
        lambda pairs: [{**body, "name": name} for name, body in pairs]
    )


_VALUES = st.recursive(
    _SCALARS, lambda below: st.one_of(st.dictionaries(_NAMES, below, min_size=1, max_size=3), _named(below)), max_leaves=8
)  # fmt: skip
bodies = st.dictionaries(
    st.sampled_from(["spec", "data", "extra"]),
    st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=3),
    min_size=1,
)
"""What an object has beside its name."""


def tree(value: Any) -> dict[str, Any]:
    """fieldsV1 of everything in ``value``: maps by key, lists of named things by name, other lists whole."""
    if isinstance(value, dict):
        return {f"f:{key}": tree(below) for key, below in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        return {
            f"k:{json.dumps({'name': item['name']}, separators=(',', ':'))}": {".": {}, **tree(item)}
            for item in value
        }
    return {}


def config(body: dict[str, Any]) -> Object:
    return {"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "n"}, **body}


def owned(obj: Object, **bodies_by_manager: tuple[str, dict[str, Any]]) -> Object:
    """The object with owners: name=(operation, what it owns)."""
    entries = [
        {
            "manager": name.replace("_", "-"),
            "operation": operation,
            "apiVersion": "v1",
            "fieldsV1": tree(body),
        }
        for name, (operation, body) in bodies_by_manager.items()
    ]
    return {**obj, "metadata": {**obj["metadata"], "managedFields": entries}}
