"""Reading YAML: plain data by the YAML 1.2 core schema, with the place of every key and value.

The text is read as events, not as nodes or objects, so that the cost is bounded before anything is built: nothing here
recurses, no alias is ever followed, and depth and size are refused as they are seen. PyYAML resolves scalars by YAML
1.1, where `on`, `no`, `012` and `1:30` are not what people mean; the 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema)
is applied here instead. JSON is a subset and works too.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

import yaml

from stoker.errors import InputError, Problem
from stoker.platform.positions import Path, Source, field_path, shown

__all__ = ["MOST_BYTES", "is_plain_text", "parse", "read_bytes"]

MOST_BYTES: Final = 1 << 20
_MOST_NODES: Final = 200_000
_MOST_DEPTH: Final = 64
_MOST_DIGITS: Final = 64
_MOST_PROBLEMS: Final = 100

# libyaml's parser where PyYAML was built with it: ten times the speed, the same events.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Everything outside YAML's c-printable (https://yaml.org/spec/1.2.2/#51-character-set), surrogates included.
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NULL: Final = frozenset(("", "null", "Null", "NULL", "~"))
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT: Final = re.compile(r"^[-+]?[0-9]+$")
_OCTAL: Final = re.compile(r"^0o[0-7]+$")
_HEX: Final = re.compile(r"^0x[0-9a-fA-F]+$")
_FLOAT: Final = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
_SPECIAL: Final = {
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_UTF16_OR_32: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def read_bytes(path: FilePath) -> bytes:
    """The content of a regular file, at most one byte more than a platform file may have.

    Raises:
        InputError: missing, a folder, a device, a pipe, or not readable.
    """
    name = str(path)
    try:
        # A FIFO would block and a device may never end; non-blocking opening cannot hang on either.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise InputError(
            [Problem("no such file", file=name, fix="`stoker init` writes one; `-` reads standard input")]
        ) from error
    except ValueError as error:
        raise InputError([Problem(f"cannot be read: {error}", file=shown(name))]) from error
    except OSError as error:
        raise InputError([_unreadable(name, error)]) from error
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise InputError([Problem("is a folder", file=name, fix="name the platform file in it")])
        if not stat.S_ISREG(mode):
            raise InputError([Problem("is not a regular file", file=name, fix="`-` reads standard input")])
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError([_unreadable(name, error)]) from error
    finally:
        os.close(handle)


def _unreadable(name: str, error: OSError) -> Problem:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Problem(f"cannot be read: {reason}", file=name)


def parse(text: str | bytes, *, file: str = "") -> tuple[Source, list[Problem]]:
    """Read one YAML document.

    Returns:
        The data with its positions, and the problems that leave the rest readable (duplicate keys, aliases, tags, huge
        numbers), so that a caller can report them together with what else is wrong.

    Raises:
        InputError: the text is not one YAML document within the bounds.
    """
    decoded = _decode(text, file)
    builder = _Builder(file)
    try:
        for event in _events(decoded):
            builder.take(event)
    except yaml.YAMLError as error:
        raise InputError([*builder.problems, _syntax_problem(error, decoded, file)]) from error
    if not builder.seen:
        raise InputError(
            [Problem("is empty", file=file, line=1, column=1, fix="`stoker init` writes a platform file")]
        )
    return builder.source(), builder.problems


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=_LOADER)


def _decode(text: str | bytes, file: str) -> str:
    if len(text) > MOST_BYTES:
        raise InputError([Problem("is larger than 1 MiB", file=file, wanted="a file of at most 1 MiB")])
    if isinstance(text, bytes):
        text = _utf8(text, file)
    text = text.removeprefix("\ufeff")
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line, column = _line_column(text, bad.start())
        raise InputError(
            [
                Problem(
                    f"holds the control character U+{ord(bad[0]):04X}",
                    file=file,
                    line=line,
                    column=column,
                    fix="delete it",
                )
            ]
        )
    return text


def _utf8(data: bytes, file: str) -> str:
    if data.startswith(_UTF16_OR_32):
        raise InputError([Problem("is UTF-16 or UTF-32", file=file, wanted="UTF-8", fix="save it as UTF-8")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            [
                Problem(
                    f"is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}",
                    file=file,
                    line=data.count(b"\n", 0, error.start) + 1,
                    column=error.start - data.rfind(b"\n", 0, error.start),
                    wanted="UTF-8",
                    fix="save it as UTF-8",
                )
            ]
        ) from error


def _line_column(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    near = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in near[: len(near) - len(near.lstrip())] or "'\\t'" in problem:
        return Problem(
            "a tab in the indentation",
            file=file,
            line=line,
            column=column,
            fix="indent by spaces; YAML allows no tabs",
        )
    fix = ""
    if "could not find expected ':'" in problem:
        fix = "a line above lacks its ':' or its closing quote"
    elif "mapping values are not allowed" in problem:
        fix = "check the indentation, or quote the value if it holds ': '"
    elif "did not find expected" in problem:
        fix = "check the indentation, and that every quote and bracket is closed"
    elif "cannot start any token" in problem:
        fix = "quote the value"
    return Problem(f"is not YAML: {shown(problem)[1:-1]}", file=file, line=line, column=column, fix=fix)


@dataclass(slots=True)
class _Open:
    """A mapping or a list whose end has not been seen."""

    path: Path
    data: Any
    key: str | None = None
    awaiting_value: bool = False
    skip: bool = False  # the next value belongs to a key that was refused
    lost: bool = False  # all of it does


@dataclass(slots=True)
class _Builder:
    """Takes events one by one; refuses as soon as it can know."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    seen: bool = False
    data: Any = None
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    raw: dict[Path, str] = field(default_factory=dict)
    unread: set[Path] = field(default_factory=set)
    stack: list[_Open] = field(default_factory=list)
    nodes: int = 0
    documents: int = 0

    def source(self) -> Source:
        return Source(self.data, self.keys, self.values, self.raw, frozenset(self.unread), self.file)

    def take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._node(event)
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._node(event)
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.stack.pop()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self._refuse(
                        event,
                        "a second document",
                        fix="write one document; delete everything from this '---' on",
                    )

    def _refuse(self, event: Any, message: str, *, fix: str = "", wanted: str = "") -> None:
        """Stop reading: what follows cannot be read, or reading it could cost without bound."""
        self._report(event, message, fix=fix, wanted=wanted)
        raise InputError(self.problems)

    def _report(
        self, event: Any, message: str, *, path: Path = (), found: str = "", fix: str = "", wanted: str = ""
    ) -> None:
        mark = event.start_mark
        self.problems.append(
            Problem(message, field_path(path), self.file, mark.line + 1, mark.column + 1, found, wanted, fix)
        )
        if len(self.problems) >= _MOST_PROBLEMS:
            raise InputError(self.problems)

    def _node(self, event: Any) -> None:
        self.nodes += 1
        if self.nodes > _MOST_NODES:
            self._refuse(event, f"more than {_MOST_NODES} values", wanted="a smaller file")
        if event.anchor is not None:
            self._report(
                event,
                f"an anchor (&{shown(event.anchor)[1:-1]})",
                fix="write the value out: a platform file has no anchors and aliases, so that what it says stands where it applies",
            )
        if event.tag is not None:
            self._report(
                event, f"a tag ({shown(event.tag)[1:-1]})", fix="delete it; quote the value if it is a text"
            )

    def _alias(self, event: Any) -> None:
        self.nodes += 1
        self._report(
            event,
            f"an alias (*{shown(event.anchor)[1:-1]})",
            fix="write the value out: a platform file has no anchors and aliases, so that what it says stands where it applies",
        )
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.data, dict) and not top.awaiting_value:
            top.skip, top.awaiting_value = True, True
            return
        path = self._place(event, None)
        if path is not None:
            self.unread.add(path)

    def _open(self, event: Any) -> None:
        if len(self.stack) >= _MOST_DEPTH:
            self._refuse(event, f"nested more than {_MOST_DEPTH} levels deep")
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.data, dict) and not top.awaiting_value:
            self._refuse(
                event,
                "a key that is not a text",
                wanted="a plain word as key",
                fix="quote values that begin with { or [",
            )
        data: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._place(event, data)
        self.stack.append(_Open(path or (), data, lost=path is None))

    def _scalar(self, event: Any) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.data, dict) and not top.awaiting_value:
            self._key(event, top)
            return
        value, fault = _resolve(event.value, plain=event.implicit[0])
        path = self._place(event, value)
        if path is None:
            return
        if fault:
            self._report(event, fault, path=path, wanted="a smaller number or a printable text")
            self.unread.add(path)
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.raw[path] = event.value

    def _key(self, event: Any, top: _Open) -> None:
        top.awaiting_value = True
        top.skip = False
        if top.lost:
            return
        name = event.value
        resolved, fault = _resolve(name, plain=event.implicit[0])
        if event.implicit[0] and name == "<<":
            self._report(event, "a merge key (<<)", path=top.path, fix="write the fields out")
            top.skip = True
        elif not isinstance(resolved, str) or fault:
            shown_key = shown(name)
            self._report(
                event,
                f"the key {shown_key} is not a text" if name else "an empty key",
                path=top.path,
                wanted="a text as key",
                fix=f"write it in quotes: {shown_key}" if name else "write the field's name before the ':'",
            )
            top.skip = True
        elif name in top.data:
            path = (*top.path, name)
            first = self.keys.get(path, (0, 0))[0]
            self._report(
                event,
                f"{shown(name)} is given twice, first in line {first}",
                path=path,
                fix="delete one of them",
            )
            top.skip = True
        else:
            top.key = name
            self.keys[(*top.path, name)] = (event.start_mark.line + 1, event.start_mark.column + 1)

    def _place(self, event: Any, value: Any) -> Path | None:
        """Put a value where it belongs; None where its key was refused."""
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if not self.stack:
            self.seen = self.seen or value is not None
            self.data = value
            self.values[()] = place
            return ()
        top = self.stack[-1]
        top.awaiting_value = False
        if top.lost or top.skip:
            return None
        if isinstance(top.data, list):
            path: Path = (*top.path, len(top.data))
            top.data.append(value)
            self.keys[path] = place
        else:
            key = top.key or ""
            path = (*top.path, key)
            top.data[key] = value
        self.values[path] = place
        return path


def is_plain_text(text: str) -> bool:
    """Whether a word written without quotes is read as the text it is."""
    return re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._/@+-]*(?:://[A-Za-z0-9][A-Za-z0-9._/@+-]*)?", text
    ) is not None and (isinstance(_resolve(text, plain=True)[0], str))


def _resolve(text: str, *, plain: bool) -> tuple[Any, str]:
    """Value of a scalar by the core schema, and what is wrong with it."""
    if not plain:
        return text, "a control character in a text" if _CONTROL.search(text) else ""
    if text in _NULL:
        return None, ""
    if text in _BOOL:
        return _BOOL[text], ""
    if text in _SPECIAL:
        return _SPECIAL[text], ""
    if text[0] not in "+-.0123456789":
        return text, ""
    is_int, is_float = _INT.match(text), _FLOAT.match(text)
    based = _OCTAL.match(text) or _HEX.match(text)
    if len(text) > _MOST_DIGITS and (is_int or is_float or based):
        # int() of a million digits takes minutes, and Python refuses over 4300 with ValueError.
        return 0, f"a number of {len(text)} characters"
    if is_int:
        return int(text), ""
    if based:
        return int(text, 0), ""
    return (float(text), "") if is_float else (text, "")
