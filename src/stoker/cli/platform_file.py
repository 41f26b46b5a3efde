"""Reading the user's platform file for every command that takes one: load, resolve, say the notes."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stoker.errors import InputError, Problem

if TYPE_CHECKING:
    from stoker.sizing.resolved import Note, ResolvedPlatform

__all__ = ["FileArgument", "print_notes", "read_platform"]

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="Platform file; `-` reads standard input.", show_default=False)
]

_MOST_BYTES = 1 << 20


def read_platform(file: str) -> "ResolvedPlatform":
    """Load and resolve a platform file.

    Raises:
        InputError: every problem of the file, each with its line.
    """
    from stoker.platform.load import load_document
    from stoker.sizing.resolve import resolve

    source = sys.stdin.buffer.read(_MOST_BYTES + 1) if file == "-" else Path(file)
    document = load_document(source, file="<stdin>" if file == "-" else file)
    try:
        return resolve(document.platform)
    except InputError as error:
        raise InputError(
            [_placed(problem, document.locate(problem.path), document.file) for problem in error.problems]
        ) from error


def _placed(problem: Problem, position: tuple[int, int], file: str) -> Problem:
    line, column = position
    return replace(problem, file=file, line=line, column=column)


def print_notes(notes: "tuple[Note, ...]") -> None:
    """Warnings and remarks, on stderr."""
    from rich.text import Text

    from stoker.cli.output import err

    console = err()
    for note in notes:
        style = "bold yellow" if note.severity == "warning" else "bold blue"
        text = Text.assemble((f"{note.severity.value}: ", style), f"{note.path}: {note.message}")
        if note.fix:
            text.append(f"\n    fix:    {note.fix}")
        console.print(text)
