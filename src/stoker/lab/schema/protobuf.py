"""Bodies in Kubernetes' protobuf, as kubectl sends objects of built-in kinds: bytes to the JSON form of the object.

A body is four bytes, then a message runtime.Unknown: the kind, and the bytes of the object's own message. Source:
apimachinery pkg/runtime/serializer/protobuf (Decode); the texts of its errors are kept.
"""

from typing import Any

from stoker.lab.schema.protobuf_forms import raw_json
from stoker.lab.schema.protobuf_messages import Message, message
from stoker.lab.schema.protobuf_wire import PADDING, ProtobufError

__all__ = ["MEDIA_TYPE", "ProtobufError", "decode_protobuf"]

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
# Registered in every group, as metav1.AddToGroupVersion does.
_EVERYWHERE = frozenset(
    ("CreateOptions", "DeleteOptions", "GetOptions", "ListOptions", "PatchOptions", "Status", "UpdateOptions")
)


def decode_protobuf(body: bytes, api_version: str = "", kind: str = "") -> dict[str, Any]:
    """The object in a body as encoding/json would write it, ``apiVersion`` and ``kind`` first.

    Zeros of fields with omitempty are left out although Go puts them into protobuf; what a pointer points to stays
    (``replicas: 0``). A field that is missing in the body is missing in the object.

    Args:
        body: the bytes of the request.
        api_version: what to take for a body that names no version itself.
        kind: and for one that names no kind.

    Raises:
        ProtobufError: a ValueError; the body is no message, or one of a kind that is not known.
    """
    if not body:
        raise ProtobufError("empty data")
    if body[:4] != _MAGIC:
        prefix = " ".join(str(byte) for byte in _MAGIC)
        raise ProtobufError(
            f"provided data does not appear to be a protobuf message, expected prefix [{prefix}]"
        )
    if len(body) == len(_MAGIC):
        raise ProtobufError("empty body")
    unknown = message("Unknown").read(body + PADDING, len(_MAGIC), len(body), 0)
    named = unknown.get("typeMeta", {})
    version, name = named.get("apiVersion") or api_version, named.get("kind") or kind
    if not name or not version:
        missing = "apiVersion" if name else "Kind"
        shown = f'runtime.TypeMeta{{APIVersion:"{version}", Kind:"{name}"}}'
        raise ProtobufError(f"Object '{missing}' is missing in '{shown}'")
    try:
        return {
            "apiVersion": version,
            "kind": name,
            **_object(unknown.get("raw", b""), unknown.get("contentType", ""), version, name),
        }
    except ProtobufError as error:
        raise ProtobufError(str(error), version.rpartition("/")[2], name) from error


def _object(raw: bytes, content_type: str, version: str, kind: str) -> dict[str, Any]:
    if content_type.partition(";")[0].strip() == "application/json":
        value = raw_json(raw)
        if not isinstance(value, dict):
            raise ProtobufError("json: the object is not one of JSON")
        return value
    return _message(version, kind).read(raw + PADDING, 0, len(raw), 0)


def _message(api_version: str, kind: str) -> Message:
    """The message of a kind: types are known by the first label of their group."""
    group, _, version = api_version.rpartition("/")
    package = f"{group.partition('.')[0] or 'core'}.{version}"
    try:
        return message(f"{'meta.v1' if kind in _EVERYWHERE else package}.{kind}")
    except KeyError:
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"') from None
