"""Printing: machine output on stdout, everything for people's eyes beside it on stderr or as a table on stdout.

rich honours NO_COLOR, FORCE_COLOR and a missing terminal by itself.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output", "OutputOption", "err", "out", "print_json", "table"]

_PIPE_WIDTH = 200


class Output(StrEnum):
    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[
    Output, typer.Option("--output", "-o", help="Text for people, or JSON on stdout for scripts.")
]


def out() -> "Console":
    from rich.console import Console

    # A pipe has no width: rows stay whole for grep and for logs.
    return Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def err() -> "Console":
    from rich.console import Console

    return Console(stderr=True, soft_wrap=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document on stdout, keys in the order given: same input, same bytes."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A plain table on stdout; numbers align right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    materialised = [list(row) for row in rows]
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) for row in materialised) and bool(materialised)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in materialised:
        grid.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    out().print(grid)
