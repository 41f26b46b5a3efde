"""Patches written into YAML files: comments, order and quotes kept, untouched documents kept to the byte."""

import copy
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from stoker.errors import StokerError
from stoker.kube.paths import Path, dig
from stoker.kube.snapshot import Source

__all__ = ["Change", "edit_text"]

_SPLIT: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Change:
    """One step in one object of a file: ``op`` and ``path`` as in RFC 6902, ``path`` below the object.

    ``op`` ``document`` appends ``value`` as a document of its own.
    """

    source: Source
    op: str
    path: Path
    value: Any = None


def edit_text(text: str, changes: Iterable[Change]) -> str:
    """The file with the changes made.

    Raises:
        StokerError: a change does not fit what is there (the file was edited since it was read).
    """
    by_document: Mapping[int, list[Change]] = defaultdict(list)
    added: list[Any] = []
    for change in changes:
        if change.op == "document":
            added.append(change.value)
        else:
            by_document[change.source.document].append(change)
    starts = [match.start() for match in _SPLIT.finditer(text)]
    bounds = [*([0] if not starts or text[: starts[0]].strip() else []), *starts, len(text)]
    parts = [text[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False)]
    for number, found in by_document.items():
        if number >= len(parts):
            raise StokerError("the file has changed since it was read", fix="run the audit again")
        parts[number] = _edit_document(parts[number], found)
    result = "".join(parts)
    for obj in added:
        result = result.rstrip("\n") + "\n---\n" + _dump(_yaml(""), obj)
    return result


def _edit_document(text: str, changes: Sequence[Change]) -> str:
    head = re.match(r"---[^\n]*\n", text)
    prefix = head[0] if head else ""
    body = text[len(prefix) :]
    yaml = _yaml(body)
    try:
        root = yaml.load(body)
    except YAMLError as error:
        raise StokerError(f"cannot be edited: {error}", fix="mend it by hand") from error
    for change in _in_order(changes):
        _apply(root, change)
    made = _dump(yaml, root)
    # ruamel drops comments above the first key only where the document begins with a marker we took off.
    return prefix + made


def _in_order(changes: Sequence[Change]) -> list[Change]:
    """Removals last, and of list items the last first, so that every index means what was seen."""
    return sorted(
        changes,
        key=lambda change: (
            change.op == "remove",
            [-step if isinstance(step, int) else 0 for step in change.path],
        ),
    )


def _yaml(text: str) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1 << 20  # lines are never wrapped anew
    # `key:` followed by an item on the same column or further in: the file's own habit is kept.
    indented = re.search(
        r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*\1( +)- ", text, re.MULTILINE
    )
    offset = len(indented[2]) if indented else 0
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def _dump(yaml: YAML, value: Any) -> str:
    buffer = io.StringIO()
    yaml.dump(value, buffer)
    return buffer.getvalue()


def _apply(root: Any, change: Change) -> None:
    parent = dig(root, *change.source.within)
    for index, step in enumerate(change.path[:-1]):
        below = _step(parent, step)
        if below is None and change.op == "add" and isinstance(parent, dict):
            below = CommentedSeq() if isinstance(change.path[index + 1], int) else CommentedMap()
            parent[step] = below
        if below is None:
            raise StokerError("the file has changed since it was read", fix="run the audit again")
        parent = below
    _set(parent, change.path[-1], change)


def _step(parent: Any, step: str | int) -> Any:
    try:
        return parent[step]
    except (KeyError, IndexError, TypeError):
        return None


def _set(parent: Any, last: str | int, change: Change) -> None:
    value = copy.deepcopy(change.value)
    if change.op == "remove":
        if _step(parent, last) is None and not (isinstance(parent, dict) and last in parent):
            raise StokerError("the file has changed since it was read", fix="run the audit again")
        _keep_comment_above(parent, last)
        del parent[last]
    elif isinstance(parent, list) and isinstance(last, int) and change.op == "add":
        parent.insert(min(last, len(parent)), value)
    else:
        parent[last] = value


def _keep_comment_above(parent: Any, last: str | int) -> None:
    """ruamel hangs the comment lines that follow a value on that value: hand them to what stands before it."""
    if not isinstance(parent, CommentedMap) or last not in parent.ca.items:
        return
    tokens = parent.ca.items[last]
    trailing = tokens[2] if len(tokens) > 2 else None  # noqa: PLR2004  # ruamel's slot for what follows a value
    if trailing is None or "\n" not in trailing.value.rstrip("\n"):
        return
    rest = trailing.value.split("\n", 1)[1]
    if not rest.strip():
        return
    keys = list(parent)
    before = keys[keys.index(last) - 1] if keys.index(last) else None
    if before is None or not isinstance(parent[before], str | int | float | bool):
        return
    slots = parent.ca.items.setdefault(before, [None, None, None, None])
    if slots[2] is None:
        trailing.value = "\n" + rest
        slots[2] = trailing
