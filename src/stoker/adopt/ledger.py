"""What adopting could not carry over, and what it had to fill in."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stoker.kube.paths import Path, dig, show
from stoker.kube.snapshot import Item

__all__ = ["Adopted", "Assumption", "Ledger", "Note", "dump_order"]


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is not in the document as it is in the source.

    Attributes:
        object: kind and name, or a file that could not be read.
        path: field in the object; empty for the whole of it.
        file, line: where it stands; a line of 0 where there is none.
        message: what becomes of it and why. Never a value of a Secret.
    """

    object: str
    path: str
    file: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """A field of the document that nothing in the source says.

    Attributes:
        path: field of the document, by the names of its parts: ``pools.a100.nodes``.
        value: what was filled in.
        because: from what.
    """

    path: str
    value: str
    because: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """A platform document with what is not in it, and what was assumed.

    ``document`` is plain data in the order of the schema: `stoker.adopt.text.write` makes YAML of it.
    """

    document: dict[str, Any]
    notes: tuple[Note, ...]
    assumptions: tuple[Assumption, ...]


def _first_line(item: Item, path: Path) -> int:
    _ = path
    return item.source.line


@dataclass
class Ledger:
    """Collects notes and assumptions while the document is made; ``line`` finds the line of a field."""

    line: Callable[[Item, Path], int] = _first_line
    notes: dict[Note, None] = field(default_factory=dict)
    assumptions: dict[str, Assumption] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)

    def use(self, item: Item | None) -> None:
        """This object is in the document, or was spoken of: the list of what is left does not name it."""
        if item is not None:
            self.told.add(id(item))

    def used(self, item: Item) -> bool:
        return id(item) in self.told

    def note(self, item: Item, path: Path, message: str) -> None:
        """Something of an object that is not carried over, or not as it is."""
        self.use(item)
        while path and dig(item.obj, *path) is None:
            path = path[:-1]
        self.notes[Note(str(item), show(path), item.source.file, self.line(item, path), message)] = None

    def note_text(self, what: str, line: int, message: str) -> None:
        """Something that is no object."""
        self.notes[Note(what, "", what, line, message)] = None

    def assume(self, path: str, value: object, because: str) -> None:
        """The newest word on a field is the one that stands."""
        self.assumptions[path] = Assumption(path, str(value), because)

    def retract(self, path: str) -> None:
        """The field is no longer in the document."""
        self.assumptions.pop(path, None)


def dump_order(entry: dict[str, Any], order: tuple[str, ...]) -> dict[str, Any]:
    """The entry's fields in the schema's order; empty ones are left out."""
    return {key: entry[key] for key in order if key in entry and entry[key] not in (None, {}, [], "")}
