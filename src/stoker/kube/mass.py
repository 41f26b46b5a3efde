"""Fast reading of the kinds a cluster has thousands of: decoded straight into the declared fields, all others skipped.

A pod of 15 kB is mostly managedFields; typed decoding checks types at C speed and never builds what no rule reads. An
object that does not fit (a null, a number where text belongs) is read the slow way by `kube.shapes.conform`.
"""

from functools import cache
from typing import Any, Final, NotRequired

import msgspec
from typing_extensions import TypedDict

from stoker.kube.shapes import SHAPES, Leaf, Map

__all__ = ["MASS", "decoder"]

MASS: Final = frozenset(("Pod", "Node", "Event", "Event.events.k8s.io", "ReplicaSet.apps"))


@cache
def decoder(resource: str) -> "msgspec.json.Decoder[dict[str, Any]]":
    """Decoder of one kind of `MASS`."""
    from stoker.kube import shapes

    shape = {"apiVersion": shapes.STR, "kind": shapes.STR, "metadata": shapes._METADATA, **SHAPES[resource]}  # noqa: SLF001  # one room
    return msgspec.json.Decoder(_type(shape, resource.partition(".")[0]))


def _type(shape: Any, name: str) -> Any:
    if isinstance(shape, Leaf):
        # Text in an API server's answers; a number there takes the slow way and becomes text.
        return str if shape.as_text else shape.types[0] if len(shape.types) == 1 else float
    if isinstance(shape, Map):
        return dict[str, _type(shape.of, name) if shape.of is not None else Any]  # type: ignore[misc]
    if isinstance(shape, list):
        return list[_type(shape[0], name)]  # type: ignore[misc]
    if isinstance(shape, dict):
        return TypedDict(  # type: ignore[operator]
            f"{name}{abs(hash(tuple(shape))) % 10_000_000}",
            {key: NotRequired[_type(below, name + key.title())] for key, below in shape.items()},
        )
    return Any
