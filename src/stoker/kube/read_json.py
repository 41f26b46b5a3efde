"""JSON dumps: `kubectl get -o json`, raw API lists, JSON lines, and what is left of a dump that was cut off."""

import json
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from stoker.kube.mass import MASS, decoder
from stoker.kube.snapshot import Source, Unread

__all__ = ["Found", "plain_list", "read_json"]

_DROP_EVERY: Final = 32 << 20
_MOST_DEPTH: Final = 500  # msgspec and json recurse in C; deeper text is no dump


class _Header(msgspec.Struct):
    apiVersion: str = ""  # noqa: N815  # the wire's spelling
    kind: str = ""


class _List(msgspec.Struct):
    items: list[msgspec.Raw]
    apiVersion: str = ""  # noqa: N815
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A document before it becomes an item. ``typed``: declared fields only, types already checked."""

    obj: Any
    source: Source
    typed: bool = False


def read_json(data: "bytes | mmap.mmap", file: str) -> Iterator[Found | Unread]:
    """Every object of a dump in order; of a broken one, every object that is whole."""
    yield from _list(data, file)


def _list(data: "bytes | mmap.mmap", file: str) -> Iterator[Found | Unread]:
    view = memoryview(data)
    try:
        whole = msgspec.json.decode(view, type=_List)
    except (msgspec.DecodeError, RecursionError):  # no list, or not all of one
        view.release()
        yield from _documents(bytes(data), file)
        return
    if not whole.kind.endswith("List"):
        del whole
        view.release()
        yield from _documents(bytes(data), file)
        return
    prefix = whole.kind.removesuffix(
        "List"
    )  # PodList: the API server leaves kind and apiVersion out of the items
    at = line = dropped = 0
    for index in range(len(whole.items)):
        raw = whole.items[index]
        whole.items[index] = _NOTHING
        size = len(memoryview(raw))
        start = data.find(memoryview(raw)[:64].tobytes(), at)
        line += _newlines(data, at, start)
        source = Source(file, line + 1, 0, ("items", index))
        yield _decode(raw, whole.apiVersion, prefix, source)
        line += _newlines(data, start, start + size)
        at = start + size
        if isinstance(data, mmap.mmap) and at - dropped > _DROP_EVERY and hasattr(data, "madvise"):
            # Pages already read are given back: a dump of 300 MB never stands in memory beside its objects.
            data.madvise(mmap.MADV_DONTNEED, 0, at // mmap.PAGESIZE * mmap.PAGESIZE)
            dropped = at


def plain_list(value: list[Any], source: Source) -> Iterator[Found | Unread]:
    """A bare list: its objects, or one word about data that holds none."""
    if not any(isinstance(item, dict) and "kind" in item for item in value):
        yield Unread(source.file, "holds no Kubernetes object", source.line, harmless=True)
        return
    for index, item in enumerate(value):
        yield Found(item, Source(source.file, source.line, source.document, (index,)))


_NOTHING: Final = msgspec.Raw(b"null")


def _newlines(data: "bytes | mmap.mmap", start: int, end: int) -> int:
    return data[start:end].count(b"\n")


def _decode(raw: msgspec.Raw, api_version: str, kind: str, source: Source) -> Found | Unread:
    try:
        header = msgspec.json.decode(raw, type=_Header)
        version, name = header.apiVersion or api_version, header.kind or kind
        group = version.rpartition("/")[0]
        resource = f"{name}.{group}" if group else name
        if resource in MASS:
            try:
                obj = decoder(resource).decode(raw)
            except msgspec.ValidationError:
                obj = msgspec.json.decode(raw)
                return Found({**obj, "apiVersion": version, "kind": name}, source)
            obj["apiVersion"], obj["kind"] = version, name
            return Found(obj, source, typed=True)
        obj = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unread(source.file, f"item {source.within[-1]} is no object: {error}", source.line)
    if isinstance(obj, dict):
        obj = {**obj, "apiVersion": version, "kind": name}
    return Found(obj, source)


_ITEMS: Final = re.compile(rb'"items"\s*:\s*\[')


def _documents(data: bytes, file: str) -> Iterator[Found | Unread]:
    """One document after another; a list that is cut off gives its whole items."""
    text = data.decode("utf-8", errors="replace")
    reader = json.JSONDecoder()
    at, index = _skip(text, 0), 0
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        try:
            value, end = reader.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError, ValueError) as error:
            opening = _ITEMS.search(data, len(text[:at].encode()))
            if opening is None or _deep(error):
                yield Unread(file, f"no JSON from line {line} on: {_reason(error)}", line)
            else:
                yield from _cut_off(
                    text, len(data[: opening.end()].decode("utf-8", errors="replace")), file, index
                )
            return
        source = Source(file, line, index)
        if isinstance(value, list):
            yield from plain_list(value, source)
        else:
            yield Found(value, source)
        at, index = _skip(text, end), index + 1


def _cut_off(text: str, at: int, file: str, document: int) -> Iterator[Found | Unread]:
    reader = json.JSONDecoder()
    index = 0
    while True:
        at = _skip(text, at, " \t\r\n,")
        line = text.count("\n", 0, at) + 1
        try:
            value, at = reader.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError, ValueError) as error:
            yield Unread(
                file,
                f"the list is broken at line {line}, after {index} whole items: {_reason(error)}; what follows was not looked at",
                line,
            )
            return
        yield Found(value, Source(file, line, document, ("items", index)))
        index += 1


def _skip(text: str, at: int, blank: str = " \t\r\n\ufeff") -> int:
    while at < len(text) and text[at] in blank:
        at += 1
    return at


def _deep(error: Exception) -> bool:
    return isinstance(error, RecursionError)


def _reason(error: Exception) -> str:
    return "nested too deep" if _deep(error) else str(error)
