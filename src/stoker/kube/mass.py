"""Fast reading of the kinds a cluster has thousands of: decoded straight into the declared fields, all others skipped.

A pod of 15 kB is mostly managedFields; typed decoding checks types at C speed and never builds what no rule reads. An
object that does not fit (a null, a number where text belongs) is read the slow way by `kube.shapes.conform`.
"""

from functools import cache
from typing import Any, Final, NotRequired

import msgspec
from typing_extensions import TypedDict

from stoker.kube.shapes import INTSTR, SHAPES, Leaf, Map

__all__ = ["MASS", "decoder"]

MASS: Final = frozenset(("Pod", "Node", "Event", "Event.events.k8s.io", "ReplicaSet.apps"))


@cache
def decoder(resource: str) -> "msgspec.json.Decoder[dict[str, Any]]":
    """Decoder of one kind of `MASS`."""
    from stoker.kube import shapes

    metadata = shapes._METADATA  # noqa: SLF001  # one room
    shape = {"apiVersion": shapes.STR, "kind": shapes.STR, "metadata": metadata, **SHAPES[resource]}
    return msgspec.json.Decoder(_type(shape, resource.partition(".")[0], 0), dec_hook=_text)


class _Text(str):
    """A number or a string, as text."""

    __slots__ = ()


def _text(_: type, value: object) -> _Text:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError("wants a number or a string")
    return _Text(value)


def _type(shape: Any, name: str, depth: int) -> Any:
    if isinstance(shape, Leaf):
        if shape is INTSTR:
            return _Text
        # Quantities are text in an API server's answers; a number there takes the slow way.
        return str if shape.as_text else shape.types[0] if len(shape.types) == 1 else float
    if isinstance(shape, Map):
        return dict[str, _type(shape.of, name, depth + 1) if shape.of is not None else Any]  # type: ignore[misc]
    if isinstance(shape, list):
        return list[_type(shape[0], name, depth + 1)]  # type: ignore[misc]
    if isinstance(shape, dict):
        # The creation time of a template is null in every answer, and nothing reads it.
        kept = {key: below for key, below in shape.items() if depth <= 1 or key != "creationTimestamp"}
        return TypedDict(  # type: ignore[operator]
            f"{name}{depth}",
            {key: NotRequired[_type(below, name + key.title(), depth + 1)] for key, below in kept.items()},
        )
    return Any
