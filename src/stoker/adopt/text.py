"""The platform file of what was adopted: assumptions and gaps as comments above it."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from stoker.adopt.ledger import Adopted, Note
from stoker.render.yaml_text import dump

__all__ = ["grouped", "write"]

_MOST: Final = 12
_WIDTH: Final = 150


def write(adopted: Adopted) -> str:
    """The file's text; the same source gives the same bytes."""
    return "".join(f"# {line}".rstrip() + "\n" for line in _comments(adopted)) + dump(adopted.document)


def _comments(adopted: Adopted) -> Iterator[str]:
    yield "Adopted by `stoker init --from` from what exists. Read it, then: stoker check FILE"
    if adopted.assumptions:
        yield ""
        yield "Assumed, because nothing in the source says it:"
        for assumption in adopted.assumptions[:_MOST]:
            yield _short(f"- {assumption.path}: {assumption.value} ({assumption.because})")
        yield from _rest(len(adopted.assumptions))
    rows = grouped(adopted.notes)
    if rows:
        yield ""
        yield "Not carried over as it is:"
        for note, count in rows[:_MOST]:
            place = f" {note.path}" if note.path else ""
            more = f" (and {count - 1} more)" if count > 1 else ""
            yield _short(f"- {note.object}{place}: {note.message}{more}")
        yield from _rest(len(rows))


def _rest(count: int) -> Iterator[str]:
    if count > _MOST:
        yield f"- and {count - _MOST} more: `stoker init --from … --output json` lists all of them"


def _short(text: str) -> str:
    """One printable line."""
    clean = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return clean if len(clean) <= _WIDTH else f"{clean[: _WIDTH - 1]}…"


def grouped(notes: tuple[Note, ...]) -> list[tuple[Note, int]]:
    """The first note of each message and kind, with how many there are."""
    keys = [(note.message, note.object.partition(" ")[0]) for note in notes]
    counts = Counter(keys)
    first: dict[tuple[str, str], Note] = {}
    for key, note in zip(keys, notes, strict=True):
        first.setdefault(key, note)
    return [(note, counts[key]) for key, note in first.items()]
