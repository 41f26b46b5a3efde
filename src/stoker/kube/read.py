"""A snapshot from files: folders of manifests, rendered streams and dumps. What cannot be read is told, never guessed.

Each document stands alone: one that is broken, cut off or no object at all costs the others nothing.
"""

import itertools
import mmap
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from stoker.errors import InputError, Problem
from stoker.kube.documents import as_object
from stoker.kube.read_json import Found, plain_list, read_json
from stoker.kube.shapes import TooLargeError, conform
from stoker.kube.snapshot import Item, Origin, Snapshot, Source, Unread
from stoker.kube.yaml_text import Loader, split_documents

__all__ = ["make_item", "read_paths", "read_text"]

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_SKIPPED_FOLDERS: Final = frozenset((".git", ".github", "node_modules", ".venv", "__pycache__"))
_TEMPLATE: Final = re.compile(r"\{\{-?\s*[\w.$(/]")
_KUSTOMIZATIONS: Final = frozenset(("kustomization.yaml", "kustomization.yml", "Kustomization"))
_MOST_DEPTH: Final = 100
_LARGE: Final = 8 << 20  # from here on a file is mapped, not read


def read_paths(paths: Iterable[Path], *, closed: bool = False) -> Snapshot:
    """Everything in the files and below the folders, in the order of their names.

    Args:
        paths: files or folders; a folder is searched for YAML and JSON, hidden folders left out.
        closed: the user says that nothing exists but what is here.

    Raises:
        InputError: a path does not exist or is neither a file nor a folder.
    """
    found: list[Found | Unread] = []
    for path in paths:
        for file in _files(path):
            found += _file(file)
    return _snapshot(found, closed=closed)


def read_text(data: bytes, name: str = "-", *, closed: bool = False) -> Snapshot:
    """A stream: YAML documents or JSON, as `helm template` and `kubectl get -o` print them."""
    return _snapshot(list(_content(data, name)), closed=closed)


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise InputError(
            [Problem("does not exist", file=str(path), fix="name a file or a folder; `-` reads a stream")]
        )
    if path.is_dir():
        for folder, below, names in os.walk(path):
            below[:] = sorted(name for name in below if name not in _SKIPPED_FOLDERS)
            for name in sorted(names):
                if name.endswith(_SUFFIXES):
                    yield Path(folder) / name
    elif stat.S_ISREG(path.stat().st_mode):
        yield path
    else:
        raise InputError([Problem("is no regular file", file=str(path), fix="pipe it: `… | stoker audit -`")])


def _file(path: Path) -> Iterator[Found | Unread]:
    name = str(path)
    if path.is_symlink() and not path.exists():
        yield Unread(name, "is a link that leads nowhere")
        return
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            yield Unread(name, "is no regular file")
            return
        size = path.stat().st_size
        if size > _LARGE:
            with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
                if data[:64].lstrip()[:1] in {b"{", b"["}:
                    yield from read_json(data, name)
                    return
        yield from _content(path.read_bytes(), name)
    except OSError as error:
        yield Unread(name, f"cannot be read: {error.strerror or error}")


def _content(data: bytes, name: str) -> Iterator[Found | Unread]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError:
            yield Unread(name, "is neither UTF-8 nor UTF-16 text")
            return
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in data[:4096]:
        yield Unread(name, "is a binary file")
        return
    if data.lstrip()[:1] in {b"{", b"["} and not data.lstrip().startswith(b"{{"):
        yield from read_json(data, name)
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        yield Unread(name, f"is no UTF-8 text: byte {error.start} is {data[error.start]:#04x}")
        return
    yield from _yaml(text.replace("\r\n", "\n"), name)


def _yaml(text: str, name: str) -> Iterator[Found | Unread]:
    for index, (line, document) in enumerate(split_documents(text)):
        yield from _document(document, name, line, index)


def _document(text: str, name: str, line: int, index: int) -> Iterator[Found | Unread]:
    """One YAML document; ``line`` is where its text begins in the file."""
    try:
        value, first = _load(text)
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        if _TEMPLATE.search(text):
            yield Unread(
                name, "is a template: render it (`helm template …`) and pipe it to `stoker audit -`", line
            )
            return
        mark = getattr(error, "problem_mark", None)
        place = line + mark.line if mark else line
        yield from _rest_of_list(text, Source(name, line, index), place, _short(error))
        return
    if (
        isinstance(value, dict)
        and isinstance(value.get("items"), list)
        and str(value.get("kind", "")).endswith("List")
    ):
        kind, version = str(value["kind"]).removesuffix("List"), value.get("apiVersion")
        lines = _item_lines(text)
        for position, item in enumerate(value["items"]):
            where = line + lines[position] if position < len(lines) else line
            if isinstance(item, dict) and kind and "kind" not in item:
                item = {"apiVersion": version, "kind": kind, **item}  # noqa: PLW2901  # the server leaves them out
            yield Found(item, Source(name, where, index, ("items", position)))
    elif isinstance(value, list):
        yield from plain_list(value, Source(name, line, index))
    elif value is not None:
        yield Found(value, Source(name, line + first, index, remarks=_remarks(text, line)))


def _remarks(text: str, line: int) -> tuple[tuple[int, str], ...]:
    """Comments that speak to Stoker, with their lines; a quoted ``#`` is told apart by what stands before it."""
    if "stoker:ignore" not in text:
        return ()
    rows = text.split("\n")
    return tuple(
        (line + number, row[row.index("stoker:ignore") :])
        for number, row in enumerate(rows)
        if re.search(r"(^|\s)#\s*stoker:ignore\s", row)
    )


def _load(text: str) -> tuple[Any, int]:
    """The value, and the 0-based line where it begins."""
    if _depth(text) > _MOST_DEPTH:
        raise ValueError("nested too deep")
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, 0
        return loader.construct_document(node), node.start_mark.line
    finally:
        loader.dispose()


def _depth(text: str) -> int:
    """Bound of the nesting: brackets and indentation, before anything recurses."""
    brackets = deepest = 0
    for char in re.finditer(r"[\[\]{}]", text):
        brackets += 1 if char[0] in "[{" else -1
        deepest = max(deepest, brackets)
    run = max((len(match[0]) for match in re.finditer(r"^[ -]+", text, re.MULTILINE)), default=0)
    return max(deepest, run // 2 if run > 2 * _MOST_DEPTH else 0)


def _item_lines(text: str) -> list[int]:
    """0-based lines where the items of a List begin, from the text: nodes of a List are not kept."""
    opening = re.search(r"^items:\s*$", text, re.MULTILINE)
    if not opening:
        return []
    at = opening.end()
    dash = re.compile(r"^( *)-(?= )", re.MULTILINE).search(text, at)
    if not dash:
        return []
    return [
        text.count("\n", 0, match.start())
        for match in re.compile(rf"^{dash[1]}-(?= )", re.MULTILINE).finditer(text, at)
    ]


def _rest_of_list(text: str, source: Source, place: int, reason: str) -> Iterator[Found | Unread]:
    """The whole items of a List that is broken somewhere; of anything else nothing."""
    lines = _item_lines(text)
    whole = 0
    if lines:
        rows = text.split("\n")
        for position, (begin, end) in enumerate(itertools.pairwise([*lines, len(rows)])):
            try:
                value, _ = _load("\n".join(rows[begin:end]))
            except (yaml.YAMLError, RecursionError, ValueError, TypeError):
                continue
            if (
                isinstance(value, list)
                and len(value) == 1
                and isinstance(value[0], dict)
                and "kind" in value[0]
            ):
                whole += 1
                yield Found(
                    value[0], Source(source.file, source.line + begin, source.document, ("items", position))
                )
    said = f"; {whole} whole objects of the list were read" if whole else ""
    yield Unread(source.file, f"is no YAML at line {place}: {reason}{said}", place)


def _short(error: Exception) -> str:
    problem = getattr(error, "problem", None)
    if isinstance(error, RecursionError):
        return "nested too deep"
    return str(problem or error).split("\n", maxsplit=1)[0][:200]


def _snapshot(found: list[Found | Unread], *, closed: bool) -> Snapshot:
    patches = _patches(found)
    found.reverse()  # taken from the end, so that no document is held twice
    items: list[Item] = []
    unread: list[Unread] = []
    while found:
        entry = found.pop()
        made = entry if isinstance(entry, Unread) else make_item(entry, patches)
        if isinstance(made, Item):
            items.append(made)
        else:
            unread.append(made)
    dumped = any(item.live and item.source.within for item in items)
    return Snapshot(tuple(items), tuple(unread), Origin.DUMP if dumped else Origin.FILES, closed=closed)


def _patches(found: list[Found | Unread]) -> set[str]:
    """Files that kustomizations use as patches: fragments, not objects."""
    names: set[str] = set()
    for entry in found:
        if isinstance(entry, Unread) or not isinstance(entry.obj, dict):
            continue
        version = entry.obj.get("apiVersion")
        by_name = entry.source.file.rpartition("/")[2] in _KUSTOMIZATIONS
        if not by_name and not (isinstance(version, str) and version.startswith("kustomize.config.k8s.io/")):
            continue
        base = Path(entry.source.file).parent
        for key in ("patches", "patchesStrategicMerge", "patchesJson6902", "configurations"):
            listed = entry.obj.get(key)
            for patch in listed if isinstance(listed, list) else []:
                path = patch.get("path") if isinstance(patch, dict) else patch
                if isinstance(path, str) and "\n" not in path:
                    names.add(os.path.normpath(base / path))
    return names


def make_item(found: Found, patches: "set[str] | frozenset[str]" = frozenset()) -> Item | Unread:
    obj, source = found.obj, found.source
    if patches and os.path.normpath(source.file) in patches:
        return Unread(
            source.file, "is a kustomize patch: pipe `kubectl kustomize DIR` to `stoker audit -`", source.line
        )
    if not isinstance(obj, dict):
        return Unread(source.file, "is no Kubernetes object", source.line, harmless=not isinstance(obj, list))
    version, kind = obj.get("apiVersion"), obj.get("kind")
    if not isinstance(version, str) or not isinstance(kind, str) or not version or not kind:
        special = as_object(obj, source.file)
        if special is None:
            return _no_object(obj, source)
        obj, version, kind = special, special["apiVersion"], special["kind"]
    if version.startswith("kustomize.config.k8s.io/"):
        return Unread(
            source.file,
            "is a kustomization: pipe `kubectl kustomize DIR` to `stoker audit -`",
            source.line,
            harmless=True,
        )
    group, _, short = version.rpartition("/")
    resource = f"{kind}.{group}" if group else kind
    if found.typed:
        malformed: tuple[Any, ...] = ()
    else:
        try:
            obj, malformed = conform(resource, obj)
        except (TooLargeError, RecursionError) as error:
            return Unread(source.file, f"{kind} is too large to be an object: {error}", source.line)
    metadata = obj.get("metadata") or {}
    uid = metadata.get("uid")
    _lighten(obj, resource)
    return Item(
        group=group,
        version=short,
        kind=kind,
        namespace=metadata.get("namespace") or "",
        name=metadata.get("name") or metadata.get("generateName") or "",
        obj=obj,
        source=source,
        live=isinstance(uid, str) and bool(uid),
        malformed=malformed,
    )


def _lighten(obj: dict[str, Any], resource: str) -> None:
    """Without what no rule reads and dumps are full of."""
    metadata = obj.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    if resource == "Secret":
        for key in ("data", "stringData"):  # a value of a secret is never held, shown or written
            if isinstance(obj.get(key), dict):
                obj[key] = dict.fromkeys(obj[key], "")
    if resource == "CustomResourceDefinition.apiextensions.k8s.io" and isinstance(obj.get("spec"), dict):
        obj["spec"].pop("versions", None)


def _no_object(obj: dict[Any, Any], source: Source) -> Unread:
    if any(key in obj for key in ("apiVersion", "kind", "metadata")):
        missing = " and ".join(key for key in ("apiVersion", "kind") if not isinstance(obj.get(key), str))
        return Unread(
            source.file, f"is no Kubernetes object: {missing or 'apiVersion or kind'} is missing", source.line
        )
    return Unread(source.file, "holds no Kubernetes object", source.line, harmless=True)
