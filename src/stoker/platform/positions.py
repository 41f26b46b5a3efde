"""Field paths as the user writes them, and where in the text they stand."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Path", "Source", "field_path", "looks_like_token", "shown"]

Path = tuple[str | int, ...]

_PLAIN_KEY: Final = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")
_MOST_SHOWN: Final = 80
# Tokens whose shape alone tells what they are: a message that repeats one puts it into the logs of a CI system.
_TOKEN: Final = re.compile(
    r"hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[abeprs]-[\w-]{10,}|A(?:KIA|SIA)[0-9A-Z]{16}|AIza[\w-]{30,}|-----BEGIN|ey[JK][\w-]{10,}\.[\w-]{10,}\."
    r"|hooks\.slack\.com/services/\w+|://[^/\s:@]+:[^/\s@]+@"
)


def looks_like_token(text: str) -> bool:
    """Whether a text holds something with the shape of a credential."""
    return _TOKEN.search(text) is not None


def field_path(path: Path) -> str:
    """A path as text: ``models[0].engine.version``; keys that are no plain words stand in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.match(part):
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text


def shown(value: object) -> str:
    """A value short and printable, for a message; never longer than 80 characters, never a credential."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return _quoted(value)
        case dict():
            return (
                f"an object with {len(value)} field{'' if len(value) == 1 else 's'}"
                if value
                else "an empty object"
            )
        case list() | tuple():
            return f"a list of {len(value)}" if value else "an empty list"
        case _:
            return str(value)[:_MOST_SHOWN]


def _quoted(text: str) -> str:
    if looks_like_token(text):
        return f'"{text[:3]}…" (hidden: it looks like a credential)'
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_MOST_SHOWN])
    room = _MOST_SHOWN - 2
    return f'"{clean[: room - 1]}…"' if len(text) > room else f'"{clean}"'


@dataclass(frozen=True, slots=True)
class Source:
    """Plain data of a file and where each key and value stands.

    Attributes:
        data: dicts, lists and scalars by the YAML 1.2 core schema.
        keys: path -> 1-based line and column of the key (of the value, in a list).
        values: path -> 1-based line and column of the value.
        raw: path -> text of a plain scalar that was read as a number, as written (``1.30``).
        unread: paths whose value could not be taken; a problem was reported for each.
        file: name of the file, or empty.
    """

    data: Any
    keys: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    values: Mapping[Path, tuple[int, int]] = field(default_factory=dict)
    raw: Mapping[Path, str] = field(default_factory=dict)
    unread: frozenset[Path] = frozenset()
    file: str = ""

    def at(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a path, or of the nearest section around it; (0, 0) where nothing has a place."""
        place = (self.keys if key and path else self.values).get(path)
        while place is None:
            if not path:
                return (0, 0)
            path = path[:-1]
            # A field that is not written is missed in its section, and a section is found by its key.
            place = self.keys.get(path) or self.values.get(path)
        return place
