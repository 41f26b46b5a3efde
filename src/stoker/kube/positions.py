"""Lines of fields in the files that objects were read from: read again only where somebody points into them."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Final

import yaml

from stoker.kube.paths import Path
from stoker.kube.snapshot import Item
from stoker.kube.yaml_text import Loader, child, split_documents

__all__ = ["Positions"]

_MOST_BYTES: Final = 4 << 20  # of larger files only the objects' own lines are told


class Positions:
    """Finds 1-based lines. ``texts`` are streams that cannot be read again, by their names."""

    def __init__(self, texts: Mapping[str, bytes] | None = None) -> None:
        self._texts = dict(texts or {})
        self._documents: dict[str, list[tuple[int, str]]] = {}
        self._nodes: dict[tuple[str, int], Any] = {}

    def line(self, item: Item, path: Path) -> int:
        """Line of the field at ``path``, of the deepest parent that is there, or of the object."""
        source = item.source
        if not source.file or not source.line:
            return source.line
        node = self._node(source.file, source.document)
        if node is None:
            return source.line
        base, root = node
        return base + _descend(root, (*source.within, *path))

    def _node(self, file: str, document: int) -> tuple[int, Any] | None:
        key = (file, document)
        if key not in self._nodes:
            self._nodes[key] = self._compose(file, document)
        found: tuple[int, Any] | None = self._nodes[key]
        return found

    def _compose(self, file: str, document: int) -> tuple[int, Any] | None:
        documents = self._split(file)
        if document >= len(documents):
            return None
        base, text = documents[document]
        loader = Loader(text)
        try:
            node = loader.get_single_node()
        except (yaml.YAMLError, RecursionError):
            return None
        finally:
            loader.dispose()
        return (base, node) if node is not None else None

    def _split(self, file: str) -> list[tuple[int, str]]:
        """Documents with the 1-based line that their text begins at."""
        if file not in self._documents:
            self._documents[file] = _documents(self._text(file))
        return self._documents[file]

    def _text(self, file: str) -> str:
        data = self._texts.get(file)
        if data is None:
            try:
                path = FilePath(file)
                data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
            except (OSError, ValueError):  # gone since it was read: the object's own line still stands
                data = b""
        return (
            data[:_MOST_BYTES]
            .removeprefix(b"\xef\xbb\xbf")
            .decode("utf-8", errors="replace")
            .replace("\r\n", "\n")
        )


def _documents(text: str) -> list[tuple[int, str]]:
    if text.lstrip()[:1] in {"{", "["}:
        return [(1, text)]
    return split_documents(text)


def _descend(node: Any, path: Path) -> int:
    """0-based line of the key, or of its nearest parent."""
    begin = node
    for step in path:
        entry = child(node, step)
        if entry is None:
            break
        begin, node = entry
    return int(begin.start_mark.line)
