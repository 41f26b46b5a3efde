"""Patches written into YAML text: only the lines of the fields that change are touched.

Round-trip libraries lose comments beside removed keys (ruamel.yaml hangs them on the value before) and reformat the rest. Here
the places come from libyaml's node marks, the text in between is kept to the byte, and the outcome is parsed again: unless it
is exactly the patched object, nothing is changed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from stoker.errors import StokerError
from stoker.kube.patch import Op, apply_ops, in_order
from stoker.kube.paths import Path, dig
from stoker.kube.snapshot import Source
from stoker.kube.yaml_text import Loader, child, dump, split_documents

__all__ = ["Change", "edit_text"]


@dataclass(frozen=True, slots=True)
class Change:
    """Steps in one object of a file, paths below the object; ``document`` is appended to the file, where there is one."""

    source: Source
    ops: tuple[Op, ...] = ()
    document: Mapping[str, Any] | None = None


def edit_text(text: str, changes: Iterable[Change]) -> str:
    """The file with the changes made.

    Raises:
        StokerError: a change does not fit what is there.
    """
    found = list(changes)
    by_document: dict[int, list[Op]] = defaultdict(list)
    for change in found:
        within = change.source.within
        by_document[change.source.document] += [Op(op.op, (*within, *op.path), op.value) for op in change.ops]
    documents = split_documents(text)
    parts = [part for _, part in documents]
    # Blanks in front of the first marker belong to no document and stay.
    lead = text[: len(text) - sum(map(len, parts))]
    for number, ops in by_document.items():
        if ops and number >= len(parts):
            raise _changed()
        if ops:
            parts[number] = _edit(parts[number], ops)
    result = lead + "".join(parts)
    for change in found:
        if change.document is not None:
            result = result.rstrip("\n") + "\n---\n" + dump(dict(change.document))
    return result


def _changed() -> StokerError:
    return StokerError(
        "the text and the patch do not fit", fix="run the audit again, or make this change by hand"
    )


def _edit(text: str, ops: Sequence[Op]) -> str:
    try:
        wanted = apply_ops(yaml.load(text, Loader), ops)  # noqa: S506  # a SafeLoader
    except (KeyError, yaml.YAMLError) as error:
        raise _changed() from error
    made = text
    try:
        for op in _renames(in_order(ops), yaml.load(text, Loader)):  # noqa: S506  # a SafeLoader
            made = _Editor(made).apply(op)
        right = yaml.load(made, Loader) == wanted  # noqa: S506  # a SafeLoader
    except yaml.YAMLError:
        right = False
    if not right:
        raise _changed()
    return made


@dataclass(frozen=True, slots=True)
class _Rename:
    """A key that is taken out while another comes into the same mapping: it keeps its place and its comment."""

    path: Path
    name: str
    value: Any


def _renames(ops: Sequence[Op], root: Any) -> "list[Op | _Rename]":
    """The steps, with a key that goes and one that comes with the same value into the same mapping as one."""
    made: list[Op | _Rename] = []
    removed = [op for op in ops if op.op == "remove"]
    for op in ops:
        new = op.op == "add" and isinstance(op.path[-1], str) and dig(root, *op.path) is None
        twin = next(
            (r for r in removed if new and r.path[:-1] == op.path[:-1] and dig(root, *r.path) == op.value),
            None,
        )
        if twin is not None and isinstance(twin.path[-1], str) and not isinstance(op.value, dict | list):
            removed.remove(twin)
            made.append(_Rename(twin.path, str(op.path[-1]), op.value))
        elif op.op != "remove":
            made.append(op)
    return [*made, *removed]


class _Editor:
    """One document's text with its nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        loader = Loader(text)
        try:
            self.root = loader.get_single_node()
        finally:
            loader.dispose()
        self.dashes_indented = bool(
            re.search(
                r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*\1 +- ", text, re.MULTILINE
            )
        )

    def apply(self, op: "Op | _Rename") -> str:
        if isinstance(op, _Rename):
            key, value = self._pair(op.path)
            if self._flow(op.path[:-1]):
                return self._reflow(
                    op.path[:-1], [Op("remove", op.path[-1:]), Op("add", (op.name,), op.value)]
                )
            return self._cut(key.start_mark.index, self._end(value), f"{op.name}: {_inline(op.value)}")
        flow = self._flow(op.path[:-1])
        if flow is not None:
            return self._reflow(flow, [Op(op.op, op.path[len(flow) :], op.value)])
        if op.op == "remove":
            return self._remove(op.path)
        if op.op == "replace" or self._there(op.path):
            parent = self._node(op.path[:-1])
            if op.op == "add" and isinstance(parent, yaml.SequenceNode):
                return self._insert_item(parent, op)
            return self._replace(op)
        return self._add(op)

    # Places

    def _find(self, path: Path) -> Any:
        """The value at ``path``, None where there is none."""
        node = self.root
        for step in path:
            entry = child(node, step)
            if entry is None:
                return None
            node = entry[1]
        return node

    def _node(self, path: Path) -> Any:
        node = self._find(path)
        if node is None:
            raise _changed()
        return node

    def _there(self, path: Path) -> bool:
        return self._find(path) is not None

    def _pair(self, path: Path) -> tuple[Any, Any]:
        """Key and value of the last step, whose parent is a mapping."""
        parent = self._node(path[:-1])
        entry = child(parent, path[-1]) if isinstance(parent, yaml.MappingNode) else None
        if entry is None:
            raise _changed()
        return entry

    def _flow(self, path: Path) -> Path | None:
        """The outermost flow collection on the way to ``path``; None where all is block style."""
        node = self.root
        for depth in range(len(path) + 1):
            if isinstance(node, yaml.CollectionNode) and node.flow_style:
                return path[:depth]
            if depth < len(path):
                entry = child(node, path[depth])
                if entry is None:
                    return None
                node = entry[1]
        return None

    # Cuts

    def _cut(self, begin: int, end: int, text: str = "") -> str:
        return self.text[:begin] + text + self.text[end:]

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Just behind the line break of the line that ``index`` stands in."""
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end + 1

    def _reflow(self, path: Path, ops: Sequence[Op]) -> str:
        """A flow collection written anew, in one line, with the steps done."""
        node = self._node(path)
        loader = Loader(self.text[node.start_mark.index : node.end_mark.index])
        try:
            value = loader.get_single_data()
        finally:
            loader.dispose()
        try:
            made = apply_ops({"root": value}, [Op(op.op, ("root", *op.path), op.value) for op in ops])["root"]
        except KeyError as error:
            raise _changed() from error
        return self._cut(node.start_mark.index, node.end_mark.index, _inline(made))

    def _remove(self, path: Path) -> str:
        parent = self._node(path[:-1])
        if len(parent.value) == 1 and path[:-1]:
            return self._empty(path[:-1], "[]" if isinstance(parent, yaml.SequenceNode) else "{}")
        if isinstance(parent, yaml.SequenceNode):
            node = self._node(path)
            begin = self._line_start(node.start_mark.index)
            dash = self.text.rfind("-", begin, node.start_mark.index)
            if (
                dash < 0 or self.text[begin:dash].strip()
            ):  # the item begins on its parent's line, or the dash stands above
                raise _changed()
            return self._cut(begin, self._line_end(self._end(node)))
        key, value = self._pair(path)
        begin = self._line_start(key.start_mark.index)
        if self.text[begin : key.start_mark.index].strip():  # behind a dash: the next key moves up to it
            keys = [pair[0] for pair in parent.value]
            position = keys.index(key)
            if position + 1 >= len(keys):
                raise _changed()
            return self._cut(key.start_mark.index, keys[position + 1].start_mark.index)
        return self._cut(begin, self._line_end(self._end(value)))

    def _empty(self, path: Path, text: str) -> str:
        """A collection whose last entry goes: the empty one stays, as the patch says."""
        node = self._node(path)
        if isinstance(path[-1], int):
            return self._cut(node.start_mark.index, self._end(node), text)
        key, value = self._pair(path)
        colon = self.text.index(":", key.end_mark.index)
        return self._cut(colon + 1, self._end(value), f" {text}")

    def _replace(self, op: Op) -> str:
        node = self._node(op.path)
        plain = not isinstance(op.value, dict | list) or not op.value
        if (
            isinstance(op.value, str)
            and isinstance(node, yaml.ScalarNode)
            and node.style in {"|", ">"}
            and "\n" in op.value
        ):
            return self._cut(node.start_mark.index, self._end(node), self._literal(node, op.value))
        if (
            isinstance(op.value, str)
            and isinstance(node, yaml.ScalarNode)
            and node.style in {'"', "'"}
            and "\n" not in op.value
        ):
            text = dump(op.value, quote=node.style).rstrip("\n")
            return self._cut(node.start_mark.index, self._end(node), text)
        if plain and (isinstance(node, yaml.ScalarNode) or node.flow_style):
            return self._cut(
                node.start_mark.index, self._end(node), (" " if _is_empty(node) else "") + _inline(op.value)
            )
        if isinstance(op.path[-1], int):
            return self._cut(
                node.start_mark.index, self._end(node), self._block(op.value, node.start_mark.column).lstrip()
            )
        key, value = self._pair(op.path)
        colon = self.text.index(":", key.end_mark.index)
        text = (
            f" {_inline(op.value)}"
            if plain
            else "\n" + self._block(op.value, self._below_column(key, op.value))
        )
        return self._cut(colon + 1, max(colon + 1, self._end(value)), text.rstrip("\n"))

    def _literal(self, node: Any, value: str) -> str:
        """A block of text with the header and the indentation of the one that it replaces."""
        lines = self.text[node.start_mark.index : self._end(node)].split("\n")
        indent = next((line[: len(line) - len(line.lstrip())] for line in lines[1:] if line.strip()), "  ")
        return "\n".join(
            [lines[0], *(indent + line if line else "" for line in value.rstrip("\n").split("\n"))]
        )

    def _add(self, op: Op) -> str:
        """A key that is not there: its nearest parent that is gets the rest of the path as nested mappings."""
        depth = len(op.path) - 1
        while depth and not self._there(op.path[:depth]):
            depth -= 1
        value = op.value
        for step in reversed(op.path[depth + 1 :]):
            value = [value] if isinstance(step, int) else {step: value}
        parent, name = self._node(op.path[:depth]), op.path[depth]
        if isinstance(parent, yaml.SequenceNode):
            return self._insert_item(parent, Op("add", (*op.path[:depth], name), value))
        if not isinstance(parent, yaml.MappingNode):  # a null
            return self._replace(Op("replace", op.path[:depth], {name: value}))
        first = parent.value[0][0]
        end = self._line_end(self._end(parent))
        text = self._block({name: value}, first.start_mark.column)
        lead = "" if self.text[:end].endswith("\n") else "\n"
        return self._cut(end, end, lead + text)

    def _insert_item(self, parent: Any, op: Op) -> str:
        index = op.path[-1]
        if not isinstance(index, int) or not parent.value:
            raise _changed()
        anchor = parent.value[min(index, len(parent.value) - 1)]
        begin = self._line_start(anchor.start_mark.index)
        dash = self.text.rfind("-", begin, anchor.start_mark.index)
        if dash < 0 or self.text[begin:dash].strip():
            raise _changed()
        at = begin if index < len(parent.value) else self._line_end(self._end(anchor))
        text = self._block([op.value], dash - begin)
        lead = "" if self.text[:at].endswith("\n") or not at else "\n"
        return self._cut(at, at, lead + text)

    def _end(self, node: Any) -> int:
        return _end(node, self.text)

    def _below_column(self, key: Any, value: Any) -> int:
        column: int = key.start_mark.column
        return column if isinstance(value, list) and not self.dashes_indented else column + 2

    def _block(self, value: Any, column: int) -> str:
        lines = dump(value, dashes_indented=self.dashes_indented).splitlines()
        return "".join(f"{' ' * column}{line}\n" if line else "\n" for line in lines)


def _end(node: Any, text: str) -> int:
    """Index just behind the node's last character: a block's own mark lies behind the blanks and comments that follow."""
    block = isinstance(node, yaml.CollectionNode) and not node.flow_style and bool(node.value)
    if block and isinstance(node, yaml.MappingNode):
        key, value = node.value[-1]
        return int(key.end_mark.index) + 1 if _is_empty(value) else _end(value, text)
    if block:
        return _end(node.value[-1], text)
    begin, end = int(node.start_mark.index), int(node.end_mark.index)
    if isinstance(node, yaml.ScalarNode) and node.style in {"|", ">"}:
        return begin + len(text[begin:end].rstrip())
    return end


def _is_empty(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and bool(node.start_mark.index == node.end_mark.index)


def _inline(value: Any) -> str:
    return dump(value, flow=True).rstrip("\n").removesuffix("\n...").rstrip("\n")
